"""Tasks in a CRM: what a person should do for a customer, and until when."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from retention.acting.channels.base import Message
from retention.acting.channels.http import HttpChannel, HttpSettings


class Settings(HttpSettings):
    """What HTTP channels are made from; `queue` is the list on which tasks appear."""

    media: tuple[str, ...] = ("phone", "agent")
    queue: str = "retention"

    def open(self, *, folder: Path, secrets: Mapping[str, str]) -> "CrmChannel":  # noqa: ARG002 - nothing is stored
        """Return the channel; raises ChannelError when the token is not set."""
        return CrmChannel(self, secrets=secrets)


class CrmChannel(HttpChannel):
    """POSTs a task; the CRM knows the customer by the id."""

    kind: ClassVar[str] = "crm"
    settings: Settings

    def write(self, message: Message) -> dict[str, Any]:
        """Return the task: for whom, what to say and offer, and the last day on which it makes sense."""
        kept = {name: message.body.get(name) for name in ("customer_id", "campaign", "offers", "valid_until")}
        return {
            "external_id": message.key,
            "queue": self.settings.queue,
            "medium": message.channel,
            "text": message.body["text"],
            **kept,
        }
