"""The built-in gateway: it stands in for every receiver, so that all runs without a network and can be looked at."""

from collections.abc import Mapping
from pathlib import Path

from company.encryption import read_key
from retention.acting.channels.base import Channel, ChannelSettings, Message, Receipt
from retention.acting.inbox import Arrival, Inbox

INBOX = "inbox.db"
KIND = "gateway"


class Settings(ChannelSettings):
    """It has none of its own; its inbox is encrypted where the instance's files are."""

    def open(self, *, folder: Path, secrets: Mapping[str, str]) -> "GatewayChannel":
        """Return the channel; its inbox is a file in `folder`."""
        return GatewayChannel(Inbox(folder / INBOX, key=read_key(secrets)))


class GatewayChannel(Channel):
    """Puts each message into the inbox. It asks for no address: whoever looks into the inbox sees the customer's id."""

    def __init__(self, inbox: Inbox) -> None:
        """Keep the inbox."""
        self.inbox = inbox

    def send(self, message: Message) -> Receipt:
        """Put the message into the inbox."""
        text, moment = str(message.body.get("text", "")), message.moment
        self.inbox.take(
            Arrival(
                key=message.key,
                kind=KIND,
                channel=message.channel,
                text=text,
                body=message.body,
                arrived_at=moment,
                is_replay=message.is_replay,
            )
        )
        return Receipt(key=message.key, reference="in the built-in inbox")

    def find(self, key: str) -> Receipt | None:
        """Return the receipt of a message that is in the inbox."""
        return None if self.inbox.find(key) is None else Receipt(key=key, reference="in the built-in inbox")
