"""Whether the world has moved: features against the training data, and scores against what happened."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from company.policy.monitoring import Drift, Performance
from ml.dataset import Floats, Tabular, as_table
from ml.encode import Encoder
from ml.evaluate import Evaluation

BINS = 10
NOTHING = 1e-4  # share given to an empty bin, so that its logarithm exists


@dataclass(frozen=True)
class FeatureDrift:
    """One feature's drift. `psi` is corrected for what chance alone would give; `ks` is null for text.

    `psi_alike` is the smallest distance from a snapshot that may look like the current one: the same season a year ago,
    or, before there is one, any that the model learned from. `psi_ordinary` is the largest move of the feature while
    nothing was wrong. `counts` says whether the feature carries enough importance.
    """

    feature: str
    importance: float
    psi: float
    ks: float | None
    counts: bool
    drifted: bool
    psi_alike: float | None = None
    psi_ordinary: float | None = None


@dataclass(frozen=True)
class DriftReport:
    """The verdict, and what it rests on, the heaviest features first."""

    state: str  # 'stable', 'drifted' or 'insufficient'
    drifted_importance: float
    score_psi: float | None
    features: tuple[FeatureDrift, ...]
    reason: str
    rows_reference: int
    rows_current: int

    @property
    def drifted(self) -> bool:
        """Whether a new training is asked for."""
        return self.state == "drifted"

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {**asdict(self), "drifted": self.drifted}


@dataclass(frozen=True)
class Snapshot:
    """The feature rows of one day, and the probabilities that the champion gives them."""

    rows: pa.Table
    scores: Floats | None = None


def measure_drift(
    reference: Snapshot,
    current: Snapshot,
    features: Sequence[str],
    importance: Mapping[str, float],
    *,
    limits: Drift,
    year_ago: Snapshot | None = None,
    learned: Sequence[Snapshot] = (),
    ordinary: Sequence[tuple[Snapshot, Snapshot]] = (),
) -> DriftReport:
    """Compare two snapshots, feature by feature and by score, by PSI over the reference's deciles and by KS.

    Only the features that together carry `limits.importance_share` of the importance count. One of them has drifted at
    `psi` or `ks`; the table has when such features hold `drifted_importance` of what counts, or when the scores reach
    `score_psi`. Below `minimum_rows` on either side nothing is reported.

    Missing is a bin of its own, text is binned by level. The expected PSI of two samples from one distribution,
    (bins - 1)(1/n + 1/m), is subtracted, so that small samples do not drift by themselves.

    Seasons are no drift. Where the same season `year_ago` is known, only what is far from it as well counts. Where it
    is not, only what is far from every snapshot that the model has `learned` from, and has moved further than between
    any of the `ordinary` pairs: such snapshots as far apart in time as these two.
    """
    sizes = (reference.rows.num_rows, current.rows.num_rows)
    if min(sizes) < limits.minimum_rows:
        reason = f"{sizes[0]} and {sizes[1]} rows; {limits.minimum_rows} are needed on either side to speak of drift"
        return DriftReport("insufficient", 0.0, None, (), reason, *sizes)
    has_year = year_ago is not None and _is_large([year_ago], limits.minimum_rows)
    alike = [year_ago] if year_ago is not None and has_year else [*learned]
    alike = [each for each in alike if _is_large([each], limits.minimum_rows)]
    moves = [] if has_year else [pair for pair in ordinary if _is_large(pair, limits.minimum_rows)]
    heavy = _heavy(features, importance, share=limits.importance_share)
    compare = _Comparison(reference, current, alike, moves, limits)
    found = tuple(
        compare.feature(name, importance=importance.get(name, 0.0), counts=name in heavy)
        for name in sorted(features, key=lambda name: (-importance.get(name, 0.0), name))
    )
    weight = sum(each.importance for each in found if each.counts)
    share = sum(each.importance for each in found if each.drifted) / weight if weight else 0.0
    moved, allowed = compare.scores()
    drifted = share >= limits.drifted_importance or (moved is not None and moved >= allowed)
    reason = _sentence(found, share, moved, allowed, limits)
    return DriftReport("drifted" if drifted else "stable", share, moved, found, reason, *sizes)


@dataclass(frozen=True)
class _Comparison:
    """Two snapshots, and what they are allowed to differ by."""

    reference: Snapshot
    current: Snapshot
    alike: Sequence[Snapshot]
    ordinary: Sequence[tuple[Snapshot, Snapshot]]
    limits: Drift

    def feature(self, name: str, *, importance: float, counts: bool) -> FeatureDrift:
        """Return one feature's drift; what does not count is measured against the reference alone."""
        psi, ks = _distances(name, self.reference.rows, self.current.rows)
        moved = counts and self._is_far(psi, ks)
        nearest, usual = None, None
        if moved and self.alike:
            apart = [_distances(name, each.rows, self.current.rows) for each in self.alike]
            nearest = min(each for each, _ in apart)
            moved = all(self._is_far(*each) for each in apart)
        if moved and self.ordinary:
            before = [_distances(name, old.rows, new.rows) for old, new in self.ordinary]
            usual = max(each for each, _ in before)
            moved = self._is_far(psi, ks, beyond=(usual, max(each or 0.0 for _, each in before)))
        return FeatureDrift(name, importance, psi, ks, counts, moved, nearest, usual)

    def _is_far(self, psi: float, ks: float | None, *, beyond: tuple[float, float] = (0.0, 0.0)) -> bool:
        limits = self.limits
        return bool(psi >= max(limits.psi, beyond[0]) or (ks is not None and ks >= max(limits.ks, beyond[1])))

    def scores(self) -> tuple[float | None, float]:
        """Return the PSI of the scores, the smallest of the comparisons, and from when on it is drift."""
        found = [_score_drift(each, self.current) for each in (self.reference, *self.alike)]
        usual = [_score_drift(old, new) or 0.0 for old, new in self.ordinary]
        moved = [each for each in found if each is not None]
        return min(moved, default=None), max([self.limits.score_psi, *usual])


