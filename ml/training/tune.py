"""Searching for better settings: opt-in, within a budget, every trial told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml.dataset import Tabular
from ml.learners.members import Compute, Trees
from ml.training.train import RECIPES, Recipe, open_study

if TYPE_CHECKING:
    from optuna import Trial

ROUNDS = (100, 200, 400)


@dataclass(frozen=True)
class TrialRecord:
    """One setting that was tried: its number, its parameters, and the log loss on rows it had not learned from."""

    number: int
    parameters: Mapping[str, float]
    rounds: int
    log_loss: float


@dataclass(frozen=True)
class Tuned:
    """Recipes for `fit(..., recipes=...)`, the stock ones among them, and every trial in order."""

    recipes: Mapping[str, Sequence[Recipe]]
    trials: tuple[TrialRecord, ...]


def tune(
    table: Tabular,
    label: str,
    time: str | None = None,
    *,
    seconds: float = 0.0,
    trials: int | None = None,
    kept: int = 1,
    seed: int = 0,
    compute: Compute | None = None,
    **given: Any,  # noqa: ANN401 - the split, as fit has it
) -> Tuned:
    """Search the boosted trees' settings for `seconds`, or for so many `trials`; with neither nothing is searched.

    The search is Optuna's tree-structured Parzen estimator on the log loss of the same honest split that `fit` makes
    (`given`: features, group, folds, maturity_days, weight). With `trials` it is reproducible, with `seconds` it
    depends on the machine. The `kept` best are added to the stock settings, so that `fit` weighs them up against each
    other and the search cannot make the choice worse on validation rows.
    """
    if not seconds and not trials:
        return Tuned({}, ())
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = open_study(table, label, time, seed=seed, compute=compute, **given)
    records: list[tuple[TrialRecord, Recipe]] = []

    def objective(trial: "Trial") -> float:
        params = _suggest(trial)
        run = study.run(Recipe(Trees(params=params), rounds=ROUNDS))
        losses = {each.rounds or 0: study.loss(each.margin) for each in run}
        rounds = min(losses, key=lambda stop: (losses[stop], stop))
        record = TrialRecord(trial.number, params, rounds, losses[rounds])
        records.append((record, Recipe(Trees(params=params, rounds=rounds))))
        return losses[rounds]

    search = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    search.optimize(objective, n_trials=trials, timeout=seconds or None)
    best = sorted(records, key=lambda each: (each[0].log_loss, each[0].number))[:kept]
    recipes = {"xgboost": (*RECIPES["xgboost"], *(recipe for _, recipe in best))}
    return Tuned(recipes, tuple(record for record, _ in records))


def _suggest(trial: "Trial") -> dict[str, float]:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.1, log=True),
        "max_depth": trial.suggest_int("max_depth", 2, 8),
        "min_child_weight": trial.suggest_float("min_child_weight", 1.0, 50.0, log=True),
        "reg_lambda": trial.suggest_float("reg_lambda", 0.3, 100.0, log=True),
        "subsample": trial.suggest_float("subsample", 0.4, 1.0),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.2, 1.0),
        "colsample_bynode": trial.suggest_float("colsample_bynode", 0.3, 1.0),
    }
