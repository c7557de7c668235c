"""Who asks: a person on the desk or a program with a key; what they share, and the one way to what they may see."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jinja2 import Environment

from company.policy import Policy
from retention.acting.clock import Clock, make_clock
from retention.deciding.strategies import Strategy
from retention.store.store import Store
from serving.access import Access, Action, Condition, Grant, Measure, Question, Visibility
from serving.audit import AuditLog, Entry
from serving.sign_in.keys import ApiKeys
from serving.sign_in.users import Users
from serving.snapshot import NothingPublishedError, Snapshot
from serving.write_behind import WriteBehind

if TYPE_CHECKING:
    from serving.contacts import Reveal
    from serving.privacy import Office
    from serving.sign_in.provider import Provider


class NotFoundError(Exception):
    """There is no such thing among what the actor may see."""


class InvalidRequestError(Exception):
    """The address, the form or the body holds a value that cannot be used; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What all requests share.

    `links` are the pages of other servers of the instance by their names; `reveal` shows clear contact data, None where
    the desk was started without a vault; `provider` signs people in, None where there are local accounts alone;
    `office` handles requests about personal data, None where the desk was started without a token key.
    """

    snapshot: Snapshot
    store: Store
    access: Access
    policy: Policy
    templates: Environment
    now: Callable[[], datetime]
    strategies: tuple[Strategy, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    reveal: "Reveal | None" = None
    provider: "Provider | None" = None
    office: "Office | None" = None

    def grant(self, role: str, *, owner: str | None, region: str | None) -> Grant:
        """Return the rights of a role, with the customers who changed hands since the publication."""
        moved = self.store.alerts.read_moved(owner) if owner is not None else {}
        return self.access.grant(role, owner=owner, region=region, **moved)

    @cached_property
    def users(self) -> Users:
        """Users and sessions."""
        return Users(self.store.database, self.policy.desk.sign_in, later=self.write_behind)

    @cached_property
    def keys(self) -> ApiKeys:
        """Keys of programs."""
        return ApiKeys(self.store.database, later=self.write_behind)

    @cached_property
    def audit(self) -> AuditLog:
        """The audit log."""
        return AuditLog(self.store.database)

    @cached_property
    def write_behind(self) -> WriteBehind:
        """What is written without anybody waiting for it."""
        return WriteBehind(self.store.database)


@dataclass(kw_only=True)
class Actor:
    """Somebody with rights, by the name under which the audit log knows them.

    Every reading of the snapshot goes through `ask`, and so through their grant.
    """

    desk: Desk
    name: str
    grant: Grant

    @property
    def now(self) -> datetime:
        """The moment of the request."""
        return self.desk.now()

    @cached_property
    def about(self) -> Mapping[str, Any]:
        """What the figures rest on. Raises NothingPublishedError."""
        rows = self.ask(Question(relation="about"))
        if not rows:
            raise NothingPublishedError(
                f"{self.desk.snapshot.path}: an earlier release published this file; run again."
            )
        return rows[0]

    @cached_property
    def clock(self) -> Clock:
        """The company's clock, by which answers are due. Raises NothingPublishedError."""
        return make_clock(self.desk.policy, timezone=self.about["timezone"])

    def ask(self, question: Question) -> list[dict[str, Any]]:
        """Return what the actor may see of the answer to a question."""
        return self.desk.snapshot.ask(self.grant, question)

    def find(self, relation: str, column: str, value: str, *, columns: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return the row of a relation that has a value. Raises NotFoundError when the actor may see none."""
        is_it = Condition(column=column, comparison="=", value=value)
        rows = self.ask(Question(relation=relation, columns=columns, where=(is_it,), limit=1))
        if not rows:
            raise NotFoundError
        return rows[0]

    def ask_of(
        self,
        customer_id: str,
        relation: str,
        *,
        columns: tuple[str, ...] = (),
        by: str = "",
        is_descending: bool = False,
    ) -> list[dict[str, Any]]:
        """Return the rows that a relation has of a customer, in the order of a column that the actor sees.

        They are a handful, which costs more to have sorted by the database than to find there.
        """
        is_it = Condition(column="customer_id", comparison="=", value=customer_id)
        rows = self.ask(Question(relation=relation, columns=columns, where=(is_it,)))
        return sorted(rows, key=lambda row: row[by], reverse=is_descending) if rows and by in rows[0] else rows

    def count(
        self, relation: str, *where: Condition, among: tuple[Condition, ...] = (), **measures: Measure
    ) -> dict[str, Any]:
        """Return figures over the rows that meet all conditions; those over fields not seen clear are left out."""
        seen = {
            name: each for name, each in measures.items() if each.column is None or self.sees(each.column) == "clear"
        }
        everybody = Measure(function="count", name="count")
        rows = self.ask(Question(relation=relation, where=where, among=among, measures=(everybody, *seen.values())))
        return dict.fromkeys(measures) | (rows[0] if rows else {"count": 0})

    def sees(self, column: str) -> Visibility:
        """Return how the actor sees a column."""
        return self.grant.sees(column)

    def may(self, action: Action) -> bool:
        """Return whether the actor may do something."""
        return self.grant.may(action)

    def require(self, action: Action) -> None:
        """Raise AccessDeniedError unless the actor may do something."""
        self.grant.require(action)

    def record(self, action: str, **about: str | None) -> None:
        """Write to the audit log what is done, before it is; `about` is the entry's customer_id, subject and detail."""
        self.desk.audit.add(self._describe(action, **about))

    def record_view(self, customer_id: str, *, detail: str = "") -> None:
        """Let the audit log have, within a moment, that the actor looked at a customer, without clear contact data."""
        entry = self._describe("view", customer_id=customer_id, detail=detail)
        self.desk.write_behind.add_entry(entry)

    def _describe(self, action: str, **about: str | None) -> Entry:
        known = {name: value for name, value in about.items() if value is not None}
        return Entry(done_at=self.now, done_by=self.name, action=action, **known)
