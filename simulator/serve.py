"""Serve a written world as real systems.

`python -m simulator.serve DIR` prints the connection environment and serves until interrupted;
`python -m simulator.serve DIR COMMAND ...` runs the command in that environment and stops when it ends. Options stand
before the folder.
"""

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from simulator.desk import Desk, Trouble, read_desk, run_desk
from simulator.postgres import run_postgres

PORT = 8377
TOKEN = "desk-demo-token"  # noqa: S105 - opens a server on loopback that holds invented people


class NoWorldError(Exception):
    """A folder that holds no world; str() says how to write one."""


@contextmanager
def serve(
    world: Path, *, port: int = 0, trouble: Trouble | None = None, data: Path | None = None
) -> Iterator[tuple[dict[str, str], Desk]]:
    """Run the database and the service desk of the world in `world`; yield the environment to connect, and the desk.

    The environment holds CRM_URL (a SQLAlchemy address), DESK_URL and DESK_TOKEN; click logs and marketing files are
    read from `world/sources`. The database keeps its files in `data`, or in `world/postgres`. Raises NoWorldError when
    there is no world.
    """
    if not (world / "sources").is_dir():
        raise NoWorldError(f"there is no world in `{world}`; write one with `python -m simulator --out {world}`")
    desk = read_desk(world / "sources" / "desk", token=TOKEN, trouble=trouble)
    with run_postgres(world, data=data) as database, run_desk(desk, port=port) as address:
        yield {"CRM_URL": database, "DESK_URL": address, "DESK_TOKEN": TOKEN}, desk


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulator.serve", description="Serve a world until interrupted.")
    parser.add_argument("world", type=Path)
    parser.add_argument("--port", type=int, default=PORT, help="port of the service desk")
    parser.add_argument("--data", type=Path, help="folder of the database's files; WORLD/postgres unless given")
    for name, words in _TROUBLES.items():
        parser.add_argument(f"--{name}", type=float, default=0.0, metavar="SHARE", help=words)
    parser.add_argument("--seed", type=int, default=0, help="decides which requests meet trouble")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="run this, then stop; without it, print and wait")
    return parser


_TROUBLES = {
    "limited": "requests answered 429 with Retry-After",
    "failing": "requests answered 503",
    "cut": "answers cut in the middle",
    "malformed": "answers that are no JSON",
}


def main(arguments: Sequence[str] | None = None, *, until: Event | None = None) -> int:
    """Serve while the given command runs; without one, print an `export` line per variable and wait.

    Waiting ends when `until` is set or the process is interrupted. Returns the command's exit status.
    """
    asked = _parser().parse_args(arguments)
    trouble = Trouble(**{name: getattr(asked, name) for name in _TROUBLES}, seed=asked.seed)
    try:
        with serve(asked.world.resolve(), port=asked.port, trouble=trouble, data=asked.data) as (environment, _):
            if asked.command:
                return subprocess.run(asked.command, env=os.environ | environment, check=False).returncode  # noqa: S603
            for name, value in environment.items():
                sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
            sys.stdout.flush()
            (until or Event()).wait()
    except NoWorldError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
