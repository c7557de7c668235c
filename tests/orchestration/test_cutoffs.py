"""The history that the moving lines are chosen from."""

from datetime import date
from pathlib import Path

import pyarrow as pa

from company.policy import load_policy
from orchestration.defs.cutoffs import PAST_SCORES, VALIDATION, read_history
from orchestration.engines import DuckDb
from orchestration.warehouse import Warehouse

EARLY, LATE = date(2024, 1, 1), date(2024, 3, 1)
POLICY = load_policy({"cutoffs": {"minimum_churners": 1}})


def scored(*days: date) -> pa.Table:
    rows = [{"as_of": day, "probability": 0.5, "churned": True, "value_from_now": 10.0} for day in days]
    return pa.Table.from_pylist(rows)


def test_the_lines_of_a_day_see_no_outcome_of_after_it(tmp_path: Path) -> None:
    warehouse = Warehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb"))
    warehouse.replace(VALIDATION, scored(EARLY, LATE))
    found = read_history(warehouse, POLICY, latest=date(2024, 2, 1))
    assert found is not None
    assert found[1]["as_of"].tolist() == [EARLY]
    assert read_history(warehouse, POLICY, latest=date(2023, 12, 1)) is None


def test_scores_that_were_acted_on_come_before_those_of_a_training(tmp_path: Path) -> None:
    warehouse = Warehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb"))
    warehouse.replace(VALIDATION, scored(EARLY))
    assert (read_history(warehouse, POLICY, latest=LATE) or ("", None))[0] == VALIDATION
    warehouse.replace(PAST_SCORES, scored(EARLY))
    assert (read_history(warehouse, POLICY, latest=LATE) or ("", None))[0] == PAST_SCORES
