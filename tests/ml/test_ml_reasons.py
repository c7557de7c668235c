from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from company.policy.training import RiskSignal
from ml.dataset import Feature
from ml.explaining.reasons import count_lasting, explain_rules, join_chances

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
    )

    reasons = [
        (row["customer_id"], row["rank"], row["reason"], row["value"], row["text_en"]) for row in found.to_pylist()
    ]
    assert reasons == [
        ("a", 1, "service", 1.0, "a complaint is open"),
        ("a", 2, "inactivity", 34.0, "silent for long"),
        ("a", 3, "inactivity", 34.0, "no purchase for 34 days; 61% of such silences last 30 more"),
        ("b", 1, "inactivity", 5.0, "no purchase for 5 days; 12% of such silences last 30 more"),
    ]
    assert found["text_zh"].to_pylist()[:2] == ["有投诉", "长期沉默"]


def test_few_long_silences_leave_the_probability_to_the_rules() -> None:
    table = pa.table({"recency_days": [5.0, 20.0, 90.0, None], "last_gap_days": [4.0, 30.0, 25.0, 22.0]})
    lasting = count_lasting(table, "recency_days", ["last_gap_days"])
    assert lasting.tolist() == [6.0, 5.0, 1.0, 0.0]

    found = join_chances(
        np.array([0.1, 0.3, 0.0, np.nan]), np.array([0.0, np.nan, 0.7, np.nan]), lasting, weight=6.0, otherwise=0.02
    )

    assert found.tolist() == pytest.approx([0.05, 0.3, 6 * 0.7 / 7, 0.02])
