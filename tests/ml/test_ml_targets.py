"""Lead times, treated customers, and the search for hyperparameters: fits that build on `fit`."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from ml.dataset import Columns
from ml.evaluate import evaluate
from ml.learners import load_algorithms
from ml.learners.base import Candidate
from ml.learners.linear import Linear
from ml.training.config import TrainConfig, Treated
from ml.training.lead_times import LeadTimes, fit_lead_times, score_lead_times
from ml.training.train import Fitted, fit
from ml.training.treated import fit_with_treated
from ml.training.tune import tune

SETTLED = {"logistic_regression": Candidate(Linear(strength=0.01))}  # none of the stock candidates


@pytest.fixture(scope="module")
def with_lead_times(table: pa.Table) -> pa.Table:
    """The label of lead 30 is drawn like that of lead 0, and has not matured for the last snapshot."""
    late = np.array(table.column("churned").to_pylist(), dtype=object)
    late[-400:] = None
    return table.append_column("churned_30", pa.array(late.tolist(), pa.bool_())).append_column(
        "churned_90", pa.nulls(table.num_rows, pa.bool_())
    )


@pytest.fixture(scope="module")
def lead_times(with_lead_times: pa.Table, small: Fitted, columns: Columns, one: TrainConfig) -> LeadTimes:
    ahead = replace(columns, lead_times={30: "churned_30", 90: "churned_90"})
    first = replace(small, candidates=SETTLED)
    return fit_lead_times(with_lead_times, ahead, replace(one, horizon_days=28), first=first)


def test_every_lead_time_with_labels_gets_a_model_and_the_others_a_reason(lead_times: LeadTimes, small: Fitted) -> None:
    assert lead_times.fitted[0].model is small.model
    assert lead_times.fitted[30].model.trained_until == "2025-05-01"
    assert lead_times.fitted[30].candidates == SETTLED
    assert sorted(lead_times.fitted) == [0, 30]
    assert list(lead_times.unknown) == [90]
    assert "0 churned" in lead_times.unknown[90]


def test_lead_times_are_scored_side_by_side(lead_times: LeadTimes, table: pa.Table) -> None:
    two = table.slice(0, 2)

    found = score_lead_times(
        {lead: each.model for lead, each in lead_times.fitted.items()}, two, as_of=date(2025, 6, 1), horizon_days=28
    ).to_pylist()

    chances = [float(each) for lead in (0, 30) for each in lead_times.fitted[lead].model.predict(two)]
    assert found == [
        {
            "customer_id": name,
            "as_of": date(2025, 6, 1),
            "lead_days": lead,
            "horizon_days": 28,
            "probability": chance,
            "score": 100 * chance,
        }
        for (lead, name), chance in zip([(0, "c0"), (0, "c1"), (30, "c0"), (30, "c1")], chances, strict=True)
    ]


def test_no_lead_time_learns_from_the_label_of_another(with_lead_times: pa.Table, one: TrainConfig) -> None:
    columns = Columns("churned", "as_of", customer="customer_id", lead_times={30: "churned_30", 90: "churned_90"})

    found = fit_lead_times(with_lead_times, columns, replace(one, horizon_days=28))

    assert {name for each in found.fitted.values() for name in each.model.features} == {
        "recency_days", "orders_90d", "complaints", "plan",
    }  # fmt: skip


@pytest.fixture(scope="module")
def treated(columns: Columns) -> Columns:
    return replace(columns, treated="is_treated")


@pytest.fixture(scope="module")
def ledger(world: Callable[..., pa.Table]) -> pa.Table:
    """Those with complaints are mostly treated, and none of the treated leaves."""
    table = world(seed=5, customers=1500, months=4)
    draw = np.random.default_rng(1)
    complained = table.column("complaints").to_numpy() > 0
    treated = draw.random(table.num_rows) < np.where(complained, 0.8, 0.05)
    churned = np.array(table.column("churned").to_pylist()) & ~treated
    place = table.column_names.index("churned")
    return table.set_column(place, "churned", pa.array(churned)).append_column("is_treated", pa.array(treated))


@pytest.mark.parametrize("mode", ["untreated", "weighted"])
def test_a_model_trained_without_the_treated_knows_who_would_leave_untreated(
    ledger: pa.Table, world: Callable[..., pa.Table], treated: Columns, one: TrainConfig, mode: Treated
) -> None:
    later = world(seed=6, customers=3000, months=2)
    label = np.array(later.column("churned").to_pylist(), dtype=float)

    found = fit_with_treated(ledger, treated, replace(one, treated=mode))

    naive = fit(ledger, treated, one)
    assert evaluate(label, found.fitted.model.predict(later)).ece < 0.03
    assert evaluate(label, naive.model.predict(later)).ece > 0.06
    assert found.treated_share == pytest.approx(0.29, abs=0.03)
    assert {way: set(each) for way, each in found.evaluations.items()} == {
        way: {"untreated rows", "all customers"} for way in ("untreated", "weighted")
    }


def test_weights_bring_back_the_churn_rate_of_everybody(
    ledger: pa.Table, world: Callable[..., pa.Table], treated: Columns, one: TrainConfig
) -> None:
    untreated = np.mean(world(seed=5, customers=1500, months=4).column("churned").to_pylist())

    found = fit_with_treated(ledger, treated, one).evaluations

    assert found["weighted"]["all customers"].base_rate == pytest.approx(untreated, abs=0.02)
    assert found["weighted"]["untreated rows"].base_rate < untreated - 0.03


def test_validation_rows_keep_their_numbers_where_the_treated_are_left_out(
    ledger: pa.Table, treated: Columns, one: TrainConfig
) -> None:
    found = fit_with_treated(ledger, treated, one).fitted

    rows = found.validation.column("row")
    assert not any(ledger.column("is_treated").take(rows).to_pylist())
    labels = ledger.column("churned").take(rows).cast(pa.float64()).to_pylist()
    assert labels == found.validation.column("label").to_pylist()


def test_where_nobody_was_treated_the_model_is_the_plain_one(
    table: pa.Table, small: Fitted, treated: Columns, one: TrainConfig
) -> None:
    nobody = table.append_column("is_treated", pa.nulls(table.num_rows, pa.bool_()))

    found = fit_with_treated(nobody, treated, replace(one, horizon_days=28))

    assert found.fitted.model.fingerprint == small.model.fingerprint
    assert (found.treated_share, found.largest_weight) == (0.0, 1.0)


def test_too_few_treated_to_learn_who_is_are_left_out_and_nobody_is_weighted(
    table: pa.Table, treated: Columns, one: TrainConfig
) -> None:
    few = table.append_column("is_treated", pa.array([row < 3 for row in range(table.num_rows)]))

    found = fit_with_treated(few, treated, one)

    assert (found.fitted.rows, found.largest_weight, found.effective_rows) == (2397, 1.0, 2397.0)


def test_a_search_gives_its_trials_in_order_and_the_same_again(table: pa.Table, columns: Columns) -> None:
    config = TrainConfig(tuning_trials=3, folds=1, seed=4)

    first, second = (tune(table.slice(0, 1200), columns, config) for _ in range(2))

    assert first == second
    assert [(each.number, each.algorithm) for each in first.trials] == [(number, "xgboost") for number in range(3)]
    best = min(first.trials, key=lambda each: each.log_loss)
    added = first.candidates["xgboost"][-1].learner.hyperparameters
    assert (added["params"], added["rounds"]) == (best.parameters, best.rounds)


def test_without_a_budget_or_a_space_nothing_is_searched(table: pa.Table, columns: Columns, one: TrainConfig) -> None:
    idle, spaceless = (tune(table, columns, each) for each in (TrainConfig(), replace(one, tuning_trials=2)))

    stock = {name: each.candidates for name, each in load_algorithms().items()}
    assert (idle.candidates, idle.trials) == ({name: stock[name] for name in TrainConfig().candidates}, ())
    assert (spaceless.candidates, spaceless.trials) == ({name: stock[name] for name in one.candidates}, ())
