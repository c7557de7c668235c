"""Reasons without a model: the rules that show, and how long such silences last."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from company.policy.training import RiskSignal
from ml.cold_start.rules import score_by_rules
from ml.dataset import Feature, Tabular, as_table, column
from ml.encode import numbers
from ml.explaining.contributions import SCHEMA

INACTIVITY, TENURE = "inactivity", "known_tenure_days"


def explain_rules(
    table: Tabular,
    signals: Sequence[RiskSignal],
    features: Sequence[Feature],
    *,
    chances: Mapping[str, float],
    as_of: date,
    horizon_days: int,
    at_risk: Mapping[str, float],
    silent_days: str = "recency_days",
    top: int = 3,
) -> pa.Table:
    """Return up to `top` reasons per customer as `ml.explaining.contributions` does, the heaviest rule first.

    The `features` give the reason codes. Where a customer's chance that the silence lasts `horizon_days` more is among
    the `chances`, it comes after the rules. Whoever is `at_risk`, by probability, and has neither gets the usual rate.
    `contribution` is the signal's weight, or that chance or rate.
    """
    data = as_table(table)
    codes = {feature.name: feature.reason for feature in features}
    shows = [score_by_rules(data, [signal]).column("score").to_pylist() for signal in signals]
    values = {name: _values(data, name) for name in {silent_days, *(signal.feature for signal in signals)}}
    order = sorted(range(len(signals)), key=lambda number: -signals[number].weight)
    rows: list[dict[str, Any]] = []
    for row, customer in enumerate(column(data, "customer_id").cast(pa.string()).to_pylist()):
        found = [
            _reason(
                codes.get(signals[at].feature, "other"),
                signals[at].feature,
                value=values[signals[at].feature][row],
                weight=signals[at].weight,
                texts=(signals[at].en, signals[at].zh),
            )
            for at in order
            if shows[at][row]
        ]
        if customer in chances:
            found.append(_silence(silent_days, values[silent_days][row], chances[customer], horizon_days))
        if not found and customer in at_risk:
            found.append(_usual(at_risk[customer], horizon_days))
        rows += [{"customer_id": customer, "as_of": as_of, "rank": rank, **each} for rank, each in
                 enumerate(found[:top], start=1)]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _values(data: pa.Table, name: str) -> list[float | None]:
    if name not in data.column_names:
        return [None] * data.num_rows
    return [None if np.isnan(value) else float(value) for value in numbers(name, data.column(name))]


def _silence(feature: str, days: float | None, chance: float, horizon_days: int) -> dict[str, Any]:
    en = f"no purchase for {days:.0f} days; {chance:.0%} of such silences last {horizon_days} more"
    zh = f"已 {days:.0f} 天未购买, 其中 {chance:.0%} 还会持续 {horizon_days} 天"
    return _reason(INACTIVITY, feature, value=days, weight=chance, texts=(en, zh))


def _usual(rate: float, horizon_days: int) -> dict[str, Any]:
    en = f"nothing is known that sets this customer apart; {rate:.0%} of all leave within {horizon_days} days"
    zh = f"尚无可区分该客户的信息; {horizon_days} 天内约 {rate:.0%} 的客户流失"
    return _reason("other", TENURE, value=None, weight=rate, texts=(en, zh))


def _reason(code: str, feature: str, *, value: float | None, weight: float, texts: tuple[str, str]) -> dict[str, Any]:
    found = {"reason": code, "feature": feature, "value": value, "contribution": weight}
    return {**found, "text_en": texts[0], "text_zh": texts[1]}
