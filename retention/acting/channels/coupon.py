"""Coupons from the company's coupon service: one per message key, into the customer's account."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from retention.acting.channels.base import Message, Receipt, RefusedError
from retention.acting.channels.http import Answer, HttpChannel, HttpSettings

_LONGEST_CODE = 64


class Settings(HttpSettings):
    """What HTTP channels are made from."""

    media: tuple[str, ...] = ("coupon",)

    def open(self, *, folder: Path, secrets: Mapping[str, str]) -> "CouponChannel":  # noqa: ARG002 - nothing is stored
        """Return the channel; raises ChannelError when the token is not set."""
        return CouponChannel(self, secrets=secrets)


class CouponChannel(HttpChannel):
    """POSTs kind, amount and last day of a coupon; the answer's `code` becomes the receipt's reference."""

    kind: ClassVar[str] = "coupon"

    def send(self, message: Message) -> Receipt:
        """Order one coupon; raises RefusedError for a message that offers nothing."""
        if not message.body.get("offers"):
            raise RefusedError("the message offers nothing that a coupon could stand for")
        return super().send(message)

    def write(self, message: Message) -> dict[str, Any]:
        """Return the order; the key makes a repeated one the same coupon."""
        kept = {name: message.body.get(name) for name in ("customer_id", "campaign", "valid_until")}
        return {"key": message.key, **kept, **max(message.body["offers"], key=lambda offer: float(offer["amount"]))}

    def read_reference(self, answer: Answer) -> str:
        """Return the coupon's code, or the status where the service names none."""
        try:
            code = json.loads(answer.body)["code"]
        except (ValueError, TypeError, KeyError):
            return super().read_reference(answer)
        return str(code)[:_LONGEST_CODE]
