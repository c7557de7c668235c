"""What a trial of two models may look at."""

from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

from company.churn import ChurnDefinition
from orchestration.defs.model_trials import read_known
from orchestration.engines import DuckDb
from orchestration.warehouse import Warehouse

AS_OF = date(2024, 3, 31)
CHURN = ChurnDefinition(definition="inactivity", active_within_days=60, horizon_days=30, lead_days=5)


def test_a_day_that_is_replayed_counts_no_outcome_that_was_known_later(tmp_path: Path) -> None:
    warehouse = Warehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb"))
    days = [AS_OF - timedelta(days=back) for back in (36, 35, 34, 0, -30)]
    scored = [{"as_of": day, "customer_id": "c1", "churned": day > AS_OF} for day in days]
    sent = [
        {"as_of": day, "entry_id": str(day), "model_version": "1", "cost": 1.0, "event": "assigned", "is_sent": True}
        for day in days
    ]
    warehouse.replace("outcomes.scored_outcomes", pa.Table.from_pylist(scored))
    warehouse.replace("outcomes.treatment_outcomes", pa.Table.from_pylist(sent))
    known = [rows["as_of"].tolist() for rows in read_known(warehouse, CHURN, as_of=AS_OF)]
    assert known == [days[:2], days[:2]]
