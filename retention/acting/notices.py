"""What a look at the clocks of alerts finds: who is notified of what, and which deadlines were missed."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from company.policy.people import Owner
from company.yaml_file import load_yaml
from retention.acting.clock import ANSWER, HANDED_OVER, RAISED, RUNG, STEP, list_deadlines

if TYPE_CHECKING:
    from company.policy import Policy
    from retention.acting.clock import Clock, Due, Event

ALERT, REMINDER, ESCALATION, DIGEST, HAND_OVER = "alert", "reminder", "escalation", "digest", "hand_over"
INCIDENT = "incident"
WORDS = Path(__file__).with_name("notices.yaml")
COOLED_DOWN, BY_INCIDENT = "notified of lately", "part of an incident"
MOST_LISTED = 20  # alerts that one digest names; the desk has the others


@dataclass(frozen=True, kw_only=True)
class AlertLog:
    """An alert as a look reads it: its row, what was done with it, and the deadlines already notified or noted."""

    row: Mapping[Any, Any]
    log: tuple["Event", ...]
    notified: frozenset[str] = frozenset()
    breached: frozenset[str] = frozenset()
    is_finished: bool = False

    @property
    def alert_id(self) -> str:
        """The alert's id."""
        return str(self.row["alert_id"])

    @property
    def answer(self) -> timedelta:
        """The working time within which an answer is due."""
        return timedelta(minutes=self.row["answer_minutes"])


