"""A month's training in whole: the search, the model beside the treated, groups of customers, and lead times."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ml.dataset import Tabular, as_table, column
from ml.learners.members import Compute
from ml.training.group_models import Verdict, fit_segments
from ml.training.lead_times import Leads, fit_leads
from ml.training.promotion import Bar, refusals
from ml.training.train import Fitted
from ml.training.treated import Mode, TreatedFit, fit_beside_treated
from ml.training.tune import TrialRecord, tune


@dataclass(frozen=True)
class Plan:
    """What a training is to do; every figure comes from the policy and the company's churn definition.

    `causes` are those of the `features` that tell why a customer leaves.
    `leads` names for each further lead time its label column, null where it has not matured or the customer was
    treated before its window ended; a model for it has to clear the `bar` by itself. `group` is the
    column of groups that may get a model of their own, None for none.
    """

    features: Sequence[str]
    lead_days: int
    horizon_days: int
    seed: int
    capacity: float
    candidates: Sequence[str] = ("logistic_regression", "random_forest", "xgboost")
    mode: Mode = "untreated"
    largest_weight: float = 10.0
    leads: Mapping[int, str] | None = None
    bar: Bar | None = None
    group: str | None = None
    group_margin: float = 0.0
    tuning_seconds: float = 0.0
    device: str = "cpu"
    causes: Sequence[str] = ()

    @property
    def given(self) -> dict[str, Any]:
        """Return the arguments of `fit` that all fits of the training share."""
        shared = {"features": list(self.features), "seed": self.seed, "capacity": self.capacity}
        return shared | {"compute": Compute(device=self.device)}


@dataclass(frozen=True)
class Training:
    """What a month's training found.

    `fitted` is what may score: the model beside the treated, joined with those of the groups that earned one. `leads`
    hold the further lead times, `trials` the settings that were searched.
    """

    fitted: Fitted
    beside: TreatedFit
    groups: tuple[Verdict, ...]
    leads: Leads
    trials: tuple[TrialRecord, ...]

    def tell_leads(self) -> list[str]:
        """Return one clause per further lead time: its figures on later data, or why there is no model."""
        found = {lead: _tell_lead(each) for lead, each in self.leads.fitted.items()} | dict(self.leads.unknown)
        return [f"{lead} days ahead: {found[lead]}" for lead in sorted(found)]

    def tell_groups(self) -> list[str]:
        """Return one clause per group: whether it got a model of its own, and why."""
        return [
            f"{each.segment}: {'a model of its own' if each.kept else 'the shared model'}, {each.reason}"
            for each in self.groups
        ]


def train(table: Tabular, label: str, time: str, *, treated: str, plan: Plan) -> Training:
    """Do what `plan` says; groups and lead times learn from the untreated as they are, and share the settings found."""
    whole = as_table(table)
    alone = _left_alone(whole, label, treated)
    matured: dict[str, Any] = {"maturity_days": plan.lead_days + plan.horizon_days}
    tuned = tune(
        alone,
        label,
        time,
        seconds=plan.tuning_seconds,
        **{name: value for name, value in plan.given.items() if name != "capacity"},
        **matured,
    )
    beside = fit_beside_treated(
        whole,
        label,
        time,
        treated=treated,
        mode=plan.mode,
        largest_weight=plan.largest_weight,
        candidates=plan.candidates,
        recipes=tuned.recipes,
        causes=plan.causes,
        **plan.given,
        **matured,
    )
    fitted = beside.fitted
    verdicts: tuple[Verdict, ...] = ()
    if plan.group is not None:
        fitted, verdicts = fit_segments(
            fitted,
            alone,
            label,
            time,
            segment=plan.group,
            margin=plan.group_margin,
            causes=plan.causes,
            **plan.given,
            **matured,
        )
    targets = {plan.lead_days: label, **(plan.leads or {})}
    leads = fit_leads(alone, targets, time, horizon_days=plan.horizon_days, first=beside.fitted, **plan.given)
    return Training(fitted, beside, verdicts, _hold_to(plan, leads), tuned.trials)


def _hold_to(plan: Plan, leads: Leads) -> Leads:
    """Return the further lead times; a model below the bar is named instead of used."""
    further = {lead: each for lead, each in leads.fitted.items() if lead != plan.lead_days}
    against = {
        lead: refusals(each.evaluations[each.chosen], bar=plan.bar) if plan.bar else ()
        for lead, each in further.items()
    }
    refused = {lead: "refused: " + ", ".join(clauses) for lead, clauses in against.items() if clauses}
    return Leads({lead: each for lead, each in further.items() if lead not in refused}, {**leads.unknown, **refused})


def _tell_lead(fitted: Fitted) -> str:
    shown = fitted.evaluations[fitted.chosen]
    return (
        f"AUC {shown.auc:.4f}, PR-AUC {shown.pr_auc:.4f} beside a base rate of {shown.base_rate:.4f}, "
        f"calibration error {shown.ece:.4f}, on {shown.n} later rows"
    )


def _left_alone(table: pa.Table, label: str, treated: str) -> pa.Table:
    """Return the table without the labels of treated rows, so that row numbers stay."""
    flag = pc.fill_null(column(table, treated).cast(pa.bool_()), fill_value=False)
    place = table.column_names.index(label)
    return table.set_column(place, label, pc.if_else(flag, None, column(table, label)))
