"""What a training learns from: the labelled snapshots that were known on a day, with the targets further ahead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import pyarrow as pa

from company.company_file import Company
from company.policy import Policy
from ml.dataset import Feature
from orchestration.documents import fingerprint
from orchestration.lead_times import list_lead_times
from orchestration.warehouse import Warehouse

GROUP = "customer_group"  # the policy's group of a customer, which may have a model of its own
GROUP_WORDS = Feature(
    GROUP, "lifecycle", "", "other", "belongs to a group of its own: {value}", "属于单独建模的客群: {value}"
)
VALUE = "value_from_now"  # of the customer on the day of the snapshot; no feature
PARTS = 1_000_000  # into which a hash divides the customers
LABELLED = "features.labelled_snapshots"
# A retrain that was asked for within a month also learns from the newest day whose labels are in.
_LEARNED = "label_until <= {until} and (day(as_of) = 1 or as_of = {newest})"
NEWEST = f"select max(as_of) from {LABELLED} where label_until <= $until"
IS_LEARNED = _LEARNED.format(until="$until", newest="$newest")
KNOWN = f"select count(*) as known, coalesce(max(as_of), $until) as newest from {LABELLED} where {IS_LEARNED}"
TRAINING_SET = f"""
    select * exclude (label_until{{hidden}}){{known}}
    from {LABELLED}
    where {IS_LEARNED} and hash(customer_id, $seed) % {PARTS} < $parts
    order by as_of, customer_id
"""
KNOWN_AHEAD = "case when {name}_until <= $until then {name} end as {name}"
COLUMNS = f"select * from {LABELLED} limit 0"


@dataclass(frozen=True)
class TrainingSet:
    """The labelled snapshots that were known on the day `until`, and each row's groups, which no model sees."""

    rows: pa.Table
    groups: Mapping[str, Sequence[str | None]]
    lead_labels: Mapping[int, str]  # per further lead time its label column
    features: Sequence[str]  # the declared ones that say anything, without those that are protected
    until: date
    newest: date  # the last snapshot among the labelled rows
    known: int  # labelled rows; where they are more than the policy allows, customers were drawn by a hash

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what is learned from."""
        return fingerprint(self.rows)


def read_training_set(
    warehouse: Warehouse, company: Company, policy: Policy, declared: Sequence[Feature], *, as_of: date, until: date
) -> TrainingSet:
    """Return the labelled snapshots, and the groups by which fairness is judged and segments are shown."""
    from ml.dataset import list_informative

    columns = warehouse.read(COLUMNS).column_names
    groups = [name for name in (*policy.fairness.protected, *policy.fairness.segments) if f"group_{name}" in columns]
    leads = {lead: f"churned_after_{lead}" for lead in list_lead_times(company.churn, policy)}
    total, newest = count_known(warehouse, as_of=as_of, until=until)
    parts = PARTS * min(1.0, policy.training.maximum_rows / max(total, 1))
    query = TRAINING_SET.format(
        hidden="".join(f", {name}_until" for name in leads.values()),
        known=f" replace ({', '.join(KNOWN_AHEAD.format(name=name) for name in leads.values())})" if leads else "",
    )
    given = {"until": until, "newest": newest, "seed": policy.training.seed, "parts": int(parts)}
    found = warehouse.read(query, given)
    names = [each.name for each in declared if each.name not in policy.fairness.protected]
    return TrainingSet(
        rows=found.drop_columns([f"group_{name}" for name in groups]),
        groups={name: found.column(f"group_{name}").to_pylist() for name in groups},
        lead_labels=leads,
        features=list_informative(found, names),
        until=until,
        newest=newest,
        known=total,
    )


def name_learned(*, until: date, newest: date) -> str:
    """Return the condition of the rows that a training learns from, in SQL that every engine knows."""
    return _LEARNED.format(until=f"date '{until}'", newest=f"date '{newest}'")


def count_known(warehouse: Warehouse, *, as_of: date, until: date) -> tuple[int, date]:
    """Return how many labelled rows a training of the run `as_of` may learn from, and the last snapshot among them."""
    newest = as_of if until == as_of else warehouse.read_value(NEWEST, {"until": until})
    (found,) = warehouse.read(KNOWN, {"until": until, "newest": newest}).to_pylist()
    return found["known"], found["newest"]
