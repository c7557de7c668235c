"""Keys made from what they identify, so that doing a thing again gives the same one."""

import json
from datetime import date
from hashlib import sha256


def idempotency_key(as_of: date, customer_id: str, strategy_id: str) -> str:
    """Return the key of a message, 64 hexadecimal digits made from what identifies it."""
    return _digest("message", as_of.isoformat(), customer_id, strategy_id)


def entry_id(as_of: date, customer_id: str, strategy_id: str, arm: str, event: str) -> str:
    """Return the id of a ledger entry, made from its content, so that a replay gives the same ledger."""
    return _digest("entry", as_of.isoformat(), customer_id, strategy_id, arm, event)


def _digest(*parts: str) -> str:
    return sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()
