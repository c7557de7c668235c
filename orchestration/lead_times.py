"""Further lead times: each lead time of the policy is a churn definition of its own, next to the main one."""

from company.churn import ChurnDefinition
from company.company_file import Company
from company.policy import Policy


def list_lead_times(churn: ChurnDefinition, policy: Policy) -> list[int]:
    """Return the lead times of the policy that lie beyond that of the churn definition itself, the shortest first."""
    return sorted(lead for lead in set(policy.training.lead_days) if lead > churn.lead_days)


def declare_lead_times(company: Company, policy: Policy) -> list[ChurnDefinition]:
    """Return the company's further churn definitions, and the main one at every further lead time of the policy."""
    found = list(company.churn_also)
    for lead in list_lead_times(company.churn, policy):
        ahead = company.churn.model_copy(update={"lead_days": lead})
        if _window(ahead) not in map(_window, found):
            found.append(ahead)
    return found


def _window(churn: ChurnDefinition) -> tuple[str, int, int]:
    return churn.definition, churn.lead_days, churn.horizon_days
