"""One flat table from its file to scores, reasons, a plan, a card and a version of its own in the registry."""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from company.company_file import Writing
from company.policy import Policy
from ingestion.readers.text import read_text
from ingestion.readers.whole import FileFaultError
from ingestion.values import NULL_WORDS
from orchestration.documents import as_json, fingerprint

if TYPE_CHECKING:
    import pandas as pd

    from ml.flat_table import FlatScores, FlatTable
    from ml.registry import Registry

TRIGGER = "score-table"
SCORED_FILES = ("scores.csv", "reasons.csv", "plan.csv", "card.html")
DECIMALS = {"expected_profit": 2, "probability": 4, "value": 2, "break_even_value": 2}  # of the plan as a file
PERIODS = {"month": 12, "year": 1}  # how often a year what a customer pays is paid
ROWS_LOOKED_AT = 700  # of contributions that are averaged for the importance: it then errs by some 2 % of one


class TableFileError(Exception):
    """The file of a flat table cannot be read; the message is one paragraph with the file and the fix."""


@dataclass(frozen=True)
class ScoredTable:
    """Where the results of one flat table are: the registered version, whether it passed the policy, and the files."""

    model_name: str
    version: str
    decision: str
    files: tuple[Path, ...]
    planned: Mapping[str, int]  # customers by the reason of the decision
    profit: float  # expected of the contacts that are planned, in money; not a number without values


def read_file(path: Path) -> pa.Table:
    """Return the table in a parquet or text file; words for nothing are null, all other text stays as it is written."""
    try:
        table = parquet.read_table(path) if path.suffix == ".parquet" else _read_text(path)
    except FileNotFoundError:
        raise TableFileError(f"{path}: there is no such file. Correct the path.") from None
    except FileFaultError as fault:
        raise TableFileError(f"{path}: {fault.problem} {fault.fix}") from None
    except (pa.ArrowInvalid, OSError) as fault:
        raise TableFileError(f"{path}: the file cannot be read ({fault}). Export it again as CSV or parquet.") from None
    repeated = [name for name in table.column_names if table.column_names.count(name) > 1]
    if repeated:
        raise TableFileError(f"{path}: the column `{repeated[0]}` stands there twice. Rename one of the two.")
    return table


def _read_text(path: Path) -> pa.Table:
    with tempfile.TemporaryDirectory() as scratch:
        text = read_text(path, Writing(), copy_to=Path(scratch) / "copy.csv")
        if text is None:
            raise TableFileError(f"{path}: the file is empty. Export it again.")
        if text.broken:
            first = text.broken[0]
            raise TableFileError(
                f"{path}: {len(text.broken):,} lines are no records, the first is line {first.line} ({first.error}). "
                "Correct them, so that no customer is lost."
            )
        layout = text.layout
        return csv.read_csv(
            text.path,
            read_options=csv.ReadOptions(column_names=list(layout.names), skip_rows=layout.head),
            parse_options=csv.ParseOptions(
                delimiter=layout.separator, quote_char=layout.quote or False, newlines_in_values=True
            ),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(layout.names, pa.string()),
                strings_can_be_null=True,
                null_values=["", *NULL_WORDS],
            ),
        )


def keep_results(
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

    `values` holds what is lost with each customer of the table, see `value_customers`.
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
        files,
        planned=Counter(plan["decision_reason"]),
        profit=plan.loc[plan["decision"] == "treat", "expected_profit"].sum(skipna=False),
    )


def value_customers(flat: "FlatTable", policy: Policy, *, paid: str, per: str) -> pa.ChunkedArray:
    """Return what is lost with each customer, by the policy's `clv`, where `paid` is paid per month or year.

    Raises a DatasetError where the column is missing or holds no numbers.
    """
    from ml.dataset import DatasetError, column

    amounts = column(flat.rows, paid)
    if not (pa.types.is_floating(amounts.type) or pa.types.is_integer(amounts.type)):
        raise DatasetError(f"column {paid!r} holds {amounts.type}; what customers pay is a number in every row.")
    clv = policy.clv
    return pc.multiply(pc.cast(amounts, pa.float64()), PERIODS[per] * clv.lifetime_years * clv.gross_margin)


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


def registry_of(registry: "Registry", file: Path) -> "Registry":
    """Return the registry of the models of one file, apart from the company's own model."""
    return replace(registry, model_name=f"table {file.stem}")
