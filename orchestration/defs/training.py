"""The monthly training: candidates, the challenger in the registry, and its promotion when it is better."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from company.company_file import Company
from company.policy import Policy
from ml.evaluate import Evaluation, reliability
from ml.registry import FINGERPRINT, REPLACED, RegisteredModel, Registry
from ml.training.promotion import Decision, compare
from orchestration.automation import ASKED_ON, REQUEST, TRIGGER
from orchestration.defs.cutoffs import VALIDATION
from orchestration.defs.model_trials import is_open
from orchestration.defs.scores import RULES
from orchestration.deployment import Deployment
from orchestration.documents import as_json, describe_data, read_gates
from orchestration.engines import SPARK
from orchestration.gates import require_passed
from orchestration.metadata import describe_table, link_version, round_figures
from orchestration.partitions import read_as_of
from orchestration.plots import plot_calibration
from orchestration.review import Outcome, judge
from orchestration.training_set import GROUP, VALUE, TrainingSet, read_training_set
from orchestration.warehouse import Warehouse
from retention.store.store import Store

if TYPE_CHECKING:
    from ml.cold_start.scores import Shortfall
    from ml.evaluate import Profit, ProfitTerms
    from ml.explaining.card import Insight
    from ml.training.fairness import GroupFigures
    from ml.training.monthly import Training
    from ml.training.train import Fitted
    from ml.training.treated import TreatedFit

OWNER = "team:data-science"
MONTHS_LOOKED_AT, ROWS_LOOKED_AT = 3, 700  # of contributions that are averaged: it then errs by some 2 % of one
FIGURES = (*(name for name in Evaluation.__dataclass_fields__ if name != "n"), "brier_skill")
HELD = ("auc", "pr_auc", "brier", "ece", "lift_at_capacity")  # figures with a 95 % bootstrap interval
TRAININGS = pa.schema(
    [
        *(("as_of", pa.date32()), ("model_version", pa.string()), ("state", pa.string()), ("chosen", pa.string())),
        *(("rows_learned", pa.int64()), ("n", pa.int64()), *((name, pa.float64()) for name in FIGURES)),
        *((f"{name}_{end}", pa.float64()) for name in HELD for end in ("low", "high")),
        *((name, pa.float64()) for name in ("profit_per_thousand", "profit_of_all", "importance_stability")),
        *(("lead_times", pa.string()), ("groups", pa.string()), ("trials", pa.int64())),
        *(("trigger", pa.string()), ("reason", pa.string())),
    ]
)
PROMOTIONS = pa.schema(
    [
        *(("as_of", pa.date32()), ("model_version", pa.string()), ("is_promotable", pa.bool_())),
        *(("lifecycle_status", pa.string()), ("reason", pa.string())),
    ]
)
GROUP_FIGURES = "monitoring.group_figures"
GROUPS = pa.schema(
    [
        *(("as_of", pa.date32()), *((name, pa.string()) for name in ("model_version", "group_of", "group_value"))),
        *(("is_protected", pa.bool_()), ("is_misstated", pa.bool_()), ("count_rows", pa.int64())),
        *((name, pa.float64()) for name in ("base_rate", "mean_probability", "gap", "chance", "auc")),
        *((name, pa.float64()) for name in ("contacted", "found", "contacted_in_vain")),
    ]
)
REPORTED = (  # of a training's row, what the asset's page shows
    *("as_of", "model_version", "state", "chosen", "trigger", "reason", "lead_times", "groups", "rows_learned", "n"),
    *("base_rate", "auc", "auc_low", "auc_high", "brier_skill", "ece", "lift_at_capacity", "profit_per_thousand"),
)
FROM_FEATURES = [
    dg.AssetDep(key, partition_mapping=dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True))
    for key in (["features", "eligible_snapshots"], ["features", "labelled_snapshots"])
]


def _spec(table: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=["monitoring", table],
        deps=FROM_FEATURES,
        group_name="training",
        owners=[OWNER],
        kinds={"mlflow", "xgboost", "scikitlearn"},
        description=description,
    )


@dg.multi_asset(
    name="training",
    specs=[
        _spec("trainings", "One row per training: what it learned from, how it did on later data, its version."),
        _spec("promotions", "One row per training: whether the challenger may become champion, and why."),
        _spec(
            VALIDATION.removeprefix("monitoring."),
            "One row per customer and snapshot on which the latest challenger was validated: predicted, and what came.",
        ),
        _spec(
            GROUP_FIGURES.removeprefix("monitoring."),
            "One row per training and group of customers that is large enough: whether scores mean the same for it.",
        ),
    ],
)
def training(
    context: dg.AssetExecutionContext,
    deployment: dg.ResourceParam[Deployment],
    warehouse: dg.ResourceParam[Warehouse],
    store: dg.ResourceParam[Store],
    registry: dg.ResourceParam[Registry],
) -> Iterator[dg.MaterializeResult[None]]:
    """Learn from the matured monthly snapshots, register the challenger, promote it when it is better."""
    as_of, policy = read_as_of(context), deployment.policy
    until = date.fromisoformat(context.run.tags.get(ASKED_ON, as_of.isoformat()))
    require_passed(warehouse, store, "features", as_of=until)
    declared = deployment.learned_features
    learned = read_training_set(warehouse, deployment.company, policy, declared, as_of=as_of, until=until)
    trigger = context.run.tags.get(TRIGGER, "manual")
    shortfall = measure(deployment.company, policy, learned)
    if shortfall.is_cold_start:
        yield from report_cold_start(warehouse, learned, shortfall.reason, trigger=trigger)
        return
    found, trees = grow_on_all(deployment, warehouse, learn(deployment, learned), learned)
    fitted, insight = found.fitted, look_into(policy, found, learned)
    rival = find_rival(registry, learned.fingerprint)
    groups = judge_groups(policy, fitted, learned)
    decision = decide(policy, fitted, learned, rival, groups)
    gates = read_gates(warehouse, store, as_of=until)
    run_url = f"{deployment.settings.webserver_url}/runs/{context.run_id}"
    facts = {"trigger": trigger, "decision": decision.reason, "run": run_url}
    facts |= {**gates, "treated customers": describe_treated(found.treated), **trees}
    version = registry.register(
        fitted,
        as_of=as_of.isoformat(),
        fingerprint=learned.fingerprint,
        trigger=trigger,
        tags=gates,
        run_url=run_url,
        documents=write_documents(warehouse, policy, found, learned, insight, groups=groups, facts=facts),
        lead_times={lead: each.model for lead, each in found.lead_times.fitted.items()},
        trials=found.trials,
        review=policy.promotion.mode == "review",
        keeps_challenger=is_open(warehouse, registry, policy.promotion, as_of=until),
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
    warehouse.replace(VALIDATION, list_validation_scores(fitted, learned))
    yield dg.MaterializeResult(asset_key=VALIDATION.split("."), metadata=describe_table(warehouse, VALIDATION))
    yield write_groups(warehouse, policy, groups, as_of=until, version=version)
    row = describe(found, insight, as_of=until, version=version, trigger=trigger)
    page = link_version(registry, deployment.settings.registry_url, version)
    yield from report(warehouse, fitted, row, decision, outcome, page=page)


def measure(company: Company, policy: Policy, learned: TrainingSet) -> "Shortfall":
    """Return how far the company is from enough customers for a model of its own."""
    from ml.cold_start.scores import measure_shortfall

    days = company.churn.lead_days + company.churn.horizon_days
    return measure_shortfall(learned.rows, "churned", training=policy.training, time="as_of", maturity_days=days)


def learn(deployment: Deployment, learned: TrainingSet) -> "Training":
    """Train by the policy: the candidates next to the treated, the groups, and the further lead times."""
    from ml.dataset import Columns
    from ml.explaining.causes import list_causes
    from ml.training.config import TrainConfig
    from ml.training.leakage import require_no_leaks
    from ml.training.monthly import train

    policy = deployment.policy
    columns = Columns(
        label="churned",
        time="as_of",
        features=learned.features,
        causes=list_causes(deployment.features),
        customer="customer_id",
        treated="is_treated",
        group=GROUP if policy.training.groups else None,
        lead_times=learned.lead_labels,
    )
    config = TrainConfig.from_policy(policy, deployment.company.churn)
    require_no_leaks(learned.rows, columns, config)
    return train(learned.rows, columns, config)


def grow_on_all(
    deployment: Deployment, warehouse: Warehouse, found: "Training", learned: TrainingSet
) -> tuple["Training", dict[str, str]]:
    """Let Spark, where it computes the models, grow the trees on the rows beyond the policy's limit, too.

    Returns the training, and the facts that its card shows.
    """
    from ml.training.spark import adopt, plan_regrowth

    policy, model = deployment.policy, found.fitted.model
    days = {"until": learned.until, "newest": learned.newest}
    regrowth = plan_regrowth(model, known=learned.known, **days, training=policy.training)
    if deployment.settings.models_on != SPARK or regrowth is None:
        return found, {}
    from orchestration.spark.training import grow_on_spark

    grown = grow_on_spark(deployment, warehouse, regrowth)
    fitted, why = adopt(found.fitted, grown, promotion=policy.promotion, seed=policy.training.seed)
    return replace(found, fitted=fitted), {"trees": why}


def look_into(policy: Policy, found: "Training", learned: TrainingSet) -> "Insight":
    """Return how sure the figures are, the expected profit of acting on the score, and what the model looks at."""
    from ml.evaluate import intervals
    from ml.explaining.card import Insight
    from ml.explaining.importance import measure_importance

    rows = found.fitted.validation
    label, probability = (rows.column(name).to_numpy() for name in ("label", "probability"))
    held = intervals(
        label,
        probability,
        capacity=policy.training.capacity_share,
        draws=policy.expected_profit.draws,
        seed=policy.training.seed,
    )
    terms, profit = measure_profit(policy, found.fitted, learned)
    return Insight(
        held=held,
        terms=terms,
        profit=profit,
        importance=measure_importance(
            found.fitted.model, learned.rows, "as_of", months=MONTHS_LOOKED_AT, rows=ROWS_LOOKED_AT
        ),
    )


def measure_profit(policy: Policy, fitted: "Fitted", learned: TrainingSet) -> tuple["ProfitTerms", "Profit"]:
    """Return the profit of acting on the validated probabilities, each customer at the value of that day."""
    from ml.evaluate import ProfitTerms, profit

    assumed = policy.expected_profit
    terms = ProfitTerms(contact_cost=policy.contact_costs[assumed.channel], effect=assumed.effect)
    rows = fitted.validation
    label, probability = (rows.column(name).to_numpy() for name in ("label", "probability"))
    value = learned.rows.column(VALUE).take(rows.column("row")).to_numpy()
    return terms, profit(label, probability, value, terms=terms, capacity=policy.training.capacity_share)


def list_validation_scores(fitted: "Fitted", learned: TrainingSet) -> pa.Table:
    """Return the out-of-fold predictions with customer and snapshot."""
    rows = learned.rows.take(fitted.validation.column("row"))
    return pa.table(
        {
            "as_of": rows["as_of"],
            "customer_id": rows["customer_id"],
            "probability": fitted.validation["probability"],
            "churned": rows["churned"],
            VALUE: rows[VALUE],
        }
    )


def describe_treated(found: "TreatedFit") -> str:
    """Return how treated customers were handled, with the figures of both ways on the same untreated rows."""
    if not found.treated_share:
        return "none in the training set"
    both = "; ".join(
        f"{way}: AUC {read['all customers'].auc:.4f}, calibration error {read['all customers'].ece:.4f}"
        for way, read in found.evaluations.items()
    )
    return f"{found.treated_share:.1%} left out, learned {found.mode}. Representing all customers, {both}"


def find_rival(registry: Registry, found: str) -> RegisteredModel | None:
    """Return the champion, or, when a repeated training meets its own promotion, the one that it replaced."""
    champion = registry.champion()
    if champion is not None and champion.metadata[FINGERPRINT] == found:
        replaced = champion.metadata.get(REPLACED)
        return registry.read(replaced) if replaced else None
    return champion


def judge_groups(policy: Policy, fitted: "Fitted", learned: TrainingSet) -> tuple["GroupFigures", ...]:
    """Return how the challenger did on later data, by protected group and by segment."""
    from ml.training.fairness import measure_groups

    rows = fitted.validation.column("row").to_pylist()
    return measure_groups(
        fitted.validation.column("label").to_numpy(),
        fitted.validation.column("probability").to_numpy(),
        {name: [values[row] for row in rows] for name, values in learned.groups.items()},
        capacity=policy.training.capacity_share,
        minimum_rows=policy.fairness.minimum_rows,
    )


def write_groups(
    warehouse: Warehouse, policy: Policy, groups: Sequence["GroupFigures"], *, as_of: date, version: str
) -> dg.MaterializeResult[None]:
    """Record what a version's scores mean for each group, and whether that is allowed."""
    from ml.training.fairness import is_misstated

    fairness = policy.fairness
    rows = [
        {"as_of": as_of, "model_version": version, "group_of": each.column, "group_value": each.group}
        | {"is_protected": each.column in fairness.protected, "count_rows": each.rows}
        | {"is_misstated": is_misstated(each, maximum_gap=fairness.maximum_gap)}
        | {name: value for name, value in each.as_dict().items() if name in GROUPS.names}
        for each in groups
    ]
    warehouse.replace_day(GROUP_FIGURES, pa.Table.from_pylist(rows, schema=GROUPS), as_of=as_of)
    described = describe_table(warehouse, GROUP_FIGURES, as_of=as_of)
    return dg.MaterializeResult(asset_key=GROUP_FIGURES.split("."), metadata=described)


