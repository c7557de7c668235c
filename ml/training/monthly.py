"""A month's training in whole: the search, the model next to the treated, groups of customers, and lead times."""

from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from company.policy.training import Promotion
from ml.dataset import Columns, Tabular, as_table, column
from ml.training.config import TrainConfig
from ml.training.group_models import GroupComparison, fit_groups
from ml.training.lead_times import LeadTimes, fit_lead_times
from ml.training.promotion import list_refusals
from ml.training.train import Fitted
from ml.training.treated import TreatedFit, fit_with_treated
from ml.training.tune import TrialRecord, tune


@dataclass(frozen=True)
class Training:
    """What a month's training found.

    `fitted` is what may score: the model of untreated customers, joined with those of the groups that earned one.
    `lead_times` hold the further lead times, `trials` the hyperparameters that were searched.
    """

    fitted: Fitted
    treated: TreatedFit
    groups: tuple[GroupComparison, ...]
    lead_times: LeadTimes
    trials: tuple[TrialRecord, ...]

    def describe_lead_times(self) -> list[str]:
        """Return one clause per further lead time: its figures on later data, or why there is no model."""
        fitted = {lead: _describe_figures(each) for lead, each in self.lead_times.fitted.items()}
        clauses = fitted | dict(self.lead_times.unknown)
        return [f"{lead} days ahead: {clauses[lead]}" for lead in sorted(clauses)]

    def describe_groups(self) -> list[str]:
        """Return one clause per group: whether it got a model of its own, and why."""
        return [
            f"{each.group}: {'a model of its own' if each.has_own_model else 'the shared model'}, {each.reason}"
            for each in self.groups
        ]


def train(table: Tabular, columns: Columns, config: TrainConfig) -> Training:
    """Train as `config` says, by the meanings of `columns`.

    Groups and lead times learn from the untreated as they are, and share the hyperparameters found. Without a column
    `treated` everybody counts as untreated.
    """
    whole = as_table(table)
    untreated = _drop_treated_labels(whole, columns)
    tuned = tune(untreated, columns, config)
    treated = fit_with_treated(whole, columns, config, candidates=tuned.candidates)
    fitted: Fitted = treated.fitted
    groups: tuple[GroupComparison, ...] = ()
    if columns.group is not None:
        fitted, groups = fit_groups(fitted, untreated, columns, config, group=columns.group)
    lead_times = fit_lead_times(untreated, columns, config, first=treated.fitted)
    return Training(fitted, treated, groups, _apply_promotion(lead_times, config), tuned.trials)


def _apply_promotion(found: LeadTimes, config: TrainConfig) -> LeadTimes:
    """Return the further lead times; a model that misses the policy's limits is named instead of used."""
    further = {lead: each for lead, each in found.fitted.items() if lead != config.lead_days}
    clauses = {lead: _refuse(each, config.promotion) for lead, each in further.items()}
    refused = {lead: "refused: " + ", ".join(each) for lead, each in clauses.items() if each}
    used = {lead: each for lead, each in further.items() if lead not in refused}
    return replace(found, fitted=used, unknown={**found.unknown, **refused})


def _refuse(fitted: Fitted, promotion: Promotion | None) -> tuple[str, ...]:
    return () if promotion is None else list_refusals(fitted.evaluations[fitted.chosen], promotion)


def _describe_figures(fitted: Fitted) -> str:
    shown = fitted.evaluations[fitted.chosen]
    return (
        f"AUC {shown.auc:.4f}, PR-AUC {shown.pr_auc:.4f} next to a base rate of {shown.base_rate:.4f}, "
        f"calibration error {shown.ece:.4f}, on {shown.n} later rows"
    )


def _drop_treated_labels(table: pa.Table, columns: Columns) -> pa.Table:
    """Return the table without the labels of treated rows, so that row numbers stay."""
    if columns.treated is None:
        return table
    flag = pc.fill_null(column(table, columns.treated).cast(pa.bool_()), fill_value=False)
    place = table.column_names.index(columns.label)
    return table.set_column(place, columns.label, pc.if_else(flag, None, column(table, columns.label)))
