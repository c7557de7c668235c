"""What a plan's choices share: the budget, budgets of single strategies, places of channels, hours of teams."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from retention.deciding.allocation import Floats, Limit

if TYPE_CHECKING:
    from company.policy import Policy

BUDGET, STRATEGY, CHANNEL, TEAM = "budget", "strategy", "channel", "team"
SEPARATOR = ": "
REFUSALS = {BUDGET: "budget_spent", STRATEGY: "strategy_budget_spent", CHANNEL: "channel_full", TEAM: "team_full"}


def list_limits(
    columns: Sequence[tuple[str, str]],
    costs: Floats,
    policy: "Policy",
    *,
    spent: float,
    spent_on: Mapping[str, float],
) -> list[Limit]:
    """Return every limit that an option could meet.

    Args:
        columns: strategy and channel of each column of the options.
        costs: the cost of each column, or of each row and column.
        policy: budget, capacity, teams.
        spent: money already committed in the budget's period.
        spent_on: the same by strategy.
    """
    strategies = np.array([strategy for strategy, _ in columns], dtype=object)
    channels = np.array([channel for _, channel in columns], dtype=object)
    budget = policy.budget
    limits = [Limit(name=BUDGET, amount=max(budget.amount - spent, 0.0), uses=costs)]
    for strategy, amount in budget.strategies.items():
        left = max(amount - spent_on.get(strategy, 0.0), 0.0)
        limits.append(
            Limit(name=f"{STRATEGY}{SEPARATOR}{strategy}", amount=left, uses=costs * (strategies == strategy))
        )
    for channel, places in policy.capacity.items():
        uses = (channels == channel).astype(float)
        limits.append(Limit(name=f"{CHANNEL}{SEPARATOR}{channel}", amount=float(places), uses=uses))
    for team, has in policy.teams.items():
        hours = np.array([has.hours_per_contact.get(str(channel), 0.0) for channel in channels])
        limits.append(Limit(name=f"{TEAM}{SEPARATOR}{team}", amount=has.hours, uses=hours))
    return [limit for limit in limits if limit.name == BUDGET or limit.uses.any()]


def kind_of(name: str) -> str:
    """Return what kind of limit a name belongs to."""
    return name.split(SEPARATOR, 1)[0]


def find_refusals(
    limits: Sequence[Limit], prices: Floats, room: Floats, rows: np.ndarray, columns: np.ndarray
) -> "np.ndarray[tuple[int], np.dtype[np.object_]]":
    """Return why the options at `rows` and `columns` were refused: the limit whose share of their price is largest.

    Where no limit has a price, because what is left over fits nobody, it is the limit with the least left for them.
    """
    if not len(rows):
        return np.empty(0, dtype=object)
    uses = np.array([limit.uses[columns] if limit.uses.ndim == 1 else limit.uses[rows, columns] for limit in limits])
    paid = uses * np.asarray(prices)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        scarcity = np.where(uses > 0, uses / np.maximum(np.asarray(room)[:, None], 1e-12), 0.0)
    blamed = np.where(paid.max(axis=0) > 0, paid.argmax(axis=0), scarcity.argmax(axis=0))
    names = np.array([REFUSALS[kind_of(limit.name)] for limit in limits], dtype=object)
    return np.asarray(names[blamed], dtype=object)