def _is_large(snapshots: Sequence[Snapshot], minimum_rows: int) -> bool:
    return all(each.rows.num_rows >= minimum_rows for each in snapshots)


def pair_months(learned: Sequence[date], *, last: date, as_of: date) -> tuple[tuple[date, date], ...]:
    """Return the pairs of earlier snapshots that lie as many months apart as `as_of` from the `last` one learned from.

    Where history is too short for any, the first and the last snapshot are the pair.
    """
    apart = max(1, _month(as_of) - _month(last))
    by_month = {_month(day): day for day in learned}
    pairs = tuple((day, by_month[month + apart]) for month, day in by_month.items() if month + apart in by_month)
    return pairs or tuple((learned[0], each) for each in learned[-1:] if len(learned) > 1)


def _month(day: date) -> int:
    return 12 * day.year + day.month


@dataclass(frozen=True)
class FeatureReference:
    """What a feature looked like in the last snapshot that a model learned from; aggregates, no row of data."""

    feature: str
    importance: float
    missing: float
    deciles: tuple[float, ...]  # the nine inner ones; empty for text and for what is never known
    levels: Mapping[str, float]  # shares, for text

    def as_dict(self) -> dict[str, Any]:
        """Return the reference as plain values."""
        return asdict(self)


def describe_reference(
    rows: Tabular, features: Sequence[str], importance: Mapping[str, float], *, importance_share: float
) -> tuple[FeatureReference, ...]:
    """Return the reference of the features that together carry `importance_share`, the heaviest first."""
    table = as_table(rows)
    heavy = _heavy(features, importance, share=importance_share)
    order = sorted(heavy, key=lambda name: (-importance.get(name, 0.0), name))
    return tuple(_describe(name, table, importance.get(name, 0.0)) for name in order)


