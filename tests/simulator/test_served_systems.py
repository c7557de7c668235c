"""The real systems in front of a world: PostgreSQL, and the service desk with all its moods."""

import http.client
import json
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import processes
import psycopg2.errors
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from company.company_file import Company
from company.contract import TABLES
from company.policy import load_policy
from dbt_project.variables import declare_ground
from ingestion.landing import LandingReport, land
from ingestion.readers import load_company
from simulator.desk import Desk, Trouble, read_desk, run_desk
from simulator.parameters import INDUSTRIES
from simulator.postgres import load_database, run_postgres
from simulator.serve import main as serve_main

ROOT = Path(__file__).parents[2]
TOKEN = "secret"


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """A folder outside pytest's own, which every run of pytest closes to the database's user."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "postgres"


@pytest.fixture(scope="module")
def address(telecom: Path) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder, run_postgres(telecom, data=Path(folder) / "postgres") as address:
        yield address


@pytest.fixture
def desk(telecom: Path) -> Desk:
    return read_desk(telecom / "sources" / "desk", token=TOKEN)


def get(address: str, path: str, *, token: str = TOKEN) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request("GET", parts.path + path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_the_database_holds_every_staged_row(telecom: Path, address: str) -> None:
    staged = {
        path.name.removesuffix(".parquet"): pq.read_metadata(path).num_rows
        for path in (telecom / "sources" / "database").iterdir()
    }
    engine = sa.create_engine(address)
    with engine.connect() as connection:
        held = {name: connection.execute(sa.text(f"select count(*) from {name}")).scalar() for name in staged}
        first = connection.execute(sa.text("select min(placed_at) from oms.sales_order where memo is null")).scalar()
    engine.dispose()

    assert held == staged
    assert first is not None
    assert first.tzinfo is not None
    assert (
        first
        == duckdb.sql(f"select min(placed_at) from '{telecom}/sources/database/oms.sales_order.parquet'").fetchall()[0][
            0
        ]
    )


def test_a_violated_key_leaves_nothing_behind(telecom: Path, address: str, tmp_path: Path) -> None:
    staged = telecom / "sources" / "database"
    shutil.copy(staged / "crm.account.parquet", tmp_path)
    pq.write_table(
        pq.read_table(staged / "crm.consent_log.parquet").take([0, 1, 1]), tmp_path / "crm.consent_log.parquet"
    )
    server = sa.create_engine(address, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text("create database fresh"))
    fresh = sa.create_engine(server.url.set(database="fresh"))

    with pytest.raises(psycopg2.errors.UniqueViolation, match="consent_log_pkey"):
        load_database(fresh, tmp_path)
    assert "crm" not in sa.inspect(fresh).get_schema_names()
    fresh.dispose()
    server.dispose()


def test_without_the_token_nothing_is_told(desk: Desk) -> None:
    with run_desk(desk) as address:
        status, headers, body = get(address, "/tickets", token="wrong")

    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    assert json.loads(body) == {"error": "a bearer token is needed"}


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/orders", 404, "there is no orders; ask for tickets, surveys, users"),
        ("/tickets?cursor=nonsense", 400, "the cursor 'nonsense' is none of ours"),
        ("/tickets?since=yesterday", 400, "Invalid isoformat string: 'yesterday'"),
    ],
)
def test_a_wrong_question_is_answered_with_its_fault(desk: Desk, path: str, status: int, said: str) -> None:
    with run_desk(desk) as address:
        answered, _, body = get(address, path)

    assert (answered, json.loads(body)["error"]) == (status, said)


def read_all(address: str, resource: str, *, limit: int, since: str = "") -> list[dict[str, object]]:
    """Read every page as a patient client does: again after 429, 503, a cut answer and half a document."""
    rows: list[dict[str, object]] = []
    query = f"/{resource}?limit={limit}" + (f"&since={since}" if since else "")
    cursor: str | None = ""
    while cursor is not None:
        try:
            status, _, body = get(address, query + (f"&cursor={cursor}" if cursor else ""))
            page = json.loads(body) if status == 200 else None
        except (http.client.IncompleteRead, json.JSONDecodeError, UnicodeDecodeError):  # a page may end within a letter
            page = None
        if page is not None:
            rows, cursor = rows + page["data"], page["next_cursor"]
    return rows


def test_pages_hold_every_row_once_in_order_of_change(desk: Desk) -> None:
    with run_desk(desk) as address:
        rows = read_all(address, "tickets", limit=17)

    assert [row["id"] for row in rows] == desk.tables["tickets"].column("id").to_pylist()
    assert [row["updated_at"] for row in rows] == sorted(str(row["updated_at"]) for row in rows)
    assert len(rows) > 100


def test_since_leaves_out_what_changed_before(desk: Desk) -> None:
    with run_desk(desk) as address:
        rows = read_all(address, "tickets", limit=50, since="2025-02-10T08:00:00%2B08:00")
    changed = [str(moment) for moment in desk.tables["tickets"].column("updated_at").to_pylist()]

    assert [str(row["updated_at"]) for row in rows] == [
        moment for moment in changed if moment >= "2025-02-10T00:00:00.000Z"
    ]
    assert 0 < len(rows) < len(changed)


@pytest.mark.parametrize(
    ("trouble", "status", "header"),
    [(Trouble(limited=1, retry_after=3), 429, ("Retry-After", "3")), (Trouble(failing=1), 503, None)],
)
def test_the_desk_refuses_on_demand(desk: Desk, trouble: Trouble, status: int, header: tuple[str, str] | None) -> None:
    desk.trouble = trouble
    with run_desk(desk) as address:
        answered, headers, _ = get(address, "/tickets")

    assert answered == status
    assert header is None or header in headers.items()


def test_the_desk_cuts_an_answer_on_demand(desk: Desk) -> None:
    desk.trouble = Trouble(cut=1)
    with run_desk(desk) as address, pytest.raises(http.client.IncompleteRead):
        get(address, "/tickets")


def test_the_desk_sends_half_a_document_on_demand(desk: Desk) -> None:
    desk.trouble = Trouble(malformed=1)
    with run_desk(desk) as address:
        status, _, body = get(address, "/tickets")

    assert status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


def test_trouble_follows_the_seed_and_a_patient_client_loses_nothing(desk: Desk) -> None:
    trouble = Trouble(limited=0.2, failing=0.2, cut=0.1, malformed=0.1, seed=5)
    desk.trouble = trouble
    with run_desk(desk) as address:
        rows = read_all(address, "surveys", limit=20)
    statuses = [status for _, status in desk.log]
    expected = {"limited": 429, "failing": 503}

    assert [row["id"] for row in rows] == desk.tables["surveys"].column("id").to_pylist()
    assert statuses == [expected.get(trouble.of(number), 200) for number in range(len(statuses))]
    assert {200, 429, 503} == set(statuses)


def test_serving_prints_the_environment_until_it_is_told_to_stop(
    retail: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = threading.Event()
    stop.set()

    assert serve_main(["--port", "0", "--data", str(data), str(retail)], until=stop) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.partition("=")[0] for line in printed] == ["export CRM_URL", "export DESK_URL", "export DESK_TOKEN"]


def test_a_command_runs_in_the_environment_and_its_status_comes_back(retail: Path, data: Path, tmp_path: Path) -> None:
    code = "import os, pathlib, sys; pathlib.Path(sys.argv[1]).write_text(os.environ['DESK_URL']); sys.exit(7)"

    options = ["--port", "0", "--data", str(data)]
    assert serve_main([*options, str(retail), sys.executable, "-c", code, str(tmp_path / "seen")]) == 7
    assert (tmp_path / "seen").read_text(encoding="utf-8").startswith("http://127.0.0.1:")


def test_a_folder_without_a_world_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert serve_main([str(tmp_path)]) == 1
    assert f"there is no world in `{tmp_path}`" in capsys.readouterr().err


@pytest.mark.parametrize("industry", INDUSTRIES)
def test_the_example_company_of_every_industry_is_a_valid_company_file(industry: str) -> None:
    company = load_company(ROOT / "examples" / industry / "company.yaml")

    assert company.industry == industry
    assert {"customers", "orders", "events", "tickets", "touches"} <= set(company.tables) <= set(TABLES)


@dataclass(frozen=True, kw_only=True)
class Landed:
    """The telecom company's tables, landed from its real systems and staged."""

    home: Path
    company: Company
    reports: tuple[LandingReport, ...]

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.home / "warehouse.duckdb")) as connection:
            connection.execute("set timezone = 'UTC'")
            return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def landed(telecom: Path, address: str, tmp_path_factory: pytest.TempPathFactory) -> Landed:
    text = (ROOT / "examples" / "telecom" / "company.yaml").read_text(encoding="utf-8")
    home = tmp_path_factory.mktemp("landed")
    secrets = {"CRM_URL": address, "DESK_TOKEN": TOKEN, "HOLDFAST_TOKEN_KEY": "k" * 40}
    desk = read_desk(telecom / "sources" / "desk", token=TOKEN)
    with run_desk(desk) as served, duckdb.connect(str(home / "warehouse.duckdb")) as warehouse:
        (telecom / "company.yaml").write_text(text.replace("http://127.0.0.1:8377/api/v2", served), encoding="utf-8")
        company = load_company(telecom / "company.yaml")
        moment = datetime(2025, 4, 1, tzinfo=UTC)
        reports = [
            land(warehouse, company, table, secrets=secrets, batch="first", landed_at=moment)
            for table in company.tables
        ]
    return Landed(home=home, company=company, reports=tuple(reports))


