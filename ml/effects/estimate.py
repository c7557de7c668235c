"""Effects per strategy and group: what was declared, moved by what randomised decisions show, and whether to use it."""

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from ml.effects.doubly_robust import assign_folds, score
from ml.effects.level import find_level
from ml.effects.policy_value import Estimate, mean
from ml.effects.randomised import NOTHING, Floats, Ints, Randomised
from ml.effects.shrinkage import Cells, deviations, pool, shrink

if TYPE_CHECKING:
    import pandas as pd

    from company.policy import Policy

DECLARED, MEASURED = "declared", "measured"
EVERYBODY = "all"  # the group where there are no decisions yet
COLUMNS = (
    "strategy_id", "effect_group", "effect", "low", "high", "harm", "basis", "count_treated", "count_untreated",
    "raw_effect", "source", "is_used", "group_effect", "group_low", "group_high", "group_harm", "level", "level_low",
    "level_high", "level_harm",
)  # fmt: skip
TINY = 1e-12
WIDTH = 2 * NormalDist().inv_cdf(0.975)  # of a declared interval, in standard deviations


@dataclass(frozen=True, kw_only=True)
class EffectConfig:
    """What estimating goes by; see the policy's section `effects`."""

    group_spread: float
    declared_spread: float
    level_spread: float
    minimum_rows: int
    minimum_group_rows: int
    folds: int
    confidence: float

    @classmethod
    def of(cls, policy: "Policy") -> "EffectConfig":
        """Return what the policy says."""
        asked = policy.effects
        return cls(
            group_spread=asked.group_spread,
            declared_spread=asked.declared_spread,
            level_spread=asked.level_spread,
            minimum_rows=asked.minimum_rows,
            minimum_group_rows=asked.minimum_group_rows,
            folds=asked.folds,
            confidence=policy.outcomes.confidence,
        )


@dataclass(frozen=True, kw_only=True)
class Effects:
    """The effects, and whether they choose better than the declared ones.

    `table` as `COLUMNS`; `gain` is what choosing by measured effects brings per decision beyond choosing by declared
    ones, in currency, on rows they were not learned from; None where nothing was measured.
    """

    table: "pd.DataFrame"
    gain: Estimate | None

    @property
    def is_better(self) -> bool:
        """Whether the measured effects choose better than the declared ones, beyond chance."""
        return self.gain is not None and self.gain.low > 0


def estimate(rows: Randomised, declared: "pd.DataFrame", config: EffectConfig) -> Effects:
    """Estimate the effect of every declared strategy in every group of `rows`.

    Args:
        rows: matured randomised decisions.
        declared: one row per strategy: strategy_id, effect, low, high (an interval of 95 %), cost and source.
        config: what estimating goes by.

    An effect is the share of those who would leave without contact whom the strategy keeps: the doubly robust
    difference in staying over the predicted rate of leaving, as far as the strategy fits, over the rows that could have
    got the strategy. Plans multiply it by the same prediction and fit; who was not scored has the doubly robust rate
    under nothing instead. One with fewer than `minimum_rows` rows with or without it in the data is left as declared.
    `group_effect` with its interval is the mean effect of the measured strategies in a group; `harm` is the probability
    that a strategy's effect is below 0, `group_harm` that the group's is. `level` is the factor by which all
    declared effects are off, the same in every row, see `find_level`; `level_harm` is the probability that it is below
    0.
    """
    cells = _cells(rows, declared, config)
    scores = score(rows, folds=config.folds)
    found = _measure(rows, scores, cells, config)
    average, covariance = shrink(cells, found.effect, found.error, least_spread=config.group_spread)
    gain = _gain(rows, scores, declared, cells, config) if found.is_enough.any() else None
    level = find_level(rows, declared, spread=config.level_spread)
    reach = NormalDist().inv_cdf(0.5 + config.confidence / 2)
    table = _table(declared, cells, found, average=average, half=reach * deviations(covariance))
    group, spread = pool(cells, average, covariance, weight=found.is_enough.astype(float))
    table = table.assign(
        harm=np.where(found.is_enough, _harm(average, deviations(covariance)), np.nan),
        group_effect=group,
        group_low=group - reach * spread,
        group_high=group + reach * spread,
        group_harm=_harm(group, spread),
        level=level.value,
        level_low=level.value - reach * level.deviation,
        level_high=level.value + reach * level.deviation,
        level_harm=_harm(np.array([level.value]), np.array([level.deviation]))[0],
    )
    result = Effects(table=table, gain=gain)
    return replace(result, table=table.assign(is_used=result.is_better & table["basis"].eq(MEASURED)))


def _harm(average: Floats, deviation: Floats) -> Floats:
    """Return the probability that each effect is below 0."""
    pairs = zip(average, np.maximum(deviation, TINY), strict=True)
    return np.array([NormalDist().cdf(-mean / width) for mean, width in pairs])


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """Estimates per cell: effect (missing where there are too few rows), error (their covariance), counts of rows."""

    effect: Floats
    error: Floats
    treated: Ints
    untreated: Ints
    is_enough: "np.ndarray[tuple[int], np.dtype[np.bool_]]"


def _cells(rows: Randomised, declared: "pd.DataFrame", config: EffectConfig) -> Cells:
    groups = sorted(set(rows.groups)) or [EVERYBODY]
    every = declared.loc[declared.index.repeat(len(groups))].reset_index(drop=True)
    spread = (every["high"] - every["low"]).to_numpy(dtype=float) / WIDTH
    return Cells(
        strategies=list(every["strategy_id"]),
        groups=groups * len(declared),
        declared=every["effect"].to_numpy(dtype=float),
        spread=np.maximum(spread, config.declared_spread),
    )


