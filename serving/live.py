"""Alerts that the event lane raised and no published snapshot has: from the store, confined as the snapshot."""

import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from serving.access import Comparison, Condition, Question
from serving.actor import NotFoundError

if TYPE_CHECKING:
    from serving.actor import Actor

MOST_LIVE = 500  # that are counted or listed at once
_SHOWN = (
    "alert_id", "as_of", "customer_id", "level", "score", "probability", "owner", "main_reason", "why_en", "why_zh",
    "raised_at",
)  # fmt: skip
_COMPARED: Mapping[Comparison, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "in": lambda value, among: value in among,
}  # fmt: skip


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


def find_alert(actor: "Actor", alert_id: str) -> dict[str, Any]:
    """Return an alert that the actor may see, published or live. Raises NotFoundError."""
    try:
        return actor.find("alerts", "alert_id", alert_id)
    except NotFoundError:
        live = read_live_alerts(actor, [alert_id], limit=1)
        if not live:
            raise
        return live[0]


def meets(row: Mapping[str, Any], conditions: Iterable[Condition]) -> bool:
    """Return whether a live alert meets all conditions; of what the store does not know it meets none but `is null`."""
    return all(_meets(row.get(condition.column), condition) for condition in conditions)


def _meets(value: object, condition: Condition) -> bool:
    if condition.comparison in {"is null", "is not null"}:
        return (value is None) == (condition.comparison == "is null")
    return value is not None and _COMPARED[condition.comparison](value, condition.value)
