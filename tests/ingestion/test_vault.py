"""The vault, and that nothing clear is written anywhere else."""

import hashlib
import shutil
import sqlite3
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from company.file_faults import CompanyError
from ingestion.vault import Sealable, Vault, VaultError

if TYPE_CHECKING:
    from conftest import Shop

MASTER = "a master key for tests only"
AT = datetime.fromisoformat("2024-03-01T12:00:00")
LATER = datetime.fromisoformat("2024-03-02T12:00:00")
ANN = Sealable(source="shop", customer_id="c1", column="email", token="tok_1", clear="Ann@Example.org")
PHONE = Sealable(source="shop", customer_id="c1", column="phone", token="tok_2", clear="+41 79 123 45 67")
BOB = Sealable(source="shop", customer_id="c2", column="email", token="tok_3", clear="bob@example.org")


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'vault.db'}"


@pytest.fixture
def vault(address: str) -> Vault:
    made = Vault(address, master_key=MASTER)
    made.seal([ANN, PHONE, BOB], at=AT)
    return made


def ask(vault: Vault, value: Sealable) -> str | None:
    return vault.reveal(
        value.source, value.customer_id, value.column, value.token, asker="mailer", purpose="message 7", at=LATER
    )


def test_what_was_sealed_is_revealed_and_every_asking_is_recorded(vault: Vault) -> None:
    assert [ask(vault, value) for value in (ANN, PHONE, BOB)] == [ANN.clear, PHONE.clear, BOB.clear]
    assert vault.askings()[1] == {
        "asking_id": 2,
        "asked_at": LATER,
        "asker": "mailer",
        "purpose": "message 7",
        "source": "shop",
        "customer_id": "c1",
        "column_name": "phone",
        "is_answered": True,
    }


def test_sealing_again_adds_only_what_is_new(vault: Vault) -> None:
    more = Sealable(source="shop", customer_id="c2", column="phone", token="tok_4", clear="1")
    assert vault.seal([ANN, PHONE, BOB, more], at=LATER) == 1
    assert ask(vault, more) == "1"


def test_a_destroyed_key_erases_the_customer_alone_and_keeps_coming_values_out(vault: Vault) -> None:
    assert [vault.destroy("shop", ["c1", "c7"], at=LATER) for _ in range(2)] == [1, 0]
    assert vault.seal([ANN], at=LATER) == 0
    assert [ask(vault, value) for value in (ANN, PHONE, BOB)] == [None, None, BOB.clear]
    assert [asking["is_answered"] for asking in vault.askings()] == [False, False, True]


def test_a_copy_of_the_values_from_before_cannot_be_read_with_the_keys_of_after(vault: Vault, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "vault.db", tmp_path / "backup.db")
    vault.destroy("shop", ["c1"], at=LATER)
    restored = Vault(
        f"sqlite:///{tmp_path / 'backup.db'}", master_key=MASTER, keys_url=f"sqlite:///{tmp_path / 'vault.keys.db'}"
    )
    assert [ask(restored, value) for value in (ANN, PHONE, BOB)] == [None, None, BOB.clear]
    assert b"vault_values" in (tmp_path / "backup.db").read_bytes()


@pytest.mark.usefixtures("vault")
def test_nothing_clear_and_no_open_key_stands_in_the_vaults_files_and_no_id_next_to_a_key(tmp_path: Path) -> None:
    values, keys = ((tmp_path / name).read_bytes() for name in ("vault.db", "vault.keys.db"))
    clear = (b"Ann@", b"ann@", b"bob@", b"123 45 67", MASTER.encode())
    assert [word for word in clear if word in values + keys] == []
    assert (b"shop" in values, b"shop" in keys) == (True, False)
    assert "Ann" not in repr(ANN)


def test_a_destroyed_key_leaves_no_byte_behind(vault: Vault, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "vault.keys.db") as database:
        wrapped = {row[0] for row in database.execute("select wrapped from customer_keys")}
    vault.destroy("shop", ["c1"], at=LATER)
    stored = (tmp_path / "vault.keys.db").read_bytes()
    assert [key in stored for key in wrapped].count(True) == 1


