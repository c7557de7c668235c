"""An erasure reaches every store of an instance, changes nothing of anybody else, and ends with a receipt."""

import io
import json
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
import sqlalchemy as sa
from erasable import ANN, AT, CUSTOMERS, FILES_KEY, KEY, PEOPLE, Scene, fill

from company.sealed_file import is_sealed, read_file, seal
from ingestion.vault import Vault
from orchestration.privacy.erasing import SIGNING_KEY
from orchestration.privacy.stores import OWN_RECORDS
from orchestration.privacy.subjects import find_identifiers, find_linked_ids
from orchestration.privacy.suppressing import read_suppression
from privacy.database import SqlDatabase
from privacy.duckdb_file import DuckDbFile
from privacy.files import search
from privacy.identifiers import Identifiers, KeyMissingError
from privacy.receipt import public_key_of, sign, verify
from privacy.requests import RequestError
from privacy.traces import ErasureError
from retention.store.store import Store
from retention.store.tables import METADATA, ON_ERASURE

WORDS = (*ANN, "ann@meierhans.example", "Ann Meierhans", "+41 79 555 01 01")
OTHERS = "cyn-005"


def find(folder: Path, words: tuple[str, ...]) -> dict[str, int]:
    return search([folder], Identifiers(customers=words)).hits


def test_files_that_are_encrypted_are_erased_from_as_those_in_clear(encrypted_scene: Scene) -> None:
    scene, home = encrypted_scene, encrypted_scene.home
    message, state = home / "outbox" / "k1.json", home / "lane" / "state.npz"
    for path in (message, state):
        path.parent.mkdir(exist_ok=True)
    message.write_bytes(seal(b'{"customer_id": "ann-001", "amount": 5}', key=FILES_KEY))
    packed = io.BytesIO()
    np.savez_compressed(packed, customer_ids=np.frombuffer(b"ann-001\ncyn-005", dtype=np.uint8))
    state.write_bytes(seal(packed.getbuffer(), key=FILES_KEY))
    request = scene.plan("erasure", "ann-001")
    planned = scene.requests.read_events(request.request_id)[-1]["evidence"]["stores"]
    assert {name for name, each in planned.items() if each["rows"]} >= {
        "warehouse.duckdb", "published/holdfast.duckdb", "operational.db", "vault",
    }  # fmt: skip
    scene.erasing.run([request])
    assert scene.ask("select count(*) from raw_shop.customers where customer_id in ('ann-001', 'ann-002')") == [(0,)]
    assert scene.ask("select remark from scores.remarks") == [("seen with erased",)]
    assert read_file(message, key=FILES_KEY) == b'{"customer_id": "erased", "amount": 5}'
    assert (is_sealed(message), state.exists()) == (True, False)


def test_identity_and_what_lies_in_every_store_are_found(scene: Scene) -> None:
    request = scene.receive("erasure", "ann-001")
    traces = scene.erasing.plan([request])
    places = {(name, each.place) for name, listed in traces.items() for each in listed}
    assert {
        ("warehouse.duckdb", "raw_shop.customers"), ("warehouse.duckdb", "raw_shop.orders"),
        ("warehouse.duckdb", "identity.members"), ("warehouse.duckdb", "scores.visits"),
        ("warehouse.duckdb", "scores.remarks"), ("published/holdfast.duckdb", "main.customers"),
        ("files", "logs/run.log"), ("files", "gates/page.html"), ("files", "outbox/erased.json"),
        ("vault", "vault_values"),
    } <= places  # fmt: skip
    sealed = scene.requests.find(request.request_id)
    assert scene.requests.unseal(sealed, keyring=scene.keyring).customers == ANN
    assert find(scene.home, WORDS) != {}, "a plan changes nothing"


