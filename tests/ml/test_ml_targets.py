"""Lead times, treated customers, and the search for settings: fits that build on `fit`."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from ml.dataset import DatasetError
from ml.evaluate import evaluate
from ml.learners.members import Linear
from ml.training.lead_times import Leads, fit_leads, score_leads
from ml.training.train import Fitted, Recipe, fit
from ml.training.treated import fit_beside_treated
from ml.training.tune import tune

GIVEN = {"candidates": ("logistic_regression",)}
SETTLED = {"logistic_regression": Recipe(Linear(strength=0.01))}  # none of the stock settings


@pytest.fixture(scope="module")
def with_leads(table: pa.Table) -> pa.Table:
    """The label of lead 30 is drawn like that of lead 0, and has not matured for the last snapshot."""
    late = np.array(table.column("churned").to_pylist(), dtype=object)
    late[-400:] = None
    return table.append_column("churned_30", pa.array(late.tolist(), pa.bool_())).append_column(
        "churned_90", pa.nulls(table.num_rows, pa.bool_())
    )


@pytest.fixture(scope="module")
def leads(with_leads: pa.Table, small: Fitted, names: tuple[str, ...]) -> Leads:
    targets = {30: "churned_30", 0: "churned", 90: "churned_90"}
    first = replace(small, recipes=SETTLED)
    return fit_leads(with_leads, targets, "as_of", horizon_days=28, first=first, features=names, **GIVEN)


def test_every_lead_time_with_labels_gets_a_model_and_the_others_a_reason(leads: Leads, small: Fitted) -> None:
    assert leads.fitted[0].model is small.model
    assert leads.fitted[30].model.trained_until == "2025-05-01"
    assert leads.fitted[30].recipes == SETTLED
    assert sorted(leads.fitted) == [0, 30]
    assert list(leads.unknown) == [90]
    assert "0 churned" in leads.unknown[90]


def test_lead_times_are_scored_side_by_side(leads: Leads, table: pa.Table) -> None:
    two = table.slice(0, 2)

    found = score_leads(
        {lead: each.model for lead, each in leads.fitted.items()}, two, as_of=date(2025, 6, 1), horizon_days=28
    ).to_pylist()

    chances = [float(each) for lead in (0, 30) for each in leads.fitted[lead].model.predict(two)]
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


def test_lead_times_without_named_features_are_refused(with_leads: pa.Table) -> None:
    with pytest.raises(DatasetError, match="the label of one lead would predict"):
        fit_leads(with_leads, {0: "churned", 30: "churned_30"}, "as_of", horizon_days=28)


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
def test_a_model_trained_beside_the_treated_knows_who_would_leave_untreated(
    ledger: pa.Table, world: Callable[..., pa.Table], names: tuple[str, ...], mode: str
) -> None:
    later = world(seed=6, customers=3000, months=2)
    label = np.array(later.column("churned").to_pylist(), dtype=float)

    found = fit_beside_treated(ledger, "churned", "as_of", treated="is_treated", features=names, mode=mode, **GIVEN)

    naive = fit(ledger, "churned", "as_of", features=names, **GIVEN)
    assert evaluate(label, found.fitted.model.predict(later)).ece < 0.03
    assert evaluate(label, naive.model.predict(later)).ece > 0.06
    assert found.treated_share == pytest.approx(0.29, abs=0.03)
    assert {way: set(each) for way, each in found.evaluations.items()} == {
        way: {"untreated rows", "all customers"} for way in ("untreated", "weighted")
    }


def test_weights_bring_back_the_churn_rate_of_everybody(
    ledger: pa.Table, world: Callable[..., pa.Table], names: tuple[str, ...]
) -> None:
    untreated = np.mean(world(seed=5, customers=1500, months=4).column("churned").to_pylist())

    found = fit_beside_treated(ledger, "churned", "as_of", treated="is_treated", features=names, **GIVEN).evaluations

    assert found["weighted"]["all customers"].base_rate == pytest.approx(untreated, abs=0.02)
    assert found["weighted"]["untreated rows"].base_rate < untreated - 0.03


def test_validation_rows_beside_the_treated_keep_their_numbers(ledger: pa.Table, names: tuple[str, ...]) -> None:
    found = fit_beside_treated(ledger, "churned", "as_of", treated="is_treated", features=names, **GIVEN).fitted

    rows = found.validation.column("row")
    assert not any(ledger.column("is_treated").take(rows).to_pylist())
    labels = ledger.column("churned").take(rows).cast(pa.float64()).to_pylist()
    assert labels == found.validation.column("label").to_pylist()


def test_where_nobody_was_treated_the_model_is_the_plain_one(
    table: pa.Table, small: Fitted, names: tuple[str, ...]
) -> None:
    nobody = table.append_column("is_treated", pa.nulls(table.num_rows, pa.bool_()))

    found = fit_beside_treated(
        nobody, "churned", "as_of", treated="is_treated", features=names, maturity_days=28, **GIVEN
    )

    assert found.fitted.model.fingerprint == small.model.fingerprint
    assert (found.treated_share, found.largest_weight) == (0.0, 1.0)


def test_too_few_treated_to_tell_who_is_are_left_out_and_nobody_is_weighed(
    table: pa.Table, names: tuple[str, ...]
) -> None:
    few = table.append_column("is_treated", pa.array([row < 3 for row in range(table.num_rows)]))

    found = fit_beside_treated(few, "churned", "as_of", treated="is_treated", features=names, **GIVEN)

    assert (found.fitted.rows, found.largest_weight, found.effective_rows) == (2397, 1.0, 2397.0)


def test_a_search_gives_its_trials_in_order_and_the_same_again(table: pa.Table, names: tuple[str, ...]) -> None:
    first, second = (
        tune(table.slice(0, 1200), "churned", "as_of", trials=3, features=names, folds=1, seed=4) for _ in range(2)
    )

    assert first == second
    assert [each.number for each in first.trials] == [0, 1, 2]
    best = min(first.trials, key=lambda each: each.log_loss)
    found = first.recipes["xgboost"][-1].member
    assert (found.params, found.rounds) == (best.parameters, best.rounds)


def test_without_a_budget_nothing_is_searched(table: pa.Table, names: tuple[str, ...]) -> None:
    found = tune(table, "churned", "as_of", features=names)

    assert (found.recipes, found.trials) == ({}, ())
