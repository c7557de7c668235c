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
from orchestration.rows import select_rows
from orchestration.warehouse import Warehouse

# A retrain that was asked for within a month also learns from the newest day whose labels are in.
PARTS = 1_000_000  # into which a hash divides the customers
KNOWN = """
    select count(*) from features.churn_labels
    where is_mature and label_until <= $until and (as_of = date_trunc('month', as_of) or as_of = $newest)
"""
TRAINING_SET = f"""
    select features.*, labels.churned, {{treated}} as is_treated{{leads}}{{groups}}
    from ({{rows}}) as features
    inner join features.churn_labels as labels using (as_of, customer_id)
    {{lead_windows}}
    left join customer_360.customers as customers using (customer_id)
    where labels.is_mature and labels.label_until <= $until
        and (features.as_of = date_trunc('month', features.as_of) or features.as_of = $newest)
        and hash(features.customer_id, $seed) % {PARTS} < $parts
    order by features.as_of, features.customer_id
"""
TREATED = """exists (
        select 1 from retention.ledger as ledger
        where ledger.customer_id = features.customer_id and ledger.event = 'sent' and ledger.arm = 'treated'
            and ledger.as_of >= features.as_of and ledger.as_of < {window}.label_until and ledger.as_of <= $until
    )"""
LEAD_WINDOW = """left join features.churn_outcomes as ahead_{lead}
        on ahead_{lead}.as_of = features.as_of and ahead_{lead}.customer_id = features.customer_id
        and ahead_{lead}.definition = $definition and ahead_{lead}.horizon_days = $horizon
        and ahead_{lead}.lead_days = {lead}"""
LEAD = """, case
        when ahead_{lead}.is_mature and ahead_{lead}.label_until <= $until and not {treated} then ahead_{lead}.churned
    end as {name}"""
NEWEST = "select max(as_of) from features.churn_labels where is_mature and label_until <= $until"


@dataclass(frozen=True)
class TrainingSet:
    """The labelled snapshots that were known on the day `until`, and each row's groups, which no model sees."""

    rows: pa.Table
    groups: Mapping[str, Sequence[str | None]]
    leads: Mapping[int, str]  # per further lead time its label column
    features: Sequence[str]  # the declared ones that say anything, without those that are protected
    until: date
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

    known = warehouse.read("select * from customer_360.customers limit 0").column_names
    groups = [name for name in (*policy.fairness.protected, *policy.fairness.segments) if name in known]
    leads = {lead: f"churned_after_{lead}" for lead in list_lead_times(company.churn, policy)}
    newest = as_of if until == as_of else warehouse.read_value(NEWEST, {"until": until})
    treated = TREATED if warehouse.has_table("retention.ledger") else "false"
    targets = [
        LEAD.format(lead=lead, name=name, treated=treated.format(window=f"ahead_{lead}"))
        for lead, name in leads.items()
    ]
    query = TRAINING_SET.format(
        rows=select_rows(policy.training.groups),
        groups="".join(f", customers.{name} as group_{name}" for name in groups),
        treated=treated.format(window="labels"),
        leads="".join(targets),
        lead_windows="\n    ".join(LEAD_WINDOW.format(lead=lead) for lead in leads),
    )
    total = warehouse.read_value(KNOWN, {"until": until, "newest": newest})
    parts = PARTS * min(1.0, policy.training.maximum_rows / max(total, 1))
    given: dict[str, object] = {"until": until, "newest": newest, "seed": policy.training.seed, "parts": int(parts)}
    if leads:
        given |= {"definition": company.churn.definition, "horizon": company.churn.horizon_days}
    found = warehouse.read(query, given)
    names = [each.name for each in declared if each.name not in policy.fairness.protected]
    return TrainingSet(
        rows=found.drop_columns([f"group_{name}" for name in groups]),
        groups={name: found.column(f"group_{name}").to_pylist() for name in groups},
        leads=leads,
        features=list_informative(found, names),
        until=until,
        known=total,
    )
