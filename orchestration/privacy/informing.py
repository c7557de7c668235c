"""Source systems are informed of an erasure, by the channel that takes messages of the medium `privacy`."""

from dataclasses import dataclass
from datetime import datetime

from privacy.duckdb_tables import Mode
from privacy.identifiers import Identifiers
from privacy.traces import ErasureError, Evidence, Trace
from retention.acting.channels import Channel
from retention.acting.channels.base import (
    AskLaterError,
    Message,
    NotDeliveredError,
    RefusedError,
    UnclearError,
)
from retention.store.database import digest

MEDIUM = "privacy"


@dataclass(frozen=True, kw_only=True)
class SourceSystems:
    """Whoever listens behind `channel`: one message per account, with a key by which a repeated one is recognised."""

    channel: Channel
    at: datetime
    name: str = "source systems"

    def plan(self, identifiers: Identifiers) -> list[Trace]:  # noqa: ARG002 - what lies there cannot be looked at
        """Return nothing: what those systems hold is theirs to find."""
        return []

    def erase(self, identifiers: Identifiers, *, mode: Mode) -> Evidence:
        """Inform of every account; raises ErasureError where one message was not taken, and a second time goes on."""
        for customer_id in identifiers.customers:
            self._inform(self._write(customer_id, mode))
        count = len(identifiers.customers)
        return Evidence(store=self.name, traces=(Trace(place=MEDIUM, action="informed", rows=count),))

    def _write(self, customer_id: str, mode: Mode) -> Message:
        body = {"text": f"{mode} of a customer's data", "event": f"privacy.{mode}", "customer_id": customer_id}
        return Message(key=digest(MEDIUM, mode, customer_id), channel=MEDIUM, body=body, moment=self.at)

    def _inform(self, message: Message) -> None:
        try:
            if not (self.channel.is_askable and self.channel.can_confirm and self.channel.find(message.key)):
                self.channel.send(message)
        except (AskLaterError, NotDeliveredError, RefusedError, UnclearError) as error:
            raise ErasureError(
                f"The channel for `{MEDIUM}` did not take the message on an erasure ({error}). "
                "What was done stays done; run the request again when the receiver answers."
            ) from None
