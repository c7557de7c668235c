from collections.abc import Callable
from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from company.policy import load_policy
from ml.evaluate import Evaluation, evaluate
from ml.monitoring.drift import (
    Check,
    Snapshot,
    decide_request,
    describe_reference,
    measure_drift,
    measure_performance,
    population_stability,
)

LIMITS = load_policy({"drift": {"psi": 0.25, "score_psi": 0.25}}).drift
IMPORTANCE = {"recency_days": 0.7, "complaints": 0.2, "plan": 0.06, "orders_90d": 0.04}
SOUND = Evaluation(
    n=2000,
    base_rate=0.2,
    auc=0.80,
    pr_auc=0.5,
    brier=0.12,
    ece=0.01,
    log_loss=0.4,
    accuracy=0.84,
    majority_accuracy=0.80,
    lift_at_capacity=3.0,
    capacity=0.1,
)
DECAY = load_policy().performance


def changed(table: pa.Table, name: str, values: object) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def test_two_samples_of_one_world_have_not_drifted(names: tuple[str, ...], world: Callable[..., pa.Table]) -> None:
    found = measure_drift(Snapshot(world(0)), Snapshot(world(1)), names, IMPORTANCE, limits=LIMITS)

    assert found.state == "stable"
    assert found.drifted_importance == 0.0
    assert max(each.psi for each in found.features) < 0.02


def test_a_shift_of_the_heaviest_feature_asks_for_a_new_training_and_is_named(
    names: tuple[str, ...], world: Callable[..., pa.Table]
) -> None:
    after = world(1)
    slower = changed(after, "recency_days", pc.multiply(after.column("recency_days"), 2.0))

    found = measure_drift(Snapshot(world(0)), Snapshot(slower), names, IMPORTANCE, limits=LIMITS)

    assert found.drifted
    assert "recency_days: PSI" in found.reason
    assert found.drifted_importance == pytest.approx(0.7 / 0.9)


def test_a_shift_of_a_feature_without_weight_is_seen_and_does_not_count(
    names: tuple[str, ...], world: Callable[..., pa.Table]
) -> None:
    after = world(1)
    more = changed(after, "orders_90d", pc.add(after.column("orders_90d"), 20.0))

    found = measure_drift(Snapshot(world(0)), Snapshot(more), names, IMPORTANCE, limits=LIMITS)

    shifted = next(each for each in found.features if each.feature == "orders_90d")
    assert shifted.psi > 1
    assert (shifted.counts, shifted.drifted, found.drifted) == (False, False, False)


def test_new_categories_and_new_gaps_count_as_drift(names: tuple[str, ...], world: Callable[..., pa.Table]) -> None:
    after = world(1)
    renamed = changed(after, "plan", pa.array(["brand new"] * after.num_rows))
    gone = changed(renamed, "complaints", pa.array([None] * after.num_rows, pa.float64()))

    found = {each.feature: each.psi for each in measure_drift(
        Snapshot(world(0)), Snapshot(gone), names, IMPORTANCE, limits=LIMITS
    ).features}  # fmt: skip

    assert found["plan"] > 1
    assert found["complaints"] > 1


def test_a_shift_of_the_scores_alone_asks_for_a_new_training(
    names: tuple[str, ...], world: Callable[..., pa.Table]
) -> None:
    draw = np.random.default_rng(0)
    scores = (draw.beta(1, 8, 2400), draw.beta(3, 8, 2400))

    found = measure_drift(
        Snapshot(world(0), scores[0]), Snapshot(world(1), scores[1]), names, IMPORTANCE, limits=LIMITS
    )

    assert found.drifted


def slower(table: pa.Table, times: float) -> pa.Table:
    return changed(table, "recency_days", pc.multiply(table.column("recency_days"), times))


def test_a_season_that_came_a_year_ago_as_well_is_no_drift(
    names: tuple[str, ...], world: Callable[..., pa.Table]
) -> None:
    christmas, year_ago = Snapshot(slower(world(1), 2.0)), Snapshot(slower(world(2), 2.0))

    found = measure_drift(Snapshot(world(0)), christmas, names, IMPORTANCE, limits=LIMITS, year_ago=year_ago)

    recency = found.features[0]
    assert (found.state, recency.feature, recency.drifted) == ("stable", "recency_days", False)
    assert recency.psi > LIMITS.psi > (recency.psi_alike or 0.0)


def test_a_shock_is_drift_although_there_is_a_year_to_compare_with(
    names: tuple[str, ...], world: Callable[..., pa.Table]
) -> None:
    found = measure_drift(
        Snapshot(world(0)),
        Snapshot(slower(world(1), 2.0)),
        names,
        IMPORTANCE,
        limits=LIMITS,
        year_ago=Snapshot(world(2)),
    )

    assert found.state == "drifted"


