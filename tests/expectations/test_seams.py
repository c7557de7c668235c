"""Every seam lets good tables pass and stops spoilt ones, naming the column."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from company.policy import load_policy
from company.policy.gates import Gates
from company.taxonomy import FAMILIES
from expectations import customer_360, features, plans, scores, sources
from expectations.features import FeatureRange
from expectations.gate import Suite, Verdict
from expectations.sources import RawTable
from expectations.spark import count_offenders, translate, translate_suites

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AS_OF = date(2026, 3, 1)
SPOILT = """
    update features.customer_features set recency_days = -1 where as_of = date '2026-03-01' and customer_id = 'c5';
    update features.customer_features set amount_spent = amount_spent * 1e4 where as_of = date '2026-03-01';
    update features.customer_features set count_orders = 7 where as_of = date '2026-03-01';
    update scores.churn_scores set score = 3 where customer_id = 'c5';
    delete from scores.churn_reasons where customer_id = 'c38';
    update scores.churn_reasons set text_en = '' where customer_id = 'c39';
    update customer_360.customers set value_tier = 'gift' where customer_id = 'c7';
    insert into customer_360.customers select * from customer_360.customers where customer_id = 'c8';
"""
Failure = tuple[str, str | None]
Spoil = Callable[[str], None]
Judge = Callable[[Sequence[Suite]], Verdict]
Failures = Callable[[Sequence[Suite]], set[Failure]]
Read = Callable[[], str]


def limit_sources(future_share: float = 0.0) -> Gates:
    shares = {"maximum_future_share": future_share, "maximum_quarantine_share": 0.05, "minimum_rows_share": 0.8}
    return load_policy({"gates": {**shares, "maximum_unknown_share": 0.2}}).gates


def expect_sources(**changes: object) -> list[Suite]:
    orders = {
        "table": "raw_shop.orders",
        "key": ("order_id",),
        "required": ("order_id", "customer_id", "ordered_at"),
        "moment": "ordered_at",
        "stale_after_days": 7,
        "rows_quarantined": 10,
        "rows_before": 220,
    } | changes
    identities = RawTable(table="raw_shop.identities", key=("customer_id", "kind", "value"), personal=("value",))
    return sources.build(
        [RawTable(**orders), identities],
        as_of=AS_OF,
        latest=datetime(2026, 3, 2),  # noqa: DTZ001 - the warehouse keeps UTC without saying so
        limits=limit_sources(),
    )


def expect_customers() -> list[Suite]:
    return customer_360.build(
        members={
            "lifecycle_stage": ("new", "active", "dormant", "churned"),
            "value_tier": ("platinum", "gold", "normal"),
        },
        identities={
            "value_from_now": "amount_spent_total * 3.0 * 0.25 - 5.0",
            "rfm_score": "0.4 * rfm_recency + 0.3 * rfm_frequency + 0.3 * rfm_monetary",
        },
    )


def expect_features(**changes: object) -> list[Suite]:
    ranges = [
        FeatureRange(name="recency_days", low=0, high=4000),
        FeatureRange(name="amount_spent", low=0, null_share=0.1),
        FeatureRange(name="count_orders", low=0),
        FeatureRange(name="main_channel", is_text=True),
    ]
    usual = {"as_of": AS_OF, "previous": date(2026, 2, 1), "snapshots": [date(2026, 2, 1)]}
    return features.build(ranges, **usual | {"explosion_factor": 10.0, "minimum_rows": 20} | changes)


def expect_scores(**changes: object) -> list[Suite]:
    usual = {"as_of": AS_OF, "batch": 2, "tiers": {"high": 80, "medium": 50}, "lowest_tier": "low"}
    limits = {"base_rate": 0.45, "base_rate_band": 0.1, "maximum_share_at_one_value": 0.95}
    return scores.build(**usual | limits | {"alerts": {"high": 90, "medium": 80, "low": 60}} | changes)


def expect_plans(**changes: object) -> list[Suite]:
    usual = {"as_of": AS_OF, "budget": 100.0, "spent_before": 40.0, "cooldown_days": 30, "holdout_share": 0.1}
    usual["capacity"] = {"phone": 1}
    return plans.build(**usual | changes)


@pytest.mark.parametrize(
    "suites",
    [
        expect_sources(),
        expect_sources(rows_before=None, stale_after_days=None, moment=None),
        expect_customers(),
        expect_features(),
        expect_features(previous=None),
        expect_scores(),
        expect_scores(alerts=None, base_rate=None),
        expect_plans(),
        expect_plans(has_ledger=False),
    ],
    ids=lambda suites: suites[0].seam,
)
def test_good_tables_pass(judge: Judge, suites: list[Suite]) -> None:
    assert judge(suites).failures == ()


def test_several_landed_tables_are_judged_by_one_gate(judge: Judge) -> None:
    verdict = judge(expect_sources())
    assert {finding.table for finding in verdict.findings} == {"raw_shop.orders", "raw_shop.identities"}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("update raw_shop.orders set order_id = 'o1' where order_id = 'o2'", ("key_is_unique", "order_id")),
        ("update raw_shop.orders set customer_id = null where order_id = 'o2'", ("value_is_present", "customer_id")),
        (
            "update raw_shop.orders set ordered_at = timestamp '2026-03-03' where order_id = 'o2'",
            ("moment_is_past", "ordered_at"),
        ),
        (
            "update raw_shop.orders set ordered_at = ordered_at - interval 60 day",
            ("source_is_fresh", "ordered_at"),
        ),
        ("alter table raw_shop.orders drop column ordered_at", ("value_is_present", "ordered_at")),
        (
            "insert into raw_shop.identities select * from raw_shop.identities",
            ("key_is_unique", "customer_id, kind, value"),
        ),
    ],
)
def test_a_spoilt_source_is_stopped(spoil: Spoil, failures: Failures, change: str, found: Failure) -> None:
    spoil(change)
    assert found in failures(expect_sources())


def test_an_empty_source_is_stopped_unless_it_may_be_empty(spoil: Spoil, failures: Failures) -> None:
    spoil("delete from raw_shop.orders")
    empty = ("expect_table_row_count_to_be_between", None)
    assert empty in failures(expect_sources())
    assert failures(expect_sources(may_be_empty=True, rows_quarantined=0, rows_before=None)) == set()


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"rows_quarantined": 11}, ("quarantine_is_small", None)),
        ({"rows_before": 251}, ("rows_have_not_fallen", None)),
    ],
)
def test_a_landing_that_lost_too_much_is_stopped(failures: Failures, changes: dict[str, int], found: Failure) -> None:
    assert failures(expect_sources(**changes)) == {found}


def test_a_few_moments_in_the_future_pass_where_a_share_is_allowed(spoil: Spoil, failures: Failures) -> None:
    spoil("update raw_shop.orders set ordered_at = timestamp '2030-01-01' where order_id in ('o1', 'o2')")
    orders = RawTable(table="raw_shop.orders", key=("order_id",), moment="ordered_at")
    latest = datetime(2026, 3, 2)  # noqa: DTZ001 - the warehouse keeps UTC without saying so

    def judge(share: float) -> set[Failure]:
        return failures(sources.build([orders], as_of=AS_OF, latest=latest, limits=limit_sources(share)))

    assert (judge(0.01), judge(0.009)) == (set(), {("moment_is_past", "ordered_at")})


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("delete from customer_360.customers where customer_id = 'c3'", {("no_customer_is_lost", "customer_id")}),
        ("delete from staging.stg_customers where customer_id = 'c3'", {("no_customer_is_invented", "customer_id")}),
        (
            "insert into customer_360.customers from customer_360.customers where customer_id = 'c3'",
            {("key_is_unique", "customer_id")},
        ),
        ("update customer_360.customers set rfm_recency = 6, rfm_score = rfm_score + 0.4 where rfm_recency = 5",
            {("score_is_1_to_5", "rfm_recency")}),
        (
            "update customer_360.customers set rfm_score = 5.5 where customer_id = 'c3'",
            {("mean_lies_within_its_parts", "rfm_score"), ("identity_holds", "rfm_score")},
        ),
        (
            "update customer_360.customers set value_from_now = null where customer_id = 'c3'",
            {("value_of_spender_is_known", "value_from_now")},
        ),
        (
            "update customer_360.customers set value_from_now = value_from_now + 0.01 where customer_id = 'c3'",
            {("identity_holds", "value_from_now")},
        ),
        (
            "update customer_360.customers set lifecycle_stage = 'asleep' where customer_id = 'c3'",
            {("value_is_known", "lifecycle_stage")},
        ),
        (
            "update customer_360.customers set value_tier = null where customer_id = 'c3'",
            {("value_is_known", "value_tier")},
        ),
    ],
)  # fmt: skip
def test_a_spoilt_customer_view_is_stopped(spoil: Spoil, failures: Failures, change: str, found: set[Failure]) -> None:
    spoil(change)
    assert failures(expect_customers()) == found


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("amount_spent = null", ("feature_is_filled", "amount_spent")),
        ("amount_spent = null where customer_id = 'c1'", ("feature_is_filled", "amount_spent")),
        ("main_channel = null", ("feature_is_filled", "main_channel")),
        ("recency_days = 12", ("feature_varies", "recency_days")),
        ("count_orders = 3", ("feature_varies", "count_orders")),
        ("main_channel = 'web'", ("feature_varies", "main_channel")),
        ("recency_days = -1 where customer_id = 'c1'", ("feature_is_in_range", "recency_days")),
        ("recency_days = 4001 where customer_id = 'c1'", ("feature_is_in_range", "recency_days")),
        ("amount_spent = 'inf' where customer_id = 'c1'", ("feature_is_in_range", "amount_spent")),
        ("amount_spent = 'nan' where customer_id = 'c1'", ("feature_is_in_range", "amount_spent")),
        ("amount_spent = 11 * amount_spent", ("feature_has_not_exploded", "amount_spent")),
        ("amount_spent = 1e300 * amount_spent", ("feature_has_not_exploded", "amount_spent")),
        ("count_orders = 100 * count_orders", ("feature_has_not_exploded", "count_orders")),
        ("recency_days = recency_days / 100", ("feature_has_not_exploded", "recency_days")),
    ],
)
def test_a_spoilt_feature_is_stopped_and_named(spoil: Spoil, failures: Failures, change: str, found: Failure) -> None:
    assignment, _, condition = change.partition(" where ")
    spoil(
        f"update features.customer_features set {assignment} where as_of = date '2026-03-01' and {condition or 'true'}"
    )
    named = failures(expect_features())
    assert found in named
    assert {column for _, column in named} == {found[1]}


def test_every_spoilt_feature_is_named(spoil: Spoil, failures: Failures) -> None:
    spoil(
        "update features.customer_features set amount_spent = null, count_orders = null where as_of = date '2026-03-01'"
    )
    assert failures(expect_features()) == {
        ("feature_is_filled", "amount_spent"),
        ("feature_is_filled", "count_orders"),
    }


def test_a_feature_that_told_nothing_in_the_slice_before_may_go_on_telling_nothing(
    spoil: Spoil, failures: Failures
) -> None:
    spoil("update features.customer_features set amount_spent = null, count_orders = 3")
    assert failures(expect_features()) == set()


def test_a_feature_without_material_in_the_slice_before_may_stay_so(spoil: Spoil, failures: Failures) -> None:
    spoil("update features.customer_features set amount_spent = null, count_orders = 0, main_channel = 'web'")
    assert failures(expect_features()) == set()
    assert failures(expect_features(previous=None)) == {
        ("feature_is_filled", "amount_spent"),
        ("feature_varies", "count_orders"),
        ("feature_varies", "main_channel"),
    }


def test_one_spoilt_feature_in_each_of_seven_families_is_named_among_two_hundred(
    spoil: Spoil, failures: Failures
) -> None:
    names = [f"{family}_{number}" for family in FAMILIES for number in range(30)]
    columns = ", ".join(f"cast((i * {place + 1}) % 211 as double) as {name}" for place, name in enumerate(names))
    slices = "(values (date '2026-02-01'), (date '2026-03-01')) as slices(as_of)"
    spoil(
        "create or replace table features.customer_features as "
        f"select as_of, 'c' || i as customer_id, {columns} from range(500) as numbers(i), {slices}"
    )
    for kind, value in (("0", "null"), ("1", "100"), ("2", "1000 * {}")):
        spoilt = ", ".join(f"{family}_{kind} = {value.format(f'{family}_{kind}')}" for family in FAMILIES)
        spoil(f"update features.customer_features set {spoilt} where as_of = date '2026-03-01'")
    ranges = [FeatureRange(name=name, low=0) for name in names]
    usual = {"as_of": AS_OF, "previous": date(2026, 2, 1), "snapshots": []}
    rules = ("feature_is_filled", "feature_varies", "feature_has_not_exploded")
    assert failures(features.build(ranges, **usual, explosion_factor=10.0, minimum_rows=20)) == {
        (rule, f"{family}_{kind}") for family in FAMILIES for kind, rule in enumerate(rules)
    }


def test_features_of_any_number_are_measured_in_one_pass_over_each_slice() -> None:
    ranges = [FeatureRange(name=f"f{number}") for number in range(200)]
    query = features.profile_query(ranges, as_of=AS_OF, previous=date(2026, 2, 1))
    assert query.count(features.FEATURES) == 2


def test_a_column_of_the_companys_own_may_be_empty_and_must_keep_to_its_range(spoil: Spoil, failures: Failures) -> None:
    spoil(
        "create table features.eligible_snapshots as select *, count_orders as extra_seats, 'north' as extra_shop, "
        "cast(null as double) as extra_card from features.customer_features"
    )
    seats, shop = FeatureRange(name="extra_seats", low=0, high=4), FeatureRange(name="extra_shop", is_text=True)
    own = [seats, shop, FeatureRange(name="extra_card")]
    assert failures(expect_features(own=own)) == set()
    spoil("update features.eligible_snapshots set extra_seats = 5 where customer_id = 'c1' and as_of = '2026-03-01'")
    assert failures(expect_features(own=own)) == {("feature_is_in_range", "extra_seats")}


def test_a_feature_that_may_be_constant_or_empty_passes(spoil: Spoil, failures: Failures) -> None:
    spoil("update features.customer_features set amount_spent = null, count_orders = 0")
    ranges = [
        FeatureRange(name="amount_spent", low=0, null_share=1.0),
        FeatureRange(name="count_orders", low=0, may_be_constant=True),
    ]
    usual = {"as_of": AS_OF, "previous": date(2026, 2, 1), "snapshots": []}
    assert failures(features.build(ranges, **usual, explosion_factor=10.0, minimum_rows=20)) == set()


def test_a_feature_that_hardly_anybody_has_may_be_constant(spoil: Spoil, failures: Failures) -> None:
    spoil(
        "create or replace table features.customer_features as "
        "select as_of, 'c' || i as customer_id, case when i < 40 then if(as_of < date '2026-03-01', i, 7) end as rare "
        "from range(6000) as numbers(i), (values (date '2026-02-01'), (date '2026-03-01')) as slices(as_of)"
    )
    usual = {"as_of": AS_OF, "previous": date(2026, 2, 1), "snapshots": []}
    rare = [FeatureRange(name="rare", low=0, null_share=1.0)]
    assert failures(features.build(rare, **usual, explosion_factor=10.0, minimum_rows=20)) == set()
    spoil("update features.customer_features set rare = 7 where as_of = date '2026-03-01'")
    assert failures(features.build(rare, **usual, explosion_factor=10.0, minimum_rows=20)) == {
        ("feature_varies", "rare")
    }


@pytest.mark.parametrize("had", [12, 30])
@pytest.mark.parametrize(("others", "rule"), [("0", "feature_varies"), ("null", "feature_is_filled")])
def test_what_few_customers_had_may_go_silent_with_a_warning(
    spoil: Spoil, judge: Judge, had: int, others: str, rule: str
) -> None:
    spoil(
        "create or replace table features.customer_features as select as_of, 'c' || i as customer_id, "
        f"if(as_of < date '2026-03-01' and i < {had}, 1 + i, {others}) as coupons "
        "from range(120) as numbers(i), (values (date '2026-02-01'), (date '2026-03-01')) as slices(as_of)"
    )
    usual = {"as_of": AS_OF, "previous": date(2026, 2, 1), "snapshots": []}
    ranges = [FeatureRange(name="coupons", low=0, null_share=0.95)]
    verdict = judge(features.build(ranges, **usual, explosion_factor=10.0, minimum_rows=20))
    failed = {(one.expectation, one.column) for one in verdict.findings if not one.passed}
    closed_by = [one.expectation for one in verdict.failures]
    is_rare = had == 12
    found = {(f"rare_{rule}" if is_rare else rule, "coupons")}
    assert (failed, verdict.passed, closed_by) == (found, is_rare, [] if is_rare else [rule])


@pytest.mark.parametrize(("before", "is_open"), [("52 + i % 2", True), ("40 + i % 20", False)])
def test_customers_who_all_buy_every_week_are_no_fault_where_they_hardly_differed_before(
    spoil: Spoil, failures: Failures, before: str, *, is_open: bool
) -> None:
    spoil(
        "create or replace table features.customer_features as "
        f"select as_of, 'c' || i as customer_id, if(as_of < date '2026-03-01', {before}, 52) as count_orders_365d "
        "from range(500) as numbers(i), (values (date '2026-02-01'), (date '2026-03-01')) as slices(as_of)"
    )
    usual = {"as_of": AS_OF, "previous": date(2026, 2, 1), "snapshots": []}
    weekly = [FeatureRange(name="count_orders_365d", low=0)]
    found = failures(features.build(weekly, **usual, explosion_factor=10.0, minimum_rows=20))
    assert found == (set() if is_open else {("feature_varies", "count_orders_365d")})


def test_a_missing_slice_is_stopped_and_its_day_named(judge: Judge) -> None:
    gone = judge(expect_features(snapshots=[date(2026, 1, 1)])).failures
    assert [(one.expectation, one.offenders) for one in gone] == [("snapshot_is_present", ("2026-01-01",))]


def test_a_customer_twice_in_a_slice_is_stopped(spoil: Spoil, failures: Failures) -> None:
    spoil("insert into features.customer_features from features.customer_features where customer_id = 'c3'")
    assert ("key_is_unique", "as_of, customer_id") in failures(expect_features())


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            "delete from scores.churn_scores where customer_id = 'c3' and batch = 2",
            {("every_eligible_customer_is_scored", "customer_id")},
        ),
        (
            "update features.customer_features set is_eligible = false where customer_id = 'c3'",
            {("only_eligible_customers_are_scored", "customer_id")},
        ),
        (
            "insert into scores.churn_scores from scores.churn_scores where customer_id = 'c3'",
            {("key_is_unique", "customer_id")},
        ),
        (
            "update scores.churn_scores set probability = 1.5, score = 150 where customer_id = 'c39'",
            {("probability_is_0_to_1", "probability")},
        ),
        (
            "update scores.churn_scores set score = score + 1 where customer_id = 'c3'",
            {("score_is_100_times_probability", "score")},
        ),
        ("update scores.churn_scores set tier = 'high' where customer_id = 'c3'", {("level_follows_score", "tier")}),
        (
            "update scores.churn_scores set alert_level = null where customer_id = 'c39'",
            {("level_follows_score", "alert_level")},
        ),
        (
            "update scores.churn_scores set model_version = null where customer_id = 'c3'",
            {("value_is_present", "model_version")},
        ),
        (
            "update scores.churn_scores set probability = 0.45, score = 45, tier = 'low', alert_level = 'none'",
            {("scores_differ", "score")},
        ),
        (
            (
                "update scores.churn_scores set probability = score / 400, score = score / 4, tier = 'low', "
                "alert_level = 'none'"
            ),
            {("expect_column_mean_to_be_between", "probability")},
        ),
        (
            "delete from scores.churn_reasons where customer_id = 'c3' and rank = 2 and batch = 2",
            {("reasons_are_complete", "rank")},
        ),
        (
            (
                "delete from scores.churn_reasons where batch = 2 and customer_id in "
                "(select customer_id from scores.churn_scores where tier = 'high')"
            ),
            {("reasons_are_complete", "rank")},
        ),
        (
            (
                "delete from scores.churn_reasons where batch = 2 and customer_id in "
                "(select customer_id from scores.churn_scores where tier = 'low')"
            ),
            set(),
        ),
        (
            "update scores.churn_reasons set rank = 1 where customer_id = 'c3' and rank = 2",
            {("key_is_unique", "customer_id, rank")},
        ),
        (
            "update scores.churn_reasons set text_zh = '' where customer_id = 'c3' and rank = 2",
            {("reason_has_words", "text_zh")},
        ),
        (
            "update scores.churn_reasons set contribution = -0.1 where customer_id = 'c3' and rank = 2 and batch = 2",
            {("reason_raises_the_risk", "contribution")},
        ),
        (
            (
                "update scores.churn_scores set level = 'low' where customer_id = 'c3'; "
                "delete from scores.churn_reasons where customer_id = 'c3'"
            ),
            {("reasons_are_complete", "rank")},
        ),
    ],
)
def test_spoilt_scores_are_stopped(spoil: Spoil, failures: Failures, change: str, found: set[Failure]) -> None:
    spoil(change)
    assert failures(expect_scores()) == found


def test_only_the_batch_in_question_is_judged(spoil: Spoil, failures: Failures) -> None:
    spoil("update scores.churn_scores set probability = 9 where batch = 1")
    assert failures(expect_scores()) == set()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("update retention.plans set cost = 3 where arm = 'treated'", {("budget_is_kept", "cost")}),
        ("update retention.plans set cost = -1 where customer_id = 'c9'", {("cost_is_not_negative", "cost")}),
        (
            "insert into retention.plans from retention.plans where customer_id = 'c9'",
            {("key_is_unique", "customer_id")},
        ),
        ("update retention.plans set arm = 'maybe' where customer_id = 'c39'", {("arm_is_known", "arm")}),
        (
            "update retention.plans set channel = null where customer_id = 'c9'",
            {("treatment_is_complete", "channel")},
        ),
        (
            "update retention.plans set strategy_id = '' where customer_id = 'c9'",
            {("treatment_is_complete", "strategy_id")},
        ),
        ("update retention.plans set propensity = 0 where customer_id = 'c9'", {("propensity_is_known", "propensity")}),
        (
            "update retention.plans set channel = 'phone' where customer_id in ('c8', 'c9')",
            {("capacity_is_kept", "channel")},
        ),
        ("update retention.plans set arm = 'treated' where customer_id = 'c1'", {("holdout_is_never_treated", "arm")}),
        (
            "update retention.plans set arm = 'holdout' where customer_id < 'c3'",
            {("holdout_share_is_kept", "arm")},
        ),
        (
            "update retention.ledger set as_of = date '2026-02-10' where customer_id = 'c4'",
            {("cooldown_is_respected", "customer_id")},
        ),
        (
            "insert into retention.ledger values ('c1', date '2026-01-01', 'holdout', 'sent', 'coupon', false, 'k1')",
            {("holdout_is_never_contacted", "event")},
        ),
    ],
)
def test_a_spoilt_plan_is_stopped(spoil: Spoil, failures: Failures, change: str, found: set[Failure]) -> None:
    spoil(change)
    assert failures(expect_plans()) == found


def test_the_cool_down_lets_service_through_once(spoil: Spoil, failures: Failures) -> None:
    spoil("update retention.ledger set as_of = date '2026-02-10' where customer_id = 'c4'")
    assert failures(expect_plans(service=["coupon"])) == {("cooldown_is_respected", "customer_id")}
    spoil("update retention.ledger set strategy_id = 'other' where customer_id = 'c4'")
    assert failures(expect_plans(service=["coupon"])) == set()


def test_an_earlier_draw_does_not_bind_a_plan_after_the_salt_has_changed(spoil: Spoil, failures: Failures) -> None:
    spoil("update retention.plans set arm = 'treated' where customer_id = 'c1'")
    assert failures(expect_plans(holdout_since=date(2026, 2, 1))) == set()


def test_a_plan_that_treats_nobody_does_not_answer_for_money_spent_before(spoil: Spoil, failures: Failures) -> None:
    spoil("update retention.plans set arm = 'none', cost = 0")
    assert failures(expect_plans(spent_before=500.0)) == set()


@pytest.mark.parametrize("table", ["identities", "orders"])
def test_no_personal_value_reaches_outcomes_or_pages(spoil: Spoil, judge: Judge, read_pages: Read, table: str) -> None:
    spoil(f"insert into raw_shop.{table} from raw_shop.{table}")
    verdict = judge(expect_sources())
    assert not verdict.passed
    assert "@example.org" not in repr(verdict) + read_pages()


@pytest.mark.parametrize("change", ["", SPOILT], ids=["good", "spoilt"])
def test_each_rule_counts_the_offenders_that_duckdb_finds(
    spark_session: "SparkSession",
    database: Path,
    spoil: Callable[[str], None],
    judge: Callable[[Sequence[Suite]], Verdict],
    change: str,
) -> None:
    spoil(change)
    show_tables(spark_session, database, database.parent)
    for suites in (expect_customers(), expect_features(), expect_scores()):
        found: dict[tuple[str, str], int] = {}
        for each in judge(suites).findings:
            place = (each.table, each.expected)
            found[place] = found.get(place, 0) + (each.count_offenders or int(not each.passed))
        counted = count_offenders(spark_session, translate_suites(suites))
        assert {(each.table, each.rule): each.offenders for each in counted} == found


def show_tables(session: "SparkSession", database: Path, folder: Path) -> None:
    """Make every table of a warehouse a table of the session."""
    with duckdb.connect(str(database)) as connection:
        for schema, name in connection.execute(
            "select table_schema, table_name from information_schema.tables"
        ).fetchall():
            file = folder / f"{schema}.{name}.parquet"
            connection.execute(f"copy {schema}.{name} to '{file}'")
            session.sql(f"create schema if not exists {schema}")
            session.sql(f"drop table if exists {schema}.{name}")
            session.sql(f"create table {schema}.{name} using parquet location '{file}'")


def test_every_rule_is_counted_by_a_query_of_the_rows_that_its_suite_judges() -> None:
    suites = [*expect_customers(), *expect_features(), *expect_scores()]
    for suite, written in zip(suites, translate_suites(suites), strict=True):
        assert len(written.rules) == len(suite.expectations)
        assert all("gate_batch" in rule.query for rule in written.rules if "snapshots are present" not in rule.expected)


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("select unnest([{'a': x}], recursive := true) from t", "SELECT INLINE(ARRAY(STRUCT(x AS a))) FROM t"),
        ("select * exclude (a) from t", "SELECT * EXCEPT (a) FROM t"),
        ("select a / 7.0 from t", "SELECT CAST(a AS DOUBLE) / 7.0 FROM t"),
        ("select isfinite(x) from t", "SELECT NOT (ISNAN(x) OR ABS(x) = CAST('Infinity' AS DOUBLE)) FROM t"),
    ],
)
def test_what_only_duckdb_knows_is_written_in_sparks_words(given: str, written: str) -> None:
    assert translate(given) == written