def decide(
    policy: Policy,
    fitted: "Fitted",
    learned: TrainingSet,
    rival: RegisteredModel | None,
    groups: Sequence["GroupFigures"],
) -> Decision:
    """Compare the challenger with the champion on snapshots that neither learned from, and ask whether it is fair."""
    from ml.training.fairness import name_unfair

    fairness = policy.fairness
    return compare(
        fitted,
        rival.model if rival else None,
        learned.rows,
        time="as_of",
        promotion=policy.promotion,
        capacity=policy.training.capacity_share,
        objections=name_unfair(groups, protected=fairness.protected, maximum_gap=fairness.maximum_gap),
    ).decision


def write_documents(
    warehouse: Warehouse,
    policy: Policy,
    found: "Training",
    learned: TrainingSet,
    insight: "Insight",
    *,
    groups: Sequence["GroupFigures"],
    facts: Mapping[str, str],
) -> dict[str, bytes]:
    """Return what a version carries with the model: its card, its data, and what drift is measured against."""
    from ml.explaining.card import write_card
    from ml.monitoring.drift import describe_reference

    reference = describe_reference(
        learned.rows.filter(pc.equal(learned.rows["as_of"], pc.max(learned.rows["as_of"]))),
        found.fitted.model.features,
        insight.importance.shares,
        importance_share=policy.drift.importance_share,
    )
    data = describe_data(warehouse, learned.rows, fingerprint=learned.fingerprint, until=learned.until)
    days = data["snapshots"]
    told = {
        "snapshots": f"{len(days)}, from {days[0]} to {days[-1]}",
        "rows": f"{learned.rows.num_rows:,} of {learned.known:,} that are labelled",
        "data fingerprint": learned.fingerprint,
        "code": data["code_version"],
        "hyperparameters searched": f"{len(found.trials)}, in {policy.training.tuning_seconds:g} s",
        **facts,
    }
    card = write_card(
        found,
        insight,
        facts=told,
        groups=groups,
        protected=policy.fairness.protected,
        reference=reference,
    )
    drift = as_json([each.as_dict() for each in reference])
    return {"card.html": card, "data.json": as_json(data), "drift_reference.json": drift}


