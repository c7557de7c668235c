"""What a person decided about a customer reaches the next plan, and its row names it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from company.policy import Policy, load_policy
from retention.deciding.plan import plan
from retention.deciding.plan_overrides import Kind, PlanOverride, check, find_holding
from retention.deciding.strategies import Strategy
from retention.store.store import Store

Make = Callable[..., Strategy]
Frame = Callable[..., pd.DataFrame]
AS_OF = date(2017, 12, 1)
AT = datetime(2017, 12, 1, 12, 0, tzinfo=UTC)


def decide(kind: Kind, customer_id: str = "c000", **values: object) -> PlanOverride:
    return PlanOverride(
        customer_id=customer_id, kind=kind, decided_by="ann", reason="a call", decided_at=AT, **values  # type: ignore[arg-type]
    )  # fmt: skip


def plan_with(
    people: pd.DataFrame, strategies: list[Strategy], policy: Policy, *overrides: PlanOverride
) -> list[object]:
    holding = find_holding(overrides, as_of=AS_OF)
    rows = plan(people, strategies, policy, spent=0.0, overrides=holding).rows.sort_values("customer_id")
    return rows[["strategy_id", "decision_reason"]].to_numpy().tolist()


def test_who_is_to_be_left_alone_is_left_alone_and_the_row_names_it(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    decisions = [decide("never_contact"), decide("nothing_until", "c001", until=AS_OF + timedelta(days=1))]
    over = decide("nothing_until", "c002", until=AS_OF)
    assert plan_with(make_candidates(3), [make_strategy()], policy, *decisions, over) == [
        [None, "left_alone_by_person"],
        [None, "left_alone_by_person"],
        ["voucher", "best_use_of_budget"],
    ]


def test_a_chosen_strategy_is_used_whomever_its_file_is_for_and_whatever_it_should_bring(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    strategies = [make_strategy(), make_strategy("call", channel="phone", tiers=[], stages=["dormant"])]
    people = make_candidates(2, value=[1.0, 1000.0])
    assert plan_with(people, strategies, policy, decide("strategy", strategy_id="call")) == [
        ["call", "chosen_by_person"],
        ["voucher", "best_use_of_budget"],
    ]


def test_a_chosen_strategy_is_not_outbid_when_the_money_is_short(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    short = policy.model_copy(update={"budget": policy.budget.model_copy(update={"amount": 5.0})})
    people = make_candidates(3, value=[10.0, 1000.0, 2000.0])
    assert plan_with(people, [make_strategy()], short, decide("strategy", strategy_id="voucher"))[0] == [
        "voucher",
        "chosen_by_person",
    ]


def test_consent_and_the_holdout_hold_whatever_a_person_decided(
    make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    chosen = decide("strategy", strategy_id="voucher")
    closed = make_candidates(1, allowed_channels="", service_channels="")
    assert plan_with(closed, [make_strategy()], policy, chosen) == [[None, "not_contactable"]]
    everybody_held = load_policy({"holdout": {"share": 0.999999}, "exploration": {"share": 0.0}})
    assert plan_with(make_candidates(1), [make_strategy()], everybody_held, chosen) == [["voucher", "held_out"]]


def test_a_choice_is_never_drawn_away_by_exploration(make_candidates: Frame, make_strategy: Make) -> None:
    exploring = load_policy({"holdout": {"share": 0.0}, "exploration": {"share": 0.5}})
    strategies = [make_strategy(), make_strategy("points")]
    decisions = [decide("strategy", f"c{number:03d}", strategy_id="points") for number in range(40)]
    rows = plan_with(make_candidates(40), strategies, exploring, *decisions)
    assert rows == [["points", "chosen_by_person"]] * 40


def test_the_last_decision_holds_and_lifting_gives_the_customer_back() -> None:
    first, last = replace(decide("never_contact"), number=1), replace(decide("lifted"), number=2)
    assert (find_holding([first], as_of=AS_OF), find_holding([last, first], as_of=AS_OF)) == ({"c000": first}, {})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (decide("strategy"), "name it there"),
        (decide("strategy", strategy_id="gift"), "There is no strategy 'gift'"),
        (decide("nothing_until"), "name it there"),
        (decide("nothing_until", until=AS_OF), "has passed"),
        (decide("never_contact", strategy_id="voucher"), "and to no other"),
        (replace(decide("never_contact"), reason=" "), "a reason"),
    ],
)
def test_a_decision_that_cannot_be_made_is_refused(override: PlanOverride, message: str, make_strategy: Make) -> None:
    with pytest.raises(ValueError, match=message):
        check(override, [make_strategy()], today=AS_OF)


def test_decisions_are_kept_with_what_held_before(sqlite_store: Store) -> None:
    overrides = sqlite_store.plan_overrides
    before = [overrides.record(decide("never_contact")), overrides.record(decide("strategy", strategy_id="voucher"))]
    overrides.record(decide("never_contact", "c001"))
    assert before == ["nothing decided", "never contact"]
    assert [each.kind for each in overrides.read("c000")] == ["never_contact", "strategy"]
    assert list(find_holding(overrides.read(), as_of=AS_OF)) == ["c000", "c001"]
