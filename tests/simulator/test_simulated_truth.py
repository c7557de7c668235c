"""The truth behind a world: rates, hazard, responses, and that what left can be seen in what is served."""

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pytest

from simulator import hazard
from simulator.calendar import Calendar
from simulator.parameters import INDUSTRIES, load_parameters
from simulator.response import KINDS, respond
from simulator.silence import Silence
from simulator.streams import generator
from simulator.world import World, create_world

Query = Callable[[str], list[tuple[Any, ...]]]


def build(industry: str, *, customers: int = 20_000) -> tuple[World, hazard.State, hazard.Risk]:
    parameters = load_parameters(industry)
    calendar = Calendar(start=date(2025, 1, 1), count=2, timezone=parameters.timezone)
    world = create_world(parameters, calendar, customers=customers, seed=3)
    state = hazard.burn_in(world)
    return world, state, hazard.assess(world, state, month=0, intercept=hazard.calibrate(world, state))


def area(score: np.ndarray, positive: np.ndarray) -> float:
    """Weighted area under the ROC curve: `positive` is the probability that each one leaves."""
    order = np.argsort(score)
    leaves, stays = positive[order], 1 - positive[order]
    below = np.cumsum(stays) - stays / 2
    return float((leaves * below).sum() / (leaves.sum() * stays.sum()))


@pytest.mark.parametrize("industry", INDUSTRIES)
def test_customers_leave_at_the_industrys_base_rate(industry: str) -> None:
    world, state, risk = build(industry)
    known = world.signed_month < 0
    left = hazard.depart(world, state, risk, month=world.calendar.months[0]).left

    rate = world.parameters.base_rate
    assert risk.hazard[known].mean() == pytest.approx(rate, rel=1e-3)
    assert left[known].mean() == pytest.approx(rate, abs=4 * np.sqrt(rate / known.sum()))


@pytest.mark.parametrize("industry", INDUSTRIES)
def test_the_true_hazard_tells_leavers_apart_but_not_perfectly(industry: str) -> None:
    world, _, risk = build(industry)
    known = world.signed_month < 0

    assert 0.78 < area(risk.hazard[known], risk.hazard[known].astype(np.float64)) < 0.91


@pytest.mark.parametrize("industry", INDUSTRIES)
def test_offers_win_some_lose_some_and_leave_most_as_they_were(industry: str) -> None:
    world, _, risk = build(industry)
    draw = generator(0, "draw").random(world.size)
    response = respond(world, risk, draw)
    untreated = draw < risk.hazard

    for treated, kinds in zip(draw < response.treated, response.kinds, strict=True):
        expected = np.select([~untreated & ~treated, untreated & ~treated, untreated & treated], [0, 1, 2], 3)
        assert np.array_equal(kinds, expected)
    assert {KINDS[kind] for kind in np.unique(response.kinds)} == set(KINDS)


def test_pain_raises_the_hazard_and_names_its_cause() -> None:
    world, state, calm = build("telecom", customers=500)
    state.price = state.price + 5

    hurt = hazard.assess(world, state, month=0, intercept=-4.0)

    assert (hurt.hazard > hazard.expit(calm.log_odds - calm.log_odds.max() - 4)).all()
    assert np.bincount(hurt.cause).argmax() == hazard.CAUSES.index("price")


def test_a_committed_contract_ends_on_a_renewal_day() -> None:
    world, state, risk = build("telecom")
    month = world.calendar.months[1]
    due = hazard.is_renewal(world, month.index)
    certain = hazard.Risk(
        hazard=np.ones_like(risk.hazard), log_odds=risk.log_odds, contributions=risk.contributions, cause=risk.cause
    )

    left = hazard.depart(world, state, certain, month=month).left

    assert due.any()
    assert np.array_equal(state.left_day[left & due], (month.offset + world.day_of_month)[left & due])


def test_a_silent_customer_with_a_steady_rate_and_no_hazard_stays_silent_with_the_poisson_probability() -> None:
    rate = np.array([0.5, 1.0, 3.0])
    silence = Silence.fresh(3, rhythm=1)
    nothing = np.zeros(3)

    silence.live(nothing, rate, bought=np.zeros(3, dtype=np.bool_), since=np.ones(3))

    assert silence.forecast(nothing, rate, months=2) == pytest.approx(np.exp(-2 * rate))


