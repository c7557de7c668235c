"""Forecasts against what came: value, next purchase and churn rate, on the shop and on five simulated companies.

`make bench TOPIC=forecast` writes bench/results/forecast.json. What is compared lies after the day of the forecast and
nothing that learned has read it. `python -m bench.forecast --shop HOME` reads the shop from an instance that has run at
2017-12-01 or later; the simulated companies are made once and kept in a folder (`--keep`).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from bench.figures import Figure, at_least, at_most, record, without_bar
from bench.worlds import FIRST, SECRETS, land_world, list_snapshots, write_company
from company.industries import load_industry
from company.policy import load_policy
from ingestion.readers import load_company
from ml.dataset import Floats, days
from ml.encode import numbers
from ml.forecasting.churn_rate import forecast_churn_rate
from ml.forecasting.customer_value import SAME_FEE, ValueModels, evaluate, forecast_values, learn_values
from ml.forecasting.forecasters import ORDERS, REVENUE, BuyTillYouLeave, Span, read_pace
from ml.forecasting.next_purchase import SPAN_DAYS, forecast_purchases, learn_waits
from orchestration.dbt import PROJECT, read_variables, write_run
from simulator.calendar import shift
from simulator.parameters import INDUSTRIES, load_parameters

CUSTOMERS, MONTHS, SEED = 2000, 36, 0
SPANS = {3: 91, 6: 182, 12: 365}
SHOP_DAY = date(2017, 10, 1)  # 39 weeks are known, 13 come
WORLD_DAY = shift(FIRST, MONTHS - 12)
NO_FEATURES = ("as_of", "customer_id", "is_eligible", "next_order_date", "known_until")
OUTCOMES = ("until_", "orders_3m", "orders_6m", "orders_12m", "revenue_")
ROWS = "select * from features.value_snapshots where as_of <= $day order by as_of, customer_id"
CHURN = """
    select as_of as month, count(*) as customers, count(*) filter (where churned) as churned from features.churn_labels
    where is_mature and as_of = date_trunc('month', as_of) group by as_of order by as_of
"""
RATIO = 0.10
COVERED = (0.75, 0.85)


def read_rows(warehouse: Path, day: date) -> pa.Table:
    """Return the snapshots up to a day with what came of each, known to nobody on it."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return connection.execute(ROWS, {"day": day}).to_arrow_table()


def measure_value(name: str, rows: pa.Table, day: date, months: int, *, common: dict[str, Any]) -> Iterator[Figure]:
    """Compare orders and revenue with "the same rate goes on", "nothing", and a BG/NBD that learned the same."""
    past, present = (rows.filter(pa.array(mask)) for mask in _divide(rows, day))
    kept = [each for each in past.column_names if not each.startswith(OUTCOMES) or each.endswith(f"_{months}m")]
    features = [each for each in kept if each not in NO_FEATURES and not each.startswith(("yearly_", *OUTCOMES))]
    models = learn_values(past.select(kept), features=features, until=day, seed=SEED)
    found = forecast_values(models, present, as_of=day)
    if not found.num_rows:
        return
    for target in (ORDERS, REVENUE):
        truth = _read(present, f"{target}_{months}m")
        if truth.sum() and not np.isnan(truth).any():
            ended = past.filter(pa.array(days(past, f"until_{months}m") <= np.datetime64(day, "D")))
            rivals = _let_rivals(ended, present, Span(target, SPANS[months]), f"{target}_{months}m")
            mean = found.column(f"expected_{target}").to_numpy()
            median = found.column("median_revenue").to_numpy() if target == REVENUE else None
            what, given = f"{name}, {months} months, {target}", common | {"unit": target}
            yield from _compare(what, mean, median, truth, rivals, common=given)
    yield from _measure_interval(name, models, present, months, common=common)


def _let_rivals(ended: pa.Table, present: pa.Table, span: Span, outcome: str) -> dict[str, Floats]:
    rival = BuyTillYouLeave(span).fit(ended, _read(ended, outcome), features=[], seed=SEED)
    nothing = np.zeros(present.num_rows)
    return {"same rate": read_pace(present, span), "nothing": nothing, "BG/NBD": rival.predict(present)}


