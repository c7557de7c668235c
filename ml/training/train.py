"""Training: candidates validated on rows later than they learned from, calibrated there, and the best one refitted."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

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
from ml.encode import Encoder, numbers
from ml.evaluate import Evaluation, evaluate
from ml.explaining.causes import Causes
from ml.learners.members import Compute, Linear, Member, Trees
from ml.learners.neural import Neural
from ml.training.calibrate import Calibrator
from ml.training.pipeline import ChurnModel, Model

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

    model: Model
    chosen: str
    evaluations: Mapping[str, Evaluation]
    validation: pa.Table
    settings: Mapping[str, Any]
    rows: int
    base_rate: float
    recipes: Mapping[str, "Recipe"] = field(default_factory=dict)  # the settings found, to be used again


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
    weight: str | None = None,
    recipes: Mapping[str, Sequence[Recipe]] | None = None,
    causes: Sequence[str] = (),
) -> Fitted:
    """Learn the probability of `label` from `features` (default: every other column).

    With `time` the last `folds` (3) snapshots validate, each on models of the snapshots whose labels, known after
    `maturity_days`, were in by then. Without, `folds` (5) stratified folds do, and rows of one `group` stay
    together. Each candidate's settings, the blend's weights and the calibration are chosen on those validation
    rows alone; the figures in `evaluations` leave each fold out of its own calibration and blend. Rows without a
    label are not used. Of the candidates, the blend among them, whose log loss is as low as the lowest but for chance
    (`TIE`) the one that ranks best, by ROC-AUC, is refitted on all labelled rows; the blend where none ranks better by
    more than `TIED_RANK`.
    A fourth candidate, "neural_net", is tried where it is asked for.

    `weight` names a column that says how many customers a row stands for: learning, calibration and figures follow it.
    `recipes` replaces the settings tried for the candidates it names, as `Fitted.recipes` of an earlier fit or
    `ml.training.tune` give them. `causes` are the features that tell why a customer leaves, for
    `ml.explaining.contributions`; they change no score.
    """
    whole = as_table(table)
    study = open_study(
        whole,
        label,
        time,
        features=features,
        group=group,
        folds=folds,
        maturity_days=maturity_days,
        seed=seed,
        compute=compute,
        weight=weight,
    )
    trials = study.trials({name: {**RECIPES, **(recipes or {})}[name] for name in candidates})
    ensemble = _weigh(study, trials)
    evaluations = {name: study.evaluate(weights, trials, capacity=capacity) for name, weights in ensemble.items()}
    chosen = _choose(evaluations)
    model = study.refit(chosen, ensemble[chosen], trials)
    if time is not None:
        model = replace(model, trained_until=str(days(study.data, time).max()))
    if named := [name for name in causes if name in study.features]:
        learned = Causes.learn(study.data, study.target, named, weight=study.weight, seed=seed)
        model = replace(model, causes=learned)
    return Fitted(
        model=model,
        chosen=chosen,
        evaluations=evaluations,
        validation=study.validation(ensemble[chosen], trials, rows=np.flatnonzero(~np.isnan(labels(whole, label)))),
        settings={name: trial.settings() for name, trial in trials.items()},
        rows=len(study.target),
        base_rate=float(np.average(study.target, weights=study.weight)),
        recipes={name: trial.settled() for name, trial in trials.items()},
    )


def open_study(
    table: Tabular,
    label: str,
    time: str | None = None,
    *,
    features: Sequence[str] | None = None,
    group: str | None = None,
    folds: int | None = None,
    maturity_days: int = 0,
    seed: int = 0,
    compute: Compute | None = None,
    weight: str | None = None,
) -> "Study":
    """Take the labelled rows of `table` and split them as `fit` does; see there for the arguments."""
    whole = as_table(table)
    target = labels(whole, label)
    known = np.flatnonzero(~np.isnan(target))
    target = target[known]
    _require_both(target, label)
    data = whole.take(pa.array(known))
    besides = _not_features(label, time, group, weight)
    names = tuple(features) if features is not None else learnable_columns(data, but=besides)
    split = _split(data, target, time, group=group, folds=folds, maturity_days=maturity_days, seed=seed)
    stands_for = None if weight is None else numbers(weight, column(data, weight))
    return Study(data, target, names, _usable(split, target, label), seed, compute or Compute(), stands_for)


@dataclass(frozen=True)
class Trial:
    """A candidate's best setting, and the log-odds it gave to rows it had not learned from."""

    recipe: Recipe
    rounds: int | None
    margin: Floats

    def settled(self) -> Recipe:
        """Return the recipe with its number of rounds decided."""
        return Recipe(self.recipe.build(rounds=self.rounds))

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
    weight: Floats | None = None

    @property
    def validated(self) -> Rows:
        """Rows that validate, fold by fold."""
        return np.concatenate([fold.validate for fold in self.folds])

    @property
    def fold_of(self) -> Rows:
        """For each of `validated` its fold."""
        return np.repeat(np.arange(len(self.folds)), [len(fold.validate) for fold in self.folds])

    def trials(self, candidates: Mapping[str, Sequence[Recipe]]) -> dict[str, Trial]:
        """Try the settings of each candidate; keep the one that does best on rows not learned from."""
        _ = self.matrices  # once, before the workers share it
        tasks = [(name, recipe) for name, recipes in candidates.items() for recipe in recipes]
        found: dict[str, list[Trial]] = {name: [] for name in candidates}
        for (name, _), trials in zip(tasks, self._side_by_side(lambda task: self.run(task[1]), tasks), strict=True):
            found[name].extend(trials)
        return {name: self._best(trials) for name, trials in found.items()}

    def _best(self, trials: Sequence[Trial]) -> Trial:
        """Return the setting that ranks best among those whose loss is, but for chance, as low as the lowest."""
        losses = [self.loss(trial.margin) for trial in trials]
        rate = np.average(self.target[self.validated], weights=self.weigh(self.validated))
        most = min(losses) + TIE * entropy(float(rate))
        tied = [trial for trial, loss in zip(trials, losses, strict=True) if loss <= most]
        return max(tied, key=lambda trial: self.rank(trial.margin))

    def run(self, recipe: Recipe) -> list[Trial]:
        """Return one trial per number of rounds of a recipe; growing ends with the first one that does not help."""
        member = recipe.build()
        if isinstance(member, Trees) and recipe.rounds:
            return self._grow(recipe, member)
        parts = [
            recipe.build().fit(train, label, weight=self.weigh(fold.train), **self._given).margin(validate)
            for fold, (train, label, validate) in zip(self.folds, self.matrices, strict=True)
        ]
        return [Trial(recipe, None, np.concatenate(parts))]

    def _grow(self, recipe: Recipe, member: Trees) -> list[Trial]:
        growths = [
            member.begin(train, label, weight=self.weigh(fold.train), **self._given)
            for fold, (train, label, _) in zip(self.folds, self.matrices, strict=True)
        ]
        found: list[Trial] = []
        for stop in recipe.rounds:
            grown = zip(growths, self.matrices, strict=True)
            margin = np.concatenate([growth.until(stop).margin(validate) for growth, (_, _, validate) in grown])
            found.append(Trial(recipe, stop, margin))
            if len(found) > 1 and self.loss(margin) >= self.loss(found[-2].margin):
                break
        return found

    @property
    def _given(self) -> dict[str, Any]:
        return {"seed": self.seed, "compute": self.compute}

    @cached_property
    def matrices(self) -> list[tuple[Floats, Floats, Floats]]:
        """Return per fold the matrix and labels to learn from, and the matrix to validate on."""
        found = []
        for fold in self.folds:
            train, label = self.data.take(pa.array(fold.train)), self.target[fold.train]
            encoder, matrix = Encoder.learn_and_encode(train, self.features, label, seed=self.seed)
            validate = self.data.take(pa.array(fold.validate))
            found.append((matrix, label, encoder.encode(validate)))
        return found

    def weigh(self, rows: Rows) -> Floats | None:
        """Return how many customers each of `rows` stands for, or None where every row is one."""
        return None if self.weight is None else self.weight[rows]

    def loss(self, margin: Floats) -> float:
        """Log loss after calibration."""
        label, weight = self.target[self.validated], self.weigh(self.validated)
        logit = Calibrator.learn(margin, label, weight=weight).logit(margin)
        return float(np.average(np.logaddexp(0, np.where(label > 0, -logit, logit)), weights=weight))

    def rank(self, margin: Floats) -> float:
        """Mean ROC-AUC of the folds that saw both outcomes."""
        from sklearn.metrics import roc_auc_score

        label, fold_of = self.target[self.validated], self.fold_of
        parts = [fold_of == fold for fold in range(len(self.folds))]
        return float(
            np.mean([roc_auc_score(label[mine], margin[mine]) for mine in parts if 0 < label[mine].mean() < 1])
        )

    def honest(self, weights: "Weights", trials: Mapping[str, Trial]) -> Floats:
        """Return probabilities for `validated`, each fold blended and calibrated by the other folds."""
        label, fold_of = self.target[self.validated], self.fold_of
        found = np.empty(len(label))
        for fold in range(len(self.folds)):
            mine = fold_of == fold
            rest = np.flatnonzero(~mine if len(self.folds) > 1 else mine)
            weight = self.weigh(self.validated[rest])
            blended = weights.without(trials, label=label, rest=rest, weight=weight)
            calibrator = Calibrator.learn(blended[rest], label[rest], weight=weight)
            found[mine] = calibrator.probability(blended[mine])
        return found

    def evaluate(self, weights: "Weights", trials: Mapping[str, Trial], *, capacity: float) -> Evaluation:
        """Evaluate honest probabilities."""
        label, probability = self.target[self.validated], self.honest(weights, trials)
        return evaluate(label, probability, capacity=capacity, weight=self.weigh(self.validated))

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
        encoder, matrix = Encoder.learn_and_encode(self.data, self.features, self.target, seed=self.seed)
        names = sorted(weights.shares)
        built = [trials[each].recipe.build(rounds=trials[each].rounds, bags=BAGS.get(each)) for each in names]

        def learn(member: Member) -> Member:
            return member.fit(matrix, self.target, weight=self.weight, seed=self.seed, compute=self.compute)

        members = dict(zip(names, self._side_by_side(learn, built), strict=True))
        calibrator = Calibrator.learn(
            weights.blend(trials), self.target[self.validated], weight=self.weigh(self.validated)
        )
        calibrator = replace(calibrator, shift=self._rise())
        return ChurnModel(name, encoder, members, weights.shares, calibrator, seed=self.seed)

    def _rise(self) -> float:
        """Return by how much the log-odds of churn lie higher in all rows than in those that the folds learned from.

        A model's level is that of its training rows. Where churn rises over time, the folds' models lie too low and
        their calibration lifts them; the model of all rows has risen by itself, and must not be lifted twice.
        """
        every = np.arange(len(self.target))
        levels = [self._level(fold.train) for fold in self.folds]
        return float(self._level(every) - np.average(levels, weights=[len(fold.validate) for fold in self.folds]))

    def _level(self, rows: Rows) -> float:
        rate = np.average(self.target[rows], weights=self.weigh(rows))
        return float(np.log(rate / (1 - rate)))

    def _side_by_side(self, work: Callable[[T], R], tasks: Sequence[T]) -> list[R]:
        """Do `work` on each task, `compute.workers` at a time; the order of the results is that of the tasks.

        Linear algebra keeps to the same threads: more would wait for each other, and sum in another order.
        """
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        limits = threadpool_limits(self.compute.threads, user_api="blas")
        with limits, ThreadPoolExecutor(self.compute.workers) as pool:
            return list(pool.map(work, tasks))


