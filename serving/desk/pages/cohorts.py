"""How long customers stay: the survival curve, and retention by the month of joining."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serving.access import Condition, Order, Question
from serving.desk.charts import LineChart, Triangle, draw_lines, draw_triangle
from serving.desk.files import send_answer
from serving.desk.filters import ALL, list_values
from serving.desk.visit import Person, Visit

router = APIRouter()
SHOWN, MILESTONES = 13, (3, 6, 12, 24)
CURVE = ("group_name", "months", "value", "low", "high", "count_at_risk", "count_lost")
TRIANGLE = (
    "group_name", "cohort_month", "months_since", "holds_earlier", "count_joined", "count_active", "value", "low",
    "high",
)  # fmt: skip


@router.get("/cohorts")
def show(visit: Person) -> Response:
    """Show the page, of everybody or of a group."""
    visit.require("money")
    curve, cohorts = visit.ask(_ask_curve(visit)), _list_cohorts(visit.ask(_ask_cohorts(visit)))
    lifecycle = visit.desk.policy.lifecycle
    return visit.render(
        "cohorts.html",
        group=_group_of(visit),
        groups=[ALL, *list_values(visit, "cohorts", "group_name", without=ALL)],
        curve=curve,
        milestones=[row for row in curve if row["months"] in MILESTONES],
        survival=_draw_survival(visit, curve),
        cohorts=cohorts,
        triangle=_draw_triangle(visit, cohorts),
        fewest=visit.desk.policy.cohorts.minimum_customers,
        active_days=lifecycle.active_days,
        away_days=max(lifecycle.dormant_days - lifecycle.active_days, 1),
    )


@router.get("/cohorts.csv")
def export(visit: Person) -> Response:
    """Send the cohorts of everybody or of a group, of all months."""
    return _send(visit, "cohorts", TRIANGLE, _ask_cohorts(visit))


@router.get("/survival.csv")
def export_curve(visit: Person) -> Response:
    """Send the survival curve of everybody or of a group."""
    return _send(visit, "survival", CURVE, _ask_curve(visit))


def _send(visit: Visit, name: str, columns: tuple[str, ...], question: Question) -> Response:
    visit.require("money")
    visit.require("export")
    return send_answer(visit, name, columns, question, detail=f"rows of {name}: {_group_of(visit)}")


def _group_of(visit: Visit) -> str:
    return visit.parameter("group_name") or ALL


def _of_group(visit: Visit) -> tuple[Condition, ...]:
    return (Condition(column="group_name", comparison="=", value=_group_of(visit)),)


def _ask_curve(visit: Visit) -> Question:
    return Question(relation="survival", where=_of_group(visit), order=(Order(column="months"),))


def _ask_cohorts(visit: Visit) -> Question:
    order = (Order(column="cohort_month"), Order(column="months_since"))
    return Question(relation="cohorts", where=_of_group(visit), order=order)


def _list_cohorts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per month of joining with its shares by months since, the last ones, the oldest first."""
    cohorts: dict[Any, dict[str, Any]] = {}
    for row in rows:
        one = cohorts.setdefault(row["cohort_month"], {**row, "shares": {}})
        one["shares"][row["months_since"]] = row
    return list(cohorts.values())[-SHOWN:]


def _draw_survival(visit: Visit, curve: list[dict[str, Any]]) -> LineChart | None:
    """Return the curve in percent, with the band of its interval."""
    name = visit.words.text("cohorts.still")
    return draw_lines(
        {name: [(row["months"], 100 * row["value"]) for row in curve]},
        bands={name: [(row["months"], 100 * row["low"], 100 * row["high"]) for row in curve]},
        bounds=(0, 100),
    )


def _draw_triangle(visit: Visit, cohorts: list[dict[str, Any]]) -> Triangle | None:
    """Return the shares of the cohorts that are large enough; the others keep their row."""
    words = visit.words

    def describe(row: dict[str, Any]) -> str:
        between = words.text("money.between", low=words.share(row["low"]), high=words.share(row["high"]))
        return f"{words.number(row['count_active'])} / {words.number(row['count_joined'])}, {between}"

    return draw_triangle(
        (
            words.text(
                "cohorts.row_early" if cohort["holds_earlier"] else "cohorts.row",
                month=words.month(cohort["cohort_month"]),
                count=words.number(cohort["count_joined"]),
            ),
            {
                month: (row["value"], describe(row))
                for month, row in cohort["shares"].items()
                if row["value"] is not None and month < SHOWN
            },
        )
        for cohort in cohorts
    )
