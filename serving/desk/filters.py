"""Filters by which customers: from the address to conditions, and the values that there are to choose from."""

from serving.access import Condition, Measure, Order, Question
from serving.desk.visit import InvalidRequestError, Visit

COUNT = Measure(function="count", name="count")
ALL = "all"  # of a group of results: all strategies, all groups
_LADDERS = ("high", "medium", "low", "new", "active", "dormant", "churned", "platinum", "gold", "normal")
PERIODS = {"day": 1, "week": 7, "month": 30}  # and how many days back they reach
FILTERS = ("tier", "lifecycle_stage", "lifecycle_phase", "cluster_kind", "value_tier", "region", "strategy_id")
OF_CUSTOMERS = FILTERS[1:]  # where the list has a level of its own


def read_filters(visit: Visit, names: tuple[str, ...] = FILTERS) -> tuple[Condition, ...]:
    """Return the conditions on customers that the address names."""
    given = ((name, visit.parameter(name)) for name in names)
    return tuple(Condition(column=name, comparison="=", value=value) for name, value in given if value is not None)


def list_options(visit: Visit, names: tuple[str, ...] = FILTERS) -> dict[str, list[str]]:
    """Return the values by filter that customers have, for filters over what the person sees clear.

    A field that the publication of an earlier release does not have is no filter yet.
    """
    there = visit.desk.snapshot.types("customers")
    seen = (name for name in names if visit.sees(name) == "clear" and name in there)
    return {name: list_values(visit, "customers", name) for name in seen}


def read_period(visit: Visit) -> str | None:
    """Return the day, week or month of the address, None for all time. Raises InvalidRequestError for another."""
    period = visit.parameter("period")
    if period is not None and period not in PERIODS:
        raise InvalidRequestError("Results are shown by day, week or month.")
    return period


def describe_filters(where: tuple[Condition, ...]) -> str:
    """Return filters as the audit log keeps them."""
    return ", ".join(f"{each.column}={each.value}" for each in where) or "all"


def list_values(visit: Visit, relation: str, name: str, *, without: str | None = None) -> list[str]:
    """Return the values of a column in their order; those of value tiers from the highest down."""
    rows = visit.ask(Question(relation=relation, columns=(name,), measures=(COUNT,), order=(Order(column=name),)))
    values = [row[name] for row in rows if row.get(name) not in {None, without}]
    return sorted(values, key=_LADDERS.index) if set(values) <= set(_LADDERS) else values
