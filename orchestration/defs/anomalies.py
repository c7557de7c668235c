"""Anomalies: customers whose days no longer look like their own. The detector is learned once a month."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa

from orchestration.deployment import Deployment
from orchestration.metadata import describe_table, round_figures
from orchestration.partitions import read_as_of
from orchestration.warehouse import Warehouse

if TYPE_CHECKING:
    from ml.anomaly.detector import Detector
    from ml.anomaly.series import Series

ANOMALIES, DETECTORS = "signals.customer_anomalies", "signals.anomaly_detectors"
ACTIVITY = """
    select customer_id, active_date, indicator, count_actions, known_date
    from intermediate.int_activity_days
    where active_date < $as_of and active_date >= $since
"""
LEARNED = f"select state from {DETECTORS} where as_of = $as_of and state is not null"
MONTH = f"select max(as_of) from {DETECTORS} where as_of <= $as_of and as_of >= $month"
SCHEMA = pa.schema(
    [
        *(("as_of", pa.date32()), ("detector", pa.string()), ("accuracy", pa.float64())),
        *(("is_used", pa.bool_()), ("state", pa.string())),
    ]
)


def _spec(table: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=table.split("."),
        deps=[["intermediate", "int_activity_days"]],
        group_name="signals",
        owners=["team:data-science"],
        kinds={"scikitlearn", "duckdb", "table"},
        description=description,
    )


@dg.multi_asset(
    specs=[
        _spec(ANOMALIES, "One row per as_of and customer whose days can be watched: whether and how they changed."),
        _spec(DETECTORS, "One row per training and detector of changes: how well it did, and whether it is used."),
    ],
    name="customer_anomalies",
)
def customer_anomalies(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
) -> Iterator[dg.MaterializeResult[None]]:
    """Compare every customer's recent days with their own level; learn first where the month has no detector yet."""
    from ml.anomaly.findings import SCHEMA as FINDINGS
    from ml.anomaly.findings import find_anomalies

    as_of, rules = read_as_of(context), deployment.policy.anomaly
    series = read_series(warehouse, as_of)
    learned_on = find_month(warehouse, as_of)
    if learned_on is None:
        learned_on = as_of
        warehouse.replace_day(DETECTORS, _learn(series, deployment, as_of), as_of=as_of)
    detector = read_detector(warehouse, learned_on)
    found = find_anomalies(series, detector, rules) if detector else FINDINGS.empty_table()
    warehouse.replace_day(ANOMALIES, found, as_of=as_of)
    count = sum(found["is_anomalous"].to_pylist())
    shown = {"anomalous": count, "watched": found.num_rows, "known": len(series.customers)}
    yield dg.MaterializeResult(
        asset_key=ANOMALIES.split("."), metadata=describe_table(warehouse, ANOMALIES, as_of=as_of) | shown
    )
    state = (
        round_figures(detector.accuracies) if detector else {"state": "too few customers with a rhythm of their own"}
    )
    yield dg.MaterializeResult(
        asset_key=DETECTORS.split("."), metadata=describe_table(warehouse, DETECTORS, as_of=learned_on) | state
    )


def read_series(warehouse: Warehouse, as_of: date) -> "Series":
    """Return what customers did before a day, as far back as a detector learns."""
    from ml.anomaly.detector import DAYS_LEARNED
    from ml.anomaly.series import Series

    activity = warehouse.read(ACTIVITY, {"as_of": as_of, "since": as_of - timedelta(days=DAYS_LEARNED)})
    return Series.build(activity, as_of=as_of, days=DAYS_LEARNED)


def find_month(warehouse: Warehouse, as_of: date) -> date | None:
    """Return the day of the month on which its detector was learned, None where it was not yet, or in another form."""
    from ml.anomaly.detector import FORM

    if not warehouse.has_table(DETECTORS):
        return None
    found: date | None = warehouse.read_value(MONTH, {"as_of": as_of, "month": as_of.replace(day=1)})
    state = warehouse.read_value(LEARNED, {"as_of": found}) if found else None
    return found if state is None or json.loads(state).get("form") == FORM else None


def read_detector(warehouse: Warehouse, learned_on: date) -> "Detector | None":
    """Return what was learned on a day, None where it was nothing."""
    from ml.anomaly.detector import Detector

    state = warehouse.read_value(LEARNED, {"as_of": learned_on})
    return Detector.restore(json.loads(state)) if state else None


def _learn(series: "Series", deployment: Deployment, as_of: date) -> pa.Table:
    from ml.anomaly.detector import COMBINATION, learn

    detector = learn(series, deployment.policy.anomaly, seed=deployment.policy.training.seed)
    if detector is None:
        return pa.Table.from_pylist([{"as_of": as_of, "is_used": False}], schema=SCHEMA)
    rows = [
        {
            "as_of": as_of,
            "detector": name,
            "accuracy": accuracy,
            "is_used": name in {*detector.used, COMBINATION},
            "state": json.dumps(detector.state()) if name == COMBINATION else None,
        }
        for name, accuracy in detector.accuracies.items()
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)
