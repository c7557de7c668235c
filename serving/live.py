"""Alerts that the event lane raised and no published snapshot has: from the store, confined as the snapshot."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from serving.access import Condition, Question

if TYPE_CHECKING:
    from serving.actor import Actor

_SHOWN = ("alert_id", "customer_id", "level", "owner", "why_en", "why_zh", "raised_at")


def read_live_alerts(actor: "Actor", alert_ids: Collection[str], *, limit: int) -> list[dict[str, Any]]:
    """Return the newest of those alerts whose customers the actor may see, with the fields that they see clear.

    An actor who does not see which customer an alert is about sees none.
    """
    if actor.sees("customer_id") != "clear":
        return []
    among = Condition(column="alert_id", comparison="in", value=list(alert_ids))
    published = {
        row["alert_id"] for row in actor.ask(Question(relation="alerts", columns=("alert_id",), where=(among,)))
    }
    rows = actor.desk.store.alerts.read_newest(set(alert_ids) - published, limit=limit)
    customers = Condition(column="customer_id", comparison="in", value=[row["customer_id"] for row in rows])
    columns = ("customer_id", "money_at_risk")
    visible = {
        row["customer_id"]: row
        for row in actor.ask(Question(relation="customers", columns=columns, where=(customers,)))
    }
    return [
        {name: row[name] for name in _SHOWN if name == "raised_at" or actor.sees(name) == "clear"}
        | visible[row["customer_id"]]
        for row in rows
        if row["customer_id"] in visible
    ]
