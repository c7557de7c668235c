"""Group commit: one thread appends whatever requests wait in one transaction, and answers each when it is durable."""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from serving.lane.log import Log, Row

_MOST_ROWS = 20_000
_END = None


class FullError(Exception):
    """So many events wait to become durable that no more are taken now; nothing of the request was stored."""


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    rows: Sequence[Row]
    answer: "asyncio.Future[None]"
    loop: asyncio.AbstractEventLoop


class GroupWriter:
    """The one writer of a log, for the length of a block. An error of the log goes to all whose events it held."""

    def __init__(self, log: Log, *, now: Callable[[], int], most_queued: int) -> None:
        """Append to `log`; `now` gives milliseconds since 1970; at most `most_queued` events wait."""
        self._log, self._now, self._most = log, now, most_queued
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._queued = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Write what waits and end the thread."""
        self._waiting.put(_END)
        self._thread.join()

    async def append(self, rows: Sequence[Row]) -> None:
        """Return when the events are durable. Raises FullError when too many wait."""
        with self._lock:
            if self._queued + len(rows) > self._most:
                raise FullError
            self._queued += len(rows)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(rows=rows, answer=loop.create_future(), loop=loop)
        self._waiting.put(waiting)
        await waiting.answer

    def _run(self) -> None:
        while (first := self._waiting.get()) is not _END:
            group, is_ended = self._gather(first)
            self._write(group)
            if is_ended:
                return

    def _gather(self, first: _Waiting) -> tuple[list[_Waiting], bool]:
        group, count = [first], len(first.rows)
        while count < _MOST_ROWS:
            try:
                further = self._waiting.get_nowait()
            except queue.Empty:
                break
            if further is _END:
                return group, True
            group.append(further)
            count += len(further.rows)
        return group, False

    def _write(self, group: Sequence[_Waiting]) -> None:
        rows = [row for each in group for row in each.rows]
        error: Exception | None = None
        try:
            self._log.append(rows, received_at=self._now())
        except Exception as raised:  # noqa: BLE001 - whatever the log raises, nobody's events are acknowledged
            error = raised
        with self._lock:
            self._queued -= len(rows)
        for each in group:
            each.loop.call_soon_threadsafe(_answer, each.answer, error)


def _answer(future: "asyncio.Future[None]", error: Exception | None) -> None:
    if future.done():  # whoever asked has gone
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
