"""The vault, and that nothing clear is written anywhere else."""

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
    assert (vault.destroy("shop", "c1", at=LATER), vault.destroy("shop", "c1", at=LATER)) == (True, False)
    assert vault.seal([ANN], at=LATER) == 0
    assert [ask(vault, value) for value in (ANN, PHONE, BOB)] == [None, None, BOB.clear]
    assert [asking["is_answered"] for asking in vault.askings()] == [False, False, True]


def test_a_copy_from_before_cannot_be_read_with_the_keys_of_after(vault: Vault, tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "vault.db") as database:
        copied = database.execute("select * from vault_values where customer_id = 'c1'").fetchall()
        vault.destroy("shop", "c1", at=LATER)
        database.executemany("insert into vault_values values (?, ?, ?, ?, ?, ?, ?)", copied)
    assert ask(vault, ANN) is None


@pytest.mark.usefixtures("vault")
def test_nothing_clear_and_no_open_key_stands_in_the_vaults_file(tmp_path: Path) -> None:
    stored = (tmp_path / "vault.db").read_bytes()
    assert [word for word in (b"Ann@", b"ann@", b"bob@", b"123 45 67", MASTER.encode()) if word in stored] == []
    assert "Ann" not in repr(ANN)


@pytest.mark.usefixtures("vault")
def test_another_master_key_opens_nothing(address: str) -> None:
    other = Vault(address, master_key="another master key")
    with pytest.raises(VaultError, match="another master key than `HOLDFAST_MASTER_KEY`"):
        ask(other, ANN)
    with pytest.raises(VaultError, match="fewer than 16 characters"):
        Vault(address, master_key="short")


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
