from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from company.policy import Policy, load_policy
from retention.deciding.holdout import draw
from retention.deciding.plan import COLUMNS, REASONS, plan
from retention.deciding.strategies import Effect, Module, Strategy, Text

Make = Callable[..., Strategy]
Frame = Callable[..., pd.DataFrame]


def _arms(decided: pd.DataFrame) -> dict[str, tuple[str | None, str]]:
    pairs = zip(decided["strategy_id"], decided["decision_reason"], strict=True)
    return dict(sorted(zip(decided["customer_id"], pairs, strict=True)))


def test_a_plan_has_one_row_per_candidate_with_every_column(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    decided = plan(make_candidates(1), [make_strategy()], policy, spent=0)
    assert list(decided.columns) == list(COLUMNS)
    assert decided.iloc[0].to_dict() == {
        "customer_id": "c000", "as_of": date(2017, 12, 1), "strategy_id": "voucher", "arm": "treated",
        "channel": "in_app", "cost": 5.0, "expected_value": pytest.approx(0.9 * 1000 * 0.1 - 5), "rank": 1,
        "decision": "treat", "decision_reason": "best_use_of_budget", "level": "high", "score": 90.0,
        "probability": 0.9, "main_reason": "inactivity", "value_tier": "gold", "clv": 1000.0,
        "money_at_risk": 900.0, "propensity": 1.0, "model_version": "7",
    }  # fmt: skip


def test_the_money_goes_to_the_highest_expected_value_and_the_rest_hear_why(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    people = make_candidates(3, clv=[100.0, 900.0, 500.0])
    decided = plan(people, [make_strategy()], policy, spent=policy.budget.amount - 10)
    assert _arms(decided) == {
        "c000": (None, "budget_spent"),
        "c001": ("voucher", "best_use_of_budget"),
        "c002": ("voucher", "best_use_of_budget"),
    }
    assert decided["customer_id"].tolist() == ["c001", "c002", "c000"]


def test_what_the_period_has_spent_is_gone(make_candidates: Frame, make_strategy: Make, policy: Policy) -> None:
    decided = plan(make_candidates(3), [make_strategy()], policy, spent=policy.budget.amount + 50)
    assert decided[["cost", "decision_reason"]].to_numpy().tolist() == [[0.0, "budget_spent"]] * 3


def test_doing_nothing_wins_where_no_strategy_earns_its_cost(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    people = make_candidates(2, clv=[10.0, 1000.0])
    harmful = make_strategy("harmful", effect={"value": -0.2, "basis": "cited", "source": "a field experiment"})
    assert _arms(plan(people, [make_strategy()], policy, spent=0))["c000"] == (None, "not_worth_it")
    assert _arms(plan(people, [harmful], policy, spent=0))["c001"] == (None, "not_worth_it")


def test_everyone_who_cannot_be_treated_hears_the_first_reason_that_holds(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    people = make_candidates(
        5,
        level=["none", "high", "high", "high", "high"],
        allowed_channels=["", "", "in_app", "in_app", "in_app"],
        service_channels="",
        clv=[1000.0, 1000.0, 1000.0, np.nan, 1000.0],
        reasons=["price"] * 4 + ["service"],
    )
    decided = plan(people, [make_strategy(reasons=["price"])], policy, spent=0, recent_contacts={"c001", "c002"})
    assert [reason for _, reason in _arms(decided).values()] == [
        "not_at_risk",
        "not_contactable",
        "cooling_down",
        "value_unknown",
        "no_strategy",
    ]


def test_a_full_channel_sends_the_next_best_customer_to_their_next_best_strategy(
    make_candidates: Frame, make_strategy: Make
) -> None:
    policy = load_policy({"holdout": {"share": 0.0}, "capacity": {"phone": 1}})
    call = make_strategy("call", channel="phone", effect={"value": 0.2, "basis": "assumption", "source": "t"})
    decided = plan(make_candidates(2, clv=[800.0, 900.0]), [call, make_strategy()], policy, spent=0)
    assert _arms(decided) == {"c000": ("voucher", "best_use_of_budget"), "c001": ("call", "best_use_of_budget")}
    alone = plan(make_candidates(2, clv=[800.0, 900.0]), [call], policy, spent=0)
    assert _arms(alone)["c000"] == (None, "channel_full")


def test_a_dear_strategy_that_no_longer_fits_leaves_the_rest_to_a_cheaper_one(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    dear = make_strategy(
        "dear",
        modules=[{"kind": "gift", "amount": 20}],
        effect={"value": 0.3, "basis": "assumption", "source": "t"},
    )
    people = make_candidates(3, clv=[1000.0, 900.0, 800.0])
    decided = plan(people, [dear, make_strategy()], policy, spent=policy.budget.amount - 31)
    assert _arms(decided) == {
        "c000": ("dear", "best_use_of_budget"),
        "c001": ("voucher", "best_use_of_budget"),
        "c002": ("voucher", "best_use_of_budget"),
    }


def test_ranking_by_return_buys_more_value_when_the_budget_is_short(
    make_candidates: Frame, make_strategy: Make
) -> None:
    dear = make_strategy(
        "dear",
        modules=[{"kind": "gift", "amount": 50}],
        effect={"value": 0.16, "basis": "assumption", "source": "t"},
    )
    values = {}
    for rank_by in ("expected_value", "return_on_cost"):
        budget = {"amount": 50, "rank_by": rank_by}
        policy = load_policy({"holdout": {"share": 0.0}, "budget": budget})
        decided = plan(make_candidates(10), [dear, make_strategy()], policy, spent=0)
        values[rank_by] = decided.loc[decided["arm"] == "treated", "expected_value"].sum()
    assert values["return_on_cost"] > values["expected_value"]


def test_the_untreated_are_matched_and_ranked_like_everyone_and_cost_nothing(
    make_candidates: Frame, make_strategy: Make
) -> None:
    policy = load_policy({"holdout": {"share": 0.3}})
    people = make_candidates(400)
    decided = plan(people, [make_strategy()], policy, spent=0).sort_values("customer_id", ignore_index=True)
    held = draw(people["customer_id"], salt="holdfast", share=0.3)
    assert decided["arm"].tolist() == ["holdout" if out else "treated" for out in held]
    assert decided.loc[held, ["strategy_id", "cost", "propensity", "decision_reason"]].to_numpy().tolist() == [
        ["voucher", 0.0, 0.3, "held_out"]
    ] * int(held.sum())


@pytest.mark.parametrize(
    "scarce", [{"budget": {"amount": 500}}, {"budget": {"amount": 10**6}, "capacity": {"in_app": 100}}]
)
def test_the_untreated_use_neither_money_nor_places(
    make_candidates: Frame, make_strategy: Make, scarce: dict[str, Any]
) -> None:
    decided = plan(make_candidates(300), [make_strategy()], load_policy({"holdout": {"share": 0.3}, **scarce}), spent=0)
    counts = decided["arm"].value_counts()
    assert counts["treated"] == 100
    assert counts["holdout"] > 20


def test_a_customer_is_chosen_by_one_rule_in_both_arms(make_candidates: Frame, make_strategy: Make) -> None:
    share, people = 0.3, make_candidates(300, clv=np.linspace(2000, 200, 300))
    budget = {"amount": 300}
    held = draw(people["customer_id"], salt="holdfast", share=share)
    policy = load_policy({"holdout": {"share": share}, "budget": budget})
    decided = plan(people, [make_strategy()], policy, spent=0).set_index("rank")
    last = decided.index[decided["arm"] == "treated"].max()
    assert (decided.loc[:last, "arm"] != "none").all()
    assert (decided.loc[decided.index > last + 1, "arm"] == "none").all()
    assert (decided.loc[:last, "arm"] == "holdout").sum() == held[:last].sum()


def test_the_order_of_the_candidates_changes_nothing(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    people = make_candidates(50)
    poor = policy.budget.amount - 100
    first = plan(people, [make_strategy()], policy, spent=poor)
    second = plan(people.iloc[::-1], [make_strategy()], policy, spent=poor)
    pd.testing.assert_frame_equal(first, second)


def test_a_customer_who_comes_twice_is_refused(make_candidates: Frame, make_strategy: Make, policy: Policy) -> None:
    people = pd.concat([make_candidates(2), make_candidates(1)])
    with pytest.raises(ValueError, match="1 candidates come twice, the first in row 2"):
        plan(people, [make_strategy()], policy, spent=0)


def test_no_candidates_make_an_empty_plan(make_candidates: Frame, make_strategy: Make, policy: Policy) -> None:
    decided = plan(make_candidates(0), [make_strategy()], policy, spent=0)
    assert (len(decided), list(decided.columns)) == (0, list(COLUMNS))


def test_no_strategies_mean_that_nothing_is_done(make_candidates: Frame, policy: Policy) -> None:
    assert _arms(plan(make_candidates(1), [], policy, spent=0)) == {"c000": (None, "no_strategy")}


def _one_by_one(people: pd.DataFrame, strategies: list[Strategy], policy: Policy) -> dict[str, str | None]:
    """The rule as a person would apply it: options in falling order, each taken if all of it still fits."""
    held = draw(people["customer_id"], salt=policy.holdout.salt, share=policy.holdout.share)
    options: list[tuple[float, float, str, str, bool, str]] = []
    for row, out in zip(people.to_dict("records"), held, strict=True):
        for strategy in strategies:
            cost = strategy.cost(policy)
            value = row["probability"] * row["clv"] * strategy.effect.value - cost
            options.append((-value, cost, row["customer_id"], strategy.id, bool(out), strategy.channel))
    left, room, taken = policy.budget.amount, dict(policy.capacity), dict.fromkeys(people["customer_id"])
    for value, cost, customer, strategy_id, out, channel in sorted(options):
        fits = cost <= left + 1e-9 and room.get(channel, 1) >= 1
        if value < 0 and taken[customer] is None and fits:
            taken[customer] = strategy_id
            if not out:
                left -= cost
                room[channel] = room.get(channel, 10**9) - 1
    return taken


@settings(max_examples=60, deadline=None)
@given(
    clv=st.lists(st.integers(0, 400), min_size=6, max_size=25),
    costs=st.lists(st.integers(0, 30), min_size=1, max_size=4),
    effects=st.lists(st.integers(-5, 30), min_size=4, max_size=4),
    channels=st.lists(st.sampled_from(["phone", "email", "agent"]), min_size=4, max_size=4),
    budget=st.integers(0, 200),
    phones=st.integers(0, 5),
    share=st.sampled_from([0.0, 0.3, 0.6]),
)
def test_the_vectorised_plan_is_the_greedy_one_taken_option_by_option(**drawn: object) -> None:
    costs = dict.fromkeys(["phone", "email", "agent"], 0.0)
    policy = load_policy(
        {
            "holdout": {"share": drawn["share"]},
            "budget": {"amount": drawn["budget"]},
            "capacity": {"phone": drawn["phones"], "agent": 2},
            "contact_costs": costs,
        }
    )
    strategies = [
        Strategy(
            id=f"s{number}",
            name=Text(en="s", zh="s"),
            tiers=("high",),
            channel=drawn["channels"][number],
            valid_days=1,
            modules=(Module(kind="gift", amount=cost),),
            effect=Effect(value=drawn["effects"][number] / 100, low=-1, high=1, basis="assumption", source="t"),
            message=Text(en="m", zh="信"),
        )
        for number, cost in enumerate(drawn["costs"])
    ]
    people = pd.DataFrame({"customer_id": [f"c{number:02d}" for number in range(len(drawn["clv"]))]}).assign(
        as_of=date(2017, 12, 1), probability=0.5, score=50.0, level="high", main_reason="price", value_tier="gold",
        clv=[float(value) for value in drawn["clv"]], model_version="1", tier="high",
        allowed_channels="phone,email,agent", service_channels="", triggers="",
    )  # fmt: skip
    people["money_at_risk"] = people["probability"] * people["clv"]
    decided = plan(people, strategies, policy, spent=0)
    found = decided.set_index("customer_id")["strategy_id"].to_dict()
    assert found == _one_by_one(people, strategies, policy)
    assert decided["cost"].sum() <= drawn["budget"] + 1e-9
    assert set(decided["decision_reason"]) <= set(REASONS)
