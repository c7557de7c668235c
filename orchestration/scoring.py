"""Scores and reasons by a model, each customer by itself: any part of the customers gives the same as all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from company.facts import Facts, load_facts
from company.policy import Policy
from ml.dataset import Feature
from ml.explaining.reasons import explain_model
from ml.score import SCHEMA, score
from ml.training.lead_times import SCHEMA as LEAD_SCHEMA
from ml.training.lead_times import score_lead_times
from ml.training.pipeline import Model
from retention.deciding.tiers import NONE, assign

if TYPE_CHECKING:
    from company.policy.units import Level
    from ml.registry import RegisteredModel, Registry
    from orchestration.deployment import Deployment

LOWEST_TIER = "low"
SCORED_SCHEMA = pa.schema([*SCHEMA, *((name, pa.string()) for name in ("tier", "alert_level", "level"))])
AHEAD_SCHEMA = LEAD_SCHEMA.append(pa.field("model_version", pa.string()))


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """A version of the model with all that it takes to score, and to explain, customers as of a day."""

    model: Model
    version: str
    ahead: Mapping[int, Model]  # models of further lead times, by days
    as_of: date
    horizon_days: int
    policy: Policy
    features: Sequence[Feature]
    facts: Facts
    cutoffs: "dict[Level, float] | None"
    points: "Mapping[Level, int]"

    def score(self, rows: pa.Table) -> pa.Table:
        """Return the scores of customers (rows of features) with their tiers and levels."""
        found = score(self.model, rows, as_of=self.as_of, horizon_days=self.horizon_days, model_version=self.version)
        return assign_levels(found, self.policy, cutoffs=self.cutoffs, points=self.points)

    def score_ahead(self, rows: pa.Table) -> pa.Table:
        """Return the scores of further lead times."""
        found = score_lead_times(self.ahead, rows, as_of=self.as_of, horizon_days=self.horizon_days)
        return found.append_column("model_version", pa.repeat(self.version, found.num_rows))

    def explain(self, rows: pa.Table, *, at_risk: npt.NDArray[np.bool_], exact: bool | None = None) -> pa.Table:
        """Return the reasons of those `at_risk`; `exact` as `explain_model` has it."""
        share = self.policy.inferred_reasons.minimum_share
        return explain_model(
            self.model, rows, self.features, self.facts,
            as_of=self.as_of, at_risk=at_risk, minimum_share=share, exact=exact,
        )  # fmt: skip


def make_scorer(
    deployment: "Deployment",
    registry: "Registry",
    version: "RegisteredModel",
    *,
    as_of: date,
    cutoffs: "dict[Level, float] | None",
    points: "Mapping[Level, int]",
) -> Scorer:
    """Return what scores by a version under a company's policy."""
    from orchestration.training_set import GROUP_WORDS

    return Scorer(
        model=version.model,
        version=version.version,
        ahead=registry.lead_times(version.version),
        as_of=as_of,
        horizon_days=deployment.company.churn.horizon_days,
        policy=deployment.policy,
        features=[*deployment.learned_features, GROUP_WORDS],
        facts=read_facts(deployment),
        cutoffs=cutoffs,
        points=points,
    )


def read_facts(deployment: "Deployment") -> Facts:
    """Return the facts in the words of the company's industry."""
    return load_facts().fill(deployment.industry.words)


def find_at_risk(scores: pa.Table, *, mean: float) -> npt.NDArray[np.bool_]:
    """Return for each score whether it needs a reason: at or above the day's `mean`, or above the lowest level."""
    levels = (scores["tier"].to_numpy() != LOWEST_TIER) | (scores["level"].to_numpy() != NONE)
    found: npt.NDArray[np.bool_] = levels | (scores["probability"].to_numpy() >= mean)
    return found


def assign_levels(
    scores: pa.Table, policy: Policy, *, points: "Mapping[Level, int]", cutoffs: "dict[Level, float] | None" = None
) -> pa.Table:
    """Return the scores with the tiers and levels of a policy."""
    assigned = assign(scores.to_pandas(), policy, cutoffs=cutoffs, points=points)
    return pa.Table.from_pandas(assigned, schema=SCORED_SCHEMA, preserve_index=False)
