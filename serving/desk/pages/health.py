"""Model and data health: accuracy next to its baselines, drift, gates, rows left out, and where to look further."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serving.access import Condition, Order, Question
from serving.desk.charts import draw_lines
from serving.desk.files import send_rows
from serving.desk.visit import InvalidRequestError, Person

router = APIRouter()
NEWEST = Order(column="as_of", descending=True)
NEWEST_WEEK = Order(column="first_date", descending=True)
MONTHS = 12
MOST_TRENDS, STEPS, WEEKS = 20, 3, 4
OF_GROUPS = ("trends", "funnel", "drops")
TABLES = {
    "performance": Question(relation="performance", order=(NEWEST,), limit=MONTHS),
    "drift": Question(relation="drift", order=(NEWEST,), limit=MONTHS),
    "gates": Question(relation="gate_verdicts", order=(Order(column="judged_at"),)),
    "trends": Question(
        relation="trends",
        where=(Condition(column="is_change", comparison="=", value=True),),
        order=(Order(column="q_value"), Order(column="indicator"), Order(column="group_name")),
        limit=MOST_TRENDS,
    ),
    "funnel": Question(
        relation="funnel",
        where=(Condition(column="group_name", comparison="=", value="everybody"),),
        order=(NEWEST_WEEK, Order(column="step_number")),
        limit=STEPS * WEEKS,
    ),
    "drops": Question(
        relation="funnel",
        where=(Condition(column="is_drop", comparison="=", value=True),),
        order=(Order(column="q_value"),),
    ),
    "reconciliation": Question(relation="reconciliation", order=(Order(column="source"), Order(column="table_name"))),
}


@router.get("/health")
def show(visit: Person) -> Response:
    """Show the page."""
    visit.require("health")
    hidden = () if visit.sees("group_name") == "clear" else OF_GROUPS
    tables: dict[str, Any] = {name: [] if name in hidden else visit.ask(asked) for name, asked in TABLES.items()}
    performance, words = tables["performance"], visit.words
    lines = {
        name: [(row["as_of"], row.get(column)) for row in performance]
        for name, column in {"AUC": "auc", words.text("health.recency"): "auc_recency_alone"}.items()
    }
    return visit.render(
        "health.html",
        lane=visit.desk.store.lane.read(),
        nights=_read_last_night(visit),
        silent_after=visit.desk.policy.lane.silent_after_seconds,
        links=visit.desk.links,
        chart=draw_lines(lines, bounds=(0.5, 1)),
        **tables,
    )


def _read_last_night(visit: Person) -> list[dict[str, Any]]:
    """Return how whom the lane had raised or lowered compares with the night that came last."""
    nights = visit.desk.store.lane.read_nights()
    last = nights.loc[(nights["as_of"] == nights["as_of"].max()) & (nights["group_name"] != "unmoved")]
    return [{str(name): value for name, value in row.items()} for row in last.to_dict("records")]


@router.get("/health.csv")
def export(visit: Person, table: str = "performance") -> Response:
    """Send one of the page's tables as CSV."""
    visit.require("health")
    visit.require("export")
    if table not in TABLES:
        raise InvalidRequestError("There is no such table of health.")
    rows = visit.ask(TABLES[table])
    columns = [name for name in rows[0] if name != "nothing"] if rows else []
    return send_rows(visit, f"health-{table}", columns, rows, detail=f"{len(rows)} rows of health: {table}")
