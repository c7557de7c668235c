"""The strategy library: what may be done for whom, at what cost and with which assumed effect."""

import re
from collections.abc import Collection, Iterable, Mapping
from math import ceil, floor
from string import Formatter
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from company.policy.contact import Purpose
from company.policy.units import Level, Money, Share
from company.taxonomy import Offer, Reason
from retention.deciding.holdout import fractions

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from company.policy import Policy

Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Stage = Literal["new", "active", "dormant", "churned"]
Trigger = Literal[
    "seen_not_bought", "cart_left", "renewal_near", "payment_failed", "complaint_open", "complaint_closed"
]
UNSCORED: Literal["none"] = "none"

_UNITS = {  # currency -> how an amount of it is written in English and in Chinese
    "CNY": ("¥{}", "{} 元"),
    "USD": ("${}", "{} 美元"),
    "EUR": ("€{}", "{} 欧元"),
    "GBP": ("£{}", "{} 英镑"),
    "HKD": ("HK${}", "{} 港元"),
    "JPY": ("¥{}", "{} 日元"),
}
_PLACEHOLDERS = {"amount", "valid_days"}
_CHINESE = re.compile("[\u4e00-\u9fff]")
_LEAST_SPREAD = 0.05  # where a file gives no bounds: about half of 0.11, the most that a trial of contact has shown


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Text(_Part):
    """A wording in English and in Chinese."""

    en: Annotated[str, Field(min_length=1)]
    zh: Annotated[str, Field(min_length=1)]


class Module(_Part):
    """One building block of a strategy.

    `amount` is what it costs the company when the customer takes it, `take_up` the share of customers who do.
    """

    kind: Offer
    amount: Money = 0.0
    take_up: Share = 1.0

    @property
    def expected_cost(self) -> float:
        """Amount x take-up."""
        return self.amount * self.take_up


