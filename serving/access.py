"""Rights: `access.yaml`, compiled to one WHERE clause and one column list.

A `Question` says what a page wants to know; `Grant.compile` turns it into the SQL that a person of that role may ask,
and there is no other way to the snapshot. What a question names but a role does not see clear is refused where it would
order or filter, and left out or masked where it would be shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from company.yaml_file import load_yaml

FILE = Path(__file__).with_name("access.yaml")
CUSTOMERS = "customers"
Visibility = Literal["clear", "masked", "hidden"]
Action = Literal[
    "today", "alerts", "incidents", "answer", "customer", "customers", "override", "plan", "approve", "money",
    "delivery", "strategies", "change", "health", "export", "audit", "users", "collect", "contact", "privacy",
    "subscribe",
]  # fmt: skip
Comparison = Literal["=", "<", "<=", ">", ">=", "in", "is null", "is not null", "differs from"]
MASK_OF_TEXT = "•••"
_NUMBERS = ("DOUBLE", "FLOAT", "DECIMAL", "BIGINT", "INTEGER", "SMALLINT", "TINYINT", "HUGEINT", "UBIGINT")


class AccessDeniedError(Exception):
    """A role may not do this, or not with this field; the message names the role and what it may not."""


class Role(BaseModel):
    """One role: its names, the rule for its rows, the classes of fields it sees, and what it may do.

    `holder` says who may have it: people and keys, keys alone, or no account at all but a part of the platform.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    en: str
    zh: str
    rows: str
    clear: tuple[str, ...]
    masked: tuple[str, ...] = ()
    actions: tuple[Action, ...]
    holder: Literal["anybody", "keys", "platform"] = "anybody"


class Relations(BaseModel):
    """The relations of the snapshot that have rows of single customers, and those that have none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    customer: tuple[str, ...]
    company: tuple[str, ...]


class Access(BaseModel):
    """The whole file; see `access.yaml` for the meaning of every key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    relations: Relations
    rows: dict[str, str]
    fields: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]]
    roles: dict[str, Role]

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        listed = [name for names in self.fields.values() for name in names]
        twice = sorted({name for name in listed if listed.count(name) > 1})
        if twice:
            raise ValueError(f"the fields {twice} belong to two classes")
        for name, role in self.roles.items():
            unknown = sorted({*role.clear, *role.masked} - set(self.fields))
            if unknown or role.rows not in self.rows or set(role.clear) & set(role.masked):
                raise ValueError(f"the role {name!r} names rows or classes of fields that are unknown or contradict")
            if "contact" in role.actions and self.rows[role.rows] == "true":
                raise ValueError(
                    f"the role {name!r} sees everybody, and contact data is for who has customers of their own"
                )
        return self

    def roles_of(self, holder: Literal["people", "keys"]) -> dict[str, Role]:
        """Return the roles that people, or keys, may have."""
        holders = {"anybody", holder}
        return {name: role for name, role in self.roles.items() if role.holder in holders}

    def visibility(self, role: str, column: str) -> Visibility:
        """Return how a role sees a column; one that no class lists is hidden."""
        return self._seen_by[role].get(column, "hidden")

    @cached_property
    def _seen_by(self) -> dict[str, dict[str, Visibility]]:
        """How each role sees each column that is not hidden; a question asks for dozens of columns."""
        found: dict[str, dict[str, Visibility]] = {name: {} for name in self.roles}
        for name, role in self.roles.items():
            found[name] |= {column: "masked" for each in role.masked for column in self.fields[each]}
            found[name] |= {column: "clear" for each in role.clear for column in self.fields[each]}
        return found

    def grant(
        self,
        role: str,
        *,
        owner: str | None = None,
        region: str | None = None,
        taken_over: tuple[str, ...] = (),
        handed_away: tuple[str, ...] = (),
    ) -> "Grant":
        """Return what a person of `role` may see.

        Args:
            role: a role of the file.
            owner: the owner that their account names.
            region: the region that their account names.
            taken_over: ids of customers who are theirs since the publication.
            handed_away: ids of customers who are no longer theirs.
        """
        moved = {"taken_over": list(taken_over), "handed_away": list(handed_away)}
        return Grant(access=self, role=role, parameters={"owner": owner, "region": region, **moved})


