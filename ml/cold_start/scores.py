"""Cold start, too few customers for a model: rules, a survival baseline, how far to trust them, what is missing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from company.policy.training import RiskSignal, Training
from ml.cold_start.rules import raise_by_rules, score_by_rules
from ml.cold_start.survival import Survival, estimate_intervals
from ml.dataset import DatasetError, Floats, Tabular, as_table, split_by_time
from ml.encode import numbers

SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("score", pa.float64()),
        ("method", pa.string()),
        ("rule_score", pa.float64()),
        ("survival_probability", pa.float64()),
        ("confidence", pa.float64()),
        ("missing", pa.string()),
    ]
)
CEILING = 0.5  # confidence of a complete rule score: no outcome has tested it
SHARE_ELSEWHERE = 0.5  # of the log-odds of an inactivity, where customers leave by notice and not by buying nothing
USUAL_WEIGHT = 30.0  # known outcomes that the usual rate counts for
LEAST, MOST = 0.005, 0.995  # between which the level lies: no rate is certain before many outcomes


@dataclass(frozen=True)
class Rhythm:
    """The columns that tell how a customer buys: days of the present inactivity, of the last that ended, and usually.

    `orders` counts the purchases that the mean interval rests on.
    """

    recency: str = "recency_days"
    last_gap: str = "last_gap_days"
    mean_gap: str = "mean_gap_days"
    orders: str = "count_orders_total"


@dataclass(frozen=True)
class Outcomes:
    """How many outcomes are known, and how many of them are churned."""

    known: int = 0
    churned: int = 0

    def draw(self, usual: float) -> float:
        """Return the `usual` rate, drawn to the known outcomes and kept off 0 and 1."""
        drawn = (self.churned + USUAL_WEIGHT * usual) / (self.known + USUAL_WEIGHT)
        return min(max(drawn, LEAST), MOST)


@dataclass(frozen=True)
class Shortfall:
    """How far a company is from a model of its own."""

    customers: int
    churned: int
    missing_customers: int
    missing_churned: int
    lacks_snapshots: bool = False  # to learn who churned from earlier ones and try it on later ones

    @property
    def is_cold_start(self) -> bool:
        """Whether a count is below what a training needs, or the snapshots are too few."""
        return self.missing_customers > 0 or self.missing_churned > 0 or self.lacks_snapshots

    @property
    def reason(self) -> str:
        """One sentence for the asset, the dashboard and the model card."""
        known = f"{self.customers} customers with a known outcome, {self.churned} of them churned"
        if not self.is_cold_start:
            return f"{known}: enough for a model"
        if not self.missing_customers and not self.missing_churned:
            return f"{known}: a model needs churned customers in more monthly snapshots, earlier and later ones"
        return f"{known}: a model needs {self.missing_customers} more customers and {self.missing_churned} more churned"


@dataclass(frozen=True)
class ColdStartScores:
    """Scores of one day; see `SCHEMA`. `notes` states in sentences what they rest on and what they lack."""

    table: pa.Table
    notes: tuple[str, ...]


def measure_shortfall(
    table: Tabular,
    label: str,
    *,
    training: Training,
    customer: str = "customer_id",
    time: str | None = None,
    maturity_days: int = 0,
) -> Shortfall:
    """Count customers with a known outcome, and those who churned, each once, against what a training needs.

    With a `time` column the snapshots must also be enough to validate: each of the last ones on a model of snapshots
    that were known `maturity_days` after their day, in which some churned and some stayed.
    """
    data = as_table(table)
    known = data.filter(pc.is_valid(data.column(label)))
    churned = known.filter(pc.cast(known.column(label), pa.bool_()))
    customers, lost = (len(pc.unique(each.column(customer))) for each in (known, churned))
    missing = max(0, training.minimum_customers - customers), max(0, training.minimum_churners - lost)
    lacks = time is not None and not _can_validate(known, label, time, maturity_days)
    return Shortfall(customers, lost, *missing, lacks_snapshots=lacks)


def _can_validate(known: pa.Table, label: str, time: str, maturity_days: int) -> bool:
    """Return whether every model of a validation has seen customers who churned and customers who stayed."""
    try:
        folds = split_by_time(known, time, maturity_days=maturity_days)
    except DatasetError:
        return False
    outcome = numbers(label, known.column(label))
    return all(len(np.unique(outcome[fold.train])) > 1 for fold in folds)


def score_cold_start(
    table: Tabular,
    signals: Sequence[RiskSignal],
    *,
    horizon_days: int,
    base_rate: float,
    outcomes: Outcomes = Outcomes(),
    follows_purchases: bool = True,
    log_odds_per_weight: float = 0.1,
    rhythm: Rhythm = Rhythm(),
) -> ColdStartScores:
    """Score each customer without any model.

    Customers differ by the chance that their present inactivity lasts `horizon_days` more (`ml.cold_start.survival`),
    and each signal that shows adds `log_odds_per_weight` times its weight. All are moved to a common level: the mean of
    those chances where churn `follows_purchases`, elsewhere the `base_rate` of the industry, and ever more the share of
    churned among the `outcomes` that are known. `score` is 100 times the probability, which is never 0 or 1. `method`
    says what a score rests on: rules, survival or none. `confidence` lies in [0, `CEILING`], since no outcome has
    tested either. Columns that the table lacks are missing values; `missing` names the signals without a value.
    """
    from scipy.special import logit

    data = as_table(table)
    rules = score_by_rules(data, signals)
    chance, inactivities = _survive(data, rhythm or Rhythm(), horizon_days)
    by_rules, by_survival = (~np.isnan(each) for each in (numbers("score", rules.column("score")), chance))
    odds = logit(np.clip(chance, LEAST, MOST))
    odds *= 1.0 if follows_purchases else SHARE_ELSEWHERE
    odds = np.where(by_survival, odds, odds[by_survival].mean() if by_survival.any() else 0.0)
    odds += log_odds_per_weight * raise_by_rules(data, signals)
    usual = float(chance[by_survival].mean()) if follows_purchases and by_survival.any() else base_rate
    probability = _move_to(odds, outcomes.draw(usual))
    method = np.where(by_rules, "rules", np.where(by_survival, "survival", "none"))
    trust = np.where(by_rules, numbers("confidence", rules.column("confidence")), by_survival * 0.5) * CEILING
    found = pa.table(
        [
            rules.column("customer_id"),
            pa.array(100 * probability),
            pa.array(method.tolist(), pa.string()),
            rules.column("score"),
            pa.array(chance, from_pandas=True),
            pa.array(trust),
            rules.column("missing"),
        ],
        schema=SCHEMA,
    )
    return ColdStartScores(found, (*_absent(data, signals), _note(inactivities), *_count(method)))


def _survive(data: pa.Table, rhythm: Rhythm, horizon_days: int) -> tuple[Floats, int]:
    """Return each customer's chance to stay inactive, NaN where no purchase is known, and the inactivities ended."""
    recency, last_gap, mean_gap, orders = (
        numbers(name, data.column(name)) if name in data.column_names else np.full(data.num_rows, np.nan)
        for name in (rhythm.recency, rhythm.last_gap, rhythm.mean_gap, rhythm.orders)
    )
    interval = estimate_intervals(mean_gap, orders, otherwise=float(horizon_days))
    lengths = np.concatenate([last_gap / interval, recency / interval])
    ended = np.repeat([1.0, 0.0], data.num_rows)
    survival = Survival.learn(lengths[~np.isnan(lengths)], ended[~np.isnan(lengths)])
    return survival.goes_on(recency / interval, horizon=horizon_days / interval), survival.inactivities


def _move_to(odds: Floats, level: float) -> Floats:
    """Return probabilities of the same order and distances in log-odds whose mean is `level`."""
    from scipy.optimize import brentq
    from scipy.special import expit

    if not len(odds):
        return odds
    shift = brentq(lambda by: float(expit(odds + by).mean()) - level, -50, 50)
    found: Floats = expit(odds + shift)
    return found


def _absent(data: pa.Table, signals: Sequence[RiskSignal]) -> tuple[str, ...]:
    absent = [signal.en for signal in signals if signal.feature not in data.column_names]
    if not absent:
        return ()
    return (f"{len(absent)} of {len(signals)} signals have no column: {', '.join(absent)}",)


def _note(inactivities: int) -> str:
    return f"how long inactivities last rests on {inactivities} that have ended"


def _count(method: npt.NDArray[np.str_]) -> tuple[str, ...]:
    blind = int((method == "none").sum())
    return (f"nothing is known about {blind} of {len(method)} customers: they have the usual rate",) if blind else ()
