"""Strategies changed by people: within bounds, for a customer, a campaign, or for good, with a history."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
import pytest

from company.policy import Policy
from retention.deciding.matching import match
from retention.deciding.strategies import Strategy
from retention.deciding.strategy_changes import StrategyChange, adjust, check, find_settings
from retention.store.store import Store

Make = Callable[..., Strategy]
DAY, AT = date(2017, 12, 1), datetime(2017, 11, 1, tzinfo=UTC)
SPRING = {"campaign": "advent", "holds_from": date(2017, 11, 27), "holds_until": date(2017, 12, 24)}


def _change(**values: Any) -> StrategyChange:  # noqa: ANN401 - any of its fields
    made = {
        "strategy_id": "voucher",
        "decided_by": "Ann",
        "reason": "a test",
        "decided_at": datetime(2017, 11, 1, tzinfo=UTC),
    }
    return StrategyChange(**(made | values))


def _offers(strategies: tuple[Strategy, ...], customer_id: str) -> list[tuple[float, int]]:
    return [(each.modules[0].amount, each.valid_days) for each in strategies if each.is_open_to(customer_id)]


def test_a_change_for_good_holds_for_everybody_and_the_last_one_decides(make_strategy: Make) -> None:
    changes = [_change(strength=1.5, number=1), _change(strength=0.5, number=2), _change(valid_days=20, number=3)]
    assert _offers(adjust([make_strategy()], changes, as_of=DAY), "c000") == [(5.0, 20)]


def test_a_campaign_goes_over_what_holds_for_good_on_its_days_alone(make_strategy: Make) -> None:
    changes = [_change(strength=2.0, number=1, **SPRING), _change(strength=0.5, number=2)]
    days = [date(2017, 11, 26), date(2017, 11, 27), date(2017, 12, 24), date(2017, 12, 25)]
    amounts = [_offers(adjust([make_strategy()], changes, as_of=day), "c000")[0][0] for day in days]
    assert amounts == [5.0, 20.0, 20.0, 5.0]


def test_a_change_for_one_customer_goes_over_a_campaign_and_leaves_everybody_else_alone(make_strategy: Make) -> None:
    campaign = _change(strength=0.5, valid_days=20, number=2, **SPRING)
    changes = [_change(strength=2.0, customer_id="c001", number=1), campaign]
    strategies = adjust([make_strategy()], changes, as_of=DAY)
    assert _offers(strategies, "c000") == [(5.0, 20)]
    assert _offers(strategies, "c001") == [(20.0, 20)]


def test_every_customer_gets_the_message_of_their_own_setting(make_strategy: Make) -> None:
    changes = [_change(strength=2.0, customer_id="c001", number=1)]
    strategies = adjust([make_strategy(), make_strategy("other")], changes, as_of=DAY)
    pairs = [("c000", "voucher"), ("c001", "voucher"), ("c001", "other")]
    assert [strategy.texts()["text_en"] for strategy in find_settings(pairs, strategies)] == [
        "10 off for 14 days",
        "20 off for 14 days",
        "10 off for 14 days",
    ]


def test_a_paused_strategy_is_in_no_plan_until_it_is_resumed(make_strategy: Make) -> None:
    paused = [_change(is_paused=True, number=1)]
    assert adjust([make_strategy()], paused, as_of=DAY) == ()
    assert len(adjust([make_strategy()], paused, as_of=DAY, with_paused=True)) == 1
    resumed = [*paused, _change(is_paused=False, number=2)]
    assert _offers(adjust([make_strategy()], resumed, as_of=DAY), "c000") == [(10.0, 14)]


def test_matching_costs_every_customer_by_their_own_setting(
    make_strategy: Make, make_candidates: Callable[..., pd.DataFrame], policy: Policy
) -> None:
    changes = [
        _change(strength=2.0, customer_id="c001", number=1),
        _change(is_paused=True, customer_id="c002", number=2),
    ]
    found = match(make_candidates(3), adjust([make_strategy()], changes, as_of=DAY), policy)
    assert found.set_index("customer_id")["option_cost"].to_dict() == {"c000": 5.0, "c001": 10.0}


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"strategy_id": "vucher", "strength": 1.0}, "There is no strategy 'vucher'; `holdfast strategies list` shows"),
        ({"strength": 2.5}, "The strength of voucher may lie between 0.5 and 2, not at 2.5."),
        ({"valid_days": 29}, "voucher may be valid for 7 to 28 days, not for 29."),
        ({}, "Nothing changes: pass --strength, --valid-days, --pause or --resume."),
        ({"strength": 1.0, "reason": " "}, "pass --by and --reason"),
        ({"strength": 1.0, "campaign": "advent"}, "A campaign ends: pass --until"),
        ({"strength": 1.0, "holds_until": DAY}, "Days belong to a campaign: pass --campaign"),
        ({"strength": 1.0, **SPRING, "holds_from": date(2018, 1, 1)}, "ends before it begins"),
    ],
)
def test_a_change_out_of_bounds_or_without_its_reason_is_refused(
    make_strategy: Make, values: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        check(_change(**values), [make_strategy()])
    assert problem in str(raised.value)


def test_the_bounds_of_a_file_hold_instead_of_half_to_double(make_strategy: Make) -> None:
    narrow = make_strategy(bounds={"strength": {"low": 1, "high": 1.2}, "valid_days": {"low": 1, "high": 1}})
    check(_change(strength=1.2), [narrow])
    with pytest.raises(ValueError, match=r"between 1 and 1\.2, not at 1\.3"):
        check(_change(strength=1.3), [narrow])
    with pytest.raises(ValueError, match="14 to 14 days"):
        check(_change(valid_days=15), [narrow])


def test_the_history_keeps_every_change_in_its_order(store: Store) -> None:
    made = [_change(strength=1.5), _change(is_paused=True, customer_id="c001"), _change(valid_days=20, **SPRING)]
    numbered = [store.strategy_changes.record(change) for change in made]
    assert [change.number for change in numbered] == [1, 2, 3]
    assert store.strategy_changes.read() == numbered