def _measure(rows: Randomised, scores: Floats, cells: Cells, config: EffectConfig) -> _Measured:
    place = {action: number for number, action in enumerate(rows.actions)}
    count = len(cells.strategies)
    effect, treated, untreated = np.full(count, np.nan), np.zeros(count, np.int64), np.zeros(count, np.int64)
    influence = np.zeros((int(rows.customers.max(initial=-1)) + 1, count))
    leaving = np.where(np.isnan(rows.probability), 1.0 - scores[:, 0], rows.probability)
    enough = {strategy: _has_enough(rows, place.get(strategy), config) for strategy in set(cells.strategies)}
    for number, (strategy, group) in enumerate(zip(cells.strategies, cells.groups, strict=True)):
        if strategy not in place:
            continue
        could = (rows.chances[:, place[strategy]] > 0) & (rows.chances[:, 0] > 0) & (rows.groups == group)
        treated[number] = (could & (rows.given == place[strategy])).sum()
        untreated[number] = (could & (rows.given == 0)).sum()
        if enough[strategy] and min(treated[number], untreated[number]) >= config.minimum_group_rows:
            gained = scores[could, place[strategy]] - scores[could, 0]
            effect[number], parts = _ratio(gained, (leaving * rows.fits[:, place[strategy]])[could])
            influence[:, number] = np.bincount(rows.customers[could], weights=parts, minlength=len(influence))
    is_enough = np.array([enough[strategy] for strategy in cells.strategies], dtype=bool)
    error = influence.T @ influence
    return _Measured(effect=effect, error=error, treated=treated, untreated=untreated, is_enough=is_enough)


def _has_enough(rows: Randomised, place: int | None, config: EffectConfig) -> bool:
    if place is None:
        return False
    could = rows.chances[:, place] > 0
    least = min((rows.given == place).sum(), (could & (rows.given == 0)).sum())
    return int(least) >= config.minimum_rows


def _ratio(gained: Floats, leaving: Floats) -> tuple[float, Floats]:
    """Return the ratio of two means and each row's part in its error, by the delta method; missing where none leave."""
    base = float(leaving.mean())
    if base <= 0:
        return np.nan, np.zeros(len(gained))
    ratio = float(gained.mean()) / base
    return ratio, (gained - ratio * leaving) / (base * len(gained))


def _table(
    declared: "pd.DataFrame", cells: Cells, found: _Measured, *, average: Floats, half: Floats
) -> "pd.DataFrame":
    import pandas as pd

    source = dict(zip(declared["strategy_id"], declared["source"], strict=True))
    own = "own randomised decisions, shrunk toward: "
    sources = [source[name] for name in cells.strategies]
    return pd.DataFrame(
        {
            "strategy_id": cells.strategies,
            "effect_group": cells.groups,
            "effect": np.where(found.is_enough, average, cells.declared),
            "low": np.where(found.is_enough, average - half, cells.declared - cells.spread * WIDTH / 2),
            "high": np.where(found.is_enough, average + half, cells.declared + cells.spread * WIDTH / 2),
            "basis": np.where(found.is_enough, MEASURED, DECLARED),
            "count_treated": found.treated,
            "count_untreated": found.untreated,
            "raw_effect": found.effect,
            "source": [own + text if has else text for has, text in zip(found.is_enough, sources, strict=True)],
            "is_used": False,
        }
    )


# ------------------------------------------------------------------------------------- are they better to choose by?


def _gain(rows: Randomised, scores: Floats, declared: "pd.DataFrame", cells: Cells, config: EffectConfig) -> Estimate:
    """Return what choosing by measured effects brings beyond choosing by declared ones at their level, on new rows."""
    fold, difference = assign_folds(rows.customers, folds=config.folds), np.zeros(len(rows.given))
    for number in np.unique(fold):
        is_held_out = fold == number
        found = _measure(rows.take(~is_held_out), scores[~is_held_out], cells, config)
        average, _ = shrink(cells, found.effect, found.error, least_spread=config.group_spread)
        held_out = rows.take(is_held_out)
        rewards = _rewards(held_out, scores[is_held_out], declared)
        places = np.arange(len(rewards))
        level = find_level(rows.take(~is_held_out), declared, spread=config.level_spread)
        options = (average, level.value * cells.declared)
        chosen, simple = (choose(held_out, declared, cells, effects) for effects in options)
        difference[is_held_out] = rewards[places, chosen] - rewards[places, simple]
    return mean(difference, rows.customers, confidence=config.confidence)


def _costs(rows: Randomised, declared: "pd.DataFrame") -> Floats:
    cost = dict(zip(declared["strategy_id"], declared["cost"].astype(float), strict=True)) | {NOTHING: 0.0}
    return np.array([cost.get(action, 0.0) for action in rows.actions])


def _rewards(rows: Randomised, scores: Floats, declared: "pd.DataFrame") -> Floats:
    """Return rows x actions: value kept less cost."""
    return np.asarray(rows.value[:, None] * scores - _costs(rows, declared)[None, :])


def choose(rows: Randomised, declared: "pd.DataFrame", cells: Cells, effects: Floats) -> Ints:
    """Return the action with the highest expected value for each row; nothing where none is above 0."""
    effect = dict(zip(zip(cells.strategies, cells.groups, strict=True), effects.tolist(), strict=True))
    per_group = {
        group: np.array([effect.get((action, group), 0.0) for action in rows.actions]) for group in set(rows.groups)
    }
    by_row = np.array([per_group[group] for group in rows.groups]).reshape(len(rows.groups), len(rows.actions))
    expected = rows.money[:, None] * by_row * rows.fits - _costs(rows, declared)[None, :]
    expected[:, 0] = 0.0
    return np.asarray(np.where(rows.chances > 0, expected, -np.inf).argmax(axis=1), dtype=np.int64)
