"""What training, the model card and the scores of a cold start go by."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from company.policy.units import Count, Section, Share
from company.taxonomy import FAMILIES, Family


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


FamilyWeights = Annotated[dict[Family, Annotated[float, Field(ge=0)]], Field(min_length=1)]


class Families(Section):
    """How much each family of indicators counts, and whose weights these are."""

    weighting: Literal["equal", "experts", "delphi", "scenario", "data"]
    experts: FamilyWeights
    delphi: tuple[dict[str, FamilyWeights], ...]
    agreed_within: Annotated[float, Field(ge=0)]
    scenarios: dict[str, FamilyWeights]
    scenario: str | None

    @model_validator(mode="after")
    def _has_what_it_weighs_by(self) -> Self:
        for name, weights in [
            ("experts", self.experts),
            *((f"scenarios.{each}", own) for each, own in self.scenarios.items()),
        ]:
            _check_complete(name, weights)
        for number, answers in enumerate(self.delphi, start=1):
            for expert, weights in answers.items():
                _check_complete(f"delphi: round {number} of {expert}", weights)
        if self.weighting == "delphi" and not (self.delphi and self.delphi[-1]):
            raise ValueError("weighting is delphi, and delphi has no round; add the experts' answers")
        if self.weighting == "scenario" and self.scenario not in self.scenarios:
            raise ValueError(f"scenario is {self.scenario!r}, which is none of {', '.join(self.scenarios) or 'none'}")
        return self


def _check_complete(name: str, weights: Mapping[Family, float]) -> None:
    missing = [family for family in FAMILIES if family not in weights]
    if missing:
        raise ValueError(f"{name} has no weight for {missing[0]}; add it, 0 where it is not to count")
    if not sum(weights.values()):
        raise ValueError(f"{name} gives every family the weight 0; one at least must count")


class Promotion(Section):
    """What a challenger must show before it may score customers, and for how many days it may show it live."""

    mode: Literal["auto", "review"]
    margin: Annotated[float, Field(ge=0, lt=1)]
    minimum_auc: Share
    maximum_calibration_error: Share
    minimum_gain: Annotated[float, Field(ge=0, lt=1)]
    live_share: Annotated[float, Field(ge=0, lt=1)]
    live_days: Annotated[int, Field(gt=0)]


class Fairness(Section):
    """How a model may treat protected groups, and which segments its card shows."""

    protected: tuple[str, ...]
    segments: tuple[str, ...]
    maximum_gap: Share
    minimum_rows: Annotated[int, Field(ge=1)]


class Text(Section):
    """Whether free text is read by sentence vectors, which need the extra `text`, instead of character n-grams."""

    sentence_vectors: bool
