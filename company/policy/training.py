"""What training, the model card and the scores of a cold start go by."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from company.policy.units import Count, Section, Share


class Training(Section):
    """The training set and its floors."""

    snapshots: Annotated[int, Field(ge=3)]
    maximum_rows: Annotated[int, Field(ge=1000)]
    minimum_customers: Count
    minimum_churners: Count
    capacity_share: Annotated[float, Field(gt=0, le=1)]
    treated: Literal["untreated", "weighted"]
    largest_weight: Annotated[float, Field(ge=1)]
    candidates: Annotated[tuple[str, ...], Field(min_length=1)]
    device: Literal["cpu", "cuda"]
    tuning_seconds: Annotated[float, Field(ge=0)]
    lead_days: tuple[Annotated[int, Field(ge=1)], ...]
    groups: dict[str, str]
    group_margin: Annotated[float, Field(ge=0, lt=1)]
    seed: int


class ExpectedProfit(Section):
    """What a contact costs and saves, for the profit on the model card, and how often the bootstrap draws."""

    channel: str
    effect: Share
    draws: Annotated[int, Field(ge=50)]


class RiskSignal(Section):
    """A warning sign in words: it shows when `feature` is at least, or at most, a bound, and has a weight."""

    en: str
    zh: str
    feature: str
    weight: Annotated[float, Field(gt=0)]
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _has_one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("a signal needs either at_least or at_most")
        return self


class ColdStart(Section):
    """What scores while there are too few customers to learn from."""

    log_odds_per_weight: Annotated[float, Field(gt=0)]
    signals: Annotated[tuple[RiskSignal, ...], Field(min_length=1)]


class Promotion(Section):
    """What a challenger must show before it may score customers."""

    mode: Literal["auto", "review"]
    margin: Annotated[float, Field(ge=0, lt=1)]
    minimum_auc: Share
    maximum_calibration_error: Share
    minimum_gain: Annotated[float, Field(ge=0, lt=1)]


class Fairness(Section):
    """How a model may treat protected groups, and which segments its card shows."""

    protected: tuple[str, ...]
    segments: tuple[str, ...]
    maximum_gap: Share
    minimum_rows: Annotated[int, Field(ge=1)]


class Text(Section):
    """Whether free text is read by sentence vectors, which need the extra `text`, instead of character n-grams."""

    sentence_vectors: bool
