"""What has a clock: an alert or an incident, with everything that was done with it and what it asks for."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from retention.acting.clock import RAISED, list_deadlines

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from company.policy import Policy
    from retention.acting.clock import Clock, Deadline, Due, Event

ALERT, INCIDENT = "alert", "incident"
_ID_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class Watched(ABC):
    """Something raised, as a look reads it: its row, what was done with it, deadlines already notified or noted.

    `kind` is its name and that of the first message to its owner; `is_capped` is whether it counts for the most
    messages of a day.
    """

    kind: ClassVar[str]
    is_capped: ClassVar[bool]

    row: Mapping[Any, Any]
    log: tuple["Event", ...]
    notified: frozenset[str] = frozenset()
    breached: frozenset[str] = frozenset()
    is_finished: bool = False

    @property
    def id(self) -> str:
        """The id of the alert or incident."""
        return str(self.row[f"{self.kind}_id"])

    @property
    def owner(self) -> str:
        """Who answers."""
        return str(self.row["owner"])

    @property
    def answer(self) -> timedelta:
        """The working time within which an answer is due."""
        return timedelta(minutes=self.row["answer_minutes"])

    @property
    @abstractmethod
    def priority(self) -> int:
        """How urgent it is; 0 comes before every alert."""

    @property
    @abstractmethod
    def cause(self) -> tuple[str, str | None] | None:
        """The customer and reason that nobody is notified of twice within the cool-down, None without one."""

    @abstractmethod
    def deadlines(self, policy: "Policy") -> "list[Deadline]":
        """Return what it asks for: the answer, the rungs until then, and the steps after it."""

    @abstractmethod
    def is_single(self, policy: "Policy") -> bool:
        """Return whether it makes a message of its own when it is raised."""

    @abstractmethod
    def describe(self, words: Mapping[str, str], zone: "ZoneInfo") -> str:
        """Return it as a line of a message, in the words of a language."""

    def first_owners(self, policy: "Policy") -> Iterator[tuple[str, str]]:  # noqa: ARG002 - an incident's needs it
        """Yield who is notified when it is raised, each by a name of its own."""
        yield RAISED, self.owner

    def measure(self, clock: "Clock", policy: "Policy") -> "list[Due]":
        """Return every deadline by the log."""
        return [clock.measure(self.log, deadline) for deadline in self.deadlines(policy)]

    def _shown(self, words: Mapping[str, str], zone: "ZoneInfo") -> dict[str, str]:
        """Return what the lines of alerts and incidents have in common."""
        due, money = self.row["due_at"], self.row["money_at_risk"]
        return {
            "id": self.id[:_ID_SHOWN],
            "money": "-" if money is None else f"{money:,.0f}",
            "due": due.astimezone(zone).strftime("%Y-%m-%d %H:%M") if due else words["stands"],
        }


class AlertLog(Watched):
    """An alert: its level has a ladder and steps."""

    kind = ALERT
    is_capped = True

    @property
    def priority(self) -> int:
        """That of its level."""
        return int(self.row["priority"])

    @property
    def cause(self) -> tuple[str, str | None]:
        """Its customer and main reason."""
        return self.row["customer_id"], self.row["main_reason"]

    def deadlines(self, policy: "Policy") -> "list[Deadline]":
        """Return the answer, the rungs and the steps of its level."""
        level = self.row["level"]
        rungs, steps = policy.escalation.get(level, ()), policy.response_steps.get(level, ())
        return list_deadlines(rungs, steps, answer=self.answer)

    def is_single(self, policy: "Policy") -> bool:
        """Return whether the policy wants a message for each alert of its level."""
        return self.row["level"] in policy.notices.single

    def describe(self, words: Mapping[str, str], zone: "ZoneInfo") -> str:
        """Return who is about to leave, how sure that is, what is at risk, and why."""
        return words["line"].format(
            **self._shown(words, zone), customer=self.row["customer_id"], level=words[self.row["level"]],
            score=self.row["score"], why=self.row[words["why"]] or "-",
        )  # fmt: skip


class IncidentLog(Watched):
    """An incident: its grade has a ladder and several owners, of whom the first answers."""

    kind = INCIDENT
    is_capped = False
    priority = 0
    cause = None

    def deadlines(self, policy: "Policy") -> "list[Deadline]":
        """Return the answer and the rungs of its grade; a grade that the policy no longer names has none."""
        grade = policy.incidents.grades.get(self.row["grade"])
        return list_deadlines(grade.escalation if grade else (), answer=self.answer)

    def is_single(self, policy: "Policy") -> bool:  # noqa: ARG002 - as an alert's
        """Return that it is."""
        return True

    def first_owners(self, policy: "Policy") -> Iterator[tuple[str, str]]:
        """Yield who answers, and the other owners of its grade."""
        yield RAISED, self.owner
        grade = policy.incidents.grades.get(self.row["grade"])
        others = (owner for owner in (grade.owners[1:] if grade else ()) if owner != self.owner)
        yield from ((f"{RAISED} {owner}", owner) for owner in others)

    def describe(self, words: Mapping[str, str], zone: "ZoneInfo") -> str:
        """Return its grade, what rose for how many, and what is at risk."""
        row, grade = self.row, self.row["grade"]
        return words["incident_line"].format(
            **self._shown(words, zone), grade=words.get(grade, grade), cause=row[words["cause"]],
            expected=row["count_expected"],
        )  # fmt: skip
