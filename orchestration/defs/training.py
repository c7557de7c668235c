"""The monthly training: candidates, the challenger in the registry, and its promotion when it is better."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from ml.evaluate import Evaluation
from ml.promotion import Bar, Decision, compare
from ml.registry import FINGERPRINT, REPLACED
from orchestration.automation import ASKED_ON, REQUEST, TRIGGER
from orchestration.defs.resources import COMPANY, FEATURES, POLICY, WEBSERVER_URL, open_registry, open_store
from orchestration.defs.scores import RULES
from orchestration.documents import as_json, describe_data, fingerprint, read_gates
from orchestration.gates import require_passed
from orchestration.partitions import MONTHS, ONE_A_RUN, read_as_of
from orchestration.review import Outcome, judge
from orchestration.warehouse import Warehouse

if TYPE_CHECKING:
    from ml.fairness import GroupFigures
    from ml.registry import RegisteredModel, Registry
    from ml.small import Smallness
    from ml.train import Fitted
    from ml.treated import TreatedFit

OWNER = "team:data-science"
LOOKED_AT = 2_000  # latest rows whose contributions are averaged: the mean then errs by about 2 % of a contribution
FIGURES = (*(name for name in Evaluation.__dataclass_fields__ if name != "n"), "brier_skill")
TRAININGS = pa.schema(
    [
        *(("as_of", pa.date32()), ("model_version", pa.string()), ("state", pa.string()), ("chosen", pa.string())),
        *(("rows_learned", pa.int64()), ("n", pa.int64()), *((name, pa.float64()) for name in FIGURES)),
        *(("trigger", pa.string()), ("reason", pa.string())),
    ]
)
PROMOTIONS = pa.schema(
    [
        *(("as_of", pa.date32()), ("model_version", pa.string()), ("is_promotable", pa.bool_())),
        *(("standing", pa.string()), ("reason", pa.string())),
    ]
)
# A retrain that was asked for within a month also learns from the newest day whose labels are in.
TRAINING_SET = """
    select features.*, labels.churned, {treated} as is_treated{groups}
    from features.customer_features as features
    inner join features.churn_labels as labels using (as_of, customer_id)
    left join customer_360.customers as customers using (customer_id)
    where labels.is_mature and labels.label_until <= $until
        and (features.as_of = date_trunc('month', features.as_of) or features.as_of = $newest)
    order by features.as_of, features.customer_id
