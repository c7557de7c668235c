"""Which strategy or channel has which part in what was saved: Shapley and Markov over held-out increments.

Conversions cannot answer that where everybody is contacted: who would have stayed anyway counts for whatever reached
them last. What is divided is therefore the held-out increment of the customers who were meant to get exactly the same
actions, and what evidence does not support stays undivided, as a rest.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from retention.deciding.plan import HOLDOUT

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Actions = tuple[str, ...]
Coalition = frozenset[str]
NEEDED = ("customer_id", "as_of", "arm", "outcome")
COLUMNS = ("action", "count_customers", "shapley", "markov", "last_touch")
REST = ""
NOBODY: Coalition = frozenset()
_SPREADS = np.geomspace(0.25, 16.0, 13)  # of true increments, in median standard errors
_SHARES = np.linspace(0.05, 0.95, 19)  # of increments that are not null
_LARGEST = 8  # actions of one customer whose subsets are gone through


@dataclass(frozen=True, kw_only=True)
class Journeys:
    """Customers who were meant to get the same actions in the same order: how many, and what it changed for each.

    `increment` is the mean outcome of the treated less that of the held-out, `variance` that of its error, both None
    where nobody of either was seen.
    """

    actions: Actions
    count_treated: int
    increment: float | None
    variance: float | None


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """`parts` has a row per action in `COLUMNS`; with `rest`, those of each method sum to `increment`."""

    parts: "pd.DataFrame"
    increment: float
    rest_shapley: float
    rest_markov: float


def attribute(decisions: "pd.DataFrame", *, action: str, increment: float | None = None) -> Attribution:
    """Divide the held-out increment among the actions that customers were meant to get.

    Args:
        decisions: `NEEDED` and the column `action` names, such as planned_strategy_id or channel: one row per matured
            decision; `outcome` is what is divided, such as the value kept, in the same unit for all.
        action: the column.
        increment: what is divided, where it was measured more exactly; else the difference of the mean outcome of the
            treated and the held-out, times the treated.

    A customer's outcome is the sum over the decisions. The increment of a coalition of actions is measured against the
    held-out of the same coalition, and shrunk towards none by how far all of them vary beyond chance (a spike and a
    slab by empirical Bayes: Johnstone & Silverman, Annals of Statistics 32, 2004). Shapley values (Shapley 1953) are
    taken of these, over subsets; a subset that nobody got is worth the sum of its single actions. Removal
    effects (Anderl and others, International Journal of Research in Marketing 33, 2016) are taken of a chain of the
    first order over the order in which they came, with an action's marginal increment as the reward of arriving there,
    and scaled to the same sum. Either may be negative; `last_touch` divides the increment by who was retained
    under the last action, as a reference that knows no held-out group.
    """
    journeys, pooled, last = _read_journeys(decisions, action=action)
    total = pooled if increment is None else increment
    worth = shrink(journeys)
    actions = sorted({name for each in journeys for name in each.actions})
    shapley = divide_by_shapley(journeys, worth)
    markov = divide_by_removal(journeys, worth)
    return Attribution(
        parts=_table(actions, journeys, shapley, markov, last=last, increment=total),
        increment=total,
        rest_shapley=total - sum(shapley.values()),
        rest_markov=total - sum(markov.values()),
    )


def _table(
    actions: Sequence[str],
    journeys: Sequence[Journeys],
    shapley: Mapping[str, float],
    markov: Mapping[str, float],
    *,
    last: Mapping[str, float],
    increment: float,
) -> "pd.DataFrame":
    import pandas as pd

    reached = {name: sum(each.count_treated for each in journeys if name in each.actions) for name in actions}
    touched = sum(last.values())
    rows = [
        {
            "action": name,
            "count_customers": reached[name],
            "shapley": shapley.get(name, 0.0),
            "markov": markov.get(name, 0.0),
            "last_touch": increment * last.get(name, 0.0) / touched if touched else 0.0,
        }
        for name in actions
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _read_journeys(decisions: "pd.DataFrame", *, action: str) -> tuple[list[Journeys], float, dict[str, float]]:
    """Return the journeys, the increment of all customers together, and the outcome by last action of the treated."""
    ordered = decisions.loc[decisions[action].notna()].sort_values(["customer_id", "as_of"], kind="stable")
    by_customer = ordered.groupby("customer_id")
    outcome = by_customer["outcome"].sum().to_numpy(dtype=float)
    is_held_out = ordered["arm"].eq(HOLDOUT).groupby(ordered["customer_id"]).all().to_numpy(dtype=bool)
    last = by_customer[action].last()
    treated = last[~is_held_out]
    return (
        [
            _measure(actions, outcome[rows], is_held_out[rows])
            for actions, rows in _group_by_order(ordered, action=action)
        ],
        _pool(outcome, is_held_out),
        {str(name): float(outcome[~is_held_out][treated.eq(name)].sum()) for name in treated.unique()},
    )


def _group_by_order(ordered: "pd.DataFrame", *, action: str) -> Iterator[tuple[Actions, npt.NDArray[np.intp]]]:
    """Yield each order of actions, an action once, with the places of the customers who have it."""
    firsts = ordered.drop_duplicates(["customer_id", action])
    wide = firsts.assign(step=firsts.groupby("customer_id").cumcount()).pivot_table(
        index="customer_id", columns="step", values=action, aggfunc="first"
    )  # customers in the order in which they are grouped
    for names, rows in wide.fillna(REST).groupby(list(wide.columns), sort=True).indices.items():
        named = names if isinstance(names, tuple) else (names,)
        yield tuple(name for name in named if name != REST), np.asarray(rows, dtype=np.intp)


def _pool(outcome: Floats, is_held_out: npt.NDArray[np.bool_]) -> float:
    treated, held = outcome[~is_held_out], outcome[is_held_out]
    return float((treated.mean() - held.mean()) * len(treated)) if len(treated) and len(held) else 0.0


def _measure(actions: Actions, outcome: Floats, is_held_out: npt.NDArray[np.bool_]) -> Journeys:
    treated, held = outcome[~is_held_out], outcome[is_held_out]
    if min(len(treated), len(held)) < 2:  # noqa: PLR2004 - a variance needs two
        return Journeys(actions=actions, count_treated=len(treated), increment=None, variance=None)
    variance = float(treated.var(ddof=1)) / len(treated) + float(held.var(ddof=1)) / len(held)
    return Journeys(
        actions=actions,
        count_treated=len(treated),
        increment=float(treated.mean() - held.mean()),
        variance=variance,
    )


def shrink(journeys: Sequence[Journeys]) -> dict[Coalition, float]:
    """Return the increment per customer that each measured coalition is believed to have.

    Journeys of the same actions in another order are one coalition. A share of true increments is 0, the others are
    normal around 0; share and spread are those under which what was measured is most likely.
    """
    pooled = dict(_pool_orders(journeys))
    if not pooled:
        return {NOBODY: 0.0}
    found = np.array([increment for increment, _ in pooled.values()])
    errors = np.array([max(variance, 1e-300) for _, variance in pooled.values()])
    share, spread = _fit(found, errors)
    slab, spike = share * _density(found, errors + spread), (1 - share) * _density(found, errors)
    believed = slab / (slab + spike) * found * spread / (spread + errors)
    return {NOBODY: 0.0, **dict(zip(pooled, map(float, believed), strict=True))}


def _pool_orders(journeys: Sequence[Journeys]) -> Iterator[tuple[Coalition, tuple[float, float]]]:
    by_coalition: dict[Coalition, list[tuple[float, float]]] = {}
    for each in journeys:
        if each.increment is not None and each.variance is not None:
            pair = (each.increment, max(each.variance, 1e-12))
            by_coalition.setdefault(frozenset(each.actions), []).append(pair)
    for coalition, pairs in by_coalition.items():
        precision = sum(1 / variance for _, variance in pairs)
        yield coalition, (sum(increment / variance for increment, variance in pairs) / precision, 1 / precision)


def _density(values: Floats, variance: Floats) -> Floats:
    return np.exp(-(values**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance) + 1e-300


def _fit(found: Floats, errors: Floats) -> tuple[float, float]:
    """Return the share of increments that are not null, and their variance, of greatest likelihood."""
    best, answer = -np.inf, (0.5, float(np.median(errors)))
    for spread in float(np.median(errors)) * _SPREADS**2:
        slab, spike = _density(found, errors + spread), _density(found, errors)
        for share in _SHARES:
            likelihood = float(np.log(share * slab + (1 - share) * spike).sum())
            if likelihood > best:
                best, answer = likelihood, (float(share), float(spread))
    return answer


def value_of(coalition: Coalition, worth: Mapping[Coalition, float]) -> float:
    """Return a coalition's increment: its own where measured, else the sum of its single actions'."""
    if coalition in worth:
        return worth[coalition]
    return sum(worth.get(frozenset({name}), 0.0) for name in coalition)


def divide_by_shapley(journeys: Sequence[Journeys], worth: Mapping[Coalition, float]) -> dict[str, float]:
    """Return each action's Shapley value, summed over the treated customers."""
    parts: dict[str, float] = {}
    for each in journeys:
        for name in each.actions:
            part = each.count_treated * _shapley(name, each.actions, worth)
            parts[name] = parts.get(name, 0.0) + part
    return parts


