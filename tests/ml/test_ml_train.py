import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import ml
from company.churn import ChurnDefinition
from company.policy import load_policy
from ml.dataset import Columns, DatasetError, Fold, days, split_by_chance, split_by_time
from ml.evaluate import base_rate_log_loss, evaluate
from ml.learners import UnknownLearnerError
from ml.learners.base import Candidate, Compute
from ml.learners.linear import Linear
from ml.learners.trees import Trees
from ml.training.config import TrainConfig
from ml.training.grouped import read_model
from ml.training.pipeline import ChurnModel
from ml.training.study import Study, Trial, open_study
from ml.training.train import Fitted, choose, fit

CONSTANT = """
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ml.learners.base import Algorithm, Candidate, Contributions, Learner


@dataclass
class Constant(Learner):
    kind: ClassVar[str] = "constant"
    level_: float = field(init=False, default=0.0)

    def fit(self, matrix, label, *, weight, seed, compute):
        self.level_ = float(np.log(label.mean() / (1 - label.mean())))
        return self

    def log_odds(self, matrix):
        return np.full(len(matrix), self.level_)

    def contributions(self, matrix, *, exact=True):
        return Contributions(np.zeros(matrix.shape), self.level_)


ALGORITHMS = (Algorithm("constant", (Candidate(Constant()),)),)
"""
USE_CONSTANT = """
import pandas as pd

from ml.dataset import Columns
from ml.training.config import TrainConfig
from ml.training.grouped import read_model
from ml.training.train import fit

table = pd.DataFrame({"silence": range(200), "churned": [row % 4 == 0 for row in range(200)]})
fitted = fit(table, Columns("churned"), TrainConfig(candidates=("constant",)))
again = read_model(fitted.model.to_bytes())
print(fitted.chosen, *(round(float(model.predict(table)[0]), 2) for model in (fitted.model, again)))
"""


def test_the_model_ranks_customers_it_never_saw_and_its_probabilities_are_calibrated(
    fitted: Fitted, world: Callable[..., pa.Table]
) -> None:
    later = world(seed=1, customers=2000, months=3)
    label = later.column("churned").to_numpy(zero_copy_only=False).astype(float)

    found = evaluate(label, fitted.model.predict(later))

    assert found.auc > 0.76
    assert found.ece < 0.05
    assert found.brier_skill > 0.1


def test_every_candidate_and_the_blend_are_evaluated_and_the_model_bears_the_name_of_the_chosen(fitted: Fitted) -> None:
    assert set(fitted.evaluations) == {"logistic_regression", "random_forest", "xgboost", "blend"}
    assert fitted.model.name == fitted.chosen in fitted.evaluations


@pytest.mark.parametrize(
    ("loss", "auc", "rate", "chosen"),
    [
        (0.3000, 0.8019, 0.15, "xgboost"),
        (0.3000, 0.8009, 0.15, "blend"),
        (0.3020, 0.9000, 0.15, "blend"),
        (0.2980, 0.7000, 0.15, "xgboost"),
        (0.3000, 0.7000, 0.02, "xgboost"),  # among rare churn half a thousandth of log loss is no chance
    ],
)
def test_within_a_tie_of_log_loss_the_better_ranking_is_chosen_and_the_blend_where_that_ties_too(
    fitted: Fitted, loss: float, auc: float, rate: float, chosen: str
) -> None:
    shown = replace(fitted.evaluations["blend"], base_rate=rate)
    blend, alone = (replace(shown, log_loss=each, auc=rank) for each, rank in ((0.3005, 0.8000), (loss, auc)))

    assert choose({"blend": blend, "xgboost": alone}, TrainConfig()) == chosen


@pytest.mark.parametrize("candidate", ["logistic_regression", "random_forest", "xgboost", "neural_net", "blend"])
def test_contributions_add_up_to_the_log_odds_of_every_kind_of_model(
    table: pa.Table, candidate: str, columns: Columns
) -> None:
    candidates = ("logistic_regression", "neural_net", "xgboost") if candidate == "blend" else (candidate,)
    model = _model(table, columns, candidates)

    log_odds = model.log_odds(table)
    for exact in (True, False):
        values, base = model.contributions(table, exact=exact)
        assert values.shape == (table.num_rows, len(model.features))
        np.testing.assert_allclose(values.sum(axis=1) + base, log_odds, atol=1e-4)


def _model(table: pa.Table, columns: Columns, candidates: tuple[str, ...]) -> ChurnModel:
    parts = [fit(table, columns, TrainConfig(candidates=(each,), folds=1)).model for each in candidates]
    members = {each: part.members[each] for each, part in zip(candidates, parts, strict=True)}
    shares = {each: (position + 1) / sum(range(len(parts) + 1)) for position, each in enumerate(candidates)}
    return ChurnModel("any", parts[0].encoder, members, shares, parts[0].calibrator)


