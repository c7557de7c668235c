"""dbt opens an encrypted warehouse by the project's own profile, as the adapter does in a run."""

from pathlib import Path

from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.environments.local import LocalEnvironment
from jinja2.nativetypes import NativeEnvironment

from company.yaml_file import read_yaml
from orchestration.dbt import PROJECT
from orchestration.engines import DuckDb
from orchestration.warehouse import Warehouse

KEY = "q7Jw2mZx0aVf9KtB3sLr8YdH"


def render(value: object, variables: dict[str, str]) -> object:
    if isinstance(value, dict):
        return {name: render(each, variables) for name, each in value.items()}
    if isinstance(value, list):
        return [render(each, variables) for each in value]
    template = NativeEnvironment().from_string(value) if isinstance(value, str) else None
    return template.render(env_var=lambda name, usual="": variables.get(name, usual)) if template else value


def test_the_profile_opens_the_encrypted_warehouse_and_encrypts_what_is_spilled(tmp_path: Path) -> None:
    warehouse = Warehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb", key=KEY))
    with warehouse.connect() as connection:
        connection.execute("create schema raw; create table raw.t as select 'ann@meierhans.example' as email")
    variables = {"HOLDFAST_HOME": str(tmp_path), "HOLDFAST_ENCRYPTION_KEY": KEY}
    profile = render(read_yaml(PROJECT / "profiles.yml").content["holdfast"], variables)
    assert isinstance(profile, dict)
    assert profile["target"] == "encrypted"
    credentials = DuckDBCredentials.from_dict(profile["outputs"][profile["target"]])
    environment = LocalEnvironment(credentials)
    cursor = environment.handle().cursor()
    cursor.execute("create schema staging; create table staging.u as select * from raw.t")  # names without a database
    cursor.execute(f"create table {credentials.database}.raw.u as select * from staging.u")
    cursor.execute("select current_setting('temp_file_encryption'), current_setting('temp_directory')")
    assert cursor.fetchone() == (True, str(tmp_path / "warehouse.duckdb.tmp"))
    cursor.close()
    environment.conn.close()
    assert warehouse.read("select email from raw.u").to_pylist() == [{"email": "ann@meierhans.example"}]
    assert b"meierhans" not in b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
