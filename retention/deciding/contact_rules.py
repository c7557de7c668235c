"""Contact caps: who has had as many messages as the policy allows, ours and the company's own campaigns together."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

    import pandas as pd

    from company.policy import Policy

WINDOWS = {"day": 1, "week": 7, "month": 30}  # the caps of the policy, and the rolling days that each looks back


def find_capped(candidates: "pd.DataFrame", sent: "pd.DataFrame", policy: "Policy") -> set[str]:
    """Return the customers who may get no further marketing message at the moment.

    Args:
        candidates: columns customer_id, as_of and contacts_1d, contacts_7d, contacts_30d: what the company's own
            campaigns sent within so many days.
        sent: what Holdfast assigned to customers before: columns customer_id and as_of, a row per message.
        policy: gives the caps.

    A plan sends at most one message to a customer; the caps leave room for it, or the customer waits.
    """
    is_capped = candidates["customer_id"].isna()
    age = (_read_days(candidates["as_of"]).max() - _read_days(sent["as_of"])).dt.days
    for name, days in WINDOWS.items():
        own = sent.loc[(age > 0) & (age <= days), "customer_id"].value_counts()
        contacts = candidates[f"contacts_{days}d"] + candidates["customer_id"].map(own).fillna(0)
        is_capped |= contacts >= getattr(policy.contact_rules.caps, name)
    return set(candidates.loc[is_capped, "customer_id"])


def _read_days(days: "pd.Series[date]") -> "pd.Series[pd.Timestamp]":
    import pandas as pd

    return pd.to_datetime(days)