@dataclass(frozen=True)
class Weights:
    """Shares of the members in the mean of log-odds; they sum to 1."""

    shares: Mapping[str, float]

    def blend(self, trials: Mapping[str, Trial]) -> Floats:
        """Return the weighted mean of the trials' log-odds."""
        mean: Floats = np.sum([share * trials[name].margin for name, share in self.shares.items()], axis=0)
        return mean

    def without(
        self, trials: Mapping[str, Trial], *, label: Floats, rest: Rows, weight: Floats | None = None
    ) -> Floats:
        """Return the blend with shares learned again from the rows `rest` alone, so that no other had a say."""
        if len(self.shares) == 1:
            return self.blend(trials)
        margins = {name: trials[name].margin[rest] for name in self.shares}
        return Weights(learn_shares(margins, label[rest], weight=weight)).blend(trials)


def learn_shares(margins: Mapping[str, Floats], label: Floats, *, weight: Floats | None = None) -> dict[str, float]:
    """Return shares >= 0 that sum to 1 and minimise the log loss of the mean log-odds, pulled towards equality.

    The scale of the mean is free, since calibration follows. Stacking as in Breiman, "Stacked regressions", 1996.
    """
    from scipy.optimize import minimize

    names = sorted(margins)
    stacked = np.column_stack([margins[name] for name in names])
    sign = np.where(label > 0, -1.0, 1.0)
    even = 1 / len(names)
    share = np.full(len(label), 1 / len(label)) if weight is None else weight / weight.sum()
    strength = EVENNESS * entropy(float(share @ label))

    def loss(point: Floats) -> tuple[float, Floats]:
        logit = stacked @ point[:-1] + point[-1]
        slope = share * sign / (1 + np.exp(-sign * logit))
        pull = point[:-1] - even
        gradient = np.append(slope @ stacked + 2 * strength * pull, slope.sum())
        return float(share @ np.logaddexp(0, sign * logit) + strength * pull @ pull), gradient

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
    shares = learn_shares(margins, study.target[study.validated], weight=study.weigh(study.validated))
    return {**alone, BLEND: Weights(_without_idle(shares))}