def _shapley(name: str, actions: Actions, worth: Mapping[Coalition, float]) -> float:
    """Return one action's mean marginal increment over all orders; over the order it came in where there are many."""
    if len(actions) > _LARGEST:
        before = frozenset(actions[: actions.index(name)])
        return value_of(before | {name}, worth) - value_of(before, worth)
    others, size = [other for other in actions if other != name], len(actions)
    return sum(
        factorial(count) * factorial(size - count - 1) / factorial(size)
        * (value_of(before | {name}, worth) - value_of(before, worth))
        for count in range(size)
        for before in map(frozenset, combinations(others, count))
    )  # fmt: skip


def divide_by_removal(journeys: Sequence[Journeys], worth: Mapping[Coalition, float]) -> dict[str, float]:
    """Return each action's removal effect, scaled so that they sum to the increment of all journeys.

    Without an action its customers go on to the next: a message that is not sent ends nobody's other contacts. Where
    the effects cancel, and scaling would enlarge them or change their sign, they stay as they are.
    """
    names = sorted({name for each in journeys for name in each.actions})
    if not names:
        return {}
    starts, moves, rewards = _build_chain(journeys, worth, names)
    everything = _expect(starts, moves, rewards)
    effects = {name: everything - _expect(*_without(place, starts, moves, rewards)) for place, name in enumerate(names)}
    total = sum(each.count_treated * value_of(frozenset(each.actions), worth) for each in journeys)
    together = sum(effects.values())
    shrinks = together != 0 and 0 < total / together <= 1
    factor = total / together if shrinks else 1.0
    return {name: effect * factor for name, effect in effects.items()}


