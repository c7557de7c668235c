"""How a training is done: one frozen object with every figure that a person may want to move."""

from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Literal, Self

from company.churn import ChurnDefinition
from company.policy import Policy, load_policy
from company.policy.training import Promotion, Training
from ml.learners import list_candidates
from ml.learners.base import Compute

Treated = Literal["untreated", "weighted"]


@cache
def _default_policy() -> Training:
    return load_policy().training


def _default(key: str) -> Any:  # noqa: ANN401 - the type of the field
    return getattr(_default_policy(), key)


@dataclass(frozen=True)
class TrainConfig:
    """The figures of a training, by default those of the default policy.

    Args:
        candidates: names of algorithms in `ml/learners`; raises an `UnknownLearnerError` for any other.
        seed: of everything that is drawn; the same data, seed and code give the same model on one machine.
        compute: where and how wide to compute.
        lead_days: days between the snapshot and the first day on which leaving counts.
        horizon_days: days for which leaving counts from then on; labels mature when both have passed.
        folds: that validate: 3 snapshots, or 5 folds by chance, unless given.
        capacity_share: share of customers that can be contacted; the lift is read there.
        treated: learn from untreated customers as they are, or weighted so that they stand for all.
        largest_weight: that one of them may get then.
        group_margin: ROC-AUC by which a group's own model must beat the shared one.
        promotion: what a model of a further lead time must show to be used; without it any is.
        tuning_seconds: of searching for hyperparameters; any makes a training depend on the machine.
        tuning_trials: how many hyperparameters to search instead, which is reproducible.
        tuning_keeps: how many of the best found are compared with the stock ones.
        minimum_of_each: churned, and stayed, rows below which no split holds both outcomes.
        log_loss_tolerance: difference that is chance, as a share of the base rate's log loss; the ranking decides then.
        auc_tolerance: difference in ROC-AUC that is chance; the blend is preferred then.
        blend_l2: pull of the blend towards equal shares, as a share of the base rate's log loss.
        min_blend_share: a smaller share of the blend is left out: it would cost time and change no score.
    """

    candidates: tuple[str, ...] = field(default_factory=partial(_default, "candidates"))
    seed: int = 0
    compute: Compute = field(default_factory=Compute)
    lead_days: int = 0
    horizon_days: int = 0
    folds: int | None = None
    capacity_share: float = field(default_factory=partial(_default, "capacity_share"))
    treated: Treated = field(default_factory=partial(_default, "treated"))
    largest_weight: float = field(default_factory=partial(_default, "largest_weight"))
    group_margin: float = field(default_factory=partial(_default, "group_margin"))
    promotion: Promotion | None = None
    tuning_seconds: float = field(default_factory=partial(_default, "tuning_seconds"))
    tuning_trials: int | None = None
    tuning_keeps: int = 1
    minimum_of_each: int = 10
    log_loss_tolerance: float = 0.0025
    auc_tolerance: float = 0.001
    blend_l2: float = 0.005
    min_blend_share: float = 0.05

    def __post_init__(self) -> None:
        """Refuse a candidate that no module of `ml/learners` declares."""
        list_candidates(self.candidates)

    @classmethod
    def from_policy(cls, policy: Policy, churn: ChurnDefinition) -> Self:
        """Take every figure from the policy and from the company's churn definition."""
        training = policy.training
        return cls(
            candidates=training.candidates,
            seed=training.seed,
            compute=Compute(device=training.device),
            lead_days=churn.lead_days,
            horizon_days=churn.horizon_days,
            capacity_share=training.capacity_share,
            treated=training.treated,
            largest_weight=training.largest_weight,
            group_margin=training.group_margin,
            promotion=policy.promotion,
            tuning_seconds=training.tuning_seconds,
        )

    @property
    def maturity_days(self) -> int:
        """Days after its snapshot when a label is known."""
        return self.lead_days + self.horizon_days
