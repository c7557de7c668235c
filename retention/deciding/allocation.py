"""Allocation: at most one option per customer under a budget and any number of other limits, and what each limit costs.

Choosing for everybody at once is an integer program. Its Lagrangian dual needs one price per limit only: at given
prices every customer takes the option with the most value left. The dual's value is a bound that no choice can exceed;
a greedy repair turns the prices into a choice that keeps every limit. Source: M. L. Fisher, "The Lagrangian Relaxation
Method for Solving Integer Programming Problems", Management Science 27, 1981; the dual is smoothed as in Y. Nesterov,
"Smooth minimization of non-smooth functions", Mathematical Programming 103, 2005.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NOTHING = -1
SAMPLED = 50_000  # rows that prices are found on; the bound and the repair read all of them
SMOOTHING = (0.3, 0.03, 0.003)  # of the median best value: each starts from the prices of the one before
TOLERANCE = 1e-8  # of the dual, relative
MOST_STEPS = 100  # of L-BFGS-B at one smoothing
BLOCK = 100_000  # rows reduced at a time
MOST_ROUNDS = 200  # of the repair: what is still open after them is worth next to nothing
LOWERED = (1.0, 0.97, 0.9, 0.75, 0.5, 0.0)  # prices tried by the repair: where many tie, none may want an option at 1
CLOSE = 0.999  # of the bound, at which no other is tried
ROUNDING = 1e-9  # of sums, as a share of a limit
TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class Limit:
    """At most `amount` of a resource, of which a choice of column j uses `uses[j]`, or `uses[i, j]` for customer i."""

    name: str
    amount: float
    uses: Floats


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """The choice and its prices.

    `chosen` holds a column per row, NOTHING for none; `prices` what one more unit of each limit would bring, `used` how
    much of it is used; `value` what the counted rows' choices bring, `bound` what no choice under the limits exceeds.
    """

    chosen: Ints
    prices: Floats
    used: Floats
    value: float
    bound: float


def allocate(values: Floats, limits: Sequence[Limit], *, counted: Bools | None = None, seed: int = 0) -> Allocation:
    """Choose at most one column per row so that the values sum to about as much as the limits permit.

    Args:
        values: rows x columns, the value of each option; 0 or less, or missing, is never chosen.
        limits: what the choices of the counted rows share.
        counted: which rows use the limits, all by default. The others are chosen by the same rule and in the same queue
            but use nothing: an untreated customer gets the option that a treated one in its place would have got.
        seed: of the sample on which prices are found where there are more than `SAMPLED` rows.
    """
    counted = np.ones(len(values), dtype=bool) if counted is None else counted
    if not values.size:
        nothing, zeros = np.full(len(values), NOTHING, dtype=np.int64), np.zeros(len(limits))
        return Allocation(chosen=nothing, prices=zeros, used=zeros, value=0.0, bound=0.0)
    values = _affordable(values, limits)
    prices = _find_prices(values, limits, counted, seed=seed)
    bound = _bound(values, limits, prices, counted)
    chosen, value = _choose(values, limits, prices, counted, enough=CLOSE * bound)
    used = np.array([_usage(limit, chosen, counted & (chosen != NOTHING)) for limit in limits])
    return Allocation(chosen=chosen, prices=prices, used=used, value=value, bound=bound)


def _choose(
    values: Floats, limits: Sequence[Limit], prices: Floats, counted: Bools, *, enough: float
) -> tuple[Ints, float]:
    """Return the best choice that a repair finds and its value; the first that brings `enough` will do."""
    best, most = np.full(len(values), NOTHING, dtype=np.int64), -np.inf
    for factor in LOWERED:
        chosen = _Repair(values, limits, factor * prices, counted).run()
        is_used = counted & (chosen != NOTHING)
        value = float(values[is_used, chosen[is_used]].sum(dtype=np.float64))
        if value > most:
            best, most = chosen, value
        if most >= enough:
            break
    return best, most


def _affordable(values: Floats, limits: Sequence[Limit]) -> Floats:
    """Return `values` with -inf where an option brings nothing or uses more than there is at all."""
    kept = values.copy()
    kept[~(kept > 0)] = -np.inf
    for limit in limits:
        too_much = limit.uses > limit.amount * (1 + ROUNDING)
        if too_much.ndim == 1:
            kept[:, too_much] = -np.inf
        else:
            kept[too_much] = -np.inf
    return kept


def _usage(limit: Limit, chosen: Ints, rows: Bools) -> float:
    return float(_uses_of(limit, np.flatnonzero(rows), chosen[rows]).sum())


def _uses_of(limit: Limit, rows: Ints, columns: Ints) -> Floats:
    return limit.uses[columns] if limit.uses.ndim == 1 else limit.uses[rows, columns]


def _reduced(values: Floats, limits: Sequence[Limit], prices: Floats, rows: slice | Ints) -> Floats:
    """Return the values of `rows` less what the limits they use cost."""
    priced = [(limit.uses, price) for limit, price in zip(limits, prices, strict=True) if price > 0]
    by_column = sum((price * uses for uses, price in priced if uses.ndim == 1), start=np.zeros(values.shape[1]))
    left: Floats = values[rows] - by_column
    for uses, price in priced:
        if uses.ndim > 1:
            left -= price * uses[rows]
    return left


def _bound(values: Floats, limits: Sequence[Limit], prices: Floats, counted: Bools) -> float:
    total = float(sum(limit.amount * price for limit, price in zip(limits, prices, strict=True)))
    for start in range(0, len(values), BLOCK):
        rows = slice(start, start + BLOCK)
        best = _reduced(values, limits, prices, rows).max(axis=1, initial=0.0)
        total += float(best[counted[rows]].sum())
    return total


# ------------------------------------------------------------------------------------------------------------- prices


def _find_prices(values: Floats, limits: Sequence[Limit], counted: Bools, *, seed: int) -> Floats:
    """Return the price of each limit: the minimum of the smoothed dual over a sample of the counted rows."""
    best = values.max(axis=1)
    rows = np.flatnonzero(counted & (best > 0))
    if not _is_scarce(values, limits, rows):
        return np.zeros(len(limits))
    drawn = rows if len(rows) <= SAMPLED else np.sort(np.random.default_rng(seed).choice(rows, SAMPLED, replace=False))
    unit = float(np.median(best[drawn]))
    dual = _SmoothDual(values[drawn].astype(np.float64) / unit, limits, drawn, share=len(drawn) / len(rows))
    levels: Floats = np.zeros(len(limits))
    for smoothing in SMOOTHING:
        levels = dual.minimise(levels, temperature=smoothing)
    return unit * dual.prices(levels)


def _is_scarce(values: Floats, limits: Sequence[Limit], rows: Ints) -> bool:
    """Tell whether there is too little of anything for everybody's best option."""
    favourite = values[rows].argmax(axis=1) if len(rows) else rows
    return any(_uses_of(limit, rows, favourite).sum() > limit.amount for limit in limits)


