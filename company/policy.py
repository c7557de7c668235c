"""The business policy: thresholds in one YAML file, read into frozen types, overridden key by key."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

DEFAULTS = Path(__file__).with_name("policy.yaml")

Share = Annotated[float, Field(ge=0, le=1)]
Score = Annotated[float, Field(ge=0, le=100)]
Days = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Money = Annotated[float, Field(ge=0)]
Level = Literal["high", "medium", "low"]
Period = Literal["day", "week", "month", "quarter", "year"]


class PolicyError(Exception):
    """The policy cannot be used; the message is one paragraph that names the key and the fix."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tiers(_Section):
    """Lower bounds of the tiers on the 0-100 score; below `medium` is low."""

    high: Score
    medium: Score
    act_on: tuple[Level, ...]

    @model_validator(mode="after")
    def _falling(self) -> Self:
        if self.high <= self.medium:
            raise ValueError("high must lie above medium")
        return self


class Alerts(_Section):
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


class Response(_Section):
    """What an alert level asks of people; `priority` 1 is the most urgent."""

    respond_within_hours: Annotated[float, Field(gt=0)]
    owner: str
    priority: Annotated[int, Field(ge=1)]


class Responses(_Section):
    """One response per alert level."""

    high: Response
    medium: Response
    low: Response


class Holdout(_Section):
    """The untreated group: its share of the candidates and the salt of its hash."""

    share: Annotated[float, Field(ge=0, lt=1)]
    salt: Annotated[str, Field(min_length=1)]


class Budget(_Section):
    """One amount per calendar period for all strategies together."""

    amount: Money
    period: Period
    rank_by: Literal["expected_value", "return_on_cost"]
    minimum_expected_value: float


class Delivery(_Section):
    """Attempts before a message is given up, and the first wait between two dispatches."""

    maximum_attempts: Annotated[int, Field(ge=1)]
    retry_after_minutes: Annotated[float, Field(gt=0)]


class Outcomes(_Section):
    """How sure a claim about a strategy has to be."""

    confidence: Annotated[float, Field(gt=0, lt=1)]
    power: Annotated[float, Field(gt=0, lt=1)]
    smallest_effect: Annotated[float, Field(gt=0, lt=1)]
    assumed_retention: Annotated[float, Field(gt=0, lt=1)]
    take_down_below: Share


class RfmWeights(_Section):
    """Weights of the three quantile scores; they sum to 1."""

    recency: Share
    frequency: Share
    monetary: Share

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        if abs(self.recency + self.frequency + self.monetary - 1) > 1e-9:  # noqa: PLR2004 - rounding
            raise ValueError("the three weights must sum to 1")
        return self


class Rfm(_Section):
    """Windows, weights and grades of recency, frequency and money."""

    recent_days: Days
    window_days: Days
    frequency_days: Days
    weights: RfmWeights
    grades: dict[str, float]


class Clv(_Section):
    """The terms of yearly spend x mean lifetime x gross margin - acquisition cost."""

    gross_margin: Share
    lifetime_years: Annotated[float, Field(gt=0)]
    default_acquisition_cost: Money
    spend_days: Annotated[int, Field(gt=0)]
    minimum_days_observed: Annotated[int, Field(gt=0)]


class Lifecycle(_Section):
    """Day limits of new, active, dormant and churned."""

    new_days: Days
    active_days: Days
    dormant_days: Days


class ValueTiers(_Section):
    """Shares of customers by CLV from the top; the two together stay below 1."""

    platinum: Share
    gold: Share

    @model_validator(mode="after")
    def _leave_a_rest(self) -> Self:
        if self.platinum + self.gold > 1:
            raise ValueError("platinum and gold together must not exceed 1")
        return self


class ValueTrend(_Section):
    """From which change of spend on a customer's value is rising or falling."""

    change: Share


class ProductRules(_Section):
    """What makes two categories that are bought together a rule."""

    minimum_support: Share
    minimum_confidence: Share
    minimum_lift: float = Field(ge=0)
    most_customers: Count


class Tags(_Section):
    """Limits of the first customer tags."""

    frequent_orders: Count
    discount_share: Share
    big_basket_percentile: Share
    silent_days: Days


class Segment(_Section):
    """A named filter over the published customers, who answers for it, and what it is called."""

    filter: Annotated[str, Field(min_length=1)]
    owner: str
    en: str
    zh: str


class Training(_Section):
    """The training set and its floors."""

    snapshots: Annotated[int, Field(ge=3)]
    maximum_rows: Annotated[int, Field(ge=1000)]
    minimum_customers: Count
    minimum_churners: Count
    capacity_share: Annotated[float, Field(gt=0, le=1)]
    treated: Literal["untreated", "weighted"]
    largest_weight: Annotated[float, Field(ge=1)]
    candidates: Annotated[
        tuple[Literal["logistic_regression", "random_forest", "xgboost", "neural_net"], ...], Field(min_length=1)
    ]
    device: Literal["cpu", "cuda"]
    tuning_seconds: Annotated[float, Field(ge=0)]
    lead_days: tuple[Annotated[int, Field(ge=1)], ...]
    groups: dict[str, str]
    group_margin: Annotated[float, Field(ge=0, lt=1)]
    seed: int


