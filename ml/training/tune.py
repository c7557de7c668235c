"""Searching for better hyperparameters: opt-in, within a budget, every trial recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml.dataset import Columns, Tabular
from ml.learners import list_candidates, load_algorithms
from ml.learners.base import Candidate, Range, SearchSpace
from ml.training.config import TrainConfig
from ml.training.study import Study, open_study

if TYPE_CHECKING:
    from optuna import Trial


@dataclass(frozen=True)
class TrialRecord:
    """Hyperparameters that were tried: the trial's number, what was drawn, and the log loss out of fold."""

    number: int
    algorithm: str
    parameters: Mapping[str, float]
    rounds: int
    log_loss: float


@dataclass(frozen=True)
class Tuned:
    """Candidates for `fit`, the stock ones among them, and every trial in order."""

    candidates: Mapping[str, Sequence[Candidate]]
    trials: tuple[TrialRecord, ...]


def tune(table: Tabular, columns: Columns, config: TrainConfig) -> Tuned:
    """Search each algorithm's space for its part of `tuning_seconds`, or for `tuning_trials`; with neither for nothing.

    The search is Optuna's tree-structured Parzen estimator on the log loss of the same splits that `fit` makes. With
    `tuning_trials` it is reproducible, with `tuning_seconds` it depends on the machine. The best are added to the stock
    candidates, so that `fit` compares them with each other and the search cannot make the choice worse on validation
    rows.
    """
    candidates: dict[str, Sequence[Candidate]] = dict(list_candidates(config.candidates))
    spaces = {name: space for name in candidates if (space := load_algorithms()[name].space) is not None}
    if not spaces or not (config.tuning_seconds or config.tuning_trials):
        return Tuned(candidates, ())
    study = open_study(table, columns, config)
    records: list[TrialRecord] = []
    for name, space in spaces.items():
        searched = _search(study, name, space, first=len(records), seconds=config.tuning_seconds / len(spaces))
        best = sorted(searched, key=lambda each: (each[0].log_loss, each[0].number))[: config.tuning_keeps]
        candidates[name] = (*candidates[name], *(candidate for _, candidate in best))
        records.extend(record for record, _ in searched)
    return Tuned(candidates, tuple(records))


def _search(
    study: Study, name: str, space: SearchSpace, *, first: int, seconds: float
) -> list[tuple[TrialRecord, Candidate]]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    searched: list[tuple[TrialRecord, Candidate]] = []

    def objective(trial: "Trial") -> float:
        drawn = {key: _draw(trial, key, each) for key, each in space.ranges.items()}
        losses = {each.rounds or 0: (study.loss(each.log_odds), each) for each in study.run(space.build(drawn))}
        rounds = min(losses, key=lambda number: (losses[number][0], number))
        loss, best = losses[rounds]
        searched.append((TrialRecord(first + trial.number, name, drawn, rounds, loss), best.settle()))
        return loss

    search = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=study.config.seed))
    search.optimize(objective, n_trials=study.config.tuning_trials, timeout=seconds or None)
    return searched


def _draw(trial: "Trial", name: str, drawn: Range) -> float:
    if drawn.whole:
        return trial.suggest_int(name, int(drawn.low), int(drawn.high), log=drawn.log)
    return trial.suggest_float(name, drawn.low, drawn.high, log=drawn.log)