class _SmoothDual:
    """The dual over sampled rows with a softmax in place of each customer's best option; values are in any unit.

    Its variables are prices times the root of amount x mean use: the dual is about as curved in each of them, whether a
    limit is met by three customers or by all.
    """

    def __init__(self, values: Floats, limits: Sequence[Limit], rows: Ints, *, share: float) -> None:
        self._values = values
        self._amounts = share * np.array([limit.amount for limit in limits])
        self._uses = [limit.uses if limit.uses.ndim == 1 else limit.uses[rows] for limit in limits]
        self._vectors = np.array([uses for uses in self._uses if uses.ndim == 1]).reshape(-1, values.shape[1])
        self._is_vector = np.array([uses.ndim == 1 for uses in self._uses])
        typical = np.array([uses[uses > 0].mean() if (uses > 0).any() else 1.0 for uses in self._uses])
        self._scale = np.sqrt(np.maximum(self._amounts, TINY) * typical / len(values))

    def prices(self, levels: Floats) -> Floats:
        """Return the prices that the variables stand for; what there is none of, nobody can buy."""
        return np.where(self._amounts > 0, levels / self._scale, 0.0)

    def minimise(self, start: Floats, *, temperature: float) -> Floats:
        """Return the variables that minimise the smoothed dual, from `start`."""
        from scipy.optimize import minimize

        found = minimize(
            self._evaluate,
            start,
            args=(temperature,),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0, None)] * len(start),
            options={"maxiter": MOST_STEPS, "ftol": TOLERANCE},
        )
        return np.asarray(found.x)

    def _evaluate(self, levels: Floats, temperature: float) -> tuple[float, Floats]:
        prices = self.prices(levels)
        left = (self._values - self._cost(prices)) / temperature
        top = np.maximum(left.max(axis=1, keepdims=True), 0.0)
        np.exp(np.subtract(left, top, out=left), out=left)
        weight = left.sum(axis=1, keepdims=True) + np.exp(-top)  # nothing is an option of value 0
        value = temperature * float((top + np.log(weight)).sum()) + float(self._amounts @ prices)
        unused = self._amounts - self._used(np.divide(left, weight, out=left))
        count = len(self._values)
        return value / count, np.where(self._amounts > 0, unused / self._scale, 0.0) / count

    def _cost(self, prices: Floats) -> Floats:
        cost: Floats = np.asarray(prices[self._is_vector] @ self._vectors)
        for uses, price in zip(self._uses, prices, strict=True):
            if uses.ndim > 1 and price > 0:
                cost = cost + price * uses
        return cost

    def _used(self, taken: Floats) -> Floats:
        columns = taken.sum(axis=0)
        return np.array([uses @ columns if uses.ndim == 1 else np.vdot(uses, taken) for uses in self._uses])


