"""Filters by which customers: from the address to conditions, and the values that there are to choose from."""

from serving.access import Condition, Order, Question
from serving.desk.pages.today import COUNT
from serving.desk.visit import Visit

FILTERS = ("tier", "lifecycle_stage", "lifecycle_phase", "cluster_kind", "value_tier", "region", "strategy_id")
OF_CUSTOMERS = FILTERS[1:]  # where the list has a level of its own


def read_filters(visit: Visit, names: tuple[str, ...] = FILTERS) -> tuple[Condition, ...]:
    """Return the conditions on customers that the address names."""
    given = ((name, visit.parameter(name)) for name in names)
    return tuple(Condition(column=name, comparison="=", value=value) for name, value in given if value is not None)


def list_options(visit: Visit, names: tuple[str, ...] = FILTERS) -> dict[str, list[str]]:
    """Return the values by filter that customers have, for filters over what the person sees clear."""
    return {name: _list_values(visit, name) for name in names if visit.sees(name) == "clear"}


def describe_filters(where: tuple[Condition, ...]) -> str:
    """Return filters as the audit log keeps them."""
    return ", ".join(f"{each.column}={each.value}" for each in where) or "all"


def _list_values(visit: Visit, name: str) -> list[str]:
    rows = visit.ask(Question(relation="customers", columns=(name,), measures=(COUNT,), order=(Order(column=name),)))
    return [row[name] for row in rows if row[name] is not None]
