"""Money and retention: churn, what was saved, spent and lost, and which strategy has which part."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serving.access import Condition, Order, Question
from serving.desk.charts import LineChart, draw_bars, draw_lines
from serving.desk.files import send_rows
from serving.desk.filters import ALL, PERIODS, describe_filters, list_values, read_period
from serving.desk.pages.today import read_names
from serving.desk.visit import Person, Visit

router = APIRouter()
MONTHS = 12
VALUE_TIERS = ("platinum", "gold", "normal")
REASONS, KEYWORDS, GROUPS = 24, 10, 10
MOST_PERIODS = 31
CELLS = ("both", "main only", "other only", "neither", "open", "not counted")


@router.get("/money")
def show(visit: Person) -> Response:
    """Show the page."""
    visit.require("money")
    money, periods = _read(visit, "money"), visit.ask(_ask_periods(visit))
    tiers = {row["name"]: row for row in money if row["scope"] == "value_tier"}
    by_strategy = {row["name"]: row for row in money if row["scope"] == "strategy"}
    names = read_names(visit, "strategies", "strategy_id")
    return visit.render(
        "money.html",
        all=next((row for row in money if row["scope"] == "all"), None),
        tiers=[tiers[name] for name in VALUE_TIERS if name in tiers],
        by_strategy=by_strategy,
        saved=draw_bars(
            (names.get(name, name), row["saved"], row["saved_low"], row["saved_high"])
            for name, row in by_strategy.items()
        ),
        retained=_draw_periods(visit, periods),
        parts_of=_list_parts(_read(visit, "attribution")),
        harms=_read(visit, "harms", Order(column="harm", descending=True)),
        losses=_read(visit, "losses"),
        goals=_read(visit, "goals"),
        lines=_read(visit, "churn_lines"),
        coming=_read(visit, "churn_forecast", Order(column="month_date")),
        periods=periods,
        options={
            "period": PERIODS,
            "strategy_id": list_values(visit, "periods", "strategy_id", without=ALL),
            "effect_group": list_values(visit, "periods", "effect_group", without=ALL),
        },
        bridge=_cross(_read(visit, "churn_bridge")),
        cells=CELLS,
        reasons=_read(
            visit,
            "churn_reasons",
            Order(column="as_of", descending=True),
            Order(column="count_customers", descending=True),
            limit=REASONS,
        ),
        keywords=_list_newest(_read(visit, "negative_keywords", Order(column="month_date", descending=True))),
        groups=_read(visit, "leaver_groups", Order(column="group_rank"), limit=GROUPS),
        names=names,
    )


@router.get("/money.csv")
def export(visit: Person) -> Response:
    """Send the results of plans by the period, the strategy and the group of the address."""
    visit.require("money")
    visit.require("export")
    question = _ask_periods(visit)
    rows = visit.ask(question)
    filters = describe_filters(question.where)
    return send_rows(visit, "periods", list(rows[0]) if rows else [], rows, detail=f"{len(rows)} periods: {filters}")


def _draw_periods(visit: Visit, periods: list[dict[str, Any]]) -> LineChart | None:
    """Return who stayed, in percent, by period: of the contacted and of the held-out."""
    names = {"retained_treated": "column.contacted", "retained_holdout": "column.held_out"}
    return draw_lines(
        {
            visit.words.text(text): [
                (row["period_start"], None if row[name] is None else 100 * row[name]) for row in periods
            ]
            for name, text in names.items()
        },
        bounds=(0, 100),
    )


def _ask_periods(visit: Visit) -> Question:
    """Return the question for the results of plans by day, week or month, of all strategies and groups or of one."""
    period = read_period(visit) or "month"
    given = {"period": period, **{name: visit.parameter(name) or ALL for name in ("strategy_id", "effect_group")}}
    where = tuple(Condition(column=name, comparison="=", value=value) for name, value in given.items())
    newest = Order(column="period_start", descending=True)
    return Question(relation="periods", where=where, order=(newest,), limit=MOST_PERIODS)


def _read(visit: Visit, relation: str, *order: Order, limit: int | None = None) -> list[dict[str, Any]]:
    return [row for row in visit.ask(Question(relation=relation, order=order, limit=limit)) if "nothing" not in row]


def _list_newest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the most frequent keywords of each language in the newest month."""
    newest = [row for row in rows if row["month_date"] == rows[0]["month_date"] and row["keyword_rank"] <= KEYWORDS]
    return sorted(newest, key=lambda row: (row["language"], row["keyword_rank"]))


def _list_parts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the parts of strategies, the largest first, and the rest, which has no name, at the end."""
    strategies = [row for row in rows if row["action_kind"] == "strategy"]
    return sorted(strategies, key=lambda row: (not row["action"], -(row["shapley"] or 0.0)))


def _cross(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per month and other definition with its cells, the newest first."""
    crossed: dict[tuple[Any, Any], dict[str, Any]] = {}
    for row in rows:
        key = (row["as_of"], row["other_definition"])
        one = crossed.setdefault(key, {"as_of": row["as_of"], "other_definition": row["other_definition"], "cells": {}})
        one["cells"][row["cell"]] = row["count_customers"]
    return sorted(crossed.values(), key=lambda row: (row["as_of"], row["other_definition"]), reverse=True)[:MONTHS]
