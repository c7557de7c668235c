"""The business policy: thresholds in `policy.yaml`, read into frozen types, overridden key by key.

Sections are sorted by who reads them; `Policy` is all of them, and `load_policy` the way to one.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ValidationError, model_validator

from company.policy.acting import Delivery
from company.policy.contact import ContactRules, InferredReasons, StatedReasons, Triggers
from company.policy.deciding import (
    Alerts,
    Budget,
    Cutoffs,
    Effects,
    Exploration,
    Holdout,
    Planning,
    Responses,
    Team,
    Tiers,
)
from company.policy.gates import Gates
from company.policy.lane import Lane
from company.policy.measuring import Cohorts, Goals, Losses, Outcomes
from company.policy.monitoring import Anomaly, Drift, Forecast, Performance
from company.policy.people import Audit, Incidents, Notices, Owner, Rung, Step, WorkingTime
from company.policy.privacy import Privacy
from company.policy.serving import Desk
from company.policy.training import ColdStart, ExpectedProfit, Fairness, Families, Promotion, Text, Training
from company.policy.units import Count, Days, Level, Money, Section
from company.policy.warehouse import (
    Clv,
    Coverage,
    LeaverGroups,
    Lifecycle,
    ProductRules,
    Rfm,
    Segment,
    Tags,
    ValueTiers,
    ValueTrend,
)
from company.yaml_file import load_yaml

__all__ = ["Policy", "PolicyError", "load_policy"]

DEFAULTS = Path(__file__).with_name("policy.yaml")


class PolicyError(Exception):
    """The policy cannot be used; the message is one paragraph that names the key and the fix."""


class Policy(Section):
    """The whole policy; see `policy.yaml` for the meaning of every key."""

    tier_policy: Literal["tiers", "alerts", "cutoffs"]
    tiers: Tiers
    alerts: Alerts
    cutoffs: Cutoffs
    responses: Responses
    working_time: WorkingTime
    owners: dict[str, Owner]
    notices: Notices
    escalation: dict[Level, tuple[Rung, ...]]
    response_steps: dict[Level, tuple[Step, ...]]
    incidents: Incidents
    audit: Audit
    holdout: Holdout
    exploration: Exploration
    budget: Budget
    plans: Planning
    cooldown_days: Days
    capacity: dict[str, Count]
    teams: dict[str, Team]
    contact_costs: dict[str, Money]
    contact_rules: ContactRules
    triggers: Triggers
    stated_reasons: StatedReasons
    inferred_reasons: InferredReasons
    effects: Effects
    delivery: Delivery
    outcomes: Outcomes
    cohorts: Cohorts
    goals: Goals
    losses: Losses
    rfm: Rfm
    clv: Clv
    lifecycle: Lifecycle
    value_tiers: ValueTiers
    tags: Tags
    value_trend: ValueTrend
    leaver_groups: LeaverGroups
    product_rules: ProductRules
    coverage: Coverage
    segments: dict[str, Segment]
    training: Training
    expected_profit: ExpectedProfit
    cold_start: ColdStart
    families: Families
    forecast: Forecast
    promotion: Promotion
    fairness: Fairness
    drift: Drift
    performance: Performance
    run_history_days: Days
    warehouse_history_days: Days
    gates: Gates
    lane: Lane
    anomaly: Anomaly
    text: Text
    desk: Desk
    privacy: Privacy

    @model_validator(mode="after")
    def _profit_has_a_cost(self) -> Self:
        if self.expected_profit.channel not in self.contact_costs:
            raise ValueError(
                f"expected_profit.channel is {self.expected_profit.channel!r}, for which contact_costs has no cost"
            )
        return self

    @model_validator(mode="after")
    def _channels_have_a_consent(self) -> Self:
        rules = self.contact_rules
        missing = sorted({*self.contact_costs, *rules.quiet_hours.channels} - {*rules.channels})
        if missing:
            raise ValueError(
                f"contact_rules.channels does not name the consent that the channel {missing[0]!r} needs; "
                f"add `{missing[0]}: {missing[0]}` there, or the channel that your consents name"
            )
        return self

    @model_validator(mode="after")
    def _responses_have_a_cost(self) -> Self:
        for level, channel in self.cutoffs.channels.items():
            if channel not in self.contact_costs:
                raise ValueError(f"cutoffs.channels.{level} is {channel!r}, for which contact_costs has no cost")
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
    return dict(load_yaml(DEFAULTS))


def _merge(below: Mapping[str, Any], above: Mapping[str, Any], *, at: str) -> dict[str, Any]:
    if not isinstance(above, Mapping):
        raise PolicyError(
            f"In the policy the key {at or 'policy'!r} holds {above!r}, but it needs a mapping of keys to values; "
            "write its keys indented below it, as in company/policy/policy.yaml."
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
