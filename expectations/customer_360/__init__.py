"""What is expected of the customer 360 view. A new rule is one new file in this folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from expectations.gate import Suite, find_rules

SEAM = "customer_360"
CUSTOMERS = "customer_360.customers"
KEY = ("customer_id",)
TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a rule knows; see `build`."""

    members: Mapping[str, Sequence[str]]
    scores: tuple[str, ...]
    weighted_score: str
    spend: str
    value: str
    identities: Mapping[str, str]
    population: str


def build(
    *,
    members: Mapping[str, Sequence[str]],
    scores: Sequence[str] = ("rfm_recency", "rfm_frequency", "rfm_monetary"),
    weighted_score: str = "rfm_score",
    spend: str = "amount_spent_total",
    value: str = "value_from_now",
    identities: Mapping[str, str] | None = None,
    population: str = "staging.stg_customers",
) -> list[Suite]:
    """Return the suite of the view: one row per customer, and every derived value in its range.

    `population` is a table, or a query in parentheses, whose `customer_id` are exactly those of the view. `members`
    names the allowed values per column, such as the lifecycle stages. `scores` are quantile scores from 1
    to 5, null for who never bought, and `weighted_score` is their weighted mean. `value` is known wherever `spend` is
    positive. `identities` gives, per column, the SQL expression over the same row that it must equal.
    """
    context = Context(
        members=members,
        scores=tuple(scores),
        weighted_score=weighted_score,
        spend=spend,
        value=value,
        identities=identities or {},
        population=population,
    )
    return [Suite(seam=SEAM, table=CUSTOMERS, expectations=[rule for _, rule in find_rules(__name__, context)])]
