"""The inbox of the built-in gateway: every message that arrived, how often, and for which medium. No address in it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from company.encryption import sqlite_driver, unlock

_TABLE = """
    create table if not exists messages (
        key text primary key, kind text not null, channel text not null, text text not null, body text not null,
        arrived_at text not null, is_replay integer not null, times integer not null
    )
"""
_TAKE = """
    insert into messages values (:key, :kind, :channel, :text, :body, :arrived_at, :is_replay, 1)
    on conflict (key) do update set times = times + 1
"""
_BUSY_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A message in the inbox; `times` is how often it arrived, `kind` the channel that it came by."""

    key: str
    kind: str
    channel: str
    text: str
    body: Mapping[str, Any]
    arrived_at: datetime
    is_replay: bool = False
    times: int = 1


class Inbox:
    """One SQLite file; several processes may use it at once. A message that comes twice is counted, not hidden."""

    def __init__(self, path: Path, *, key: str = "") -> None:
        """Use the file at `path`; it is made with its folder when the first message arrives, encrypted by a key."""
        self.path = path
        self._key = key
        self._lock = Lock()

    def take(self, arrival: Arrival) -> None:
        """Add a message, or count that it came again."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        row = {
            "key": arrival.key, "kind": arrival.kind, "channel": arrival.channel, "text": arrival.text,
            "body": json.dumps(arrival.body, ensure_ascii=False, default=str),
            "arrived_at": arrival.arrived_at.astimezone(UTC).isoformat(), "is_replay": arrival.is_replay,
        }  # fmt: skip
        with self._open() as connection:
            connection.execute(_TAKE, row)

    def find(self, key: str) -> Arrival | None:
        """Return the message of a key."""
        return next(iter(self._read("where key = ?", key)), None)

    def read(self, *, channel: str | None = None, limit: int = 200) -> list[Arrival]:
        """Return messages, the newest first, of one medium or of all."""
        where = "" if channel is None else "where channel = ?"
        values = () if channel is None else (channel,)
        return self._read(f"{where} order by arrived_at desc, key limit {int(limit)}", *values)

    def count(self) -> dict[str, tuple[int, int]]:
        """Return, by medium, how many messages there are and how many of them came more than once."""
        if not self.path.exists():
            return {}
        with self._open() as connection:
            query = "select channel, count(*), sum(times > 1) from messages group by channel order by channel"
            return {channel: (count, twice) for channel, count, twice in connection.execute(query)}

    def _read(self, clause: str, *values: object) -> list[Arrival]:
        if not self.path.exists():
            return []
        with self._open() as connection:
            rows = connection.execute(f"select * from messages {clause}", values).fetchall()
        return [
            Arrival(
                key=row[0], kind=row[1], channel=row[2], text=row[3], body=json.loads(row[4]),
                arrived_at=datetime.fromisoformat(row[5]), is_replay=bool(row[6]), times=row[7],
            )
            for row in rows
        ]  # fmt: skip

    @contextmanager
    def _open(self) -> Iterator[Any]:
        with self._lock, self._connection:
            yield self._connection

    @cached_property
    def _connection(self) -> Any:  # noqa: ANN401 - of either driver
        """One connection for as long as the inbox is used: the last one to close would have to empty the log."""
        driver = sqlite_driver(key=self._key)
        connection = driver.connect(self.path, timeout=_BUSY_SECONDS, check_same_thread=False)
        unlock(connection, self.path, key=self._key)
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=normal")
        connection.execute(_TABLE)
        return connection