def test_the_longer_the_silence_the_likelier_the_customer_is_gone() -> None:
    silence, risk, rate = Silence.fresh(1, rhythm=3), np.array([0.02]), np.array([4.0])
    seen = [float(silence.forecast(risk, rate, months=1)[0])]
    for _ in range(3):
        silence.live(risk, rate, bought=np.zeros(1, dtype=np.bool_), since=np.ones(1))
        seen.append(float(silence.forecast(risk, rate, months=1)[0]))
    silence.live(risk, rate, bought=np.ones(1, dtype=np.bool_), since=np.zeros(1))

    assert seen == sorted(seen)
    assert seen[-1] > 0.9
    assert float(silence.forecast(risk, rate, months=1)[0]) < 0.05


def test_every_leaver_of_a_contract_industry_has_a_contract_that_ends_that_day(asked_telecom: Query) -> None:
    differing = asked_telecom("""
        select customer_id, left_on, ended from '{truth}/customers.parquet' full join (
            select acct_no as customer_id, (end_ts at time zone 'Asia/Shanghai')::date as ended
            from '{db}/bill.contract.parquet' where end_ts is not null
        ) using (customer_id) where left_on is distinct from ended
    """)
    leavers = asked_telecom("select count(left_on) from '{truth}/customers.parquet'")

    assert differing == []
    assert leavers[0][0] > 30


def test_contract_periods_follow_one_another_without_gap(asked_telecom: Query) -> None:
    broken = asked_telecom("""
        select * from (
            select stat_cd, renew_ts::date as ends, lead(start_ts::date) over one as next,
                row_number() over one as place, count(*) over (partition by acct_no) as periods
            from '{db}/bill.contract.parquet' window one as (partition by acct_no order by start_ts)
        ) where (place < periods) <> (stat_cd = 'E') or (place < periods and next - ends not in (0, 1))
    """)

    assert broken == []


@pytest.mark.parametrize("world", ["asked_telecom", "asked_retail"])
def test_nobody_pays_after_leaving(world: str, request: pytest.FixtureRequest) -> None:
    query: Query = request.getfixturevalue(world)
    late = query("""
        select count(*) from '{db}/oms.sales_order.parquet' join '{truth}/identity.parquet' on acct_no = account
        join '{truth}/customers.parquet' on person_id = customer_id
        where (placed_at at time zone 'Asia/Shanghai')::date >= left_on
    """)

    assert late == [(0,)]


def test_the_hazard_explains_who_left(asked_telecom: Query) -> None:
    rows = np.array(asked_telecom("select hazard, leaves::int from '{truth}/hazard.parquet' where is_alive"))

    assert area(rows[:, 0], rows[:, 1]) > 0.75


def test_whom_rivals_draw_compares_offers(asked_telecom: Query) -> None:
    rows = asked_telecom("""
        select log_odds_rival > 0.5, avg(compares::int)
        from '{truth}/hazard.parquet' join (
            select acct_no as customer_id, coalesce(bool_or(url = '/compare'), false) as compares
            from '{db}/crm.account.parquet' left join clicks on uid = acct_no and ts >= '2025-01' and ts < '2025-02'
            group by acct_no
        ) using (customer_id)
        where as_of = date '2025-01-01' and (log_odds_rival > 0.5 or log_odds_rival < 0.1 and log_odds_price < 0.1)
        group by all order by 1
    """)

    assert [drawn for drawn, _ in rows] == [False, True]
    assert rows[1][1] > 3 * rows[0][1] > 0


def test_whom_the_product_does_not_fit_rates_it_lower(asked_telecom: Query) -> None:
    rows = asked_telecom("""
        select log_odds_product > 0.8, avg(score), min(score) >= 1 and max(score) <= 5
        from '{desk}/surveys.parquet' join '{truth}/hazard.parquet'
            on requester_ref = customer_id and date_trunc('month', submitted_at::timestamptz) = as_of
        where form = 'review' and (log_odds_product > 0.8 or log_odds_product < 0.1)
        group by all order by 1
    """)

    assert [(unfit, valid) for unfit, _, valid in rows] == [(False, True), (True, True)]
    assert rows[1][1] < rows[0][1] - 0.5


def test_truth_of_a_month_is_about_those_who_are_customers_when_it_begins(asked_retail: Query) -> None:
    rows = asked_retail("""
        select bool_and(is_alive = (left_on is null or left_on >= as_of)), bool_and(is_alive or hazard = 1),
            bool_and(not leaves or is_alive), count(*) filter (not is_alive) > 0
        from '{truth}/hazard.parquet' join '{truth}/customers.parquet' using (customer_id)
    """)

    assert rows == [(True, True, True, True)]