def _compare(
    what: str, mean: Floats, median: Floats | None, truth: Floats, rivals: dict[str, Floats], *, common: dict[str, Any]
) -> Iterator[Figure]:
    """Compare the mean by its sum and the tenth it puts first, and what errs least, the median if there is one."""
    own, others = evaluate(mean, truth), {name: evaluate(each, truth) for name, each in rivals.items()}
    beside = {
        each: ", ".join(f"{rival} {getattr(figures, each):.4g}" for rival, figures in others.items())
        for each in ("mae", "sum_ratio", "top_share")
    }
    least = min(each.mae for each in others.values())
    error = at_most(own.mae, least) if median is None else without_bar(own.mae)
    yield Figure(f"{what}: mean error of the mean", reference=beside["mae"], **error, **common)
    if median is not None:
        error = at_most(evaluate(median, truth).mae, least)
        yield Figure(f"{what}: mean error of the median", reference=beside["mae"], **error, **common)
    ratio: dict[str, Any] = {"value": own.sum_ratio, "bar": "0.9 to 1.1", "holds": abs(own.sum_ratio - 1) <= RATIO}
    yield Figure(f"{what}: sum over the truth", reference=beside["sum_ratio"], **ratio, **common | {"unit": ""})
    caught = at_least(own.top_share, max(each.top_share for each in others.values()))
    share = common | {"unit": "share"}
    yield Figure(f"{what}: caught by the first tenth", reference=beside["top_share"], **caught, **share)


def _measure_interval(
    name: str, models: ValueModels, present: pa.Table, months: int, *, common: dict[str, Any]
) -> Iterator[Figure]:
    """Count the truths that the intervals hold; of those at an end that many bring, the part that the claim needs."""
    truth = _read(present, f"revenue_{months}m")
    (model,) = (each for each in models.models if each.target == REVENUE)
    expected = model.forecaster.predict(present)
    low, _, high = model.bound(present, expected)
    held, runs = model.count_held(present, expected, truth), _read(present, "yearly_fees") > 0
    plain = np.mean((truth >= low - SAME_FEE * low) & (truth <= high + SAME_FEE * high))
    beside = f"{plain:.0%} with all at an end; {np.mean(high <= 0):.0%} of the intervals are nothing alone"
    what, inside = f"{name}, {months} months: revenue within the interval", float(held.mean())
    covered: dict[str, Any] = {"value": inside, "bar": "0.75 to 0.85", "holds": COVERED[0] <= inside <= COVERED[1]}
    yield Figure(what, unit="share", reference=beside, **covered, **common)
    if runs.any() and not runs.all():
        for kind, mine in (("with a contract", runs), ("without", ~runs)):
            part = without_bar(float(held[mine].mean()))
            yield Figure(f"{what}, customers {kind}", unit="share", **part, **common)


def _divide(rows: pa.Table, day: date) -> tuple[Any, Any]:
    when = days(rows, "as_of")
    return when < np.datetime64(day, "D"), when == np.datetime64(day, "D")


def _read(rows: pa.Table, name: str) -> Floats:
    return numbers(name, rows.column(name)).astype(float)


def measure_purchases(name: str, rows: pa.Table, day: date, *, common: dict[str, Any]) -> Iterator[Figure]:
    """Compare the next date of who bought within the span with the last one plus the customer's mean gap."""
    past, present = (rows.filter(pa.array(mask)) for mask in _divide(rows, day))
    waits = learn_waits(past, until=day)
    if waits is None:
        return
    nothing = pa.nulls(present.num_rows, pa.string())
    found = forecast_purchases(
        waits,
        present.select(["customer_id", "recency_days", "median_gap_days"])
        .append_column("usual_category", nothing).append_column("suggested_category", nothing)
        .append_column("because_category", nothing)
        .append_column("cross_sell_potential", pa.nulls(present.num_rows, pa.float64())),
        as_of=day,
    )  # fmt: skip
    came = _wait(present.column("next_order_date"), day)
    said, gap = _wait(found.column("next_order_date"), day), _read(present, "mean_gap_days")
    usual = np.maximum(gap - _read(present, "recency_days"), 0.0)
    compared = (came < SPAN_DAYS) & ~np.isnan(said) & ~np.isnan(usual)
    error, rival = (float(np.median(np.abs(each - came)[compared])) for each in (said, usual))
    dated = (
        f"{compared.sum()} who bought of {np.count_nonzero(~np.isnan(said))} with a date; by the mean gap {rival:.2f}"
    )
    yield Figure(
        f"{name}: median error of the next date", unit="days", reference=dated, **at_most(error, rival), **common
    )
    chance, bought = found.column("order_chance_3m").to_numpy(), came < SPAN_DAYS
    known = ~np.isnan(chance)
    ratio = float(chance[known].sum() / bought[known].sum())
    yield Figure(
        f"{name}: who buys within 3 months, expected over true", unit="", value=ratio, bar="0.9 to 1.1",
        holds=abs(ratio - 1) <= RATIO, **common,
    )  # fmt: skip


def _wait(dates: pa.ChunkedArray, day: date) -> Floats:
    found = dates.to_numpy(zero_copy_only=False).astype("datetime64[D]")
    wait: Floats = np.where(np.isnat(found), np.nan, (found - np.datetime64(day, "D")).astype(float))
    return wait


