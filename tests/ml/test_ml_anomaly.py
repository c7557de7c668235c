"""Anomalies: who changed is found, named and dated; who goes on as usual, or with everybody, is left alone."""

import json
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from company.policy import load_policy
from ml.anomaly.detector import (
    DAYS_LEARNED,
    Detector,
    count_crossings,
    find_largest_fall,
    find_line,
    learn,
    measure_auc,
)
from ml.anomaly.evidence import measure_evidence
from ml.anomaly.findings import find_anomalies, write
from ml.anomaly.forest import Forest
from ml.anomaly.injection import ABANDONED, KINDS, RHYTHM, VOLUME, inject
from ml.anomaly.profile import Deviations, measure
from ml.anomaly.recurrent import Recurrent
from ml.anomaly.series import Series

AS_OF = date(2026, 3, 2)
RULES = load_policy({}).anomaly


def make_series(customers: int = 260, *, seed: int = 0) -> Series:
    """Customers of steady habits: visits about every other day, orders at the weekend, logins once a week."""
    rng = np.random.default_rng(seed)
    weekday = np.arange(DAYS_LEARNED) % 7
    rates = np.stack([np.full(DAYS_LEARNED, 0.15), np.where(weekday >= 5, 0.6, 0.05), np.full(DAYS_LEARNED, 0.5)])
    own = rng.gamma(8, 1 / 8, (customers, 3, 1))
    return Series(
        as_of=AS_OF,
        customers=np.array([f"c{number:03d}" for number in range(customers)]),
        indicators=("logins", "orders", "visits"),
        counts=rng.poisson(rates * own).astype(np.float32),
        known_days=np.full(customers, DAYS_LEARNED),
    )


@pytest.fixture(scope="module")
def detector() -> Detector:
    found = learn(make_series(), RULES, seed=0)
    assert found is not None
    return found


def measure_one(series: Series) -> Deviations:
    return measure(series, least_days=RULES.least_days)


def test_rows_become_days_counted_back_and_nothing_of_the_day_itself_is_seen() -> None:
    days = [AS_OF - timedelta(days=each) for each in (1, 3, 0)]
    known = pa.array([None, AS_OF - timedelta(days=5), None], pa.date32())
    rows = {"customer_id": ["b", "a", "a"], "active_date": days, "indicator": ["orders"] * 3}
    table = pa.table({**rows, "count_actions": [2.0, 1.0, 9.0], "known_date": known})
    series = Series.build(table, as_of=AS_OF, days=4)
    assert (series.customers.tolist(), series.known_days.tolist()) == (["a", "b"], [4, 1])
    assert series.counts[:, 0].tolist() == [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 2.0]]


def test_what_happens_to_everybody_is_nobodys_anomaly() -> None:
    series = make_series()
    season = series.counts.copy()
    season[:, :, -28:] = np.random.default_rng(1).binomial(season[:, :, -28:].astype(int), 0.4)
    largest = [float(np.quantile(measure_one(each).values.max(axis=1), 0.9)) for each in (
        series, replace(series, counts=season))]  # fmt: skip
    assert largest[1] < largest[0] + 1


def test_the_detector_survives_json_and_is_the_same_for_the_same_seed(detector: Detector) -> None:
    again = learn(make_series(), RULES, seed=0)
    assert again is not None
    assert json.dumps(again.state()) == json.dumps(detector.state())
    series = make_series(30, seed=5)
    deviations = measure_one(series)
    restored = Detector.restore(json.loads(json.dumps(detector.state())))
    assert np.allclose(restored.score(series, deviations), detector.score(series, deviations))


@pytest.mark.parametrize("kind", KINDS)
def test_who_changed_ranks_first_and_hardly_anybody_else_is_called_anomalous(detector: Detector, kind: str) -> None:
    steady = make_series(300, seed=7)
    changed, who = inject(steady, kind, rows=np.arange(30), days=42, rng=np.random.default_rng(0))
    rows = find_anomalies(changed, detector, RULES).to_pylist()
    mine = set(steady.customers[who])
    scores = {
        has: np.array([row["score"] for row in rows if (row["customer_id"] in mine) is has]) for has in (True, False)
    }
    found = [row for row in rows if row["is_anomalous"]]
    assert measure_auc(scores[True], scores[False]) > 0.93
    assert sum(row["customer_id"] not in mine for row in found) <= 3
    named = [row for row in found if row["kind"] == kind]
    assert named
    assert abs(np.median([(AS_OF - row["since_date"]).days for row in named]) - 42) <= 10


def test_a_night_on_which_nobody_changed_has_a_row_per_watched_customer_and_no_anomaly(detector: Detector) -> None:
    found = find_anomalies(make_series(6, seed=7), detector, RULES)
    assert found["is_anomalous"].to_pylist() == [False] * 6


def test_what_changed_is_put_in_words_of_both_languages() -> None:
    counts = {"seen": 2.0, "expected": 14.2, "since": date(2026, 2, 1)}
    assert write("logins", VOLUME, is_older=False, **counts) == (
        "logins down to 2 in 28 days where 14 are usual, since about 2026-02-01",
        "近28天登录降至2\uff0c平时14\uff08始于约2026-02-01\uff09",
    )
    assert write("own_metric", RHYTHM, is_older=True, **counts) == (
        "own metric on 2 of 28 days where 14 are usual, since 2026-02-01 or before",
        "近28天有2天出现own metric\uff0c平时14天\uff08始于2026-02-01或更早\uff09",
    )


def test_who_does_one_thing_alone_cannot_abandon_it() -> None:
    series = make_series(10)
    alone = replace(series, counts=series.counts[:, :1], indicators=("logins",))
    _, who = inject(alone, ABANDONED, rows=np.arange(10), days=28, rng=np.random.default_rng(0))
    assert who.tolist() == []


