"""Real processes, real SIGKILL, real files, real HTTP, both databases."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest
from receivers import Receiver

import retention
from company.policy import load_policy
from retention.acting.channels import build_channels
from retention.acting.dispatch import Sending, dispatch
from retention.deciding.plan import plan
from retention.deciding.strategies import Strategy
from retention.store.store import Store

AS_OF = date(2017, 12, 1)
AT = datetime(2017, 12, 1, 12, 0, tzinfo=UTC)
SENDER = Path(__file__).with_name("sender.py")
ROOT = Path(retention.__file__).parents[1]


@pytest.fixture
def fill(make_candidates: Callable[..., pd.DataFrame], make_strategy: Callable[..., Strategy]) -> Callable[..., None]:
    def fill(store: Store, count: int = 6) -> None:
        policy, strategies = load_policy({"holdout": {"share": 0.0}, "exploration": {"share": 0.0}}), [make_strategy()]
        decided = plan(make_candidates(count), strategies, policy, spent=0).rows
        store.plans.commit(AS_OF, decided, strategies=strategies, at=AT)

    return fill


def _start(url: str, channel: str, target: str, *moments: str) -> subprocess.Popen[bytes]:
    order = json.dumps({"url": url, "channel": channel, "target": target, "at": AT.isoformat()})
    command = [sys.executable, str(SENDER), order, *moments]
    return subprocess.Popen(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE)


def _codes(process: subprocess.Popen[bytes]) -> list[int]:
    return list(json.loads(process.communicate(timeout=120)[0]))


def _read_ledger(store: Store) -> pd.DataFrame:
    """The ledger without the moments, and without the answers that killed senders left open for a while."""
    ledger = store.ledger.read().drop(columns=["recorded_at", "happened_at"])
    return ledger.loc[ledger["event"] != "unknown"].reset_index(drop=True)


@pytest.fixture
def undisturbed(
    tmp_path: Path, sqlite_tables: Path, fill: Callable[..., None], prepare: Callable[..., Sending]
) -> Callable[..., pd.DataFrame]:
    """The ledger of a sender that nobody kills."""

    def undisturbed(count: int = 6) -> pd.DataFrame:
        store = Store(f"sqlite:///{shutil.copy(sqlite_tables, tmp_path / 'undisturbed.db')}")
        fill(store, count)
        dispatch(store, prepare(build_channels({"file": {}}, folder=tmp_path / "undisturbed", secrets={})))
        return _read_ledger(store)

    return undisturbed


MOMENTS = ("before", "asking", "during", "after")


def test_a_sender_to_files_killed_at_every_moment_sends_everything_once(
    store: Store,
    tmp_path: Path,
    fill: Callable[..., None],
    undisturbed: Callable[..., pd.DataFrame],
) -> None:
    fill(store)
    codes = _codes(_start(_address(store), "file", str(tmp_path / "outbox"), *MOMENTS, "never"))
    assert codes == [-signal.SIGKILL] * 4 + [0]
    arrived = [path.stem for path in (tmp_path / "outbox").glob("[!.]*")]
    assert sorted(arrived) == sorted(store.outbox.read()["idempotency_key"])
    pd.testing.assert_frame_equal(_read_ledger(store), undisturbed())


def test_a_sender_to_a_webhook_killed_at_every_moment_sends_everything_once(
    store: Store,
    receiver: Receiver,
    fill: Callable[..., None],
    undisturbed: Callable[..., pd.DataFrame],
) -> None:
    fill(store)
    codes = _codes(_start(_address(store), "webhook", receiver.address, *MOMENTS, "never"))
    assert codes == [-signal.SIGKILL] * 4 + [0]
    assert sorted(receiver.taken) == sorted(store.outbox.read()["idempotency_key"])
    pd.testing.assert_frame_equal(_read_ledger(store), undisturbed())


def test_a_sender_killed_at_random_moments_sends_everything_once(
    sqlite_store: Store,
    receiver: Receiver,
    fill: Callable[..., None],
    undisturbed: Callable[..., pd.DataFrame],
) -> None:
    count, chance = 600, random.Random(11)
    fill(sqlite_store, count)
    rounds = _start(_address(sqlite_store), "webhook", receiver.address, *["never"] * 6)
    victims: set[str] = set()
    while len(victims) < 5 and rounds.poll() is None:
        for victim in {headers["Sender"] for _, headers in receiver.requests} - victims:
            time.sleep(chance.uniform(0, 0.05))
            os.kill(int(victim), signal.SIGKILL)
            victims.add(victim)
    assert _codes(rounds) == [-signal.SIGKILL] * 5 + [0]
    assert sorted(receiver.taken) == sorted(sqlite_store.outbox.read()["idempotency_key"])
    pd.testing.assert_frame_equal(_read_ledger(sqlite_store), undisturbed(count))


def _address(store: Store) -> str:
    return store.database.engine.url.render_as_string(hide_password=False)
