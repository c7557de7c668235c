from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from company.policy import Policy, load_policy
from retention.measuring.outcomes import COLUMNS, read_effects

POLICY = load_policy({"holdout": {"share": 0.5, "rotates_from": None}})
JANUARY, FEBRUARY = date(2025, 1, 10), date(2025, 2, 10)
MONTH = timedelta(days=31)
TODAY = date(2025, 3, 1)


def _decisions(arm: str, kept: int, lost: int, day: date = JANUARY, **columns: object) -> pd.DataFrame:
    frame = pd.DataFrame({"churned": [False] * kept + [True] * lost})
    known = {"strategy_id": "s", "is_mature": True, "event": "assigned", "as_of": day, "outcome_until": day + MONTH}
    ids = [f"{arm} {day} {number}" for number in range(len(frame))]
    return frame.assign(customer_id=ids, arm=arm, **(known | columns))


def _outcomes(
    treated: tuple[int, int], held_out: tuple[int, int], *, day: date = JANUARY, **columns: object
) -> pd.DataFrame:
    arms = {"treated": treated, "holdout": held_out}
    return pd.concat([_decisions(arm, *counts, day, **columns) for arm, counts in arms.items()])


def _rows(outcomes: pd.DataFrame, *, today: date = TODAY, policy: Policy = POLICY) -> pd.DataFrame:
    effects = read_effects(outcomes, policy, today=today)
    return effects.loc[effects["strategy_id"] == "s"].reset_index(drop=True)


def _row(outcomes: pd.DataFrame, *, today: date = TODAY, policy: Policy = POLICY) -> dict[str, Any]:
    rows = _rows(outcomes, today=today, policy=policy)
    return dict(rows.loc[rows["is_latest"]].iloc[0])


@pytest.mark.parametrize(
    ("treated", "held_out", "verdict"),
    [
        ((3000, 1000), (2700, 1300), "works"),
        ((2700, 1300), (3000, 1000), "harms"),
        ((3000, 1000), (3000, 1000), "no_effect_found"),
        ((30, 10), (10, 30), "insufficient"),
        ((3000, 1000), (0, 0), "insufficient"),
        ((0, 0), (3000, 1000), "insufficient"),
    ],
)
def test_a_verdict_needs_the_sample_and_the_interval(
    treated: tuple[int, int], held_out: tuple[int, int], verdict: str
) -> None:
    assert _row(_outcomes(treated, held_out))["verdict"] == verdict


def test_the_untreated_who_all_stayed_are_no_proof_while_they_are_few() -> None:
    assert _row(_outcomes((300, 100), (12, 0)))["verdict"] == "insufficient"


def test_a_look_counts_what_was_over_by_its_day_and_the_verdict_stands_from_then_on() -> None:
    outcomes = pd.concat([_outcomes((3000, 1000), (2700, 1300)), _outcomes((0, 9000), (9000, 0), day=FEBRUARY)])
    rows = _rows(outcomes, today=date(2025, 4, 15))
    shown = rows[["looked_on", "look", "n_treated", "n_immature", "verdict", "decided_on"]]
    first = date(2025, 3, 1)
    assert shown.astype(object).where(shown.notna(), None).to_numpy().tolist() == [
        [first, 1, 4000, 18000, "works", first],
        [date(2025, 4, 1), None, 13000, 0, "works", first],
        [date(2025, 4, 15), None, 13000, 0, "works", first],
    ]


def test_a_past_look_is_the_same_whatever_was_learnt_after_it() -> None:
    early = _outcomes((300, 100), (270, 130))
    later = pd.concat([early, _outcomes((4000, 0), (0, 4000), day=FEBRUARY)])
    then, now = _rows(early), _rows(later, today=date(2025, 6, 1))
    former = now.loc[now["looked_on"] == TODAY]
    kept = [name for name in COLUMNS if name not in {"is_latest", "n_immature", "verdict_expected_on"}]
    pd.testing.assert_frame_equal(former[kept], then[kept])
    assert now.iloc[-1]["verdict"] == "works"


def test_no_claim_is_made_between_looks() -> None:
    row = _row(_outcomes((3000, 1000), (2000, 2000)), today=date(2025, 2, 20))
    assert (row["verdict"], row["look"] is pd.NA) == ("insufficient", True)
    assert (row["difference_low"], row["difference_high"]) == (row["band_low"], row["band_high"])
    assert row["band_low"] > 0


def test_what_is_missing_is_told_as_a_sample_and_a_day() -> None:
    days = [JANUARY + timedelta(days=day) for day in range(12)]
    row = _row(pd.concat([_outcomes((30, 10), (30, 10), day=day) for day in days]))
    half = 960 / (row["needed_treated"] + row["needed_holdout"])
    assert row["needed_treated"] == pytest.approx(480 / row["share_of_information"], abs=1)
    assert row["share_of_information"] == pytest.approx(half, rel=0.01)
    ahead = timedelta(days=np.ceil((row["needed_treated"] + row["needed_holdout"] - 960) / 80))
    assert row["verdict_expected_on"] == ((TODAY + ahead + MONTH).replace(day=1) + MONTH).replace(day=1)


def test_effects_count_only_mature_decisions() -> None:
    young = _outcomes((100, 0), (100, 0), is_mature=False)
    unknown = _outcomes((5, 0), (5, 0)).assign(churned=None)
    row = _row(pd.concat([_outcomes((3, 1), (1, 1)), young, unknown]))
    counts = {name: row[name] for name in ("n_treated", "n_holdout", "n_immature", "retention_treated")}
    assert counts == {"n_treated": 4, "n_holdout": 2, "n_immature": 210, "retention_treated": 0.75}


