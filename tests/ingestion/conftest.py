"""A small shop on disk with a warehouse of its own, and ways to land it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from company.company_file import Company
from company.file_faults import CompanyError
from ingestion.expiry import Expiry
from ingestion.landing import LandingReport, land
from ingestion.readers import load_company

CUSTOMERS = "customer_id,email,city\nc1,Ann@Example.org,Bern\nc2,,Basel\nc3,cy@example.org,\n"
ORDERS = "order_id,customer_id,ordered_at,amount\no1,c1,2024-01-02 10:00:00,10.5\no2,c2,2024-01-03T11:00:00+02:00,7\n"


def _document() -> dict[str, Any]:
    order = ("order_id", "customer_id", "ordered_at", "amount")
    return {
        "company": "Shop",
        "industry": "retail",
        "timezone": "Europe/Zurich",
        "currency": "CHF",
        "history_starts": "2024-01-01",
        "churn": {"definition": "inactivity", "active_within_days": 60, "horizon_days": 30, "lead_days": 0},
        "sources": {"shop": {"reader": "files", "files": {"people": "people.csv", "sales": "sales.csv"}}},
        "tables": {
            "customers": {
                "source": "shop",
                "from": "people",
                "columns": {"customer_id": "customer_id", "city": "city"},
            },
            "orders": {"source": "shop", "from": "sales", "columns": {name: name for name in order}},
        },
    }


@dataclass(frozen=True)
class Shop:
    """A folder with two csv files, the document of its company file, and a warehouse."""

    folder: Path
    warehouse: duckdb.DuckDBPyConnection
    document: dict[str, Any] = field(default_factory=_document)
    secrets: dict[str, str] = field(default_factory=lambda: {"HOLDFAST_TOKEN_KEY": "a key for tests only, 0123456789"})

    @property
    def orders(self) -> dict[str, Any]:
        feed: dict[str, Any] = self.document["tables"]["orders"]
        return feed

    @property
    def customers(self) -> dict[str, Any]:
        feed: dict[str, Any] = self.document["tables"]["customers"]
        return feed

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def append(self, name: str, text: str) -> None:
        with (self.folder / name).open("a") as file:
            file.write(text)

    def company(self) -> Company:
        return load_company(self.write("company.yaml", yaml.safe_dump(self.document, sort_keys=False)))

    def land(self, table: str, *, batch: str = "b1", expiry: Expiry | None = None) -> LandingReport:
        moment = datetime(2024, 3, 1, 12, tzinfo=UTC)
        return land(
            self.warehouse, self.company(), table, secrets=self.secrets, batch=batch, landed_at=moment, expiry=expiry
        )

    def refused(self, table: str) -> str:
        with pytest.raises(CompanyError) as caught:
            self.land(table)
        return str(caught.value)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.warehouse.execute(query).fetchall()

    def load_refused(self) -> str:
        with pytest.raises(CompanyError) as caught:
            self.company()
        return str(caught.value)

    def raw_tables(self) -> list[tuple[Any, ...]]:
        return self.rows(
            "select schema_name, table_name from duckdb_tables() where schema_name like 'raw_%' order by all"
        )


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        made = Shop(tmp_path / "shop", warehouse)
        made.write("people.csv", CUSTOMERS)
        made.write("sales.csv", ORDERS)
        yield made
