"""Options as rows x columns: a row per customer who may be chosen, a column per strategy and channel."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from retention.deciding.allocation import Bools, Floats, Ints
from retention.deciding.effects import apply_effects
from retention.deciding.matching import match

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from company.policy import Policy
    from retention.deciding.strategies import Strategy

WIDTH = 2 * NormalDist().inv_cdf(0.975)  # of an interval, in standard deviations
Words = np.ndarray[tuple[int], np.dtype[np.object_]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What could be done for whom.

    `columns` are pairs of strategy and channel. `expected` is the expected value, missing where a row has no such
    option; `effects` the share of the leaving whom it keeps; `deviations` the standard deviation of the expected value,
    that of the effect times what would be kept of the money at risk; `costs` a cost per column, or per row and column;
    `is_profitable` whether it brings what the policy asks for, and `is_probing` whether it does so only because the
    declared effect counts in full for a customer who is a probe; `harmed` the rows whose every option does harm.
    """

    columns: list[tuple[str, str]]
    expected: Floats
    effects: Floats
    deviations: Floats
    costs: Floats
    is_profitable: Bools
    is_probing: Bools
    harmed: Bools

    @property
    def is_open(self) -> Bools:
        """Rows x columns: which options there are."""
        return ~np.isnan(self.expected)

    def words(self, part: Literal["strategy", "channel"]) -> Words:
        """Return the strategy or the channel of each column, and None at the end for no column."""
        place = 0 if part == "strategy" else 1
        return np.array([*(column[place] for column in self.columns), None], dtype=object)

    def best(self) -> Floats:
        """Return the highest expected value of each row, missing where it has no option."""
        best = np.where(self.is_open, self.expected, -np.inf).max(axis=1, initial=-np.inf)
        return np.where(np.isfinite(best), best, np.nan)


def build_options(
    people: "pd.DataFrame",
    strategies: Sequence["Strategy"],
    policy: "Policy",
    *,
    held_back: Collection[str],
    recent_strategies: Collection[tuple[str, str]] = (),
    effects: "pd.DataFrame | None",
    kept_share: float = 1.0,
) -> Options:
    """Match, lay measured effects over declared ones, and price every option of `people`, one row each, in their order.

    Expected value is money_at_risk x kept_share x fit x effect x windows felt - cost, for customers with `is_probe` at
    the declared effect; options known to do harm are no options. Customers `held_back` get no marketing, and nobody a
    strategy that is among their `recent_strategies`.
    """
    place = people[["customer_id", "money_at_risk", "effect_group"]].assign(
        place=np.arange(len(people)), is_probe=people.get("is_probe", False),
        felt=policy.effects.windows_felt(people["probability"].astype(float)),
    )  # fmt: skip
    matched = match(people, strategies, policy, held_back=held_back)
    free = _drop_recent(matched, recent_strategies).merge(place, on="customer_id")
    found = apply_effects(free, effects, harm_probability=policy.effects.harm_probability)
    stake = found["money_at_risk"] * kept_share * found["fit"] * found["felt"]
    pairs = sorted({*zip(found["strategy_id"], found["channel"], strict=True)})
    column = {pair: number for number, pair in enumerate(pairs)}
    columns = [column[pair] for pair in zip(found["strategy_id"], found["channel"], strict=True)]
    at = (found["place"].to_numpy(dtype=np.int64), np.array(columns, dtype=np.int64))
    shape = (len(people), len(pairs))
    hurts = _spread(found["would_hurt"], at, shape, missing=False)
    value = stake * found["effect"] - found["option_cost"]
    expected = np.where(hurts, np.nan, _spread(value, at, shape, missing=np.nan))
    costs = _costs(found["option_cost"].to_numpy(dtype=float), at, shape)
    floor = np.maximum(policy.budget.minimum_expected_value, policy.budget.minimum_return * costs)
    lifted = _spread(stake * found["lift"], at, shape, missing=0.0)
    return Options(
        columns=pairs,
        expected=expected,
        effects=_spread(found["effect"] * found["fit"], at, shape, missing=np.nan),
        deviations=_spread(
            stake.clip(lower=0) * (found["effect_high"] - found["effect_low"]) / WIDTH,
            at,
            shape,
            missing=0.0,
        ),
        costs=costs,
        is_profitable=expected > floor,
        is_probing=(expected > floor) & (expected - lifted <= floor),
        harmed=hurts.any(axis=1) & np.isnan(expected).all(axis=1),
    )


def _drop_recent(options: "pd.DataFrame", recent: Collection[tuple[str, str]]) -> "pd.DataFrame":
    if not recent:
        return options
    pairs, gone = zip(options["customer_id"], options["strategy_id"], strict=True), set(recent)
    return options.loc[[pair not in gone for pair in pairs]]


def _spread(values: "npt.ArrayLike", at: tuple[Ints, Ints], shape: tuple[int, int], *, missing: float) -> Any:  # noqa: ANN401 - an array of what `missing` is
    """Lay one value per option out as rows x columns."""
    laid = np.full(shape, missing)
    laid[at] = np.asarray(values)
    return laid


def _costs(values: Floats, at: tuple[Ints, Ints], shape: tuple[int, int]) -> Floats:
    """Return a cost per column where it is the same for everybody, else one per row and column."""
    per_column = np.zeros(shape[1])
    per_column[at[1]] = values
    alike = bool((per_column[at[1]] == values).all())
    return per_column if alike else np.asarray(_spread(values, at, shape, missing=0.0))


def look_up(values: Floats, rows: Ints, columns: Ints) -> Floats:
    """Return `values` per column, or per row and column, at `columns`; a negative column has none."""
    padded = np.concatenate([values, np.full((*values.shape[:-1], 1), np.nan)], axis=-1)
    return padded[columns] if values.ndim == 1 else padded[rows, columns]