def _build_chain(
    journeys: Iterable[Journeys], worth: Mapping[Coalition, float], names: Sequence[str]
) -> tuple[Floats, Floats, Floats]:
    """Return how many customers start where, the probabilities to move on, and the mean reward of arriving."""
    place = {name: number for number, name in enumerate(names)}
    starts, counts = np.zeros(len(names)), np.zeros((len(names), len(names)))
    arrived, gained = np.zeros(len(names)), np.zeros(len(names))
    for each in journeys:
        if each.actions:
            starts[place[each.actions[0]]] += each.count_treated
        for number, name in enumerate(each.actions):
            before = frozenset(each.actions[:number])
            arrived[place[name]] += each.count_treated
            gained[place[name]] += each.count_treated * (value_of(before | {name}, worth) - value_of(before, worth))
            if number:
                counts[place[each.actions[number - 1]], place[name]] += each.count_treated
    visits = np.where(arrived > 0, arrived, 1.0)
    return starts, counts / visits[:, None], gained / visits


def _expect(starts: Floats, moves: Floats, rewards: Floats) -> float:
    visits = np.linalg.solve(np.eye(len(starts)) - moves.T, starts)
    return float(visits @ rewards)


def _without(place: int, starts: Floats, moves: Floats, rewards: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the chain in which whoever would arrive at one action goes on to what comes behind it."""
    kept = np.ones(len(starts))
    kept[place] = 0.0
    skipping = moves + np.outer(moves[:, place], moves[place])
    return (starts + starts[place] * moves[place]) * kept, skipping * kept[None, :] * kept[:, None], rewards * kept
