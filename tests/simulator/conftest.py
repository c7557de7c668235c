from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from simulator.parameters import load_parameters
from simulator.story import simulate

Query = Callable[[str], list[tuple[Any, ...]]]


def write(folder: Path, industry: str, *, customers: int, months: int, seed: int = 0) -> Path:
    simulate(load_parameters(industry), folder, customers=customers, months=months, seed=seed)
    return folder


@pytest.fixture(scope="session")
def telecom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("telecom"), "telecom", customers=2000, months=2)


@pytest.fixture(scope="session")
def retail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("retail"), "retail", customers=800, months=2)


@pytest.fixture(scope="session")
def ask() -> Callable[[Path], Query]:
    """Ask SQL about a world: `{db}`, `{desk}`, `{truth}` and `{clicks}` stand for its files."""

    def about(world: Path) -> Query:
        connection = duckdb.connect()
        connection.execute("set timezone = 'UTC'")
        columns = (
            "{"
            + ", ".join(f"{name}: 'varchar'" for name in ("eid", "uid", "ts", "act", "src", "sid", "url", "dur"))
            + "}"
        )
        clicks = f"read_json('{world}/sources/clicks/*/*.jsonl.gz', columns = {columns}, filename = true)"
        connection.execute(f"create table clicks as from {clicks}")
        folders = {"db": "sources/database", "desk": "sources/desk", "drops": "sources/marketing", "truth": "truth"}
        places = {name: world / folder for name, folder in folders.items()}
        return lambda sql: connection.execute(sql.format(**places)).fetchall()

    return about


@pytest.fixture(scope="session")
def asked_telecom(telecom: Path, ask: Callable[[Path], Query]) -> Query:
    return ask(telecom)


@pytest.fixture(scope="session")
def asked_retail(retail: Path, ask: Callable[[Path], Query]) -> Query:
    return ask(retail)