@pytest.fixture(scope="module")
def staged(landed: Landed) -> Landed:
    project, folder = ROOT / "dbt_project", landed.home / "dbt"
    variables = {"feeds": landed.company.feeds(), "timezone": landed.company.timezone}
    variables |= declare_ground(load_policy())
    command = ["run", "--quiet", "--select", "path:models/staging", "+path:models/bookkeeping"]
    command += ["--project-dir", str(project), "--profiles-dir", str(project), "--vars", json.dumps(variables)]
    command += ["--target-path", str(folder / "target"), "--log-path", str(folder / "logs")]
    environment = os.environ | {"HOLDFAST_HOME": str(landed.home), "HOLDFAST_AS_OF": "2025-04-01"}
    done = processes.call(processes.DBT, *command, environment=environment, folder=landed.home)
    assert done.returncode == 0, done.stdout[-4000:]
    return landed


def test_the_platform_lands_every_table_of_the_example_from_the_real_systems(landed: Landed) -> None:
    assert all(report.rows_landed > 0 for report in landed.reports)
    assert all(r.rows_in == r.rows_landed + r.rows_quarantined + r.rows_duplicate for r in landed.reports)


def test_just_the_values_that_the_ledger_calls_impossible_are_quarantined_or_emptied(
    landed: Landed, telecom: Path
) -> None:
    ledger = f"'{telecom}/truth/defects.parquet' where kind = 'impossible_value'"
    kept = f"select row_key from {ledger} and \"column\" = 'birth_dt'"
    declared = landed.ask(f"select row_key from {ledger} and \"table\" = 'oms.sales_order' order by all")
    assert landed.ask("select row_key from quarantine.rows where table_name = 'orders' order by all") == declared
    assert landed.ask("select distinct table_name from quarantine.rows") == [("orders",)]
    rated = f"select row_key from {ledger} and \"table\" = 'desk.tickets'"
    tickets = f"raw_desk.tickets where ticket_id in ({rated})"
    assert landed.ask(f"select count(*) > 0, count(satisfaction) from {tickets}") == [(True, 0)]
    births = f"raw_crm.customers where customer_id in ({kept})"
    assert landed.ask(f"select count(*) > 0, count(age_band) from {births}") == [(True, 0)]