def test_nothing_is_left_of_the_customer_and_everything_of_others(scene: Scene) -> None:
    others = "select * from {} where customer_id not in ('ann-001', 'ann-002') order by all"
    before = [
        scene.ask(others.format(table)) for table in ("raw_shop.customers", "raw_shop.orders", "scores.churn_scores")
    ]
    handed = scene.home / "spark" / "inputs" / "customers.parquet"
    handed.parent.mkdir(parents=True)
    scene.ask(f"copy raw_shop.customers to '{handed}' (format parquet)")
    request = scene.plan("erasure", "ann-002")
    receipt = scene.erasing.run([request])[request.request_id]
    assert not handed.exists()
    assert find(scene.home, WORDS) == {}
    assert find(scene.home.parent, (*WORDS, "ann")).keys() <= {"shop/people.csv", "shop/orders.csv"}
    after = [
        scene.ask(others.format(table)) for table in ("raw_shop.customers", "raw_shop.orders", "scores.churn_scores")
    ]
    assert after == before
    assert scene.ask("select visitor from scores.seen order by 1") == [("bob-003",), ("cyn-005",), ("firm-004",)]
    assert scene.ask("select remark from scores.remarks") == [("seen with erased",)]
    assert scene.ask("select members, count_members from scores.groups") == [(None, 2)]
    assert scene.ask("select count(*) from scores.readings") == [(3,)]
    assert (scene.home / "logs" / "run.log").read_text() == "began\nwrote cyn-005\n"
    assert (scene.home / "gates" / "page.html").read_text() == "<p>erased and cyn-005</p>"
    content = verify(receipt, public_key_file=public_key_of(scene.home / OWN_RECORDS / SIGNING_KEY))
    assert (content["accounts"], content["search"]["hits"], content["due_on"]) == (2, 0, "2024-02-29")
    assert {store["others_unchanged"] for store in content["stores"] if store["store"].endswith(".duckdb")} == {True}
    ended = scene.requests.find(request.request_id)
    assert (ended.state, ended.sealed) == ("done", None)


def test_every_table_of_the_operational_store_that_knows_customers_is_erased_from(scene: Scene) -> None:
    request = scene.plan("erasure", "ann-001")
    scene.erasing.run([request])
    with scene.store.database.read() as connection:
        for table in METADATA.sorted_tables:
            owners = set(connection.scalars(sa.select(table.c.customer_id))) if "customer_id" in table.c else set()
            is_blank = "customer_id" in table.c and table.c.customer_id.info.get(ON_ERASURE)
            assert owners in (set(), {*CUSTOMERS[2:], *(("erased",) if is_blank else ())}), table.name
        events = connection.scalar(sa.text("select count(*) from alert_events"))
    assert events == len(CUSTOMERS) - len(ANN), "what hangs on an erased row goes with it"
    with scene.store.database.write() as connection, pytest.raises(sa.exc.IntegrityError, match="append-only"):
        connection.execute(sa.text("delete from ledger"))


def test_the_next_ingestion_keeps_them_out_and_takes_everybody_else(scene: Scene) -> None:
    scene.erasing.run([scene.plan("erasure", "ann-001")])
    people = scene.deployment.settings.company_file.parent / "people.csv"
    people.write_text(PEOPLE + "dan-006,Dan Ruf,dan@ruf.example,+41 31 555 05 05,Bern,ann-001\n")
    orders = people.with_name("orders.csv")
    orders.write_text(orders.read_text() + "\nnew-1,ann-002,2024-02-01 10:00:00,5\nnew-2,cyn-005,2024-02-01 10:00:00,5")
    scene.land()
    taken = scene.ask("select customer_id, parent_customer_id from raw_shop.customers order by all")
    assert [owner for owner, _ in taken] == ["bob-003", "cyn-005", "dan-006", "firm-004"]
    assert dict(taken)["dan-006"] is None
    assert scene.ask("select count(*) from raw_shop.orders where order_id like 'new-%'") == [(1,)]
    assert find(scene.home, WORDS) == {}
    assert find(scene.home.parent, (*WORDS,)).keys() == {"shop/people.csv", "shop/orders.csv"}


def test_under_another_key_the_night_stops_before_it_brings_anybody_back(scene: Scene) -> None:
    scene.erasing.run([scene.plan("erasure", "ann-001")])
    settings = scene.deployment.settings
    other = replace(settings, environment={**settings.environment, "HOLDFAST_TOKEN_KEY": "another key of that length"})
    with pytest.raises(KeyMissingError, match="another HOLDFAST_TOKEN_KEY"):
        read_suppression(replace(scene.deployment, settings=other), scene.store)


def test_the_vault_keeps_neither_values_nor_keys_nor_the_id(scene: Scene, tmp_path: Path) -> None:
    scene.erasing.run([scene.plan("erasure", "ann-001")])
    with sqlite3.connect(tmp_path / "vault.db") as connection:
        assert {row[0] for row in connection.execute("select customer_id from vault_values")} == {*CUSTOMERS[2:]}
    with sqlite3.connect(tmp_path / "vault.keys.db") as connection:
        keys = "select count(*) from customer_keys where wrapped is null"
        assert connection.execute(keys).fetchone() == (len(ANN),), "a copy of their values cannot be opened either"
    askers = {asking["customer_id"] for asking in Vault.from_secrets(scene.deployment.settings.environment).askings()}
    assert "erased" in askers
    assert not askers & {*ANN}


