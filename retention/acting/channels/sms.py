"""Text messages through a gateway over HTTP: number, text and our key."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from retention.acting.channels.base import AddressKind, Message
from retention.acting.channels.http import HttpChannel, HttpSettings


class Settings(HttpSettings):
    """What HTTP channels are made from; `sender` is the name or number that the customer sees."""

    media: tuple[str, ...] = ("sms",)
    sender: str | None = None

    def open(self, *, folder: Path, secrets: Mapping[str, str]) -> "SmsChannel":  # noqa: ARG002 - nothing is stored
        """Return the channel; raises ChannelError when the token is not set."""
        return SmsChannel(self, secrets=secrets)


class SmsChannel(HttpChannel):
    """POSTs `to`, `text`, `reference` and, where set, `from`."""

    kind: ClassVar[str] = "sms"
    needs: ClassVar[AddressKind | None] = "phone"
    settings: Settings

    def write(self, message: Message) -> dict[str, Any]:
        """Return what a gateway needs, and nothing about the customer but the number."""
        sender = {} if self.settings.sender is None else {"from": self.settings.sender}
        return {"to": message.address, "text": message.body["text"], "reference": message.key, **sender}
