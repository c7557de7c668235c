"""Forecasts of value: learned from spans that are over, kept as JSON, chosen and bounded by what was not seen."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ml.forecasting.bg_nbd import BuyAgain, Spend
from ml.forecasting.customer_value import SCHEMA, Spread, ValueModels, evaluate, forecast_values, learn_values
from ml.forecasting.forecasters import FORECASTERS, ORDERS, REVENUE, BoostedTrees, PaceByCell, Span, read_pace
from ml.registry import ForecastModels, create_database

DAY, MONTH = date(2025, 1, 1), timedelta(days=30)
CUSTOMERS, SNAPSHOTS, SPAN = 120, 6, 91
FEATURES = ["recency_days", "count_orders_365d"]


def make_snapshots(*, seed: int = 0) -> pa.Table:
    """Return buyers at steady rates, a third of whom have stopped, over six months and a span of three."""
    draw = np.random.default_rng(seed)
    rate = draw.gamma(2.0, 0.04, CUSTOMERS)
    stopped = np.arange(CUSTOMERS) % 3 == 0
    tables = []
    for number in range(SNAPSHOTS):
        as_of = DAY + number * MONTH
        count = draw.poisson(rate * 365)
        recency = np.where(stopped, 200 + 30 * number, draw.exponential(1 / rate)).astype(int)
        orders = np.where(stopped, 0, draw.poisson(rate * SPAN)).astype(float)
        tables.append(pa.table({
            "as_of": pa.array([as_of] * CUSTOMERS, pa.date32()),
            "customer_id": [f"c{each:03d}" for each in range(CUSTOMERS)],
            "recency_days": recency, "count_orders_365d": count, "count_orders_total": count + 1,
            "days_since_first_order": np.maximum(recency, 365), "days_since_first_contract": np.zeros(CUSTOMERS),
            "yearly_orders": count.astype(float), "yearly_purchases": 10.0 * count, "yearly_fees": np.zeros(CUSTOMERS),
            "until_3m": pa.array([as_of + timedelta(days=SPAN)] * CUSTOMERS, pa.date32()),
            "orders_3m": orders, "revenue_3m": 10.0 * orders,
        }))  # fmt: skip
    return pa.concat_tables(tables)


LAST = DAY + (SNAPSHOTS - 1) * MONTH


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    return make_snapshots()


@pytest.fixture(scope="module")
def models(rows: pa.Table) -> ValueModels:
    return learn_values(rows, features=FEATURES, until=LAST + timedelta(days=SPAN))


def test_those_who_stopped_are_expected_to_bring_almost_nothing_and_the_sum_is_that_of_the_truth(
    rows: pa.Table, models: ValueModels
) -> None:
    newest = rows.slice((SNAPSHOTS - 1) * CUSTOMERS)
    found = forecast_values(models, newest, as_of=LAST)
    revenue = found.column("expected_revenue").to_numpy()
    stopped = np.arange(CUSTOMERS) % 3 == 0
    assert found.schema == SCHEMA
    assert revenue[stopped].mean() < 0.05 * revenue[~stopped].mean()
    assert revenue.sum() == pytest.approx(newest.column("revenue_3m").to_numpy().sum(), rel=0.1)
    orders = found.column("expected_orders").to_numpy()
    assert orders[stopped].mean() < 0.05 * orders[~stopped].mean()
    assert orders.sum() == pytest.approx(newest.column("orders_3m").to_numpy().sum(), rel=0.1)
    low, high = (found.column(f"revenue_{end}").to_numpy() for end in ("low", "high"))
    assert ((low <= revenue) & (revenue <= high)).all()
    assert (low <= found.column("median_revenue").to_numpy()).all()
    assert (found.column("median_revenue").to_numpy() <= high).all()


def test_nothing_that_came_after_the_day_changes_what_is_learned_by_it(rows: pa.Table) -> None:
    later = rows.set_column(
        rows.column_names.index("revenue_3m"),
        "revenue_3m",
        pa.array(np.where(np.arange(rows.num_rows) >= 3 * CUSTOMERS, 1e6, rows.column("revenue_3m").to_numpy())),
    )
    until = DAY + 2 * MONTH + timedelta(days=SPAN)
    known, changed = (
        learn_values(each, features=FEATURES, until=until, candidates=[PaceByCell]) for each in (rows, later)
    )
    assert known.models
    assert known.fingerprint == changed.fingerprint


def test_a_span_that_is_not_over_is_unknown_with_its_reason(rows: pa.Table) -> None:
    found = learn_values(rows, features=FEATURES, until=DAY + timedelta(days=SPAN - 1))
    assert found == ValueModels((), {3: "no span of 3 months with 50 customers is over yet."})
    assert forecast_values(found, rows, as_of=DAY).num_rows == 0


def test_a_company_with_few_customers_gets_no_forecast(rows: pa.Table) -> None:
    few = rows.filter(pa.array([name < "c040" for name in rows.column("customer_id").to_pylist()]))
    assert learn_values(few, features=FEATURES, until=LAST + timedelta(days=SPAN)).models == ()


@pytest.mark.parametrize("kind", FORECASTERS, ids=lambda each: each.kind)
def test_every_way_to_forecast_reads_back_as_written(kind: type[PaceByCell], rows: pa.Table) -> None:
    span = Span(REVENUE, SPAN)
    learned = kind(span).fit(rows, rows.column("revenue_3m").to_numpy(), features=FEATURES, seed=0)
    np.testing.assert_array_equal(kind(span).restore(learned.state()).predict(rows), learned.predict(rows))


def test_trees_that_were_not_grown_say_so(rows: pa.Table) -> None:
    with pytest.raises(ValueError, match="call fit first"):
        BoostedTrees(Span(ORDERS, SPAN)).predict(rows)


def test_the_pace_of_contracts_is_their_fee() -> None:
    rows = pa.table({"yearly_purchases": [365.0, 0.0], "yearly_fees": [0.0, 730.0]})
    assert read_pace(rows, Span(REVENUE, SPAN)).tolist() == [91.0, 182.0]


def test_an_interval_that_begins_at_nothing_holds_what_it_claims() -> None:
    truth = np.concatenate([np.zeros(400), np.random.default_rng(0).exponential(10.0, 600)])
    rank = np.full(1000, 6.0)
    spread = Spread.measure(rank, truth)
    low, _, high = spread.apply(rank)
    assert low[0] == 0.0
    assert np.mean(truth <= high) == pytest.approx(0.8, abs=0.01)
    assert spread.count_held(rank, truth).mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("share", [0.6, 0.85, 0.95])
@pytest.mark.parametrize("many", [0.0, 1.0], ids=["nothing", "the fee that goes on"])
def test_of_truths_at_an_end_only_the_part_that_the_claim_needs_counts(many: float, share: float) -> None:
    draw = np.random.default_rng(3)
    truth = np.where(draw.random(4000) < share, many, draw.random(4000))
    rank = np.zeros(4000)
    spread = Spread.measure(rank[:2000], truth[:2000])
    low, _, high = spread.apply(rank[2000:])
    assert np.mean((low <= truth[2000:]) & (truth[2000:] <= high)) >= share
    assert spread.count_held(rank[2000:], truth[2000:]).mean() == pytest.approx(0.8, abs=0.03)


def test_a_fee_that_most_likely_goes_on_is_what_the_customer_likely_brings(rows: pa.Table) -> None:
    size = rows.num_rows
    pays = np.char.startswith(np.array(rows.column("customer_id").to_pylist()), "c0")
    ends = np.random.default_rng(4).random(size) < 0.2
    fee = np.where(pays, 400.0, 0.0)
    came = np.where(pays, np.where(ends, 0.4, 1.0) * fee * SPAN / 365, rows.column("revenue_3m").to_numpy())
    bought = np.where(pays, 0.0, rows.column("yearly_purchases").to_numpy())
    for name, values in (("yearly_fees", fee), ("revenue_3m", came), ("yearly_purchases", bought)):
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(values))
    found = learn_values(rows, features=FEATURES, until=LAST + timedelta(days=SPAN), candidates=[PaceByCell])
    newest = rows.slice((SNAPSHOTS - 1) * CUSTOMERS)
    table = forecast_values(found, newest, as_of=LAST)
    likely, mean, high = (
        table.column(name).to_numpy()[pays[-CUSTOMERS:]]
        for name in ("median_revenue", "expected_revenue", "revenue_high")
    )
    np.testing.assert_allclose(likely, 400.0 * SPAN / 365)
    np.testing.assert_allclose(high, likely)
    assert (mean < likely).all()
    read_back = ValueModels.from_bytes(found.to_bytes())
    assert read_back.fingerprint == found.fingerprint


def test_buy_again_finds_the_rates_it_was_drawn_from() -> None:
    draw = np.random.default_rng(1)
    size, age = 3000, np.full(3000, 52.0)
    rate, end = draw.gamma(2.0, 1 / 10.0, size), draw.beta(1.5, 6.0, size)
    repeats, last, later = np.zeros(size), np.zeros(size), np.zeros(size)
    for one in range(size):
        time = 0.0
        while True:
            time += draw.exponential(1 / rate[one])
            if time > 65.0:
                break
            if time <= 52.0:
                repeats[one], last[one] = repeats[one] + 1, time
            else:
                later[one] += 1
            if draw.random() < end[one]:
                break
    found = BuyAgain.fit(repeats, last, age)
    assert found is not None
    assert found.expect(repeats, last, age, weeks=13.0).sum() == pytest.approx(later.sum(), rel=0.1)


def test_amounts_of_few_purchases_are_drawn_to_the_mean_of_all() -> None:
    draw = np.random.default_rng(2)
    own, count = draw.gamma(4.0, 10.0, 2000), draw.integers(1, 20, 2000).astype(float)
    mean = np.array([draw.gamma(3.0 * n, each / (3.0 * n)) for each, n in zip(own, count, strict=True)])
    found = Spend.fit(count, mean)
    assert found is not None
    once, often = found.expect(np.array([1.0, 50.0]), np.array([200.0, 200.0]))
    assert 40 < once < often < 200


def test_a_forecast_is_compared_by_the_sum_the_errors_and_the_first_tenth() -> None:
    truth = np.array([0.0, 0.0, 10.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    perfect = evaluate(truth, truth)
    assert (perfect.mae, perfect.sum_ratio, perfect.top_share) == (0.0, 1.0, 1.0)
    assert evaluate(truth[::-1], truth).top_share == 0.0
    assert evaluate(np.full(10, 1.2), truth).deviance > perfect.deviance


def test_the_registry_gives_the_models_that_were_known_on_a_day(tmp_path: Path, models: ValueModels) -> None:
    database, artifacts = tmp_path / "mlflow.db", (tmp_path / "artifacts").as_uri()
    create_database(database, artifacts=artifacts)
    registry = ForecastModels(f"sqlite:///{database}", artifacts=artifacts)
    registry.add(models, as_of="2025-09-01", figures={"mae": 1.0}, name="value")
    later = ValueModels(models.models[:1], {12: "too short"})
    registry.add(later, as_of="2025-10-01", figures={"mae": 1.0}, name="value")
    assert registry.known_by("2025-08-31") is None
    found = registry.known_by("2025-09-30")
    assert found is not None
    assert (found[0], found[1].fingerprint) == ("1", models.fingerprint)
    assert registry.known_by("2025-10-01")[1].fingerprint == later.fingerprint  # type: ignore[index]
