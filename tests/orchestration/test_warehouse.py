"""The warehouse: slices that are replaced whole, and tables that outlive a release."""

from datetime import date
from pathlib import Path

import pyarrow as pa

from orchestration.warehouse import Warehouse

DAY = date(2026, 1, 1)


def test_a_column_that_an_earlier_release_did_not_tell_stays_unknown_there(tmp_path: Path) -> None:
    warehouse = Warehouse(path=str(tmp_path / "warehouse.duckdb"))
    warehouse.replace_day("monitoring.drift", pa.table({"as_of": [DAY], "state": ["stable"]}), as_of=DAY)
    later = pa.table({"as_of": [date(2026, 1, 2)], "state": ["drifted"], "months": [3]})
    warehouse.replace_day("monitoring.drift", later, as_of=date(2026, 1, 2))
    told = warehouse.read("select state, months from monitoring.drift order by as_of").to_pylist()
    assert told == [{"state": "stable", "months": None}, {"state": "drifted", "months": 3}]
