"""Matching: every strategy that is meant for a customer and may reach them, as an option."""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from company.taxonomy import REASONS
from retention.deciding.strategies import UNSCORED

if TYPE_CHECKING:
    import pandas as pd

    from company.policy import Policy
    from retention.deciding.strategies import Strategy

RISK_OCCASION = "risk"
WORDS = (
    "risk", "lifecycle_stage", "value_tier", "kind", "ticket_topic", "reasons", "triggers", "tags", "allowed_channels",
    "service_channels",
)  # fmt: skip


def match(
    candidates: "pd.DataFrame", strategies: Sequence["Strategy"], policy: "Policy", *, held_back: Collection[str] = ()
) -> "pd.DataFrame":
    """Return every option: one row per candidate and strategy meant for it.

    Args:
        candidates: rows of decisions.candidates.
        strategies: the library.
        policy: gives the costs of contacts, the tier policy, and what holds marketing back.
        held_back: customers who get no marketing at the moment: within their cool-down, or over the caps.

    Returns:
        Columns customer_id, strategy_id, channel, effect, effect_low, effect_high, option_cost, fit, see `read_fits`,
        and occasion: the trigger or the stage that the strategy answers, else `risk`. Of who is not scored the effects
        are points of return, and no more than the policy's part of how many return anyway.
    """
    import pandas as pd

    is_held_back = candidates["customer_id"].isin(set(held_back))
    people = candidates.assign(risk=_risk(candidates, policy), is_held_back=is_held_back)
    people = people.astype(dict.fromkeys(WORDS, "category"))  # each text is looked at once and not once per customer
    options = [_options(people.loc[answers(people, strategy, policy)], strategy, policy) for strategy in strategies]
    nothing = people.iloc[:0][["customer_id"]].assign(
        strategy_id="", channel="", effect=0.0, effect_low=0.0, effect_high=0.0, option_cost=0.0, fit=1.0, occasion=""
    )
    found = pd.concat(options, ignore_index=True) if options else nothing
    return found.astype(dict.fromkeys(("effect", "effect_low", "effect_high", "option_cost", "fit"), float))


def answers(people: "pd.DataFrame", strategy: "Strategy", policy: "Policy") -> "pd.Series[bool]":
    """Tell which candidates, with `risk` and `is_held_back` among their columns, a strategy is for and may reach."""
    open_channels = people["allowed_channels" if strategy.purpose == "marketing" else "service_channels"]
    fits = holds_any(open_channels, [strategy.channel])
    for wanted, column in _single(strategy):
        fits &= people[column].isin(wanted)
    for wanted, column in _several(strategy):
        fits &= holds_any(people[column], wanted)
    fits &= strategy.are_open_to(people["customer_id"])
    if strategy.purpose == "marketing":
        forbidding = {*policy.contact_rules.no_marketing_during} - {*strategy.triggers}
        fits &= ~(holds_any(people["triggers"], forbidding) | people["is_held_back"])
    return fits


def holds_any(lists: "pd.Series[str]", words: Collection[str]) -> "pd.Series[bool]":
    """Tell which texts, lists of words with commas between, hold at least one of `words`; a missing text holds none."""
    import pandas as pd

    texts, wanted = lists.astype("category").cat, set(words)
    holds = [not wanted.isdisjoint(text.split(",")) for text in texts.categories]
    return pd.Series(np.array([*holds, False])[texts.codes], index=lists.index)


def read_fits(strategy: "Strategy", policy: "Policy") -> dict[str, float]:
    """Return, by main reason, which share of its effect a strategy has where it does not answer the reason.

    It does not where nothing that it offers does, by the policy, and where it is for other reasons: then a lesser one
    of the customer's is what it answers. A reason that is not among the keys is answered. A strategy that waits for a
    trigger answers just that.
    """
    if strategy.triggers:
        return {}
    offers = {module.kind for module in strategy.modules}
    unanswered = {reason for reason, by in policy.effects.answered_by.items() if offers.isdisjoint(by)}
    others = {*REASONS} - {*(strategy.reasons or REASONS)}
    return dict.fromkeys(sorted(unanswered | others), policy.effects.unanswered_share)


def _risk(candidates: "pd.DataFrame", policy: "Policy") -> "pd.Series[str]":
    return candidates["alert_level" if policy.tier_policy == "alerts" else "tier"].fillna(UNSCORED)


def _single(strategy: "Strategy") -> Iterator[tuple[Collection[str], str]]:
    """Yield what the strategy asks of columns that hold one word."""
    columns = {
        "risk": strategy.tiers,
        "lifecycle_stage": strategy.stages,
        "value_tier": strategy.value_tiers,
        "kind": strategy.kinds,
        "ticket_topic": strategy.topics,
    }
    return ((wanted, column) for column, wanted in columns.items() if wanted)


def _several(strategy: "Strategy") -> Iterator[tuple[Collection[str], str]]:
    """Yield what the strategy asks of columns that hold several words with commas between."""
    columns = {"reasons": strategy.reasons, "triggers": strategy.triggers, "tags": strategy.tags}
    return ((wanted, column) for column, wanted in columns.items() if wanted)


def _options(people: "pd.DataFrame", strategy: "Strategy", policy: "Policy") -> "pd.DataFrame":
    # where nobody ever comes back, no message brings them: who is scored has no such bound
    most = (policy.lifecycle.return_uplift * people["return_rate"].astype(float)).fillna(1.0)
    return people[["customer_id"]].assign(
        strategy_id=strategy.id,
        channel=strategy.channel,
        effect=most.clip(upper=strategy.effect.value),
        effect_low=most.clip(upper=strategy.effect.low),
        effect_high=most.clip(upper=strategy.effect.high),
        option_cost=strategy.cost(policy),
        fit=people["main_reason"].astype(object).map(read_fits(strategy, policy)).fillna(1.0),
        occasion=_occasions(people, strategy),
    )


def _occasions(people: "pd.DataFrame", strategy: "Strategy") -> "pd.Series[str] | str":
    if not strategy.triggers:
        return people["lifecycle_stage"].astype(str) if strategy.stages else RISK_OCCASION
    triggers = people["triggers"].astype(str)
    first = {text: next((w for w in text.split(",") if w in strategy.triggers), "") for text in triggers.unique()}
    return triggers.map(first)
