"""What a message must pass in the moment it is claimed: consent, the latest useful day, caps, quiet hours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from retention.store.consents import MARKETING, find_withdrawal
from retention.store.ledger import CAPPED, HELD, LATE
from retention.store.outbox import CLAIMED, PLANNED, Facts, Move, stopped

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from company.policy.contact import ContactRules

_QUIET = "waits for the end of the quiet hours"


@dataclass(frozen=True, kw_only=True)
class SendingRules:
    """The policy's rules of contact by the company's clock."""

    contact: "ContactRules"
    timezone: str

    @property
    def zone(self) -> ZoneInfo:
        """The company's time zone, which decides what a day is."""
        return ZoneInfo(self.timezone)

    def judge(self, row: "RowMapping", facts: Facts, *, at: datetime, now: datetime) -> Move:
        """Return whether a message may leave at the moment `at`, and where it goes if not.

        `now` is later than `at` when a day of the past is replayed: messages wait by the clock, not by the past.
        """
        day = at.astimezone(self.zone).date()
        for state, trouble in self._obstacles(row, facts, at=at, day=day):
            return stopped(row, state, at=at, trouble=trouble)
        opens = self.opens(row["channel"], at)
        if opens > at:
            return Move(state=PLANNED, at=at, attempts=row["attempts"], not_before=now + (opens - at), trouble=_QUIET)
        return Move(state=CLAIMED, at=at, attempts=row["attempts"], left_on=day)

    def _obstacles(self, row: "RowMapping", facts: Facts, *, at: datetime, day: date) -> Iterator[tuple[str, str]]:
        named = self.contact.channels.get(row["channel"], row["channel"])
        withdrawal = find_withdrawal(facts.consents, purpose=row["purpose"], channel=named, at=at)
        if withdrawal is not None:
            yield HELD, f"consent was withdrawn on {withdrawal.changed_at:%Y-%m-%d %H:%M} UTC"
        if day > row["useful_until"]:
            yield LATE, f"it was useful until {row['useful_until']}"
        if row["purpose"] == MARKETING and (full := self._find_full_window(facts.contacts, day=day)) is not None:
            yield CAPPED, f"the customer already had as many messages as the policy allows in {full} days"

    def _find_full_window(self, contacts: Sequence[date], *, day: date) -> int | None:
        """Return the days of the first window that another message on `day` would overfill, None when none."""
        caps = self.contact.caps
        for days, most in ((1, caps.day), (7, caps.week), (30, caps.month)):
            first = day - timedelta(days=days - 1)
            if sum(first <= contact <= day for contact in contacts) >= most:
                return days
        return None

    def opens(self, medium: str, at: datetime) -> datetime:
        """Return `at`, or the end of the quiet hours that it lies in."""
        quiet, local = self.contact.quiet_hours, at.astimezone(self.zone)
        if medium not in quiet.channels or not quiet.covers(local.time()):
            return at
        day = local.date() + timedelta(days=int(local.time() >= quiet.end))
        return datetime.combine(day, quiet.end, tzinfo=self.zone)

    def replayed_at(self, as_of: date) -> datetime:
        """Return the moment that a replayed day counts for: the end of its quiet hours."""
        return datetime.combine(as_of, self.contact.quiet_hours.end, tzinfo=self.zone)