@dataclass(frozen=True, kw_only=True)
class Notified:
    """What was notified already: single messages today by owner, owners with a digest today, recent causes.

    `causes` holds by customer and reason the most urgent priority that was notified within the cool-down.
    """

    today: Mapping[str, int] = field(default_factory=dict)
    digested: frozenset[str] = frozenset()
    causes: Mapping[tuple[str, str | None], int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One message to one owner about the deadlines of some alerts; its occasion makes it unique for ever."""

    owner: str
    kind: str
    occasion: str
    items: tuple[tuple[str, str], ...]
    is_replay: bool = False


@dataclass(frozen=True, kw_only=True)
class Breach:
    """A deadline that was missed, and since when."""

    alert_id: str
    deadline: str
    kind: str
    due_at: datetime


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a look found. `silenced` are deadlines that nobody is notified of, with the reason."""

    notices: tuple[Notice, ...] = ()
    breaches: tuple[Breach, ...] = ()
    silenced: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class _Item:
    alert: AlertLog
    deadline: str
    kind: str
    owner: str
    moment: datetime


def look_at(alerts: Sequence[AlertLog], known: Notified, *, clock: "Clock", policy: "Policy", at: datetime) -> Look:
    """Return what is due at a moment: first notices, rungs of the ladder, steps, and every deadline that was missed.

    Nobody is notified while not at work; the next look then does it. Of several rungs that became due since the last
    look each owner gets one message. Alerts of levels that are not notified one by one, and those above the cap of an
    owner, make one digest per owner and day.
    """
    breaches: list[Breach] = []
    items: list[_Item] = []
    for alert in alerts:
        dues = measure(alert, clock=clock, policy=policy)
        breaches += _find_breaches(alert, dues, at=at)
        if not alert.is_finished:
            items += _find_items(alert, dues, at=at)
    items = [item for item in items if clock.of(item.owner).is_open(at)]
    silenced = [item for item in items if _is_cooled_down(item, known)]
    remaining = [item for item in items if item not in silenced]
    return Look(
        notices=tuple(_make_notices(remaining, known, clock=clock, policy=policy, at=at)),
        breaches=tuple(breaches),
        silenced=tuple((item.alert.alert_id, item.deadline, COOLED_DOWN) for item in silenced),
    )


def measure(alert: AlertLog, *, clock: "Clock", policy: "Policy") -> "list[Due]":
    """Return every deadline of an alert by its log."""
    deadlines = list_deadlines(policy, alert.row["level"], answer=alert.answer)
    return [clock.measure(alert.log, deadline) for deadline in deadlines]


def _find_breaches(alert: AlertLog, dues: "Sequence[Due]", *, at: datetime) -> Iterator[Breach]:
    for due in dues:
        is_counted = due.deadline.kind in {ANSWER, STEP} and due.deadline.name not in alert.breached
        if is_counted and due.is_breached(at) and due.due_at is not None:
            yield Breach(alert_id=alert.alert_id, deadline=due.deadline.name, kind=due.deadline.kind, due_at=due.due_at)


def _find_items(alert: AlertLog, dues: "Sequence[Due]", *, at: datetime) -> Iterator[_Item]:
    owner = str(alert.row["owner"])
    if RAISED not in alert.notified:
        yield _Item(alert, RAISED, ALERT, owner, alert.row["raised_at"])
    for number, event in enumerate((each for each in alert.log if each.event == HANDED_OVER), start=1):
        name = f"{HANDED_OVER} {number}"
        if name not in alert.notified and event.owner:
            yield _Item(alert, name, HAND_OVER, event.owner, event.at)
    for due in dues:
        is_waiting = due.ended_at is None and due.due_at is not None and due.due_at <= at
        if due.due_at is not None and is_waiting and due.deadline.kind in {RUNG, STEP}:
            is_new = due.deadline.name not in alert.notified
            kind = ESCALATION if due.deadline.owner else REMINDER
            if is_new:
                yield _Item(alert, due.deadline.name, kind, due.owner, due.due_at)


def _is_cooled_down(item: _Item, known: Notified) -> bool:
    row = item.alert.row
    urgency = known.causes.get((row["customer_id"], row["main_reason"]))
    return item.deadline == RAISED and urgency is not None and urgency <= row["priority"]


def _make_notices(
    items: Sequence[_Item], known: Notified, *, clock: "Clock", policy: "Policy", at: datetime
) -> Iterator[Notice]:
    """Yield one message per alert and owner, urgent ones first, then what is left as one digest per owner and day."""
    sent: Counter[str] = Counter(known.today)
    left: dict[tuple[str, bool], list[_Item]] = {}
    for group in _group_by_alert(items):
        first = group[0]
        is_single = first.kind != ALERT or first.alert.row["level"] in policy.notices.single
        if is_single and sent[first.owner] < policy.notices.messages_per_day:
            sent[first.owner] += 1
            yield _notice(first.owner, group[-1].kind, f"{first.alert.alert_id} {group[-1].deadline}", group)
        else:
            left.setdefault((first.owner, bool(first.alert.row["is_replay"])), []).extend(group)
    for (owner, is_replay), waiting in sorted(left.items()):
        if owner not in known.digested:
            day = at.astimezone(ZoneInfo(clock.of(owner).timezone)).date()
            yield _notice(owner, DIGEST, f"{day}{' replay' if is_replay else ''}", waiting)


def _group_by_alert(items: Sequence[_Item]) -> list[list[_Item]]:
    groups: dict[tuple[str, str], list[_Item]] = {}
    for item in sorted(items, key=lambda item: (item.alert.row["priority"], item.moment, item.alert.alert_id)):
        groups.setdefault((item.alert.alert_id, item.owner), []).append(item)
    return list(groups.values())


def _notice(owner: str, kind: str, occasion: str, items: Sequence[_Item]) -> Notice:
    return Notice(
        owner=owner,
        kind=kind,
        occasion=occasion,
        items=tuple((item.alert.alert_id, item.deadline) for item in items),
        is_replay=bool(items[0].alert.row["is_replay"]),
    )


@dataclass(frozen=True, kw_only=True)
class Brief:
    """A customer's history in brief, and what the plan proposes: earlier alerts with feedback, messages, strategy."""

    earlier: tuple[tuple[datetime, str | None], ...] = ()
    messages: tuple[tuple[datetime, str], ...] = ()
    proposal: str | None = None
    is_held_out: bool = False


def owner_of(name: str, policy: "Policy") -> Owner:
    """Return an owner as the policy declares it; one that it does not name is reached as owners usually are."""
    return policy.owners.get(name, Owner())


def write_notice(
    notice: Notice,
    alerts: Mapping[str, Mapping[Any, Any]],
    briefs: Mapping[str, Brief],
    *,
    language: str,
    zone: ZoneInfo,
) -> str:
    """Return the text of a message, in its owner's language: what is asked, by when, why, history and proposed plan."""
    words = read_words()[language]
    rows = [alerts[alert_id] for alert_id in dict.fromkeys(alert_id for alert_id, _ in notice.items)]
    if notice.kind == DIGEST:
        head = words["digest"].format(count=len(rows))
        lines = [_line(row, words, zone) for row in rows[:MOST_LISTED]]
        rest = [words["more"].format(count=len(rows) - MOST_LISTED)] if len(rows) > MOST_LISTED else []
        return "\n".join([head, *lines, *rest])
    row = rows[0]
    head = words[notice.kind].format(deadline=notice.items[-1][1])
    brief = briefs.get(row["customer_id"], Brief())
    return "\n".join([head, _line(row, words, zone), *_history(brief, words)])


@cache
def read_words() -> Mapping[str, Mapping[str, str]]:
    """Return the words of messages to owners, by language."""
    return dict(load_yaml(WORDS))


def _line(row: Mapping[Any, Any], words: Mapping[str, str], zone: ZoneInfo) -> str:
    due = row["due_at"].astimezone(zone).strftime("%Y-%m-%d %H:%M") if row["due_at"] else words["stands"]
    money = "-" if row["money_at_risk"] is None else f"{row['money_at_risk']:,.0f}"
    why = row[words["why"]] or "-"
    return words["line"].format(
        alert=row["alert_id"][:8], customer=row["customer_id"], level=words[row["level"]], score=row["score"],
        money=money, due=due, why=why,
    )  # fmt: skip


def _history(brief: Brief, words: Mapping[str, str]) -> Iterator[str]:
    if brief.earlier:
        at, feedback = brief.earlier[-1]
        answer = words.get(f"feedback_{feedback}", words["no_feedback"])
        yield words["earlier"].format(count=len(brief.earlier), day=f"{at:%Y-%m-%d}", feedback=answer)
    if brief.messages:
        at, strategy = brief.messages[-1]
        yield words["messages"].format(count=len(brief.messages), day=f"{at:%Y-%m-%d}", strategy=strategy)
    if brief.is_held_out:
        yield words["held_out"]
    elif brief.proposal:
        yield words["proposal"].format(strategy=brief.proposal)
