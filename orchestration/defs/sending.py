"""What leaves between the nights: messages that waited for the morning, for another attempt, or for an answer."""

from collections.abc import Mapping
from dataclasses import asdict

import dagster as dg

from company.encryption import read_key
from orchestration.deployment import Deployment
from orchestration.published import published_in
from orchestration.runs import UNFINISHED
from orchestration.sending import now, prepare_sending
from retention.acting.channels import Channel
from retention.acting.dispatch import dispatch
from retention.store.store import Store


@dg.op
def send_due_messages(
    context: dg.OpExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    store: dg.ResourceParam[Store],
    channels: dg.ResourceParam[Mapping[str, Channel]],
) -> None:
    """Send what is due, and ask what became of messages without an answer."""
    for is_replay in (False, True):  # owners are told of the alerts of a replayed day by the built-in gateway
        report = dispatch(store, prepare_sending(deployment, store, channels, is_replay=is_replay))
        context.log.info("sending: %s", {name: value for name, value in asdict(report).items() if value})


@dg.job(description="Messages that are due between two nights.")
def sending() -> None:
    """Send what is due."""
    send_due_messages()


@dg.sensor(minimum_interval_seconds=300, default_status=dg.DefaultSensorStatus.RUNNING)
def announce_to_partners(
    context: dg.SensorEvaluationContext, deployment: dg.ResourceParam[Deployment], store: dg.ResourceParam[Store]
) -> dg.SkipReason:
    """Put what happened into the outbox for partners' programs; `send_when_due` posts it."""
    from serving.access import read_access
    from serving.partners import Announcer
    from serving.snapshot import Snapshot

    settings = deployment.settings
    snapshot = Snapshot(path=published_in(settings.home).path, key=read_key(settings.environment))
    count = Announcer(store=store, snapshot=snapshot, access=read_access()).announce(at=now())
    context.log.info("%s announcements", count)
    return dg.SkipReason(f"{count} announcements.")


@dg.sensor(minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def call_back_on_requests(
    context: dg.SensorEvaluationContext, deployment: dg.ResourceParam[Deployment], store: dg.ResourceParam[Store]
) -> dg.SkipReason:
    """Call whoever sent a request about personal data and does not know its present status."""
    from orchestration.control.privacy_requests import PrivacyRequests
    from orchestration.privacy.callbacks import Callbacks
    from orchestration.privacy.erasing import SIGNING_KEY
    from orchestration.privacy.on_desk import open_office
    from orchestration.privacy.stores import OWN_RECORDS

    settings = deployment.settings
    office = open_office(settings.environment, store, settings.company_file)
    if office is None:
        return dg.SkipReason("Without HOLDFAST_TOKEN_KEY there are no requests.")
    key_file = settings.home / OWN_RECORDS / SIGNING_KEY
    calls = Callbacks(requests=PrivacyRequests(store), office=office, key_file=key_file, now=now).deliver()
    context.log.info("status callbacks: %s", calls)
    return dg.SkipReason(f"{calls['taken']} status callbacks were taken, {calls['not_taken']} were not.")


@dg.sensor(job_name=sending.name, minimum_interval_seconds=300, default_status=dg.DefaultSensorStatus.RUNNING)
def send_when_due(context: dg.SensorEvaluationContext, store: dg.ResourceParam[Store]) -> dg.RunRequest | dg.SkipReason:
    """Start the sending when a message is due, and none is under way."""
    dues = [store.outbox.next_due(is_replay=is_replay) for is_replay in (False, True)]
    if not any(due is not None and due <= now() for due in dues):
        return dg.SkipReason("No message is due.")
    running = context.instance.get_run_records(dg.RunsFilter(job_name=sending.name, statuses=UNFINISHED), limit=1)
    if running:
        return dg.SkipReason("A sending is under way.")
    return dg.RunRequest()
