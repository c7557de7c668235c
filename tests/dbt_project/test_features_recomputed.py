"""Features against a second implementation that shares nothing with the first: plain pandas on the raw rows."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pandas as pd
import pytest

from company.policy import load_policy
from dbt_project.library import load_library
from ml.anomaly.detector import find_largest_fall
from ml.anomaly.profile import measure
from ml.anomaly.series import DAYS, Series

if TYPE_CHECKING:
    import pyarrow as pa

    from tests.dbt_project.conftest import Warehouse

AS_OF = pd.Timestamp("2017-12-01")
ZONE = "America/New_York"


def aged(company: Mapping, table: str, moment: str) -> pd.DataFrame:
    """Rows of a table before the day, with `age` in days and `day` on the company's clock."""
    rows = pd.concat([tables[table] for tables in company.values() if table in tables], ignore_index=True)
    rows["day"] = local_day(rows[moment])
    rows["age"] = (AS_OF - rows["day"]).dt.days
    return rows[rows["age"] > 0]


def local_day(moments: pd.Series) -> pd.Series:
    return moments.dt.tz_localize("UTC").dt.tz_convert(ZONE).dt.tz_localize(None).dt.normalize()


def summed(rows: pd.DataFrame, column: str, window: int) -> pd.Series:
    return rows[rows["age"] <= window].groupby("customer_id")[column].sum()


def counted(rows: pd.DataFrame, window: int = 10_000) -> pd.Series:
    return rows[rows["age"] <= window].groupby("customer_id").size()


