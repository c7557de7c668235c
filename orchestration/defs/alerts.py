"""Incidents, the clocks of alerts between the nights, what users think of them, and whether anything stands still."""

from collections.abc import Mapping
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
import pandas as pd
import pyarrow as pa

from orchestration.control.privacy_requests import PrivacyRequests
from orchestration.deployment import Deployment
from orchestration.metadata import describe_table
from orchestration.partitions import read_as_of
from orchestration.sending import company_clock, is_replayed, now
from orchestration.warehouse import Warehouse
from privacy.requests import remind
from retention.acting.audit import audit
from retention.acting.channels import Channel
from retention.acting.incidents import find_incidents
from retention.acting.look import look
from retention.deciding.feedback import weigh_feedback
from retention.store import frames
from retention.store.frames import to_arrow
from retention.store.store import Store

RULES, INCIDENTS = "monitoring.alert_rules", "retention.incidents"
RULES_SCHEMA = pa.schema([
    ("as_of", pa.date32()), ("level", pa.string()), ("main_reason", pa.string()), ("count_answers", pa.int64()),
    ("count_wrong", pa.int64()), ("share_wrong", pa.float64()), ("share_low", pa.float64()), ("demand", pa.string()),
    ("points", pa.int64()), ("why_en", pa.string()), ("why_zh", pa.string()),
])  # fmt: skip
WINDOWS = "select * from decisions.group_windows order by measure, group_name, window_number"
CHANGES = """
    select measure, group_name, changed_on, rate_before, rate_since, p_value, q_value
    from signals.group_trends
    where as_of = $as_of and is_change and changed_on >= $since
"""
EVENTS = "select * from decisions.group_events order by measure, group_name, customer_id"


@dg.sensor(minimum_interval_seconds=300, default_status=dg.DefaultSensorStatus.RUNNING)
def look_at_alerts(
    context: dg.SensorEvaluationContext, deployment: dg.ResourceParam[Deployment], store: dg.ResourceParam[Store]
) -> dg.SkipReason:
    """Look at the clocks of alerts and incidents; what is due goes into the outbox, and `send_when_due` sends it."""
    found = look(store, deployment.policy, timezone=deployment.company.timezone, at=now())
    summary = f"{len(found.notices)} messages to owners, {len(found.breaches)} deadlines missed since the last look."
    context.log.info(summary)
    return dg.SkipReason(summary)


@dg.asset(
    key=RULES.split("."),
    group_name="scores",
    owners=["team:retention"],
    kinds={"duckdb", "table"},
)
def alert_rules(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
) -> dg.MaterializeResult[None]:
    """One row per day, level and reason with feedback: how much of it was wrong, and what alerts need because of it."""
    as_of = read_as_of(context)
    found = weigh_feedback(_read_feedback(deployment, store), deployment.policy, as_of=as_of)
    warehouse.replace_day(RULES, pa.Table.from_pylist([{"as_of": as_of, **row} for row in found.to_dict("records")],
                                                      schema=RULES_SCHEMA), as_of=as_of)  # fmt: skip
    demands = [f"- {text}" for text in found["why_en"] if text]
    return dg.MaterializeResult(
        metadata=describe_table(warehouse, RULES, as_of=as_of)
        | {"demanded": dg.MetadataValue.md("\n".join(demands) or "nothing")}
    )


def _read_feedback(deployment: Deployment, store: Store) -> pd.DataFrame:
    """Return what users called alerts, and on which of the company's days, up to this moment."""
    answers = store.alerts.read_answers()
    given = answers.loc[answers["feedback"].notna()]
    closed = pd.to_datetime(given["closed_at"], utc=True).dt.tz_convert(deployment.company.timezone)
    return given[["level", "main_reason", "feedback"]].assign(closed_on=closed.dt.date)


def read_rules(warehouse: Warehouse, as_of: date) -> pd.DataFrame:
    """Return what users' feedback demands on a day."""
    rules: pd.DataFrame = warehouse.read(f"select * from {RULES} where as_of = $as_of", {"as_of": as_of}).to_pandas()
    return rules


@dg.asset(
    key=INCIDENTS.split("."),
    deps=[
        ["retention", "alerts"],
        ["decisions", "group_windows"],
        ["decisions", "group_events"],
        ["signals", "group_trends"],
    ],
    group_name="retention",
    owners=["team:retention"],
    kinds={"duckdb", "table"},
)
def incidents(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
) -> dg.MaterializeResult[None]:
    """One row per rate that rose in a group of customers, with its likely cause; their alerts are folded into it."""
    as_of, policy = read_as_of(context), deployment.policy
    since = as_of - timedelta(weeks=policy.incidents.baseline_weeks)
    windows, events = (warehouse.read(query).to_pandas() for query in (WINDOWS, EVENTS))
    changes = warehouse.read(CHANGES, {"as_of": as_of, "since": since}).to_pandas()
    found = find_incidents(windows, events, policy.incidents, changes=changes)
    new, folded = store.incidents.record(
        found,
        as_of=as_of,
        at=now(),
        policy=policy,
        clock=company_clock(deployment),
        is_replay=is_replayed(context, deployment, as_of),
    )
    warehouse.replace(INCIDENTS, to_arrow(store.incidents.read(), frames.ALL_INCIDENTS))
    causes = "\n".join(f"- {each.cause_en}" for each in found)
    return dg.MaterializeResult(
        metadata=describe_table(warehouse, INCIDENTS)
        | {"new": new, "folded_alerts": folded, "found": dg.MetadataValue.md(causes or "none")}
    )


@dg.asset_check(asset=["retention", "alerts"])
def nothing_stands_still(
    deployment: dg.ResourceParam[Deployment],
    store: dg.ResourceParam[Store],
    channels: dg.ResourceParam[Mapping[str, Channel]],
) -> dg.AssetCheckResult:
    """Warn of alerts, messages, looks and requests about data that have not moved though they should have."""
    moment = now()
    found = audit(store, deployment.policy, channels, at=moment)
    found += remind(
        PrivacyRequests(store).read(),
        today=moment.astimezone(ZoneInfo(deployment.company.timezone)).date(),
        days_before=deployment.policy.privacy.remind_days_before,
    )
    return dg.AssetCheckResult(
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"findings": dg.MetadataValue.md("\n".join(f"- {each}" for each in found) or "none")},
    )
