"""Who is meant by a strategy, and whom it may reach."""

from collections.abc import Callable

import pandas as pd
import pytest

from company.policy import Policy, load_policy
from retention.deciding.matching import match
from retention.deciding.strategies import Strategy

Make = Callable[..., Strategy]
Frame = Callable[..., pd.DataFrame]
EFFECT = {"value": 0.02, "low": -0.01, "high": 0.04, "basis": "assumption", "source": "t"}


def _reached(people: pd.DataFrame, *strategies: Strategy, policy: Policy) -> dict[str, list[str]]:
    found = match(people, strategies, policy)
    return found.groupby("customer_id")["strategy_id"].apply(list).to_dict()


def test_a_strategy_answers_any_reason_given_and_not_the_first_alone(
    make_strategy: Make, make_candidates: Frame, policy: Policy
) -> None:
    people = make_candidates(3, reasons=["service,price", "service", ""])
    assert _reached(people, make_strategy(reasons=["price", "rival"]), policy=policy) == {"c000": ["voucher"]}


def test_an_apology_goes_to_who_complained_about_just_that(
    make_strategy: Make, make_candidates: Frame, policy: Policy
) -> None:
    asks = {"triggers": ["complaint_open", "complaint_closed"], "tiers": [], "purpose": "service"}
    network = make_strategy("network", topics=["outage", "network"], **asks)
    bill = make_strategy("bill", topics=["price", "billing"], **asks)
    people = make_candidates(
        4,
        triggers=["complaint_open", "complaint_closed", "", "complaint_open"],
        ticket_topic=["price", "outage", "price", None],
        reasons="service,price",
    )
    assert _reached(people, network, bill, policy=policy) == {"c000": ["bill"], "c001": ["network"]}


def test_matching_goes_by_risk_stage_value_kind_and_tags(
    make_strategy: Make, make_candidates: Frame, policy: Policy
) -> None:
    people = make_candidates(
        4,
        tier=["high", "low", None, "high"],
        lifecycle_stage=["active", "new", "dormant", "active"],
        value_tier=["gold", "normal", "gold", "normal"],
        kind=["person", "person", "person", "company"],
        tags=["", "newcomer,frequent_buyer", "", "account"],
    )
    strategies = [
        make_strategy("for_high", tiers=["high"]),
        make_strategy("for_unscored", tiers=["none"]),
        make_strategy("welcome", tiers=[], stages=["new"]),
        make_strategy("for_gold", tiers=["high", "none"], value_tiers=["gold"]),
        make_strategy("for_accounts", tiers=["high"], kinds=["company"]),
        make_strategy("for_frequent", tiers=[], tags=["frequent_buyer"]),
    ]
    assert _reached(people, *strategies, policy=policy) == {
        "c000": ["for_high", "for_gold"],
        "c001": ["welcome", "for_frequent"],
        "c002": ["for_unscored", "for_gold"],
        "c003": ["for_high", "for_accounts"],
    }


def test_risk_is_the_tier_or_the_alert_level_whether_or_not_the_policy_acts_on_it(
    make_strategy: Make, make_candidates: Frame
) -> None:
    people = make_candidates(2, tier="low", alert_level=["high", None], level="none")
    strategies = [make_strategy("low", tiers=["low"]), make_strategy("high", tiers=["high"])]
    assert _reached(people, *strategies, policy=load_policy()) == {"c000": ["low"], "c001": ["low"]}
    alerts = load_policy({"tier_policy": "alerts"})
    assert _reached(people, *strategies, policy=alerts) == {"c000": ["high"]}


def test_no_strategy_reaches_a_customer_by_a_channel_that_is_closed(
    make_strategy: Make, make_candidates: Frame, policy: Policy
) -> None:
    people = make_candidates(3, allowed_channels=["", "phone,email", "email"], service_channels=["email", "", ""])
    strategies = [
        make_strategy("call", channel="phone"),
        make_strategy("mail", channel="email"),
        make_strategy("service", channel="email", purpose="service"),
    ]
    assert _reached(people, *strategies, policy=policy) == {
        "c000": ["service"],
        "c001": ["call", "mail"],
        "c002": ["mail"],
    }


