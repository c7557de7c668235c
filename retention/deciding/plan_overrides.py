"""What a person decided about one customer: it holds for every plan until it is lifted or over."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal, get_args

from retention.deciding.strategy_changes import find_settings

if TYPE_CHECKING:
    from retention.deciding.strategies import Strategy

Kind = Literal["never_contact", "nothing_until", "strategy", "lifted"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SILENT = ("never_contact", "nothing_until")


@dataclass(frozen=True, kw_only=True)
class PlanOverride:
    """One decision about one customer; of several the last one holds.

    never_contact: no plan contacts the customer. nothing_until: no plan before the day `until` does. strategy: of all
    strategies only `strategy_id` may be used, whomever its file is for, before what was worked out for others; consent,
    caps, the cool-down and the holdout hold all the same. lifted: plans decide again.
    """

    customer_id: str
    kind: Kind
    strategy_id: str | None = None
    until: date | None = None
    decided_by: str
    reason: str
    decided_at: datetime
    number: int = 0

    def holds_on(self, day: date) -> bool:
        """Return whether the decision holds for the plan of a day."""
        return self.kind != "lifted" and (self.until is None or day < self.until)

    def summarise(self) -> str:
        """Return the decision in a few words."""
        words = self.kind.replace("_", " ")
        return " ".join(part for part in (words, self.strategy_id, str(self.until or "")) if part)


def check(override: PlanOverride, strategies: Sequence["Strategy"], *, today: date) -> None:
    """Raise ValueError, which names what is missing and the fix, when a decision cannot be made."""
    for problem in _find_problems(override, {strategy.id for strategy in strategies}, today):
        raise ValueError(problem)


def _find_problems(override: PlanOverride, known: Collection[str], today: date) -> Iterator[str]:
    if not override.decided_by.strip() or not override.reason.strip():
        yield "A decision about a customer needs the name of a person and a reason."
    if override.kind not in KINDS:
        yield f"There is no such decision; it is one of {', '.join(KINDS)}."
    if (override.kind == "strategy") != (override.strategy_id is not None):
        yield "A strategy belongs to the decision `strategy`, and to no other; name it there."
    if override.strategy_id is not None and override.strategy_id not in known:
        yield f"There is no strategy {override.strategy_id!r}; the library has {', '.join(sorted(known))}."
    if (override.kind == "nothing_until") != (override.until is not None):
        yield "A day belongs to the decision `nothing_until`, and to no other; name it there."
    if override.until is not None and override.until <= today:
        yield f"{override.until} has passed; name a day after {today}."


def find_holding(overrides: Iterable[PlanOverride], *, as_of: date) -> dict[str, PlanOverride]:
    """Return by customer the decision that holds for the plan of a day."""
    last = {each.customer_id: each for each in sorted(overrides, key=lambda each: each.number)}
    return {customer: each for customer, each in last.items() if each.holds_on(as_of)}


def list_silent(holding: Mapping[str, PlanOverride]) -> list[str]:
    """Return the customers whom a person wants left alone."""
    return [customer for customer, each in holding.items() if each.kind in SILENT]


def list_chosen(holding: Mapping[str, PlanOverride]) -> dict[str, str]:
    """Return by customer the strategy that a person chose."""
    return {customer: each.strategy_id for customer, each in holding.items() if each.strategy_id is not None}


def restrict(strategies: Sequence["Strategy"], chosen: Mapping[str, str]) -> tuple["Strategy", ...]:
    """Return the strategies, each closed to the customers with a choice, and open to those who are to get it."""
    if not chosen:
        return tuple(strategies)
    offered = {strategy.id for strategy in strategies}
    pairs = [(customer, name) for customer, name in chosen.items() if name in offered]
    own = [
        strategy.for_anybody().limited(only=[customer])
        for (customer, _), strategy in zip(pairs, find_settings(pairs, strategies), strict=True)
    ]
    return (*(strategy.closed_to(chosen) for strategy in strategies), *own)
