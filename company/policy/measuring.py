"""What claims about strategies go by."""

from typing import Annotated

from pydantic import Field

from company.policy.units import Section, Share


class Guardrails(Section):
    """By how much the treated may do worse than the held-out: shares of customers, and currency per decision."""

    complaints: Annotated[float, Field(gt=0, lt=1)]
    opt_outs: Annotated[float, Field(gt=0, lt=1)]
    margin: Annotated[float, Field(gt=0)]


class Outcomes(Section):
    """How sure a claim about a strategy has to be."""

    confidence: Annotated[float, Field(gt=0, lt=1)]
    power: Annotated[float, Field(gt=0, lt=1)]
    smallest_effect: Annotated[float, Field(gt=0, lt=1)]
    assumed_retention: Annotated[float, Field(gt=0, lt=1)]
    futility_power: Annotated[float, Field(ge=0, lt=1)]
    sample_ratio_level: Annotated[float, Field(gt=0, lt=1)]
    take_down_below: Share
    guardrails: Guardrails


class Cohorts(Section):
    """From how many customers on a share of them is stated."""

    minimum_customers: Annotated[int, Field(ge=2)]


class Goals(Section):
    """What retention is to reach: by which share churn falls and the value of 12 months rises."""

    churn_fall: Share
    value_rise: Share


class Losses(Section):
    """What nobody measured and the loss account assumes."""

    lasting_share: Share
    conversion_fall: Annotated[float, Field(ge=0, lt=1)]
    image_fall: Share
