"""What retention saved, cost and lost, in money: the held-out increment times what the customers are worth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from retention.deciding.plan import HOLDOUT
from retention.measuring.estimates import Difference

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
ALL = "all"
SCOPES = {"value_tier": "value_tier", "strategy": "planned_strategy_id", "group": "effect_group"}
NEEDED = (
    "customer_id", "planned_strategy_id", "effect_group", "value_tier", "arm", "cost", "is_sent", "is_mature",
    "retained", "value_from_now", "probability",
)  # fmt: skip
COLUMNS = (
    "scope", "name", "count_treated", "count_holdout", "count_open", "retained_treated", "retained_holdout",
    "increment", "increment_low", "increment_high", "saved", "saved_low", "saved_high", "spent", "spent_open", "net",
    "return_on_spend", "return_low", "return_high", "holdout_cost", "holdout_cost_low", "holdout_cost_high",
)  # fmt: skip
UNKNOWN = Difference(value=None, low=None, high=None)
_FEWEST = 2  # customers of an arm: a variance needs two


@dataclass(frozen=True, kw_only=True)
class Arms:
    """Matured decisions as arrays of one length: who was held out, what came of it, and what was expected before."""

    is_held_out: npt.NDArray[np.bool_]
    customers: npt.NDArray[np.int64]
    retained: Floats
    expected: Floats
    value: Floats


def measure_money(decisions: "pd.DataFrame", *, confidence: float, loss_share: float = 1.0) -> "pd.DataFrame":
    """Return one row for all decisions, then per value tier, planned strategy and group, in `COLUMNS`.

    Args:
        decisions: `NEEDED`, one row per decision of the ledger, all three arms. `retained` tells whether the customer
            was one at the end of the window (missing where unknown), `value_from_now` what they were worth at the
            decision, `probability` that of leaving as it was scored. The arm that was assigned counts, whatever became
            of the message: whom exploration held back is part of what the plan does.
        confidence: of the interval over all, and of all intervals of a scope together (Bonferroni): whoever looks for
            the best or the worst of many strategies finds one by chance else.
        loss_share: the part of a value from now that is lost with a customer who leaves by the definition: of those who
            do not come back (`losses.measure_lasting_share`), what they would have brought had they stayed
            (`staying.measure_value_share`).

    `saved` is the number of treated decisions times the difference of the mean retained value per decision, treated
    less held out; both means are freed of what the value and the score explained before the decision (a control
    variate: Deng and others, WSDM 2013). Intervals are Welch's with variances clustered by customer, or with one
    variance for both arms where that is larger: the few held-out who leave may happen to be small customers. Money that
    was spent counts where the message left. `holdout_cost` is what treating the held-out as well would have
    saved, less what it would have cost. All are None where an arm has fewer than two customers.
    """
    import pandas as pd

    rows = [
        {"scope": scope, "name": name, **_measure(group, confidence=sure, loss_share=loss_share)}
        for scope, name, group, sure in _scopes(decisions, confidence=confidence)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _scopes(decisions: "pd.DataFrame", *, confidence: float) -> Iterator[tuple[str, str, "pd.DataFrame", float]]:
    yield ALL, ALL, decisions, confidence
    for scope, column in SCOPES.items():
        groups = list(decisions.groupby(column, sort=True))
        for name, group in groups:
            yield scope, str(name), group, 1 - (1 - confidence) / len(groups)


def _measure(decisions: "pd.DataFrame", *, confidence: float, loss_share: float) -> dict[str, object]:
    is_known = _is_known(decisions)
    known, is_left_open = decisions.loc[is_known], ~is_known
    arms = _read_arms(known)
    treated, held = int((~arms.is_held_out).sum()), int(arms.is_held_out.sum())
    increment = contrast(arms, arms.retained, arms.expected, confidence=confidence)
    worth = arms.value * loss_share
    per_decision = contrast(arms, arms.retained * worth, arms.expected * worth, confidence=confidence)
    cost = decisions["cost"].astype(float) * decisions["is_sent"].astype(bool)
    spent = float(cost[is_known].sum())
    return {
        "count_treated": treated,
        "count_holdout": held,
        "count_open": int(is_left_open.sum()),
        "retained_treated": float(arms.retained[~arms.is_held_out].mean()) if treated else None,
        "retained_holdout": float(arms.retained[arms.is_held_out].mean()) if held else None,
        **_columns("increment", increment, value="increment"),
        **_columns("saved", scale(per_decision, treated), value="saved"),
        "spent": spent,
        "spent_open": float(cost[is_left_open].sum()),
        "net": None if per_decision.value is None else per_decision.value * treated - spent,
        **_columns("return", scale(per_decision, treated / spent if spent else None), value="return_on_spend"),
        **_columns("holdout_cost", _cost_holdout(per_decision, held, spent, treated), value="holdout_cost"),
    }


def _read_arms(known: "pd.DataFrame") -> Arms:
    import pandas as pd

    probability = known["probability"].astype(float)
    return Arms(
        is_held_out=known["arm"].eq(HOLDOUT).to_numpy(dtype=bool),
        customers=pd.factorize(known["customer_id"])[0].astype(np.int64),
        retained=np.asarray(known["retained"].astype(float), dtype=np.float64),
        expected=np.asarray((1 - probability.fillna(probability.mean())).fillna(1.0), dtype=np.float64),
        value=np.maximum(np.asarray(known["value_from_now"].astype(float), dtype=np.float64), 0.0),
    )


def contrast(arms: Arms, outcome: Floats, baseline: Floats, *, confidence: float) -> Difference:
    """Return the mean of an outcome per decision, treated less held out, freed of what `baseline` explains."""
    treated, held = ~arms.is_held_out, arms.is_held_out
    if min(len(np.unique(arms.customers[treated])), len(np.unique(arms.customers[held]))) < _FEWEST:
        return UNKNOWN
    residual = _explain_away(outcome, baseline, (treated, held))
    means, errors, counts = zip(*(_cluster(residual[arm], arms.customers[arm]) for arm in (treated, held)), strict=True)
    centred = residual - np.where(treated, means[0], means[1])
    common = _cluster(centred, arms.customers)[1] * len(centred) * (1 / treated.sum() + 1 / held.sum())
    return _interval(means[0] - means[1], errors, counts, least=common, confidence=confidence)


def _explain_away(outcome: Floats, baseline: Floats, groups: Sequence[npt.NDArray[np.bool_]]) -> Floats:
    """Return an outcome less its regression, within each group, on what was known before."""
    centred = [(outcome[rows] - outcome[rows].mean(), baseline[rows] - baseline[rows].mean()) for rows in groups]
    explained = sum(float(x @ x) for _, x in centred)
    slope = sum(float(y @ x) for y, x in centred) / explained if explained > 0 else 0.0
    residual: Floats = outcome - slope * (baseline - baseline.mean())
    return residual


def value_kept(decisions: "pd.DataFrame", *, loss_share: float = 1.0) -> "pd.DataFrame":
    """Return the decisions with a known outcome and, as `outcome`, the value that each kept, freed as above."""
    known = decisions.loc[_is_known(decisions)]
    arms = _read_arms(known)
    groups = [rows for rows in (arms.is_held_out, ~arms.is_held_out) if rows.any()]
    if not groups:
        return known.assign(outcome=0.0)
    kept = _explain_away(arms.retained * arms.value, arms.expected * arms.value, groups)
    return known.assign(outcome=kept * loss_share)


def _is_known(decisions: "pd.DataFrame") -> "pd.Series[bool]":
    return decisions["is_mature"].astype(bool) & decisions["retained"].notna() & decisions["value_from_now"].notna()


def _cluster(values: Floats, customers: npt.NDArray[np.int64]) -> tuple[float, float, int]:
    """Return the mean, its variance with the rows of a customer taken together, and the number of customers."""
    mean = float(values.mean())
    places = np.unique(customers, return_inverse=True)[1]
    sums = np.bincount(places, weights=values - mean)
    count = len(sums)
    return mean, float(sums @ sums) / len(values) ** 2 * count / (count - 1), count


def _interval(
    value: float, variances: tuple[float, ...], counts: tuple[int, ...], *, least: float, confidence: float
) -> Difference:
    """Return Welch's interval of a difference of two means (Biometrika 34, 1947), with no variance below `least`."""
    from scipy.special import stdtrit

    total = sum(variances)
    if total == 0:
        return Difference(value=value, low=value, high=value)
    spread = [variance**2 / (count - 1) for variance, count in zip(variances, counts, strict=True)]
    reach = float(stdtrit(total**2 / sum(spread), (1 + confidence) / 2)) * max(total, least) ** 0.5
    return Difference(value=value, low=value - reach, high=value + reach)


