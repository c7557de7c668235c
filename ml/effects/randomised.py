"""Decisions whose probabilities are known, as arrays: who got what, who could have got what, and who stayed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NOTHING = ""
TREATED = "treated"
SEED = 20170101
MEASURES = ("probability", "money_at_risk")


@dataclass(frozen=True, kw_only=True)
class Randomised:
    """Rows of randomised decisions.

    `actions` begins with NOTHING; `given` is the place of what a row got, `chances` rows x actions, 0 where an action
    was impossible; `fits` the same, which share of its effect an action has for the row; `stayed` is 1 or 0; `features`
    what was known at the decision; `groups` names the group of each row, `customers` numbers the customers;
    `probability` is that of leaving as predicted at the decision, missing of who was not scored; `money` is what was at
    stake if nothing is done, `value` what a customer who stays brings, in currency.
    """

    actions: tuple[str, ...]
    given: Ints
    chances: Floats
    fits: Floats
    stayed: Floats
    features: Floats
    groups: npt.NDArray[np.object_]
    customers: Ints
    probability: Floats
    money: Floats
    value: Floats

    def take(self, rows: npt.NDArray[np.bool_] | Ints) -> "Randomised":
        """Return some of the rows."""
        arrays = (
            "given", "chances", "fits", "stayed", "features", "groups", "customers", "probability", "money", "value",
        )  # fmt: skip
        return Randomised(actions=self.actions, **{name: getattr(self, name)[rows] for name in arrays})


def read_randomised(
    decisions: "pd.DataFrame",
    *,
    kept_share: float = 1.0,
    felt: Floats | float = 1.0,
    fits: Mapping[str, Mapping[str, float]] | None = None,
) -> Randomised:
    """Return the matured decisions with known probabilities.

    Args:
        decisions: customer_id, arm, strategy_id, propensities (JSON of strategy: probability, "" for nothing),
            effect_group, main_reason, probability, money_at_risk, value_from_now, churned (missing where not matured,
            and of who was no customer), retained (whether they are one in the end: of who was none, came back).
        kept_share: which share of the money at risk keeping a customer really saves.
        felt: by row the windows' worth of an effect, which the money counts as well.
        fits: by strategy and main reason, which share of its effect a strategy has; 1 where there is none.
    """
    import pandas as pd

    decisions = decisions.assign(felt=felt, stayed=_stayed(decisions))
    rows = decisions.loc[decisions["propensities"].notna() & decisions["stayed"].notna()].reset_index(drop=True)
    given = rows["strategy_id"].where(rows["arm"].eq(TREATED), NOTHING).fillna(NOTHING).astype(str)
    chances = pd.DataFrame([json.loads(text) for text in rows["propensities"]], index=rows.index).fillna(0.0)
    actions = (NOTHING, *sorted(name for name in chances.columns if name != NOTHING))
    chances = chances.reindex(columns=list(actions), fill_value=0.0).astype(float)
    place = {action: number for number, action in enumerate(actions)}
    probability, money = (np.asarray(rows[name].astype(float).fillna(0.0), dtype=np.float64) for name in MEASURES)
    money = money * kept_share * rows["felt"].to_numpy(dtype=float)
    groups = rows["effect_group"].astype(object).to_numpy()
    return Randomised(
        actions=actions,
        given=np.array([place[action] for action in given], dtype=np.int64),
        chances=chances.to_numpy(dtype=float),
        fits=_fits(actions, rows["main_reason"], fits) if fits else np.ones(chances.shape),
        stayed=rows["stayed"].to_numpy(dtype=float),
        features=_features(probability, money, groups),
        groups=groups,
        customers=pd.factorize(rows["customer_id"])[0].astype(np.int64),
        probability=np.asarray(rows["probability"].astype(float), dtype=np.float64),
        money=money,
        value=np.divide(money, probability, out=kept_share * _value(rows), where=probability > 0),
    )


def _stayed(decisions: "pd.DataFrame") -> "pd.Series[float]":
    """Return 1 for who stayed or, not being scored, came back, and 0 for who did not; missing where it is not known."""
    stayed = 1.0 - decisions["churned"].astype(float)
    came_back = decisions["retained"].astype(float).where(decisions["probability"].isna())
    return stayed.fillna(came_back)


def _value(rows: "pd.DataFrame") -> Floats:
    """Return what a customer is worth who comes back, 0 where nothing is known of it."""
    return np.asarray(rows["value_from_now"].astype(float).clip(lower=0).fillna(0.0), dtype=np.float64)


def _fits(actions: tuple[str, ...], reasons: "pd.Series[str]", fits: Mapping[str, Mapping[str, float]]) -> Floats:
    columns = [reasons.astype(object).map(fits.get(action, {})).astype(float).fillna(1.0) for action in actions]
    return np.column_stack(columns)


def _features(probability: Floats, money: Floats, groups: npt.NDArray[np.object_]) -> Floats:
    """Return log-odds of leaving, the log of the money at stake and the groups as indicators, all of one scale."""
    clipped = np.clip(probability, 1e-4, 1 - 1e-4)
    numbers = np.column_stack([np.log(clipped / (1 - clipped)), np.log1p(np.maximum(money, 0.0))])
    spread = numbers.std(axis=0) if len(numbers) else np.ones(2)
    numbers = (numbers - numbers.mean(axis=0)) / np.where(spread > 0, spread, 1.0) if len(numbers) else numbers
    indicators = np.column_stack([groups == name for name in sorted(set(groups))] or [np.empty((len(groups), 0))])
    return np.column_stack([numbers, indicators.astype(float)])