def test_a_killed_erasure_goes_on_where_it_was(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    request = scene.plan("erasure", "ann-001")

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("privacy.duckdb_file._write_anew", die)
        with pytest.raises(Killed):
            scene.erasing.run([request])
    half = scene.requests.find(request.request_id)
    done = [each["event"] for each in scene.requests.read_events(request.request_id)].count("store_done")
    assert (half.state, done > 0) == ("running", True)
    assert find(scene.home, ANN).keys() >= {"warehouse.duckdb"}
    left = scene.home / ".erasing-left"  # of a process that could not clean up
    left.mkdir()
    shutil.copy(scene.home / "warehouse.duckdb", left / "warehouse.fresh")
    scene.erasing.run([half])
    assert (find(scene.home, WORDS), left.exists()) == ({}, False)
    stores = [
        each["evidence"]["store"]
        for each in scene.requests.read_events(request.request_id)
        if each["event"] == "store_done"
    ]
    assert len(stores) == len(set(stores)), "no store was done twice"


def test_of_requests_that_run_together_those_that_ended_before_a_kill_are_left_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = [scene.plan("erasure", each) for each in ("ann-001", CUSTOMERS[2])]
    signed: list[object] = []

    def sign_one(content: dict[str, object], *, key_file: Path) -> dict[str, object]:
        if signed:
            raise KeyboardInterrupt
        signed.append(content)
        return sign(content, key_file=key_file)

    with monkeypatch.context() as patched:
        patched.setattr("orchestration.privacy.erasing.sign", sign_one)
        with pytest.raises(KeyboardInterrupt):
            scene.erasing.run(planned)
    half = [scene.requests.find(each.request_id) for each in planned]
    assert [each.state for each in half] == ["done", "running"]
    receipts = scene.erasing.run(half)
    assert [scene.requests.find(each.request_id).state for each in planned] == ["done", "done"]
    assert {*receipts} == {each.request_id for each in planned}
    assert all(path.exists() for path in receipts.values())
    ends = [each["event"] for each in scene.requests.read_events(planned[0].request_id)].count("done")
    assert ends == 1, "what had ended was not run again"


def test_what_is_written_after_another_process_read_the_store_is_not_lost(scene: Scene) -> None:
    request = scene.receive("erasure", "ann-001")
    scene.erasing.plan([request])
    planned = scene.requests.find(request.request_id)
    scene.erasing.find_stores()
    assert "running" not in read_elsewhere(scene)
    scene.requests.move(planned, "running", by="dpo", at=AT)
    assert "running" in read_elsewhere(scene)


def read_elsewhere(scene: Scene) -> str:
    """Return the steps of all requests as another process reads them."""
    path = str(scene.home / "operational.db")
    query = "select event from privacy_events"
    code = f"import sqlite3; c = sqlite3.connect({path!r}); print(*c.execute({query!r})); c.close()"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_what_nobody_can_erase_leaves_the_request_partial_until_it_is_gone(scene: Scene) -> None:
    strange = scene.home / "strange.bin"
    strange.write_bytes(b"\0\1\2ann-001\0")
    request = scene.plan("erasure", "ann-001")
    with pytest.raises(RequestError, match=r"strange\.bin"):
        scene.erasing.run([request])
    left = scene.requests.find(request.request_id)
    assert left.state == "partial"
    strange.unlink()
    scene.erasing.run([left])
    assert scene.requests.find(request.request_id).state == "done"


def test_a_company_is_erased_with_its_contacts_if_asked_and_without_them_otherwise(scene: Scene) -> None:
    scene.erasing.run([scene.plan("erasure", "firm-004")])
    assert scene.ask("select customer_id, parent_customer_id from raw_shop.customers where city = 'Basel'") == [
        ("bob-003", None)
    ]
    assert find(scene.home, ("firm-004",)) == {}


def test_contacts_go_with_their_company_where_that_is_asked(scene: Scene) -> None:
    scene.erasing.run([scene.plan("erasure", "firm-004", with_contacts=True)])
    assert find(scene.home, ("firm-004", "bob-003", "office@zurbriggen.example")) == {}
    assert scene.ask("select count(*) from raw_shop.customers") == [(3,)]


def test_an_anonymised_customer_has_another_name_everywhere_and_every_figure_stays(scene: Scene) -> None:
    totals = "select count(*), count(distinct customer_id), sum(amount) from raw_shop.orders"
    before = scene.ask(totals)
    scene.erasing.run([scene.plan("anonymisation", "ann-001")])
    assert find(scene.home, WORDS) == {}
    assert scene.ask(totals) == before
    named = scene.ask("select customer_id, email, city from raw_shop.customers where customer_id like 'anon_%'")
    assert [(email, city) for _, email, city in named] == [(None, "Bern"), (None, "Bern")]
    same = scene.ask("select count(*) from raw_shop.orders semi join raw_shop.customers using (customer_id)")
    assert same == scene.ask("select count(*) from raw_shop.orders")


def test_what_finds_a_customer_is_the_same_alone_and_together_with_others(scene: Scene) -> None:
    scene.ask("update raw_shop.customers set phone = 'tok_shared' where customer_id in ('bob-003', 'cyn-005')")
    scene.ask("insert into raw_shop.customers by name select 'xcyn-005' as customer_id, 'tok_other' as name")
    asked = [["ann-001"], ["ann-002"], ["firm-004"], ["bob-003"], ["cyn-005"]]
    together = identify(scene, asked)
    assert together == [each for alone in asked for each in identify(scene, [alone])]
    assert [each.customers for each in together[:3]] == [ANN, ANN, ("bob-003", "firm-004")]
    assert {"tok_shared"} & {token for each in together for token in each.tokens} == set(), "it could be either's"
    assert [each.ambiguous for each in together] == [(), (), (), (), ("cyn-005",)]
    assert all(each.keys for each in together)


def identify(scene: Scene, asked: list[list[str]]) -> list[Identifiers]:
    """Return what finds each of the customers, but for the random names of an anonymisation."""
    linked = find_linked_ids(scene.deployment, asked, with_contacts=True)
    found = find_identifiers(scene.deployment, scene.store, linked)
    return [replace(each, renamed=(), renamed_keys=()) for each, _ in found]


def test_ids_that_are_plain_numbers_are_erased_from_columns_of_ids_alone(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table orders as select '42' as customer_id, '7' as order_id")
        connection.execute("insert into orders values ('7', '42')")
        connection.execute("create table products as select '42' as product_id, 'lamp' as name")
        connection.execute("create table held (raw json)")
        connection.execute("""insert into held values ('{"customer_id": "42"}'), ('{"customer_id": "7"}')""")
    evidence = DuckDbFile(name="w", path=path).erase(Identifiers(customers=("42",)), mode="erasure")
    assert [(each.place, each.rows) for each in evidence.traces] == [("main.held", 1), ("main.orders", 1)]
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("select * from orders").fetchall() == [("7", "42")]
        assert connection.execute("select count(*) from products").fetchone() == (1,)


def test_an_erasure_that_would_change_rows_of_others_is_refused_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table orders as select 'c0001' as customer_id, 1 as n union all select 'c0002', 2")
    monkeypatch.setattr(
        "privacy.duckdb_tables.Eraser._delete", lambda self, _table: [("deleted", self._count("delete from orders"))]
    )
    with pytest.raises(ErasureError, match=r"main\.orders"):
        DuckDbFile(name="w", path=path).erase(Identifiers(customers=("c0001",)), mode="erasure")
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("select count(*) from orders").fetchone() == (2,)


def test_postgresql_is_erased_from_as_sqlite_is(postgres_url: str) -> None:
    with Store(postgres_url) as store:
        fill(store.database.engine, METADATA, CUSTOMERS)
    blanked = frozenset({("audit_log", "customer_id")})
    database = SqlDatabase(name="store", url=postgres_url, blanked=blanked)
    database.erase(Identifiers(customers=ANN), mode="erasure")
    assert database.plan(Identifiers(customers=ANN)) == []
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        assert set(connection.scalars(sa.text("select customer_id from ledger"))) == {*CUSTOMERS[2:]}
    with engine.begin() as connection, pytest.raises(sa.exc.DBAPIError, match="append-only"):
        connection.execute(sa.text("delete from ledger"))
    engine.dispose()


def test_no_step_and_no_receipt_names_the_customer(scene: Scene) -> None:
    request = scene.plan("erasure", "ann-001")
    receipt = scene.erasing.run([request])[request.request_id]
    written = json.dumps(scene.requests.read_events(request.request_id), default=str) + receipt.read_text()
    assert [word for word in WORDS if word in written] == []
    assert KEY not in written
