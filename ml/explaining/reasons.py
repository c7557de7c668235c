"""Probability and reasons without a model: the rules that show, and how long such silences last."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from company.policy.training import RiskSignal
from ml.cold_start.rules import score_by_rules
from ml.dataset import Feature, Floats, Tabular, as_table, column
from ml.encode import numbers
from ml.explaining.contributions import SCHEMA

INACTIVITY = "inactivity"


def join_chances(survival: Floats, rules: Floats, lasting: Floats, *, weight: float, otherwise: float) -> Floats:
    """Return one probability per customer (n) from what is known of it.

    Args:
        survival: the chance that the silence lasts (n), NaN where it is not known.
        rules: the share of the rules' weight that shows (n), NaN where none is known.
        lasting: how many silences are known to have lasted as long (n): what `survival` rests on.
        weight: how many silences the rules count for; few long silences leave the probability to them.
        otherwise: what holds where nothing is known.
    """
    known = np.where(np.isnan(survival), 0.0, lasting)
    ruled = np.where(np.isnan(rules), 0.0, weight)
    total = known + ruled
    weighted = known * np.nan_to_num(survival) + ruled * np.nan_to_num(rules)
    found: Floats = np.divide(weighted, total, out=np.full(len(total), otherwise), where=total > 0)
    return found


def count_lasting(table: Tabular, silent: str, ended: Sequence[str]) -> Floats:
    """Return for each customer (n) how many silences, present or ended, have lasted as long as the present one."""
    data = as_table(table)
    if silent not in data.column_names:
        return np.zeros(data.num_rows)
    present = numbers(silent, data.column(silent))
    over = [numbers(name, data.column(name)) for name in ended if name in data.column_names]
    lengths = np.concatenate([present, *over])
    lengths = np.sort(lengths[~np.isnan(lengths)])
    found: Floats = len(lengths) - np.searchsorted(lengths, np.nan_to_num(present), side="left").astype(float)
    return np.where(np.isnan(present), 0.0, found)


def explain_rules(
    table: Tabular,
    signals: Sequence[RiskSignal],
    features: Sequence[Feature],
    *,
    chances: Mapping[str, float],
    as_of: date,
    horizon_days: int,
    silent_days: str = "recency_days",
    top: int = 3,
) -> pa.Table:
    """Return up to `top` reasons per customer as `ml.explaining.contributions` does, the heaviest rule first.

    The `features` give the reason codes. Where a customer's chance that the silence lasts `horizon_days` more is among
    the `chances`, it comes after the rules. `contribution` is the signal's weight, or that chance.
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


def _reason(code: str, feature: str, *, value: float | None, weight: float, texts: tuple[str, str]) -> dict[str, Any]:
    found = {"reason": code, "feature": feature, "value": value, "contribution": weight}
    return {**found, "text_en": texts[0], "text_zh": texts[1]}
