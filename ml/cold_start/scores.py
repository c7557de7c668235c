"""Cold start, too few customers for a model: rules, a survival baseline, how far to trust them, what is missing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from company.policy.training import RiskSignal, Training
from ml.cold_start.rules import score_by_rules
from ml.cold_start.survival import Survival
from ml.dataset import Floats, Tabular, as_table
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
FEWEST_SILENCES = 30  # ended silences below which their lengths are no distribution
CEILING = 0.5  # confidence of a complete rule score: no outcome has tested it


@dataclass(frozen=True)
class Shortfall:
    """How far a company is from a model of its own."""

    customers: int
    churned: int
    missing_customers: int
    missing_churned: int

    @property
    def is_cold_start(self) -> bool:
        """Whether either count is below what a training needs."""
        return self.missing_customers > 0 or self.missing_churned > 0

    @property
    def reason(self) -> str:
        """One sentence for the asset, the dashboard and the model card."""
        known = f"{self.customers} customers with a known outcome, {self.churned} of them churned"
        if not self.is_cold_start:
            return f"{known}: enough for a model"
        return f"{known}: a model needs {self.missing_customers} more customers and {self.missing_churned} more churned"


@dataclass(frozen=True)
class ColdStartScores:
    """Scores of one day; see `SCHEMA`. `notes` says in sentences what they rest on and what they lack."""

    table: pa.Table
    notes: tuple[str, ...]


def measure_shortfall(table: Tabular, label: str, *, training: Training, customer: str = "customer_id") -> Shortfall:
    """Count customers with a known outcome, and those who churned, each once, against what a training needs."""
    data = as_table(table)
    known = data.filter(pc.is_valid(data.column(label)))
    churned = known.filter(pc.cast(known.column(label), pa.bool_()))
    customers, lost = (len(pc.unique(each.column(customer))) for each in (known, churned))
    missing = max(0, training.minimum_customers - customers), max(0, training.minimum_churners - lost)
    return Shortfall(customers, lost, *missing)


def score_cold_start(
    table: Tabular,
    signals: Sequence[RiskSignal],
    *,
    horizon_days: int,
    silent_days: str | None = None,
    past_silences: Sequence[str] = (),
) -> ColdStartScores:
    """Score each customer without any model.

    The score is the share of the rules' weight that shows among what is known (`ml.cold_start.rules`). Next to it
    stands the chance that the customer's silence of `silent_days` lasts `horizon_days` more, by Kaplan and Meier's
    estimate over all customers' `past_silences` (columns of ended silences, in days) and present ones; it is the score
    where no rule has anything to go by. `method` says which it was: rules, survival or none, and none has no score.
    `confidence` lies in [0, `CEILING`], since no outcome has tested either. Columns that the table lacks are missing
    values; `missing` names per customer the signals without a value.
    """
    data = as_table(table)
    rules = score_by_rules(data, signals)
    chance, silences = _survive(data, silent_days, past_silences, horizon_days)
    ruled = numbers("score", rules.column("score"))
    by_rules, by_survival = ~np.isnan(ruled), ~np.isnan(chance)
    method = np.where(by_rules, "rules", np.where(by_survival, "survival", "none"))
    trust = np.where(by_rules, numbers("confidence", rules.column("confidence")), by_survival * 0.5) * CEILING
    found = pa.table(
        [
            rules.column("customer_id"),
            pa.array(np.where(by_rules, ruled, 100 * chance), from_pandas=True),
            pa.array(method.tolist(), pa.string()),
            rules.column("score"),
            pa.array(chance, from_pandas=True),
            pa.array(trust),
            rules.column("missing"),
        ],
        schema=SCHEMA,
    )
    return ColdStartScores(found, (*_absent(data, signals), _note(silences), *_count(method)))


def _survive(
    data: pa.Table, silent_days: str | None, past_silences: Sequence[str], horizon_days: int
) -> tuple[Floats, int]:
    """Return each customer's chance to stay silent, NaN where it is not known, and the silences learned from."""
    nothing = np.full(data.num_rows, np.nan)
    if silent_days is None or silent_days not in data.column_names:
        return nothing, 0
    silent = numbers(silent_days, data.column(silent_days))
    ended = [numbers(name, data.column(name)) for name in past_silences if name in data.column_names]
    over = np.concatenate([*ended, np.empty(0)])
    over, going_on = over[~np.isnan(over)], silent[~np.isnan(silent)]
    if len(over) < FEWEST_SILENCES:
        return nothing, len(over)
    length = np.concatenate([over, going_on])
    survival = Survival.learn(length, np.repeat([1.0, 0.0], [len(over), len(going_on)]))
    found = survival.goes_on(np.nan_to_num(silent), horizon=horizon_days)
    return np.where(np.isnan(silent), np.nan, found), len(over)


def _absent(data: pa.Table, signals: Sequence[RiskSignal]) -> tuple[str, ...]:
    absent = [signal.en for signal in signals if signal.feature not in data.column_names]
    if not absent:
        return ()
    return (f"{len(absent)} of {len(signals)} signals have no column: {', '.join(absent)}",)


def _note(silences: int) -> str:
    if silences < FEWEST_SILENCES:
        return f"{silences} ended silences are known, {FEWEST_SILENCES} are needed to know how long silences last"
    return f"the survival baseline rests on {silences} ended silences"


def _count(method: npt.NDArray[np.str_]) -> tuple[str, ...]:
    blind = int((method == "none").sum())
    return (f"nothing is known about {blind} of {len(method)} customers: they have no score",) if blind else ()
