"""A small instance with traces of its customers in every kind of store, made without a run of the pipeline."""

import gzip
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from ingestion.identity.linking import link
from ingestion.landing import land
from orchestration.control.privacy_requests import PrivacyRequests
from orchestration.deployment import Deployment, load_deployment
from orchestration.encryption import rotate
from orchestration.engines import DuckDb
from orchestration.privacy.erasing import Erasing
from orchestration.resources import open_warehouse
from orchestration.settings import read_settings
from orchestration.warehouse import Warehouse
from privacy.identifiers import Keyring, make_keyring
from privacy.requests import Kind, Request
from retention.store.store import Store
from retention.store.tables import METADATA, PRIVACY_CALLBACKS, PRIVACY_EVENTS, PRIVACY_REQUESTS, SUPPRESSED_IDS

AT = datetime(2024, 3, 1, 12, tzinfo=UTC)
KEY = "a key for tests only, 0123456789"
FILES_KEY = "q7Jw2mZx0aVf9KtB3sLr8YdH"
# Ann has two accounts, which identity links by what they share; Bob is a contact person of the company.
PEOPLE = """\
id,name,email,phone,town,parent
ann-001,Ann Meierhans,ann@meierhans.example,+41 79 555 01 01,Bern,
ann-002,Ann Meierhans,ann@meierhans.example,+41 79 555 01 01,Bern,
bob-003,Bob Zurbriggen,bob@zurbriggen.example,+41 79 555 02 02,Basel,firm-004
firm-004,Zurbriggen Works,office@zurbriggen.example,+41 61 555 03 03,Basel,
cyn-005,Cynthia Obrist,cynthia@obrist.example,+41 31 555 04 04,Thun,
"""
CUSTOMERS = ("ann-001", "ann-002", "bob-003", "firm-004", "cyn-005")
ANN = CUSTOMERS[:2]