def from_orders(company: Mapping) -> dict[str, pd.Series]:
    orders = aged(company, "orders", "ordered_at")
    failed = orders[orders["status"] == "failed"]
    orders = orders[~orders["status"].isin(["failed", "cancelled"])]
    days = orders.drop_duplicates(["customer_id", "day"]).sort_values("day")
    gaps = days.groupby("customer_id")["day"].diff().dt.days
    gap = gaps.groupby(days["customer_id"])
    recency = orders.groupby("customer_id")["age"].min()
    longer = gaps[gaps > days["customer_id"].map(recency)].groupby(days["customer_id"]).size()
    full = orders.assign(price=orders["amount"] + orders["discount"])
    weeks = orders.assign(week=(orders["age"] - 1) // 7 + 1)
    recent = weeks[weeks["week"] <= 13]
    thirteen = recent.pivot_table(index="customer_id", columns="week", values="age", aggfunc="size", fill_value=0)
    thirteen = thirteen.reindex(columns=range(1, 14), fill_value=0)
    slope = thirteen.apply(lambda row: -np.polyfit(range(1, 14), row, 1)[0], axis=1)
    size = {window: summed(orders, "amount", window) / counted(orders, window) for window in (30, 365)}
    usual_size = (size[30] / size[365]).fillna(1)
    half = summed(orders, "amount", 180)
    quarter = summed(orders, "amount", 90).reindex(half.index, fill_value=0)
    return {
        "count_orders_30d": counted(orders, 30),
        "count_orders_365d": counted(orders, 365),
        "amount_spent_90d": summed(orders, "amount", 90),
        "share_discount_90d": summed(full, "discount", 90) / summed(full, "price", 90),
        "recency_days": recency,
        "days_since_first_order": orders.groupby("customer_id")["age"].max(),
        "mean_gap_days": gap.mean(),
        "median_gap_days": gap.median(),
        "longest_gap_days": gap.max(),
        "last_gap_days": gap.last(),
        "deviation_gap_days": gap.std(ddof=0),
        "share_gaps_longer": longer.reindex(gap.count().index, fill_value=0) / gap.count().replace(0, np.nan),
        "rate_orders_halved_30d": (0.5 ** (days["age"] / 30)).groupby(days["customer_id"]).sum(),
        "count_weeks_active_13": weeks[weeks["week"] <= 13].groupby("customer_id")["week"].nunique(),
        "trend_orders_weekly_13": slope,
        "count_stores_90d": orders[orders["age"] <= 90].groupby("customer_id")["store"].nunique(),
        "count_payment_failures_365d": counted(failed, 365),
        "amount_per_order_365d": summed(orders, "amount", 365) / counted(orders, 365),
        "rise_amount_per_order": (usual_size - 1).clip(lower=0),
        "fall_amount_per_order": (1 - usual_size).clip(lower=0),
        "change_spend_90d": (2 * quarter - half) / (half - quarter).where(half - quarter != 0),
        "days_overdue": recency - gap.median(),
    }


def described_lines(company: Mapping) -> pd.DataFrame:
    lines = aged(company, "order_lines", "ordered_at").dropna(subset="product_id")
    products = pd.concat([tables["products"] for tables in company.values()])
    return lines.merge(products[["product_id", "department", "category"]], on="product_id", how="left")


def from_products(company: Mapping) -> dict[str, pd.Series]:
    lines = described_lines(company)
    of_category = lines.dropna(subset="category").groupby(["customer_id", "category"])["age"]
    first, last = of_category.max(), of_category.min()
    spend = lines.dropna(subset="department").groupby(["customer_id", "department"])["amount"].sum()
    return {
        "count_products_30d": lines[lines["age"] <= 30].groupby("customer_id")["product_id"].nunique(),
        "count_departments_90d": lines[lines["age"] <= 90].groupby("customer_id")["department"].nunique(),
        "count_categories_new_30d": first[first <= 30].groupby("customer_id").size(),
        "count_categories_dropped": last[(last > 30) & (last <= 90)].groupby("customer_id").size(),
        "share_main_department": spend.groupby("customer_id").max() / spend.groupby("customer_id").sum(),
    }


def from_bundles(company: Mapping) -> dict[str, pd.Series]:
    asked, lines = load_policy().product_rules, described_lines(company).dropna(subset="category")
    year = lines[lines["age"] <= 365]
    baskets = pd.crosstab([year["customer_id"], year["day"]], year["category"]).clip(upper=1).astype(float)
    support = baskets.T @ baskets / len(baskets)
    alone = np.diag(support)
    confidence = support.div(alone, axis=0)
    lift = confidence.div(alone, axis=1)
    is_rule = (support >= asked.minimum_support) & (confidence >= asked.minimum_confidence)
    is_rule &= (lift >= asked.minimum_lift) & ~np.eye(len(lift), dtype=bool)
    rules = lift.where(is_rule).dropna(how="all").idxmax(axis=1)
    last = lines[lines["age"] <= 180].pivot_table(index="customer_id", columns="category", values="age", aggfunc="min")
    bought = last.reindex(columns=rules.index)
    suggested = last.reindex(columns=rules).set_axis(rules.index, axis=1)
    return {
        "count_bundles_bought_90d": ((bought <= 90) & (suggested <= 90)).sum(axis=1),
        "count_bundles_open_90d": ((bought <= 90) & suggested.isna()).sum(axis=1),
        "count_bundles_dropped": (np.fmax(bought, suggested) > 90)
        .where(bought.notna() & suggested.notna(), 0)
        .sum(axis=1),
    }


def from_service(company: Mapping) -> dict[str, pd.Series]:
    tickets = aged(company, "tickets", "opened_at")
    answered = tickets[local_day(tickets["first_response_at"]) < AS_OF]
    solved = tickets[local_day(tickets["resolved_at"]) < AS_OF]
    wait = (answered["first_response_at"] - answered["opened_at"]).dt.total_seconds() / 3600
    open_now = tickets[~tickets.index.isin(solved.index)]
    return {
        "count_complaints_90d": counted(tickets[tickets["kind"] == "complaint"], 90),
        "count_price_tickets_180d": counted(tickets[tickets["topic"] == "price"], 180),
        "days_since_rival_ticket": tickets[tickets["topic"] == "rival"].groupby("customer_id")["age"].min(),
        "count_open_tickets": counted(open_now),
        "days_oldest_open_ticket": open_now.groupby("customer_id")["age"].max(),
        "mean_response_hours_365d": wait[answered["age"] <= 365].groupby(answered["customer_id"]).mean(),
        "mean_satisfaction_365d": solved[solved["age"] <= 365].groupby("customer_id")["satisfaction"].mean(),
    }


def from_behaviour(company: Mapping) -> dict[str, pd.Series]:
    events = aged(company, "events", "occurred_at")
    logins = events[events["type"] == "login"]
    contracts = aged(company, "subscriptions", "started_at")
    runs_out = contracts["renews_at"].where(~contracts["is_auto_renewing"])
    ended = local_day(contracts["cancelled_at"].fillna(runs_out))
    running = contracts[ended.isna() | (ended >= AS_OF)]
    touches = aged(company, "touches", "touched_at")
    views, carts = (events[events["type"] == kind] for kind in ("view", "add_to_cart"))
    step = pd.DataFrame(
        {
            f"{name}_{window}": counted(rows, window)
            for name, rows in (("views", views), ("carts", carts))
            for window in (30, 90)
        }
    ).fillna(0)
    quarter = events[events["age"] <= 90]
    varied = quarter.groupby(["customer_id", "day"])["feature"].nunique().groupby("customer_id").sum()
    sessions = quarter.groupby(["customer_id", "day"])["session_id"].nunique().groupby("customer_id").sum()
    compared = counted(quarter[quarter["page"] == "compare"])
    usual = step["views_30"] * (step["carts_90"] - step["carts_30"]) / (step["views_90"] - step["views_30"])
    return {
        "surprise_carts_to_views": ((step["carts_30"] - usual) / usual**0.5).where(usual > 0),
        "share_uses_varied_90d": varied / counted(quarter[quarter["type"] == "feature"]),
        "comparisons_per_session_90d": compared.reindex(varied.index, fill_value=0) / sessions,
        "count_logins_30d": counted(logins, 30),
        "count_active_days_90d": events[events["age"] <= 90].groupby("customer_id")["day"].nunique(),
        "count_leave_pages_90d": counted(events[events["page"] == "leave"], 90),
        "count_comparisons_30d": counted(events[events["page"] == "compare"], 30),
        "days_since_comparison": events[events["page"] == "compare"].groupby("customer_id")["age"].min(),
        "days_since_login": logins.groupby("customer_id")["age"].min(),
        "hours_dwelt_90d": summed(events, "dwell_seconds", 90) / 3600,
        "amount_contracts_monthly": running.groupby("customer_id")["amount_monthly"].sum(),
        "share_touches_opened_365d": touches.groupby("customer_id")["is_opened"].mean(),
    }


def from_channels(company: Mapping) -> dict[str, pd.Series]:
    orders = aged(company, "orders", "ordered_at")
    orders = orders[~orders["status"].isin(["failed", "cancelled"])].dropna(subset="channel")
    times = orders.groupby(["customer_id", "channel"]).size().groupby("customer_id")
    return {
        "count_channels_90d": orders[orders["age"] <= 90].groupby("customer_id")["channel"].nunique(),
        "share_main_channel": times.max() / times.sum(),
    }


def from_answers(company: Mapping) -> dict[str, pd.Series]:
    feedback = aged(company, "feedback", "given_at")
    year = feedback[feedback["age"] <= 365]
    rated, recommended = year[year["kind"] != "nps"], year[year["kind"] == "nps"]
    votes = (recommended["rating"] >= 9).astype(int) - (recommended["rating"] <= 6).astype(int)
    redemptions = aged(company, "redemptions", "redeemed_at")
    return {
        "count_feedback_90d": counted(feedback, 90),
        "mean_rating_365d": rated.groupby("customer_id")["rating"].mean(),
        "net_promoter_365d": votes.groupby(recommended["customer_id"]).mean(),
        "count_redemptions_365d": counted(redemptions, 365),
        "days_since_redemption": redemptions.groupby("customer_id")["age"].min(),
    }


def from_back_office(company: Mapping) -> dict[str, pd.Series]:
    invoices, deliveries = aged(company, "invoices", "issued_at"), aged(company, "deliveries", "ordered_at")
    due, paid = local_day(invoices["due_at"]), local_day(invoices["paid_at"])
    overdue = invoices[(due < AS_OF) & ~(paid < AS_OF)]
    ended = local_day(deliveries["delivered_at"].fillna(deliveries["failed_at"]))
    promised = local_day(deliveries["promised_at"])
    late = deliveries[promised < ended.where(ended < AS_OF, AS_OF)]
    lacking = deliveries[(deliveries["failure"] == "out-of-stock") & (local_day(deliveries["failed_at"]) < AS_OF)]
    bought = aged(company, "order_lines", "ordered_at").drop_duplicates(["customer_id", "product_id", "day"])
    before = lacking.merge(bought, on=["customer_id", "product_id"], suffixes=("", "_bought"))
    days = before[before["day_bought"] < before["day"]].groupby("delivery_id")["day_bought"].nunique()
    usual = lacking[lacking["delivery_id"].map(days) >= load_policy().product_rules.usual_days]
    assert len(usual) > 5
    return {
        "count_overdue_invoices": counted(overdue),
        "amount_overdue": overdue.groupby("customer_id")["amount"].sum(),
        "days_since_invoice_dispute": (AS_OF - local_day(invoices["disputed_at"]))
        .dt.days.where(lambda days: days > 0)
        .groupby(invoices["customer_id"])
        .min(),
        "count_late_deliveries_90d": counted(late, 90),
        "count_missing_deliveries": counted(deliveries[(promised < AS_OF) & ~(ended < AS_OF)]),
        "count_usual_stockouts_180d": counted(usual, 180),
    }


def from_usage(company: Mapping) -> dict[str, pd.Series]:
    usage = aged(company, "usage", "used_at")
    calls, balances = usage[usage["metric"] == "call_minutes"], usage[usage["metric"] == "balance"]
    daily = balances.sort_values("used_at").drop_duplicates(["customer_id", "day"], keep="last")
    recent = daily[daily["age"] <= 90].groupby("customer_id")["value"].mean()
    called = calls[calls["age"] <= 365].groupby(["customer_id", "day"])["value"].sum()
    high = called.groupby("customer_id").quantile(0.9)
    month = called[called.index.get_level_values("day") >= AS_OF - pd.Timedelta(days=30)]
    last = daily.sort_values("day").groupby("customer_id")["value"].last()
    return {
        "count_usage_days_30d": usage[usage["age"] <= 30].groupby("customer_id")["day"].nunique(),
        "amount_call_minutes_90d": summed(calls, "value", 90),
        "mean_call_minutes_365d": called.groupby("customer_id").mean(),
        "high_call_minutes_365d": high,
        "ratio_call_minutes_to_high": month.groupby("customer_id").mean() / high,
        "balance_high_365d": daily[daily["age"] <= 365].groupby("customer_id")["value"].quantile(0.9),
        "balance_last": last,
        "balance_mean_90d": recent,
        "change_balance": last / recent - 1,
    }


def from_texts(company: Mapping, readings: pd.DataFrame) -> dict[str, pd.Series]:
    found = {}
    for one, table, moment in (("ticket", "tickets", "opened_at"), ("feedback", "feedback", "given_at")):
        texts = aged(company, table, moment).merge(readings, left_on="body", right_on="token")
        texts["is_negative"] = (texts["sentiment"] == "negative").astype(int)
        texts["is_recent"] = texts["is_negative"] * (texts["age"] <= 90)
        negative, year = texts[texts["is_negative"] == 1], texts[texts["age"] <= 365]
        found |= {
            f"count_negative_{one}_texts_90d": texts.groupby("customer_id")["is_recent"].sum(),
            f"share_negative_{one}_texts_365d": year.groupby("customer_id")["is_negative"].mean(),
            f"days_since_negative_{one}_text": negative.groupby("customer_id")["age"].min(),
        }
    return found


def from_rhythm(activity: "pa.Table") -> dict[str, pd.Series]:
    """What the profile of ml/anomaly finds, which alerts of changed days rest on."""
    series = Series.build(activity, as_of=AS_OF.date(), days=DAYS)
    found = measure(series, least_days=1)
    is_usual = found.usual > 0
    fallen = {
        name: pd.Series(np.where(is_usual[:, series.indicators.index(name[0])], values, np.nan), series.customers)
        for name, values in zip(found.names, np.transpose(found.values), strict=True)
    }
    usage = [name for name in series.indicators if name not in {"orders", "visits", "logins", "feature_uses"}]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(is_usual, found.seen[:, :, -1] / found.expected[:, :, -1], np.nan)
    largest = pd.Series(find_largest_fall(found), series.customers)
    return {
        "shortfall_largest": largest.where(is_usual.any(axis=1)),
        "shortfall_orders_28d": fallen["orders", "volume_28"],
        "shortfall_logins_56d": fallen["logins", "volume_56"],
        "shortfall_usage_28d": pd.concat([fallen[name, "volume_28"] for name in usage], axis=1).max(axis=1),
        "share_visits_of_usual": pd.Series(shares[:, series.indicators.index("visits")], series.customers),
    }


SOURCES = (
    from_orders, from_products, from_bundles, from_channels, from_service, from_behaviour, from_answers,
    from_usage, from_back_office,
)  # fmt: skip


def test_thirty_and_more_features_are_what_pandas_finds(lived: "Warehouse", company: Mapping) -> None:
    expected = {name: values for source in SOURCES for name, values in source(company).items()}
    expected |= from_texts(company, lived.query("select token, sentiment from ingestion.text_readings"))
    with duckdb.connect(lived.path) as connection:
        expected |= from_rhythm(connection.sql("from intermediate.int_activity_days").to_arrow_table())
    found = lived.query(
        f"select customer_id, {', '.join(expected)} from features.customer_features where as_of = '{AS_OF:%Y-%m-%d}'"
    ).set_index("customer_id")
    groups = {group.name: {feature.name for feature in group.features} for group in load_library().groups}
    wrong = []
    for name, values in expected.items():
        aligned = values.reindex(found.index).astype(float)
        filled = aligned.fillna(0) if found[name].notna().all() else aligned
        near = 1e-4 if name in groups["rhythm"] else 1e-7  # the profile counts in single precision
        if not np.allclose(found[name], filled, rtol=near, atol=near, equal_nan=True):
            wrong.append(name)
    assert wrong == []
    assert len(expected) >= 30
    assert [name for name, features in groups.items() if not features & set(expected)] == []


@pytest.mark.parametrize("window", [7, 30, 60, 90, 180, 365])
def test_a_window_holds_its_last_day_and_not_the_day_before_it(
    lived: "Warehouse", company: Mapping, window: int
) -> None:
    orders = aged(company, "orders", "ordered_at")
    orders = orders[~orders["status"].isin(["failed", "cancelled"])]
    found = lived.query(
        f"select sum(count_orders_{window}d) as orders from features.customer_features where as_of = '2017-12-01'"
    )
    assert found["orders"].tolist() == [float((orders["age"] <= window).sum())]