"""
TREATED = """exists (
        select 1 from retention.ledger as ledger
        where ledger.customer_id = features.customer_id and ledger.event = 'sent' and ledger.arm = 'treated'
            and ledger.as_of >= features.as_of and ledger.as_of < labels.label_until and ledger.as_of <= $until
    )"""
NEWEST = "select max(as_of) from features.churn_labels where is_mature and label_until <= $until"
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


@dataclass(frozen=True)
class TrainingSet:
    """The labelled snapshots that were known on the day `until`, and each row's groups, which no model sees."""

    rows: pa.Table
    groups: Mapping[str, Sequence[str | None]]
    until: date

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what is learned from."""
        return fingerprint(self.rows)

    @cached_property
    def features(self) -> list[str]:
        """The declared features that say anything, without those that are protected."""
        from ml.dataset import list_informative

        names = [feature.name for feature in FEATURES if feature.name not in POLICY.fairness.protected]
        return list_informative(self.rows, names)


@dg.multi_asset(
    name="training",
    specs=[
        _spec("trainings", "One row per training: what it learned from, how it did on later data, its version."),
        _spec("promotions", "One row per training: whether the challenger may become champion, and why."),
    ],
    backfill_policy=ONE_A_RUN,
)
def training(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Iterator[dg.MaterializeResult[None]]:
    """Learn from the matured monthly snapshots, register the challenger, promote it when it is better."""
    as_of = read_as_of(context)
    until = date.fromisoformat(context.run.tags.get(ASKED_ON, as_of.isoformat()))
    require_passed(warehouse, open_store(), "features", as_of=until)
    learned = read_training_set(warehouse, as_of=as_of, until=until)
    trigger = context.run.tags.get(TRIGGER, "manual")
    smallness = measure(learned)
    if smallness.is_small:
        yield from report_small(warehouse, learned, smallness.reason, trigger=trigger)
        return
    refuse_leaks(learned.rows, learned.features)
    found = learn(learned)
    fitted = found.fitted
    registry, store = open_registry(), open_store()
    rival = find_rival(registry, learned.fingerprint)
    groups = judge_groups(fitted, learned)
    decision = decide(fitted, learned, rival, groups)
    gates = read_gates(warehouse, store, as_of=until)
    facts = {"trigger": trigger, "decision": decision.reason, "run": f"{WEBSERVER_URL}/runs/{context.run_id}"}
    facts |= {**gates, "treated customers": tell_of_treated(found)}
    version = registry.register(
        fitted,
        as_of=as_of.isoformat(),
        fingerprint=learned.fingerprint,
        trigger=trigger,
        tags=gates,
        run_url=facts["run"],
        documents=write_documents(warehouse, fitted, learned, groups=groups, facts=facts),
        review=POLICY.promotion.mode == "review",
    )
    outcome = judge(
        registry,
        store,
        version,
        decision,
        against=rival.version if rival else None,
        at=datetime.now(UTC),
        request_id=context.run.tags.get(REQUEST),
    )
    row = describe(fitted, as_of=until, version=version, trigger=trigger)
    yield from report(warehouse, fitted, row, decision, outcome)


def read_training_set(warehouse: Warehouse, *, as_of: date, until: date) -> TrainingSet:
    """Return the labelled snapshots, and the groups by which fairness is judged and segments are shown."""
    known = warehouse.read("select * from customer_360.customers limit 0").column_names
    names = [name for name in (*POLICY.fairness.protected, *POLICY.fairness.segments) if name in known]
    columns = "".join(f", customers.{name} as group_{name}" for name in names)
    newest = as_of if until == as_of else warehouse.read_value(NEWEST, {"until": until})
    treated = TREATED if warehouse.has_table("retention.ledger") else "false"
    query = TRAINING_SET.format(groups=columns, treated=treated)
    found = warehouse.read(query, {"until": until, "newest": newest})
    groups = {name: found.column(f"group_{name}").to_pylist() for name in names}
    return TrainingSet(found.drop_columns([f"group_{name}" for name in names]), groups, until)


def measure(learned: TrainingSet) -> "Smallness":
    """Say how far the company is from enough customers for a model of its own."""
    from ml.small import Floor, measure_smallness

    floor = Floor(customers=POLICY.training.minimum_customers, churned=POLICY.training.minimum_churners)
    return measure_smallness(learned.rows, "churned", floor=floor)


def learn(learned: TrainingSet) -> "TreatedFit":
    """Train the candidates by the policy, beside the customers who were treated."""
    from ml.treated import fit_beside_treated

    return fit_beside_treated(
        learned.rows,
        "churned",
        "as_of",
        treated="is_treated",
        features=learned.features,
        mode=POLICY.training.treated,
        largest_weight=POLICY.training.largest_weight,
        maturity_days=COMPANY.churn.lead_days + COMPANY.churn.horizon_days,
        capacity=POLICY.training.capacity_share,
        seed=POLICY.training.seed,
    )


def tell_of_treated(found: "TreatedFit") -> str:
    """Return how treated customers were handled, with the figures of both ways on the same untreated rows."""
    if not found.treated_share:
        return "none in the training set"
    both = "; ".join(
        f"{way}: AUC {read['all customers'].auc:.4f}, calibration error {read['all customers'].ece:.4f}"
        for way, read in found.evaluations.items()
    )
    return f"{found.treated_share:.1%} left out, learned {found.mode}. Standing for all customers, {both}"


def refuse_leaks(table: pa.Table, features: Sequence[str]) -> None:
    """Raise when a column gives the outcome away, and name it: the training gate."""
    from ml.leakage import find_leaks

    leaks = find_leaks(table, "churned", features, key=("as_of", "customer_id"), seed=POLICY.training.seed)
    if leaks:
        named = "; ".join(f"{leak.column} ({leak.kind})" for leak in leaks)
        raise dg.Failure(f"The training set gives the outcome away: {named}. Mend the feature, or take it out.")


def find_rival(registry: "Registry", found: str) -> "RegisteredModel | None":
    """Return the champion, or, when a repeated training meets its own promotion, the one that it replaced."""
    champion = registry.champion()
    if champion is not None and champion.metadata[FINGERPRINT] == found:
        replaced = champion.metadata.get(REPLACED)
        return registry.read(replaced) if replaced else None
    return champion


def judge_groups(fitted: "Fitted", learned: TrainingSet) -> tuple["GroupFigures", ...]:
    """Return how the challenger did on later data, by protected group and by segment."""
    from ml.fairness import measure_groups

    rows = fitted.validation.column("row").to_pylist()
    return measure_groups(
        fitted.validation.column("label").to_numpy(),
        fitted.validation.column("probability").to_numpy(),
        {name: [values[row] for row in rows] for name, values in learned.groups.items()},
        capacity=POLICY.training.capacity_share,
        minimum_rows=POLICY.fairness.minimum_rows,
    )


def decide(
    fitted: "Fitted", learned: TrainingSet, rival: "RegisteredModel | None", groups: Sequence["GroupFigures"]
) -> Decision:
    """Compare the challenger with the champion on snapshots that neither learned from, and ask whether it is fair."""
    from ml.fairness import name_unfair

    fairness = POLICY.fairness
    return compare(
        fitted,
        rival.model if rival else None,
        learned.rows,
        time="as_of",
        margin=POLICY.promotion.margin,
        bar=Bar(**POLICY.promotion.model_dump(exclude={"mode", "margin"})),
        capacity=POLICY.training.capacity_share,
        objections=name_unfair(groups, protected=fairness.protected, maximum_gap=fairness.maximum_gap),
    ).decision


def write_documents(
    warehouse: Warehouse,
    fitted: "Fitted",
    learned: TrainingSet,
    *,
    groups: Sequence["GroupFigures"],
    facts: Mapping[str, str],
) -> dict[str, bytes]:
    """Return what a version carries beside the model: its card, its data, and what drift is measured against."""
    from ml.card import write_card
    from ml.drift import describe_reference

    importance = fitted.model.importance(learned.rows.slice(max(learned.rows.num_rows - LOOKED_AT, 0)))
    reference = describe_reference(
        learned.rows.filter(pc.equal(learned.rows["as_of"], pc.max(learned.rows["as_of"]))),
        fitted.model.features,
        importance,
        importance_share=POLICY.drift.importance_share,
    )
    data = describe_data(warehouse, learned.rows, fingerprint=learned.fingerprint, until=learned.until)
    days = data["snapshots"]
    told = {
        "snapshots": f"{len(days)}, from {days[0]} to {days[-1]}",
        "data fingerprint": learned.fingerprint,
        "code": data["code_version"],
        **facts,
    }
    card = write_card(
        fitted,
        facts=told,
        importance=importance,
        groups=groups,
        protected=POLICY.fairness.protected,
        reference=reference,
    )
    drift = as_json([each.as_dict() for each in reference])
    return {"card.html": card, "data.json": as_json(data), "drift_reference.json": drift}


def describe(fitted: "Fitted", *, as_of: date, version: str, trigger: str) -> dict[str, Any]:
    """Return the chosen candidate's figures on the snapshots that validated it."""
    figures = fitted.evaluations[fitted.chosen].as_dict()
    row = {"as_of": as_of, "model_version": version, "state": "model", "chosen": fitted.chosen}
    row |= {"rows_learned": fitted.rows, "trigger": trigger, "reason": ""}
    return row | {name: figures[name] for name in ("n", *FIGURES)}


