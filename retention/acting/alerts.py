"""Alerts: who is about to leave, why, who answers, and until when; the most money at risk first."""

from datetime import date
from hashlib import sha256
from typing import TYPE_CHECKING

from company.policy.units import LEVELS
from company.taxonomy import NO_REASON
from retention.acting.owners import assign_owners
from retention.deciding.tiers import NONE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    import pandas as pd

    from company.policy import Policy
    from company.policy.units import Level

COLUMNS = (
    "alert_id", "customer_id", "as_of", "rank", "level", "tier", "alert_level", "score", "probability",
    "money_at_risk", "priority", "owner", "respond_within_hours", "main_reason", "why_en", "why_zh",
)  # fmt: skip


def raise_alerts(
    scores: "pd.DataFrame",
    policy: "Policy",
    *,
    load: "Mapping[str, int] | None" = None,
    second_reasons: "AbstractSet[tuple[str, str]]" = frozenset(),
) -> "pd.DataFrame":
    """Return one alert per customer whose level the policy acts on, ordered by money at risk.

    Where the policy asks for confirmation, a customer without any reason that holds is left out; where users' feedback
    asks for more, one with a single reason. A customer of the population whose days no longer look like their own is
    alerted at `anomaly.alert_level` where the score alone alerts nobody, and what changed is the first of the reasons.

    Args:
        scores: output of `tiers.assign` with customer_id, as_of, probability, score, main_reason, why_en, why_zh
            (the reasons in words), money_at_risk, in the company's currency (may be missing for a customer)
            and, where the company has it, owner, region and value_tier, and where anomalies are looked for,
            anomaly_reason, anomaly_en and anomaly_zh, which are missing for who did not change.
        policy: gives the team, its members and the working hours to the first answer per level.
        load: how many unfinished alerts each owner has already.
        second_reasons: levels and main reasons whose alerts need another reason as well, in the column reasons.

    Returns:
        `COLUMNS`, customers of unknown value last. alert_id is the same whenever the same customer is alerted for the
        same as_of.
    """
    scores = _heed_anomalies(scores, policy.anomaly.alert_level)
    has_reason = scores["main_reason"].notna() & (scores["main_reason"] != NO_REASON)
    unconfirmed = scores["level"].isin(policy.cutoffs.confirm) & ~has_reason | _lacks_second(scores, second_reasons)
    raised = scores.loc[(scores["level"] != NONE) & ~unconfirmed].copy()
    responses = policy.responses
    for field in ("priority", "respond_within_hours"):
        raised[field] = raised["level"].map({level: getattr(getattr(responses, level), field) for level in LEVELS})
    raised["money_at_risk"] = raised["money_at_risk"].astype(float)
    raised["alert_id"] = [
        alert_id(as_of, customer_id) for as_of, customer_id in zip(raised["as_of"], raised["customer_id"], strict=True)
    ]
    ordered = raised.sort_values(
        ["money_at_risk", "score", "customer_id"], ascending=[False, False, True], ignore_index=True
    )
    ordered["rank"] = range(1, len(ordered) + 1)
    ordered["owner"] = _assign(ordered, policy, load=load or {})
    return ordered[list(COLUMNS)]


def _heed_anomalies(scores: "pd.DataFrame", level: "Level | None") -> "pd.DataFrame":
    """Return scores in which who changed has a reason for it, and a level where the score gave none."""
    if level is None or "anomaly_reason" not in scores:
        return scores
    found = scores.copy()
    changed = found["anomaly_reason"].notna() & found["probability"].notna()
    found.loc[changed & (found["level"] == NONE), "level"] = level
    lacks_reason = changed & (found["main_reason"].isna() | (found["main_reason"] == NO_REASON))
    found.loc[lacks_reason, "main_reason"] = found["anomaly_reason"]
    for language, between in (("en", "; "), ("zh", "\uff1b")):
        why = found[f"why_{language}"]
        rest = (between + why).where(why.notna() & ~lacks_reason, "")
        found.loc[changed, f"why_{language}"] = found[f"anomaly_{language}"] + rest
    return found


def _lacks_second(scores: "pd.DataFrame", second_reasons: "AbstractSet[tuple[str, str]]") -> "pd.Series[bool]":
    """Return whose alert needs a second reason and has none."""
    import pandas as pd

    if not second_reasons:
        return pd.Series(data=False, index=scores.index)
    needs = pd.MultiIndex.from_frame(scores[["level", "main_reason"]]).isin(list(second_reasons))
    return pd.Series(needs, index=scores.index) & ~scores["reasons"].fillna("").str.contains(",")


def alert_id(as_of: object, customer_id: str) -> str:
    """Return the alert's id, 32 hexadecimal digits made from what identifies it."""
    return sha256(f"alert|{str(as_of)[:10]}|{customer_id}".encode()).hexdigest()[:32]


def _assign(ordered: "pd.DataFrame", policy: "Policy", *, load: "Mapping[str, int]") -> list[str]:
    """Return the owners, the most urgent alerts being given first."""
    known = [name for name in ("level", "owner", "region", "value_tier", "main_reason") if name in ordered]
    urgent = ordered.sort_values("priority", kind="stable")
    day = max(ordered["as_of"], default=None)
    owners = assign_owners(urgent[known].to_dict("records"), policy, load=load, day=as_date(day)) if day else []
    by_row = dict(zip(urgent.index, owners, strict=True))
    return [by_row[row] for row in ordered.index]


def as_date(day: object) -> date:
    """Return a day of a data frame as a date."""
    return date.fromisoformat(str(day)[:10])
