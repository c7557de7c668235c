"""One flat table from its file to scores, reasons, a plan, a card and a version of its own in the registry."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from company.policy import Policy
from company.snapshot import Period, Snapshot
from ingestion.flat_file import read_flat_file
from orchestration.documents import as_json, fingerprint
from orchestration.resources import open_registry
from orchestration.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from ml.evaluate import Evaluation
    from ml.flat_table import FlatScores, FlatTable
    from ml.registry import Registry
    from ml.training.config import TrainConfig

TRIGGER = "score-table"
SCORED_FILES = ("scores.csv", "reasons.csv", "plan.csv", "card.html")
DECIMALS = {"expected_profit": 2, "probability": 4, "value": 2, "break_even_value": 2}  # of the plan as a file
PERIODS: Mapping[Period, int] = {"month": 12, "year": 1}  # how often a year what a customer pays is paid
ROWS_LOOKED_AT = 700  # of contributions that are averaged for the importance: it then errs by some 2 % of one


@dataclass(frozen=True)
class ScoredTable:
    """Where the results of one flat table are: the registered version, whether it passed the policy, and the files.

    `evaluation` is that of the `chosen` algorithm, out of fold.
    """

    model_name: str
    version: str
    decision: str
    chosen: str
    evaluation: "Evaluation"
    files: tuple[Path, ...]
    planned: Mapping[str, int]  # customers by the reason of the decision
    profit: float  # expected of the contacts that are planned, in money; not a number without values


def open_table(snapshot: Snapshot, policy: Policy) -> "FlatTable":
    """Return the flat table, with what each column was taken for.

    Raises a FlatFileError where the file cannot be read, and a DatasetError that names the column and the fix.
    """
    from ml.flat_table import read_flat_table

    return read_flat_table(
        read_flat_file(snapshot.file, snapshot),
        customer=snapshot.customer,
        label=snapshot.label,
        without=snapshot.without,
        protected=policy.fairness.protected,
    )


def require_scorable(snapshot: Snapshot, flat: "FlatTable", policy: Policy) -> None:
    """Raise the DatasetError that `score_table` would raise about the table, without training."""
    from ml.flat_table import require_learnable

    _value_customers(flat, policy, snapshot)
    require_learnable(flat, _configure(policy))


def score_table(
    snapshot: Snapshot, flat: "FlatTable", policy: Policy, settings: Settings, *, as_of: date
) -> ScoredTable:
    """Train on the table, score and plan, and keep the results below the home of the instance.

    Raises a DatasetError where the table cannot be learned from.
    """
    from ml.flat_table import score_flat_table

    values = _value_customers(flat, policy, snapshot)
    found = score_flat_table(flat, _configure(policy))
    name = snapshot.file.stem
    registry = replace(open_registry(settings), model_name=f"table {name}")  # apart from a company's own model
    return _keep(flat, found, policy, registry, values=values, folder=settings.home / "tables" / name, as_of=as_of)


def _configure(policy: Policy) -> "TrainConfig":
    from ml.learners.base import Compute
    from ml.training.config import TrainConfig

    training = policy.training
    return TrainConfig(
        candidates=training.candidates,
        seed=training.seed,
        compute=Compute(device=training.device),
        capacity_share=training.capacity_share,
        tuning_seconds=training.tuning_seconds,
    )


def _keep(
    flat: "FlatTable",
    found: "FlatScores",
    policy: Policy,
    registry: "Registry",
    *,
    values: pa.ChunkedArray | None,
    folder: Path,
    as_of: date,
) -> ScoredTable:
    """Register the version, promote it where it passes the policy, and write the files into `folder`.

    `values` holds what is lost with each customer of the table, see `_value_customers`.
    """
    from ml.training.promotion import decide

    fitted = found.training.fitted
    decision = decide(fitted.evaluations[fitted.chosen], None, promotion=policy.promotion)
    card = _write_card(flat, found, policy, facts={"as of": as_of.isoformat(), "decision": decision.reason})
    columns = as_json([{"name": each.name, "kind": each.kind, "evidence": each.evidence} for each in flat.kinds])
    version = registry.register(
        fitted,
        as_of=as_of.isoformat(),
        fingerprint=fingerprint(flat.rows),
        trigger=TRIGGER,
        tags={"decision": decision.reason},
        documents={"card.html": card, "columns.json": columns},
    )
    if decision.promote:
        registry.promote(version)
    folder.mkdir(parents=True, exist_ok=True)
    files = tuple(folder / name for name in SCORED_FILES)
    csv.write_csv(_add_tiers(found.scores, policy), files[0])
    csv.write_csv(found.reasons, files[1])
    plan = _plan(flat, found, policy, values)
    csv.write_csv(pa.Table.from_pandas(plan, preserve_index=False), files[2])
    files[3].write_bytes(card)
    return ScoredTable(
        registry.model_name,
        version,
        decision.reason,
        fitted.chosen,
        fitted.evaluations[fitted.chosen],
        files,
        planned=Counter(plan["decision_reason"]),
        profit=plan.loc[plan["decision"] == "treat", "expected_profit"].sum(skipna=False),
    )


def _value_customers(flat: "FlatTable", policy: Policy, snapshot: Snapshot) -> pa.ChunkedArray | None:
    """Return what is lost with each customer, by the policy's `clv` and what they pay; None where no column says it.

    Raises a DatasetError where the column is missing or holds no numbers.
    """
    from ml.dataset import DatasetError, column

    if snapshot.paid is None:
        return None
    amounts = column(flat.rows, snapshot.paid)
    if not (pa.types.is_floating(amounts.type) or pa.types.is_integer(amounts.type)):
        raise DatasetError(
            f"column {snapshot.paid!r} holds {amounts.type}; what customers pay is a number in every row."
        )
    clv = policy.clv
    return pc.multiply(pc.cast(amounts, pa.float64()), PERIODS[snapshot.per] * clv.lifetime_years * clv.gross_margin)


def _plan(flat: "FlatTable", found: "FlatScores", policy: Policy, values: pa.ChunkedArray | None) -> "pd.DataFrame":
    from retention.deciding.contacts import plan_contacts

    customers = found.scores.to_pandas()
    if values is not None:
        by_customer = dict(zip(flat.rows.column("customer_id").to_pylist(), values.to_pylist(), strict=True))
        customers["value"] = customers["customer_id"].map(by_customer)
    return plan_contacts(customers, policy).round(DECIMALS)


def _add_tiers(scores: pa.Table, policy: Policy) -> pa.Table:
    from retention.deciding.tiers import assign

    return pa.Table.from_pandas(assign(scores.to_pandas(), policy), preserve_index=False)


def _write_card(flat: "FlatTable", found: "FlatScores", policy: Policy, *, facts: Mapping[str, str]) -> bytes:
    from ml.evaluate import intervals
    from ml.explaining.card import Insight, write_card
    from ml.explaining.importance import Importance
    from ml.monitoring.drift import describe_reference
    from ml.training.fairness import measure_groups

    fitted = found.training.fitted
    validation = fitted.validation
    label, probability = (validation.column(name).to_numpy() for name in ("label", "probability"))
    capacity = policy.training.capacity_share
    every = max(flat.rows.num_rows // ROWS_LOOKED_AT, 1)
    shares = fitted.model.importance(flat.rows.take(pa.array(range(0, flat.rows.num_rows, every))))
    held = intervals(label, probability, capacity=capacity, draws=policy.expected_profit.draws)
    protected = [each.name for each in flat.kinds if each.kind == "protected"]
    rows = {"rows": f"{fitted.rows:,} of {flat.rows.num_rows:,} with a known outcome"}
    return write_card(
        found.training,
        Insight(held=held, importance=Importance(shares, {})),
        facts={**rows, **facts},
        groups=measure_groups(
            label,
            probability,
            {name: _texts(flat.rows.column(name).take(validation.column("row"))) for name in protected},
            capacity=capacity,
            minimum_rows=policy.fairness.minimum_rows,
        ),
        protected=protected,
        reference=describe_reference(flat.rows, flat.features, shares, importance_share=policy.drift.importance_share),
    )


def _texts(values: pa.ChunkedArray) -> Sequence[str | None]:
    texts: list[str | None] = pc.cast(values, pa.string()).to_pylist()
    return texts
