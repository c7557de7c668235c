"""Feature rows as models read them: the declared features, and the group that may have a model of its own."""

from collections.abc import Mapping

from ml.dataset import Feature

GROUP = "customer_group"
GROUP_WORDS = Feature(
    GROUP, "lifecycle", "", "other", "belongs to a group of its own: {value}", "属于单独建模的客群: {value}"
)


def select_rows(groups: Mapping[str, str]) -> str:
    """Return the query for everybody who can be scored, of all snapshots: features, and the group of the policy.

    The condition that holds first names a customer's group; null is no group. What is asked of a group, and of its
    share of a snapshot, is asked of the figures as of that day.
    """
    cases = " ".join(f"when {condition} then {_quote(name)}" for name, condition in groups.items())
    group = f"case {cases} end" if cases else "cast(null as varchar)"
    return f"""
        select snapshots.*, {group} as {GROUP}
        from features.customer_features as snapshots
        left join (select customer_id, kind from customer_360.customers) as customers using (customer_id)
        where snapshots.is_eligible
    """


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
