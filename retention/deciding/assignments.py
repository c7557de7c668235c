"""Assignments from outside: which version of a strategy a customer gets, as another system has drawn it."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from retention.deciding.strategies import Strategy

HEADER = ("customer", "experiment", "version", "assigned_at")
Assigned = Mapping[str, Mapping[str, frozenset[str]]]  # customers by strategy and version
Versions = Mapping[tuple[str, str], str]  # the version by customer and strategy


class AssignmentError(ValueError):
    """A file of assignments cannot be taken over; the message names the row and the fix."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A customer's version of a strategy, and when it was drawn."""

    customer_id: str
    strategy_id: str
    version: str
    assigned_at: datetime


def read_assignments(lines: Iterable[str], *, timezone: str) -> list[Assignment]:
    """Return the rows of a CSV with the columns of `HEADER`; a moment without a zone is one of the company's clock.

    Raises AssignmentError.
    """
    reader = csv.DictReader(lines)
    if tuple(reader.fieldnames or ()) != HEADER:
        raise AssignmentError(
            f"The columns are {', '.join(reader.fieldnames or ['none'])}; name them {', '.join(HEADER)}, in this order."
        )
    return [_read_row(row, number, timezone) for number, row in enumerate(reader, start=2)]


def _read_row(row: Mapping[str, str | None], number: int, timezone: str) -> Assignment:
    values = [(row[name] or "").strip() for name in HEADER]
    if not all(values):
        raise AssignmentError(f"Row {number}: {HEADER[values.index('')]} is empty; every column needs a value.")
    try:
        moment = datetime.fromisoformat(values[3])
    except ValueError:
        raise AssignmentError(
            f"Row {number}: assigned_at is {values[3]!r}; write a moment such as 2026-11-01T09:30:00+00:00."
        ) from None
    at = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(timezone))
    return Assignment(customer_id=values[0], strategy_id=values[1], version=values[2], assigned_at=at.astimezone(UTC))


def check_assignments(
    rows: Sequence[Assignment], strategies: Sequence["Strategy"], *, known: Versions, at: datetime, level: float
) -> list[Assignment]:
    """Return the rows that are new; raises AssignmentError with the first thing that is wrong.

    Args:
        rows: of one file, in its order.
        strategies: the library, which names the versions and their weights.
        known: versions that customers have already, by an earlier file or by a decision.
        at: now; an assignment of later is none.
        level: the chance below which the sizes of the versions do not look as drawn by their weights.
    """
    found = dict(known)
    new = []
    for number, row in enumerate(rows, start=2):
        trouble = next(_find_troubles(row, strategies, found, at=at), None)
        if trouble is not None:
            raise AssignmentError(f"Row {number}: {trouble}")
        place = (row.customer_id, row.strategy_id)
        new += [] if place in found else [row]
        found[place] = row.version
    for strategy in strategies:
        if any(row.strategy_id == strategy.id for row in rows):
            _check_sizes(strategy, Counter(name for (_, each), name in found.items() if each == strategy.id), level)
    return new


def _find_troubles(
    row: Assignment, strategies: Sequence["Strategy"], found: Versions, *, at: datetime
) -> Iterator[str]:
    tried = {strategy.id: [version.id for version in strategy.versions] for strategy in strategies if strategy.versions}
    if row.strategy_id not in tried:
        yield f"{row.strategy_id!r} is no strategy with versions; those are: {', '.join(tried) or 'none'}."
    elif row.version not in tried[row.strategy_id]:
        yield f"{row.version!r} is no version of {row.strategy_id}; it has {', '.join(tried[row.strategy_id])}."
    if row.assigned_at > at:
        yield "assigned_at lies in the future; leave the row out until then."
    former = found.get((row.customer_id, row.strategy_id), row.version)
    if former != row.version:
        yield (
            f"the customer has the version {former} of {row.strategy_id} already and keeps it; take the row out, or "
            "give the new trial another set of versions."
        )


def _check_sizes(strategy: "Strategy", counts: Mapping[str, int], level: float) -> None:
    """Compare the sizes of the versions with their weights by Pearson's chi-square."""
    from scipy.stats import chisquare

    weights = {version.id: version.weight for version in strategy.versions}
    total, count = sum(weights.values()), sum(counts.values())
    expected = [count * weight / total for weight in weights.values()]
    chance = float(chisquare([counts.get(name, 0) for name in weights], expected).pvalue)
    if chance < level:
        sizes = ", ".join(f"{name} {counts.get(name, 0)}" for name in weights)
        wanted = ", ".join(f"{name} {each:.0f}" for name, each in zip(weights, expected, strict=True))
        raise AssignmentError(
            f"The sizes of the versions of {strategy.id} are {sizes}, by their weights {wanted} (p = {chance:.1g}); "
            "rows are missing or the weights differ. Import the whole draw, or set `weight` as it was drawn."
        )