def test_who_is_rarely_there_or_left_long_ago_is_not_watched() -> None:
    series = make_series(3)
    counts = series.counts.copy()
    counts[0, :, :-1] *= (np.arange(DAYS_LEARNED - 1) % 28 == 0).astype(np.float32)
    counts[1, :, -90:] = 0
    assert measure_one(replace(series, counts=counts)).is_watched.tolist() == [False, False, True]


def test_too_few_customers_teach_nothing() -> None:
    assert learn(make_series(60), RULES, seed=0) is None


def test_a_company_of_whose_days_nothing_is_known_has_no_detector() -> None:
    types = {"customer_id": pa.string(), "indicator": pa.string(), "count_actions": pa.int64()}
    days = {"active_date": pa.date32(), "known_date": pa.date32()}
    empty = Series.build(pa.schema({**types, **days}).empty_table(), as_of=AS_OF)
    assert learn(empty, RULES, seed=0) is None


def test_the_line_is_crossed_no_more_often_than_asked_and_infinite_for_few() -> None:
    scores = np.random.default_rng(0).normal(size=(29, 400)).cumsum(axis=0)
    line = find_line(scores, rate=0.01)
    assert 0 < count_crossings(scores, line) <= 0.01 * 400 * 4
    assert find_line(scores[:, :50], rate=0.01) == np.inf


def test_the_slopes_of_the_recurrent_network_are_those_of_its_loss() -> None:
    rng = np.random.default_rng(0)
    weekly, level = rng.poisson(3, (5, 6, 2)).astype(float), np.full((5, 2), 3.0)
    begun = Recurrent.begin(2, seed=0).weights
    network = Recurrent({name: value + rng.normal(0, 0.3, value.shape) for name, value in begun.items()})
    _, slopes = network.measure_loss(weekly, level)
    for name, value in network.weights.items():
        place = tuple(rng.integers(size) for size in value.shape)
        losses = []
        for shift in (1e-6, -1e-6):
            moved = {each: array.copy() for each, array in network.weights.items()}
            moved[name][place] += shift
            losses.append(Recurrent(moved).measure_loss(weekly, level)[0])
        assert slopes[name][place] == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-4, abs=1e-8)


def test_the_network_expects_less_of_who_fades() -> None:
    series = make_series(120)
    fading = series.counts.copy()
    for row in range(60):  # some, at some day of the half year that a network learns from
        fading[row, :, 70 + 3 * row :] *= 0.2
    network = Recurrent.learn(replace(series, counts=fading), seed=0)
    silent = replace(series, counts=np.where(np.arange(DAYS_LEARNED) >= DAYS_LEARNED - 28, 0, series.counts))
    assert np.median(network.score(silent)) > np.quantile(network.score(series), 0.9)


def test_the_forest_scores_as_scikit_learn_does() -> None:
    from sklearn.ensemble import IsolationForest

    values = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    forest = Forest.learn(values, seed=0)
    scaled = values / np.array(forest.scale, np.float32)
    oracle = IsolationForest(n_estimators=50, max_samples=128, random_state=0).fit(scaled).score_samples(scaled)
    assert np.corrcoef(np.argsort(np.argsort(forest.score(values))), np.argsort(np.argsort(-oracle)))[0, 1] > 0.99


def test_a_fall_of_everything_is_seen_in_all_of_it_before_it_is_in_any_part() -> None:
    rng = np.random.default_rng(0)
    rare = make_series(200)
    rare = replace(rare, counts=rng.binomial(rare.counts.astype(int), 0.25).astype(np.float32))
    fallen, who = inject(rare, VOLUME, rows=np.arange(100), days=28, rng=rng)
    deviations = measure(fallen, least_days=1)
    together, rest = measure_evidence(fallen, deviations)[:, 4], np.arange(100, 200)
    alone = find_largest_fall(deviations)
    assert measure_auc(together[who], together[rest]) > measure_auc(alone[who], alone[rest]) + 0.02


def test_silence_is_counted_in_the_acts_that_were_to_be_expected_since_the_last_one() -> None:
    series = make_series(40)
    silent = series.counts.copy()
    silent[:, 2, -20:] = 0
    silent[:, 2, -21] = 1
    deviations = measure(replace(series, counts=silent), least_days=1)
    missed = measure_evidence(replace(series, counts=silent), deviations)[:, 5]
    expected = 20 * deviations.profile.level[:, 2] / deviations.profile.spread[:, 2]
    assert np.all(missed >= np.sqrt(expected) - 1e-4)
    assert np.isclose(missed, np.sqrt(expected), atol=1e-4).mean() > 0.9


def test_the_same_acts_on_fewer_days_are_a_broken_rhythm_and_no_fall() -> None:
    series = make_series(60)
    bunched, who = inject(series, RHYTHM, rows=np.arange(30), days=28, rng=np.random.default_rng(0))
    evidence = measure_evidence(bunched, measure(bunched, least_days=1))
    rest = np.arange(30, 60)
    assert measure_auc(evidence[who, -2], evidence[rest, -2]) > 0.95
    assert measure_auc(evidence[who, 4], evidence[rest, 4]) < 0.7


def test_whoever_always_did_as_much_on_an_active_day_shows_no_broken_rhythm() -> None:
    series = make_series(20)
    on_some_days = (np.arange(DAYS_LEARNED) % 3 == 0) * np.arange(1, 21)[:, None]
    counts = np.repeat(on_some_days[:, None, :], 3, axis=1).astype(np.float32)
    steady = replace(series, counts=counts)
    assert np.allclose(measure_evidence(steady, measure(steady, least_days=1))[:, -3:], 0, atol=1e-5)
