"""Consent in the plan, caps over all messages, and the hours in which nothing is sent."""

from collections.abc import Callable
from datetime import date, time

import numpy as np
import pandas as pd
import pytest

from company.industries import load_industry, names
from company.policy import PolicyError, load_policy
from retention.deciding.contact_rules import find_capped
from retention.deciding.plan import plan
from retention.deciding.strategy_files import load_strategies

Frame = Callable[..., pd.DataFrame]
NOTHING = pd.DataFrame({"customer_id": [], "as_of": []})
CAPS = {"day": 1, "week": 2, "month": 4}


@pytest.mark.parametrize(
    ("contacts", "capped"),
    [((0, 0, 0), set()), ((1, 1, 1), {"c000"}), ((0, 1, 3), set()), ((0, 2, 2), {"c000"}), ((0, 0, 4), {"c000"})],
)
def test_the_companys_own_campaigns_use_up_the_caps(
    make_candidates: Frame, contacts: tuple[int, int, int], capped: set[str]
) -> None:
    people = make_candidates(1, contacts_1d=contacts[0], contacts_7d=contacts[1], contacts_30d=contacts[2])
    policy = load_policy({"contact_rules": {"caps": CAPS}})
    assert find_capped(people, NOTHING, policy) == capped


def test_what_was_sent_before_counts_with_the_campaigns_in_rolling_windows(make_candidates: Frame) -> None:
    people = make_candidates(4, contacts_1d=0, contacts_7d=1, contacts_30d=1)
    sent = pd.DataFrame(
        {
            "customer_id": ["c000", "c001", "c002", "c002", "c002", "c003", "c003"],
            # the plan is of 2017-12-01: seven days back is the last day of a week, thirty that of a month
            "as_of": [date(2017, 11, 24), date(2017, 11, 23), *[date(2017, 11, 1)] * 3, *[date(2017, 10, 31)] * 2],
        }
    )
    policy = load_policy({"contact_rules": {"caps": CAPS}})
    assert find_capped(people, sent, policy) == {"c000", "c002"}


def test_a_message_of_the_same_day_or_a_later_one_does_not_count(make_candidates: Frame) -> None:
    people = make_candidates(1, contacts_1d=0, contacts_7d=0, contacts_30d=0)
    sent = pd.DataFrame({"customer_id": ["c000"] * 2, "as_of": [date(2017, 12, 1), date(2017, 12, 5)]})
    assert find_capped(people, sent, load_policy()) == set()


def test_quiet_hours_may_go_over_midnight() -> None:
    hours = load_policy().contact_rules.quiet_hours
    moments = [time(20, 59), time(21, 0), time(3, 0), time(8, 59), time(9, 0)]
    assert [hours.covers(moment) for moment in moments] == [False, True, True, True, False]


def test_quiet_hours_within_a_day_are_quiet_between_begin_and_end() -> None:
    hours = load_policy(
        {"contact_rules": {"quiet_hours": {"begin": "12:00", "end": "14:00"}}}
    ).contact_rules.quiet_hours
    assert [hours.covers(time(hour)) for hour in (11, 12, 13, 14)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"contact_rules": {"quiet_hours": {"begin": 1260}}}, 'write a time of day in quotes, such as "21:00"'),
        ({"contact_rules": {"caps": {"day": 9}}}, "a longer window cannot allow fewer contacts than a shorter one"),
        ({"contact_costs": {"drum": 1.0}}, "does not name the consent that the channel 'drum' needs; add `drum: drum`"),
        ({"contact_rules": {"consent": {"marketing": "maybe"}}}, "contact_rules.consent.marketing"),
    ],
)
def test_wrong_contact_rules_are_refused_with_the_fix(change: dict[str, object], problem: str) -> None:
    with pytest.raises(PolicyError) as raised:
        load_policy(change)
    assert problem in str(raised.value)


@pytest.mark.parametrize("name", names())
def test_no_plan_chooses_a_channel_that_is_closed_to_its_purpose(name: str, make_candidates: Frame) -> None:
    preset = load_industry(name)
    policy = load_policy(preset.policy, {"holdout": {"share": 0.2}, "exploration": {"share": 0.3}})
    strategies = load_strategies(preset.path, policy=policy)
    draw, channels, size = np.random.default_rng(5), [*policy.contact_costs], 600

    def some(words: list[str], share: float) -> list[str]:
        return [",".join(word for word in words if draw.random() < share) for _ in range(size)]

    people = make_candidates(
        size,
        tier=draw.choice(["high", "medium", "low"], size),
        lifecycle_stage=draw.choice(["new", "active"], size),
        reasons=some(["inactivity", "price", "service", "contract"], 0.5),
        triggers=some(["cart_left", "payment_failed", "complaint_open"], 0.3),
        ticket_topic=draw.choice(["price", "slow", "outage"], size),
        allowed_channels=some(channels, 0.4),
        service_channels=some(channels, 0.4),
    )
    chosen = plan(people, strategies, policy, spent=0).rows.query("arm != 'none'").merge(people, on="customer_id")
    purposes = chosen["strategy_id"].map({strategy.id: strategy.purpose for strategy in strategies})
    permitted = chosen["allowed_channels"].where(purposes == "marketing", chosen["service_channels"])
    assert set(purposes) == {"marketing", "service"}
    assert {"treated", "holdout", "control"} == set(chosen["arm"])
    pairs = zip(chosen["channel"], permitted, strict=True)
    assert [channel for channel, words in pairs if channel not in words.split(",")] == []
