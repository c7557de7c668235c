"""Strategies as they are set today, with the bounds within which a person may change them."""

from typing import Any

from retention.deciding.strategies import Strategy
from retention.deciding.strategy_changes import Setting, StrategyChange, check, settle
from serving.access import Condition
from serving.actor import Actor, InvalidRequestError


def list_settings(actor: Actor) -> list[dict[str, Any]]:
    """Return every strategy as it is set; those for single customers only to who may see that customer's id."""
    changes = actor.desk.store.strategy_changes.read()
    settled = list(settle(actor.desk.strategies, changes, as_of=actor.now.date()))
    return [
        _describe(actor, strategy, setting)
        for strategy, setting in settled
        if setting.customer_id is None or _sees_customer(actor, setting.customer_id)
    ]


def change_strategy(actor: Actor, strategy_id: str, *, reason: str, **settings: Any) -> int:  # noqa: ANN401 - fields of a change
    """Change a strategy within its bounds and return the number of the change; it stands in the audit log.

    Raises InvalidRequestError, which names the bound, for a change that cannot be made.
    """
    change = StrategyChange(
        strategy_id=strategy_id, decided_by=actor.name, decided_at=actor.now, reason=reason, **settings
    )
    try:
        check(change, actor.desk.strategies)
    except ValueError as error:
        raise InvalidRequestError(str(error)) from None
    number = actor.desk.store.strategy_changes.record(change).number
    set_to = ", ".join(
        f"{name} {value}" for name, value in settings.items() if value is not None and name != "customer_id"
    )
    actor.record("strategy", customer_id=change.customer_id, subject=strategy_id, detail=f"{set_to}: {reason}")
    return number


def _sees_customer(actor: Actor, customer_id: str) -> bool:
    if actor.sees("customer_id") != "clear":
        return False
    is_it = Condition(column="customer_id", comparison="=", value=customer_id)
    return bool(actor.count("customers", is_it)["count"])


def _describe(actor: Actor, strategy: Strategy, setting: Setting) -> dict[str, Any]:
    declared = next(each for each in actor.desk.strategies if each.id == strategy.id)
    first, last = declared.days_allowed
    return {
        "strategy_id": strategy.id,
        "name_en": strategy.name.en,
        "name_zh": strategy.name.zh,
        "channel": strategy.channel,
        "purpose": strategy.purpose,
        "customer_id": setting.customer_id,
        "is_paused": setting.is_paused,
        "strength": setting.strength,
        "strength_low": declared.bounds.strength.low,
        "strength_high": declared.bounds.strength.high,
        "valid_days": strategy.valid_days,
        "valid_days_low": first,
        "valid_days_high": last,
        "cost": strategy.cost(actor.desk.policy),
        "effect": strategy.effect.value,
        "effect_low": strategy.effect.low,
        "effect_high": strategy.effect.high,
        "effect_basis": strategy.effect.basis,
        "effect_source": strategy.effect.source,
        **strategy.texts(),
    }
