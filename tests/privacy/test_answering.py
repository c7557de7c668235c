"""A copy of the data is complete and holds nobody else's, and an objection keeps every plan away."""

import csv
import json
from datetime import date
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa
from erasable import ANN, AT, CUSTOMERS, FILES_KEY, Scene

from company.sealed_file import is_sealed
from orchestration.encryption import open_sealed
from orchestration.privacy.answering import export, object_to_decisions, rectify
from privacy.export import as_cell
from privacy.requests import Kind, RequestError
from retention.deciding.plan_overrides import find_holding, list_silent
from retention.store.tables import METADATA


def write(scene: Scene, kind: Kind, folder: Path) -> dict[str, list[dict[str, str]]]:
    """Write a copy for Ann; return the rows of its files by table, as a spreadsheet reads them."""
    export(
        scene.deployment, scene.store, scene.receive(kind, "ann-002"), keyring=scene.keyring, folder=folder, by="dpo",
        at=AT,
    )  # fmt: skip
    found = {}
    for path in folder.glob("*.csv"):
        with path.open(encoding="utf-8-sig", newline="") as file:
            found[path.stem] = list(csv.DictReader(file))
    return found


def count_rows(scene: Scene) -> dict[str, int]:
    """Return how many rows of each table are Ann's, asked table by table."""
    condition = f"customer_id in {ANN}"
    found = {}
    with duckdb.connect(str(scene.deployment.settings.warehouse_file)) as connection:
        for schema, table in connection.execute(
            "select table_schema, table_name from information_schema.columns where column_name = 'customer_id' "
            "and (table_schema, table_name) not in (select (table_schema, table_name) from information_schema.views)"
        ).fetchall():
            row = connection.execute(f"select count(*) from {schema}.{table} where {condition}").fetchone()
            found[f"{schema}.{table}"] = row[0]
    with scene.store.database.read() as connection:
        for table in METADATA.sorted_tables:
            if "customer_id" in table.c:
                query = sa.text(f"select count(*) from {table.name} where {condition}")
                found[f"operational.{table.name}"] = connection.scalar(query)
    return {table: count for table, count in found.items() if count}


def test_a_copy_has_every_row_about_the_customer_and_none_of_anybody_else(scene: Scene, tmp_path: Path) -> None:
    found = write(scene, "access", tmp_path / "copy")
    expected = count_rows(scene)
    assert {table: len(rows) for table, rows in found.items() if table != "vault.values"} == expected
    assert {row["value"] for row in found["vault.values"]} >= {"Ann Meierhans", "ann@meierhans.example"}
    text = "".join(path.read_text(encoding="utf-8-sig") for path in (tmp_path / "copy").iterdir())
    assert [other for other in (*CUSTOMERS[2:], "zurbriggen", "Obrist") if other in text] == []
    manifest = json.loads((tmp_path / "copy" / "manifest.json").read_text())
    assert (manifest["request_status"], manifest["subject_request_type"]) == ("completed", "access")
    assert {each["table"]: each["rows"] for each in manifest["results"]} == {name: len(found[name]) for name in found}


def test_what_is_portable_is_what_was_delivered(scene: Scene, tmp_path: Path) -> None:
    found = write(scene, "portability", tmp_path / "copy")
    delivered = ("raw_shop.customers", "raw_shop.orders", "operational.consents")
    counted = count_rows(scene)
    assert {table: len(rows) for table, rows in found.items() if table != "vault.values"} == {
        table: counted[table] for table in delivered
    }
    assert {row["customer_id"] for rows in found.values() for row in rows} == {*ANN}


def test_a_copy_from_an_encrypted_instance_is_sealed_and_opened_to_be_handed_over(
    encrypted_scene: Scene, tmp_path: Path
) -> None:
    assert write(encrypted_scene, "portability", tmp_path / "copy") == {}
    assert all(is_sealed(path) for path in (tmp_path / "copy").iterdir())
    opened = open_sealed(tmp_path / "copy", tmp_path / "clear", key=FILES_KEY)
    assert "raw_shop.orders.csv" in {path.name for path in opened}
    with (tmp_path / "clear" / "raw_shop.orders.csv").open(encoding="utf-8-sig", newline="") as file:
        assert {row["customer_id"] for row in csv.DictReader(file)} <= {*ANN}


def test_a_copy_is_not_mixed_into_a_folder_that_is_there(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="this folder exists"):
        write(scene, "access", tmp_path)


def test_no_spreadsheet_makes_a_formula_of_a_cell() -> None:
    assert [as_cell(each) for each in ("=1+1", "@x", "-5", -5, "plain")] == ["'=1+1", "'@x", "'-5", -5, "plain"]


def test_an_objection_keeps_plans_away_from_every_account(scene: Scene) -> None:
    request = scene.receive("objection", "ann-001")
    assert object_to_decisions(
        scene.deployment, scene.store, request, keyring=scene.keyring, by="dpo", at=AT
    ) == len(ANN)  # fmt: skip
    holding = find_holding(scene.store.plan_overrides.read(), as_of=date(2024, 3, 2))
    assert {*ANN} <= {*list_silent(holding)}
    assert request.request_id in holding["ann-002"].reason
    assert scene.requests.find(request.request_id).state == "done"


def test_a_rectification_ends_with_what_was_corrected(scene: Scene) -> None:
    request = scene.receive("rectification", "cyn-005")
    with pytest.raises(RequestError, match="--note"):
        rectify(scene.store, request, note="", by="dpo", at=AT)
    rectify(scene.store, request, note="CRM: the town", by="dpo", at=AT)
    ended = scene.requests.find(request.request_id)
    assert (ended.state, ended.note, ended.sealed) == ("done", "CRM: the town", None)


def test_an_extension_is_taken_once_and_moves_the_due_date(scene: Scene) -> None:
    request = scene.receive("access", "cyn-005")
    extended = scene.requests.extend(request, due_on=date(2024, 4, 30), by="dpo", note="many stores", at=AT)
    assert (extended.due_on, extended.state) == (date(2024, 4, 30), "verified")
    with pytest.raises(RequestError, match="extended before"):
        scene.requests.extend(extended, due_on=date(2024, 6, 30), by="dpo", note="again", at=AT)
