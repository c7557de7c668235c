"""Changes of a strategy that a person makes without its file: for one customer, for a campaign, or for good."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retention.deciding.assignments import Assigned
    from retention.deciding.strategies import Strategy


@dataclass(frozen=True, kw_only=True)
class StrategyChange:
    """One change; what is None stays as it was.

    `strength` multiplies the amounts of the file. Without `customer_id` it holds for everybody, without `campaign` and
    its days for good. Of several changes the one made last decides, those of a campaign over those for good, and those
    of a customer over both.
    """

    strategy_id: str
    strength: float | None = None
    valid_days: int | None = None
    is_paused: bool | None = None
    customer_id: str | None = None
    campaign: str | None = None
    holds_from: date | None = None
    holds_until: date | None = None
    decided_by: str
    reason: str
    decided_at: datetime
    number: int = 0

    def holds_on(self, day: date) -> bool:
        """Tell whether the change holds on a day, the first and the last included."""
        return (self.holds_from or day) <= day <= (self.holds_until or day)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How a strategy is set on a day, for one customer or for everybody who has no setting of their own."""

    customer_id: str | None = None
    strength: float = 1.0
    valid_days: int | None = None
    is_paused: bool = False


def check(change: StrategyChange, strategies: Sequence["Strategy"]) -> None:
    """Raise ValueError, which names the option and the fix, when a change cannot be made."""
    library = {strategy.id: strategy for strategy in strategies}
    if change.strategy_id not in library:
        raise ValueError(
            f"There is no strategy {change.strategy_id!r}; `holdfast strategies list` shows {', '.join(library)}."
        )
    for problem in (*_find_gaps(change), *_find_excesses(change, library[change.strategy_id])):
        raise ValueError(problem)


def _find_gaps(change: StrategyChange) -> Iterator[str]:
    if not change.decided_by.strip() or not change.reason.strip():
        yield "A change of a strategy needs the name of a person and a reason: pass --by and --reason."
    if change.strength is change.valid_days is change.is_paused is None:
        yield "Nothing changes: pass --strength, --valid-days, --pause or --resume."
    if change.campaign is not None and change.holds_until is None:
        yield "A campaign ends: pass --until with its last day."
    if (change.holds_from or change.holds_until) and change.campaign is None:
        yield "Days belong to a campaign: pass --campaign with its name, or leave --from and --until out."
    if change.holds_from and change.holds_until and change.holds_until < change.holds_from:
        yield "The campaign ends before it begins: correct --from or --until."


def _find_excesses(change: StrategyChange, strategy: "Strategy") -> Iterator[str]:
    least, most = strategy.bounds.strength.low, strategy.bounds.strength.high
    if change.strength is not None and not least <= change.strength <= most:
        yield f"The strength of {strategy.id} may lie between {least:g} and {most:g}, not at {change.strength:g}."
    first, last = strategy.days_allowed
    if change.valid_days is not None and not first <= change.valid_days <= last:
        yield f"{strategy.id} may be valid for {first} to {last} days, not for {change.valid_days}."


def adjust(
    strategies: Sequence["Strategy"],
    changes: Iterable[StrategyChange],
    *,
    as_of: date,
    with_paused: bool = False,
    assigned: "Assigned | None" = None,
) -> tuple["Strategy", ...]:
    """Return the strategies as they are set for a day: paused ones left out, versions and single customers' added.

    A strategy with versions, or with settings of single customers, comes several times under its id, each time for
    other customers. `assigned` are the versions that another system has drawn.
    """
    of = assigned or {}
    versions = [version for strategy in strategies for version in strategy.in_versions(of.get(strategy.id))]
    settled = settle(versions, changes, as_of=as_of)
    return tuple(strategy for strategy, setting in settled if with_paused or not setting.is_paused)


def find_settings(pairs: Iterable[tuple[str, str]], strategies: Sequence["Strategy"]) -> Iterator["Strategy"]:
    """Yield for each pair of customer and strategy id the strategy as it is set for that customer."""
    variants: dict[str, list[Strategy]] = {}
    for strategy in strategies:
        variants.setdefault(strategy.id, []).append(strategy)
    for customer_id, strategy_id in pairs:
        yield next(strategy for strategy in variants[strategy_id] if strategy.is_open_to(customer_id))


def find_resting(
    last: Mapping[tuple[str, str], int], strategies: Sequence["Strategy"], *, cooldown_days: int
) -> set[tuple[str, str]]:
    """Return the customers with a strategy that they do not get again yet, as it is set for them.

    Args:
        last: how many days ago each of these pairs was contacted, or held out; see `Ledger.read_last`.
        strategies: as they are set for a day; `every_days` of the one that a customer has decides.
        cooldown_days: the policy's, which holds for every strategy.
    """
    longest = max((each.every_days or 0 for each in strategies), default=0)
    settings: dict[str, list[Strategy]] = {}
    for strategy in strategies:
        settings.setdefault(strategy.id, []).append(strategy)
    resting = {pair for pair, days in last.items() if days < cooldown_days}
    for customer_id, strategy_id in (pair for pair, days in last.items() if cooldown_days <= days < longest):
        own = (each for each in settings.get(strategy_id, ()) if each.is_open_to(customer_id))
        if any(last[customer_id, strategy_id] < (each.every_days or 0) for each in own):
            resting.add((customer_id, strategy_id))
    return resting


def settle(
    strategies: Sequence["Strategy"], changes: Iterable[StrategyChange], *, as_of: date
) -> Iterator[tuple["Strategy", Setting]]:
    """Yield every strategy with each of its settings of a day, that for everybody else first."""
    holding = [change for change in changes if change.holds_on(as_of)]
    for strategy in strategies:
        own = [change for change in holding if change.strategy_id == strategy.id]
        customers = sorted({change.customer_id for change in own if change.customer_id is not None})
        yield _apply(strategy, _combine(own, None)).limited(but=customers), _combine(own, None)
        for customer_id in customers:
            setting = _combine(own, customer_id)
            yield _apply(strategy, setting).limited(only=[customer_id]), setting


def _combine(changes: Sequence[StrategyChange], customer_id: str | None) -> Setting:
    concerned = [change for change in changes if change.customer_id in {None, customer_id}]
    setting = Setting(customer_id=customer_id)
    for change in sorted(concerned, key=lambda c: (c.customer_id is not None, c.campaign is not None, c.number)):
        values = {name: getattr(change, name) for name in ("strength", "valid_days", "is_paused")}
        setting = replace(setting, **{name: value for name, value in values.items() if value is not None})
    return setting


def _apply(strategy: "Strategy", setting: Setting) -> "Strategy":
    return strategy.adjusted(strength=setting.strength, valid_days=setting.valid_days)
