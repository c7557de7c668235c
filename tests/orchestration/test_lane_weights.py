"""What the event lane's nights become in the warehouse: weights, calibration, and the warning where it is off."""

import json
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from orchestration.defs.lane import lane_calibration, lane_delta_is_calibrated, lane_weights
from orchestration.deployment import Deployment
from orchestration.engines import DuckDb
from orchestration.warehouse import Warehouse
from retention.store.store import Store

AS_OF = date(2024, 3, 1)
GROUP = {"group_name": "raised", "count_customers": 9, "log_odds_gap": 0.1} | dict.fromkeys(
    ("probability_before", "probability_lane", "probability_night"), 0.5
)


@pytest.mark.parametrize(("nights", "change", "slope", "is_calibrated"), [(0, 0, None, True), (2, 0.1, 0.1, False)])
def test_nights_become_weights_and_a_calibration_that_is_checked(
    nights: int, change: float, slope: float | None, *, is_calibrated: bool, demo: Deployment, tmp_path: Path,
    sqlite_store: Store,
) -> None:  # fmt: skip
    warehouse = Warehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb"))
    for night in range(nights):
        lessons = [
            {
                "lane_features": json.dumps({"complaint": count}), "lane_delta": 0.7 * count,
                "log_odds_before": -2.0, "log_odds_night": -2.0 + change * 0.7 * count,
            }
            for count in (0, 1, 2)
        ]  # fmt: skip
        sqlite_store.lane.record_night(AS_OF - timedelta(days=night), [GROUP], lessons=lessons)
    night = dg.build_asset_context(partition_key=AS_OF.isoformat())
    lane_weights(night, deployment=demo, warehouse=warehouse, store=sqlite_store)
    lane_calibration(night, warehouse=warehouse, store=sqlite_store)
    query = "select count_customers, weight_state from monitoring.lane_weights where lane_feature = 'complaint'"
    assert warehouse.read(query).to_pylist() == [
        {"count_customers": 2 * nights, "weight_state": "declared, too few nights"}
    ]
    check = lane_delta_is_calibrated(demo, warehouse)
    assert isinstance(check, dg.AssetCheckResult)
    assert check.passed == is_calibrated
    assert check.metadata["slope"].value == ("unknown" if slope is None else slope)
