"""Detectors of changed days: learned once a month, and anew where the month's is of another form."""

import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from ml.anomaly.detector import FORM
from orchestration.defs.anomalies import DETECTORS, SCHEMA, find_month
from orchestration.engines import DuckDb
from orchestration.warehouse import Warehouse

LEARNED, NIGHT = date(2026, 3, 1), date(2026, 3, 20)


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (json.dumps({"form": FORM}), LEARNED),
        (json.dumps({"form": FORM - 1}), None),
        (json.dumps({}), None),
        (None, LEARNED),  # too few customers to learn from
    ],
)
def test_a_detector_of_the_month_is_used_if_it_is_of_this_form(
    state: str | None, found: date | None, tmp_path: Path
) -> None:
    warehouse = Warehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb"))
    row = {"as_of": LEARNED, "detector": "combination", "accuracy": 0.9, "is_used": True, "state": state}
    warehouse.append({DETECTORS: pa.Table.from_pylist([row], schema=SCHEMA)})
    assert find_month(warehouse, NIGHT) == found
    assert find_month(warehouse, date(2026, 4, 1)) is None
