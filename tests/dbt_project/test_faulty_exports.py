"""Exports of the five simulated companies with a fault each: it is named every time, and nothing is lost or changed."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
import yaml

from company.file_faults import CompanyError
from ingestion.check import CheckReport, check_company
from ingestion.landing import LandingReport, land
from ingestion.readers import load_company
from simulator.parameters import INDUSTRIES

AT = datetime(2025, 7, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Export:
    """What a company keeps of its customers' purchases or contracts, as a table to be written to a file."""

    folder: Path
    table: str
    moment: str
    rows: pd.DataFrame
    ids: list[str]

    @property
    def key(self) -> str:
        return f"{self.table[:-1]}_id"

    def declare(self, file: str) -> Path:
        (self.folder / "people.csv").write_text("\n".join(["customer", *self.ids]) + "\n")
        columns = {self.key: "id", "customer_id": "customer", self.moment: "moment"}
        columns |= {"amount": "amount"} if self.table == "orders" else {}
        definition = "inactivity" if self.table == "orders" else "account_closed"
        document = {
            "company": "An export",
            "industry": "retail",
            "timezone": "UTC",
            "currency": "EUR",
            "history_starts": "2025-01-01",
            "churn": {"definition": definition, "active_within_days": 30, "horizon_days": 30},
            "sources": {"export": {"reader": "files", "files": {"people": "people.csv", "rows": file}}},
            "tables": {
                "customers": {"source": "export", "from": "people", "columns": {"customer_id": "customer"}},
                self.table: {"source": "export", "from": "rows", "columns": columns},
            },
        }
        path = self.folder / "company.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    def land(self, file: str) -> tuple[LandingReport, pd.DataFrame]:
        with duckdb.connect() as warehouse:
            company = load_company(self.declare(file))
            report = land(warehouse, company, self.table, secrets={}, batch="b", landed_at=AT)
            return report, warehouse.sql(f"select * from raw_export.{self.table} order by {self.key}").df()

    def check(self, file: str) -> CheckReport:
        return check_company(load_company(self.declare(file)), secrets={}, now=AT)

    def write(self, rows: pd.DataFrame, name: str = "rows.csv") -> str:
        rows.to_csv(self.folder / name, index=False)
        return name


@pytest.fixture(params=INDUSTRIES)
def export(
    request: pytest.FixtureRequest, simulated: Mapping[str, Mapping[str, pd.DataFrame]], tmp_path: Path
) -> Export:
    tables = simulated[f"raw_{request.param}"]
    table, moment = ("orders", "ordered_at") if "orders" in tables else ("subscriptions", "started_at")
    known = tables[table][tables[table]["customer_id"].isin(tables["customers"]["customer_id"])]
    known = known[known[moment].between("2025-01-02", "2025-06-29")]
    rows = pd.DataFrame(
        {
            "id": known[f"{table[:-1]}_id"],
            "customer": known["customer_id"],
            "moment": known[moment].dt.floor("s"),
            "amount": known["amount"].abs() if table == "orders" else 1.0,
        }
    )
    rows = rows.sort_values("id", ignore_index=True)
    assert len(rows) > 40
    return Export(tmp_path, table, moment, rows, sorted(tables["customers"]["customer_id"]))


def test_without_a_fault_every_row_lands_as_it_was(export: Export) -> None:
    report, landed = export.land(export.write(export.rows))
    assert (report.rows_landed, report.reasons) == (len(export.rows), {})
    assert landed["customer_id"].tolist() == export.rows["customer"].tolist()
    assert export.check("rows.csv").closed == ()


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_file_is_refused_whole(export: Export, share: float) -> None:
    export.write(export.rows)
    packed = gzip.compress((export.folder / "rows.csv").read_bytes())
    (export.folder / "rows.csv.gz").write_bytes(packed[: int(share * len(packed))])
    with pytest.raises(CompanyError, match=r"rows\.csv\.gz"):
        export.land("rows.csv.gz")


def test_words_for_nothing_are_no_customers_and_counted(export: Export) -> None:
    words = ["NULL", "\\N", "None", "nan", "N/A", "-"]
    rows = export.rows.copy()
    rows.loc[: len(words) - 1, "customer"] = words
    report, landed = export.land(export.write(rows))
    assert report.reasons == {"customer_id: missing": len(words)}
    assert landed["customer_id"].tolist() == export.rows["customer"].tolist()[len(words) :]


def test_ids_that_became_floating_point_numbers_join(export: Export) -> None:
    numbers = {name: number + 1001 for number, name in enumerate(export.ids)}
    rows = export.rows.assign(customer=export.rows["customer"].map(numbers).astype(float))
    report, landed = export.land(export.write(rows))
    assert report.repairs["customer_id: float_id"] == len(rows)
    assert landed["customer_id"].tolist() == [str(numbers[name]) for name in export.rows["customer"]]
    lost = rows.assign(customer=rows["customer"] + 1e16)
    lost.to_parquet(export.folder / "rows.parquet")
    with pytest.raises(CompanyError, match="customer_id"):
        export.land("rows.parquet")


def test_quotes_that_begin_late_are_no_part_of_an_id(export: Export) -> None:
    header, *lines = [",".join(map(str, row)) for row in [export.rows.columns, *export.rows.itertuples(index=False)]]
    half = len(lines) // 2
    quoted = [",".join(f'"{cell}"' for cell in line.split(",")) for line in lines[half:]]
    (export.folder / "rows.csv").write_text("\n".join([header, *lines[:half], *quoted]) + "\n")
    report, landed = export.land("rows.csv")
    assert (report.rows_landed, report.reasons) == (len(lines), {})
    assert landed[export.key].tolist() == export.rows["id"].tolist()


def test_a_row_of_the_future_a_missing_month_and_vanished_customers_are_named(export: Export) -> None:
    is_gone = export.rows["customer"].isin(export.ids[::2])
    in_april = export.rows["moment"].between("2025-04-01", "2025-05-01")
    rows = export.rows[~in_april].copy()
    rows.loc[rows.index[:3], "moment"] = pd.Timestamp("2026-02-03")
    there = Export(export.folder, export.table, export.moment, rows, export.ids[1::2])

    (orders,) = (check for check in there.check(there.write(rows)).tables if check.table == export.table)
    closed = " ".join(there.check("rows.csv").closed)

    assert orders.known is not None
    assert orders.known.unknown == int((is_gone & ~in_april).sum())
    assert orders.profile.missing_days is not None
    assert orders.profile.missing_days >= 30
    assert orders.profile.share_future == pytest.approx(3 / len(rows))
    assert f"{3 / len(rows):.1%} of the rows lie in the future" in closed
    assert np.isclose(orders.known.share_unknown, orders.known.unknown / len(rows))
    assert "name a customer whom no list of customers holds" in closed
