"""Today: who has the most to lose, what changed since the day before, and which alerts wait."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from retention.acting.clock import ACKNOWLEDGED
from retention.store.answers import OPEN
from serving.access import Condition, Measure, Order, Question
from serving.desk.filters import COUNT, OF_CUSTOMERS, list_options, read_filters
from serving.desk.visit import Person, Visit
from serving.live import MOST_LIVE, read_live_alerts

router = APIRouter()
MOST = 5
TIERS = ("high", "medium", "low")
AT_RISK = Condition(column="alert_id", comparison="is not null")
MONEY = Measure(function="sum", name="money", column="money_at_risk")
SHOWN = (
    "position", "customer_id", "tier", "score", "money_at_risk", "main_reason_en", "main_reason_zh", "anomaly_en",
    "anomaly_zh", "why_en", "why_zh", "arm", "strategy_id", "channel", "decision_reason", "responsible", "value_tier",
    "lifecycle_stage", "recency_days",
)  # fmt: skip


@router.get("/today")
def today(visit: Person) -> Response:
    """Show the page."""
    visit.require("today")
    where = read_filters(visit, OF_CUSTOMERS)
    most = Question(relation="customers", columns=SHOWN, where=where, order=(Order(column="position"),), limit=MOST)
    return visit.render(
        "today.html",
        totals=_total(visit, where),
        most=visit.ask(most),
        changes=_find_changes(visit, where),
        levels=_count_alerts(visit, where),
        options=list_options(visit, OF_CUSTOMERS),
        strategies=read_names(visit, "strategies", "strategy_id"),
        reasons=read_names(visit, "decision_reasons", "decision_reason"),
    )


def read_names(visit: Visit, relation: str, key: str) -> dict[str, str]:
    """Return the words for the values of a key, in the person's language."""
    name = f"text_{visit.words.language}"
    return {row[key]: row[name] for row in visit.ask(Question(relation=relation, columns=(key, name)))}


def _total(visit: Visit, where: tuple[Condition, ...]) -> dict[str, Any]:
    arms = Question(relation="customers", columns=("arm",), where=where, measures=(COUNT,))
    by_arm = {row["arm"]: row["count"] for row in visit.ask(arms)}
    everybody = visit.count("customers", *where, money=MONEY)
    return {
        "customers": everybody["count"],
        "at_risk": visit.count("customers", AT_RISK, *where)["count"],
        "money": everybody["money"],
        "treated": by_arm.get("treated", 0),
        "held_out": by_arm.get("holdout", 0),
    }


def _find_changes(visit: Visit, where: tuple[Condition, ...]) -> dict[str, Any]:
    """Return how many customers moved from tier to tier, those who moved up first; the day before is None at first."""
    days = Measure(function="max", name="before", column="previous_as_of")
    before = visit.count("customers", before=days)["before"]
    tiers = ("previous_tier", "tier")
    moves = Question(relation="customers", columns=tiers, where=where, measures=(COUNT, *_money(visit)))
    rows = [row for row in visit.ask(moves) if row["tier"] and row["previous_tier"] not in {None, row["tier"]}]
    rank = {tier: place for place, tier in enumerate(TIERS)}
    rows.sort(key=lambda row: (rank.get(row["tier"], 9) - rank.get(row["previous_tier"], 9), rank.get(row["tier"], 9)))
    return {"before": before, "rows": [{"money": None, **row} for row in rows]}


def _money(visit: Visit) -> tuple[Measure, ...]:
    return (MONEY,) if visit.sees("money_at_risk") == "clear" else ()


def _count_alerts(visit: Visit, among: tuple[Condition, ...]) -> list[dict[str, Any]]:
    """Return by level how many alerts are open, overdue and taken on, with those raised since the publication."""
    alerts = visit.desk.store.alerts
    counts: dict[str, dict[str, Any]] = {}
    for state in (OPEN, "overdue", ACKNOWLEDGED):
        ids = alerts.find(state, at=visit.now)
        is_in_state, measures = Condition(column="alert_id", comparison="in", value=ids), (COUNT, *_money(visit))
        by_level = Question(relation="alerts", columns=("level",), where=(is_in_state,), among=among, measures=measures)
        for row in visit.ask(by_level):
            level = counts.setdefault(row["level"], {OPEN: 0, "overdue": 0, ACKNOWLEDGED: 0, "money": None})
            level[state] = row["count"]
            if state == OPEN:
                level["money"] = row.get("money")
        for row in () if among else read_live_alerts(visit, ids, limit=MOST_LIVE):
            level = counts.setdefault(row["level"], {OPEN: 0, "overdue": 0, ACKNOWLEDGED: 0, "money": None})
            level[state] += 1
            if state == OPEN and row.get("money_at_risk") is not None and _money(visit):
                level["money"] = float(level["money"] or 0) + float(row["money_at_risk"])
    return [{"tier": tier, **counts[tier]} for tier in TIERS if tier in counts]