@cache
def read_access(path: Path = FILE) -> Access:
    """Return the rights that a file declares."""
    return Access.model_validate(load_yaml(path))


class MissingFieldError(Exception):
    """A question orders, filters or counts by a field that the snapshot, of an earlier release, does not have."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A comparison of a column with a value; `in` compares with a list, `differs from` with the column of that name."""

    column: str
    comparison: Comparison
    value: Any = None


@dataclass(frozen=True, kw_only=True)
class Order:
    """One column to sort by; nulls come last either way."""

    column: str
    descending: bool = False


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A figure over rows: `count`, or `sum`, `min` or `max` of a column."""

    function: Literal["count", "sum", "min", "max"]
    name: str
    column: str | None = None
    where: tuple[Condition, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a page wants of one relation.

    `columns` are shown (all that the role sees where none is named); with `measures` they are what is grouped by.
    `among` are conditions on the customers whose rows they are, by columns of the relation `customers`.
    `after` is the key of the last row of the page before: the values of the `order` columns, in their order, of which
    the last is unique.
    """

    relation: str
    columns: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()
    among: tuple[Condition, ...] = ()
    order: tuple[Order, ...] = ()
    measures: tuple[Measure, ...] = ()
    after: tuple[Any, ...] = ()
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What one person may see and do."""

    access: Access
    role: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def may(self, action: Action) -> bool:
        """Return whether the role has the action."""
        return action in self.access.roles[self.role].actions

    def require(self, action: Action) -> None:
        """Raise AccessDeniedError unless the role has the action."""
        if not self.may(action):
            raise AccessDeniedError(f"The role {self.role} may not do this: {action}.")

    def sees(self, column: str) -> Visibility:
        """Return how the role sees a column."""
        return self.access.visibility(self.role, column)

    def compile(self, question: Question, types: Mapping[str, Mapping[str, str]]) -> tuple[str, dict[str, Any]]:
        """Return the SQL and its parameters for a question, confined to the role's rows and fields.

        Args:
            question: what is asked.
            types: the columns and their types of every relation in the snapshot; a column that its relation does not
                have is left out where it would be shown, refused elsewhere.

        Raises AccessDeniedError for a relation that is not declared, and for a filter, an order, a measure or a group
        over what the role does not see clear; MissingFieldError where the snapshot does not have it.
        """
        return _Compiler(grant=self, relation=question.relation, all_types=types).compile(question)

    def is_about_all(self, relation: str) -> bool:
        """Return whether a relation has no rows of single customers."""
        return relation in self.access.relations.company

    def confine(self, relation: str) -> tuple[str, dict[str, Any]]:
        """Return the condition, with its parameters, that keeps the rows of `relation` which the role may see."""
        if self.is_about_all(relation):
            return "true", {}
        if relation not in self.access.relations.customer:
            raise AccessDeniedError(f"The relation {relation} is not one that anybody may read.")
        rule = self.access.rows[self.access.roles[self.role].rows]
        named = {name: value for name, value in self.parameters.items() if f"${name}" in rule}
        if relation == CUSTOMERS or rule == "true":
            return rule, named
        return f"customer_id in (select customer_id from {SCHEMA}.{CUSTOMERS} where {rule})", named


SCHEMA = "snapshot"


@dataclass(kw_only=True)
class _Compiler:
    grant: Grant
    relation: str
    all_types: Mapping[str, Mapping[str, str]]
    bound: dict[str, Any] = field(default_factory=dict)

    @property
    def types(self) -> Mapping[str, str]:
        return self.all_types.get(self.relation, {})

    def compile(self, question: Question) -> tuple[str, dict[str, Any]]:
        confined, parameters = self.grant.confine(self.relation)
        self.bound |= parameters
        shown = self._measured(question) if question.measures else self._shown(question.columns)
        conditions = [f"({confined})", *map(self.condition, question.where)]
        if question.among:
            conditions.append(self._among(question.among))
        if question.after:
            conditions.append(self._after(question.order, question.after))
        parts = [f"select {', '.join(shown)} from {SCHEMA}.{self.relation} where {' and '.join(conditions)}"]
        if question.measures and question.columns:
            parts.append(f"group by {', '.join(map(self._clear, question.columns))}")
        if question.order:
            parts.append(f"order by {', '.join(map(self._order, question.order))}")
        if question.limit is not None:
            parts.append(f"limit {int(question.limit)}")
        return " ".join(parts), self.bound

    def _shown(self, columns: tuple[str, ...]) -> list[str]:
        wanted = [name for name in columns or self.types if name in self.types]
        shown = [self._show(name) for name in wanted if self.grant.sees(name) != "hidden"]
        return shown or ["null as nothing"]

    def _show(self, name: str) -> str:
        return name if self.grant.sees(name) == "clear" else f"{mask(name, self.types[name])} as {name}"

    def _measured(self, question: Question) -> list[str]:
        return [*map(self._clear, question.columns), *map(self._measure, question.measures)]

    def _measure(self, measure: Measure) -> str:
        inner = "count(*)" if measure.column is None else f"{measure.function}({self._clear(measure.column)})"
        only = f" filter (where {' and '.join(map(self.condition, measure.where))})" if measure.where else ""
        return f"{inner}{only} as {_identifier(measure.name)}"

    def _clear(self, name: str) -> str:
        if self.grant.sees(name) != "clear":
            raise AccessDeniedError(f"The role {self.grant.role} may not filter, sort or count by the field {name}.")
        if name not in self.types:
            raise MissingFieldError(f"The published {self.relation} have no field {name}; run the pipeline again.")
        return name

    def _among(self, conditions: tuple[Condition, ...]) -> str:
        if self.grant.is_about_all(self.relation):
            raise AccessDeniedError(f"The relation {self.relation} has no rows of single customers.")
        customers = replace(self, relation=CUSTOMERS)  # binds its values among those of this one
        meets = " and ".join(map(customers.condition, conditions))
        return f"customer_id in (select customer_id from {SCHEMA}.{CUSTOMERS} where {meets})"

    def condition(self, condition: Condition) -> str:
        column = self._clear(condition.column)
        if condition.comparison == "differs from":
            return f"{column} <> {self._clear(condition.value)}"
        if condition.comparison in {"is null", "is not null"}:
            return f"{column} {condition.comparison}"
        name = self._bind(list(condition.value) if condition.comparison == "in" else condition.value)
        return (
            f"{column} in (select unnest({name}))"
            if condition.comparison == "in"
            else (f"{column} {condition.comparison} {name}")
        )

    def _bind(self, value: Any) -> str:  # noqa: ANN401 - a value of any column
        name = f"value_{len(self.bound)}"
        self.bound[name] = value
        return f"${name}"

    def _order(self, order: Order) -> str:
        return f"{self._clear(order.column)} {'desc' if order.descending else 'asc'} nulls last"

    def _after(self, orders: tuple[Order, ...], values: tuple[Any, ...]) -> str:
        """Return the rows behind a key: a later first column, or the same and a later second one, and so on."""
        if len(orders) != len(values):
            raise AccessDeniedError("A page begins behind the key of a row, a value for each column of its order.")
        behind = []
        for place, (order, value) in enumerate(zip(orders, values, strict=True)):
            same = [self._same(each.column, given) for each, given in zip(orders[:place], values[:place], strict=True)]
            behind.append(f"({' and '.join([*same, self._later(order, value)])})")
        return f"({' or '.join(behind)})"

    def _same(self, name: str, value: Any) -> str:  # noqa: ANN401 - a value of any column
        return f"{self._clear(name)} is not distinct from {self._bind(value)}"

    def _later(self, order: Order, value: Any) -> str:  # noqa: ANN401 - a value of any column
        column = self._clear(order.column)
        if value is None:
            return "false"
        return f"({column} {'<' if order.descending else '>'} {self._bind(value)} or {column} is null)"


def mask(name: str, kind: str) -> str:
    """Return the SQL of a masked column: whether there is a value, and of a number its order of magnitude."""
    if kind.startswith(_NUMBERS):
        power = f"pow(10, floor(log10(abs(nullif({name}, 0)))))"
        return f"case when {name} = 0 then 0 else cast(sign({name}) * {power} as double) end"
    return f"case when {name} is not null then '{MASK_OF_TEXT}' end"


def _identifier(name: str) -> str:
    if not name.isidentifier():
        raise AccessDeniedError(f"{name!r} is no name of a figure.")
    return name
