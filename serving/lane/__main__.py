"""The event lane's two programs: `python -m serving.lane collect ...` and `python -m serving.lane follow ...`.

The URL of the operational store is read from HOLDFAST_OPERATIONAL_URL: a command line would show a password in it.
"""

import argparse
import fcntl
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import OperationalError

from company.encryption import read_key
from company.industries import load_industry
from company.policy import Policy, load_policy
from company.yaml_file import read_yaml
from retention.store.lane import LaneMovedError
from retention.store.store import Store
from serving.access import read_access
from serving.lane.checkpoint import load_checkpoint, save_checkpoint
from serving.lane.collector import Collecting, Keys, create_collector
from serving.lane.follow import Lane
from serving.lane.kafka_log import BrokerRefusedError, KafkaLog
from serving.lane.log import POSITION, Log, LogAwayError, LogReplacedError, SqliteLog
from serving.lane.postgres_log import PostgresLog
from serving.lane.schema import TextReader
from serving.lane.writer import GroupWriter
from serving.sign_in.keys import ApiKeys
from serving.snapshot import NothingPublishedError, Snapshot

if TYPE_CHECKING:
    import uvicorn

LOG = logging.getLogger("holdfast.lane")
LOOPBACK = "127.0.0.1"
_IDLE_SECONDS = 0.01
_BEAT_SECONDS = 1.0
_NOTIFY_SECONDS = 5.0
_RATES_SECONDS = 60.0
_WAIT_SECONDS = 5.0


def main(*, read_texts: TextReader | None = None) -> None:
    """Run one of the programs until asked to end; the collector takes what customers write where it can be read."""
    given = read_arguments()
    policy = read_policy(given.company)
    given.log.parent.mkdir(parents=True, exist_ok=True)
    try:
        run(given, policy, read_texts=read_texts)
    except (BrokerRefusedError, LaneMovedError, LogReplacedError, LogAwayError) as fault:
        sys.exit(str(fault))


def run(given: argparse.Namespace, policy: Policy, *, read_texts: TextReader | None) -> None:
    """Run a program over its store and log."""
    with (
        Store(os.environ["HOLDFAST_OPERATIONAL_URL"], key=read_key(os.environ)) as store,
        closing(open_log(given.log, store, policy, secrets=os.environ)) as log,
    ):
        store.migrate()
        if given.program == "collect":
            import uvicorn

            uvicorn.Server(configure(given, store, log, policy, read_texts=read_texts)).run()
            return
        with hold_alone(given.log.with_name("lane.lock")):
            follow(given, store, log, policy)


def read_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m serving.lane", description=__doc__)
    parser.add_argument("program", choices=("collect", "follow"))
    parser.add_argument("--log", type=Path, required=True, help="the file of the log of events")
    parser.add_argument("--company", type=Path, required=True, help="the company file")
    parser.add_argument("--snapshot", type=Path, help="the published file, for `follow`")
    parser.add_argument("--host", default=LOOPBACK, help="where `collect` listens; put a TLS proxy before it elsewhere")
    parser.add_argument("--port", type=int, default=8010)
    return parser.parse_args()


def open_log(file: Path, store: Store, policy: Policy, *, secrets: Mapping[str, str]) -> Log:
    """Return the log: the topic of a broker, the operational store's database where that is PostgreSQL, or a file."""
    lane = policy.lane
    if lane.broker is not None:
        if find_spec("confluent_kafka") is None:
            sys.exit("`lane.broker` in the policy needs the extra `kafka`: pip install 'holdfast[kafka]'.")
        return KafkaLog(lane.broker, secrets=secrets, copy=file, ahead_seconds=lane.collector.ahead_seconds)
    url = store.database.engine.url
    if url.get_backend_name() == "postgresql":
        return PostgresLog(url.render_as_string(hide_password=False))
    return SqliteLog(file, key=read_key(os.environ))


@contextmanager
def hold_alone(file: Path) -> Iterator[None]:
    """Be the one lane of a log for a block; the hold ends with the process, however that ends."""
    with file.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("Another event lane follows this log. End it first; `holdfast ui` runs one, too.")
        yield


def read_policy(company: Path) -> Policy:
    """Return the policy of a company file, which `holdfast` has read as a whole before."""
    content = read_yaml(company).content
    return load_policy(load_industry(content["industry"]).policy, content.get("policy"))