class Effect(_Part):
    """The share of the customers about to leave whom the strategy keeps, and where that figure comes from.

    For customers who left or sleep it is the share who return because of it. `low` and `high` bound what is believable;
    left out, they are a spread of the value itself, of five points at least.
    """

    value: Annotated[float, Field(ge=-1, le=1)]
    low: Annotated[float, Field(ge=-1, le=1)]
    high: Annotated[float, Field(ge=-1, le=1)]
    basis: Literal["assumption", "cited", "measured"]
    source: Annotated[str, Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _spread(cls, content: Any) -> Any:  # noqa: ANN401 - what the file holds
        if not isinstance(content, dict) or not isinstance(content.get("value"), (int, float)):
            return content
        spread = max(abs(content["value"]), _LEAST_SPREAD)
        bounds = {"low": max(content["value"] - spread, -1), "high": min(content["value"] + spread, 1)}
        return bounds | content

    @model_validator(mode="after")
    def _lies_within_its_bounds(self) -> Self:
        if not self.low <= self.value <= self.high:
            raise ValueError("the effect must lie between `low` and `high`")
        return self


class Bounds(_Part):
    """The least and the most that a person may set."""

    low: Annotated[float, Field(ge=0)]
    high: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _rise(self) -> Self:
        if self.low > self.high:
            raise ValueError("`low` lies above `high`")
        return self


class StrategyBounds(_Part):
    """How far a person may change a strategy without changing its file: strength and days as factors of the file's."""

    strength: Bounds = Bounds(low=0.5, high=2.0)
    valid_days: Bounds = Bounds(low=0.5, high=2.0)


class Version(_Part):
    """One way of a strategy that is tried against others: another message, channel, offer, frequency, or moment.

    What a version does not name is as in the strategy. `weight` is its share of the customers next to those of the
    others; `wait_days` is how much later than the plan's day its message leaves.
    """

    id: Identifier
    weight: Annotated[float, Field(gt=0)] = 1.0
    message: Text | None = None
    channel: Identifier | None = None
    modules: Annotated[tuple[Module, ...], Field(min_length=1)] | None = None
    valid_days: Annotated[int, Field(ge=1)] | None = None
    every_days: Annotated[int, Field(ge=1)] | None = None
    wait_days: Annotated[int, Field(ge=0, le=60)] = 0

    def changes(self) -> dict[str, Any]:
        """Return what the version puts in the place of the strategy's."""
        names = ("message", "channel", "modules", "valid_days", "every_days")
        named = {name: getattr(self, name) for name in names}
        return {name: value for name, value in named.items() if value is not None}


class Strategy(_Part):
    """One strategy: whom it is for, by what it reaches them, what it gives and what it says.

    An empty list asks for nothing; of a list that is not empty one entry must apply. `tiers` holds levels of risk, and
    none for customers who are not scored. `reasons` are all reasons given for a customer, `topics` what the latest
    complaint was about. `purpose` decides which consent is asked for. `bounds` are how far a person may change it. A
    customer gets the strategy again after `every_days` at the earliest; without it after the policy's `cooldown_days`.
    """

    id: Identifier
    name: Text
    purpose: Purpose = "marketing"
    tiers: tuple[Literal[Level, "none"], ...] = ()
    stages: tuple[Stage, ...] = ()
    value_tiers: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    topics: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    channel: Identifier
    valid_days: Annotated[int, Field(ge=1)]
    every_days: Annotated[int, Field(ge=1)] | None = None
    modules: Annotated[tuple[Module, ...], Field(min_length=1)]
    effect: Effect
    bounds: StrategyBounds = StrategyBounds()
    message: Text
    versions: tuple[Version, ...] = ()
    _currency: str = PrivateAttr(default="")
    _only: frozenset[str] | None = PrivateAttr(default=None)
    _but: frozenset[str] = PrivateAttr(default=frozenset())
    _version: Version | None = PrivateAttr(default=None)
    _drawn: tuple[float, float] = PrivateAttr(default=(0.0, 1.0))
    _assigned: Mapping[str, frozenset[str]] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _is_for_somebody_in_particular(self) -> Self:
        if not any((self.tiers, self.stages, self.reasons, self.triggers, self.topics, self.tags)):
            raise ValueError("the strategy is for everybody; name `tiers`, `stages`, `reasons` or `triggers`")
        return self

    @model_validator(mode="after")
    def _has_versions_to_compare(self) -> Self:
        ids = [version.id for version in self.versions]
        if len(ids) == 1:
            raise ValueError("one version has nothing to be compared with; name two or more under `versions`, or none")
        if len(set(ids)) < len(ids):
            raise ValueError(f"the versions {ids} have not each an id of its own")
        same = [version.id for version in self.versions if not version.changes() and not version.wait_days]
        if len(same) > 1:
            raise ValueError(
                f"the versions {same} do not differ; give each another message, channel, offer, frequency or moment"
            )
        return self

    @model_validator(mode="after")
    def _renderable(self) -> Self:
        messages = [self.message, *(version.message for version in self.versions if version.message)]
        for text in (wording for message in messages for wording in (message.en, message.zh)):
            unknown = _placeholders(text) - _PLACEHOLDERS
            if unknown:
                raise ValueError(f"the message uses {sorted(unknown)}; only {{amount}} and {{valid_days}} are known")
        if not all(_CHINESE.search(message.zh) for message in messages):
            raise ValueError("the message under `zh` has no Chinese in it")
        return self

    @property
    def days_allowed(self) -> tuple[int, int]:
        """The fewest and the most days of validity that a person may set."""
        bounds = self.bounds.valid_days
        return max(ceil(self.valid_days * bounds.low), 1), floor(self.valid_days * bounds.high)

    def priced_in(self, currency: str) -> Self:
        """Return the strategy with amounts in a currency, which its messages name."""
        copy = self.model_copy()
        copy._currency = currency  # noqa: SLF001 - of a copy of our own
        return copy

    def adjusted(self, *, strength: float = 1.0, valid_days: int | None = None) -> Self:
        """Return the strategy with all amounts times `strength`, and another number of days of validity."""
        modules = tuple(each.model_copy(update={"amount": each.amount * strength}) for each in self.modules)
        return self.model_copy(update={"modules": modules, "valid_days": valid_days or self.valid_days})

    def limited(self, *, only: Collection[str] | None = None, but: Collection[str] = ()) -> Self:
        """Return the strategy for some customers alone, or for all but some."""
        copy = self.model_copy()
        copy._only = None if only is None else frozenset(only)  # noqa: SLF001 - of a copy of our own
        copy._but = frozenset(but)  # noqa: SLF001 - of a copy of our own
        return copy

    def closed_to(self, customers: Iterable[str]) -> Self:
        """Return the strategy as it is, but not for some more customers."""
        return self.limited(only=self._only, but=self._but | frozenset(customers))

    def for_anybody(self) -> Self:
        """Return the strategy without what its file asks of customers; consent is needed all the same."""
        asked = ("tiers", "stages", "value_tiers", "kinds", "reasons", "triggers", "topics", "tags")
        return self.model_copy(update=dict.fromkeys(asked, ()))

    def in_versions(self, assigned: Mapping[str, frozenset[str]] | None = None) -> tuple[Self, ...]:
        """Return the strategy once for each version, each for the customers whom a hash draws for it.

        `assigned` has by version the customers for whom another system has drawn; the hash draws for everybody else.

        The place of a customer between 0 and 1, see `fractions`, lies in the stretch of one version: the draw stays the
        same while the ids of the versions do, and another set of them draws anew.
        """
        total, end, found = sum(version.weight for version in self.versions), 0.0, []
        for version in self.versions:
            copy = self.model_copy(update=version.changes())
            copy._version = version  # noqa: SLF001 - of a copy of our own
            copy._assigned = assigned or {}  # noqa: SLF001 - of a copy of our own
            begin, end = end, end + version.weight / total
            copy._drawn = (begin, 1.0 if version is self.versions[-1] else end)  # noqa: SLF001 - of a copy of our own
            found.append(copy)
        return tuple(found) or (self,)

    @property
    def version(self) -> Version | None:
        """The version that this is, None where the strategy has none."""
        return self._version

    def is_open_to(self, customer_id: str) -> bool:
        """Tell whether the strategy, as it is set here, is for a customer at all."""
        is_meant = customer_id not in self._but and (self._only is None or customer_id in self._only)
        return is_meant and bool(self._draw([customer_id])[0])

    def are_open_to(self, customer_ids: "pd.Series[str]") -> "pd.Series[bool]":
        """Tell the same of many customers."""
        is_open = ~customer_ids.isin(self._but) & self._draw(customer_ids)
        return is_open if self._only is None else is_open & customer_ids.isin(self._only)

    def _draw(self, customer_ids: "Collection[str]") -> "NDArray[np.bool_]":
        if self._version is None:
            return np.ones(len(customer_ids), dtype=bool)
        salt = ":".join(("versions", self.id, *(version.id for version in self.versions)))
        places = fractions(customer_ids, salt=salt)
        drawn: NDArray[np.bool_] = (places >= self._drawn[0]) & (places < self._drawn[1])
        if not self._assigned:
            return drawn
        own, everybody = self._assigned.get(self._version.id, frozenset()), frozenset().union(*self._assigned.values())
        is_assigned = np.array([each in everybody for each in customer_ids], dtype=bool)
        is_own = np.array([each in own for each in customer_ids], dtype=bool)
        return np.where(is_assigned, is_own, drawn)

    def cost(self, policy: "Policy") -> float:
        """Expected cost of one treatment: the contact and what its modules cost on average.

        Raises KeyError when the policy has no contact cost for the channel; `load_strategies` refuses such a file.
        """
        return policy.contact_costs[self.channel] + sum(module.expected_cost for module in self.modules)

    def texts(self) -> dict[str, str]:
        """Return the message in both languages, its figures filled in."""
        amount = f"{max(module.amount for module in self.modules):.2f}".removesuffix(".00")
        units = _UNITS.get(self._currency, (f"{self._currency} {{}}", f"{{}} {self._currency}"))
        en, zh = (unit.format(amount).strip() for unit in units)
        return {
            "text_en": self.message.en.format(amount=en, valid_days=self.valid_days),
            "text_zh": self.message.zh.format(amount=zh, valid_days=self.valid_days),
        }


def _placeholders(text: str) -> set[str]:
    try:
        return {name for _, name, _, _ in Formatter().parse(text) if name is not None}
    except ValueError:
        raise ValueError(f"the message {text!r} has a brace without its other half") from None
