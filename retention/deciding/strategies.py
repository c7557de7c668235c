"""The strategy library: what may be done for whom, at what cost and with which assumed effect."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from company.policy.units import Level, Money, Share
from company.taxonomy import Reason

if TYPE_CHECKING:
    import pandas as pd

    from company.policy import Policy

Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class StrategyError(Exception):
    """A strategy file cannot be used; the message is one paragraph that names the file, the key and the fix."""


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

    kind: Literal[
        "coupon", "discount", "points", "gift", "privilege", "upgrade", "trial", "yield_bonus", "agent", "message"
    ]
    amount: Money = 0.0
    take_up: Share = 1.0

    @property
    def expected_cost(self) -> float:
        """Amount x take-up."""
        return self.amount * self.take_up


class Effect(_Part):
    """The share of the customers about to leave whom the strategy keeps, and where that figure comes from."""

    value: Annotated[float, Field(ge=-1, le=1)]
    basis: Literal["assumption", "cited", "measured"]
    source: Annotated[str, Field(min_length=1)]


class Strategy(_Part):
    """One strategy; an empty `reasons` or `value_tiers` means any."""

    id: Identifier
    name: Text
    tiers: Annotated[tuple[Level, ...], Field(min_length=1)]
    reasons: tuple[Reason, ...] = ()
    value_tiers: tuple[str, ...] = ()
    channel: Identifier
    valid_days: Annotated[int, Field(ge=1)]
    modules: Annotated[tuple[Module, ...], Field(min_length=1)]
    effect: Effect
    message: Text

    @model_validator(mode="after")
    def _renderable(self) -> Self:
        for text in (self.message.en, self.message.zh):
            unknown = {name for _, name, _, _ in Formatter().parse(text) if name is not None} - {"amount", "valid_days"}
            if unknown:
                raise ValueError(f"the message uses {sorted(unknown)}; only {{amount}} and {{valid_days}} are known")
        return self

    def cost(self, policy: "Policy") -> float:
        """Expected cost of one treatment: the contact and what its modules cost on average.

        Raises StrategyError when the policy has no contact cost for the channel.
        """
        if self.channel not in policy.contact_costs:
            raise StrategyError(
                f"The strategy {self.id!r} uses the channel {self.channel!r}, whose cost nobody knows; "
                f"add it in the policy under `contact_costs`, which has {sorted(policy.contact_costs)}."
            )
        return policy.contact_costs[self.channel] + sum(module.expected_cost for module in self.modules)

    def texts(self) -> dict[str, str]:
        """Return the message in both languages, its figures filled in."""
        values = {"amount": f"{max(module.amount for module in self.modules):g}", "valid_days": self.valid_days}
        return {"text_en": self.message.en.format(**values), "text_zh": self.message.zh.format(**values)}

    def answers(self, candidates: "pd.DataFrame") -> "pd.Series[bool]":
        """Tell which candidates this strategy is meant for and may reach; the columns are those that `match` takes."""
        fits = candidates["level"].isin(self.tiers) & _holds(candidates["allowed_channels"], self.channel)
        if self.reasons:
            fits &= candidates["main_reason"].isin(self.reasons)
        if self.value_tiers:
            fits &= candidates["value_tier"].isin(self.value_tiers)
        return fits


def load_strategies(*paths: Path) -> tuple[Strategy, ...]:
    """Read the `strategies` of YAML files; a later file replaces strategies of the same id. Raises StrategyError."""
    library: dict[str, Strategy] = {}
    for path in paths:
        library |= {strategy.id: strategy for strategy in _read(path)}
    return tuple(library.values())


def _read(path: Path) -> list[Strategy]:
    content = _content(path)
    strategies = [_parse(entry, path=path) for entry in content.get("strategies", ())]
    _require_unique((strategy.id for strategy in strategies), path=path)
    return strategies


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise StrategyError(
            f"The strategy file {path} cannot be read ({error}); correct its path or its YAML."
        ) from error
    if not isinstance(content, Mapping):
        raise StrategyError(
            f"The strategy file {path} is no mapping; it needs the key `strategies` with a list below it."
        )
    return content


def _parse(entry: Mapping[str, Any], *, path: Path) -> Strategy:
    try:
        return Strategy.model_validate(entry)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in fault["loc"]) or "strategy"
        name = entry.get("id", "without an id") if isinstance(entry, Mapping) else entry
        message = fault["msg"].removeprefix("Value error, ")
        raise StrategyError(
            f"In {path} the strategy {name!r} has a fault at {key!r}: {message}; correct it there."
        ) from None


def _require_unique(ids: Iterable[str], *, path: Path) -> None:
    seen: set[str] = set()
    for strategy_id in ids:
        if strategy_id in seen:
            raise StrategyError(f"In {path} two strategies have the id {strategy_id!r}; rename one of them.")
        seen.add(strategy_id)


def _holds(lists: "pd.Series[str]", word: str) -> "pd.Series[bool]":
    """Tell which texts, lists of words with commas between, hold `word`."""
    return lists.map({text: word in text.split(",") for text in lists.unique()}).astype(bool)


def match(candidates: "pd.DataFrame", strategies: Sequence[Strategy], policy: "Policy") -> "pd.DataFrame":
    """Return every option: one row per candidate and strategy meant for it.

    Args:
        candidates: columns customer_id, level, main_reason, value_tier, and allowed_channels: the channels by which the
            customer may be contacted, with commas between.
        strategies: the library.
        policy: gives the contact costs.

    Returns:
        Columns customer_id, strategy_id, channel, effect, option_cost.
    """
    import pandas as pd

    options = [
        candidates.loc[strategy.answers(candidates), ["customer_id"]].assign(
            strategy_id=strategy.id,
            channel=strategy.channel,
            effect=strategy.effect.value,
            option_cost=strategy.cost(policy),
        )
        for strategy in strategies
    ]
    nothing = candidates.iloc[:0][["customer_id"]].assign(strategy_id="", channel="", effect=0.0, option_cost=0.0)
    found = pd.concat(options, ignore_index=True) if options else nothing
    return found.astype({"effect": float, "option_cost": float})
