"""The monthly training: candidates, the challenger in the registry, and its promotion when it is better."""

from collections.abc import Iterator, Sequence
from datetime import date
from hashlib import sha256
from io import RawIOBase
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa

from ml.promotion import Bar, Decision, compare
from ml.registry import APPROVED, REPLACED, REVIEW
from orchestration.defs.resources import COMPANY, FEATURES, POLICY, open_registry, open_store
from orchestration.gates import require_passed
from orchestration.partitions import MONTHS, read_as_of
from orchestration.warehouse import Warehouse

if TYPE_CHECKING:
    from ml.pipeline import ChurnModel
    from ml.registry import Registry
    from ml.train import Fitted

OWNER = "team:data-science"
LOOKED_AT = 2_000  # latest rows whose contributions are averaged for the model card
TRAINING_SET = """
    select features.*, labels.churned
    from features.customer_features as features
    inner join features.churn_labels as labels using (as_of, customer_id)
    where labels.is_mature and labels.label_until <= $as_of and features.as_of = date_trunc('month', features.as_of)
    order by features.as_of, features.customer_id
"""
FROM_FEATURES = [
    dg.AssetDep(key, partition_mapping=dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True))
    for key in (["features", "customer_features"], ["features", "churn_labels"])
]


def _spec(table: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=["monitoring", table],
        deps=FROM_FEATURES,
        group_name="training",
        owners=[OWNER],
        kinds={"mlflow", "xgboost", "scikitlearn"},
        partitions_def=MONTHS,
        description=description,
    )


@dg.multi_asset(
    name="training",
    specs=[
        _spec("trainings", "One row per training: what it learned from, how it did on later data, its version."),
        _spec("promotions", "One row per training: whether the challenger may become champion, and why."),
    ],
)
def training(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Iterator[dg.MaterializeResult[None]]:
    """Learn from the matured monthly snapshots, register the challenger, promote it when it is better."""
    from ml.card import write_card
    from ml.dataset import list_informative
    from ml.train import fit

    as_of = read_as_of(context)
    require_passed(warehouse, open_store(), "features", as_of=as_of)
    table = warehouse.read(TRAINING_SET, {"as_of": as_of})
    features = list_informative(table, [feature.name for feature in FEATURES])
    refuse_leaks(table, features)
    fitted = fit(
        table,
        "churned",
        "as_of",
        features=features,
        maturity_days=COMPANY.churn.lead_days + COMPANY.churn.horizon_days,
        capacity=POLICY.training.capacity_share,
        seed=POLICY.training.seed,
    )
    facts = {"snapshots up to": str(fitted.model.trained_until), "data fingerprint": fingerprint(table)}
    card = write_card(
        fitted, facts=facts, importance=fitted.model.importance(table.slice(max(table.num_rows - LOOKED_AT, 0)))
    )
    version = open_registry().register(
        fitted,
        as_of=as_of.isoformat(),
        fingerprint=fingerprint(table),
        trigger=context.run.tags.get("holdfast/trigger", "manual"),
        tags={"features_gate": "passed"},
        run_url=f"/runs/{context.run_id}",
        documents={"card.html": card},
        review=POLICY.promotion.mode == "review",
    )
    row = describe(fitted, as_of=as_of, version=version)
    decision = promote(fitted, table, version)
    judged: dict[str, Any] = {
        "as_of": as_of,
        "model_version": version,
        "is_promotable": decision.promote,
        "reason": decision.reason,
    }
    warehouse.replace_slice("monitoring.promotions", pa.Table.from_pylist([judged]), as_of=as_of)
    warehouse.replace_slice("monitoring.trainings", pa.Table.from_pylist([row]), as_of=as_of)
    yield dg.MaterializeResult(
        asset_key=["monitoring", "trainings"],
        metadata={**row, "as_of": as_of.isoformat(), "candidates": list_candidates(fitted)},
    )
    yield dg.MaterializeResult(asset_key=["monitoring", "promotions"], metadata={**judged, "as_of": as_of.isoformat()})


def refuse_leaks(table: pa.Table, features: Sequence[str]) -> None:
    """Raise when a column gives the outcome away, and name it: the training gate."""
    from ml.leakage import find_leaks

    leaks = find_leaks(table, "churned", features, key=("as_of", "customer_id"), seed=POLICY.training.seed)
    if leaks:
        named = "; ".join(f"{leak.column} ({leak.kind})" for leak in leaks)
        raise dg.Failure(f"The training set gives the outcome away: {named}. Mend the feature, or take it out.")


def promote(fitted: "Fitted", table: pa.Table, version: str) -> Decision:
    """Make the challenger champion when it is better on snapshots that neither learned from, and no review is due."""
    registry = open_registry()
    decision = compare(
        fitted,
        find_rival(registry, version),
        table,
        time="as_of",
        margin=POLICY.promotion.margin,
        bar=Bar(**POLICY.promotion.model_dump(exclude={"mode", "margin"})),
        capacity=POLICY.training.capacity_share,
    ).decision
    if decision.promote and registry.read(version).metadata[REVIEW] == APPROVED:
        registry.promote(version)
    return decision


def find_rival(registry: "Registry", version: str) -> "ChurnModel | None":
    """Return the champion's model, or, when a repeated run meets its own promotion, the one that it replaced."""
    champion = registry.champion()
    if champion is not None and champion.version == version:
        replaced = champion.metadata.get(REPLACED)
        champion = registry.read(replaced) if replaced else None
    return champion.model if champion else None


def fingerprint(table: pa.Table) -> str:
    """Return the SHA-256 of a table's schema and content."""
    digest = _Digest()
    with pa.ipc.new_stream(pa.PythonFile(digest, mode="w"), table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return digest.sha.hexdigest()


class _Digest(RawIOBase):
    """A file that only remembers the hash of what was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.sha = sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        self.sha.update(data)
        return len(data)


def describe(fitted: "Fitted", *, as_of: date, version: str) -> dict[str, Any]:
    """Return the chosen candidate's figures on the snapshots that validated it."""
    head = {"as_of": as_of, "model_version": version, "chosen": fitted.chosen, "rows_learned": fitted.rows}
    return {**head, **fitted.evaluations[fitted.chosen].as_dict()}


def list_candidates(fitted: "Fitted") -> dg.MarkdownMetadataValue:
    """Return every candidate's figures on later data as a table."""
    lines = ["| candidate | AUC | PR-AUC | ECE | accuracy | majority | lift |", "|---|---|---|---|---|---|---|"]
    for name, shown in fitted.evaluations.items():
        figures = (shown.auc, shown.pr_auc, shown.ece, shown.accuracy, shown.majority_accuracy, shown.lift_at_capacity)
        lines.append(f"| {name} | " + " | ".join(f"{figure:.4f}" for figure in figures) + " |")
    return dg.MetadataValue.md("\n".join(lines))
