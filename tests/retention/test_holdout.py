from datetime import date
from hashlib import sha256

import pandas as pd

from company.policy import load_policy
from retention.deciding.holdout import draw, hold_out, period_of

IDS = [f"c{number}" for number in range(20_000)]


def test_the_draw_is_the_hash_and_nothing_else() -> None:
    fraction = int.from_bytes(sha256(b"salt:c1").digest()[:8], "big") / 2**64
    assert draw(["c1"], salt="salt", share=fraction * 1.000001).tolist() == [True]
    assert draw(["c1"], salt="salt", share=fraction * 0.999999).tolist() == [False]


def test_a_customer_keeps_the_arm_whoever_else_is_drawn() -> None:
    alone = [bool(draw([customer], salt="s", share=0.1)[0]) for customer in IDS[:500]]
    assert draw(IDS, salt="s", share=0.1)[:500].tolist() == alone


def test_the_share_is_met_within_chance() -> None:
    held = draw(IDS, salt="s", share=0.1).mean()
    assert abs(held - 0.1) < 4 * (0.1 * 0.9 / len(IDS)) ** 0.5


def test_a_larger_share_keeps_everyone_of_a_smaller_one() -> None:
    assert (draw(IDS, salt="s", share=0.2) >= draw(IDS, salt="s", share=0.1)).all()


def test_another_salt_draws_another_group() -> None:
    both = draw(IDS, salt="s", share=0.1) & draw(IDS, salt="t", share=0.1)
    assert 0.005 < both.mean() < 0.015


def test_no_share_holds_out_nobody() -> None:
    assert not draw(IDS, salt="s", share=0.0).any()


def test_another_group_is_drawn_each_year_from_the_one_that_the_policy_names() -> None:
    holdout = load_policy({"holdout": {"share": 0.5, "salt": "s", "rotates_from": 2027}}).holdout
    years = (2025, 2026, 2027, 2028)
    days = [date(year, month, day) for year in years for month, day in ((1, 1), (12, 31))]
    ids = pd.Series(IDS[:500])
    groups = [hold_out(ids, pd.Series([day] * len(ids)), holdout).tolist() for day in days]
    assert [groups.index(group) for group in groups] == [0, 0, 0, 0, 4, 4, 6, 6]
    assert groups[0] == draw(ids, salt="s", share=0.5).tolist()


def test_days_on_both_sides_of_a_turn_of_the_year_have_each_their_own_draw() -> None:
    holdout = load_policy({"holdout": {"share": 0.5, "salt": "s", "rotates_from": 2027}}).holdout
    ids, turn = pd.Series(IDS[:200]), [date(2026, 12, 31), date(2027, 1, 1)]
    apart = [hold_out(ids, pd.Series([day] * 200), holdout) for day in turn]
    mixed = hold_out(ids, pd.Series([turn[number % 2] for number in range(200)]), holdout)
    assert mixed.tolist() == [apart[number % 2][number] for number in range(200)]


def test_a_draw_that_never_rotates_has_no_end_and_no_wash_out() -> None:
    period = period_of(load_policy({"holdout": {"rotates_from": None}}).holdout, date(2031, 1, 1))
    assert (period.since, period.until, period.is_washout(date(2031, 1, 1), days=60)) == (None, None, False)
