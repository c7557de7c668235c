from datetime import date
from typing import Any

import pandas as pd
import pytest

from company.policy import load_policy
from retention.measuring.losses import COLUMNS, account_losses, measure_lasting_share

AS_OF = date(2024, 12, 1)
ASSUMPTIONS = load_policy().losses
DAYS = {  # month: end of its window, and the day from which on who left is lost
    date(2024, 5, 1): (date(2024, 5, 31), date(2024, 9, 28)),
    date(2024, 11, 1): (date(2024, 12, 1), date(2025, 3, 31)),
}


def _left(customer: str, month: date, state: str, value: float, tier: str = "normal") -> dict[str, object]:
    until, lost = DAYS[month]
    return {
        "as_of": month, "customer_id": customer, "label_until": until, "lost_date": lost, "state": state,
        "returned_date": until if state == "returned" else None, "value_from_now": value,
        "amount_year_before": 2 * value, "value_tier": tier,
    }  # fmt: skip


MAY, NOVEMBER = DAYS
LEAVERS = pd.DataFrame(
    [
        _left("lost", MAY, "lost", 100, "gold"),
        *(_left(f"back {number}", MAY, "returned", 50) for number in range(3)),
        _left("away", NOVEMBER, "away", 60),
        _left("back in November", NOVEMBER, "returned", 80),
    ]
)


def _account(leavers: pd.DataFrame = LEAVERS, *, lasting_share: float = 0.25) -> dict[str, dict[str, Any]]:
    found = account_losses(
        leavers, as_of=AS_OF, lasting_share=lasting_share, value_of_newcomers=920, assumptions=ASSUMPTIONS
    )
    assert list(found.columns) == list(COLUMNS)
    return {row["line"]: row for row in found.to_dict("records")}


def test_the_lasting_share_is_counted_over_months_that_are_decided() -> None:
    assert measure_lasting_share(LEAVERS, as_of=AS_OF, assumed=1.0) == (0.25, "measured")


def test_without_a_decided_month_the_share_is_the_policys_and_says_so() -> None:
    recent = LEAVERS.loc[LEAVERS["as_of"] == NOVEMBER]
    for leavers in (recent, LEAVERS.iloc[:0]):
        assert measure_lasting_share(leavers, as_of=AS_OF, assumed=0.7) == (0.7, "assumption")


def test_who_is_away_counts_by_how_likely_they_stay_away() -> None:
    # a quarter of all who leave stay away, and half of November's are still away: half of those are lost
    account = _account()
    assert {
        line: account[line]["amount"] for line in ("value", "lost", "away", "direct", "high_value")
    } == pytest.approx({"value": 100 + 0.5 * 60, "lost": 100, "away": 30, "direct": 200 + 60, "high_value": 100})
    assert (account["left"]["count_customers"], account["returned"]["share"]) == (6, pytest.approx(4 / 6))
    assert account["value_per_head"]["amount"] == pytest.approx(130 / 1.5)


def test_who_left_twice_and_came_back_once_counts_by_the_last_time() -> None:
    again = pd.concat([LEAVERS, pd.DataFrame([_left("back 0", NOVEMBER, "away", 40)])])
    assert (_account(again)["left"]["count_customers"], _account(again)["returned"]["count_customers"]) == (6, 3)


def test_what_left_more_than_a_year_ago_is_no_loss_of_the_year() -> None:
    old = LEAVERS.assign(label_until=date(2023, 11, 1))
    assert _account(old)["value"]["amount"] == 0
    assert pd.isna(_account(old)["value_per_head"]["amount"])


def test_assumptions_are_marked_and_in_no_sum() -> None:
    account = _account()
    assert [line for line, row in account.items() if row["basis"] == "assumption"] == ["conversion", "image"]
    assert account["conversion"]["amount"] == pytest.approx(920 * 0.08 / 0.92)  # 1000 would have been won
    assert pd.isna(account["image"]["amount"])
