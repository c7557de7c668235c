import json
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
from retention.deciding.plan import COLUMNS, REASONS, Plan, plan
from retention.deciding.strategies import Effect, Module, Strategy, Text

Make = Callable[..., Strategy]
Frame = Callable[..., pd.DataFrame]


def _plan(*args: Any, spent: float = 0, **further: Any) -> pd.DataFrame:  # noqa: ANN401 - whatever `plan` takes
    return plan(*args, spent=spent, **further).rows


def _arms(decided: pd.DataFrame) -> dict[str, tuple[str | None, str]]:
    pairs = zip(decided["strategy_id"], decided["decision_reason"], strict=True)
    return dict(sorted(zip(decided["customer_id"], pairs, strict=True)))


def test_a_plan_has_one_row_per_candidate_with_every_column(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    decided = _plan(make_candidates(1), [make_strategy()], policy)
    assert list(decided.columns) == list(COLUMNS)
    assert decided.iloc[0].to_dict() == {
        "customer_id": "c000", "as_of": date(2017, 12, 1), "strategy_id": "voucher", "arm": "treated",
        "channel": "in_app", "cost": 5.0, "expected_value": pytest.approx(0.9 * 1000 * 0.1 - 5), "rank": 1,
        "decision": "treat", "decision_reason": "best_use_of_budget", "level": "high", "score": 90.0,
        "probability": 0.9, "main_reason": "inactivity", "value_tier": "gold",
        "money_at_risk": 900.0, "propensity": 1.0, "model_version": "7", "planned_strategy_id": "voucher",
        "effect": 0.1, "effect_group": "gold, high", "propensities": '{"": 0.0, "voucher": 1.0}',
        "best_rejected": None, "rejected_because": None, "version": None, "kept_share": 1.0,
    }  # fmt: skip


def test_only_what_is_really_kept_of_the_money_at_risk_pays(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    people = make_candidates(2, value=[1000.0, 200.0])
    decided = _plan(people, [make_strategy()], policy, kept_share=0.25).set_index("customer_id")
    assert decided["expected_value"].tolist() == pytest.approx([0.25 * 900 * 0.1 - 5, 0.25 * 180 * 0.1 - 5])
    assert decided["arm"].tolist() == ["treated", "none"]
    assert decided["kept_share"].tolist() == [0.25, 0.25]


def test_an_offer_that_answers_the_reason_comes_before_one_that_does_not(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    strategies = [make_strategy("call", modules=[{"kind": "agent", "amount": 5.0}]), make_strategy("voucher")]
    people = make_candidates(2, main_reason=["service", "price"])
    decided = _plan(people, strategies, policy).set_index("customer_id").sort_index()
    assert decided["strategy_id"].tolist() == ["call", "voucher"]
    assert decided["effect"].tolist() == [0.1, 0.1]
    alone = _plan(people, strategies[:1], policy).set_index("customer_id").sort_index()
    assert alone["effect"].tolist() == [0.1, 0.1 * policy.effects.unanswered_share]
    assert alone["expected_value"].tolist() == pytest.approx([90 - 5, 90 * policy.effects.unanswered_share - 5])


def test_an_effect_counts_in_every_window_in_which_it_is_felt(make_candidates: Frame, make_strategy: Make) -> None:
    policy = load_policy({"holdout": {"share": 0.0}, "exploration": {"share": 0.0}, "effects": {"still_felt": 0.5}})
    people = make_candidates(2, probability=[0.2, None]).assign(money_at_risk=100.0)
    decided = _plan(people, [make_strategy()], policy).set_index("customer_id").sort_index()
    series = sum((0.5 * (1 - 0.2)) ** window for window in range(50))
    assert decided["expected_value"].tolist() == pytest.approx([100 * 0.1 * series - 5, 100 * 0.1 - 5])


def test_the_money_goes_to_the_highest_expected_value_and_the_rest_hear_why(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    people = make_candidates(3, value=[100.0, 900.0, 500.0])
    decided = _plan(people, [make_strategy()], policy, spent=policy.budget.amount - 10)
    assert _arms(decided) == {
        "c000": (None, "budget_spent"),
        "c001": ("voucher", "best_use_of_budget"),
        "c002": ("voucher", "best_use_of_budget"),
    }
    assert decided["customer_id"].tolist() == ["c001", "c002", "c000"]


def test_what_the_period_has_spent_is_gone(make_candidates: Frame, make_strategy: Make, policy: Policy) -> None:
    decided = _plan(make_candidates(3), [make_strategy()], policy, spent=policy.budget.amount + 50)
    assert decided[["cost", "decision_reason"]].to_numpy().tolist() == [[0.0, "budget_spent"]] * 3


def test_doing_nothing_wins_where_no_strategy_earns_its_cost(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    people = make_candidates(2, value=[10.0, 1000.0])
    harmful = make_strategy("harmful", effect={"value": -0.2, "basis": "cited", "source": "a field experiment"})
    assert _arms(_plan(people, [make_strategy()], policy))["c000"] == (None, "not_worth_it")
    assert _arms(_plan(people, [harmful], policy))["c001"] == (None, "not_worth_it")


def test_everyone_who_cannot_be_treated_hears_the_first_reason_that_holds(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    people = make_candidates(
        4,
        allowed_channels=["", "in_app", "in_app", "in_app"],
        service_channels="",
        value=[1000.0, 1000.0, np.nan, 1000.0],
        reasons=["price"] * 3 + ["service"],
    )
    decided = _plan(people, [make_strategy(reasons=["price"])], policy, recent_contacts={"c000", "c001"})
    assert [reason for _, reason in _arms(decided).values()] == [
        "not_contactable",
        "cooling_down",
        "value_unknown",
        "no_strategy",
    ]


def test_who_had_enough_messages_waits(make_candidates: Frame, make_strategy: Make, policy: Policy) -> None:
    service = make_strategy("service", purpose="service", value_tiers=["gold"])
    people = make_candidates(2, value_tier=["gold", "normal"])
    decided = _plan(people, [make_strategy(), service], policy, capped={"c000", "c001"})
    assert _arms(decided) == {"c000": ("service", "best_use_of_budget"), "c001": (None, "contact_cap")}


def test_service_does_not_wait_for_the_cool_down_and_does_not_come_twice_in_it(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    strategies = [make_strategy(), make_strategy("service", purpose="service", value_tiers=["gold"])]
    people = make_candidates(4, value_tier=["gold", "gold", "normal", "gold"])
    recent = {"c000": "other", "c001": "service", "c002": "other"}
    decided = _plan(people, strategies, policy, recent_contacts=recent, recent_strategies=set(recent.items()))
    assert _arms(decided) == {
        "c000": ("service", "best_use_of_budget"),
        "c001": (None, "cooling_down"),
        "c002": (None, "cooling_down"),
        "c003": ("service", "best_use_of_budget"),
    }


def test_who_has_no_option_hears_what_holds_their_marketing_back(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    people = make_candidates(
        3, allowed_channels=["in_app", "", "in_app"], service_channels="in_app", triggers=["complaint_open", "", ""]
    )
    decided = _plan(people, [make_strategy(tiers=["high"]), make_strategy("other", tiers=["none"])], policy)
    assert [reason for _, reason in _arms(decided).values()] == [
        "complaint_open",
        "not_contactable",
        "best_use_of_budget",
    ]


def test_a_full_channel_sends_the_next_best_customer_to_their_next_best_strategy(
    make_candidates: Frame, make_strategy: Make
) -> None:
    policy = load_policy({"holdout": {"share": 0.0}, "exploration": {"share": 0.0}, "capacity": {"phone": 1}})
    call = make_strategy("call", channel="phone", effect={"value": 0.2, "basis": "assumption", "source": "t"})
    decided = _plan(make_candidates(2, value=[800.0, 900.0]), [call, make_strategy()], policy)
    assert _arms(decided) == {"c000": ("voucher", "best_use_of_budget"), "c001": ("call", "best_use_of_budget")}
    alone = _plan(make_candidates(2, value=[800.0, 900.0]), [call], policy)
    assert _arms(alone)["c000"] == (None, "channel_full")


def test_a_dear_strategy_that_no_longer_fits_leaves_the_rest_to_a_cheaper_one(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    dear = make_strategy(
        "dear",
        modules=[{"kind": "gift", "amount": 20}],
        effect={"value": 0.3, "basis": "assumption", "source": "t"},
    )
    people = make_candidates(3, value=[1000.0, 900.0, 800.0])
    decided = _plan(people, [dear, make_strategy()], policy, spent=policy.budget.amount - 31)
    assert _arms(decided) == {
        "c000": ("dear", "best_use_of_budget"),
        "c001": ("voucher", "best_use_of_budget"),
        "c002": ("voucher", "best_use_of_budget"),
    }


def test_when_the_budget_is_short_it_goes_where_it_returns_most(make_candidates: Frame, make_strategy: Make) -> None:
    effect = {"value": 0.16, "basis": "assumption", "source": "t"}
    dear = make_strategy("dear", modules=[{"kind": "gift", "amount": 50}], effect=effect)
    policy = load_policy({"holdout": {"share": 0.0}, "exploration": {"share": 0.0}, "budget": {"amount": 50}})
    decided = _plan(make_candidates(10), [dear, make_strategy()], policy)
    assert set(decided["strategy_id"]) == {"voucher"}
    assert set(decided["best_rejected"]) == {"dear"}
    assert set(decided["rejected_because"]) == {"budget_spent"}


def test_an_option_must_return_what_the_policy_asks_for(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    people = make_candidates(2, value=[100.0, 1000.0])
    strict = load_policy({**policy.as_dict(), "budget": {"minimum_return": 5}})
    assert _arms(_plan(people, [make_strategy()], strict)) == {
        "c000": (None, "not_worth_it"),
        "c001": ("voucher", "best_use_of_budget"),
    }


def test_the_untreated_are_matched_and_ranked_like_everyone_and_cost_nothing(
    make_candidates: Frame, make_strategy: Make
) -> None:
    policy = load_policy({"holdout": {"share": 0.3}, "exploration": {"share": 0.0}})
    people = make_candidates(400)
    decided = _plan(people, [make_strategy()], policy).sort_values("customer_id", ignore_index=True)
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
    decided = _plan(
        make_candidates(300),
        [make_strategy()],
        load_policy({"holdout": {"share": 0.3}, "exploration": {"share": 0.0}, **scarce}),
    )
    counts = decided["arm"].value_counts()
    assert counts["treated"] == 100
    assert counts["holdout"] > 20


def test_a_customer_is_chosen_by_one_rule_in_both_arms(make_candidates: Frame, make_strategy: Make) -> None:
    share, people = 0.3, make_candidates(300, value=np.linspace(2000, 200, 300))
    budget = {"amount": 300}
    held = draw(people["customer_id"], salt="holdfast", share=share)
    policy = load_policy({"holdout": {"share": share}, "exploration": {"share": 0.0}, "budget": budget})
    decided = _plan(people, [make_strategy()], policy).set_index("rank")
    last = decided.index[decided["arm"] == "treated"].max()
    assert (decided.loc[:last, "arm"] != "none").all()
    assert (decided.loc[decided.index > last + 1, "arm"] == "none").all()
    assert (decided.loc[:last, "arm"] == "holdout").sum() == held[:last].sum()


def test_the_order_of_the_candidates_changes_nothing(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    people = make_candidates(50)
    poor = policy.budget.amount - 100
    first = _plan(people, [make_strategy()], policy, spent=poor)
    second = _plan(people.iloc[::-1], [make_strategy()], policy, spent=poor)
    pd.testing.assert_frame_equal(first, second)


def test_a_customer_who_comes_twice_is_refused(make_candidates: Frame, make_strategy: Make, policy: Policy) -> None:
    people = pd.concat([make_candidates(2), make_candidates(1)])
    with pytest.raises(ValueError, match="1 candidates come twice, the first in row 2"):
        _plan(people, [make_strategy()], policy)


def test_no_candidates_make_an_empty_plan(make_candidates: Frame, make_strategy: Make, policy: Policy) -> None:
    decided = _plan(make_candidates(0), [make_strategy()], policy)
    assert (len(decided), list(decided.columns)) == (0, list(COLUMNS))


def test_no_strategies_mean_that_nothing_is_done(make_candidates: Frame, policy: Policy) -> None:
    assert _arms(_plan(make_candidates(1), [], policy)) == {"c000": (None, "no_strategy")}


def _strategies(costs: list[int], effects: list[int], channels: list[str]) -> list[Strategy]:
    return [
        Strategy(
            id=f"s{number}",
            name=Text(en="s", zh="方案"),
            tiers=("high",),
            channel=channels[number],
            valid_days=1,
            modules=(Module(kind="gift", amount=cost),),
            effect=Effect(value=effects[number] / 100, low=-1, high=1, basis="assumption", source="t"),
            message=Text(en="m", zh="信息"),
        )
        for number, cost in enumerate(costs)
    ]


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.integers(0, 400), min_size=6, max_size=25),
    costs=st.lists(st.integers(0, 30), min_size=1, max_size=4),
    effects=st.lists(st.integers(-5, 30), min_size=4, max_size=4),
    channels=st.lists(st.sampled_from(["phone", "email", "agent"]), min_size=4, max_size=4),
    budget=st.integers(0, 200),
    own_budget=st.integers(0, 60),
    phones=st.integers(0, 5),
    hours=st.floats(0, 3),
    share=st.sampled_from([0.0, 0.3, 0.6]),
    explored=st.sampled_from([0.0, 0.1, 0.5]),
)
def test_whatever_the_limits_are_a_plan_keeps_them(**drawn: Any) -> None:  # noqa: ANN401 - what hypothesis draws
    policy = load_policy(
        {
            "holdout": {"share": drawn["share"]},
            "exploration": {"share": drawn["explored"]},
            "budget": {"amount": drawn["budget"], "strategies": {"s0": drawn["own_budget"]}},
            "capacity": {"phone": drawn["phones"]},
            "teams": {"desk": {"hours": drawn["hours"], "hours_per_contact": {"phone": 0.25, "agent": 1.0}}},
            "contact_costs": dict.fromkeys(["phone", "email", "agent"], 0.0),
        }
    )
    strategies = _strategies(drawn["costs"], drawn["effects"], drawn["channels"])
    people = pd.DataFrame({"customer_id": [f"c{number:02d}" for number in range(len(drawn["values"]))]}).assign(
        as_of=date(2017, 12, 1), probability=0.5, score=50.0, level="high", main_reason="price", value_tier="gold",
        model_version="1", tier="high",
        allowed_channels="phone,email,agent", service_channels="", triggers="", return_rate=None,
        lifecycle_stage="active", kind="person", ticket_topic=None, reasons="price", tags="",
    )  # fmt: skip
    people["money_at_risk"] = people["probability"] * drawn["values"]
    decided = plan(people, strategies, policy, spent=0)
    _require_limits(decided, policy)
    rows, treated = decided.rows, decided.rows.loc[decided.rows["arm"] == "treated"]
    held = draw(rows["customer_id"], salt=policy.holdout.salt, share=drawn["share"])
    assert rows["customer_id"].is_unique
    assert not (held & rows["arm"].isin(["treated", "control"])).any()
    assert (treated.loc[treated["decision_reason"] == "best_use_of_budget", "expected_value"] > 0).all()
    assert set(rows["decision_reason"]) <= set(REASONS)
    assert rows["propensity"].between(0, 1).all()


def _require_limits(decided: Plan, policy: Policy) -> None:
    treated = decided.rows.loc[decided.rows["arm"] == "treated"]
    assert decided.rows["cost"].sum() <= policy.budget.amount + 1e-6
    assert treated.loc[treated["strategy_id"] == "s0", "cost"].sum() <= policy.budget.strategies["s0"] + 1e-6
    assert treated["channel"].eq("phone").sum() <= policy.capacity["phone"]
    hours = treated["channel"].map({"phone": 0.25, "agent": 1.0}).sum()
    assert hours <= policy.teams["desk"].hours + 1e-6
    used = decided.prices.set_index("resource")["used"]
    assert used["budget"] == pytest.approx(decided.rows["cost"].sum())
    assert used.get("team: desk", 0.0) == pytest.approx(hours)
    assert (decided.prices["price"] >= 0).all()


def test_a_price_is_what_one_more_contact_would_bring(make_candidates: Frame, make_strategy: Make) -> None:
    def bring(places: int) -> Plan:
        policy = load_policy({"holdout": {"share": 0.0}, "exploration": {"share": 0.0}, "capacity": {"in_app": places}})
        return plan(make_candidates(200, value=np.linspace(200, 2200, 200)), [make_strategy()], policy, spent=0)

    values = [bring(places).rows.query("arm == 'treated'")["expected_value"].sum() for places in (100, 101)]
    price = bring(100).prices.set_index("resource").loc["channel: in_app"]
    assert price["price"] == pytest.approx(values[1] - values[0], rel=0.02)
    assert price["text_en"] == f"One more place in the channel in the app would bring {price['price']:,.2f}."
    assert price["text_zh"] == f"应用内渠道每增加一个名额，可多带来 {price['price']:,.2f}。"  # noqa: RUF001


def test_customers_whom_contact_would_hurt_are_left_alone_even_where_it_looks_worth_it(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    people = make_candidates(3, value_tier=["gold", "normal", "platinum"])
    measured = pd.DataFrame(
        {
            "strategy_id": ["voucher"] * 3,
            "effect_group": ["gold, high", "normal, high", "platinum, high"],
            "effect": [-0.1, -0.1, 0.3],
            "low": [-0.2, -0.2, 0.2],
            "high": [-0.01, 0.01, 0.4],
            "harm": [policy.effects.harm_probability, policy.effects.harm_probability - 0.01, 0.0],
            "basis": "measured",
            "is_used": [False, True, True],
        }
    )
    decided = _plan(people, [make_strategy()], policy, effects=measured).set_index("customer_id")
    assert decided["decision_reason"].to_dict() == {
        "c000": "contact_would_hurt",
        "c001": "not_worth_it",
        "c002": "best_use_of_budget",
    }
    assert decided.loc["c002", "effect"] == 0.3


def test_a_group_that_all_strategies_together_drive_away_gets_none_of_them(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    people = make_candidates(2, value_tier=["gold", "normal"])
    row = {"strategy_id": "other", "effect": 0.1, "harm": 0.0, "basis": "measured", "is_used": False}
    least = policy.effects.harm_probability
    measured = pd.DataFrame(
        [
            {**row, "effect_group": "gold, high", "group_harm": least},
            {**row, "effect_group": "normal, high", "group_harm": least - 0.01},
        ]
    )
    decided = _plan(people, [make_strategy()], policy, effects=measured)
    assert _arms(decided) == {"c000": (None, "contact_would_hurt"), "c001": ("voucher", "best_use_of_budget")}


def test_a_measured_effect_that_was_not_proven_better_replaces_nothing(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    row = {"effect": 0.9, "low": 0.8, "high": 1.0, "basis": "measured", "is_used": False}
    measured = pd.DataFrame([{"strategy_id": "voucher", "effect_group": "gold, high", **row}])
    decided = _plan(make_candidates(1), [make_strategy()], policy, effects=measured)
    assert decided["effect"].tolist() == [0.1]


LEVEL = {"strategy_id": "voucher", "effect_group": "gold, high", "effect": 0.1, "basis": "declared", "is_used": False}


def test_declared_effects_count_at_the_level_that_was_measured(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    effects = pd.DataFrame([LEVEL | {"level": 0.4}])
    decided = _plan(make_candidates(1), [make_strategy()], policy, effects=effects)
    assert decided[["effect", "expected_value"]].to_numpy().tolist() == [pytest.approx([0.04, 900 * 0.04 - 5])]


def test_where_contact_keeps_nobody_only_a_drawn_share_of_the_customers_is_still_contacted(
    make_candidates: Frame, make_strategy: Make
) -> None:
    policy = load_policy({"holdout": {"share": 0.0}, "exploration": {"share": 0.2}, "budget": {"amount": 1e6}})
    people, effects = make_candidates(900), pd.DataFrame([LEVEL | {"level": 0.0}])
    now, later = (
        _plan(people.assign(as_of=day), [make_strategy()], policy, effects=effects)
        for day in (date(2017, 12, 1), date(2018, 1, 1))
    )
    chosen = [set(each.loc[each["arm"].ne("none"), "customer_id"]) for each in (now, later)]
    assert len(chosen[0]) == pytest.approx(180, abs=40)
    assert chosen[0] == chosen[1]
    harmful = _plan(people, [make_strategy()], policy, effects=effects.assign(level=-1.0, level_harm=0.9))
    assert set(harmful["arm"]) == {"none"}
    assert set(now.loc[now["arm"].eq("treated"), "decision_reason"]) == {"probed"}
    assert set(now.loc[now["arm"].eq("none"), "decision_reason"]) == {"not_worth_it"}


def test_who_explores_gets_each_option_as_often_as_its_stored_probability_says(
    make_candidates: Frame, make_strategy: Make
) -> None:
    policy = load_policy(
        {"holdout": {"share": 0.2}, "exploration": {"share": 0.4}, "budget": {"amount": 10**7}, "capacity": {}}
    )
    other = make_strategy("other", effect={"value": 0.05, "basis": "assumption", "source": "t"})
    decided = _plan(make_candidates(6000), [make_strategy(), other], policy)
    chances = json.loads(decided["propensities"].iloc[0])
    assert chances == pytest.approx({"": 0.2 + 0.8 * 0.4 / 3, "other": 0.8 * 0.4 / 3, "voucher": 0.8 * (1 - 0.8 / 3)})
    given = decided["strategy_id"].where(decided["arm"] == "treated", "")
    seen = given.value_counts(normalize=True)
    for strategy, chance in chances.items():
        assert abs(seen[strategy] - chance) < 4 * (chance * (1 - chance) / 6000) ** 0.5
    assert set(decided["planned_strategy_id"]) == {"voucher"}
    explored = decided.loc[decided["strategy_id"] == "other"]
    assert set(explored["decision_reason"]) == {"explored"}
    assert set(decided.loc[decided["arm"] == "control", "decision_reason"]) == {"explored_nothing"}
    assert explored["propensity"].tolist() == pytest.approx([chances["other"]] * len(explored))


def test_exploring_uses_no_more_than_its_share_of_what_is_scarce(make_candidates: Frame, make_strategy: Make) -> None:
    policy = load_policy({"holdout": {"share": 0.0}, "exploration": {"share": 0.5}, "capacity": {"phone": 20}})
    call = make_strategy("call", channel="phone", effect={"value": 0.01, "basis": "assumption", "source": "t"})
    decided = _plan(make_candidates(1000), [make_strategy(), call], policy)
    calls = int((decided["strategy_id"] == "call").sum())
    assert 0 < calls <= 20
    assert json.loads(decided["propensities"].iloc[0])["call"] == pytest.approx(10 / 1000, rel=0.01)
