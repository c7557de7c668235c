"""The auditor: what has not moved though it should have, one sentence each."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from retention.acting.channels.base import ChannelError, route
from retention.acting.notices import owner_of
from retention.store.answers import HOLDFAST, OPEN, UNFINISHED
from retention.store.outbox import CLAIMED, PLANNED

if TYPE_CHECKING:
    import pandas as pd

    from company.policy import Policy
    from retention.acting.channels.base import Channel
    from retention.store.store import Store

_MOST_NAMED = 3


def audit(store: "Store", policy: "Policy", channels: Mapping[str, "Channel"], *, at: datetime) -> list[str]:
    """Return one sentence per thing that stands still: looks, alerts, messages and owners who cannot be reached."""
    alerts = store.alerts.read()
    waiting = alerts.loc[alerts["state"].isin(UNFINISHED) & ~alerts["is_replay"].astype(bool)]
    found = [
        *_audit_looks(store, policy, waiting, at=at),
        *_audit_alerts(policy, waiting, at=at),
        *_audit_messages(store, policy, at=at),
    ]
    return [*found, *_audit_owners(policy, channels, waiting)]


def _audit_looks(store: "Store", policy: "Policy", waiting: "pd.DataFrame", *, at: datetime) -> Iterator[str]:
    since = at - timedelta(minutes=policy.audit.looks_within_minutes)
    is_due = len(waiting) > 0 and waiting["raised_at"].min() < since
    if is_due and not store.looks.read(since=since):
        yield (
            f"Nobody has looked at the clocks of {len(waiting)} alerts for {policy.audit.looks_within_minutes} "
            "minutes; `holdfast ui` does so by itself, `holdfast alerts look` does it once."
        )


def _audit_alerts(policy: "Policy", waiting: "pd.DataFrame", *, at: datetime) -> Iterator[str]:
    last = at - timedelta(days=policy.audit.alerts_within_days)
    still = waiting.loc[(waiting["state"] == OPEN) & (waiting["due_at"] < last)]
    for owner, theirs in still.groupby("owner"):
        yield (
            f"{len(theirs)} alerts of {owner} are overdue by more than {policy.audit.alerts_within_days} days: "
            f"{_name(theirs['alert_id'])}."
        )


def _audit_messages(store: "Store", policy: "Policy", *, at: datetime) -> Iterator[str]:
    messages = store.outbox.read()
    last = at - timedelta(hours=policy.audit.messages_within_hours)
    stuck = messages.loc[messages["state"].isin((PLANNED, CLAIMED)) & ~messages["is_replay"].astype(bool)]
    stuck = stuck.loc[stuck["not_before"].fillna(stuck["lease_until"]) < last]
    for channel, theirs in stuck.groupby("channel"):
        yield (
            f"{len(theirs)} messages by {channel} wait for more than {policy.audit.messages_within_hours:g} hours: "
            f"{_name(theirs['idempotency_key'])}; `holdfast outbox send` sends what is due."
        )


def _audit_owners(policy: "Policy", channels: Mapping[str, "Channel"], waiting: "pd.DataFrame") -> Iterator[str]:
    for owner in sorted(set(waiting["owner"]) - {HOLDFAST}):
        medium = owner_of(owner, policy).channel
        try:
            route(channels, medium)
        except ChannelError:
            yield (
                f"{owner} is notified of alerts by {medium}, and no channel of company.yaml delivers that; name "
                f"another one under `policy.owners.{owner}.channel`."
            )


def _name(ids: "pd.Series[str]") -> str:
    named = ", ".join(each[:8] for each in ids[:_MOST_NAMED])
    return named + (" and others" if len(ids) > _MOST_NAMED else "")
