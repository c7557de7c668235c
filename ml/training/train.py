"""Training: candidates validated on rows later than they learned from, calibrated there, and the best one refitted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from ml.dataset import Columns, Rows, Tabular, as_table, days, labels
from ml.encode import Encoder
from ml.evaluate import Evaluation, base_rate_log_loss, evaluate
from ml.explaining.causes import Causes
from ml.learners import list_candidates
from ml.learners.base import Candidate, Learner
from ml.training.blend import BLEND, Blend, list_blends, predict_out_of_fold
from ml.training.calibrate import Calibrator
from ml.training.config import TrainConfig
from ml.training.pipeline import ChurnModel, Model
from ml.training.study import Study, Trial, open_study


@dataclass(frozen=True)
class Fitted:
    """What training found.

    `model` has learned from every labelled row. `evaluations` and `validation` come from models that had not:
    `validation` has one row per validated row, with `row` (its number in the training table), `fold`, `label` and
    the calibrated `probability` that the chosen candidate gave it out of fold. `candidates` are the hyperparameters
    that did best, by algorithm.
    """

    model: Model
    chosen: str
    evaluations: Mapping[str, Evaluation]
    validation: pa.Table
    rows: int
    base_rate: float
    candidates: Mapping[str, Candidate] = field(default_factory=dict)

    @property
    def used(self) -> dict[str, tuple[Candidate, ...]]:
        """The hyperparameters of the model, for a `fit` of other rows that is to try no other."""
        names = self.model.weights if isinstance(self.model, ChurnModel) else self.candidates
        return {name: (self.candidates[name],) for name in sorted(names)}


def fit(
    table: Tabular,
    columns: Columns,
    config: TrainConfig | None = None,
    *,
    candidates: Mapping[str, Sequence[Candidate]] | None = None,
) -> Fitted:
    """Learn the probability of `columns.label` from the features.

    With a time column the last `folds` (3) snapshots validate, each on models of the snapshots whose labels, known
    after `maturity_days`, were in by then. Without, `folds` (5) stratified folds do, and rows of one customer stay
    together. Each algorithm's hyperparameters, the blend's weights and the calibration are chosen on those validation
    rows alone; the figures in `evaluations` leave each fold out of its own calibration and blend. Of the algorithms,
    the blend among them, whose log loss is as low as the lowest but for chance the one that ranks best, by ROC-AUC, is
    refitted on all labelled rows; the blend where none ranks better than it but for chance. See `TrainConfig`.

    `candidates` are tried instead of those of the algorithms that `config` names, as `Fitted.used` of an earlier fit
    or `ml.training.tune` give them. Raises a `DatasetError` where the table cannot be learned from.
    """
    config = config or TrainConfig()
    study = open_study(table, columns, config)
    trials = study.compare(candidates or list_candidates(config.candidates))
    blends = list_blends(study, trials)
    evaluations = {name: _evaluate(study, blend, trials) for name, blend in blends.items()}
    chosen = choose(evaluations, config)
    model = _refit(study, chosen, blends[chosen], trials)
    if columns.time is not None:
        model = replace(model, trained_until=str(days(study.data, columns.time).max()))
    if causes := [name for name in columns.causes if name in study.features]:
        learned = Causes.learn(study.data, study.target, causes, weight=study.weight, seed=config.seed)
        model = replace(model, causes=learned)
    known = np.flatnonzero(~np.isnan(labels(as_table(table), columns.label)))
    return Fitted(
        model=model,
        chosen=chosen,
        evaluations=evaluations,
        validation=_list_validation(study, blends[chosen], trials, rows=known),
        rows=len(study.target),
        base_rate=float(np.average(study.target, weights=study.weight)),
        candidates={name: trial.settle() for name, trial in trials.items()},
    )


def choose(evaluations: Mapping[str, Evaluation], config: TrainConfig) -> str:
    """Return the best ranking among those whose loss is as low as the lowest but for chance, a blend preferred."""
    lowest = min(evaluations.values(), key=lambda each: each.log_loss)
    bound = lowest.log_loss + config.log_loss_tolerance * base_rate_log_loss(lowest.base_rate)
    tied = {name: each.auc for name, each in evaluations.items() if each.log_loss <= bound}
    return max(tied, key=lambda name: (tied[name] + config.auc_tolerance * (name == BLEND), name))


def _evaluate(study: Study, blend: Blend, trials: Mapping[str, Trial]) -> Evaluation:
    """Evaluate out-of-fold predictions."""
    probability = predict_out_of_fold(study, blend, trials)
    weight = study.weigh(study.validated)
    return evaluate(study.label, probability, capacity=study.config.capacity_share, weight=weight)


def _list_validation(study: Study, blend: Blend, trials: Mapping[str, Trial], *, rows: Rows) -> pa.Table:
    """Return the out-of-fold predictions as a table; see `Fitted`."""
    return pa.table(
        {
            "row": rows[study.validated],
            "fold": study.fold_of,
            "label": study.label,
            "probability": predict_out_of_fold(study, blend, trials),
        }
    )


def _refit(study: Study, name: str, blend: Blend, trials: Mapping[str, Trial]) -> ChurnModel:
    """Learn from every labelled row; the calibration stays the one of out-of-fold predictions."""
    seed, compute = study.config.seed, study.config.compute
    encoder, matrix = Encoder.learn_and_encode(study.data, study.features, study.target, seed=seed)
    names = sorted(blend.shares)
    built = [trials[each].candidate.build(rounds=trials[each].rounds, final=True) for each in names]

    def learn(learner: Learner) -> Learner:
        learner.name_columns(encoder.columns)
        return learner.fit(matrix, study.target, weight=study.weight, seed=seed, compute=compute)

    members = dict(zip(names, study.side_by_side(learn, built), strict=True))
    calibrator = Calibrator.learn(blend.log_odds(trials), study.label, weight=study.weigh(study.validated))
    calibrator = replace(calibrator, shift=_measure_rise(study))
    return ChurnModel(name, encoder, members, blend.shares, calibrator, seed=seed)


def _measure_rise(study: Study) -> float:
    """Return by how much the log-odds of churn lie higher in all rows than in those that the folds learned from.

    A model's level is that of its training rows. Where churn rises over time, the folds' models lie too low and
    their calibration lifts them; the model of all rows has risen by itself, and must not be lifted twice.
    """
    every = np.arange(len(study.target))
    levels = [_level(study, fold.train) for fold in study.folds]
    return float(_level(study, every) - np.average(levels, weights=[len(fold.validate) for fold in study.folds]))


def _level(study: Study, rows: Rows) -> float:
    rate = np.average(study.target[rows], weights=study.weigh(rows))
    return float(np.log(rate / (1 - rate)))
