"""A month's training in whole: what the parts that build on `fit` give each other."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from company.policy import load_policy
from ml.dataset import Columns
from ml.explaining.importance import Importance, measure_importance
from ml.training.config import TrainConfig
from ml.training.grouped import GroupedModel
from ml.training.monthly import Training, train
from ml.training.train import Fitted


def test_lead_times_share_the_hyperparameters_of_the_main_target_and_report_figures_or_a_reason(
    training: Training,
) -> None:
    main = training.treated.fitted

    assert sorted(training.lead_times.fitted) == [30]
    assert training.lead_times.fitted[30].used == main.used
    ahead, unknown = training.describe_lead_times()
    assert ahead.startswith("30 days ahead: AUC 0.")
    assert unknown.startswith("90 days ahead: label 'churned_after_90' has 0 churned")


def test_a_lead_time_whose_model_misses_the_limits_is_named_and_not_used(
    table: pa.Table, columns: Columns, one: TrainConfig
) -> None:
    noise = pa.array(np.random.default_rng(0).random(table.num_rows) < 0.3)
    nobody = pa.nulls(table.num_rows, pa.bool_())
    data = table.append_column("is_treated", nobody).append_column("churned_after_30", noise)
    ahead = replace(columns, treated="is_treated", lead_times={30: "churned_after_30"})

    found = train(data, ahead, replace(one, horizon_days=28, promotion=load_policy().promotion))

    assert found.lead_times.fitted == {}
    assert found.describe_lead_times()[0].startswith("30 days ahead: refused: ")


def test_the_same_month_gives_the_same_models_and_the_same_scores(
    training: Training, train_month: Callable[[], Training], table: pa.Table
) -> None:
    again = train_month()

    assert again.fitted.model.fingerprint == training.fitted.model.fingerprint
    assert again.lead_times.fitted[30].model.fingerprint == training.lead_times.fitted[30].model.fingerprint
    assert (again.fitted.model.predict(table) == training.fitted.model.predict(table)).all()


def test_for_every_group_it_is_reported_whether_it_got_a_model_of_its_own(training: Training) -> None:
    assert [each.partition(", ")[0] for each in training.describe_groups()] == [
        "busy: the shared model",
        "few: the shared model",
    ]
    assert "10 of each are needed" in training.describe_groups()[1]


def test_groups_learn_nothing_of_treated_customers(one: TrainConfig) -> None:
    """All who complain were treated and stayed: a group that learned from them would think complaints harmless."""
    draw = np.random.default_rng(4)
    rows = 4000
    complains, silence = draw.random(rows) < 0.4, draw.normal(size=rows)
    group = np.where(draw.random(rows) < 0.5, "odd", "even")
    logit = np.where(group == "odd", -2.0, 2.0) * silence + 1.0 * complains - 0.8
    treated = complains & (draw.random(rows) < 0.8)
    table = pa.table(
        {
            "as_of": np.repeat(["2025-01-01", "2025-02-01", "2025-03-01", "2025-04-01"], rows // 4).tolist(),
            "complains": complains.astype(float),
            "silence": silence,
            "group": group.tolist(),
            "is_treated": treated,
            "churned": (draw.random(rows) < 1 / (1 + np.exp(-logit))) & ~treated,
        }
    )
    columns = Columns(
        "churned",
        "as_of",
        features=("complains", "silence"),
        causes=("complains",),
        treated="is_treated",
        group="group",
    )

    model = train(table, columns, replace(one, horizon_days=28, group_margin=0.01)).fitted.model

    assert isinstance(model, GroupedModel)
    asked = pa.table({"complains": [0.0, 1.0], "silence": [0.0, 0.0], "group": ["odd", "odd"]})
    calm, complaining = model.predict(asked)
    assert complaining > calm
    causes = model.cause_contributions(asked)
    assert causes[1, 0] > 0 > causes[0, 0]


def test_importance_is_measured_by_month_and_its_stability_is_that_of_the_ranks(small: Fitted, table: pa.Table) -> None:
    found = measure_importance(small.model, table, "as_of", months=2, rows=150)

    assert list(found.by_month) == ["2025-05-01", "2025-06-01"]
    assert sum(found.shares.values()) == pytest.approx(1)
    mean = np.mean([list(month.values()) for month in found.by_month.values()], axis=0)
    np.testing.assert_allclose(list(found.shares.values()), mean)
    shares = {"a": 0.5, "b": 0.3, "c": 0.2}
    turned = Importance(shares, {"one": shares, "two": shares, "three": {"a": 0.2, "b": 0.3, "c": 0.5}})
    assert (turned.stability, Importance(shares, {"one": shares}).stability) == (pytest.approx(-1), None)
