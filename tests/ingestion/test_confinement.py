"""What SQL of a company file could reach if it got past the parser: nothing besides the company's own files."""

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from ingestion.landing import land
from ingestion.readers import load_company

if TYPE_CHECKING:
    from conftest import Shop

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


def land_confined(shop: "Shop", warehouse: duckdb.DuckDBPyConnection) -> int:
    return land(
        warehouse, shop.company(), "customers", secrets={}, batch="b", landed_at=NOON, confined=True
    ).rows_landed


def test_files_of_the_sources_land_plain_packed_and_in_any_encoding_and_no_other_file_can_be_reached(
    shop: "Shop",
) -> None:
    shop.customers["encoding"] = "cp1252"
    shop.document["sources"]["shop"]["files"]["people"] = "it's/*.csv.gz"
    (shop.folder / "it's").mkdir()
    for name in ("a", "b"):
        rows = f"customer_id,city\n{name}1,K\u00f6ln\n"
        (shop.folder / "it's" / f"{name}.csv.gz").write_bytes(gzip.compress(rows.encode("cp1252")))
    with duckdb.connect(str(shop.folder / "w.duckdb")) as warehouse:
        assert land_confined(shop, warehouse) == 2
        for statement in (
            f"select * from read_text('{shop.folder / 'company.yaml'}')",
            f"copy (select 1) to '{shop.folder / 'out.csv'}'",
            f"attach '{shop.folder / 'other.duckdb'}'",
            "set enable_external_access = true",
        ):
            with pytest.raises(duckdb.Error):
                warehouse.execute(statement)


def test_a_relative_company_file_and_steps_after_the_landing_work_as_before(
    shop: "Shop", monkeypatch: pytest.MonkeyPatch
) -> None:
    company = shop.company()
    monkeypatch.chdir(shop.folder)
    with duckdb.connect("w.duckdb") as warehouse:
        land(
            warehouse,
            load_company(Path(company.path.name)),
            "customers",
            secrets={},
            batch="b",
            landed_at=NOON,
            confined=True,
        )
    with duckdb.connect("w.duckdb") as warehouse:
        warehouse.execute("copy (from raw_shop.customers) to 'out.csv'")
    assert (shop.folder / "out.csv").read_text().count("c1") == 1