def _describe(name: str, table: pa.Table, importance: float) -> FeatureReference:
    encoder = Encoder.learn(table, [name])
    matrix, levels = encoder.encode(table), encoder.encodings[0].levels
    if levels is not None:
        shares = dict(zip(levels, matrix.mean(axis=0).tolist(), strict=True)) if matrix.size else {}
        return FeatureReference(name, importance, float(1 - sum(shares.values())), (), shares)
    values = matrix[:, 0]
    known = values[~np.isnan(values)]
    deciles = tuple(np.quantile(known, np.linspace(0.1, 0.9, 9)).tolist()) if len(known) else ()
    return FeatureReference(name, importance, float(np.isnan(values).mean()), deciles, {})


def population_stability(before: Floats, after: Floats) -> float:
    """PSI of two count vectors over the same bins, less its expectation under no change; never below 0."""
    filled = (before + after) > 0
    p = np.maximum(before[filled] / before.sum(), NOTHING)
    q = np.maximum(after[filled] / after.sum(), NOTHING)
    chance = (filled.sum() - 1) * (1 / before.sum() + 1 / after.sum())
    return max(0.0, float(np.sum((q - p) * np.log(q / p)) - chance))


@dataclass(frozen=True)
class PerformanceReport:
    """The verdict once labels have matured."""

    state: str  # 'sound', 'decayed' or 'insufficient'
    reason: str
    evaluation: Evaluation | None

    @property
    def decayed(self) -> bool:
        """Whether a new training is asked for."""
        return self.state == "decayed"


def measure_performance(
    evaluation: Evaluation, *, limits: Performance, promised: Evaluation | None = None
) -> PerformanceReport:
    """Judge the figures of matured scores, next to what validation had `promised` when the model was chosen.

    Accuracy counts only where it can: below `minimum_accuracy` and below the majority baseline. A model below it
    because the base rate is high, yet better than the baseline, has not decayed. All limits widen by what chance does
    to samples of that size, so that few labels do not ask for anything by themselves.
    """
    if evaluation.n < limits.minimum_rows:
        reason = f"{evaluation.n} matured labels; {limits.minimum_rows} are needed to judge a model"
        return PerformanceReport("insufficient", reason, evaluation)
    faults = _faults(evaluation, promised, limits)
    accuracy = f"accuracy {evaluation.accuracy:.1%} next to a majority baseline of {evaluation.majority_accuracy:.1%}"
    shown = f"AUC {evaluation.auc:.4f}, calibration error {evaluation.ece:.3f}, {accuracy}"
    return PerformanceReport("decayed" if faults else "sound", "; ".join([*faults, shown]), evaluation)


def _faults(shown: Evaluation, promised: Evaluation | None, limits: Performance) -> list[str]:
    fall = 0.0 if promised is None else promised.auc - shown.auc
    beaten = shown.majority_accuracy - 2 * (shown.majority_accuracy * (1 - shown.majority_accuracy) / shown.n) ** 0.5
    below = shown.accuracy < limits.minimum_accuracy and shown.accuracy < beaten
    drop = float(np.hypot(limits.maximum_auc_drop, 2 * _error_of_auc(shown)))
    gap = float(np.hypot(limits.maximum_calibration_error, calibration_by_chance(shown)))
    checks = (
        (fall > drop, f"AUC fell by {fall:.3f}, more than {drop:.3f}"),
        (shown.ece > gap, f"calibration error {shown.ece:.3f} above {gap:.3f}"),
        (shown.brier_skill <= 0, f"no gain over the base rate, Brier skill {shown.brier_skill:.3f}"),
        (below, f"accuracy below {limits.minimum_accuracy:.0%} and below the majority baseline"),
    )
    return [clause for holds, clause in checks if holds]


def _error_of_auc(shown: Evaluation) -> float:
    """Return the standard error of an AUC (Hanley and McNeil, Radiology 1982)."""
    auc, churned, stayed = shown.auc, shown.n * shown.base_rate, shown.n * (1 - shown.base_rate)
    first, second = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (churned - 1) * (first - auc**2) + (stayed - 1) * (second - auc**2)
    return float((variance / (churned * stayed)) ** 0.5)