class Worth(_Section):
    """What a contact costs and saves, for the profit on the model card, and how often the bootstrap draws."""

    channel: str
    effect: Share
    draws: Annotated[int, Field(ge=50)]


class RiskSignal(_Section):
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


class SmallData(_Section):
    """What scores while there are too few customers to learn from."""

    weight_of_rules: Annotated[float, Field(gt=0)]
    signals: Annotated[tuple[RiskSignal, ...], Field(min_length=1)]


class Forecast(_Section):
    """The forecast of the overall churn rate."""

    groups: tuple[str, ...]
    months_ahead: Annotated[int, Field(ge=1)]
    coverage: Annotated[float, Field(gt=0, lt=1)]
    minimum_customers: Count


class Promotion(_Section):
    """What a challenger must show before it may score customers."""

    mode: Literal["auto", "review"]
    margin: Annotated[float, Field(ge=0, lt=1)]
    minimum_auc: Share
    maximum_calibration_error: Share
    minimum_gain: Annotated[float, Field(ge=0, lt=1)]


class Fairness(_Section):
    """How a model may treat protected groups, and which segments its card shows."""

    protected: tuple[str, ...]
    segments: tuple[str, ...]
    maximum_gap: Share
    minimum_rows: Annotated[int, Field(ge=1)]


class Drift(_Section):
    """When features have moved so far that a retrain is asked for, and how often it may be."""

    minimum_rows: Count
    psi: Money
    ks: Share
    importance_share: Share
    drifted_importance: Share
    score_psi: Money
    consecutive: Annotated[int, Field(ge=1)]
    cooldown_days: Days
    page: bool


class Performance(_Section):
    """When matured scores show that the champion has decayed."""

    minimum_rows: Count
    minimum_accuracy: Share
    maximum_auc_drop: Share
    maximum_calibration_error: Share
    consecutive: Annotated[int, Field(ge=1)]


class Gates(_Section):
    """Limits of the gates."""

    maximum_quarantine_share: Share
    maximum_future_share: Share
    minimum_rows_share: Share
    maximum_null_share: Share
    explosion_factor: Annotated[float, Field(gt=1)]
    minimum_rows: Count
    minimum_customers: Count
    base_rate_band: Share
    maximum_score_share_at_one_value: Share


class Policy(_Section):
    """The whole policy; see `policy.yaml` for the meaning of every key."""

    tier_policy: Literal["tiers", "alerts"]
    tiers: Tiers
    alerts: Alerts
    responses: Responses
    holdout: Holdout
    budget: Budget
    cooldown_days: Days
    capacity: dict[str, Count]
    contact_costs: dict[str, Money]
    delivery: Delivery
    outcomes: Outcomes
    rfm: Rfm
    clv: Clv
    lifecycle: Lifecycle
    value_tiers: ValueTiers
    tags: Tags
    value_trend: ValueTrend
    product_rules: ProductRules
    segments: dict[str, Segment]
    training: Training
    worth: Worth
    small_data: SmallData
    forecast: Forecast
    promotion: Promotion
    fairness: Fairness
    drift: Drift
    performance: Performance
    gates: Gates

    @model_validator(mode="after")
    def _worth_has_a_cost(self) -> Self:
        if self.worth.channel not in self.contact_costs:
            raise ValueError(f"worth.channel is {self.worth.channel!r}, for which contact_costs has no cost")
        return self

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return self.model_dump(mode="json")


def load_policy(*overrides: Mapping[str, Any] | None) -> Policy:
    """Return the default policy with `overrides` laid over it, the last one on top.

    Mappings are merged key by key; lists and values are replaced. Raises PolicyError naming the key and the fix.
    """
    merged: dict[str, Any] = _defaults()
    for override in overrides:
        merged = _merge(merged, override or {}, at="")
    try:
        return Policy.model_validate(merged)
    except ValidationError as error:
        raise PolicyError(_explain(error)) from None


@cache
def _defaults() -> dict[str, Any]:
    return dict(yaml.safe_load(DEFAULTS.read_text(encoding="utf-8")))


def _merge(below: Mapping[str, Any], above: Mapping[str, Any], *, at: str) -> dict[str, Any]:
    if not isinstance(above, Mapping):
        raise PolicyError(
            f"In the policy the key {at or 'policy'!r} holds {above!r}, but it needs a mapping of keys to values; "
            "write its keys indented below it, as in company/policy.yaml."
        )
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        path = f"{at}.{key}" if at else str(key)
        merged[key] = _merge(old, value, at=path) if isinstance(old, Mapping) else value
    return merged


def _explain(error: ValidationError) -> str:
    return " ".join(_explain_one(dict(fault)) for fault in error.errors(include_url=False))


def _explain_one(fault: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = ", ".join(_known_keys(fault["loc"][:-1]))
        return f"In the policy the key {key!r} is unknown; remove it or use one of these instead: {known}."
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"In the policy the key {key!r} cannot hold {_shown(fault['input'])}: {message}. Correct it under `policy:`."


def _known_keys(path: tuple[str | int, ...]) -> list[str]:
    node: Any = _defaults()
    for part in path:
        node = node[part]
    return sorted(node)


def _shown(value: object) -> str:
    return "these values together" if isinstance(value, Mapping) else repr(value)