def lands_log(company: Path) -> bool:
    """Return whether a company file's feed of `events` lands the log, on from its last position."""
    feeds = read_yaml(company).content.get("tables", {}).get("events", [])
    return any(feed.get("incremental") == POSITION for feed in (feeds if isinstance(feeds, list) else [feeds]))


def configure(
    given: argparse.Namespace, store: Store, log: Log, policy: Policy, *, read_texts: TextReader | None
) -> "uvicorn.Config":
    """Return the server of the collector."""
    import uvicorn

    limits = policy.lane.collector
    collecting = Collecting(
        writer=GroupWriter(log, now=_milliseconds, most_queued=limits.most_queued),
        keys=Keys(keys=ApiKeys(store.database), access=read_access(), now=_now),
        limits=limits,
        now=_now,
        waiting=_count_waiting(store, log),
        read_texts=read_texts,
    )
    return uvicorn.Config(
        create_collector(collecting), host=given.host, port=given.port, access_log=False, log_level="warning"
    )


def follow(given: argparse.Namespace, store: Store, log: Log, policy: Policy) -> None:
    """Follow the log until asked to end; waits for the first published night, and for a database that is away."""
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    while not ending.is_set():
        try:
            lane = open_lane(given, store, log, policy)
            lane.catch_up()
            Turns(lane, file=given.log.with_name("state.npz"), key=read_key(os.environ), ending=ending).run()
        except NothingPublishedError:
            ending.wait(_WAIT_SECONDS)
        except OperationalError as error:  # the database was away or locked: what was not committed had no effect
            LOG.warning("%s; the lane goes on from its last effects.", type(error.orig).__name__)
            ending.wait(_WAIT_SECONDS)
        except LogAwayError as error:
            LOG.warning("%s The lane goes on from its last effects.", error)
            ending.wait(_WAIT_SECONDS)


def open_lane(given: argparse.Namespace, store: Store, log: Log, policy: Policy) -> Lane:
    """Return the lane as its checkpoint left it. Raises NothingPublishedError."""
    lane = Lane(
        log=log, store=store, snapshot=Snapshot(path=given.snapshot, key=read_key(os.environ)),
        grant=read_access().grant("lane"), policy=policy, now=_now, is_landed=lands_log(given.company),
    )  # fmt: skip
    load_checkpoint(lane, given.log.with_name("state.npz"), key=read_key(os.environ))
    return lane


class Turns:
    """What a lane does again and again: read on, beat, notify owners, take up nights, write checkpoints."""

    def __init__(self, lane: Lane, *, file: Path, key: str, ending: threading.Event) -> None:
        """Work on a lane, whose checkpoints go to `file`, until `ending`."""
        self._lane, self._file, self._key, self._ending = lane, file, key, ending
        self._is_saved = file.exists()
        self._last: dict[str, float] = {}

    def run(self) -> None:
        """Work until asked to end, then write a checkpoint; or until an erasure took the checkpoint away."""
        is_new = False
        while not self._ending.is_set():
            count = self._lane.step()
            is_new = is_new or count > 0
            if self._is_time("beat", _BEAT_SECONDS):
                self._lane.refresh()
                self._lane.beat()
            if self._is_time("rates", _RATES_SECONDS):
                is_new = self._lane.watch_rates() > 0 or is_new
            if is_new and self._is_time("notify", _NOTIFY_SECONDS):
                self._lane.notify()
                is_new = False
            if self._is_saved and not self._file.exists():
                return  # the state in memory holds who was erased, too
            if self._is_time("checkpoint", self._lane.policy.lane.checkpoint_minutes * 60):
                self._checkpoint()
            if not count:
                self._ending.wait(_IDLE_SECONDS)
        self._checkpoint()

    def _checkpoint(self) -> None:
        save_checkpoint(self._lane, self._file, key=self._key)
        self._is_saved = True
        self._lane.trim()

    def _is_time(self, what: str, seconds: float) -> bool:
        at = time.monotonic()
        if at - self._last.setdefault(what, at) < seconds:
            return False
        self._last[what] = at
        return True


def _count_waiting(store: Store, log: Log) -> Callable[[], int]:
    """Return a function that counts events which the lane has not handled, by what both showed within a second."""
    seen = {"at": 0.0, "count": 0}

    def count() -> int:
        if time.monotonic() - seen["at"] > _BEAT_SECONDS:
            row = store.lane.read()
            seen.update(at=time.monotonic(), count=log.last() - (int(row["position"]) if row else 0))
        return int(seen["count"])

    return count


def _now() -> datetime:
    return datetime.now(UTC)


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main()