def calibration_by_chance(shown: Evaluation) -> float:
    """Return the calibration error over `BINS` bins that a perfectly calibrated model shows in 1 of 40 samples.

    A bin's gap is then normal with the variance of its outcomes, whose mean is the Brier score; the error is the mean
    of the gaps' absolute values, `BINS` half-normal draws.
    """
    gap = (shown.brier * BINS / shown.n) ** 0.5
    return float(gap * ((2 / np.pi) ** 0.5 + 2 * ((1 - 2 / np.pi) / BINS) ** 0.5))


def _heavy(features: Sequence[str], importance: Mapping[str, float], *, share: float) -> set[str]:
    """Return the fewest features that together carry `share` of the importance."""
    order = sorted(features, key=lambda name: (-importance.get(name, 0.0), name))
    weights = np.array([importance.get(name, 0.0) for name in order])
    if not weights.sum():
        return set(order)
    before = (np.cumsum(weights) - weights) / weights.sum()
    return {name for name, reached in zip(order, before, strict=True) if reached < share}


def _score_drift(before: Snapshot, after: Snapshot) -> float | None:
    if before.scores is None or after.scores is None:
        return None
    edges = _edges(before.scores)
    return population_stability(_counts(before.scores, edges), _counts(after.scores, edges))


@dataclass(frozen=True)
class Check:
    """One monitoring check: the day, and whether it failed ('drifted' or 'decayed')."""

    as_of: date
    failed: bool


@dataclass(frozen=True)
class Request:
    """Whether a retrain is asked for, and why or why not, in one sentence."""

    retrain: bool
    reason: str


def decide_request(checks: Sequence[Check], *, consecutive: int) -> Request:
    """Ask for a new training only when the last `consecutive` checks failed.

    One check per day counts, the last given one; the day of the newest check is today.
    """
    by_day = sorted({check.as_of: check for check in checks}.values(), key=lambda check: check.as_of)
    streak = 0
    for check in reversed(by_day):
        if not check.failed:
            break
        streak += 1
    if streak < consecutive or not streak:
        return Request(retrain=False, reason=f"{streak} failed checks in a row, {consecutive} are needed")
    today = by_day[-1].as_of
    return Request(retrain=True, reason=f"{streak} failed checks in a row up to {today}")


def _distances(name: str, before: pa.Table, after: pa.Table) -> tuple[float, float | None]:
    encoder = Encoder.learn(before, [name])
    old, new = encoder.encode(before), encoder.encode(after)
    if encoder.encodings[0].levels is not None:
        return population_stability(_level_counts(old), _level_counts(new)), None
    edges = _edges(old[:, 0])
    psi = population_stability(_counts(old[:, 0], edges), _counts(new[:, 0], edges))
    return psi, _kolmogorov_smirnov(old[:, 0], new[:, 0])


def _edges(values: Floats) -> Floats:
    known = values[~np.isnan(values)]
    return np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.empty(0)


def _counts(values: Floats, edges: Floats) -> Floats:
    missing = np.isnan(values)
    bins = np.searchsorted(edges, values[~missing], side="left")
    return np.append(np.bincount(bins, minlength=len(edges) + 1), missing.sum()).astype(float)


def _level_counts(levels: Floats) -> Floats:
    return np.append(levels.sum(axis=0), len(levels) - levels.sum()).astype(float)


def _kolmogorov_smirnov(before: Floats, after: Floats) -> float:
    """Return the largest distance of the two empirical distribution functions, over what is known."""
    old, new = np.sort(before[~np.isnan(before)]), np.sort(after[~np.isnan(after)])
    if not (len(old) and len(new)):
        return 0.0
    every = np.concatenate([old, new])
    apart = np.searchsorted(old, every, side="right") / len(old) - np.searchsorted(new, every, side="right") / len(new)
    return float(np.abs(apart).max())


def _sentence(found: Sequence[FeatureDrift], share: float, moved: float | None, allowed: float, limits: Drift) -> str:
    parts = [f"{share:.0%} of the importance that counts has drifted, limit {limits.drifted_importance:.0%}"]
    if moved is not None:
        parts.append(f"PSI of the scores {moved:.3f}, limit {allowed:.3f}")
    parts.extend(f"{each.feature}: PSI {each.psi:.2f}" for each in found if each.drifted)
    return "; ".join(parts[:7])