def test_what_became_of_a_message_does_not_move_a_customer_between_arms() -> None:
    outcomes = _outcomes((3, 1), (1, 1))
    with_events = pd.concat([outcomes, outcomes.assign(event="sent"), outcomes.assign(event="failed")])
    pd.testing.assert_frame_equal(_rows(with_events), _rows(outcomes))


def test_decisions_that_exploration_changed_say_nothing_about_a_strategy() -> None:
    planned = _outcomes((50, 50), (40, 60), planned_strategy_id="s")
    explored = pd.concat(
        [
            _decisions("treated", 100, 0, planned_strategy_id="another"),
            _decisions("control", 0, 100, planned_strategy_id="s"),
        ]
    )
    pd.testing.assert_frame_equal(_rows(pd.concat([planned, explored])), _rows(planned))


def test_all_strategies_together_come_first() -> None:
    outcomes = pd.concat([_outcomes((3, 1), (1, 1)), _outcomes((1, 1), (2, 0), strategy_id="r")])
    found = read_effects(outcomes, POLICY, today=TODAY)
    assert found[["strategy_id", "n_treated", "n_holdout"]].to_numpy().tolist() == [
        ["all", 6, 4],
        ["r", 2, 2],
        ["s", 4, 2],
    ]


def test_a_win_back_is_judged_by_who_came_back_and_not_by_a_floor_for_customers() -> None:
    arms = {"treated": (320, 3680), "holdout": (80, 3920)}
    back = pd.concat(
        [
            _decisions(arm, 0, sum(counts), retained=[True] * counts[0] + [False] * counts[1]).assign(churned=None)
            for arm, counts in arms.items()
        ]
    )
    row = _row(back)
    shown = ("verdict", "n_treated", "retention_treated", "retention_holdout", "is_below_floor")
    assert [row[name] for name in shown] == ["works", 4000, 0.08, 0.02, False]
    assert row["difference_low"] > 0


def test_repeated_decisions_of_the_same_customers_are_not_so_many_customers() -> None:
    once = _outcomes((300, 100), (270, 130))
    repeated = pd.concat([once.assign(as_of=JANUARY + timedelta(days=day)) for day in range(4)])
    shares = [_row(rows)["share_of_information"] for rows in (once, repeated)]
    assert shares[1] == pytest.approx(shares[0], rel=0.01)


def test_money_is_a_difference_of_means_that_what_was_spent_before_makes_sharper() -> None:
    rng = np.random.default_rng(0)
    outcomes = _outcomes((3000, 1000), (3000, 1000), cost=2.0)
    usual = rng.gamma(2.0, 50.0, size=len(outcomes))
    outcomes["amount_spent_before"] = usual + rng.normal(size=len(outcomes))
    outcomes["amount_spent_after"] = usual + np.where(outcomes["arm"] == "treated", 2.0, 0.0)
    row = _row(outcomes)
    assert (row["amount_difference"], row["cost_per_treated"]) == (pytest.approx(2, abs=0.1), 2.0)
    assert row["amount_low"] < 2 < row["amount_high"]
    widths = [row[f"{name}_high"] - row[f"{name}_low"] for name in ("amount", "unadjusted_amount")]
    assert widths[0] < 0.1 * widths[1]


def test_the_score_makes_retention_sharper_and_does_not_move_it() -> None:
    rng = np.random.default_rng(1)
    probability = rng.beta(1, 1, size=8000)
    arm = np.where(np.arange(8000) % 2, "treated", "holdout")
    outcomes = _outcomes((4000, 0), (4000, 0)).assign(
        arm=arm, probability=probability, churned=rng.random(8000) < probability - 0.1 * (arm == "treated")
    )
    row = _row(outcomes)
    assert (row["difference"], row["unadjusted"]) == (pytest.approx(0.1, abs=0.03), pytest.approx(0.1, abs=0.04))
    assert row["variance_explained"] == pytest.approx(1 / 3, abs=0.05)


def test_customers_without_a_score_stay_in() -> None:
    outcomes = _outcomes((3000, 1000), (2700, 1300))
    plain, some = _row(outcomes), _row(outcomes.assign(probability=[0.5, None] * (len(outcomes) // 2)))
    assert some["n_treated"] == plain["n_treated"]
    assert some["difference"] == pytest.approx(plain["difference"], abs=0.005)


def test_a_new_draw_begins_a_new_trial_after_a_wash_out() -> None:
    policy = load_policy({"holdout": {"share": 0.5, "rotates_from": 2025, "washout_days": 60}})
    days = (date(2024, 12, 1), date(2025, 1, 10), date(2025, 3, 10))
    outcomes = pd.concat([_outcomes((30 + place, 10), (30, 10), day=day) for place, day in enumerate(days)])
    rows = _rows(outcomes, today=date(2025, 5, 1), policy=policy)
    assert rows[["period", "looked_on", "n_treated", "is_latest"]].to_numpy().tolist() == [
        ["before 2025", date(2025, 1, 1), 40, False],
        ["2025", date(2025, 5, 1), 42, True],
    ]


def test_the_first_draw_of_all_has_nothing_to_wash_out() -> None:
    policy = load_policy({"holdout": {"share": 0.5, "rotates_from": 2025, "washout_days": 60}})
    assert _row(_outcomes((30, 10), (30, 10)), policy=policy)["n_treated"] == 40


def test_a_strategy_that_keeps_hardly_anyone_is_up_for_review() -> None:
    assert _row(_outcomes((100, 3900), (100, 3900)))["is_below_floor"]
    assert not _row(_outcomes((1, 39), (1, 39)))["is_below_floor"]


def test_nothing_decided_yet_gives_a_row_that_says_so() -> None:
    found = read_effects(_outcomes((0, 0), (0, 0)), POLICY, today=TODAY)
    assert (list(found.columns), found["verdict"].tolist()) == (list(COLUMNS), ["insufficient"])
