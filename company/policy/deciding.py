"""What retention decides by: tiers and alerts, who is left untreated, the budget."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from company.policy.units import Level, Money, Period, Score, Section


class Tiers(Section):
    """Lower bounds of the tiers on the 0-100 score; below `medium` is low."""

    high: Score
    medium: Score
    act_on: tuple[Level, ...]

    @model_validator(mode="after")
    def _falling(self) -> Self:
        if self.high <= self.medium:
            raise ValueError("high must lie above medium")
        return self


class Alerts(Section):
    """Lower bounds of the alert levels on the 0-100 score; below `low` there is no alert."""

    high: Score
    medium: Score
    low: Score
    act_on: tuple[Level, ...]

    @model_validator(mode="after")
    def _falling(self) -> Self:
        if not self.high > self.medium > self.low:
            raise ValueError("the thresholds must fall from high over medium to low")
        return self


class Response(Section):
    """What an alert level asks of people; `priority` 1 is the most urgent."""

    respond_within_hours: Annotated[float, Field(gt=0)]
    owner: str
    priority: Annotated[int, Field(ge=1)]


class Responses(Section):
    """One response per alert level."""

    high: Response
    medium: Response
    low: Response


class Holdout(Section):
    """The untreated group: its share of the candidates and the salt of its hash."""

    share: Annotated[float, Field(ge=0, lt=1)]
    salt: Annotated[str, Field(min_length=1)]


class Budget(Section):
    """One amount per calendar period for all strategies together."""

    amount: Money
    period: Period
    rank_by: Literal["expected_value", "return_on_cost"]
    minimum_expected_value: float
