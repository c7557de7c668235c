"""Schedules and sensors: the nightly pipeline, the monthly retrain, and what asks for more."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg

from ml.registry import Registry, TextModels
from orchestration.automation import AS_OF, ASKED_ON, COMPANY, REQUEST, TRIGGER, nightly, retrain
from orchestration.control.retrain_requests import RetrainRequests
from orchestration.deployment import Deployment
from orchestration.engines import open_engine
from orchestration.home import forget_old_runs
from orchestration.review import find_unread, settle_reviews
from retention.acting.channels import Channel, Message, route
from retention.deciding.holdout import period_of
from retention.store.store import Store

ALARM = "alarm"  # the medium under which a company may route such messages
SLIPPING = {
    "drift": dg.AssetCheckKey(dg.AssetKey(["monitoring", "drift"]), "drift_within_bounds"),
    "performance": dg.AssetCheckKey(dg.AssetKey(["monitoring", "performance"]), "performance_within_bounds"),
}

jobs = [nightly, retrain]


def define(deployment: Deployment) -> dg.Definitions:
    """Return the schedules, by the clock of the company's time zone."""
    company, timezone = deployment.company.name, deployment.company.timezone

    @dg.schedule(
        job=nightly,
        cron_schedule="0 2 * * *",
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def every_night(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Run the pipeline for the day that has just begun, and let old runs go."""
        moment = context.scheduled_execution_time
        forget_old_runs(context.instance, days=deployment.policy.run_history_days, now=moment)
        open_engine(deployment.settings).forget(days=deployment.policy.warehouse_history_days, now=moment)
        day = moment.date().isoformat()
        return dg.RunRequest(run_key=day, partition_key=day, tags={COMPANY: company, AS_OF: day})

    @dg.schedule(
        job=retrain,
        cron_schedule="0 4 1 * *",
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def every_month(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Retrain on the snapshots up to this month, after the nightly run has built them."""
        month = context.scheduled_execution_time.date().isoformat()
        return dg.RunRequest(
            run_key=month, partition_key=month, tags={COMPANY: company, AS_OF: month, TRIGGER: "monthly"}
        )

    return dg.Definitions(schedules=[every_night, every_month])


@dg.sensor(job=retrain, minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def request_retrain_on_drift(
    context: dg.SensorEvaluationContext,
    deployment: dg.ResourceParam[Deployment],
    store: dg.ResourceParam[Store],
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Ask for a retrain when the latest drift or performance check failed; at most once in a cool-down."""
    asked = False
    for trigger, key in SLIPPING.items():
        record = context.instance.get_latest_asset_check_evaluation_record(key)
        event = record.event.dagster_event if record and record.event else None
        evaluation = event.asset_check_evaluation_data if event else None
        if evaluation is None or evaluation.passed:
            continue
        evidence = {name: value.value for name, value in evaluation.metadata.items()}
        if not evidence.get("is_retrain_due", True):  # too few failed checks in a row
            continue
        as_of = str(evidence["as_of"])
        request = RetrainRequests(store).submit(
            trigger,
            date.fromisoformat(as_of),
            evidence=evidence,
            cooldown_days=deployment.policy.drift.cooldown_days,
            at=datetime.now(UTC),
        )
        if not request.is_accepted:
            continue
        asked = True
        yield dg.RunRequest(
            run_key=request.request_id,
            partition_key=f"{as_of[:7]}-01",
            tags={
                COMPANY: deployment.company.name,
                AS_OF: as_of,
                TRIGGER: trigger,
                REQUEST: request.request_id,
                ASKED_ON: as_of,
            },
        )
    if not asked:
        yield dg.SkipReason(
            "No check of drift or performance has failed, or a retrain was asked for within the cool-down."
        )


@dg.sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def apply_model_reviews(
    context: dg.SensorEvaluationContext,
    store: dg.ResourceParam[Store],
    registry: dg.ResourceParam[Registry],
) -> dg.SensorResult:
    """Move the champion's alias as a person has decided on the MLflow page: approved becomes champion, if it may."""
    settled = settle_reviews(registry, store, at=datetime.now(UTC))
    begins = TextModels.next_to(registry).settle()
    if begins is not None:
        context.log.info("version %s of the model that reads texts was approved and reads from now on", begins)
    for outcome in settled:
        context.log.info("version %s: %s. %s", outcome.version, outcome.lifecycle_status, outcome.reason)
    events = [
        dg.AssetObservation(
            asset_key=["monitoring", "promotions"],
            metadata={"model_version": each.version, "lifecycle_status": each.lifecycle_status, "reason": each.reason},
        )
        for each in settled
    ]
    unread = find_unread(registry)
    waits = f"The review_state of version {', '.join(unread)} is no verdict; write approved or rejected."
    said = waits if unread else "No version was reviewed since the last look."
    return dg.SensorResult(asset_events=events, skip_reason=None if settled else dg.SkipReason(said))


@dg.run_failure_sensor(default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=30)
def notify_run_failure(context: dg.RunFailureSensorContext, channels: dg.ResourceParam[Mapping[str, Channel]]) -> None:
    """Send one message per failed run through the company's own channel; its key makes a repetition harmless."""
    run = context.dagster_run
    text = (context.failure_event.message or "no message").splitlines()[0]
    body = {"run_id": run.run_id, "job": run.job_name, "partition": run.tags.get("dagster/partition"), "text": text}
    _raise_alarm(channels, f"run-{run.run_id}", body)


@dg.sensor(minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def notify_holdout_contact(
    context: dg.SensorEvaluationContext,
    deployment: dg.ResourceParam[Deployment],
    store: dg.ResourceParam[Store],
    channels: dg.ResourceParam[Mapping[str, Channel]],
) -> dg.SensorResult:
    """Send one message per contact with a held-out customer, within minutes; the nightly check blocks the verdict."""
    moment = datetime.now(UTC)
    since = period_of(deployment.policy.holdout, moment.date()).since or date.min
    last = datetime.fromisoformat(context.cursor) if context.cursor else datetime.min.replace(tzinfo=UTC)
    contacts = store.ledger.read_contacted_holdout(since=since, after=last)
    for contact in contacts.to_dict("records"):
        text = f"A held-out customer was contacted by {contact['strategy_id']}: its verdict is blocked."
        body = {"customer_id": contact["customer_id"], "key": contact["idempotency_key"], "text": text}
        _raise_alarm(channels, f"holdout-{contact['entry_id']}", body)
    newest = contacts["recorded_at"].max().to_pydatetime() if len(contacts) else last
    quiet = None if len(contacts) else dg.SkipReason("Nobody who is held out was contacted.")
    return dg.SensorResult(skip_reason=quiet, cursor=newest.isoformat())


def _raise_alarm(channels: Mapping[str, Channel], key: str, body: Mapping[str, Any]) -> None:
    channel = route(channels, ALARM)
    message = Message(key=key, channel=ALARM, body=dict(body), moment=datetime.now(UTC))
    if not channel.is_askable or channel.find(message.key) is None:
        channel.send(message)