@pytest.mark.usefixtures("vault")
def test_another_master_key_is_refused_at_once_whatever_it_is_to_do(address: str) -> None:
    other, eve = Vault(address, master_key="another master key"), replace(ANN, customer_id="c9")
    for attempt in (
        lambda: ask(other, ANN),
        lambda: other.seal([eve], at=LATER),
        lambda: other.destroy("x", ["y"], at=AT),
    ):
        with pytest.raises(VaultError, match="another master key than `HOLDFAST_MASTER_KEY`"):
            attempt()
    assert ask(Vault(address, master_key=MASTER), ANN) == ANN.clear


@pytest.mark.parametrize(
    ("key", "weakness"),
    [
        ("short", "fewer than 16 characters"),
        ("passwordpassword", "repeats a shorter text"),
        ("abababababababac", "fewer than 8 different characters"),
        ("0123456789abcdef", "follows the alphabet"),
        ("qwertyuiopasdfgh", "or the keyboard"),
    ],
)
def test_a_key_that_is_easy_to_guess_seals_nothing(address: str, key: str, weakness: str) -> None:
    with pytest.raises(VaultError, match=weakness):
        Vault(address, master_key=key).seal([ANN], at=AT)


def test_a_rotated_master_key_opens_what_the_one_before_opened_and_that_one_nothing(vault: Vault, address: str) -> None:
    vault.destroy("shop", ["c2"], at=AT)
    assert vault.rotate("the next master key of tests") == 1
    after = Vault(address, master_key="the next master key of tests")
    assert [ask(after, value) for value in (ANN, PHONE, BOB)] == [ANN.clear, PHONE.clear, None]
    assert after.seal([BOB], at=LATER) == 0
    with pytest.raises(VaultError, match="another master key"):
        ask(Vault(address, master_key=MASTER), ANN)


def test_keys_that_lay_in_the_database_of_the_values_are_moved_out_of_it_and_those_of_another_vault_are_not_mixed_in(
    vault: Vault, address: str, tmp_path: Path
) -> None:
    assert ask(vault, ANN) == ANN.clear
    keys = tmp_path / "vault.keys.db"
    with sqlite3.connect(tmp_path / "vault.db") as database:  # as a server had it that was given no address for keys
        database.execute(f"attach '{keys}' as ring")
        for table in ("key_settings", "customer_keys"):
            database.execute(f"create table {table} as select * from ring.{table}")
    shutil.copy(tmp_path / "vault.db", tmp_path / "together.db")
    keys.unlink()
    with pytest.raises(VaultError, match="names no database of its own: keys that lie with the values are in their"):
        ask(Vault(address, master_key=MASTER, keys_url=address), ANN)
    moved = Vault(address, master_key=MASTER)
    assert [ask(moved, value) for value in (ANN, BOB)] == [ANN.clear, BOB.clear]
    assert b"customer_keys" not in (tmp_path / "vault.db").read_bytes()
    other = f"sqlite:///{tmp_path / 'other.db'}"
    Vault(other, master_key=MASTER).seal([BOB], at=AT)
    with pytest.raises(VaultError, match="holds the keys of another vault"):
        ask(Vault(f"sqlite:///{tmp_path / 'together.db'}", master_key=MASTER,
                  keys_url=f"sqlite:///{tmp_path / 'other.keys.db'}"), ANN)  # fmt: skip


@pytest.fixture
def before(vault: Vault, tmp_path: Path) -> Path:
    """A vault as it was once: keys next to the values, wrapped by the SHA-256 of the master key."""
    from cryptography.hazmat.primitives.keywrap import aes_key_wrap

    keys = vault._keyring.read([("shop", "c1"), ("shop", "c2")])
    (tmp_path / "vault.keys.db").unlink()
    with sqlite3.connect(tmp_path / "vault.db") as database:
        database.execute(
            "create table vault_keys (source text, customer_id text, wrapped blob, created_at datetime, "
            "destroyed_at datetime, primary key (source, customer_id))"
        )
        for (source, who), key in keys.items():
            wrapped = aes_key_wrap(hashlib.sha256(MASTER.encode()).digest(), key or b"")
            database.execute("insert into vault_keys values (?, ?, ?, ?, null)", (source, who, wrapped, "2024-01-01"))
        database.execute("insert into vault_keys values ('shop', 'c3', null, '2024-01-01', '2024-02-01')")
    return tmp_path / "vault.db"


