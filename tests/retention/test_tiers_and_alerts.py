from datetime import date

import numpy as np
import pandas as pd
import pytest

from company.policy import load_policy
from retention.acting.alerts import alert_id, raise_alerts
from retention.deciding.tiers import assign

AS_OF = date(2017, 12, 1)


def _scores(*scores: float) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": [f"c{n}" for n in range(len(scores))], "score": scores})


def _full(**columns: object) -> pd.DataFrame:
    frame = pd.DataFrame({"customer_id": ["a", "b", "c", "d"], "score": [95.0, 85.0, 55.0, 20.0]})
    frame = frame.assign(probability=frame["score"] / 100, as_of=AS_OF, main_reason="service", why_en="w", why_zh="因")
    return frame.assign(**columns, money_at_risk=frame["probability"] * [10.0, 1000.0, np.nan, 5000.0])


def test_a_bound_belongs_to_the_tier_and_to_the_alert_level_above_it() -> None:
    found = assign(_scores(0, 49.9, 50, 60, 79.9, 80, 90, 100), load_policy())
    assert found["tier"].tolist() == ["low", "low", "medium", "medium", "medium", "high", "high", "high"]
    assert found["alert_level"].tolist() == ["none", "none", "none", "low", "low", "medium", "high", "high"]


def test_the_policy_chooses_which_of_the_two_decides() -> None:
    scores = _scores(55, 65, 85, 95)
    by_tiers = assign(scores, load_policy())
    by_alerts = assign(scores, load_policy({"tier_policy": "alerts"}))
    assert by_tiers["level"].tolist() == ["medium", "medium", "high", "high"]
    assert by_alerts["level"].tolist() == ["none", "low", "medium", "high"]


def test_a_level_that_the_policy_does_not_act_on_becomes_none() -> None:
    found = assign(_scores(10, 55, 95), load_policy({"tiers": {"act_on": ["high"]}}))
    assert found["level"].tolist() == ["none", "none", "high"]


@pytest.mark.parametrize("score", [np.nan, -1.0, 100.5])
def test_a_score_off_the_scale_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="1 of 2 scores are missing or outside 0 to 100, the first in row 1"):
        assign(_scores(50, score), load_policy())


def test_alerts_come_by_money_at_risk_and_unknown_value_last() -> None:
    policy = load_policy()
    alerts = raise_alerts(assign(_full(), policy), policy)
    assert alerts[
        ["customer_id", "rank", "level", "priority", "respond_within_hours", "owner"]
    ].to_numpy().tolist() == [
        ["b", 1, "high", 1, 1.0, "retention desk"],
        ["a", 2, "high", 1, 1.0, "retention desk"],
        ["c", 3, "medium", 2, 9.0, "customer service"],
    ]
    assert alerts["money_at_risk"].tolist()[:2] == [850.0, 9.5]


def test_a_customers_own_owner_comes_before_the_levels_owner() -> None:
    policy = load_policy()
    alerts = raise_alerts(assign(_full(owner=["ann", None, None, None]), policy), policy)
    assert dict(zip(alerts["customer_id"], alerts["owner"], strict=True)) == {
        "a": "ann",
        "b": "retention desk",
        "c": "customer service",
    }


def test_an_alert_keeps_its_id_however_the_day_is_written() -> None:
    assert alert_id(AS_OF, "a") == alert_id(pd.Timestamp(AS_OF), "a") == alert_id("2017-12-01", "a")


def test_nobody_at_risk_means_no_alert() -> None:
    policy = load_policy()
    assert raise_alerts(assign(_full().iloc[3:], policy), policy).empty


def test_a_weak_alert_needs_a_reason_besides_its_score() -> None:
    policy = load_policy({"tier_policy": "alerts", "cutoffs": {"confirm": ["low"]}})
    scores = pd.DataFrame({"customer_id": ["a", "b", "c", "d"], "score": [65.0, 66.0, 95.0, 67.0], "as_of": AS_OF})
    scores = scores.assign(
        probability=0.5, main_reason=["service", None, None, "other"], why_en="", why_zh="", money_at_risk=1.0
    )
    assert raise_alerts(assign(scores, policy), policy)["customer_id"].tolist() == ["c", "a"]


def test_who_changed_is_alerted_at_the_policys_level_and_the_change_leads_the_reasons() -> None:
    policy = load_policy()
    changes = {"anomaly_reason": ["engagement", None, None, "engagement"], "anomaly_en": ["x", None, None, "x"]}
    scores = _full(**changes, anomaly_zh=["变", None, None, "变"])
    scores.loc[3, ["main_reason", "why_en", "why_zh"]] = None
    columns = ["customer_id", "level", "main_reason", "why_en", "why_zh"]
    told = raise_alerts(assign(scores, policy), policy)[columns].set_index("customer_id").T.to_dict("list")
    assert told["a"] == ["high", "service", "x; w", "变\uff1b因"]
    assert told["b"] == ["high", "service", "w", "因"]
    assert told["d"] == ["low", "engagement", "x", "变"]
    silent = load_policy({"anomaly": {"alert_level": None}})
    assert "d" not in set(raise_alerts(assign(scores, silent), silent)["customer_id"])
