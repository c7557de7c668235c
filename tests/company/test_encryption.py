"""Files under a key: nothing of them can be read without it, and each way of a wrong key is named."""

from contextlib import closing
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa

from company.encryption import EncryptionError, open_file, sqlite_driver, unlock
from company.sealed_file import read_file, seal
from orchestration.engines import DuckDb
from orchestration.warehouse import Warehouse
from retention.store.database import Database
from serving.lane.log import SqliteLog

KEY, OTHER = "q7Jw2mZx0aVf9KtB3sLr8YdH", "Zt4Kc8PqLw1nXv6RbJ0sGy5M"
SECRET = "ann@meierhans.example"


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    made = Warehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb", key=KEY))
    with made.connect() as connection:
        connection.execute(f"create schema raw; create table raw.t as select '{SECRET}' as email from range(5000)")
    return made


def read_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_nothing_stands_in_clear_in_the_files_of_a_warehouse_and_its_published_copy(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    warehouse.publish(tmp_path / "published" / "holdfast.duckdb", {"people": "select * from raw.t"})
    assert SECRET.encode() not in read_bytes(tmp_path)
    with open_file(tmp_path / "published" / "holdfast.duckdb", key=KEY, is_read_only=True) as connection:
        assert connection.execute("select count(*), any_value(email) from people").fetchone() == (5000, SECRET)


def test_what_a_query_spills_is_encrypted(warehouse: Warehouse, tmp_path: Path) -> None:
    with warehouse.connect() as connection:
        connection.execute("set memory_limit = '60MB'; set threads = 1")
        connection.execute(f"create temp table wide as select '{SECRET}' || range, range % 1009 from range(2000000)")
        spilled = list((tmp_path / "warehouse.duckdb.tmp").iterdir())
        assert spilled
        assert all(SECRET.encode() not in path.read_bytes() for path in spilled)


@pytest.mark.usefixtures("warehouse")
@pytest.mark.parametrize(("key", "problem"), [(OTHER, "is not the one"), ("", "HOLDFAST_ENCRYPTION_KEY is not set")])
def test_a_wrong_or_missing_key_is_named_for_each_kind_of_file(tmp_path: Path, key: str, problem: str) -> None:
    store = tmp_path / "operational.db"
    write_store(store)
    with pytest.raises(EncryptionError, match=f"warehouse.duckdb: .*{problem}"):
        Warehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb", key=key)).read("select 1")
    with pytest.raises(EncryptionError, match=f"operational.db: .*{problem}"), Database(str_url(store), key=key).read():
        pass


def test_a_file_in_clear_is_refused_where_a_key_is_set(tmp_path: Path) -> None:
    duckdb.connect(str(tmp_path / "warehouse.duckdb")).close()
    with pytest.raises(EncryptionError, match="written without encryption"):
        open_file(tmp_path / "warehouse.duckdb", key=KEY)


def test_the_operational_store_and_the_log_of_events_are_encrypted_with_their_write_ahead_logs(tmp_path: Path) -> None:
    write_store(tmp_path / "operational.db")
    with closing(SqliteLog(tmp_path / "events.db", key=KEY)) as log:
        log._connection.execute("create table notes (text)")
        log._connection.execute("insert into notes values (?)", [SECRET])
        assert SECRET.encode() not in read_bytes(tmp_path)


def test_a_sealed_file_opens_under_its_key_alone_and_not_after_it_was_changed(tmp_path: Path) -> None:
    path = tmp_path / "message.json"
    path.write_bytes(seal(SECRET.encode(), key=KEY))
    assert SECRET.encode() not in path.read_bytes()
    assert read_file(path, key=KEY) == SECRET.encode()
    with pytest.raises(EncryptionError, match=r"message\.json: this file was sealed under another key"):
        read_file(path, key=OTHER)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(EncryptionError, match="or was changed since"):
        read_file(path, key=KEY)
    path.write_bytes(seal(SECRET.encode(), key=""))
    assert read_file(path, key=KEY) == SECRET.encode()


def write_store(path: Path) -> None:
    database = Database(str_url(path), key=KEY)
    with database.write() as connection:
        connection.execute(sa.text("create table notes (text varchar)"))
        connection.execute(sa.text("insert into notes values (:text)"), {"text": SECRET})
    with database.read() as connection:
        assert connection.scalar(sa.text("select text from notes")) == SECRET
    database.close()
    with closing(sqlite_driver(key=KEY).connect(path)) as opened:
        unlock(opened, path, key=KEY)


def str_url(path: Path) -> str:
    return f"sqlite:///{path}"
