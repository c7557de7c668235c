"""A small published snapshot: forty customers of two regions, three owners, with scores, reasons, alerts and a plan."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pandas as pd

from retention.acting.alerts import alert_id

AS_OF = date(2024, 10, 1)
NOW = datetime(2024, 10, 1, 6, 0, tzinfo=UTC)
COUNT = 40
OWNERS = ("ann", "bob", None)


def make_customers(count: int = COUNT) -> pd.DataFrame:
    numbers = range(1, count + 1)
    score = [float(100 - 2 * number) for number in numbers]
    frame = pd.DataFrame(
        {
            "position": numbers,
            "as_of": AS_OF,
            "customer_id": [f"secret-{number:03d}" for number in numbers],
            "region": ["north" if number % 2 else "south" for number in numbers],
            "city": [f"Town {number}" for number in numbers],
            "age_band": "30-39",
            "owner": [OWNERS[number % 3] for number in numbers],
            "responsible": [OWNERS[number % 3] or "customer service" for number in numbers],
            "lifecycle_stage": ["active" if number % 4 else "dormant" for number in numbers],
            "lifecycle_phase": ["mature" if number % 4 else "dormant" for number in numbers],
            "cluster_kind": ["low_activity_high_value" if number % 3 else None for number in numbers],
            "value_tier": ["gold" if number % 5 == 0 else "normal" for number in numbers],
            "score": score,
            "probability": [each / 100 for each in score],
            "tier": ["high" if each >= 80 else "medium" if each >= 50 else "low" for each in score],
            "alert_level": "none",
            "previous_as_of": AS_OF - timedelta(days=1),
            "previous_score": [50.0] * count,
            "previous_tier": ["medium"] * count,
            "week_as_of": AS_OF - timedelta(days=8),
            "week_score": [45.0 + number % 3 * 20 for number in numbers],
            "week_tier": [("low", "medium", "high")[number % 3] for number in numbers],
            "month_as_of": AS_OF - timedelta(days=31),
            "month_score": [10.0] * count,
            "month_tier": ["low"] * count,
            "expected_value": [20.0 + number % 7 for number in numbers],
            "main_reason": "inactivity",
            "main_reason_en": "no order for 34 days",
            "main_reason_zh": "已34天未下单",
            "model_version": "3",
            "strategy_id": "voucher",
            "arm": ["treated" if number % 10 else "holdout" for number in numbers],
            "value_from_now": [1234.5 - number for number in numbers],
            "money_at_risk": [987.25 - number for number in numbers],
            "nobody_listed_this": "not for anybody",
            "tags": "big_basket,gone_silent",
            "why_en": "no order for 34 days; spend down",
            "why_zh": "已34天未下单, 消费下降",
            "channel": "email",
            "decision_reason": ["best_use_of_budget" if number % 10 else "held_out" for number in numbers],
            "allowed_channels": "email,sms",
            "count_texts_half_year": 4,
            "count_negative_texts_half_year": [number % 5 for number in numbers],
        }
    )
    frame["alert_id"] = [
        alert_id(AS_OF, customer) if tier != "low" else None
        for customer, tier in zip(frame["customer_id"], frame["tier"], strict=True)
    ]
    frame.loc[frame["position"] > count - 3, ["money_at_risk", "value_from_now"]] = None
    return frame


def make_tables(count: int = COUNT) -> dict[str, pd.DataFrame]:
    customers = make_customers(count)
    at_risk = customers.loc[customers["tier"] != "low"].reset_index(drop=True)
    ids = customers["customer_id"]
    scores = [
        pd.DataFrame({"as_of": AS_OF - timedelta(days=day), "customer_id": ids, "score": customers["score"] - day})
        for day in (2, 1, 0)
    ]
    alerts = at_risk[["as_of", "customer_id", "tier", "alert_level", "score", "probability", "money_at_risk"]]
    return {
        "customers": customers,
        "alerts": alerts.assign(
            alert_id=[alert_id(AS_OF, customer) for customer in alerts["customer_id"]],
            position=range(1, len(alerts) + 1),
            rank=range(1, len(alerts) + 1),
            level=at_risk["tier"],
            priority=[1 if tier == "high" else 2 for tier in at_risk["tier"]],
            owner=at_risk["responsible"],
            respond_within_hours=24.0,
            main_reason="inactivity",
            why_en="no order for 34 days",
            why_zh="已34天未下单",
        ),
        "scores": pd.concat(scores).assign(tier="high", probability=0.5, model_version="3"),
        "value_drivers": pd.DataFrame(
            {
                "as_of": AS_OF, "customer_id": ids, "driver": "basket", "own_figure": 92.5, "typical_figure": 48.0,
                "contribution": -310.0, "driver_rank": 1,
            }
        ),
        "reasons": pd.DataFrame(
            {
                "as_of": AS_OF, "customer_id": ids, "rank": 1, "reason": "inactivity",
                "text_en": "no order for 34 days", "text_zh": "已34天未下单",
            }
        ),
        "plans": at_risk[["as_of", "customer_id", "strategy_id", "arm", "score", "money_at_risk"]].assign(
            channel="email", cost=1.5, expected_value=20.0, rank=range(1, len(at_risk) + 1), level=at_risk["tier"],
            decision=["treat" if arm == "treated" else "hold_out" for arm in at_risk["arm"]],
            decision_reason=["best_use_of_budget" if arm == "treated" else "held_out" for arm in at_risk["arm"]],
            propensity=0.9, main_reason="price", kept_share=0.25,
        ),
        "plan_changes": pd.DataFrame(
            {
                "position": [1, 2, 3], "as_of": AS_OF, "customer_id": ids.iloc[[0, 1, -1]].tolist(),
                "previous_as_of": AS_OF - timedelta(days=3), "plan_change": ["in", "other_strategy", "out"],
                "strategy_id": ["voucher", "voucher", None], "cost": [1.5, 1.5, None],
                "decision_reason": ["best_use_of_budget", "best_use_of_budget", None],
                "expected_value": [20.0, 20.0, None],
                "previous_strategy_id": [None, "a call", "voucher"], "previous_cost": [0.0, 7.0, 1.5],
                "previous_reason": ["held_out", "best_use_of_budget", "best_use_of_budget"],
                "previous_expected_value": [None, 30.0, 12.0],
            }
        ),
        "next_purchases": pd.DataFrame(
            {
                "as_of": AS_OF, "customer_id": customers["customer_id"], "order_chance_3m": 0.8,
                "next_order_date": AS_OF + timedelta(days=9), "next_order_from": AS_OF + timedelta(days=2),
                "next_order_until": AS_OF + timedelta(days=30), "usual_category": "cheese",
                "suggested_category": "bread", "because_category": "ham", "cross_sell_potential": 45.0,
            }
        ),
        "forecasts": pd.DataFrame(
            [
                {"as_of": AS_OF, "customer_id": customer_id, "horizon_months": months, "expected_orders": 2.5 * months,
                 "expected_revenue": 31.0 * months, "median_revenue": 20.0, "revenue_low": 7.0,
                 "revenue_high": 58.0 * months}
                for customer_id in customers["customer_id"]
                for months in (3, 6)
            ]
        ),
        "trends": pd.DataFrame(
            {
                "indicator": ["visits", "data_gb"], "group_name": "region: north", "count_customers": 40,
                "rate_now": 0.2, "slope": -0.01, "changed_on": AS_OF, "rate_before": 0.4, "rate_since": 0.2,
                "q_value": 0.001, "is_change": [True, False],
            }
        ),
        "funnel": pd.DataFrame(
            {
                "step": "saw", "step_number": 1, "group_name": "everybody", "first_date": AS_OF,
                "count_customers": [60], "count_continued": 20, "share_continued": 1 / 3, "lost_expected": 22.0,
                "q_value": 0.001, "is_drop": True,
            }
        ),
        "families": pd.DataFrame({"customer_id": ids, "family": "retention", "family_score": 60.0}),
        "aliases": pd.DataFrame({"alias_id": ["shop-7"], "customer_id": ["secret-020"]}),
        "tags": pd.DataFrame({"tag": ["big_basket"], "text_en": ["large baskets"], "text_zh": ["大额购物"]}),
        "strategies": pd.DataFrame({"strategy_id": ["voucher"], "text_en": ["A voucher"], "text_zh": ["优惠券"]}),
        "decision_reasons": pd.DataFrame(
            {
                "decision_reason": ["best_use_of_budget", "held_out"],
                "text_en": ["the most that the budget can buy", "stays untreated, so that the effect can be measured"],
                "text_zh": ["预算内最有价值", "对照组不干预以便衡量效果"],
            }
        ),
        "plan_prices": pd.DataFrame(
            {
                "as_of": [AS_OF], "resource": ["budget"], "amount": [5000.0], "used": [4990.0], "price": [0.4],
                "text_en": ["Another 1,000 would bring 400."], "text_zh": ["预算每增加 1,000, 可多带来 400。"],
            }
        ),
        "strategy_effects": _list_looks(),
        "contamination": pd.DataFrame(
            {
                "strategy_id": "voucher", "arm": ["holdout", "treated"], "count_decisions": [80, 800],
                "count_reached": [20, 400], "count_touches": [24, 612],
            }
        ),
        "version_effects": _list_looks().assign(version="short", against="holdout"),
        "performance": pd.DataFrame(
            {
                "as_of": [AS_OF], "model_version": ["3"], "state": ["sound"], "n": [2243], "base_rate": [0.124],
                "auc": [0.87], "auc_recency_alone": [0.789], "accuracy": [0.881], "majority_accuracy": [0.876],
                "ece": [0.012], "brier": [0.083],
            }
        ),
        "fairness": pd.DataFrame(
            {
                "trained_on": AS_OF, "model_version": "3", "group_of": ["age_band", "region"],
                "group_value": ["55-64", "north"], "is_protected": [True, False], "is_misstated": [False, True],
                "count_rows": [400, 900], "base_rate": [0.2, 0.3], "mean_probability": [0.22, 0.225],
                "gap": [0.02, -0.075], "chance": 0.04, "auc": 0.8, "contacted": 0.1, "found": [0.5, 0.62],
                "contacted_in_vain": 0.05,
            }
        ),
        "drift": pd.DataFrame(
            {
                "as_of": [AS_OF], "model_version": ["3"], "state": ["drifted"], "drifted_importance": [0.4],
                "score_psi": [0.12], "moved_most": ["tenure_days 3.978"],
            }
        ),
        "gate_verdicts": pd.DataFrame(
            {
                "seam": ["sources", "features"], "as_of": AS_OF, "passed": [True, False],
                "failed": ["", "recency_days is never null"], "judged_at": [datetime(2024, 10, 1, 4)] * 2,  # noqa: DTZ001
            }
        ),
        "incidents": pd.DataFrame(
            {
                "position": [1], "incident_id": ["i-north"], "as_of": [AS_OF], "measure": ["complaints"],
                "group_name": ["region: north"], "first_date": [AS_OF - timedelta(days=3)],
                "last_date": [AS_OF - timedelta(days=1)], "count_affected": [60], "count_expected": [5.0],
                "ratio": [12.0], "p_value": [1e-9], "q_value": [1e-8], "money_at_risk": [3000.0],
                "cause_en": ["region: north: 60 customers complained."], "cause_zh": ["region: north: 60 名客户投诉。"],
                "grade": ["orange"], "raised_at": [datetime(2024, 10, 1, 4, 0)],  # noqa: DTZ001
            }
        ),
        "alert_rules": pd.DataFrame(
            {
                "level": ["high", "high"], "main_reason": ["all", "price"], "count_answers": [60, 40],
                "count_wrong": [30, 37], "share_wrong": [0.5, 0.925], "share_low": [0.377, 0.801],
                "demand": ["nothing", "second_reason"], "points": [0, 0],
                "why_en": ["", "37 of 40 answers called them wrong"], "why_zh": ["", "40 条反馈中有 37 条误报"],
            }
        ),
        "alert_system": pd.DataFrame(
            {
                "period": ["month", "month", "week"], "period_start": [date(2024, 9, 1)] * 2 + [date(2024, 9, 30)],
                "level": ["all", "high", "all"], "count_raised": [412, 97, 41], "count_answered": [380, 96, 12],
                "count_missed": [9, 1, 0], "hours_to_answer": [3.5, 0.6, 2.0], "hours_to_action": [2.5, 0.5, 1.0],
                "count_untreated": [61, 12, 0], "count_left": [25, 7, 0], "precision": [0.41, 0.583, None],
                "precision_low": [0.295, 0.32, None], "precision_high": [0.536, 0.807, None],
                "days_ahead": [21.0, 14.0, None], "count_feedback": [120, 40, 0], "share_useful": [0.7, 0.8, None],
                "handling_cost": [1520.0, 384.0, 48.0], "benefit": [9100.0, None, None],
                "benefit_low": [2100.0, None, None], "benefit_high": [16100.0, None, None],
            }
        ),
        "reconciliation": pd.DataFrame(
            {
                "source": ["shop"], "table_name": ["orders"], "rows_landed": [100], "rows_staged": [97],
                "rows_removed": [3],
            }
        ),
        "about": pd.DataFrame(
            {
                "company": ["Corner Shop"], "currency": ["EUR"], "timezone": ["Europe/Berlin"], "as_of": [AS_OF],
                "published_at": [datetime(2024, 10, 1, 4, 30)], "churn_definition": ["inactivity"],  # noqa: DTZ001
                "active_within_days": [60], "horizon_days": [30], "lead_days": [0], "fall_share": [None],
                "budget_amount": [5000.0], "budget_period": ["month"], "holdout_share": [0.1],
            }
        ).astype({"fall_share": float}),
    }  # fmt: skip


def write_snapshot(path: Path, tables: dict[str, pd.DataFrame]) -> None:
    """Write a file next to the one that stands and swap it in, as publishing does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with duckdb.connect(str(fresh)) as connection:
        for name, rows in tables.items():
            connection.register("incoming", rows)
            connection.execute(f"create table {name} as select * from incoming")
    fresh.replace(path)