def describe(found: "Training", insight: "Insight", *, as_of: date, version: str, trigger: str) -> dict[str, Any]:
    """Return the chosen candidate's figures on the snapshots that validated it, and of groups and lead times."""
    fitted = found.fitted
    figures = fitted.evaluations[fitted.chosen].as_dict()
    row = {"as_of": as_of, "model_version": version, "state": "model", "chosen": fitted.chosen}
    row |= {"rows_learned": fitted.rows, "trigger": trigger, "reason": ""}
    row |= {f"{name}_low": insight.held[name].low for name in HELD}
    row |= {f"{name}_high": insight.held[name].high for name in HELD}
    if insight.profit is not None:
        row |= {"profit_per_thousand": insight.profit.per_thousand, "profit_of_all": insight.profit.per_thousand_all}
    row |= {"importance_stability": insight.importance.stability, "trials": len(found.trials)}
    row |= {"lead_times": "; ".join(found.describe_lead_times()), "groups": "; ".join(found.describe_groups())}
    return row | {name: figures[name] for name in ("n", *FIGURES)}


def report(
    warehouse: Warehouse,
    fitted: "Fitted",
    row: Mapping[str, Any],
    decision: Decision,
    outcome: Outcome,
    *,
    page: Mapping[str, Any],
) -> Iterator[dg.MaterializeResult[None]]:
    """Write both tables, the training last: its row records that the month has been trained."""
    as_of: date = row["as_of"]
    judged: dict[str, Any] = {"as_of": as_of, "model_version": outcome.version, "is_promotable": decision.promote}
    judged |= {"lifecycle_status": outcome.lifecycle_status, "reason": outcome.reason}
    _write(warehouse, judged, row)
    label, probability = (fitted.validation.column(name).to_numpy() for name in ("label", "probability"))
    pictures = {
        "candidates": list_candidates(fitted),
        "calibration": plot_calibration(reliability(label, probability)),
    }
    shown = {
        "trainings": {**round_figures(row, REPORTED), **pictures, **page},
        "promotions": {**round_figures(judged), **page},
    }
    for table, metadata in shown.items():
        described = describe_table(warehouse, f"monitoring.{table}", as_of=as_of)
        yield dg.MaterializeResult(asset_key=["monitoring", table], metadata={**described, **metadata})


