"""Whether the world has moved: features against the training data, and scores against what happened."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from ml.dataset import Floats, Tabular, as_table
from ml.encode import Encoder
from ml.evaluate import Evaluation

BINS = 10
NOTHING = 1e-4  # share given to an empty bin, so that its logarithm exists


@dataclass(frozen=True)
class DriftLimits:
    """From when on drift is drift; the figures come from the policy.

    Only the features that together carry `importance_share` of the importance count. One of them has drifted at
    `psi` or `ks`; the table has when such features hold `drifted_importance` of what counts, or when the scores
    reach `score_psi`. Below `minimum_rows` on either side nothing is said.
    """

    minimum_rows: int
    psi: float
    ks: float
    importance_share: float
    drifted_importance: float
    score_psi: float


@dataclass(frozen=True)
class FeatureDrift:
    """One feature's drift. `psi` is corrected for what chance alone would give; `ks` is null for text.

    `counts` says whether the feature carries enough importance to be heard.
    """

    feature: str
    importance: float
    psi: float
    ks: float | None
    counts: bool
    drifted: bool


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


def measure_drift(
    reference: Tabular,
    current: Tabular,
    features: Sequence[str],
    importance: Mapping[str, float],
    *,
    limits: DriftLimits,
    scores: tuple[Floats, Floats] | None = None,
) -> DriftReport:
    """Compare two feature tables, feature by feature, by PSI over the reference's deciles and by KS.

    Missing is a bin of its own, text is binned by level. The expected PSI of two samples from one distribution,
    (bins - 1)(1/n + 1/m), is subtracted, so that small samples do not drift by themselves. `scores` are the
    probabilities of the reference and the current rows.
    """
    before, after = as_table(reference), as_table(current)
    sizes = (before.num_rows, after.num_rows)
    if min(sizes) < limits.minimum_rows:
        reason = f"{sizes[0]} and {sizes[1]} rows; {limits.minimum_rows} are needed on either side to speak of drift"
        return DriftReport("insufficient", 0.0, None, (), reason, *sizes)
    heavy = _heavy(features, importance, share=limits.importance_share)
    found = tuple(
        _feature(name, before, after, importance=importance.get(name, 0.0), counts=name in heavy, limits=limits)
        for name in sorted(features, key=lambda name: (-importance.get(name, 0.0), name))
    )
    weight = sum(each.importance for each in found if each.counts)
    share = sum(each.importance for each in found if each.drifted) / weight if weight else 0.0
    moved = None if scores is None else _score_drift(*scores)
    drifted = share >= limits.drifted_importance or (moved is not None and moved >= limits.score_psi)
    reason = _sentence(found, share, moved, limits)
    return DriftReport("drifted" if drifted else "stable", share, moved, found, reason, *sizes)


def population_stability(before: Floats, after: Floats) -> float:
    """PSI of two count vectors over the same bins, less its expectation under no change; never below 0."""
    filled = (before + after) > 0
    p = np.maximum(before[filled] / before.sum(), NOTHING)
    q = np.maximum(after[filled] / after.sum(), NOTHING)
    chance = (filled.sum() - 1) * (1 / before.sum() + 1 / after.sum())
    return max(0.0, float(np.sum((q - p) * np.log(q / p)) - chance))


@dataclass(frozen=True)
class PerformanceLimits:
    """From when on a model has decayed; the figures come from the policy."""

    minimum_rows: int
    minimum_accuracy: float
    maximum_auc_drop: float
    maximum_calibration_error: float


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
    evaluation: Evaluation, *, limits: PerformanceLimits, promised: Evaluation | None = None
) -> PerformanceReport:
    """Judge the figures of matured scores, beside what validation had `promised` when the model was chosen.

    Accuracy counts only where it can: below `minimum_accuracy` and below the majority baseline. A model below it
    because the base rate is high, yet better than the baseline, has not decayed.
    """
    if evaluation.n < limits.minimum_rows:
        reason = f"{evaluation.n} matured labels; {limits.minimum_rows} are needed to judge a model"
        return PerformanceReport("insufficient", reason, evaluation)
    faults = _faults(evaluation, promised, limits)
    beside = f"accuracy {evaluation.accuracy:.1%} beside a majority baseline of {evaluation.majority_accuracy:.1%}"
    shown = f"AUC {evaluation.auc:.4f}, calibration error {evaluation.ece:.3f}, {beside}"
    return PerformanceReport("decayed" if faults else "sound", "; ".join([*faults, shown]), evaluation)


def _faults(shown: Evaluation, promised: Evaluation | None, limits: PerformanceLimits) -> list[str]:
    fall = 0.0 if promised is None else promised.auc - shown.auc
    below = shown.accuracy < limits.minimum_accuracy and shown.accuracy < shown.majority_accuracy
    limit = limits.maximum_calibration_error
    checks = (
        (fall > limits.maximum_auc_drop, f"AUC fell by {fall:.3f}, more than {limits.maximum_auc_drop:.3f}"),
        (shown.ece > limit, f"calibration error {shown.ece:.3f} above {limit:.3f}"),
        (shown.brier_skill <= 0, f"no gain over the base rate, Brier skill {shown.brier_skill:.3f}"),
        (below, f"accuracy below {limits.minimum_accuracy:.0%} and below the majority baseline"),
    )
    return [clause for holds, clause in checks if holds]


def _heavy(features: Sequence[str], importance: Mapping[str, float], *, share: float) -> set[str]:
    """Return the fewest features that together carry `share` of the importance."""
    order = sorted(features, key=lambda name: (-importance.get(name, 0.0), name))
    weights = np.array([importance.get(name, 0.0) for name in order])
    if not weights.sum():
        return set(order)
    before = (np.cumsum(weights) - weights) / weights.sum()
    return {name for name, reached in zip(order, before, strict=True) if reached < share}


def _score_drift(before: Floats, after: Floats) -> float:
    edges = _edges(before)
    return population_stability(_counts(before, edges), _counts(after, edges))


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


def decide_request(
    checks: Sequence[Check], *, consecutive: int, cooldown_days: int, last_request: date | None = None
) -> Request:
    """Ask for a new training only when the last `consecutive` checks failed and the last request is old enough.

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
    if last_request is not None and (today - last_request).days < cooldown_days:
        wait = f"asked on {last_request}, the cool-down is {cooldown_days} days"
        return Request(retrain=False, reason=f"{streak} failed checks in a row, but a retrain was {wait}")
    return Request(retrain=True, reason=f"{streak} failed checks in a row up to {today}")


def _feature(
    name: str, before: pa.Table, after: pa.Table, *, importance: float, counts: bool, limits: DriftLimits
) -> FeatureDrift:
    psi, ks = _distances(name, before, after)
    moved = psi >= limits.psi or (ks is not None and ks >= limits.ks)
    return FeatureDrift(name, importance, psi, ks, counts, counts and moved)


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


def _sentence(found: Sequence[FeatureDrift], share: float, moved: float | None, limits: DriftLimits) -> str:
    parts = [f"{share:.0%} of the importance that counts has drifted, limit {limits.drifted_importance:.0%}"]
    if moved is not None:
        parts.append(f"PSI of the scores {moved:.3f}, limit {limits.score_psi:.3f}")
    parts.extend(f"{each.feature}: PSI {each.psi:.2f}" for each in found if each.drifted)
    return "; ".join(parts[:7])
