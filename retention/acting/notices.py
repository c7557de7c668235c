"""What a look at the clocks of alerts and incidents finds: who is notified of what, and which deadlines were missed."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from company.policy.people import Owner
from company.yaml_file import load_yaml
from retention.acting.clock import ANSWER, HANDED_OVER, RAISED, RUNG, STEP
from retention.acting.watched import ALERT, AlertLog

if TYPE_CHECKING:
    from company.policy import Policy
    from retention.acting.clock import Clock, Due
    from retention.acting.watched import Watched

REMINDER, ESCALATION, DIGEST, HAND_OVER = "reminder", "escalation", "digest", "hand_over"
WORDS = Path(__file__).with_name("notices.yaml")
COOLED_DOWN, BY_INCIDENT = "notified of lately", "part of an incident"
MOST_LISTED = 20  # alerts that one digest names; the desk has the others


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
    """One message to one owner, whose occasion makes it unique for ever; `items` are pairs of an id and a deadline."""

    owner: str
    kind: str
    occasion: str
    items: tuple[tuple[str, str], ...]
    is_replay: bool = False


@dataclass(frozen=True, kw_only=True)
class Breach:
    """A deadline of an alert or incident that was missed, and since when."""

    id: str
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
    watched: "Watched"
    deadline: str
    kind: str
    owner: str
    moment: datetime


def look_at(
    everything: "Sequence[Watched]", known: Notified, *, clock: "Clock", policy: "Policy", at: datetime
) -> Look:
    """Return what is due at a moment: first notices, rungs of the ladder, steps, and every deadline that was missed.

    Nobody is notified while not at work; the next look then does it. Of several rungs that became due since the last
    look each owner gets one message. Alerts of levels that are not notified one by one, and those above the cap of an
    owner, make one digest per owner and day.
    """
    breaches: list[Breach] = []
    items: list[_Item] = []
    for watched in everything:
        dues = watched.measure(clock, policy)
        breaches += _find_breaches(watched, dues, at=at)
        if not watched.is_finished:
            items += _find_items(watched, dues, policy, at=at)
    items = [item for item in items if clock.of(item.owner).is_open(at)]
    silenced = [item for item in items if _is_cooled_down(item, known)]
    remaining = [item for item in items if item not in silenced]
    return Look(
        notices=tuple(_make_notices(remaining, known, clock=clock, policy=policy, at=at)),
        breaches=tuple(breaches),
        silenced=tuple((item.watched.id, item.deadline, COOLED_DOWN) for item in silenced),
    )


def _find_breaches(watched: "Watched", dues: "Sequence[Due]", *, at: datetime) -> Iterator[Breach]:
    for due in dues:
        is_counted = due.deadline.kind in {ANSWER, STEP} and due.deadline.name not in watched.breached
        if is_counted and due.is_breached(at) and due.due_at is not None:
            yield Breach(id=watched.id, deadline=due.deadline.name, kind=due.deadline.kind, due_at=due.due_at)


def _find_items(watched: "Watched", dues: "Sequence[Due]", policy: "Policy", *, at: datetime) -> Iterator[_Item]:
    """Yield whom to notify of what: of each thing once."""
    known = watched.notified
    for name, owner in watched.first_owners(policy):
        if name not in known:
            yield _Item(watched, name, watched.kind, owner, watched.row["raised_at"])
    for number, event in enumerate((each for each in watched.log if each.event == HANDED_OVER), start=1):
        name = f"{HANDED_OVER} {number}"
        if name not in known and event.owner:
            yield _Item(watched, name, HAND_OVER, event.owner, event.at)
    for due in dues:
        is_waiting = due.ended_at is None and due.deadline.kind in {RUNG, STEP} and due.deadline.name not in known
        if is_waiting and due.due_at is not None and due.due_at <= at:
            kind = ESCALATION if due.deadline.owner else REMINDER
            yield _Item(watched, due.deadline.name, kind, due.owner, due.due_at)


def _is_cooled_down(item: _Item, known: Notified) -> bool:
    cause = item.watched.cause
    urgency = None if cause is None else known.causes.get(cause)
    return item.deadline == RAISED and urgency is not None and urgency <= item.watched.priority


def _make_notices(
    items: Sequence[_Item], known: Notified, *, clock: "Clock", policy: "Policy", at: datetime
) -> Iterator[Notice]:
    """Yield one message per thing and owner, urgent ones first, then what is left as one digest per owner and day."""
    sent: Counter[str] = Counter(known.today)
    left: dict[tuple[str, bool], list[_Item]] = {}
    for group in _group(items):
        first = group[0]
        is_single = first.kind != ALERT or first.watched.is_single(policy)
        has_room = not first.watched.is_capped or sent[first.owner] < policy.notices.messages_per_day
        if is_single and has_room:
            sent[first.owner] += 1
            yield _notice(first.owner, group[-1].kind, f"{first.watched.id} {group[-1].deadline}", group)
        else:
            left.setdefault((first.owner, bool(first.watched.row["is_replay"])), []).extend(group)
    for (owner, is_replay), waiting in sorted(left.items()):
        if owner not in known.digested:
            day = at.astimezone(ZoneInfo(clock.of(owner).timezone)).date()
            yield _notice(owner, DIGEST, f"{day}{' replay' if is_replay else ''}", waiting)


def _group(items: Sequence[_Item]) -> list[list[_Item]]:
    groups: dict[tuple[str, str], list[_Item]] = {}
    for item in sorted(items, key=lambda item: (item.watched.priority, item.moment, item.watched.id)):
        groups.setdefault((item.watched.id, item.owner), []).append(item)
    return list(groups.values())


def _notice(owner: str, kind: str, occasion: str, items: Sequence[_Item]) -> Notice:
    return Notice(
        owner=owner,
        kind=kind,
        occasion=occasion,
        items=tuple((item.watched.id, item.deadline) for item in items),
        is_replay=bool(items[0].watched.row["is_replay"]),
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
    everything: "Mapping[str, Watched]",
    briefs: Mapping[str, Brief],
    *,
    language: str,
    zone: ZoneInfo,
) -> str:
    """Return the text of a message, in its owner's language: what is asked, by when, why, history and proposed plan."""
    words = read_words()[language]
    named = [everything[each] for each in dict.fromkeys(each for each, _ in notice.items)]
    if notice.kind == DIGEST:
        head = words["digest"].format(count=len(named))
        lines = [each.describe(words, zone) for each in named[:MOST_LISTED]]
        rest = [words["more"].format(count=len(named) - MOST_LISTED)] if len(named) > MOST_LISTED else []
        return "\n".join([head, *lines, *rest])
    (watched,) = named
    head = words[notice.kind].format(step=_name_step(notice.items[-1][1], words))
    brief = briefs.get(watched.row["customer_id"], Brief()) if isinstance(watched, AlertLog) else Brief()
    return "\n".join([head, watched.describe(words, zone), *_history(brief, words)])


def _name_step(deadline: str, words: Mapping[str, str]) -> str:
    """Return the step of the response that is waited for, in words; nothing for the answer itself."""
    kind, _, name = deadline.partition(" ")
    return words["of_step"].format(step=name.replace("_", " ")) if kind == STEP else ""


@cache
def read_words() -> Mapping[str, Mapping[str, str]]:
    """Return the words of messages to owners, by language."""
    return dict(load_yaml(WORDS))


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