def test_what_looks_like_any_slice_that_was_learned_from_is_no_drift(
    names: tuple[str, ...], world: Callable[..., pa.Table]
) -> None:
    learned = [Snapshot(slower(world(seed), times)) for seed, times in ((2, 2.0), (3, 1.5), (4, 1.0))]

    found = measure_drift(
        learned[2], Snapshot(slower(world(1), 2.0)), names, IMPORTANCE, limits=LIMITS, learned=learned
    )

    assert (found.state, found.features[0].drifted) == ("stable", False)


@pytest.mark.parametrize(("times", "state"), [(1.8, "stable"), (4.0, "drifted")])
def test_without_a_year_a_feature_has_to_move_further_than_it_ever_did(
    names: tuple[str, ...], world: Callable[..., pa.Table], times: float, state: str
) -> None:
    usual = [(Snapshot(world(2)), Snapshot(slower(world(3), 2.0)))]

    found = measure_drift(
        Snapshot(world(0)), Snapshot(slower(world(1), times)), names, IMPORTANCE, limits=LIMITS, ordinary=usual
    )

    assert found.state == state


def test_the_reference_is_deciles_and_shares_of_the_heavy_features_and_no_row(
    names: tuple[str, ...], world: Callable[..., pa.Table]
) -> None:
    found = describe_reference(world(0), names, {"plan": 0.6, "orders_90d": 0.4}, importance_share=1.0)

    assert [each.feature for each in found] == ["plan", "orders_90d"]
    assert found[0].levels == pytest.approx({"basic": 1 / 3, "plus": 1 / 3, "pro": 1 / 3}, abs=0.03)
    assert found[1].deciles == (3.0, 4.0, 5.0, 5.0, 6.0, 7.0, 7.0, 8.0, 9.0)
    assert found[1].missing == pytest.approx(0.3, abs=0.03)


def test_below_the_sample_floor_nothing_is_said(names: tuple[str, ...], world: Callable[..., pa.Table]) -> None:
    found = measure_drift(Snapshot(world(0)), Snapshot(world(1).slice(0, 199)), names, IMPORTANCE, limits=LIMITS)

    assert (found.state, found.drifted) == ("insufficient", False)


def test_psi_of_a_known_shift_matches_the_formula() -> None:
    before, after = np.array([500_000.0, 500_000.0]), np.array([250_000.0, 750_000.0])

    assert population_stability(before, after) == pytest.approx(0.25 * np.log(2) + 0.25 * np.log(1.5), abs=1e-5)


def test_a_model_below_90_percent_accuracy_that_beats_its_baseline_has_not_decayed() -> None:
    found = measure_performance(SOUND, limits=DECAY, promised=SOUND)

    assert not found.decayed
    assert "accuracy 84.0% next to a majority baseline of 80.0%" in found.reason


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({"auc": 0.74}, "AUC fell"),
        ({"ece": 0.08}, "calibration error 0.080"),
        ({"brier": 0.17}, "no gain"),
        ({"accuracy": 0.75}, "accuracy below 90%"),
    ],
)
def test_each_kind_of_decay_asks_for_a_new_training_and_is_named(fault: dict[str, float], word: str) -> None:
    found = measure_performance(replace(SOUND, **fault), limits=DECAY, promised=SOUND)

    assert found.decayed
    assert word in found.reason


@pytest.mark.parametrize(("rows", "state"), [(250, "sound"), (5000, "decayed")])
def test_a_calibration_error_that_chance_explains_asks_for_nothing(rows: int, state: str) -> None:
    assert measure_performance(replace(SOUND, n=rows, ece=0.08), limits=DECAY, promised=SOUND).state == state


def test_a_perfectly_calibrated_model_is_hardly_ever_taken_for_a_decayed_one() -> None:
    draw, found = np.random.default_rng(0), []
    strict = DECAY.model_copy(update={"maximum_calibration_error": 0.0, "minimum_rows": 1})
    for _ in range(100):
        probability = draw.beta(1, 4, 300)
        shown = evaluate((draw.random(300) < probability).astype(float), probability)
        found.append(measure_performance(shown, limits=strict).decayed)

    assert sum(found) <= 5


def test_too_few_matured_labels_are_not_judged() -> None:
    assert measure_performance(replace(SOUND, n=100, ece=0.5), limits=DECAY).state == "insufficient"


def months(*failed: bool) -> list[Check]:
    return [Check(date(2025, month, 1), each) for month, each in enumerate(failed, start=1)]


@pytest.mark.parametrize(
    ("checks", "retrain"),
    [
        ([], False),
        (months(True), False),
        (months(True, True), True),
        (months(True, True, False), False),
        (months(True, False, True), False),
        (list(reversed(months(False, True, True))), True),
    ],
)
def test_a_retrain_is_asked_for_only_after_two_failed_checks_in_a_row(
    checks: list[Check],
    retrain: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    assert decide_request(checks, consecutive=2).retrain is retrain
