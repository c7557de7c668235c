"""What follows the models of a day on Spark, read from the warehouse: the gates' rules, and the version that scores."""

from datetime import date

from expectations.features import WITH_OWN
from expectations.spark import translate_suites
from ml.registry import Registry
from ml.training.spark import plan_regrowth
from orchestration.deployment import Deployment
from orchestration.scoring import make_scorer
from orchestration.spark.job import Stages
from orchestration.suites import list_customer_suites, list_feature_suites, list_score_suites
from orchestration.training_set import count_known
from orchestration.warehouse import Warehouse

SCORES = "scores.churn_scores"
BATCH = f"select coalesce(max(batch), 1) from {SCORES} where as_of = $as_of"


def plan_stages(deployment: Deployment, warehouse: Warehouse, registry: Registry, *, as_of: date) -> Stages:
    """Return the gates, and the champion as the scorer; no scorer before the first promotion."""
    from orchestration.defs.cutoffs import read_cutoffs, read_raised
    from orchestration.defs.scores import BASE_RATE

    judged = [
        *list_customer_suites(deployment, as_of=as_of),
        *list_feature_suites(deployment, as_of=as_of, has_own=warehouse.has_table(WITH_OWN)),
    ]
    champion = registry.champion()
    if champion is None:
        return Stages(gates=tuple(translate_suites(judged)))
    batch = int(warehouse.read_value(BATCH, {"as_of": as_of})) if warehouse.has_table(SCORES) else 1
    base_rate = warehouse.read_value(BASE_RATE)
    scored = list_score_suites(deployment, as_of=as_of, batch=batch, base_rate=base_rate, is_ruled=False)
    scorer = make_scorer(
        deployment,
        registry,
        champion,
        as_of=as_of,
        cutoffs=read_cutoffs(warehouse, as_of),
        points=read_raised(warehouse, as_of),
    )
    known, newest = count_known(warehouse, as_of=as_of, until=as_of)
    training = deployment.policy.training
    return Stages(
        gates=tuple(translate_suites(judged)),
        scorer=scorer,
        batch=batch,
        score_gates=tuple(translate_suites(scored)),
        regrowth=plan_regrowth(champion.model, known=known, until=as_of, newest=newest, training=training),
    )