def report_cold_start(
    warehouse: Warehouse, learned: TrainingSet, reason: str, *, trigger: str
) -> Iterator[dg.MaterializeResult[None]]:
    """Record that there is too little to learn from, how much is missing, and what scores instead."""
    rate = pc.mean(learned.rows["churned"].cast(pa.int8())).as_py()
    row = {"as_of": learned.until, "model_version": RULES, "state": "cold_start", "chosen": "rules", "rows_learned": 0}
    row |= {"base_rate": rate, "trigger": trigger, "reason": reason}
    judged = {"as_of": learned.until, "model_version": RULES, "is_promotable": False, "lifecycle_status": "cold_start"}
    _write(warehouse, judged | {"reason": reason}, row)
    yield dg.MaterializeResult(asset_key=VALIDATION.split("."), metadata={"dagster/row_count": 0})
    yield dg.MaterializeResult(asset_key=GROUP_FIGURES.split("."), metadata={"dagster/row_count": 0})
    for table in ("trainings", "promotions"):
        described = describe_table(warehouse, f"monitoring.{table}", as_of=learned.until)
        yield dg.MaterializeResult(asset_key=["monitoring", table], metadata=described | round_figures(row, REPORTED))


def _write(warehouse: Warehouse, judged: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    as_of: date = row["as_of"]
    warehouse.replace_day("monitoring.promotions", _table(judged, PROMOTIONS), as_of=as_of)
    warehouse.replace_day("monitoring.trainings", _table(row, TRAININGS), as_of=as_of)


def _table(row: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([dict(row)], schema=schema)


def list_candidates(fitted: "Fitted") -> dg.MarkdownMetadataValue:
    """Return every candidate's figures on later data as a table."""
    lines = ["| candidate | AUC | PR-AUC | ECE | accuracy | majority | lift |", "|---|---|---|---|---|---|---|"]
    for name, shown in fitted.evaluations.items():
        figures = (shown.auc, shown.pr_auc, shown.ece, shown.accuracy, shown.majority_accuracy, shown.lift_at_capacity)
        lines.append(f"| {name} | " + " | ".join(f"{figure:.4f}" for figure in figures) + " |")
    return dg.MetadataValue.md("\n".join(lines))
