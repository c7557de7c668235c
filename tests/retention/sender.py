"""Processes that send what is due and die at given moments: python sender.py '<order as json>' moment .."""

import json
import os
import signal
import sys
from datetime import datetime
from pathlib import Path

from company.policy import load_policy
from retention.acting.channels import Channel, FileChannel, Message, Receipt, WebhookChannel
from retention.acting.dispatch import dispatch
from retention.store.store import Store


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingChannel:
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


def send(order: dict[str, str], moment: str) -> None:
    inner: Channel
    if order["channel"] == "file":
        inner = FileChannel(Path(order["target"]))
        if moment == "during":
            Path.replace = lambda *_: die()  # type: ignore[assignment, return-value]
    else:
        headers = {"Sender": str(os.getpid()), "Moment": moment}
        lookup = order["target"] + "/{key}"
        inner = WebhookChannel(url=order["target"], lookup_url=lookup, headers=headers, pause_seconds=0.01)
    delivery = load_policy().delivery
    with Store(order["url"]) as store:
        dispatch(
            store.outbox, {"*": DyingChannel(inner, moment)}, at=datetime.fromisoformat(order["at"]), delivery=delivery
        )


def main(order: dict[str, str], moments: list[str]) -> None:
    """One process per moment, forked before anything is opened; print how each of them ended."""
    codes = []
    for moment in moments:
        if (child := os.fork()) == 0:
            send(order, moment)
            os._exit(0)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(json.dumps(codes))  # noqa: T201 - the answer to the test


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
