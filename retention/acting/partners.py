"""The way to partners' programs: each webhook a channel of its own, so that one that is down holds up no other."""

from collections.abc import Iterable
from typing import Any

from retention.acting.channels.base import Channel, Message, Receipt, RefusedError
from retention.acting.channels.webhook import Settings, WebhookChannel
from retention.acting.signing import read_key
from retention.store.subscriptions import Subscription, address_of


class PartnerChannel(WebhookChannel):
    """POSTs an event as it was announced. Receivers of Standard Webhooks take each webhook-id once."""

    kind = "partner"

    def __init__(self, subscription: Subscription) -> None:
        """Post to the subscription's address, signed with its secret."""
        super().__init__(Settings(url=subscription.url, is_idempotent=True), secrets={})
        self.keys = [read_key(subscription.secret)]
        self._is_open = subscription.ended_at is None

    def write(self, message: Message) -> dict[str, Any]:
        """Return type, timestamp and data."""
        return dict(message.body)

    def send(self, message: Message) -> Receipt:
        """Post the event once; raises RefusedError when the webhook has ended."""
        if not self._is_open:
            raise RefusedError("the webhook has ended")
        return super().send(message)


def open_partners(subscriptions: Iterable[Subscription]) -> dict[str, Channel]:
    """Return the channel of every webhook, by the medium of its messages."""
    return {address_of(each.subscription_id): PartnerChannel(each) for each in subscriptions}