def _without_idle(shares: Mapping[str, float]) -> dict[str, float]:
    """Leave out members that hardly count: they would cost time at every scoring and change no score."""
    kept = {name: share for name, share in shares.items() if share >= IDLE}
    return {name: share / sum(kept.values()) for name, share in kept.items()}


def _choose(evaluations: Mapping[str, Evaluation]) -> str:
    """Return the best ranking among those whose loss is as low as the lowest but for chance, a blend preferred."""
    lowest = min(evaluations.values(), key=lambda each: each.log_loss)
    most = lowest.log_loss + TIE * entropy(lowest.base_rate)
    tied = {name: each.auc for name, each in evaluations.items() if each.log_loss <= most}
    return max(tied, key=lambda name: (tied[name] + TIED_RANK * (name == BLEND), name))


def entropy(rate: float) -> float:
    """Return the log loss of saying the base rate of everybody: what differences between log losses are measured in."""
    from scipy.special import entr

    return float(entr([rate, 1 - rate]).sum())


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


TIE = 0.0025  # of the base rate's log loss: a difference that is chance, within which the ranking decides
TIED_RANK = 0.001  # ROC-AUC that is chance, within which the mean of several decides
EVENNESS = 0.005  # of the base rate's log loss: pull of the blend towards equal shares
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
                width=100,
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
            rounds=(80, 160, 320),
        ),
    ),
}  # fmt: skip