def test_the_same_seed_gives_the_same_model_and_the_same_scores(
    table: pa.Table, fitted: Fitted, columns: Columns
) -> None:
    again = fit(table, columns, TrainConfig(horizon_days=28))

    assert again.model.fingerprint == fitted.model.fingerprint
    assert (again.model.predict(table) == fitted.model.predict(table)).all()


def test_another_seed_gives_another_model(table: pa.Table, columns: Columns) -> None:
    first, second = (
        fit(table, columns, TrainConfig(candidates=("xgboost",), folds=1, seed=seed)).model.fingerprint
        for seed in (0, 1)
    )

    assert first != second


def test_a_model_read_back_from_its_bytes_scores_to_the_bit_alike(table: pa.Table, fitted: Fitted) -> None:
    again = read_model(fitted.model.to_bytes())

    assert again.fingerprint == fitted.model.fingerprint
    assert (again.predict(table) == fitted.model.predict(table)).all()


def test_missing_values_unseen_categories_and_integers_are_normal_input(fitted: Fitted) -> None:
    odd = pa.table(
        {
            "recency_days": pa.array([None, 3], pa.int64()),
            "orders_90d": pa.array([None, None]),
            "complaints": [float("inf"), 1.0],
            "plan": pa.array(["never seen", None]),
        }
    )

    found = fitted.model.predict(odd)

    assert ((found > 0) & (found < 1)).all()


def test_a_data_frame_is_scored_like_the_arrow_table(table: pa.Table, fitted: Fitted) -> None:
    frame = table.to_pandas()

    np.testing.assert_array_equal(fitted.model.predict(frame), fitted.model.predict(table))


def test_a_missing_feature_column_is_named(table: pa.Table, fitted: Fitted) -> None:
    with pytest.raises(DatasetError, match="column 'complaints' is missing"):
        fitted.model.predict(table.drop_columns("complaints"))


def test_a_date_among_the_features_is_named(table: pa.Table, names: tuple[str, ...]) -> None:
    with pytest.raises(DatasetError, match="feature 'as_of' has type date32"):
        fit(table, Columns("churned", features=[*names, "as_of"]))


def test_too_few_churners_are_refused_with_their_number(table: pa.Table, names: tuple[str, ...]) -> None:
    few = table.slice(0, 12)

    with pytest.raises(DatasetError, match=r"churned and .* stayed rows; 10 of each are needed"):
        fit(few, Columns("churned", features=names))


def test_rows_without_a_label_are_not_learned_from(table: pa.Table, columns: Columns, one: TrainConfig) -> None:
    last = pc.equal(table.column("as_of"), pc.max(table.column("as_of")))
    immature = pc.if_else(last, None, table.column("churned"))
    position = table.column_names.index("churned")

    found = fit(table.set_column(position, "churned", immature), columns, one)

    assert found.rows == 2000
    assert found.model.trained_until == "2025-05-01"


def test_a_split_by_time_learns_only_from_snapshots_whose_labels_had_matured(table: pa.Table) -> None:
    when = days(table, "as_of")

    found = split_by_time(table, "as_of", folds=2, maturity_days=35)

    assert [(when[fold.train].max(), set(when[fold.validate])) for fold in found] == [
        (np.datetime64("2025-03-01"), {np.datetime64("2025-05-01")}),
        (np.datetime64("2025-04-01"), {np.datetime64("2025-06-01")}),
    ]


def test_one_snapshot_alone_cannot_be_split_by_time(table: pa.Table) -> None:
    with pytest.raises(DatasetError, match="1 snapshot"):
        split_by_time(table.slice(0, 400), "as_of")


def test_rows_of_one_group_never_straddle_a_split() -> None:
    group = np.repeat(np.arange(50), 4)
    label = np.tile([0.0, 1.0], 100)

    found = split_by_chance(label, group=group)

    assert [set(group[fold.train]) & set(group[fold.validate]) for fold in found] == [set()] * 5


def test_validation_probabilities_do_not_come_from_the_labels_they_are_judged_by(
    table: pa.Table, columns: Columns
) -> None:
    """With labels drawn at random nothing can be learned, so a look at one's own label would show at once."""
    noise = np.random.default_rng(3).random(table.num_rows) < 0.3
    random = table.set_column(table.column_names.index("churned"), "churned", pa.array(noise))

    found = fit(random, columns, TrainConfig(horizon_days=28))

    assert all(each.auc < 0.56 for each in found.evaluations.values())
    assert abs(found.validation.column("probability").to_numpy().mean() - 0.3) < 0.05


def test_the_model_file_holds_no_value_of_a_single_customer(
    table: pa.Table, columns: Columns, names: tuple[str, ...], one: TrainConfig
) -> None:
    marked = table.append_column("nickname", pa.array([f"person {row}" for row in range(table.num_rows)]))

    model = fit(marked, replace(columns, features=[*names, "nickname"]), one).model

    assert b"person" not in model.to_bytes()


