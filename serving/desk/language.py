"""The words of the desk in English and Chinese, and figures as people of either language read them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from company.taxonomy import CHANNEL_NAMES, INDICATOR_NAMES
from company.yaml_file import load_yaml
from serving.access import MASK_OF_TEXT

FILE = Path(__file__).with_name("texts.yaml")
LANGUAGES = ("en", "zh")
ABSENT = "-"
_MONEY_WITH_CENTS_BELOW, _LEAST_MONEY = 100, 0.01
_HOURS_SHOWN = 48


@cache
def read_texts() -> Mapping[str, Mapping[str, str]]:
    """Return every text by its key, in each language; channels and indicators have their names from the taxonomy."""
    texts = load_yaml(FILE)
    named = {"channel": CHANNEL_NAMES, "indicator": INDICATOR_NAMES}
    return _flatten({**texts, **{topic: {**names, **texts[topic]} for topic, names in named.items()}})


def _flatten(node: Mapping[str, Any], above: str = "") -> dict[str, Mapping[str, str]]:
    texts: dict[str, Mapping[str, str]] = {}
    for name, below in node.items():
        key = f"{above}.{name}" if above else str(name)
        texts |= {key: below} if set(below) == set(LANGUAGES) else _flatten(below, key)
    return texts


def choose_language(*wishes: str | None) -> str:
    """Return the first of the wishes that is a language of ours; a header may hold several."""
    for wish in wishes:
        for part in (wish or "").split(","):
            if part.strip()[:2].lower() in LANGUAGES:
                return part.strip()[:2].lower()
    return LANGUAGES[0]


@dataclass(frozen=True, kw_only=True)
class Words:
    """Texts and figures in one language, money in one currency, moments in one time zone."""

    language: str
    currency: str = ""
    timezone: str = "UTC"

    def text(self, key: str, **values: object) -> str:
        """Return a text with its values filled in; raises KeyError for a key that no text has."""
        return read_texts()[key][self.language].format(**values)

    def word(self, topic: str, value: object) -> str:
        """Return the word for a value of a topic such as `tier`; the value itself where there is none."""
        if value is None:
            return ABSENT
        texts = read_texts().get(f"{topic}.{value}")
        return texts[self.language] if texts else str(value)

    def group(self, name: str) -> str:
        """Return the name of a group of customers, `all`, `everybody` or `<column>: <value>`, as people read it."""
        column, _, value = name.partition(": ")
        if not value:
            return self.word("group", name)
        return f"{self.word('field', column)}: {self.show(column, value)}"

    def money(self, value: float | None) -> str:
        """Return an amount with its currency; cents only of small ones."""
        if value is None:
            return ABSENT
        cents = 2 if abs(value) < _MONEY_WITH_CENTS_BELOW and value % 1 else 0
        if 0 < value < _LEAST_MONEY:
            return f"< {_LEAST_MONEY} {self.currency}"
        return f"{value:,.{cents}f} {self.currency}"

    def number(self, value: float | None, digits: int = 0) -> str:
        """Return a number with separators of thousands."""
        return ABSENT if value is None else f"{value:z,.{digits}f}"  # z: a rounded nothing has no sign

    def share(self, value: float | None) -> str:
        """Return a share as a percentage."""
        return ABSENT if value is None else f"{value:z.0%}"

    def driver(self, name: str, value: float) -> str:
        """Return the figure of a driver of value: an amount, a share or a number."""
        if name in {"fee", "basket", "cost_to_serve"}:
            return self.money(value)
        return self.share(value) if name == "discount" else self.number(value, 1)

    def month(self, value: date | None) -> str:
        """Return the month of a day."""
        return ABSENT if value is None else value.isoformat()[:7]

    def day(self, value: date | None) -> str:
        """Return a day."""
        return ABSENT if value is None else value.isoformat()[:10]

    def moment(self, value: datetime | None) -> str:
        """Return a moment on the company's clock; one without a zone is in UTC."""
        if value is None:
            return ABSENT
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(ZoneInfo(self.timezone)).strftime("%Y-%m-%d %H:%M")

    def distance(self, value: datetime, *, now: datetime) -> str:
        """Return how far a moment lies ahead or behind, in hours or days."""
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        hours = (aware - now).total_seconds() / 3600
        direction = "time.ahead" if hours >= 0 else "time.behind"
        unit, count = ("hours", abs(hours)) if abs(hours) < _HOURS_SHOWN else ("days", abs(hours) / 24)
        if unit == "hours" and count < 1:
            unit, count = "minutes", count * 60
        return self.text(direction, distance=self.text(f"time.{unit}", count=f"{count:,.0f}"))

    def show(self, name: str, value: Any) -> str:  # noqa: ANN401 - a cell of any column
        """Return a cell as its field is shown."""
        if value is None:
            return ABSENT
        if value == MASK_OF_TEXT:
            return MASK_OF_TEXT
        kind = KINDS.get(name)
        if kind in _TOPICS:
            return self.word(kind, value)
        return self._show_other(kind, value)

    def _show_other(self, kind: str | None, value: Any) -> str:  # noqa: ANN401 - a cell of any column
        if isinstance(value, bool):
            return self.text("yes" if value else "no")
        if isinstance(value, datetime):
            return self.moment(value)
        if isinstance(value, date):
            return self.day(value)
        return self._figure(kind, value) if isinstance(value, int | float) else str(value)

    def _figure(self, kind: str | None, value: float) -> str:
        if kind == "money":
            return self.money(value)
        if kind == "share":
            return self.share(value)
        return self.number(value, 0 if float(value).is_integer() else 1)


KINDS = {
    **dict.fromkeys(("value_from_now", "money_at_risk", "cost", "expected_value", "acquisition_cost"), "money"),
    **dict.fromkeys(("amount_spent_quarter", "amount_spent_quarter_before", "amount_spent_year"), "money"),
    **dict.fromkeys(("amount_spent_total", "amount_discount_year", "amount_monthly"), "money"),
    **dict.fromkeys(("expected_revenue", "median_revenue", "revenue_low", "revenue_high"), "money"),
    "cross_sell_potential": "money",
    "forecast_margin": "money",
    **dict.fromkeys(("probability", "share_discount_year", "basket_rank", "propensity", "loss_probability"), "share"),
    "tier": "tier",
    "previous_tier": "tier",
    "lifecycle_stage": "stage",
    "lifecycle_phase": "phase",
    "cluster_kind": "cluster",
    "word_of_mouth": "word_of_mouth",
    "favourite_channel": "channel",
    "amount_overdue": "money",
    "amount_saved_by_referrals": "money",
    "share_touches_opened_quarter": "share",
    "value_tier": "value_tier",
    "arm": "arm",
    "level": "tier",
    "alert_level": "tier",
    "value_trend": "trend",
    "clv_verdict": "verdict",
    "channel": "channel",
    "value_driver": "driver",
    "kind": "kind",
    "responsible": "owner",
    "negative_about": "domain",
    "main_reason": "reason",
    "reason": "reason",
}
_TOPICS = {
    "tier", "stage", "phase", "cluster", "word_of_mouth", "value_tier", "arm", "trend", "verdict", "channel", "driver",
    "kind", "domain", "owner", "reason",
}  # fmt: skip
