"""Processes that send what is due and die at given moments: python sender.py '<order as json>' moment .."""

import json
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from company.policy import load_policy
from retention.acting.channels import Channel, Message, Receipt, build_channels
from retention.acting.channels.webhook import WebhookChannel
from retention.acting.dispatch import Sending, dispatch
from retention.acting.rules import SendingRules
from retention.store.store import Store


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingChannel(Channel):
    """Passes everything on, and dies before or after the first message."""

    def __init__(self, inner: Channel, moment: str) -> None:
        self._inner, self._moment = inner, moment

    def send(self, message: Message) -> Receipt:
        if self._moment == "before":
            die()
        receipt = self._inner.send(message)
        if self._moment == "after":
            die()
        return receipt

    def find(self, key: str) -> Receipt | None:
        if self._moment == "asking":
            die()
        return self._inner.find(key)


def open_channel(order: dict[str, str], moment: str) -> Channel:
    if order["channel"] == "file":
        if moment == "during":
            Path.replace = lambda *_: die()  # type: ignore[assignment, return-value]
        return build_channels({"file": {}}, folder=Path(order["target"]), secrets={})["*"]
    settings = {"url": order["target"], "lookup_url": order["target"] + "/{key}"}
    channel = build_channels({"webhook": settings}, folder=Path(), secrets={})["*"]
    assert isinstance(channel, WebhookChannel)
    channel.headers |= {"Sender": str(os.getpid()), "Moment": moment}
    return channel


def send(order: dict[str, str], moment: str, *, since: timedelta) -> None:
    policy = load_policy({"delivery": {"ask_after_seconds": 0.05}})
    sending = Sending(
        channels={"*": DyingChannel(open_channel(order, moment), moment)},
        delivery=policy.delivery,
        rules=SendingRules(contact=policy.contact_rules, timezone="UTC"),
        clock=lambda: datetime.now(UTC) + since,
    )
    with Store(order["url"]) as store:
        dispatch(store, sending)


def main(order: dict[str, str], moments: list[str]) -> None:
    """One process per moment, forked before anything is opened; print how each of them ended."""
    since = datetime.fromisoformat(order["at"]) - datetime.now(UTC)  # the day of the plan, on one clock for all
    codes = []
    for moment in moments:
        if (child := os.fork()) == 0:
            send(order, moment, since=since)
            os._exit(0)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(json.dumps(codes))  # noqa: T201 - the answer to the test


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
