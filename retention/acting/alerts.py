"""Alerts: who is about to leave, why, who answers, and until when; the most money at risk first."""

from hashlib import sha256
from typing import TYPE_CHECKING

from company.policy.units import LEVELS
from company.taxonomy import NO_REASON
from retention.deciding.tiers import NONE

if TYPE_CHECKING:
    import pandas as pd

    from company.policy import Policy

COLUMNS = (
    "alert_id", "customer_id", "as_of", "rank", "level", "tier", "alert_level", "score", "probability", "clv",
    "money_at_risk", "priority", "owner", "respond_within_hours", "main_reason", "why_en", "why_zh",
)  # fmt: skip


def raise_alerts(scores: "pd.DataFrame", policy: "Policy") -> "pd.DataFrame":
    """Return one alert per customer whose level the policy acts on, ordered by money at risk.

    Where the policy asks for confirmation, a customer without any reason that holds is left out.

    Args:
        scores: output of `tiers.assign` with customer_id, as_of, probability, score, main_reason, why_en, why_zh
            (the reasons in words), clv and money_at_risk, in the company's currency (may be missing for a customer)
            and, where the company has it, owner.
        policy: gives the owner and the hours to the first answer per level.

    Returns:
        `COLUMNS`, customers of unknown value last. alert_id is the same whenever the same customer is alerted for the
        same as_of.
    """
    has_reason = scores["main_reason"].notna() & (scores["main_reason"] != NO_REASON)
    unconfirmed = scores["level"].isin(policy.cutoffs.confirm) & ~has_reason
    raised = scores.loc[(scores["level"] != NONE) & ~unconfirmed].copy()
    responses = policy.responses
    for field in ("priority", "respond_within_hours"):
        raised[field] = raised["level"].map({level: getattr(getattr(responses, level), field) for level in LEVELS})
    raised["owner"] = _owner(raised, policy)
    for name in ("clv", "money_at_risk"):
        raised[name] = raised[name].astype(float)
    raised["alert_id"] = [
        alert_id(as_of, customer_id) for as_of, customer_id in zip(raised["as_of"], raised["customer_id"], strict=True)
    ]
    ordered = raised.sort_values(
        ["money_at_risk", "score", "customer_id"], ascending=[False, False, True], ignore_index=True
    )
    ordered["rank"] = range(1, len(ordered) + 1)
    return ordered[list(COLUMNS)]


def alert_id(as_of: object, customer_id: str) -> str:
    """Return the alert's id, 32 hexadecimal digits made from what identifies it."""
    return sha256(f"alert|{str(as_of)[:10]}|{customer_id}".encode()).hexdigest()[:32]


def _owner(raised: "pd.DataFrame", policy: "Policy") -> "pd.Series[str]":
    by_level = raised["level"].map({level: getattr(policy.responses, level).owner for level in LEVELS})
    return raised["owner"].fillna(by_level) if "owner" in raised else by_level
