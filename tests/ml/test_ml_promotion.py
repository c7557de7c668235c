from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from company.policy.training import Promotion
from ml.dataset import Columns
from ml.evaluate import Evaluation, evaluate
from ml.training.config import TrainConfig
from ml.training.promotion import compare, decide
from ml.training.train import Fitted, fit

LIMITS = Promotion(
    mode="auto",
    margin=0.002,
    minimum_auc=0.6,
    maximum_calibration_error=0.05,
    minimum_gain=0.0,
    live_share=0.0,
    live_days=180,
)
GOOD = Evaluation(
    n=4000,
    base_rate=0.12,
    auc=0.85,
    pr_auc=0.45,
    brier=0.085,
    ece=0.01,
    log_loss=0.28,
    accuracy=0.885,
    majority_accuracy=0.88,
    lift_at_capacity=4.0,
    capacity=0.1,
)


def test_a_model_without_gain_over_the_baseline_is_refused_though_its_accuracy_is_97_percent() -> None:
    draw = np.random.default_rng(0)
    label = (draw.random(5000) < 0.03).astype(float)
    blind = evaluate(label, np.clip(0.03 + draw.normal(0, 0.001, 5000), 0.001, 1))

    found = decide(blind, None, promotion=LIMITS)

    assert blind.accuracy > 0.96
    assert not found.promote
    assert found.reason.startswith("refused: ")


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({"auc": 0.59}, "AUC"),
        ({"ece": 0.06}, "calibration error"),
        ({"pr_auc": 0.12}, "PR-AUC"),
        ({"brier": 0.11}, "Brier"),
        ({"lift_at_capacity": 1.0}, "top 10% churn"),
        ({"accuracy": 0.80}, "accuracy"),
    ],
)
def test_each_fault_alone_refuses_a_good_model_and_is_named(fault: dict[str, float], word: str) -> None:
    found = decide(replace(GOOD, **fault), None, promotion=LIMITS)

    assert not found.promote
    assert word in found.reason


def test_the_first_sound_model_becomes_champion_with_its_accuracy_next_to_the_baseline() -> None:
    found = decide(GOOD, None, promotion=LIMITS)

    assert found.promote
    assert "accuracy 88.5% next to a majority baseline of 88.0%" in found.reason


@pytest.mark.parametrize(
    ("gain", "promote"),
    [
        ({}, False),
        ({"auc": 0.8515}, False),
        ({"auc": 0.853}, True),
        ({"auc": 0.853, "brier": 0.086}, False),
        ({"brier": 0.080}, True),
        ({"brier": 0.080, "auc": 0.849}, False),
    ],
)
def test_a_challenger_needs_the_margin_on_one_figure_and_no_loss_on_the_other(
    gain: dict[str, float],
    promote: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    assert decide(replace(GOOD, **gain), GOOD, promotion=LIMITS).promote is promote


def test_evaluations_on_different_rows_are_not_compared() -> None:
    with pytest.raises(ValueError, match="different data"):
        decide(GOOD, replace(GOOD, n=3999), promotion=LIMITS)


def test_champion_and_challenger_are_compared_on_snapshots_neither_had_learned_from(
    table: pa.Table, fitted: Fitted, columns: Columns, one: TrainConfig
) -> None:
    champion = fit(table.slice(0, 2000), columns, one).model

    found = compare(fitted, champion, table, time="as_of", promotion=LIMITS, capacity=0.1)

    assert found.champion is not None
    assert (found.challenger.n, found.champion.n) == (400, 400)
    assert found.challenger.base_rate == found.champion.base_rate


def test_nothing_is_promoted_without_a_snapshot_later_than_the_champions_last(table: pa.Table, fitted: Fitted) -> None:
    found = compare(fitted, fitted.model, table, time="as_of", promotion=LIMITS, capacity=0.1)

    assert not found.decision.promote
    assert "no labelled snapshot is later than 2025-06-01" in found.decision.reason


def test_a_better_model_replaces_a_champion_that_knows_less(table: pa.Table, fitted: Fitted) -> None:
    few = Columns("churned", "as_of", features=("orders_90d", "complaints"))
    poor = fit(table.slice(0, 1200), few, TrainConfig(candidates=("xgboost",))).model

    found = compare(fitted, poor, table, time="as_of", promotion=LIMITS, capacity=0.1)

    assert found.decision.promote


@pytest.mark.parametrize(("rows", "promote"), [(200, True), (20_000, False)])
def test_a_calibration_error_that_chance_explains_does_not_refuse(
    rows: int,
    promote: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    shown = replace(GOOD, n=rows, ece=0.06)

    assert decide(shown, None, promotion=LIMITS).promote is promote
