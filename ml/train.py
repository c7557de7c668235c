"""Training: candidates validated on rows later than they learned from, calibrated there, and the best one refitted."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from ml.calibrate import Calibrator
from ml.dataset import (
    DatasetError,
    Floats,
    Fold,
    Rows,
    Tabular,
    as_table,
    column,
    days,
    labels,
    learnable_columns,
    split_by_chance,
    split_by_time,
)
from ml.encode import Encoder
from ml.evaluate import Evaluation, evaluate
from ml.members import Compute, Linear, Member, Trees
from ml.neural import Neural
from ml.pipeline import ChurnModel

T = TypeVar("T")
R = TypeVar("R")

BLEND = "blend"
IDLE = 0.05  # a smaller share of the blend is left out
FEWEST = 10  # churned, and stayed, rows below which no split holds both outcomes


@dataclass(frozen=True)
class Recipe:
    """One setting of a candidate: what to build, and which numbers of boosting rounds to weigh up."""

    member: Member
    rounds: tuple[int, ...] = ()

    def build(self, *, rounds: int | None = None, bags: int | None = None) -> Member:
        """Return an unlearned copy, with the given rounds and bags where the member has them."""
        given = {name: value for name, value in {"rounds": rounds, "bags": bags}.items() if value is not None}
        return replace(self.member, **given)  # type: ignore[type-var]


@dataclass(frozen=True)
class Fitted:
    """What training found.

    `model` has learned from every labelled row. `evaluations` and `validation` come from models that had not:
    `validation` has one row per validated row, with `row` (its number in the training table), `fold`, `label` and
    the calibrated `probability` that the chosen candidate gave it before it learned from it.
    """

    model: ChurnModel
    chosen: str
    evaluations: Mapping[str, Evaluation]
    validation: pa.Table
    settings: Mapping[str, Any]
    rows: int
    base_rate: float


def fit(
    table: Tabular,
    label: str,
    time: str | None = None,
    *,
    features: Sequence[str] | None = None,
    group: str | None = None,
    candidates: Sequence[str] = ("logistic_regression", "random_forest", "xgboost"),
    folds: int | None = None,
    maturity_days: int = 0,
    capacity: float = 0.10,
    seed: int = 0,
    compute: Compute | None = None,
) -> Fitted:
    """Learn the probability of `label` from `features` (default: every other column).

    With `time` the last `folds` (3) snapshots validate, each on models of the snapshots whose labels, known after
    `maturity_days`, were in by then. Without, `folds` (5) stratified folds do, and rows of one `group` stay
    together. Each candidate's settings, the blend's weights and the calibration are chosen on those validation
    rows alone; the figures in `evaluations` leave each fold out of its own calibration and blend. Rows without a
    label are not used. The candidate with the lowest log loss, or the blend where none beats it by more than `TIE`,
    is refitted on all labelled rows. A fourth candidate, "neural_net", is tried where it is asked for.
    """
    whole = as_table(table)
    target = labels(whole, label)
    known = np.flatnonzero(~np.isnan(target))
    target = target[known]
    _require_both(target, label)
    data = whole.take(pa.array(known))
    names = tuple(features) if features is not None else learnable_columns(data, but=_not_features(label, time, group))
    split = _split(data, target, time, group=group, folds=folds, maturity_days=maturity_days, seed=seed)
    split = _usable(split, target, label)
    study = Study(data, target, names, split, seed, compute or Compute())
    trials = study.trials({name: RECIPES[name] for name in candidates})
    ensemble = _weigh(study, trials)
    evaluations = {name: study.evaluate(weights, trials, capacity=capacity) for name, weights in ensemble.items()}
    chosen = _choose(evaluations)
    model = study.refit(chosen, ensemble[chosen], trials)
    if time is not None:
        model = replace(model, trained_until=str(days(data, time).max()))
    return Fitted(
        model=model,
        chosen=chosen,
        evaluations=evaluations,
        validation=study.validation(ensemble[chosen], trials, rows=known),
        settings={name: trial.settings() for name, trial in trials.items()},
        rows=len(target),
        base_rate=float(target.mean()),
    )


@dataclass(frozen=True)
class Trial:
    """A candidate's best setting, and the log-odds it gave to rows it had not learned from."""

    recipe: Recipe
    rounds: int | None
    margin: Floats

    def settings(self) -> dict[str, Any]:
        """Return the setting by name, without what was learned."""
        built = self.recipe.build(rounds=self.rounds)
        hidden = ("grid", "coefficients", "centre", "intercept", "boosters", "mean", "scale", "gaps", "networks")
        return {name: value for name, value in vars(built).items() if name not in hidden}


