"""Source systems learn of an erasure by signed messages: each account once, and nothing ends before they took it."""

from datetime import UTC, datetime

import pytest

from orchestration.privacy.informing import SourceSystems
from privacy.identifiers import Identifiers
from privacy.traces import ErasureError
from retention.acting.channels.base import Channel, Message, NotDeliveredError, Receipt

ACCOUNTS = Identifiers(customers=("ann-001", "ann-002"))


class Crm(Channel):
    """A receiver that keeps what it took, and is away for some of the calls."""

    def __init__(self, *, away: int) -> None:
        self.taken: dict[str, Message] = {}
        self.away, self.calls = away, 0

    def send(self, message: Message) -> Receipt:
        self.calls += 1
        if self.calls == self.away:
            raise NotDeliveredError("away")
        self.taken[message.key] = message
        return Receipt(key=message.key, reference="taken")

    def find(self, key: str) -> Receipt | None:
        return Receipt(key=key, reference="taken") if key in self.taken else None


def test_a_receiver_that_is_away_stops_the_erasure_and_is_informed_once_when_it_is_back() -> None:
    crm = Crm(away=2)
    systems = SourceSystems(channel=crm, at=datetime(2024, 3, 1, tzinfo=UTC))
    with pytest.raises(ErasureError, match="run the request again"):
        systems.erase(ACCOUNTS, mode="erasure")
    evidence = systems.erase(ACCOUNTS, mode="erasure")
    assert (crm.calls, [trace.rows for trace in evidence.traces]) == (3, [2])
    sent = [(each.channel, each.body["event"], each.body["customer_id"]) for each in crm.taken.values()]
    assert sent == [("privacy", "privacy.erasure", each) for each in ACCOUNTS.customers]
