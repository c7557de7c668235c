"""What nobody waits for is written all the same: together, in its order, and in the end."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from retention.store.store import Store
from serving.__main__ import configure, read_arguments, serve
from serving.audit import AuditLog, Entry
from serving.desk.visit import Desk
from serving.sign_in.keys import ApiKey, ApiKeys
from serving.write_behind import WriteBehind

AT = datetime(2024, 10, 1, 8, 0, tzinfo=UTC)


def look(customer_id: str) -> Entry:
    return Entry(done_at=AT, done_by="ann", action="view", customer_id=customer_id)


def read(store: Store) -> list[tuple[int, str]]:
    rows = AuditLog(store.database).read(limit=100)
    return [(row["number"], row["customer_id"]) for row in reversed(rows)]


def test_outside_of_a_server_an_entry_is_there_at_once(sqlite_store: Store) -> None:
    WriteBehind(sqlite_store.database).add_entry(look("a"))
    assert read(sqlite_store) == [(1, "a")]


def test_nobody_waits_while_a_night_writes_and_all_is_there_at_the_end(sqlite_store: Store) -> None:
    later = WriteBehind(sqlite_store.database)
    keys = ApiKeys(sqlite_store.database, later=later)
    key = keys.add(ApiKey(name="crm", role="admin"), by="admin", at=AT, days=1)
    with later.running(every=0.01), sqlite_store.database.write():
        begun = time.monotonic()
        later.add_entry(look("a"))
        assert keys.verify(key, at=AT) is not None
        time.sleep(0.05)  # in which the writer begins to wait
        later.add_entry(look("b"))
        assert time.monotonic() - begun < 1
    assert read(sqlite_store)[1:] == [(2, "a"), (3, "b")]
    assert [each["action"] for each in AuditLog(sqlite_store.database).read(limit=9, without="view")] == ["key"]
    assert keys.read()[0]["used_at"] == AT


def test_what_could_not_be_written_waits_on_until_too_much_does(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise OperationalError("insert", {"customer": "secret-001"}, Exception("the disk is full"))

    later, write = WriteBehind(sqlite_store.database), sqlite_store.database.write
    monkeypatch.setattr(sqlite_store.database, "write", fail)
    monkeypatch.setattr("serving.write_behind._MOST_WAITING", 2)
    with later.running(every=0.01):
        later.add_entry(look("a"))
        later.add_entry(look("b"))
        time.sleep(0.05)
        with pytest.raises(OperationalError):
            later.add_entry(look("c"))
        monkeypatch.setattr(sqlite_store.database, "write", write)
    assert [name for _, name in read(sqlite_store)] == ["a", "b", "c"]
    assert "cannot be written" in caplog.text
    assert "secret-001" not in caplog.text


@pytest.fixture
def _signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_signals")
def test_a_server_that_is_asked_to_end_writes_who_looked_at_whom_just_before(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    import uvicorn

    monkeypatch.setattr("serving.write_behind._EVERY", 60)
    key = desk.keys.add(ApiKey(name="crm", role="admin"), by="admin", at=desk.now(), days=1)
    server = uvicorn.Server(configure(read_arguments(["--snapshot", "-", "--company", "-", "--port", "0"]), desk))
    statuses = []

    def look_and_end() -> None:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        headers = {"Authorization": f"Bearer {key}"}
        answer = httpx.get(f"http://127.0.0.1:{port}/v1/customers/secret-007/scores", headers=headers)
        statuses.extend([answer.status_code, len(desk.audit.read(customer_id="secret-007", limit=9))])
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=look_and_end)
    thread.start()
    with pytest.raises(SystemExit):
        serve(server, desk)
    thread.join()
    assert (statuses, len(desk.audit.read(customer_id="secret-007", limit=9))) == ([200, 0], 1)
