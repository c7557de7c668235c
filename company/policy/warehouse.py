"""What the warehouse models compute with."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from company.policy.units import Count, Days, Money, Section, Share


class RfmWeights(Section):
    """Weights of the three quantile scores; they sum to 1."""

    recency: Share
    frequency: Share
    monetary: Share

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        if abs(self.recency + self.frequency + self.monetary - 1) > 1e-9:  # noqa: PLR2004 - rounding
            raise ValueError("the three weights must sum to 1")
        return self


class Rfm(Section):
    """Windows, weights and grades of recency, frequency and money."""

    recent_days: Days
    window_days: Days
    frequency_days: Days
    weights: RfmWeights
    grades: dict[str, float]


class Clv(Section):
    """The terms of lifetime value and of the value from now (docs/value.md)."""

    gross_margin: Share
    lifetime_years: Annotated[float, Field(gt=0)]
    returned_lifetime_years: Annotated[float, Field(gt=0)]
    default_acquisition_cost: Money
    cost_per_ticket: Money
    revenue_share: Share
    orders_are_bills: bool
    prior_days: Annotated[int, Field(gt=0)]
    prior_leavers: Annotated[int, Field(gt=0)]


class Lifecycle(Section):
    """Day limits of new, active, dormant and churned, and from which change of use on an active customer's phase moves.

    Returns of each stage are counted over `return_windows` past horizons; no contact is believed to raise their share
    by more than `return_uplift` of it.
    """

    new_days: Days
    active_days: Days
    dormant_days: Days
    use_change: Share
    use_days: Annotated[int, Field(ge=1)]
    return_windows: Annotated[int, Field(ge=1)]
    return_uplift: Share


class ValueTiers(Section):
    """Shares of customers by value from now from the top; the two together stay below 1."""

    platinum: Share
    gold: Share

    @model_validator(mode="after")
    def _leave_a_rest(self) -> Self:
        if self.platinum + self.gold > 1:
            raise ValueError("platinum and gold together must not exceed 1")
        return self


class ValueTrend(Section):
    """From which change of spend on a customer's value is rising or falling."""

    change: Share


class ProductRules(Section):
    """What makes two categories that are bought together a rule, and a product a usual one of a customer."""

    minimum_support: Share
    minimum_confidence: Share
    minimum_lift: float = Field(ge=0)
    most_customers: Count
    usual_days: Annotated[int, Field(ge=1)]


class LeaverGroups(Section):
    """Which joint groups of leavers are named."""

    minimum_customers: Annotated[int, Field(ge=2)]
    minimum_left: Annotated[int, Field(ge=1)]
    minimum_z: Annotated[float, Field(gt=0)]
    alike: Share
    most_groups: Annotated[int, Field(ge=1)]


class Coverage(Section):
    """From when on days of a feed without a row are missing data."""

    closure_days: Days
    chance: Share
    times_usual: Annotated[float, Field(ge=1)]
    usual_every_days: Days


class Tags(Section):
    """Limits of customer tags."""

    frequent_orders: Count
    discount_share: Share
    big_basket_percentile: Share
    silent_days: Days
    dissatisfied_at: Annotated[float, Field(ge=1, le=5)]
    negative_share: Share
    late_payments: Count
    late_deliveries: Count
    ignored_touches: Count
    opened_share: Share


class Segment(Section):
    """A named filter over the published customers, who answers for it, and what it is called."""

    filter: Annotated[str, Field(min_length=1)]
    owner: str
    en: str
    zh: str
