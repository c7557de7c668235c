"""A customer: who, how the score moved, why, what they are worth, what is done or not and why, and what people did."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from retention.deciding.plan_overrides import KINDS
from retention.store.answers import FEEDBACK, UNFINISHED
from serving.deadlines import read_deadlines
from serving.delivery import list_messages_of
from serving.desk.charts import LineChart, draw_lines
from serving.desk.pages.alerts import SNOOZE_DAYS
from serving.desk.pages.today import read_names
from serving.desk.visit import Person, Visit
from serving.overrides import read_override

router = APIRouter()
ENTRIES = 20
PARTS = {
    "who": (
        "kind", "level", "city", "region", "age_band", "income_band", "household", "acquisition_channel", "responsible",
        "cluster_en", "cluster_zh", "preference", "favourite_channel", "favourite_department", "consented_channels",
        "word_of_mouth", "count_referrals_year", "tags", "run_tags",
    ),
    "value": ("value_from_now", "value_tier", "clv_verdict", "amount_spent_year", "amount_monthly"),
    "purchases": (
        "lifecycle_stage", "lifecycle_phase", "recency_days", "tenure_days", "count_orders_quarter",
        "count_orders_year", "amount_spent_quarter", "amount_spent_quarter_before", "value_trend",
        "count_subscriptions", "rfm_grade",
    ),
    "service": (
        "count_tickets_half_year", "count_complaints_half_year", "count_open_complaints",
        "mean_satisfaction_half_year", "mean_rating_year", "count_texts_half_year", "count_negative_texts_half_year",
        "negative_about",
    ),
    "touch": (
        "contacts_30d", "count_touches_quarter", "share_touches_opened_quarter", "count_visit_days_month",
        "count_usage_days_month",
    ),
    "dealings": (
        "count_late_payments_year", "amount_overdue", "count_late_deliveries_quarter", "count_stockouts_quarter",
    ),
}  # fmt: skip
_NAMED = (
    "customer_id", "tier", "score", "money_at_risk", "allowed_channels", "stated_reason", "stated_date", "anomaly_en",
    "anomaly_zh",
)  # fmt: skip
# what the page shows and no more: each column costs a look-up of its own
SHOWN = {
    "customers": tuple(dict.fromkeys((*_NAMED, *(name for names in PARTS.values() for name in names)))),
    "alerts": ("alert_id", "as_of", "level", "why_en", "why_zh"),
    "plans": (
        "arm", "strategy_id", "channel", "decision_reason", "cost", "expected_value", "best_rejected",
        "rejected_because",
    ),
    "reasons": ("rank", "reason", "text_en", "text_zh"),
    "scores": ("as_of", "score"),
    "forecasts": (
        "horizon_months", "expected_revenue", "median_revenue", "revenue_low", "revenue_high", "expected_orders",
    ),
}  # fmt: skip


@router.get("/customers/{customer_id:path}")
def show(visit: Person, customer_id: str) -> Response:
    """Show the page; that it was opened stands in the audit log."""
    return show_customer(visit, customer_id)


def show_customer(visit: Visit, customer_id: str, *, contact: Mapping[str, str] | None = None) -> Response:
    """Return the page, with clear contact data where somebody asked for it."""
    visit.require("customer")
    row = visit.find("customers", "customer_id", customer_id, columns=SHOWN["customers"])
    visit.record_view(customer_id)
    ask = partial(_ask, visit, customer_id)
    scores, alerts = ask("scores", by="as_of"), ask("alerts", by="as_of", is_descending=True)
    states = visit.desk.store.alerts.states([row["alert_id"] for row in alerts])
    alerts = [row for row in alerts if row["alert_id"] in states]
    unfinished = [alert_id for alert_id, state in states.items() if state["state"] in UNFINISHED]
    if unfinished and visit.sees("responsible") == "clear":
        row["responsible"] = states[unfinished[0]]["owner"]
    messages = list_messages_of(visit, customer_id)
    return visit.render(
        "customer.html",
        row=row,
        parts_of={
            part: [name for name in names if _is_shown(row, name, language=visit.words.language)]
            for part, names in PARTS.items()
        },
        scores=scores,
        chart=_draw_scores(visit, scores, alerts, messages),
        messages=messages,
        reasons=ask("reasons", by="rank"),
        drivers=ask("value_drivers", by="driver_rank") if visit.sees("contribution") == "clear" else [],
        families=ask("families"),
        plan=next(iter(ask("plans")), None),
        purchase=next(iter(ask("next_purchases")), None),
        forecasts=ask("forecasts", by="horizon_months"),
        strategies=read_names(visit, "strategies", "strategy_id"),
        tags=read_names(visit, "tags", "tag"),
        decision_reasons=read_names(visit, "decision_reasons", "decision_reason"),
        alerts=alerts,
        states=states,
        deadlines=read_deadlines(visit, visit.desk.store.alerts, unfinished),
        events=visit.desk.store.alerts.read_events(list(states)),
        audit=_read_audit(visit, customer_id),
        override=read_override(visit, customer_id),
        override_kinds=KINDS,
        contact=contact,
        snooze_days=SNOOZE_DAYS,
        feedback=FEEDBACK,
    )


def _ask(
    visit: Visit, customer_id: str, relation: str, *, by: str = "", is_descending: bool = False
) -> list[dict[str, Any]]:
    columns = SHOWN.get(relation, ())
    return visit.ask_of(customer_id, relation, columns=columns, by=by, is_descending=is_descending)


def _is_shown(row: dict[str, Any], name: str, *, language: str) -> bool:
    """Return whether a field is known, no contract's of a customer without one, and no name in the other language."""
    if name in {"cluster_en", "cluster_zh"} and name != f"cluster_{language}":
        return False
    of_contracts = name in {"amount_monthly", "count_subscriptions"}
    return row.get(name) not in {None, ""} and (not of_contracts or bool(row.get("count_subscriptions")))


def _draw_scores(
    visit: Visit, scores: list[dict[str, Any]], alerts: list[dict[str, Any]], messages: list[dict[str, Any]]
) -> LineChart | None:
    """Return the score over time with the days of alerts and messages; None where there is one day."""
    raised = [(row["as_of"], "alert", visit.words.day(row["as_of"])) for row in alerts]
    left = [(row["left_on"], "message", visit.words.day(row["left_on"])) for row in messages if row["left_on"]]
    points = [(row["as_of"], row["score"]) for row in scores]
    return draw_lines({visit.words.text("customer.score"): points}, events=[*raised, *left], bounds=(0, 100))


def _read_audit(visit: Visit, customer_id: str) -> list[Any] | None:
    if not visit.may("audit"):
        return None
    return list(visit.desk.audit.read(customer_id=customer_id, without="view", limit=ENTRIES))
