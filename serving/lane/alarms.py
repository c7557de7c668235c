"""Alerts of the lane: the same as the night's, by the same rules, for customers whose level the events have raised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retention.acting.alerts import raise_alerts
from retention.deciding.tiers import assign
from retention.store.database import digest
from serving.access import Condition, Question
from serving.lane.risk import stronger

if TYPE_CHECKING:
    import pandas as pd

    from company.policy import Policy
    from serving.access import Grant
    from serving.lane.baseline import Baseline
    from serving.snapshot import Snapshot

_ABOUT = ("customer_id", "money_at_risk", "owner", "region", "value_tier")


@dataclass(frozen=True, kw_only=True)
class Raised:
    """A customer whose level (an index of `LEVELS`) rose, the risk, why, and when the event was received (ms)."""

    customer_id: str
    level: int
    probability: float
    main_reason: str
    why_en: str
    why_zh: str
    received_at: int


def make_alerts(
    raised: Sequence[Raised],
    *,
    night: "Baseline",
    policy: "Policy",
    snapshot: "Snapshot",
    grant: "Grant",
    load: Mapping[str, int],
) -> "pd.DataFrame":
    """Return the alerts of customers, as `retention.acting.alerts.raise_alerts` does; each level of a night is one."""
    import pandas as pd

    ids = [each.customer_id for each in raised]
    question = Question(
        relation="customers", columns=_ABOUT, where=(Condition(column="customer_id", comparison="in", value=ids),)
    )
    about = {row["customer_id"]: row for row in snapshot.ask(grant, question)}
    rows: list[dict[str, Any]] = [
        {
            **dict.fromkeys(_ABOUT), **about.get(each.customer_id, {}), "customer_id": each.customer_id,
            "as_of": night.as_of, "probability": each.probability, "score": 100 * each.probability,
            "main_reason": each.main_reason, "why_en": each.why_en, "why_zh": each.why_zh,
        }
        for each in raised
    ]  # fmt: skip
    placed = assign(pd.DataFrame(rows), policy, cutoffs=night.cutoffs, points=night.points)
    placed["level"] = [stronger(level, each.level) for level, each in zip(placed["level"], raised, strict=True)]
    alerts = raise_alerts(placed, policy, load=load)
    pairs = zip(alerts["customer_id"], alerts["level"], strict=True)
    return alerts.assign(alert_id=[digest("lane", night.as_of.isoformat(), *pair) for pair in pairs])