def _list_looks() -> pd.DataFrame:
    """Return two looks at a strategy, of which the second has no verdict yet, and one that is blocked."""
    looks = pd.DataFrame(
        {
            "strategy_id": ["voucher", "voucher", "all"], "period": "before 2027", "look": [1, 2, 2],
            "looked_on": [date(2024, 9, 1), date(2024, 10, 1), date(2024, 10, 1)], "is_latest": [False, True, True],
            "n_treated": [410, 830, 830], "n_holdout": [40, 81, 81], "n_immature": 0,
            "difference": [0.02, 0.034, 0.034],
            "verdict": ["insufficient", "insufficient", "blocked"], "because": [None, None, "holdout_contacted"],
            "verdict_expected_on": [date(2025, 5, 1), date(2025, 4, 1), None], "decided_on": None,
            "needed_treated": 6155, "needed_holdout": 601, "share_of_information": 0.13, "amount_difference": 3.5,
        }
    )  # fmt: skip
    names = {"difference_low": -0.011, "difference_high": 0.072, "band_low": -0.03, "band_high": 0.09}
    others = {"retention_treated": 0.76, "retention_holdout": 0.73, "unadjusted": 0.03, "amount_low": -8.0}
    rest = {"unadjusted_low": -0.02, "unadjusted_high": 0.08, "amount_high": 15.0}
    return looks.assign(**names, **others, **rest).astype({"decided_on": "datetime64[us]"})


