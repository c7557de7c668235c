"""Strategy files: read, checked as a whole against the policy, and refused with the line and the fix."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from company.file_faults import CompanyError, Fault, listing, suggest
from company.validation import explain
from company.yaml_file import Document, read_yaml
from retention.deciding.strategies import Strategy

if TYPE_CHECKING:
    from company.policy import Policy

KEY = "strategies"


class StrategyError(CompanyError):
    """A strategy file that cannot be used; `faults` says why, one paragraph each."""


class _Library(BaseModel):
    strategies: tuple[Strategy, ...]


def load_strategies(*paths: Path, policy: "Policy", currency: str = "") -> tuple[Strategy, ...]:
    """Read the `strategies` of YAML files; a later file replaces strategies of the same id.

    Args:
        paths: the files; what they hold next to `strategies` is not looked at.
        policy: names the channels, with their costs and consents, and the value tiers.
        currency: that of all amounts, which the messages name.

    Raises StrategyError, or CompanyError for a file that is no YAML.
    """
    library: dict[str, Strategy] = {}
    for path in paths:
        read = _read(path, policy)
        library |= {strategy.id: strategy.priced_in(currency) for strategy in read}
    return tuple(library.values())


def _read(path: Path, policy: "Policy") -> tuple[Strategy, ...]:
    document = read_yaml(path)
    faults = list(_find_shape_faults(document))
    if not faults:
        content = {KEY: document.content[KEY]}
        try:
            library = _Library.model_validate(content)
        except ValidationError as error:
            faults = [explain(detail, _Library, content) for detail in error.errors(include_url=False)]
        else:
            faults = list(_find_contradictions(library.strategies, policy))
            if not faults:
                return library.strategies
    raise StrategyError(path, *dict.fromkeys(document.place(fault) for fault in faults))


def _find_shape_faults(document: Document) -> Iterator[Fault]:
    entries = document.content.get(KEY)
    if KEY not in document.content:
        problem = f"the file has no key `{KEY}`."
        yield Fault(key="", problem=problem, fix=f"Write `{KEY}:` and the strategies as a list below it.")
    elif not isinstance(entries, list):
        problem = f"`{KEY}` must be a list."
        yield Fault(key=KEY, problem=problem, fix="Begin each strategy with `- id:`.")


def _find_contradictions(strategies: tuple[Strategy, ...], policy: "Policy") -> Iterator[Fault]:
    seen: set[str] = set()
    tiers = [*type(policy.value_tiers).model_fields, "normal"]
    for number, strategy in enumerate(strategies):
        at = f"{KEY}.{number}"
        if strategy.id in seen:
            problem = f"two strategies of the file have the id `{strategy.id}`."
            yield Fault(key=f"{at}.id", problem=problem, fix="Rename one of them.")
        seen.add(strategy.id)
        yield from _find_unknown_channels(strategy, policy, at)
        yield from _find_too_frequent(strategy, policy, at)
        for tier in strategy.value_tiers:
            if tier not in tiers:
                problem = f"`{tier}` is no value tier, so that the strategy would reach nobody."
                yield Fault(key=f"{at}.value_tiers", problem=problem, fix=suggest(tier, tiers))


def _find_too_frequent(strategy: Strategy, policy: "Policy", at: str) -> Iterator[Fault]:
    named = {f"{at}.every_days": strategy.every_days} | {
        f"{at}.versions.{number}.every_days": version.every_days for number, version in enumerate(strategy.versions)
    }
    for key, days in named.items():
        if days is not None and days < policy.cooldown_days:
            problem = f"nobody is chosen again within {policy.cooldown_days} days, the policy's cooldown_days."
            yield Fault(key=key, problem=problem, fix="Name as many days or more, or lower cooldown_days.")


def _find_unknown_channels(strategy: Strategy, policy: "Policy", at: str) -> Iterator[Fault]:
    named = {f"{at}.channel": strategy.channel} | {
        f"{at}.versions.{number}.channel": version.channel
        for number, version in enumerate(strategy.versions)
        if version.channel
    }
    for key, channel in named.items():
        if channel not in policy.contact_costs:
            problem = f"nobody knows what a contact by `{channel}` costs."
            fix = (
                f"Use one of {listing(sorted(policy.contact_costs))}, or add the channel to the policy's contact_costs."
            )
            yield Fault(key=key, problem=problem, fix=fix)
