"""The state folder of an instance: made for its owner alone, used by one run at a time, and rid of old history."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

OWNER_ONLY = 0o700
CLOSED_TO_OTHERS = 0o077  # the file mode mask of every process that writes below a home


class HomeError(Exception):
    """The state folder cannot be used now; the message is one paragraph that names it and the fix."""


def prepare_home(home: Path) -> None:
    """Make `home` and close it, and all that this process and its children write, to other users.

    Raises HomeError where the folder cannot be made or written to; the folder above it must exist, so that a mistyped
    path starts no second instance.
    """
    os.umask(CLOSED_TO_OTHERS)
    if not home.parent.is_dir():
        raise HomeError(
            f"{home}: the folder {home.parent} does not exist. Correct `--home`, or make that folder first."
        )
    try:
        home.mkdir(exist_ok=True)
        home.chmod(OWNER_ONLY)
        probe = home / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise HomeError(
            f"{home}: the instance cannot keep its state there ({error.strerror}). "
            "Name a folder that you may write to by `--home` or HOLDFAST_HOME."
        ) from None


@contextmanager
def hold(home: Path) -> Iterator[None]:
    """Keep every other run off the instance for the length of the block; the lock ends with its process.

    Raises HomeError at once where another process holds it.
    """
    with (home / "run.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise HomeError(
                f"{home}: another run is at work here (process {lock.read().strip() or 'unknown'}), and the warehouse "
                "has one writer. Wait until it has ended, or stop it; what it left undone is done by the next run."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def forget_old_runs(instance: "dg.DagsterInstance", *, days: int, now: datetime) -> int:
    """Delete finished runs older than `days`, with their events, from Dagster's history; 0 days keep all.

    Returns how many were deleted. What a run built stays, and so do the materializations that younger runs reported.
    """
    if not days:
        return 0
    import dagster as dg

    ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    old = instance.get_run_records(filters=dg.RunsFilter(statuses=ended, created_before=now - timedelta(days=days)))
    for record in old:
        instance.delete_run(record.dagster_run.run_id)
    return len(old)