def make_money() -> dict[str, pd.DataFrame]:
    """Return what the page on money reads, of one strategy."""
    interval = {"saved": 1200.0, "saved_low": -150.0, "saved_high": 2550.0, "spent": 300.0, "spent_open": 20.0}
    figures = interval | {"return_on_spend": 4.0, "return_low": -0.5, "return_high": 8.5, "count_treated": 830.0}
    figures |= {
        "count_holdout": 81.0,
        "count_open": 12.0,
        "lasting_share": 0.14,
        "value_share": 0.72,
        "basis": "measured",
        "as_of": AS_OF,
    }
    figures |= {"holdout_cost": 90.0, "holdout_cost_low": -40.0, "holdout_cost_high": 220.0}
    scopes = [("all", "all"), ("value_tier", "gold"), ("strategy", "voucher")]
    return {
        "money": pd.DataFrame([{"scope": scope, "name": name, **figures} for scope, name in scopes]),
        "attribution": pd.DataFrame(
            {"action_kind": "strategy", "action": ["", "voucher"], "shapley": [200.0, 1000.0],
             "markov": [200.0, 1000.0], "last_touch": [None, 1200.0]}
        ),
        "harms": pd.DataFrame(
            {"scope": ["group"], "name": ["gold"], "harm": [70.0], "harm_low": [-10.0], "harm_high": [150.0],
             "is_certain": [False]}
        ),
        "losses": pd.DataFrame(
            {"line": ["value", "image"], "basis": ["measured", "assumption"], "count_customers": [142.0, None],
             "amount": [54925.0, None], "part": [None, 0.15]}
        ),
        "goals": pd.DataFrame(
            {"goal": ["churn_fall"], "compared_with": ["held_out"], "value": [0.25], "low": [0.21], "high": [0.29],
             "target": [0.2], "goal_state": ["reached"]}
        ),
        "churn_lines": pd.DataFrame(
            {"name": ["year"], "value": [0.067], "line": ["industry"], "line_value": [0.24],
             "line_source": ["a survey"]}
        ),
        "churn_forecast": pd.DataFrame(
            {"as_of": [AS_OF], "month_date": [AS_OF], "value": [0.123], "low": [0.1], "high": [0.15],
             "line_value": [0.24]}
        ),
        "churn_bridge": pd.DataFrame(
            {"as_of": [AS_OF] * 2, "other_definition": ["lost"] * 2, "cell": ["both", "main only"],
             "count_customers": [43, 247]}
        ),
        "survival": pd.DataFrame(
            {"group_name": ["all"] * 3, "months": [0, 1, 3], "value": [1.0, 0.9, 0.72], "low": [1.0, 0.84, 0.63],
             "high": [1.0, 0.94, 0.79], "count_at_risk": [120, 120, 90], "count_lost": [0, 12, 18]}
        ),
        "cohorts": pd.DataFrame(
            {"group_name": ["all"] * 4 + ["region: north"], "months_since": [0, 1, 0, 1, 0],
             "cohort_month": [date(2024, 7, 1)] * 2 + [date(2024, 8, 1)] * 3, "holds_earlier": [True] * 2 + [False] * 3,
             "count_joined": [40, 40, 7, 7, 25], "count_active": [40, 31, 7, 5, 24],
             "value": [1.0, 0.775, None, None, 0.96], "low": [0.91, 0.62, None, None, 0.8],
             "high": [1.0, 0.88, None, None, 0.99]}
        ),
        "churn_reasons": pd.DataFrame(
            {"as_of": [AS_OF] * 2, "stated_reason": ["service", "unknown"], "count_customers": [14, 30],
             "share_of_leavers": [14 / 44, 30 / 44], "share_of_stated": [1.0, None]}
        ),
        "leaver_groups": pd.DataFrame(
            {"as_of": AS_OF, "group_rank": [1], "count_customers": [40], "count_left": [16], "churn_rate": [0.4],
             "all_rate": [0.12], "text_en": ["age 25-34, satisfaction <= 3.9"], "text_zh": ["年龄25-34、满意度<= 3.9"]}
        ),
        "negative_keywords": pd.DataFrame(
            {"month_date": [AS_OF] * 2, "language": ["en", "zh"], "keyword": ["out of stock", "没人接"],
             "count_texts": [9, 7], "count_customers": [8, 7], "count_texts_before": [3, 0], "keyword_rank": [1, 1]}
        ),
        "periods": pd.DataFrame(
            {"period": ["month", "day", "month"], "strategy_id": ["all", "all", "voucher"], "effect_group": "all",
             "period_start": [AS_OF.replace(month=9), AS_OF, AS_OF.replace(month=9)],
             "known_treated": [830.0, 27.0, 415.0], "known_holdout": [81.0, 3.0, 40.0], "retained_treated": 0.7,
             "retained_holdout": 0.66, "retained_difference": 0.04, "retained_low": -0.01, "retained_high": 0.09,
             "spent_difference": 2.5, "spent_low": -1.0, "spent_high": 6.0}
        ),
    }  # fmt: skip
