"""dbt opens an encrypted warehouse by the project's own profile, as the adapter does in a run."""

from pathlib import Path

from profiles import open_as_dbt

from orchestration.engines import DuckDb
from orchestration.warehouse import Warehouse

KEY = "q7Jw2mZx0aVf9KtB3sLr8YdH"


def test_the_profile_opens_the_encrypted_warehouse_and_encrypts_what_is_spilled(tmp_path: Path) -> None:
    warehouse = Warehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb", key=KEY))
    with warehouse.connect() as connection:
        connection.execute("create schema raw; create table raw.t as select 'ann@meierhans.example' as email")
    environment = open_as_dbt({"HOLDFAST_HOME": str(tmp_path), "HOLDFAST_ENCRYPTION_KEY": KEY})
    cursor = environment.handle().cursor()
    cursor.execute("create schema staging; create table staging.u as select * from raw.t")  # names without a database
    cursor.execute(f"create table {environment.creds.database}.raw.u as select * from staging.u")
    cursor.execute("select current_setting('temp_file_encryption'), current_setting('temp_directory')")
    assert cursor.fetchone() == (True, str(tmp_path / "warehouse.duckdb.tmp"))
    cursor.close()
    environment.conn.close()
    assert warehouse.read("select email from raw.u").to_pylist() == [{"email": "ann@meierhans.example"}]
    assert b"meierhans" not in b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
