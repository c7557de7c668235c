"""The plan of a company of which nothing but a probability and a value is known."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from company.policy import load_policy
from retention.deciding.contacts import COLUMNS, plan_contacts
from retention.deciding.holdout import draw

TERMS = {
    "budget": {"amount": 20, "minimum_expected_value": 0},
    "capacity": {"phone": 200},
    "contact_costs": {"phone": 4.0},
    "expected_profit": {"channel": "phone", "effect": 0.1},
    "holdout": {"share": 0.0, "salt": "s"},
}


def plan(customers: dict[str, list[Any]], **terms: Any) -> pd.DataFrame:  # noqa: ANN401 - sections of the policy
    return plan_contacts(pd.DataFrame(customers), load_policy(TERMS, terms))


def test_customers_stand_in_the_order_of_what_a_contact_is_expected_to_bring() -> None:
    planned = plan(
        {
            "customer_id": ["a", "b", "c", "d", "e"],
            "probability": [0.9, 0.5, 0.9, 0.2, 0.6],
            "churned": [False, None, True, False, False],
            "value": [100.0, 400.0, 900.0, 100.0, np.nan],
        }
    )

    assert tuple(planned.columns) == COLUMNS
    assert planned[["rank", "customer_id", "decision", "decision_reason"]].to_numpy().tolist() == [
        [1, "b", "treat", "best_use_of_budget"],
        [2, "a", "treat", "best_use_of_budget"],
        [3, "d", "do_nothing", "not_worth_it"],
        [4, "e", "do_nothing", "value_unknown"],
        [5, "c", "do_nothing", "has_left"],
    ]
    assert planned["expected_profit"].tolist()[:3] == pytest.approx([16.0, 5.0, -2.0])
    assert planned["break_even_value"].tolist()[:3] == pytest.approx([80.0, 4 / 0.09, 200.0])


def test_of_those_kept_only_who_would_not_have_come_back_count() -> None:
    customers = {"customer_id": ["a", "b"], "probability": [0.9, 0.5], "churned": [False] * 2, "value": [100.0, 100.0]}
    planned = plan(customers, losses={"lasting_share": 0.5})
    assert planned["expected_profit"].tolist() == pytest.approx([0.5, -1.5])
    assert planned["decision_reason"].tolist() == ["best_use_of_budget", "not_worth_it"]


def test_the_budget_and_the_channel_end_the_list_and_held_out_customers_use_neither() -> None:
    ids = [f"c{number}" for number in range(40)]
    customers = {"customer_id": ids, "probability": [0.5] * 40, "churned": [None] * 40, "value": [900.0] * 40}
    holdout = {"share": 0.3, "salt": "s"}

    by_budget, by_capacity = (
        plan(customers, holdout=holdout),
        plan(customers, holdout=holdout, budget={"amount": 5000}, capacity={"phone": 3}),
    )

    for planned, contacts in ((by_budget, 5), (by_capacity, 3)):
        treated = planned["decision"] == "treat"
        last = planned.loc[treated, "rank"].max()
        before = planned[planned["rank"] <= last]
        assert treated.sum() == contacts
        assert (before["decision"] == "hold_out").tolist() == draw(before["customer_id"], salt="s", share=0.3).tolist()
        assert set(planned.loc[planned["rank"] > last + 1, "decision_reason"]) <= {"budget_spent", "held_out"}
        assert planned.iloc[-1]["decision_reason"] == "budget_spent"


def test_without_values_the_most_likely_to_leave_come_first_and_the_break_even_value_is_told() -> None:
    planned = plan({"customer_id": ["a", "b"], "probability": [0.1, 0.8], "churned": [None, False]})

    assert planned["customer_id"].tolist() == ["b", "a"]
    assert planned["decision"].tolist() == ["treat", "treat"]
    assert planned["expected_profit"].isna().all()
    assert planned["break_even_value"].tolist() == pytest.approx([50.0, 400.0])