def test_between_hyperparameters_whose_loss_differs_by_chance_the_better_ranking_decides() -> None:
    draw = np.random.default_rng(2)
    log_odds = 1.5 * draw.normal(size=400)
    label = (draw.random(400) < 1 / (1 + np.exp(-log_odds))).astype(float)
    folds, config = (Fold(np.arange(0), np.arange(400)),), TrainConfig()
    study = Study(pa.table({"x": log_odds}), label, ("x",), folds, config)
    fine, coarse = (Trial(Candidate(Linear()), None, each) for each in (log_odds, np.round(2 * log_odds) / 2))

    chosen = study.choose([coarse, fine])

    tolerance = config.log_loss_tolerance * base_rate_log_loss(label.mean())
    assert study.loss(coarse.log_odds) < study.loss(fine.log_odds) < study.loss(coarse.log_odds) + tolerance
    assert chosen is fine


def test_where_churn_has_risen_the_model_of_all_months_is_not_lifted_twice(one: TrainConfig) -> None:
    draw = np.random.default_rng(0)
    level = np.repeat([-2.4, -2.4, -1.0, -1.0, -1.0, -1.0], 1500)
    signal = draw.normal(size=len(level))
    table = pa.table(
        {
            "as_of": np.repeat([f"2025-0{month}-01" for month in range(1, 7)], 1500).tolist(),
            "signal": signal,
            "churned": draw.random(len(level)) < 1 / (1 + np.exp(-(level + signal))),
        }
    )
    now = np.array(table.column("churned").to_pylist())[-1500:].mean()

    model = fit(table, Columns("churned", "as_of"), replace(one, horizon_days=28)).model

    assert abs(model.predict(table.slice(7500)).mean() - now) < 0.02


def test_trees_grown_in_steps_are_those_grown_at_once() -> None:
    draw = np.random.default_rng(0)
    matrix = draw.normal(size=(300, 4)).astype(np.float32)
    label = (draw.random(300) < 0.3).astype(float)
    trees = Trees(params={"max_depth": 3, "subsample": 0.5}, rounds=12)
    given = {"weight": None, "seed": 1, "compute": Compute()}

    grown = trees.begin(matrix, label, **given).until(5).until(12)

    assert (grown.log_odds(matrix) == trees.fit(matrix, label, **given).log_odds(matrix)).all()


def test_growing_ends_with_the_first_number_of_rounds_that_does_not_help(table: pa.Table, columns: Columns) -> None:
    study = open_study(table, columns, TrainConfig(folds=1))
    eager = Candidate(Trees(params={"learning_rate": 0.5, "max_depth": 6}), rounds=(5, 60, 120, 240))

    trials = study.run(eager)

    losses = [study.loss(trial.log_odds) for trial in trials]
    assert [trial.rounds for trial in trials] == [5, 60]
    assert losses[0] < losses[1]


def test_a_candidate_that_no_learner_declares_is_refused_by_name_with_those_that_are() -> None:
    with pytest.raises(UnknownLearnerError) as refused:
        TrainConfig(candidates=("xgboost", "gradient_descent"))

    assert str(refused.value) == (
        "In the policy the key 'training.candidates' names 'gradient_descent', which no module of ml/learners "
        "declares; known are by_cluster, decision_tree, logistic_regression, lstm, neural_net, random_forest, "
        "svm, xgboost, xgboost_and_neural_net. Correct it under `policy:`, or add the learner."
    )


def test_every_figure_of_a_training_comes_from_the_policy_and_the_churn_definition() -> None:
    changed = {"candidates": ["xgboost"], "seed": 7, "capacity_share": 0.2, "treated": "weighted", "largest_weight": 5}
    policy = load_policy({"training": {**changed, "group_margin": 0.3, "tuning_seconds": 1, "device": "cuda"}})

    config = TrainConfig.from_policy(policy, ChurnDefinition(definition="inactivity", lead_days=10, horizon_days=20))

    assert config == TrainConfig(
        candidates=("xgboost",),
        seed=7,
        compute=Compute(device="cuda"),
        lead_days=10,
        horizon_days=20,
        capacity_share=0.2,
        treated="weighted",
        largest_weight=5,
        group_margin=0.3,
        promotion=policy.promotion,
        tuning_seconds=1,
    )
    assert config.maturity_days == 30


def test_a_new_learner_is_one_new_file(tmp_path: Path) -> None:
    """In a copy of the package, a learner that gives everybody the base rate is trained by its name and read back."""
    shutil.copytree(Path(ml.__file__).parent, tmp_path / "ml")
    (tmp_path / "ml" / "learners" / "constant.py").write_text(CONSTANT)
    run = [sys.executable, "-c", USE_CONSTANT]
    path = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(ml.__file__).parents[1]}"}

    found = subprocess.run(run, cwd=tmp_path, env=path, capture_output=True, text=True, check=False)

    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == ["constant", "0.25", "0.25"]