# ------------------------------------------------------------------------------------------------------------- repair


class _Repair:
    """Rounds of proposals: whoever gains most by their best option goes first, each if all that it uses is still there.

    In the first rounds an option must be worth its prices; whoever would lose most by their second best goes first.
    Then what is left over goes to whatever still brings something, also in exchange for a customer's lesser option.
    """

    def __init__(self, values: Floats, limits: Sequence[Limit], prices: Floats, counted: Bools) -> None:
        self._values, self._limits, self._prices, self._counted = values, limits, prices, counted
        self._chosen = np.full(len(values), NOTHING, dtype=np.int64)
        self._room = np.array([limit.amount * (1 + ROUNDING) for limit in limits])

    def run(self) -> Ints:
        """Return a column per row."""
        rows: Ints = np.arange(len(self._values))
        for _ in range(MOST_ROUNDS):
            rows = self._round(rows, at_prices=True)
            if not len(rows):
                break
        rows = np.arange(len(self._values))
        for _ in range(MOST_ROUNDS):
            rows = self._round(rows, at_prices=False)
            if not len(rows):
                break
        return self._chosen

    def _round(self, rows: Ints, *, at_prices: bool) -> Ints:
        """Let `rows` propose once; return those that may propose again."""
        parts = [
            self._propose(rows[start : start + BLOCK], at_prices=at_prices) for start in range(0, len(rows), BLOCK)
        ]
        if not parts:
            return rows[:0]
        rows, columns, urgency = (np.concatenate(each) for each in zip(*parts, strict=True))
        order = np.argsort(-urgency, kind="stable")
        rows, columns = rows[order], columns[order]
        fits = self._fits(rows, columns)
        self._take(rows[fits], columns[fits])
        again = rows[~fits] if at_prices else rows  # whoever got an option may still exchange it for a better one
        return np.sort(again) if fits.any() else again[:0]

    def _propose(self, rows: Ints, *, at_prices: bool) -> tuple[Ints, Ints, Floats]:
        """Return the rows that want an option for which there is room, which one, and how urgently."""
        gain = _reduced(self._values, self._limits, self._prices, rows)
        current = self._chosen[rows]
        has = current != NOTHING
        if not at_prices:
            places = np.flatnonzero(has)
            bought = np.zeros(len(rows))
            bought[places] = gain[places, current[places]]
            now = np.zeros(len(rows))
            now[places] = self._values[rows[places], current[places]]
            gain -= bought[:, None]
            gain[~(self._values[rows] > now[:, None])] = -np.inf
        gain[~self._has_room(rows, current)] = -np.inf
        best = gain.argmax(axis=1)
        top = np.take_along_axis(gain, best[:, None], axis=1)[:, 0]
        wants = top > 0 if at_prices else np.isfinite(top)
        urgency = top
        if at_prices and gain.shape[1] > 1:
            urgency = top - np.maximum(np.partition(gain, -2, axis=1)[:, -2], 0.0)
        return rows[wants], best[wants], urgency[wants]

    def _has_room(self, rows: Ints, current: Ints) -> Bools:
        """Tell for rows x columns whether all that an option uses, beyond what the row uses already, is there."""
        room = np.ones((1, self._values.shape[1]), dtype=bool)
        for limit, left in zip(self._limits, self._room, strict=True):
            uses = limit.uses if limit.uses.ndim == 1 else limit.uses[rows]
            if uses.max(initial=0.0) <= left:
                continue
            room = room & (uses - self._held(limit, rows, current)[:, None] <= left)
        return np.broadcast_to(room, (len(rows), self._values.shape[1]))

    def _held(self, limit: Limit, rows: Ints, current: Ints) -> Floats:
        held = np.zeros(len(rows))
        has = current != NOTHING
        held[has] = _uses_of(limit, rows[has], current[has])
        return held

    def _fits(self, rows: Ints, columns: Ints) -> Bools:
        """Tell which proposals fit after all before them in the queue."""
        fits = np.ones(len(rows), dtype=bool)
        counted = self._counted[rows]
        for limit, left in zip(self._limits, self._room, strict=True):
            more = np.maximum(_uses_of(limit, rows, columns) - self._held(limit, rows, self._chosen[rows]), 0.0)
            own = np.where(counted, more, 0.0)
            fits &= (more == 0) | (np.cumsum(own) - own + more <= left)
        return fits

    def _take(self, rows: Ints, columns: Ints) -> None:
        counted = self._counted[rows]
        for place, limit in enumerate(self._limits):
            more = _uses_of(limit, rows, columns) - self._held(limit, rows, self._chosen[rows])
            self._room[place] -= float(more[counted].sum())
        self._chosen[rows] = columns