@dataclass(frozen=True)
class Scene:
    """The instance, its operational store, and the key of its tokens."""

    deployment: Deployment
    store: Store
    keyring: Keyring

    @property
    def home(self) -> Path:
        return self.deployment.settings.home

    @property
    def requests(self) -> PrivacyRequests:
        return PrivacyRequests(self.store)

    @property
    def erasing(self) -> Erasing:
        return Erasing(deployment=self.deployment, store=self.store, keyring=self.keyring, by="dpo", now=lambda: AT)

    def receive(self, kind: Kind, customer_id: str) -> Request:
        received = self.requests.receive(
            kind, [customer_id], law="gdpr", received_on=date(2024, 1, 31), due_on=date(2024, 2, 29),
            keyring=self.keyring, by="dpo", note="", at=AT,
        )  # fmt: skip
        return self.requests.move(received, "verified", by="dpo", at=AT, note="passport seen")

    def plan(self, kind: Kind, customer_id: str, *, with_contacts: bool = False) -> Request:
        request = self.receive(kind, customer_id)
        self.erasing.plan([request], with_contacts=with_contacts)
        return self.requests.find(request.request_id)

    def land(self) -> None:
        land_all(self.deployment)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with open_warehouse(self.deployment.settings).connect() as connection:
            return connection.execute(query).fetchall()


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The instance before any request, made once; each test has a copy."""
    folder = tmp_path_factory.mktemp("erasable")
    (folder / "shop").mkdir()
    (folder / "home").mkdir()
    (folder / "shop" / "people.csv").write_text(PEOPLE)
    orders = [f"order-{n},{CUSTOMERS[n % 5]},2024-01-{n % 28 + 1:02d} 10:00:00,{n}.5" for n in range(60)]
    orders = ["number,customer,moment,total", *orders, "bad,cyn-005,never,1"]
    (folder / "shop" / "orders.csv").write_text("\n".join(orders))
    (folder / "shop" / "company.yaml").write_text(yaml.safe_dump(describe_company()))
    deployment = deploy(folder)
    land_all(deployment)
    with Store(deployment.settings.operational_url) as store:
        fill(store.database.engine, METADATA, CUSTOMERS)
    leave_traces(deployment)
    return folder


@pytest.fixture
def scene(untouched: Path, tmp_path: Path) -> Iterator[Scene]:
    shutil.copytree(untouched, tmp_path, dirs_exist_ok=True)
    deployment = deploy(tmp_path)
    with Store(deployment.settings.operational_url) as store:
        yield Scene(deployment=deployment, store=store, keyring=make_keyring(KEY))


@pytest.fixture
def encrypted_scene(untouched: Path, tmp_path: Path) -> Iterator[Scene]:
    """The same instance, whose files were encrypted since."""
    shutil.copytree(untouched, tmp_path, dirs_exist_ok=True)
    list(rotate(deploy(tmp_path).settings, to=FILES_KEY))
    deployment = deploy(tmp_path, HOLDFAST_ENCRYPTION_KEY=FILES_KEY)
    with Store(deployment.settings.operational_url, key=FILES_KEY) as store:
        yield Scene(deployment=deployment, store=store, keyring=make_keyring(KEY))


def deploy(folder: Path, **more: str) -> Deployment:
    environment = {
        "HOLDFAST_HOME": str(folder / "home"),
        "HOLDFAST_COMPANY": str(folder / "shop" / "company.yaml"),
        "HOLDFAST_TOKEN_KEY": KEY,
        "HOLDFAST_VAULT_URL": f"sqlite:///{folder / 'vault.db'}",
        "HOLDFAST_MASTER_KEY": "a master key for tests only",
        **more,
    }
    return load_deployment(read_settings(environment))


def describe_company() -> dict[str, Any]:
    people = {"customer_id": "id", "name": "name", "email": "email", "phone": "phone", "city": "town"}
    orders = {"order_id": "number", "customer_id": "customer", "ordered_at": "moment", "amount": "total"}
    return {
        "company": "Shop", "industry": "retail", "timezone": "Europe/Zurich", "currency": "CHF",
        "history_starts": "2024-01-01",
        "churn": {"definition": "inactivity", "active_within_days": 60, "horizon_days": 30},
        "sources": {"shop": {"reader": "files", "files": {"people": "people.csv", "orders": "orders.csv"}}},
        "tables": {
            "customers": {"source": "shop", "from": "people", "columns": people | {"parent_customer_id": "parent"}},
            "orders": {"source": "shop", "from": "orders", "columns": orders},
        },
    }  # fmt: skip


def land_all(deployment: Deployment) -> None:
    """Land and link as a night does, with whom it keeps out."""
    from orchestration.privacy.suppressing import read_suppression

    settings, company = deployment.settings, deployment.company
    with Store(settings.operational_url) as store:
        store.migrate()
        suppression = read_suppression(deployment, store)
    secrets = settings.secrets(company.secret_names)
    with Warehouse(engine=DuckDb(path=settings.warehouse_file)).connect() as connection:
        for table in company.tables:
            land(
                connection, company, table, secrets=secrets, batch="b1", landed_at=AT, suppression=suppression
            )  # fmt: skip
        link(connection, company, secrets=secrets, batch="b1", decided_at=AT.replace(tzinfo=None))


def leave_traces(deployment: Deployment) -> None:
    """Write what later stages leave: derived tables and a view, a published file, logs, pages and an archive."""
    home = deployment.settings.home
    with Warehouse(engine=DuckDb(path=deployment.settings.warehouse_file)).connect() as connection:
        connection.execute("create schema scores")
        connection.execute(
            "create table scores.churn_scores as select customer_id, 0.1 * length(city) as score, email "
            "from raw_shop.customers"
        )
        # a table of next year, whose column of ids nobody has thought of, and one that holds no ids but a text
        connection.execute(
            "create table scores.visits as select customer_id as visitor, 7 as visits from raw_shop.customers"
        )
        connection.execute("create table scores.remarks as select 'seen with ann-001' as remark, 1 as number")
        # what is kept by a personal value alone, and ids in a list
        connection.execute("create table scores.readings (token varchar primary key, sentiment varchar)")
        connection.execute("insert into scores.readings select distinct email, 'calm' from raw_shop.customers")
        connection.execute("create table scores.groups as select ['ann-001', 'cyn-005'] as members, 2 as count_members")
        connection.execute("create view scores.seen as select visitor from warehouse.scores.visits")
    published = home / "published" / "holdfast.duckdb"
    tables = {"customers": "select customer_id, city from raw_shop.customers"}
    Warehouse(engine=DuckDb(path=deployment.settings.warehouse_file)).publish(published, tables)
    for folder in ("logs", "gates", "outbox"):
        (home / folder).mkdir()
    (home / "logs" / "run.log").write_text("began\nwrote ann-001\nwrote cyn-005\n")
    (home / "gates" / "page.html").write_text("<p>ann-002 and cyn-005</p>")
    (home / "outbox" / "ann-001.json").write_text(json.dumps({"to": "ann-001"}))
    with gzip.open(home / "logs" / "old.log.gz", "wt") as file:
        file.write("cyn-005\n")


def fill(engine: sa.Engine, metadata: sa.MetaData, customers: tuple[str, ...]) -> None:
    """Write a row per customer into every table: whatever the tables are, each of them holds traces then."""
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            if table in {PRIVACY_REQUESTS, PRIVACY_CALLBACKS, PRIVACY_EVENTS, SUPPRESSED_IDS}:
                continue
            for number, customer_id in enumerate(customers, start=1):
                values = {column.name: _value(column, customer_id, number) for column in table.columns}
                connection.execute(sa.insert(table).values(values))


def _value(column: sa.Column[Any], customer_id: str, number: int) -> object:
    if column.name == "customer_id":
        return customer_id
    parent = next(iter(column.foreign_keys), None)
    source = parent.column if parent else column
    kinds: Mapping[type, object] = {
        sa.Boolean: False, sa.Integer: number, sa.Float: 0.5, sa.Date: date(2024, 1, number), sa.DateTime: AT,
    }  # fmt: skip
    text = f"{number}-{source.table.name}-{source.name}"[: getattr(source.type, "length", None)]
    decorated = source.type.impl if isinstance(source.type, sa.TypeDecorator) else source.type
    return next((value for kind, value in kinds.items() if isinstance(decorated, kind)), text)