def scale(difference: Difference, factor: float | None) -> Difference:
    """Return a difference and its interval times a factor that is not negative; unknown where either is."""
    if difference.value is None or difference.low is None or difference.high is None or factor is None:
        return UNKNOWN
    return Difference(value=difference.value * factor, low=difference.low * factor, high=difference.high * factor)


def _cost_holdout(per_decision: Difference, held: int, spent: float, treated: int) -> Difference:
    forgone = scale(per_decision, held)
    if forgone.value is None or forgone.low is None or forgone.high is None:
        return UNKNOWN
    avoided = held * spent / treated
    return Difference(value=forgone.value - avoided, low=forgone.low - avoided, high=forgone.high - avoided)


def _columns(name: str, difference: Difference, *, value: str) -> dict[str, object]:
    return {value: difference.value, f"{name}_low": difference.low, f"{name}_high": difference.high}


def list_harms(money: "pd.DataFrame", *, fewest: int) -> "pd.DataFrame":
    """Return the strategies and groups of `measure_money` that cost customers: scope, name, harm and its interval.

    `harm` is the value lost, positive; it `is_certain` where its whole interval is a loss and at least `fewest`
    decisions were held out: below, a handful of leavers makes too narrow an interval. What lost most comes first.
    """
    import pandas as pd

    found = money.loc[money["scope"].isin(["strategy", "group"]) & money["saved"].astype(float).lt(0)]
    saved, low, high = (found[name].astype(float) for name in ("saved", "saved_low", "saved_high"))
    harms = pd.DataFrame(
        {
            "scope": found["scope"],
            "name": found["name"],
            "count_treated": found["count_treated"],
            "harm": -saved,
            "harm_low": -high,
            "harm_high": -low,
            "spent": found["spent"],
            "is_certain": high.lt(0) & found["count_holdout"].ge(fewest),
        }
    )
    return harms.sort_values(["harm", "name"], ascending=[False, True], ignore_index=True)