@dataclass(frozen=True)
class Study:
    """The labelled rows, their honest splits, and what candidates do on them."""

    data: pa.Table
    target: Floats
    features: tuple[str, ...]
    folds: tuple[Fold, ...]
    seed: int
    compute: Compute

    @property
    def validated(self) -> Rows:
        """Rows that validate, fold by fold."""
        return np.concatenate([fold.validate for fold in self.folds])

    @property
    def fold_of(self) -> Rows:
        """For each of `validated` its fold."""
        return np.repeat(np.arange(len(self.folds)), [len(fold.validate) for fold in self.folds])

    def trials(self, candidates: Mapping[str, Sequence[Recipe]]) -> dict[str, Trial]:
        """Try the settings of each candidate; keep the one with the lowest loss on rows not learned from."""
        _ = self.matrices  # once, before the workers share it
        tasks = [(name, recipe) for name, recipes in candidates.items() for recipe in recipes]
        found: dict[str, list[Trial]] = {name: [] for name in candidates}
        for (name, _), trials in zip(tasks, self._side_by_side(lambda task: self.run(task[1]), tasks), strict=True):
            found[name].extend(trials)
        return {name: min(trials, key=lambda trial: self.loss(trial.margin)) for name, trials in found.items()}

    def run(self, recipe: Recipe) -> list[Trial]:
        """Return one trial per number of rounds of a recipe."""
        stops = recipe.rounds or (None,)
        found: dict[int | None, list[Floats]] = {stop: [] for stop in stops}
        for train, label, validate in self.matrices:
            member = recipe.build(rounds=max(recipe.rounds, default=None))
            member.fit(train, label, weight=None, seed=self.seed, compute=self.compute)
            for stop in stops:
                found[stop].append(_margin(member, validate, stop))
        return [Trial(recipe, stop, np.concatenate(parts)) for stop, parts in found.items()]

    @cached_property
    def matrices(self) -> list[tuple[Floats, Floats, Floats]]:
        """Return per fold the matrix and labels to learn from, and the matrix to validate on."""
        found = []
        for fold in self.folds:
            train = self.data.take(pa.array(fold.train))
            encoder = Encoder.learn(train, self.features)
            validate = self.data.take(pa.array(fold.validate))
            found.append((encoder.encode(train), self.target[fold.train], encoder.encode(validate)))
        return found

    def loss(self, margin: Floats) -> float:
        """Log loss after calibration."""
        label = self.target[self.validated]
        logit = Calibrator.learn(margin, label).logit(margin)
        return float(np.mean(np.logaddexp(0, np.where(label > 0, -logit, logit))))

    def honest(self, weights: "Weights", trials: Mapping[str, Trial]) -> Floats:
        """Return probabilities for `validated`, each fold blended and calibrated by the other folds."""
        label, fold_of = self.target[self.validated], self.fold_of
        found = np.empty(len(label))
        for fold in range(len(self.folds)):
            mine = fold_of == fold
            rest = ~mine if len(self.folds) > 1 else mine
            blended = weights.without(fold, trials, label=label, rest=rest)
            found[mine] = Calibrator.learn(blended[rest], label[rest]).probability(blended[mine])
        return found

    def evaluate(self, weights: "Weights", trials: Mapping[str, Trial], *, capacity: float) -> Evaluation:
        """Evaluate honest probabilities."""
        return evaluate(self.target[self.validated], self.honest(weights, trials), capacity=capacity)

    def validation(self, weights: "Weights", trials: Mapping[str, Trial], *, rows: Rows) -> pa.Table:
        """Return the honest probabilities as a table; see `Fitted`."""
        return pa.table(
            {
                "row": rows[self.validated],
                "fold": self.fold_of,
                "label": self.target[self.validated],
                "probability": self.honest(weights, trials),
            }
        )

    def refit(self, name: str, weights: "Weights", trials: Mapping[str, Trial]) -> ChurnModel:
        """Learn from every labelled row; the calibration stays the one of rows that had not been learned from."""
        encoder = Encoder.learn(self.data, self.features)
        matrix = encoder.encode(self.data)
        names = sorted(weights.shares)
        built = [trials[each].recipe.build(rounds=trials[each].rounds, bags=BAGS.get(each)) for each in names]

        def learn(member: Member) -> Member:
            return member.fit(matrix, self.target, weight=None, seed=self.seed, compute=self.compute)

        members = dict(zip(names, self._side_by_side(learn, built), strict=True))
        calibrator = Calibrator.learn(weights.blend(trials), self.target[self.validated])
        return ChurnModel(name, encoder, members, weights.shares, calibrator, seed=self.seed)

    def _side_by_side(self, work: Callable[[T], R], tasks: Sequence[T]) -> list[R]:
        """Do `work` on each task, `compute.workers` at a time; the order of the results is that of the tasks."""
        with ThreadPoolExecutor(self.compute.workers) as pool:
            return list(pool.map(work, tasks))