def measure_churn(name: str, warehouse: Path, day: date, *, common: dict[str, Any]) -> Iterator[Figure]:
    """Compare the churn rates of the coming months with what came, next to the rate of the last known month."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        months = connection.execute(CHURN).df()
    when = [each.date() for each in months["month"]]
    horizon = timedelta(days=load_company(warehouse.parent.parent / "world" / "company.yaml").churn.horizon_days)
    known = [month + horizon <= day for month in when]
    past = months.loc[known]
    rates = months.loc[[month >= day for month in when]]
    true = (rates["churned"] / rates["customers"]).to_numpy(dtype=float)
    sizes = (past[each].to_numpy(dtype=float) for each in ("customers", "churned"))
    lag = sum(not each for each in known) - len(true)
    found = forecast_churn_rate(
        [each for each, is_known in zip(when, known, strict=True) if is_known], *sizes, ahead=lag + len(true)
    )
    ahead = found[lag:]
    error = float(np.mean(np.abs(np.array([each.rate for each in ahead]) - true)))
    last = float((past["churned"] / past["customers"]).iloc[-1])
    naive = float(np.mean(np.abs(last - true)))
    inside = float(np.mean([each.low <= rate <= each.high for each, rate in zip(ahead, true, strict=True)]))
    beside = f"the last month goes on {naive:.4f}; true mean {true.mean():.4f}; within the interval {inside:.0%}"
    yield Figure(
        f"{name}: error of the churn rate over {len(true)} months",
        unit="rate",
        reference=beside,
        **at_most(error, naive),
        **common,
    )


def open_world(industry: str, keep: Path, *, customers: int) -> Path:
    """Return the warehouse of a simulated company with all its snapshots; simulate, land and build it first.

    What an interrupted call has landed is not landed again.
    """
    from simulator.serve import serve
    from simulator.story import simulate

    folder = keep / f"{industry}-{customers}"
    world, path = folder / "world", folder / "home" / "warehouse.duckdb"
    if not (folder / "landed").exists():
        shutil.rmtree(folder, ignore_errors=True)
        path.parent.mkdir(parents=True)
        simulate(load_parameters(industry), world, customers=customers, months=MONTHS, seed=SEED)
        with serve(world) as (environment, _):
            company = write_company(industry, world, environment["DESK_URL"])
            land_world(company, path, {**SECRETS, **environment}, end=shift(FIRST, MONTHS))
        (folder / "landed").touch()
    if not (folder / "built").exists():
        _build(world / "company.yaml", path.parent)
        (folder / "built").touch()
    return path


def _build(company_file: Path, home: Path) -> None:
    company = load_company(company_file)
    policy = load_policy(load_industry(company.industry).policy, company.policy)
    folders = ("staging", "bookkeeping", "intermediate", "customer_360", "features", "training")
    command = [str(Path(sys.executable).with_name("dbt")), "--quiet", "run", "--select"]
    command += [f"path:models/{folder}" for folder in folders] + ["--vars", json.dumps(read_variables(company, policy))]
    command += ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    command += ["--target-path", str(home / "dbt" / "target"), "--log-path", str(home / "dbt" / "logs")]
    run = write_run(shift(FIRST, MONTHS), list_snapshots(MONTHS))
    subprocess.run(command, check=True, env=os.environ | run | {"HOLDFAST_HOME": str(home)})


def main() -> None:
    """Measure the shop and the companies asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shop", type=Path, default=Path(".holdfast"), help="instance of `make demo`")
    parser.add_argument("--industry", choices=INDUSTRIES, nargs="*", default=list(INDUSTRIES))
    parser.add_argument("--customers", type=int, default=CUSTOMERS, help="of each simulated company")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "holdfast-forecasts")
    given = parser.parse_args()
    command = "make bench TOPIC=forecast"
    if given.customers != CUSTOMERS:
        command = f"python -m bench.forecast --customers {given.customers}"
    common: dict[str, Any] = {"seed": SEED, "command": command}
    if (given.shop / "warehouse.duckdb").exists():
        rows = read_rows(given.shop / "warehouse.duckdb", SHOP_DAY)
        size = {"size": f"{_divide(rows, SHOP_DAY)[1].sum()} households, {SHOP_DAY}"}
        record("forecast", measure_value("shop", rows, SHOP_DAY, 3, common=common | size))
        record("forecast", measure_purchases("shop", rows, SHOP_DAY, common=common | size))
    for industry in given.industry:
        warehouse = open_world(industry, given.keep, customers=given.customers)
        rows = read_rows(warehouse, WORLD_DAY)
        size = {"size": f"{_divide(rows, WORLD_DAY)[1].sum()} customers, {WORLD_DAY}"}
        for months in SPANS:
            record("forecast", measure_value(industry, rows, WORLD_DAY, months, common=common | size))
        if not load_policy(load_industry(industry).policy).clv.orders_are_bills:
            record("forecast", measure_purchases(industry, rows, WORLD_DAY, common=common | size))
        record("forecast", measure_churn(industry, warehouse, WORLD_DAY, common=common | size))


if __name__ == "__main__":
    main()