def report(
    warehouse: Warehouse, fitted: "Fitted", row: Mapping[str, Any], decision: Decision, outcome: Outcome
) -> Iterator[dg.MaterializeResult[None]]:
    """Write both tables, the training last: its row says that the month has been trained."""
    as_of: date = row["as_of"]
    judged: dict[str, Any] = {"as_of": as_of, "model_version": outcome.version, "is_promotable": decision.promote}
    judged |= {"standing": outcome.standing, "reason": outcome.reason}
    _write(warehouse, judged, row)
    told = {name: value for name, value in row.items() if value is not None} | {"as_of": as_of.isoformat()}
    yield dg.MaterializeResult(
        asset_key=["monitoring", "trainings"], metadata={**told, "candidates": list_candidates(fitted)}
    )
    yield dg.MaterializeResult(asset_key=["monitoring", "promotions"], metadata={**judged, "as_of": as_of.isoformat()})


def report_small(
    warehouse: Warehouse, learned: TrainingSet, reason: str, *, trigger: str
) -> Iterator[dg.MaterializeResult[None]]:
    """Record that there is too little to learn from, how much is missing, and what scores instead."""
    rate = pc.mean(learned.rows["churned"].cast(pa.int8())).as_py()
    row = {"as_of": learned.until, "model_version": RULES, "state": "small", "chosen": "rules", "rows_learned": 0}
    row |= {"base_rate": rate, "trigger": trigger, "reason": reason}
    judged = {"as_of": learned.until, "model_version": RULES, "is_promotable": False, "standing": "small"}
    _write(warehouse, judged | {"reason": reason}, row)
    told = {"as_of": learned.until.isoformat(), "state": "small", "reason": reason, "model_version": RULES}
    for table in ("trainings", "promotions"):
        yield dg.MaterializeResult(asset_key=["monitoring", table], metadata=told)


def _write(warehouse: Warehouse, judged: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    as_of: date = row["as_of"]
    warehouse.replace_slice("monitoring.promotions", _table(judged, PROMOTIONS), as_of=as_of)
    warehouse.replace_slice("monitoring.trainings", _table(row, TRAININGS), as_of=as_of)


def _table(row: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([dict(row)], schema=schema)


def list_candidates(fitted: "Fitted") -> dg.MarkdownMetadataValue:
    """Return every candidate's figures on later data as a table."""
    lines = ["| candidate | AUC | PR-AUC | ECE | accuracy | majority | lift |", "|---|---|---|---|---|---|---|"]
    for name, shown in fitted.evaluations.items():
        figures = (shown.auc, shown.pr_auc, shown.ece, shown.accuracy, shown.majority_accuracy, shown.lift_at_capacity)
        lines.append(f"| {name} | " + " | ".join(f"{figure:.4f}" for figure in figures) + " |")
    return dg.MetadataValue.md("\n".join(lines))