def test_a_vault_of_before_is_moved_by_its_key_and_by_no_other(before: Path, address: str) -> None:
    with pytest.raises(VaultError, match="another master key"):
        ask(Vault(address, master_key="another master key"), ANN)
    moved = Vault(address, master_key=MASTER)
    assert [ask(moved, value) for value in (ANN, PHONE, BOB)] == [ANN.clear, PHONE.clear, BOB.clear]
    assert moved.seal([replace(ANN, customer_id="c3")], at=LATER) == 0
    assert b"vault_keys" not in before.read_bytes()


def test_a_move_that_was_interrupted_is_finished(before: Path, address: str, tmp_path: Path) -> None:
    shutil.copy(before, tmp_path / "untouched.db")
    ask(Vault(address, master_key=MASTER), ANN)
    shutil.copy(tmp_path / "untouched.db", before)  # killed before the keys of before were dropped
    assert ask(Vault(address, master_key=MASTER), ANN) == ANN.clear
    assert b"vault_keys" not in before.read_bytes()


def test_customers_who_were_sealed_with_a_mistyped_key_are_sealed_again(before: Path, address: str) -> None:
    with sqlite3.connect(before) as database:
        database.execute("update vault_keys set wrapped = zeroblob(40) where customer_id = 'c2'")
    vault = Vault(address, master_key=MASTER)
    assert [ask(vault, value) for value in (ANN, BOB)] == [ANN.clear, None]
    assert vault.seal([BOB], at=LATER) == 1
    assert ask(vault, BOB) == BOB.clear


@pytest.fixture
def guarded(shop: "Shop", address: str) -> "Shop":
    """A shop whose personal columns are mapped, with dirty rows, and a vault."""
    shop.secrets.update({"HOLDFAST_VAULT_URL": address, "HOLDFAST_MASTER_KEY": MASTER})
    shop.write(
        "people.csv",
        "customer_id,name,email,phone,cost,city\n"
        "c1,Ann Lee,Ann@Example.org,+41 79 123 45 67,1,Bern\n"
        "c1,Ann Lee,ann@example.org,0041 79 123 45 67,ann@example.org,Basel\n"
        "c2,Bob Ray,bob@example.org,,1,Bern,bob@example.org\n"
        ",Eve Fox,eve@example.org,1,1,Eve Fox\n"
        "c4,Cyd Orr,cyd@example.org\n"
        "zed@example.org,Zed Ito,zed@example.org,1,1,Bern,x\n",
    )
    names = ("customer_id", "name", "email", "phone", "city")
    shop.customers["columns"] = {**{name: name for name in names}, "acquisition_cost": "cost"}
    return shop


def test_clear_values_of_landed_rows_are_found_in_the_vault_by_their_tokens(guarded: "Shop", address: str) -> None:
    report = guarded.land("customers")
    assert (report.rows_in, report.rows_landed, report.rows_quarantined) == (6, 1, 5)
    [(email, phone, name, city)] = guarded.rows("select email, phone, name, city from raw_shop.customers")
    vault = Vault(address, master_key=MASTER)
    tokens = {"email": email, "phone": phone, "name": name}
    asked = [
        vault.reveal("shop", "c1", column, token, asker="test", purpose="test", at=AT)
        for column, token in tokens.items()
    ]
    assert asked[1:] == ["+41 79 123 45 67" if city == "Bern" else "0041 79 123 45 67", "Ann Lee"]
    assert str(asked[0]).lower() == "ann@example.org"


def test_no_clear_value_is_written_outside_the_vault(guarded: "Shop", tmp_path: Path) -> None:
    guarded.land("customers")
    aside = guarded.rows("select raw, row_key from quarantine.rows")
    guarded.warehouse.execute("checkpoint")
    words = ["Ann", "Lee", "ann@", "Bob", "bob@", "Eve", "eve@", "Cyd", "cyd@", "Zed", "zed@", "123 45 67", "791234567"]
    kept = str(aside).encode() + (tmp_path / "warehouse.duckdb").read_bytes()
    assert [word for word in words if word.encode() in kept] == []
    assert len(aside) == 5


def test_a_vault_without_its_master_key_stops_the_landing_with_its_mend(guarded: "Shop") -> None:
    guarded.secrets["HOLDFAST_MASTER_KEY"] = ""
    with pytest.raises(CompanyError, match="HOLDFAST_MASTER_KEY"):
        guarded.land("customers")
    assert guarded.raw_tables() == []
