"""Clear contact data of one customer, for who answers for them; who looked and why is kept before anything is shown."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from serving.actor import Actor, InvalidRequestError

LONGEST_REASON = 400


class Reveal(Protocol):
    """The one way to clear contact data, handed in by who starts the desk; it keeps an audit of its own."""

    def __call__(self, customer_id: str, *, asker: str, purpose: str, at: datetime) -> Mapping[str, str]:
        """Return what is known by kind, `email` and `phone`; it records who asked why first."""


def reveal_contact(actor: Actor, customer_id: str, *, reason: str, reveal: Reveal) -> Mapping[str, str]:
    """Return how a customer of the actor's can be reached. Raises InvalidRequestError without a reason."""
    actor.require("contact")
    actor.find("customers", "customer_id", customer_id, columns=("position",))
    if not reason.strip() or len(reason) > LONGEST_REASON:
        raise InvalidRequestError(f"Looking at contact data takes a reason of at most {LONGEST_REASON} characters.")
    actor.record("contact", customer_id=customer_id, detail=reason)
    return reveal(customer_id, asker=actor.name, purpose=reason, at=actor.now)
