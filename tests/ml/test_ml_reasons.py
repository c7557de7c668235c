from datetime import date

import pyarrow as pa

from company.policy.training import RiskSignal
from ml.dataset import Feature
from ml.explaining.reasons import explain_rules

FEATURES = (
    Feature("recency_days", "purchase", "days", "inactivity", "{value}", "{value}"),
    Feature("has_open_complaint", "service", "", "service", "{value}", "{value}"),
)
SIGNALS = (
    RiskSignal(en="silent for long", zh="长期沉默", feature="recency_days", weight=1.0, at_least=30.0),
    RiskSignal(en="a complaint is open", zh="有投诉", feature="has_open_complaint", weight=3.0, at_least=1.0),
    RiskSignal(en="the contract ends soon", zh="合约到期", feature="is_renewal_near", weight=2.0, at_least=1.0),
)


def test_rules_that_show_come_by_weight_and_the_silence_after_them() -> None:
    table = pa.table(
        {"customer_id": ["a", "b", "c"], "recency_days": [34.0, 5.0, 5.0], "has_open_complaint": [1, 0, 0]}
    )

    found = explain_rules(
        table,
        SIGNALS,
        FEATURES,
        chances={"a": 0.61, "b": 0.12},
        as_of=date(2025, 1, 1),
        horizon_days=30,
        at_risk={"a": 0.7, "c": 0.125},
    )

    reasons = [
        (row["customer_id"], row["rank"], row["reason"], row["value"], row["text_en"]) for row in found.to_pylist()
    ]
    assert reasons == [
        ("a", 1, "service", 1.0, "a complaint is open"),
        ("a", 2, "inactivity", 34.0, "silent for long"),
        ("a", 3, "inactivity", 34.0, "no purchase for 34 days; 61% of such silences last 30 more"),
        ("b", 1, "inactivity", 5.0, "no purchase for 5 days; 12% of such silences last 30 more"),
        ("c", 1, "other", None, "nothing is known that sets this customer apart; 12% of all leave within 30 days"),
    ]
    assert found["text_zh"].to_pylist()[:2] == ["有投诉", "长期沉默"]