@dataclass(frozen=True)
class Weights:
    """Shares of the members in the mean of log-odds; they sum to 1."""

    shares: Mapping[str, float]

    def blend(self, trials: Mapping[str, Trial]) -> Floats:
        """Return the weighted mean of the trials' log-odds."""
        mean: Floats = np.sum([share * trials[name].margin for name, share in self.shares.items()], axis=0)
        return mean

    def without(self, fold: int, trials: Mapping[str, Trial], *, label: Floats, rest: Rows) -> Floats:
        """Return the blend with shares learned again from the rows `rest`, so that `fold` had no say."""
        del fold
        if len(self.shares) == 1:
            return self.blend(trials)
        margins = {name: trials[name].margin[rest] for name in self.shares}
        return Weights(learn_shares(margins, label[rest])).blend(trials)


def learn_shares(margins: Mapping[str, Floats], label: Floats) -> dict[str, float]:
    """Return shares >= 0 that sum to 1 and minimise the log loss of the mean log-odds, pulled towards equality.

    The scale of the mean is free, since calibration follows. Stacking as in Breiman, "Stacked regressions", 1996.
    """
    from scipy.optimize import minimize

    names = sorted(margins)
    stacked = np.column_stack([margins[name] for name in names])
    sign = np.where(label > 0, -1.0, 1.0)
    even = 1 / len(names)

    def loss(point: Floats) -> tuple[float, Floats]:
        logit = stacked @ point[:-1] + point[-1]
        slope = sign / (1 + np.exp(-sign * logit)) / len(label)
        pull = point[:-1] - even
        gradient = np.append(slope @ stacked + 2 * EVENNESS * pull, slope.sum())
        return float(np.mean(np.logaddexp(0, sign * logit)) + EVENNESS * pull @ pull), gradient

    start = np.append(np.full(len(names), even), 0.0)
    bounds = [*((0.0, None) for _ in names), (None, None)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x[:-1]
    total = found.sum()
    shares = found / total if total > 0 else np.full(len(names), even)
    return {name: float(share) for name, share in zip(names, shares, strict=True)}


def _weigh(study: Study, trials: Mapping[str, Trial]) -> dict[str, Weights]:
    alone = {name: Weights({name: 1.0}) for name in trials}
    if len(trials) == 1:
        return alone
    margins = {name: trial.margin for name, trial in trials.items()}
    return {**alone, BLEND: Weights(_without_idle(learn_shares(margins, study.target[study.validated])))}


def _without_idle(shares: Mapping[str, float]) -> dict[str, float]:
    """Leave out members that hardly count: they would cost time at every scoring and change no score."""
    kept = {name: share for name, share in shares.items() if share >= IDLE}
    return {name: share / sum(kept.values()) for name, share in kept.items()}


def _choose(evaluations: Mapping[str, Evaluation]) -> str:
    losses = {name: each.log_loss - (TIE if name == BLEND else 0.0) for name, each in evaluations.items()}
    return min(losses, key=lambda name: (losses[name], name))


def _margin(member: Member, matrix: Floats, rounds: int | None) -> Floats:
    if rounds is None or not isinstance(member, Trees):
        return member.margin(matrix)
    return member.margin_after(matrix, rounds=rounds)


def _split(
    data: pa.Table, target: Floats, time: str | None, *, group: str | None, folds: int | None, maturity_days: int,
    seed: int,
) -> tuple[Fold, ...]:  # fmt: skip
    if time is not None:
        return split_by_time(data, time, folds=folds or 3, maturity_days=maturity_days)
    keys = None if group is None else column(data, group).to_numpy(zero_copy_only=False)
    return split_by_chance(target, folds=folds or 5, seed=seed, group=keys)


def _usable(folds: tuple[Fold, ...], target: Floats, label: str) -> tuple[Fold, ...]:
    """Keep the folds that can be learned from; what they validate must hold both outcomes."""
    found = tuple(fold for fold in folds if 0 < target[fold.train].mean() < 1)
    validated = target[np.concatenate([fold.validate for fold in found])] if found else np.empty(0)
    if not (len(validated) and 0 < validated.mean() < 1):
        raise DatasetError(
            f"label {label!r} does not show both outcomes both before and within the validation rows. Add snapshots in "
            "which customers churned, or use the rule score until then."
        )
    return found


def _not_features(*names: str | None) -> tuple[str, ...]:
    return tuple(name for name in names if name is not None)


def _require_both(target: Floats, label: str) -> None:
    churned = int(target.sum())
    stayed = len(target) - churned
    if min(churned, stayed) < FEWEST:
        raise DatasetError(
            f"label {label!r} has {churned} churned and {stayed} stayed rows; {FEWEST} of each are needed to train and "
            "to validate. Add history, widen the churn definition, or use the rule score until then."
        )


TIE = 0.001  # log loss within which the mean of several is preferred: it depends less on chance
EVENNESS = 0.002  # pull of the blend towards equal shares, beside a log loss of a few tenths
BAGS = {"xgboost": 3, "neural_net": 3}  # seeds averaged in the final fit
_GROWTH = {"learning_rate": 0.03, "subsample": 0.7, "colsample_bytree": 0.5}
RECIPES: dict[str, tuple[Recipe, ...]] = {
    "logistic_regression": (Recipe(Linear(strength=0.03)), Recipe(Linear(strength=0.3))),
    "neural_net": (Recipe(Neural()),),
    "random_forest": (
        Recipe(
            Trees(
                params={
                    "learning_rate": 1.0, "max_depth": 8, "min_child_weight": 2.0, "subsample": 0.63,
                    "colsample_bynode": 0.3, "reg_lambda": 0.1,
                },
                rounds=1,
                width=200,
            )
        ),
    ),
    "xgboost": (
        Recipe(
            Trees(params={**_GROWTH, "max_depth": 3, "min_child_weight": 5.0, "reg_lambda": 10.0}),
            rounds=(150, 300, 500),
        ),
        Recipe(
            Trees(
                params={
                    **_GROWTH,
                    "max_depth": 6,
                    "min_child_weight": 2.0,
                    "reg_lambda": 3.0,
                    "colsample_bytree": 0.8,
                    "colsample_bynode": 0.6,
                }
            ),
            rounds=(100, 200, 400),
        ),
    ),
}  # fmt: skip