def test_marketing_waits_while_a_complaint_is_open_unless_it_answers_it(
    make_strategy: Make, make_candidates: Frame, policy: Policy
) -> None:
    people = make_candidates(2, triggers=["complaint_open,cart_left", "cart_left"])
    strategies = [
        make_strategy("coupon"),
        make_strategy("answer", triggers=["complaint_open"], tiers=[]),
        make_strategy("service", triggers=["cart_left"], tiers=[], purpose="service"),
    ]
    assert _reached(people, *strategies, policy=policy) == {
        "c000": ["answer", "service"],
        "c001": ["coupon", "service"],
    }


@pytest.mark.parametrize(
    ("asks", "occasion"),
    [
        ({"triggers": ["renewal_near", "cart_left"]}, "cart_left"),
        ({"tiers": [], "stages": ["active"]}, "active"),
        ({}, "risk"),
    ],
)
def test_an_option_says_on_what_occasion_with_which_effect_and_cost(
    make_strategy: Make, make_candidates: Frame, policy: Policy, asks: dict[str, object], occasion: str
) -> None:
    people = make_candidates(1, triggers="seen_not_bought,cart_left,renewal_near")
    assert match(people, [make_strategy(**asks)], policy).to_dict("records") == [
        {
            "customer_id": "c000",
            "strategy_id": "voucher",
            "channel": "in_app",
            "effect": 0.1,
            "effect_low": 0.0,
            "effect_high": 0.2,
            "option_cost": 5.0,
            "fit": 1.0,
            "occasion": occasion,
        }
    ]


def test_no_strategies_make_no_options_of_the_same_columns(
    make_strategy: Make, make_candidates: Frame, policy: Policy
) -> None:
    people = make_candidates(2)
    none, some = match(people, [], policy), match(people, [make_strategy()], policy)
    assert len(none) == 0
    assert none.columns.tolist() == some.columns.tolist()


def test_who_has_had_as_many_messages_as_allowed_hears_of_service_alone(
    make_strategy: Make, make_candidates: Frame, policy: Policy
) -> None:
    strategies = [make_strategy("coupon"), make_strategy("service", purpose="service")]
    found = match(make_candidates(2), strategies, policy, held_back={"c001"})
    assert found.groupby("customer_id")["strategy_id"].apply(list).to_dict() == {
        "c000": ["coupon", "service"],
        "c001": ["service"],
    }


def test_no_message_is_believed_to_bring_back_more_than_a_part_of_who_come_back_anyway(
    make_strategy: Make, make_candidates: Frame, policy: Policy
) -> None:
    people = make_candidates(4, tier=[None, None, None, "high"], return_rate=[0.0, 0.05, 0.5, None])
    strategy = make_strategy(tiers=[], stages=["active"], effect=EFFECT)
    found = match(people, [strategy], policy)
    assert found["effect"].tolist() == pytest.approx([0.0, 0.0055, 0.02, 0.02])
    assert found["effect_high"].tolist() == pytest.approx([0.0, 0.0055, 0.04, 0.04])
    assert found["effect_low"].tolist() == [-0.01] * 4


def test_an_offer_that_does_not_answer_the_main_reason_has_a_part_of_its_effect(
    make_strategy: Make, make_candidates: Frame, policy: Policy
) -> None:
    people = make_candidates(5, main_reason=["price", "service", "other", "inactivity", None])
    strategies = [
        make_strategy("coupon"),
        make_strategy("call", modules=[{"kind": "agent"}]),
        make_strategy("both", modules=[{"kind": "agent"}, {"kind": "coupon"}]),
        make_strategy("reminder", tiers=[], triggers=["cart_left"]),
        make_strategy("lesser", reasons=["price", "other"]),
    ]
    people = people.assign(triggers="cart_left", reasons="service,price")
    found = match(people, strategies, policy)
    part = policy.effects.unanswered_share
    assert part < 1
    assert found.groupby("strategy_id")["fit"].apply(list).to_dict() == {
        "coupon": [1.0, part, part, 1.0, 1.0],
        "call": [part, 1.0, part, 1.0, 1.0],
        "both": [1.0, 1.0, part, 1.0, 1.0],
        "reminder": [1.0, 1.0, 1.0, 1.0, 1.0],
        "lesser": [1.0, part, part, part, 1.0],
    }
