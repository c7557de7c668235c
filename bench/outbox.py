"""What sending keeps and how fast it is: `python -m bench.outbox [--messages 100000] [--kills 100]`.

Kills: two senders at a time, killed at random moments while they claim, send and settle, against a receiver that takes
messages and answers 500, 503 or 408, breaks off, or redirects. Then each message must be at the receiver exactly once,
and plans, ledger, outbox and receiver must agree. Speed: messages through the outbox to the built-in gateway on SQLite.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
from sqlalchemy import select

from company.policy import load_policy
from retention.acting.channels import Channel, build_channels
from retention.acting.dispatch import Sending, dispatch
from retention.acting.proof import prove
from retention.acting.rules import SendingRules
from retention.store.database import insert_frame
from retention.store.keys import message_key
from retention.store.ledger import ASSIGNED
from retention.store.store import Store
from retention.store.tables import LEDGER, OUTBOX, PLAN_ROWS, PLANS

AS_OF = date(2026, 1, 5)
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
ANSWERS = (200, 200, 200, 200, 500, 503, 408, 302, 0)  # after the message was taken; 0 breaks the connection
REFUSED = 0.1  # share of calls that are answered 503 before anything is taken


def fill(store: Store, count: int) -> None:
    """Write a plan that treats `count` customers, straight into the tables."""
    customers = [f"c{number:06d}" for number in range(count)]
    keys = [message_key(customer, "bench", AS_OF.isoformat(), "1") for customer in customers]
    shared = {"as_of": AS_OF, "strategy_id": "bench", "channel": "in_app"}
    people = pd.DataFrame({"customer_id": customers, "idempotency_key": keys, "rank": range(count)}).assign(**shared)
    decided = people.drop(columns="idempotency_key").assign(
        arm="treated", cost=1.0, decision="treat", decision_reason="bench", level="high", score=90.0, probability=0.9,
        propensity=0.9,
    )  # fmt: skip
    messages = people.assign(
        occasion=AS_OF.isoformat(), version="1", purpose="marketing", body=json.dumps({"text_en": "10 off"}),
        is_replay=False, useful_until=AS_OF + timedelta(days=30), state="planned", attempts=0, not_before=NOON,
        updated_at=NOON,
    )  # fmt: skip
    entries = people.drop(columns="rank").assign(
        entry_id=[f"e{key[:60]}" for key in keys], arm="treated", event=ASSIGNED, cost=1.0, happened_at=NOON,
        is_replay=False, recorded_at=NOON,
    )  # fmt: skip
    header = {"as_of": AS_OF, "committed_at": NOON, "count_rows": count, "count_treated": count, "count_holdout": 0,
              "amount_committed": float(count), "fingerprint": "bench"}  # fmt: skip
    with store.database.write() as connection:
        connection.execute(PLANS.insert().values(header))
        insert_frame(connection, PLAN_ROWS, decided)
        insert_frame(connection, LEDGER, entries)
        insert_frame(connection, OUTBOX, messages)


def prepare(channels: dict[str, Channel], since: timedelta) -> Sending:
    """Return sending on a clock that began at noon of the plan's day."""
    policy = load_policy({"delivery": {"ask_after_seconds": 0.3, "retry_after_minutes": 0.001, "maximum_attempts": 50,
                                       "pause_after_failures": 1000, "patience_seconds": 5}})  # fmt: skip
    rules = SendingRules(contact=policy.contact_rules, timezone="UTC")
    return Sending(channels=channels, delivery=policy.delivery, rules=rules, clock=lambda: datetime.now(UTC) + since)


class Receiver(ThreadingHTTPServer):
    """Counts what it takes, and answers badly at random."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, seed: int) -> None:
        """Draw answers from `seed`."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.taken: Counter[str] = Counter()
        self.chance = random.Random(seed)
        self.lock = threading.Lock()

    def handle_error(self, *_: object) -> None:
        """Say nothing of callers that were killed."""


class Handler(BaseHTTPRequestHandler):
    """Takes messages and tells which it has."""

    server: Receiver
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take a message, mostly, and answer anything."""
        self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            is_refused = self.server.chance.random() < REFUSED
            answer = 503 if is_refused else self.server.chance.choice(ANSWERS)
            if not is_refused:
                self.server.taken[self.headers["Idempotency-Key"]] += 1
        if answer:
            self.answer(answer)
        self.close_connection = True

    def do_GET(self) -> None:
        """Tell whether a message was taken."""
        self.answer(200 if self.server.taken[self.path.rsplit("/", 1)[-1]] else 404)

    def answer(self, status: int) -> None:
        """Send an empty answer."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def send(url: str, address: str, since: timedelta) -> None:
    """Be one sender, until everything is sent or it is killed."""
    with Store(url) as store:
        dispatch(store, prepare(open_webhook(address), since))


def open_webhook(address: str) -> dict[str, Channel]:
    """Return the channel to the receiver."""
    settings = {"webhook": {"url": address, "lookup_url": f"{address}/{{key}}"}}
    return build_channels(settings, folder=Path(), secrets={})


def measure_kills(url: str, *, messages: int, kills: int, seed: int) -> dict[str, object]:
    """Kill senders until everything is sent all the same, and compare what was recorded with what arrived."""
    receiver, chance = Receiver(seed), random.Random(seed)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{receiver.server_address[1]}/messages"
    since, killed = NOON - datetime.now(UTC), 0
    with Store(url) as store:
        store.migrate()
        fill(store, messages)
    context = multiprocessing.get_context("fork")

    def start() -> multiprocessing.process.BaseProcess:
        process = context.Process(target=send, args=(url, address, since))
        process.start()
        return process

    pair = [start(), start()]
    while killed < kills and any(process.is_alive() for process in pair):
        time.sleep(chance.uniform(0.05, 0.4))
        victim = chance.randrange(2)
        if pair[victim].is_alive():
            os.kill(pair[victim].pid or 0, signal.SIGKILL)
            killed += 1
        pair[victim].join()
        pair[victim] = start()
    for process in pair:
        process.join()
    with Store(url) as store:
        dispatch(store, prepare(open_webhook(address), since))
        proof = prove(store, open_webhook(address), replays={})
        with store.database.read() as connection:
            keys = set(connection.scalars(select(OUTBOX.c.idempotency_key)))
    receiver.shutdown()
    return {
        "kills": killed,
        "messages": messages,
        "arrived_once": sum(count == 1 for count in receiver.taken.values()),
        "arrived_twice": sum(count > 1 for count in receiver.taken.values()),
        "lost": len(keys - set(receiver.taken)),
        "disagreements": len(proof.disagreements),
    }


def measure_speed(folder: Path, *, messages: int) -> dict[str, object]:
    """Send to the built-in gateway on SQLite and return messages a second."""
    with Store(f"sqlite:///{folder / 'speed.db'}") as store:
        store.migrate()
        fill(store, messages)
        begun = time.perf_counter()
        report = dispatch(store, prepare(build_channels({}, folder=folder, secrets={}), NOON - datetime.now(UTC)))
        seconds = time.perf_counter() - begun
    return {"sent": report.sent, "seconds": round(seconds, 1), "per_second": round(report.sent / seconds)}


def main() -> None:
    """Measure both and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--url", help="a PostgreSQL address for the kills instead of SQLite")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = asked.url or f"sqlite:///{folder}/kills.db"
        print("kills", measure_kills(url, messages=30 * asked.kills, kills=asked.kills, seed=1))
        print("speed", measure_speed(Path(folder), messages=asked.messages))


if __name__ == "__main__":
    main()