def test_every_moment_of_another_format_is_counted_as_repaired(landed: Landed, telecom: Path) -> None:
    ledger = f"'{telecom}/truth/defects.parquet' where kind = 'mixed_time'"
    declared = landed.ask(f'select "table", count(*) from {ledger} group by all order by all')
    counted = (
        "select table_name, sum(count_rows) from ingestion.repairs where rule like '%_time' group by all order by all"
    )
    assert [count for _, count in landed.ask(counted)] == [count for _, count in declared]


MENDED = {
    ("crm.account", "sex_cd"): ("customers", "gender", "case d.clean when 'F' then 'female' else 'male' end"),
    ("oms.sales_order", "sales_channel"): ("orders", "channel", "d.clean"),
    ("desk.tickets", "via"): ("tickets", "channel", "d.clean"),
    ("clicks", "src"): ("events", "channel", "d.clean"),
    ("clicks", "ts"): ("events", "occurred_at", "cast(d.clean as timestamp)"),
    ("marketing.sends", "sent_at"): (
        "touches",
        "touched_at",
        "timezone('UTC', timezone('Asia/Shanghai', cast(d.clean as timestamp)))",
    ),
}


@pytest.mark.parametrize(("place", "column"), list(MENDED))
def test_every_misspelled_value_is_staged_as_it_was_meant(
    staged: Landed, telecom: Path, place: str, column: str
) -> None:
    table, name, meant = MENDED[place, column]
    key = TABLES[table].key[0]
    wrong = staged.ask(f"""
        select count(*), count_if(s.{name} is distinct from {meant}) from '{telecom}/truth/defects.parquet' d
        join staging.stg_{table} s on s.{key} = d.row_key
        where d."table" = '{place}' and d."column" = '{column}' and d.kind in ('enum_variant', 'mixed_time')
    """)
    assert wrong[0][0] > 0
    assert wrong[0][1] == 0


def test_doubled_clicks_and_tests_are_removed_counted_and_every_row_is_accounted_for(
    staged: Landed, telecom: Path
) -> None:
    ledger = f"'{telecom}/truth/defects.parquet' where kind in ('duplicate_click', 'test_row')"
    declared = staged.ask(f"select count(*) from {ledger}")[0][0]
    left = "select order_id from staging.stg_orders union all select event_id from staging.stg_events"
    assert staged.ask(f"select count(*) from ({left}) s(id) where id in (select row_key from {ledger})") == [(0,)]
    assert staged.ask("select count(*) from staging.stg_customers where customer_id like 'QA%'") == [(0,)]
    removed = staged.ask("select sum(count_rows) from bookkeeping.cleaning_counts where action = 'removed'")[0][0]
    assert removed == declared + 1  # and the tester's own account
    adds_up = "select distinct rows_landed = rows_staged + rows_removed from bookkeeping.cleaning_reconciliation"
    assert staged.ask(adds_up) == [(True,)]
