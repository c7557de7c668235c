"""A look at the clocks of alerts and incidents, however often: each owner is notified once, a breach counts once."""

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from retention.acting.clock import make_clock
from retention.acting.notices import look_at
from retention.store.notices import NoticeWriter

if TYPE_CHECKING:
    from company.policy import Policy
    from retention.acting.notices import Look
    from retention.store.store import Store


def look(store: "Store", policy: "Policy", *, timezone: str, at: datetime) -> "Look":
    """Find what is due by the logs, put the messages to their owners into the outbox, and record it.

    A look that is killed has done nothing; one that comes late finds what the ones before it would have found.
    """
    writer = NoticeWriter(policy=policy, timezone=timezone, at=at)
    decide = partial(look_at, clock=make_clock(policy, timezone=timezone), policy=policy, at=at)
    cooldown = timedelta(days=policy.notices.cooldown_days)
    return store.looks.look(decide, writer.write, at=at, today=writer.today, cooldown=cooldown)
