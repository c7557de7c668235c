"""What is tried on which splits: candidates, compared on rows that they had not learned from."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from ml.dataset import (
    Columns,
    DatasetError,
    Floats,
    Fold,
    Rows,
    Tabular,
    as_table,
    column,
    labels,
    split_by_chance,
    split_by_time,
)
from ml.encode import Encoder, numbers
from ml.evaluate import base_rate_log_loss
from ml.learners.base import Candidate, StagedLearner
from ml.training.calibrate import Calibrator
from ml.training.config import TrainConfig

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Trial:
    """A candidate, its number of rounds, and the log-odds it gave to rows it had not learned from."""

    candidate: Candidate
    rounds: int | None
    log_odds: Floats

    def settle(self) -> Candidate:
        """Return the candidate with its number of rounds decided."""
        return self.candidate.settle(self.rounds)


class Matrices(NamedTuple):
    """What a fold learns from (rows x columns, and labels) and validates on, and the feature of each column."""

    train: Floats
    label: Floats
    validate: Floats
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Study:
    """The labelled rows, their splits, and what candidates do on them."""

    data: pa.Table
    target: Floats
    features: tuple[str, ...]
    folds: tuple[Fold, ...]
    config: TrainConfig
    weight: Floats | None = None

    @cached_property
    def validated(self) -> Rows:
        """Rows that validate, fold by fold."""
        return np.concatenate([fold.validate for fold in self.folds])

    @cached_property
    def fold_of(self) -> Rows:
        """For each of `validated` its fold."""
        return np.repeat(np.arange(len(self.folds)), [len(fold.validate) for fold in self.folds])

    @property
    def label(self) -> Floats:
        """For each of `validated` its label."""
        return self.target[self.validated]

    @cached_property
    def matrices(self) -> list[Matrices]:
        """Return what each fold learns from and validates on."""
        matrices = []
        for fold in self.folds:
            train, label = self.data.take(pa.array(fold.train)), self.target[fold.train]
            encoder, matrix = Encoder.learn_and_encode(train, self.features, label, seed=self.config.seed)
            validate = self.data.take(pa.array(fold.validate))
            matrices.append(Matrices(matrix, label, encoder.encode(validate), encoder.columns))
        return matrices

    def compare(self, candidates: Mapping[str, Sequence[Candidate]]) -> dict[str, Trial]:
        """Try the candidates of each algorithm; keep the one that does best on rows not learned from."""
        _ = self.matrices  # once, before the workers share it
        tasks = [(name, candidate) for name, several in candidates.items() for candidate in several]
        results = self.side_by_side(lambda task: self.run(task[1]), tasks)
        by_name: dict[str, list[Trial]] = {name: [] for name in candidates}
        for (name, _), trials in zip(tasks, results, strict=True):
            by_name[name].extend(trials)
        return {name: self.choose(trials) for name, trials in by_name.items()}

    def choose(self, trials: Sequence[Trial]) -> Trial:
        """Return the trial that ranks best among those whose loss is, but for chance, as low as the lowest."""
        losses = [self.loss(trial.log_odds) for trial in trials]
        rate = np.average(self.label, weights=self.weigh(self.validated))
        bound = min(losses) + self.config.log_loss_tolerance * base_rate_log_loss(float(rate))
        tied = [trial for trial, loss in zip(trials, losses, strict=True) if loss <= bound]
        return max(tied, key=lambda trial: self.rank(trial.log_odds))

    def run(self, candidate: Candidate) -> list[Trial]:
        """Return one trial per number of rounds; growing ends with the first one that does not help."""
        learner = candidate.build()
        if isinstance(learner, StagedLearner) and candidate.rounds:
            return self._grow(candidate, learner)
        parts = [
            candidate.build()
            .name_columns(each.columns)
            .fit(each.train, each.label, weight=self.weigh(fold.train), **self._context)
            .log_odds(each.validate)
            for fold, each in zip(self.folds, self.matrices, strict=True)
        ]
        return [Trial(candidate, None, np.concatenate(parts))]

    def _grow(self, candidate: Candidate, learner: StagedLearner) -> list[Trial]:
        growths = [
            learner.begin(each.train, each.label, weight=self.weigh(fold.train), **self._context)
            for fold, each in zip(self.folds, self.matrices, strict=True)
        ]
        trials: list[Trial] = []
        for rounds in candidate.rounds:
            grown = zip(growths, self.matrices, strict=True)
            log_odds = np.concatenate([growth.until(rounds).log_odds(each.validate) for growth, each in grown])
            trials.append(Trial(candidate, rounds, log_odds))
            if len(trials) > 1 and self.loss(log_odds) >= self.loss(trials[-2].log_odds):
                break
        return trials

    @property
    def _context(self) -> dict[str, Any]:
        return {"seed": self.config.seed, "compute": self.config.compute}

    def weigh(self, rows: Rows) -> Floats | None:
        """Return how many customers each of `rows` stands for, or None where every row is one."""
        return None if self.weight is None else self.weight[rows]

    def loss(self, log_odds: Floats) -> float:
        """Log loss after calibration."""
        label, weight = self.label, self.weigh(self.validated)
        calibrated = Calibrator.learn(log_odds, label, weight=weight).logit(log_odds)
        return float(np.average(np.logaddexp(0, np.where(label > 0, -calibrated, calibrated)), weights=weight))

    def rank(self, log_odds: Floats) -> float:
        """Mean ROC-AUC of the folds that saw both outcomes."""
        from sklearn.metrics import roc_auc_score

        label = self.label
        parts = [self.fold_of == fold for fold in range(len(self.folds))]
        return float(
            np.mean([roc_auc_score(label[mine], log_odds[mine]) for mine in parts if 0 < label[mine].mean() < 1])
        )

    def side_by_side(self, work: Callable[[T], R], tasks: Sequence[T]) -> list[R]:
        """Do `work` on each task, `compute.workers` at a time; the order of the results is that of the tasks.

        Linear algebra keeps to the same threads: more would wait for each other, and sum in another order.
        """
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        limits = threadpool_limits(self.config.compute.threads, user_api="blas")
        with limits, ThreadPoolExecutor(self.config.compute.workers) as pool:
            return list(pool.map(work, tasks))


def open_study(table: Tabular, columns: Columns, config: TrainConfig) -> Study:
    """Take the labelled rows of `table` and split them: by time where there is one, else by chance."""
    whole = as_table(table)
    target = labels(whole, columns.label)
    known = np.flatnonzero(~np.isnan(target))
    target = target[known]
    _require_both(target, columns.label, minimum=config.minimum_of_each)
    data = whole.take(pa.array(known))
    folds = _usable(_split(data, target, columns, config), target, columns.label)
    weight = None if columns.weight is None else numbers(columns.weight, column(data, columns.weight))
    return Study(data, target, columns.list_features(data), folds, config, weight)


def _split(data: pa.Table, target: Floats, columns: Columns, config: TrainConfig) -> tuple[Fold, ...]:
    if columns.time is not None:
        return split_by_time(data, columns.time, folds=config.folds or 3, maturity_days=config.maturity_days)
    customers = None if columns.customer is None else column(data, columns.customer).to_numpy(zero_copy_only=False)
    return split_by_chance(target, folds=config.folds or 5, seed=config.seed, group=customers)


def _usable(folds: tuple[Fold, ...], target: Floats, label: str) -> tuple[Fold, ...]:
    """Keep the folds that can be learned from; what they validate must hold both outcomes."""
    usable = tuple(fold for fold in folds if 0 < target[fold.train].mean() < 1)
    validated = target[np.concatenate([fold.validate for fold in usable])] if usable else np.empty(0)
    if not (len(validated) and 0 < validated.mean() < 1):
        raise DatasetError(
            f"label {label!r} does not show both outcomes both before and within the validation rows. Add snapshots in "
            "which customers churned, or use the rule score until then."
        )
    return usable


def _require_both(target: Floats, label: str, *, minimum: int) -> None:
    churned = int(target.sum())
    stayed = len(target) - churned
    if min(churned, stayed) < minimum:
        raise DatasetError(
            f"label {label!r} has {churned} churned and {stayed} stayed rows; {minimum} of each are needed to train "
            "and to validate. Add history, widen the churn definition, or use the rule score until then."
        )
