"""Incidents: what rises in a group is found and what wavers is not; one event is one incident, its alerts folded in."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from company.policy import load_policy
from retention.acting.clock import make_clock
from retention.acting.incidents import adjust, find_incidents, grade, measure_rates
from retention.acting.look import look
from retention.store.store import Store

RULES = load_policy().incidents
DAY = date(2026, 6, 1)
AT = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)


def make_windows(counts: dict[str, list[int]], *, customers: int = 2000, measure: str = "complaints") -> pd.DataFrame:
    """Return windows of groups, the latest count first."""
    rows = [
        {
            "measure": measure, "group_name": name, "window_number": number, "count_customers": customers,
            "count_events": count, "first_date": DAY - timedelta(days=3 + 7 * number),
            "last_date": DAY - timedelta(days=1 + 7 * number),
        }
        for name, listed in counts.items()
        for number, count in enumerate(listed)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def make_events(
    customers: dict[str, list[str]], *, measure: str = "complaints", detail: str = "signal"
) -> pd.DataFrame:
    rows = [(measure, name, each, detail, 50.0) for name, listed in customers.items() for each in listed]
    return pd.DataFrame(rows, columns=["measure", "group_name", "customer_id", "detail", "money_at_risk"])


def people(count: int, first: int = 0) -> list[str]:
    return [f"c{number}" for number in range(first, first + count)]


def test_an_outage_of_one_quarter_is_one_incident_whatever_groups_its_customers_are_in() -> None:
    windows = make_windows(
        {"region: north": [200, *[10] * 8], "plan: basic": [260, *[60] * 8], "region: south": [11, *[10] * 8]}
    )
    events = make_events(
        {
            "region: north": people(200),
            "plan: basic": [*people(190), *people(70, 500)],
            "region: south": people(11, 600),
        }
    )
    (found,) = find_incidents(windows, events, RULES)
    assert (found.group_name, len(found.customers), found.grade) == ("region: north", 200, "red")
    assert found.cause_en == "region: north: 200 customers complained, mostly about signal."
    assert found.money_at_risk == 10_000
    assert found.ratio == pytest.approx(20)


def test_two_events_apart_are_two_incidents() -> None:
    windows = make_windows({"region: north": [80, *[10] * 8], "region: south": [70, *[10] * 8]})
    events = make_events({"region: north": people(80), "region: south": people(70, 100)})
    assert [each.group_name for each in find_incidents(windows, events, RULES)] == ["region: north", "region: south"]


def test_the_chance_is_that_of_the_binomial_given_both_counts() -> None:
    measured = measure_rates(make_windows({"a": [25, *[10] * 8]}))
    assert measured["p_value"].iloc[0] == pytest.approx(binom.sf(24, 105, 1 / 9))


def test_a_group_that_always_wavers_needs_more_to_be_an_incident() -> None:
    calm, restless = [30, *[10] * 8], [30, 2, 22, 1, 20, 3, 25, 2, 5]
    measured = measure_rates(make_windows({"calm": calm, "restless": restless})).set_index("group_name")
    assert measured.loc["calm", "p_value"] < 1e-5
    assert measured.loc["restless", "p_value"] > 0.01


def test_the_false_discovery_rate_is_that_of_benjamini_and_hochberg() -> None:
    assert adjust(np.array([0.04, 0.01, 0.03, 0.5])).tolist() == pytest.approx([0.16 / 3, 0.04, 0.16 / 3, 0.5])


def test_chance_alone_makes_no_incident() -> None:
    chance, reported = np.random.default_rng(0), 0
    for _ in range(100):
        counts = {f"group {number}": chance.poisson(20, size=9).tolist() for number in range(25)}
        reported += int((measure_rates(make_windows(counts))["q_value"] <= RULES.false_discovery_rate).any())
    assert reported <= 3


def test_a_group_without_a_past_is_not_compared() -> None:
    windows = make_windows({"new": [50, 1, 1]})
    assert find_incidents(windows, make_events({"new": people(50)}), RULES) == []
    assert find_incidents(windows.iloc[:0], make_events({}), RULES) == []


def test_the_crisis_plan_goes_by_customers_or_by_money() -> None:
    assert [grade(*case, RULES) for case in ((250, 0.0), (20, 25_000.0), (60, 0.0), (12, 10.0), (5, 0.0))] == [
        "red", "orange", "orange", "yellow", "yellow",
    ]  # fmt: skip


def test_an_incident_takes_its_customers_alerts_in_and_is_told_of_once(sqlite_url: str) -> None:
    policy = load_policy()
    windows, events = make_windows({"region: north": [60, *[5] * 8]}), make_events({"region: north": people(60)})
    found = find_incidents(windows, events, policy.incidents)
    with Store(sqlite_url) as store:
        store.alerts.record(_alerts(["c1", "c2", "c900"]), at=AT)
        taken_on = store.alerts.read().set_index("customer_id")["alert_id"]["c2"]
        store.alerts.acknowledge(taken_on, by="ann", at=AT)
        given = {"as_of": DAY, "at": AT, "policy": policy}
        assert [store.incidents.record(found, **given) for _ in range(2)] == [(1, 1), (0, 0)]
        states = store.alerts.read().set_index("customer_id")["state"].to_dict()
        assert states == {"c1": "closed", "c2": "acknowledged", "c900": "open"}
        for _ in range(2):
            look(store, policy, timezone="UTC", at=AT)
        assert notified(store) == [("customer service", "incident"), ("retention desk", "incident")]
        (row,) = store.incidents.find()
        store.incidents.acknowledge(row["incident_id"], by="ann", at=AT)
        store.incidents.close(row["incident_id"], by="ann", at=AT, feedback="useful")
        with pytest.raises(ValueError, match="is not open or acknowledged"):
            store.incidents.close(row["incident_id"], by="ann", at=AT, feedback="useful")
        assert store.incidents.find() == []


def test_an_incident_climbs_its_ladder_and_its_missed_answer_counts_once(sqlite_url: str) -> None:
    duty = [{"from": "2026-06-01", "until": "2026-06-07"}]
    policy = load_policy({"owners": {"ann": {"team": "customer service", "duty": duty, "regions": ["north"]}}})
    found = find_incidents(
        make_windows({"region: north": [60, *[5] * 8]}), make_events({"region: north": people(60)}), policy.incidents
    )
    clock = make_clock(policy, timezone="UTC")
    with Store(sqlite_url) as store:
        store.incidents.record(found, as_of=DAY, at=AT, policy=policy, clock=clock)
        hours = (0, 3.9, 4, 4.1, 24.1, 24.2)  # nine working hours end at six; the next day begins after 24
        looks = [look(store, policy, timezone="UTC", at=AT + timedelta(hours=each)) for each in hours]
        assert [(len(each.notices), len(each.breaches)) for each in looks] == [
            (2, 0), (0, 0), (1, 0), (0, 0), (1, 1), (0, 0),
        ]  # fmt: skip
        assert notified(store) == [
            ("ann", "incident"), ("ann", "reminder"), ("management", "escalation"), ("retention desk", "incident"),
        ]  # fmt: skip
        (row,) = store.incidents.find()
        assert (row["owner"], row["breached_at"]) == ("ann", AT + timedelta(hours=9))
        assert "orange" in store.outbox.read()["body"].iloc[0]
        store.incidents.hand_over(
            row["incident_id"], to="marketing", by="ann", at=AT + timedelta(hours=25), clock=clock
        )
        assert len(look(store, policy, timezone="UTC", at=AT + timedelta(hours=26)).notices) == 1
        events = [each["event"] for each in store.incidents.read_events([row["incident_id"]])]
        assert (events[-1], events.count("breached"), events.count("notified")) == ("raised", 1, 5)


def notified(store: Store) -> list[tuple[str, str]]:
    rows = store.outbox.read()
    owners = rows["customer_id"].str.removeprefix("owner:")
    return sorted(pair for pair in zip(owners, rows["strategy_id"], strict=True) if pair[1] != "alert")


def _alerts(customers: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": customers}).assign(
        alert_id=[f"a-{each}" for each in customers], as_of=DAY, rank=1, level="high", tier="high", alert_level="high",
        score=95.0, probability=0.95, money_at_risk=95.0, priority=1, owner="retention desk",
        respond_within_hours=1.0, main_reason="service", why_en="w", why_zh="因",
    )  # fmt: skip


def test_a_rise_that_lasts_is_an_incident_though_its_own_weeks_have_become_the_past() -> None:
    windows = make_windows({"region: north": [24, *[22] * 5, *[6] * 3]})
    events = make_events({"region: north": people(24)})
    changes = pd.DataFrame(
        {
            "measure": ["complaints"], "group_name": ["region: north"], "changed_on": [date(2025, 12, 1)],
            "rate_before": [0.01], "rate_since": [0.04], "p_value": [1e-6], "q_value": [1e-5],
        }
    )  # fmt: skip
    assert find_incidents(windows, events, RULES) == []
    (found,) = find_incidents(windows, events, RULES, changes=changes)
    assert (found.first_date, found.ratio, found.q_value) == (date(2025, 12, 1), 4.0, 1e-5)
    assert find_incidents(windows, events, RULES, changes=changes.assign(rate_since=0.005)) == []
