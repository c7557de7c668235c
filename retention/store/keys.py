"""Keys made from what they identify, so that doing a thing again gives the same one."""

import json
from datetime import date
from hashlib import sha256


def message_key(customer_id: str, strategy_id: str, occasion: str, version: str) -> str:
    """Return the key of a message, 64 hexadecimal digits made from what identifies it."""
    return _digest("message", customer_id, strategy_id, occasion, version)


def entry_id(as_of: date, customer_id: str, strategy_id: str, arm: str, event: str, *, repetition: int = 0) -> str:
    """Return the id of a ledger entry, made from its content, so that a replay gives the same ledger.

    `repetition` counts the entries of the same event before it: a message that was sent again may fail again.
    """
    again = (str(repetition),) if repetition else ()
    return _digest("entry", as_of.isoformat(), customer_id, strategy_id, arm, event, *again)


def _digest(*parts: str) -> str:
    return sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()
