"""Exploration: planned customers who get an option drawn at random, and how likely each of their options was."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retention.deciding.allocation import NOTHING, ROUNDING, Bools, Floats, Ints, Limit


@dataclass(frozen=True, kw_only=True)
class Lottery:
    """What the draw gives each row if the plan chooses it.

    `rates` holds, for rows x columns, the probability that exploration draws the column, `nothing` that it draws no
    option; `drawn` the column that was drawn, NOTHING for no option; `is_drawn` which rows explore at all.
    """

    rates: Floats
    nothing: Floats
    drawn: Ints
    is_drawn: Bools


def hold_lottery(options: Bools, planned: Bools, places: Floats, limits: Sequence[Limit], *, share: float) -> Lottery:
    """Draw for the `planned` rows: with probability `share` one of the row's options or nothing, each as likely.

    Args:
        options: rows x columns, what each row could get.
        planned: rows that take part.
        places: a fixed number between 0 and 1 for each row, uniform over rows; it decides the draw.
        limits: what exploration may use its share of. The rates of the options that use a limit are lowered alike until
            no more than `share` of it is used on average; what is taken off stays with the planned option.
        share: the probability of exploring.
    """
    rates = share * np.divide(options, 1 + options.sum(axis=1, keepdims=True)) * planned[:, None]
    nothing = np.where(planned, share / (1 + options.sum(axis=1)), 0.0)
    rates *= _thinning(rates, limits, share=share)
    drawn, is_drawn = _draw(rates, nothing, places)
    is_drawn &= _fits(drawn, is_drawn, places, limits)
    return Lottery(rates=rates, nothing=nothing, drawn=np.where(is_drawn, drawn, NOTHING), is_drawn=is_drawn)


def _thinning(rates: Floats, limits: Sequence[Limit], *, share: float) -> Floats:
    factor = np.ones(rates.shape[1])
    expected = rates.sum(axis=0)
    for limit in limits:
        wanted = limit.uses @ expected if limit.uses.ndim == 1 else np.vdot(limit.uses, rates)
        if wanted > share * limit.amount:
            is_using = limit.uses > 0 if limit.uses.ndim == 1 else (limit.uses > 0).any(axis=0)
            factor = np.where(is_using, np.minimum(factor, share * limit.amount / wanted), factor)
    return factor


def _draw(rates: Floats, nothing: Floats, places: Floats) -> tuple[Ints, Bools]:
    """Return the column whose stretch of the cumulated rates a row's place lies in; nothing comes first."""
    ends = np.column_stack([nothing, nothing[:, None] + np.cumsum(rates, axis=1)])
    column = (places[:, None] >= ends).sum(axis=1) - 1
    is_drawn = places < ends[:, -1]
    return np.where(is_drawn, column, NOTHING).astype(np.int64), is_drawn


def _fits(drawn: Ints, is_drawn: Bools, places: Floats, limits: Sequence[Limit]) -> Bools:
    """Tell which draws the limits have room for: all, but where a limit is tiny and chance went against it."""
    fits = np.ones(len(drawn), dtype=bool)
    rows = np.flatnonzero(is_drawn & (drawn != NOTHING))
    rows = rows[np.argsort(places[rows], kind="stable")]
    for limit in limits:
        uses = limit.uses[drawn[rows]] if limit.uses.ndim == 1 else limit.uses[rows, drawn[rows]]
        fits[rows] &= np.cumsum(uses) <= limit.amount * (1 + ROUNDING)
    return fits


def write_propensities(
    lottery: Lottery, strategies: Sequence[str], planned: Ints, *, holdout_share: float
) -> list[dict[str, float]]:
    """Return, for each row with a planned column, the probability of each strategy, and of nothing under ``""``."""
    described: list[dict[str, float]] = []
    for rates, nothing, column in zip(lottery.rates, lottery.nothing, planned, strict=True):
        if column == NOTHING:
            described.append({})
            continue
        treated = 1 - holdout_share
        chances = {"": holdout_share + treated * float(nothing)}
        for place in np.flatnonzero(rates).tolist():
            chances[strategies[place]] = chances.get(strategies[place], 0.0) + treated * float(rates[place])
        rest = treated * (1 - float(nothing) - float(rates.sum()))
        chances[strategies[column]] = chances.get(strategies[column], 0.0) + rest
        described.append(chances)
    return described


def as_text(chances: dict[str, float]) -> str | None:
    """Return propensities as JSON, None where there are none."""
    rounded = {name: round(chance, 9) for name, chance in sorted(chances.items())}
    return json.dumps(rounded, ensure_ascii=False) if rounded else None
