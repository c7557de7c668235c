from collections.abc import Sequence
from datetime import date

import pandas as pd
import pytest

from company.policy import load_policy
from retention.measuring.checks import block, find_faults
from retention.measuring.outcomes import read_effects

POLICY = load_policy({"holdout": {"share": 0.1, "rotates_from": 2026}})
TODAY = date(2025, 6, 1)


def _ledger(arms: Sequence[str], *, first: int = 0, **columns: object) -> pd.DataFrame:
    known = {"strategy_id": "s", "channel": "email", "event": "assigned", "as_of": date(2025, 1, 10)}
    ids = [f"c{first + number}" for number in range(len(arms))]
    return pd.DataFrame({"customer_id": ids, "arm": arms}).assign(**(known | columns))


def _find(ledger: pd.DataFrame, *, today: date = TODAY) -> list[tuple[str, tuple[str, ...]]]:
    return [(fault.check, fault.strategies) for fault in find_faults(ledger, POLICY, today=today)]


GOOD = _ledger(["holdout"] * 100 + ["treated"] * 890 + ["control"] * 10)


def test_a_draw_as_it_should_be_has_no_fault() -> None:
    assert _find(GOOD) == []


def test_arms_whose_sizes_the_draw_does_not_give_are_found() -> None:
    assert _find(_ledger(["holdout"] * 60 + ["treated"] * 940)) == [("sample_ratio", ("all", "s"))] * 3


def test_one_channel_with_too_few_held_out_is_found_among_many() -> None:
    odd = _ledger(["treated"] * 150, first=5000, channel="sms", strategy_id="t")
    more = [_ledger(["holdout"] * 100 + ["treated"] * 900, first=1000 * number) for number in range(2, 5)]
    found = _find(pd.concat([GOOD, odd, *more]))
    assert found == [("sample_ratio", ("all", "t"))] * 2


def test_customers_chosen_again_do_not_count_again() -> None:
    again = [GOOD.loc[GOOD["arm"] == "treated"].assign(as_of=date(2025, month, 10)) for month in range(2, 6)]
    assert _find(pd.concat([GOOD, *again])) == []


def test_who_was_drawn_another_strategy_counts_for_the_planned_one() -> None:
    explored = GOOD.assign(planned_strategy_id="s")
    explored.loc[explored["arm"] == "treated", "strategy_id"] = "t"
    assert _find(explored) == []


def test_a_customer_who_changed_the_arm_blocks_the_strategies_of_both() -> None:
    assert _find(pd.concat([GOOD, _ledger(["treated"], as_of=date(2025, 3, 1), strategy_id="t")])) == [
        ("assignment_changed", ("all", "s", "t"))
    ]


def test_another_draw_in_a_new_period_is_no_change() -> None:
    assert _find(pd.concat([GOOD, _ledger(["treated"], as_of=date(2026, 3, 1))]), today=date(2026, 6, 1)) == []


@pytest.mark.parametrize(
    ("event", "is_leak"), [("sent", True), ("delivered", True), ("unknown", True), ("failed", False), ("held", False)]
)
def test_a_message_that_left_for_a_held_out_customer_is_a_leak(event: str, *, is_leak: bool) -> None:
    found = _find(pd.concat([GOOD, _ledger(["treated"], event=event, strategy_id="t")]))
    assert found == ([("holdout_contacted", ("all", "s"))] if is_leak else [])


def test_a_fault_is_described_by_what_was_seen() -> None:
    (fault,) = find_faults(pd.concat([GOOD, _ledger(["treated"], event="sent", strategy_id="t")]), POLICY, today=TODAY)
    assert fault.detail == "1 held-out customers were contacted, first on 2025-01-10 by t"


def test_faults_block_the_verdicts_of_the_running_period() -> None:
    outcomes = pd.concat(
        [
            GOOD.assign(
                outcome_until=day, as_of=day.replace(month=3, day=10), churned=GOOD["arm"] == "holdout", is_mature=True
            )
            for day in (date(2025, 4, 1), date(2026, 4, 1))
        ]
    )
    effects = read_effects(outcomes, POLICY, today=date(2026, 6, 1))
    ledger = pd.concat([outcomes, _ledger(["treated"], event="sent", as_of=date(2026, 2, 2))])
    shown = block(effects, find_faults(ledger, POLICY, today=date(2026, 6, 1)), POLICY, today=date(2026, 6, 1))
    of_all = shown.loc[shown["strategy_id"] == "all"]
    assert set(zip(of_all["period"], of_all["verdict"], of_all["because"], strict=True)) == {
        ("before 2026", "works", None),
        ("2026", "blocked", "holdout_contacted"),
    }


def test_nothing_decided_yet_has_no_fault() -> None:
    assert _find(_ledger([])) == []
