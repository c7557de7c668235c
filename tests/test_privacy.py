"""Names, telephone numbers, e-mail and street addresses stay in the vault: a simulated company is searched for them.

Everything behind landing reads the warehouse alone, so what is not in it, and in no message, is nowhere later;
`python -m bench.privacy` searches every file of a whole run.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
import yaml

from company.company_file import Company
from company.file_faults import CompanyError
from ingestion.identity.explaining import explain
from ingestion.identity.linking import IdentityError, link
from ingestion.landing import land
from ingestion.readers import load_company
from simulator.parameters import load_parameters
from simulator.people import find_words, read_words
from simulator.story import simulate

AT = datetime(2025, 3, 1, tzinfo=UTC)
EXAMPLE = Path(__file__).parent.parent / "examples" / "retail" / "company.yaml"
CUSTOMERS, SEED = 300, 5


@dataclass(frozen=True)
class Scene:
    """A simulated company whose sources are landed and linked, and every word that must be nowhere."""

    folder: Path
    home: Path
    company: Company
    document: dict[str, Any]
    secrets: dict[str, str]
    words: frozenset[str]

    @property
    def warehouse(self) -> Path:
        return self.home / "warehouse.duckdb"

    def told(self, text: str) -> list[str]:
        """Return the words that `text` tells."""
        return sorted(word for word in self.words if word in text.lower())

    def changed(self, name: str, expression: str) -> Company:
        """Return the company with another mapping of one customer column."""
        document = deepcopy(self.document)
        document["tables"]["customers"]["columns"][name] = expression
        path = self.folder / "changed.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
        return load_company(path)


def read_document() -> dict[str, Any]:
    """Return the example's company file with its systems' files in the place of the systems."""
    document: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    files: dict[str, dict[str, str]] = {"crm": {}, "desk": {}}
    for feed in feeds_of(document):
        relation, source = feed["from"], feed["source"]
        if source in files:
            folder = "sources/database" if source == "crm" else "sources/desk"
            feed["from"] = relation.replace(".", "_")
            feed.pop("incremental", None)
            files[source][feed["from"]] = f"{folder}/{relation}.parquet"
    document["sources"] |= {name: {"reader": "files", "files": found} for name, found in files.items()}
    return document


def feeds_of(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for feeds in document["tables"].values():
        yield from feeds if isinstance(feeds, list) else [feeds]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("privacy")
    home = folder / "home"
    home.mkdir()
    simulate(load_parameters("retail"), folder, customers=CUSTOMERS, months=1, seed=SEED)
    document = read_document()
    (folder / "company.yaml").write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    secrets = {
        "HOLDFAST_TOKEN_KEY": "a key for tests only, 0123456789",
        "HOLDFAST_VAULT_URL": f"sqlite:///{folder / 'vault.db'}",
        "HOLDFAST_MASTER_KEY": "a master key for tests only",
    }
    company = load_company(folder / "company.yaml")
    made = Scene(folder, home, company, document, secrets, read_words(folder))
    with duckdb.connect(str(made.warehouse)) as connection:
        connection.execute("set timezone = 'UTC'")
        for table in company.tables:
            land(connection, company, table, secrets=secrets, batch="b1", landed_at=AT)
        report = link(connection, company, secrets=secrets, batch="b1", decided_at=AT)
    assert (report.is_vault_used, report.pairs_compared > 0, report.members > 0) == (True, True, True)
    return made


def test_the_search_knows_the_people_and_finds_them_in_their_own_systems(scene: Scene) -> None:
    kept = b"".join(path.read_bytes() for path in (scene.folder / "sources" / "marketing").rglob("*"))
    accounts = pq.read_table(scene.folder / "sources" / "database" / "crm.account.parquet")
    assert len(scene.words) > 3 * CUSTOMERS
    assert scene.told(str(accounts["mobile_no"].to_pylist())) != []
    assert find_words(scene.words, kept) == []
    assert find_words(scene.words, "\0".join(scene.words).upper().encode()) == sorted(scene.words)
    assert find_words(scene.words, b"") == []


def test_no_table_of_the_warehouse_holds_anybodys_name_number_or_address(scene: Scene) -> None:
    with duckdb.connect(str(scene.warehouse), read_only=True) as connection:
        columns = connection.execute(
            "select schema_name || '.' || table_name, column_name from duckdb_columns() "
            "where data_type in ('VARCHAR', 'JSON') and not internal order by all"
        ).fetchall()
        found = {
            f"{table}.{name}": told
            for table, name in columns
            if (
                told := scene.told(
                    "\n".join(
                        str(row[0])
                        for row in connection.execute(
                            f'select distinct "{name}"::varchar from {table} where "{name}" is not null'
                        ).fetchall()
                    )
                )
            )
        }
        aside = connection.execute("select count(*) from quarantine.rows").fetchone()
    assert found == {}
    assert len(columns) > 100
    assert aside is not None
    assert aside[0] > 0


def test_no_file_of_the_house_holds_anybodys_name_number_or_address(scene: Scene) -> None:
    kept = {path.name: path.read_bytes() for path in scene.home.rglob("*") if path.is_file()}
    sealed = (scene.folder / "vault.db").read_bytes()
    assert {
        name: told for name, content in {**kept, "vault": sealed}.items() if (told := find_words(scene.words, content))
    } == {}
    assert "warehouse.duckdb" in kept


SPOILT = (
    "error(email_addr)",
    "json_extract_string(full_nm, '$.a')",
    "date_trunc(mobile_no, date '2020-01-01')::varchar",
    "unhex(addr_line)::varchar",
)


def test_no_message_about_a_row_that_cannot_be_computed_tells_a_value(scene: Scene) -> None:
    told = []
    with duckdb.connect() as connection:
        for expression in SPOILT:
            company = scene.changed("preference", expression)
            with pytest.raises(CompanyError, match="a row could not be computed") as refused:
                land(connection, company, "customers", secrets=scene.secrets, batch="b", landed_at=AT)
            told.append(scene.told(str(refused.value)))
    assert told == [[]] * len(SPOILT)


def test_no_message_about_bad_rows_or_a_closed_vault_tells_a_value(scene: Scene, tmp_path: Path) -> None:
    cast = scene.changed("customer_id", "nullif(full_nm, full_nm)")
    secrets = scene.secrets | {"HOLDFAST_VAULT_URL": f"sqlite:///{tmp_path / 'vault.db'}"}
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        with pytest.raises(CompanyError, match=r"none of the .* rows") as emptied:
            land(connection, cast, "customers", secrets=secrets, batch="b", landed_at=AT)
        land(connection, scene.company, "customers", secrets=secrets, batch="b", landed_at=AT)
        wrong = secrets | {"HOLDFAST_MASTER_KEY": "not the master key"}
        with pytest.raises(IdentityError) as closed:
            link(connection, scene.company, secrets=wrong, batch="b", decided_at=AT)
    assert [scene.told(str(error.value)) for error in (emptied, closed)] == [[], []]


def test_an_explanation_is_in_words_that_tell_nobodys_data(scene: Scene) -> None:
    with duckdb.connect(str(scene.warehouse), read_only=True) as connection:
        ids = [row[0] for row in connection.execute("select distinct canonical_id from identity.members").fetchall()]
        told = [str(explain(connection, customer_id)) for customer_id in ids]
    assert [scene.told(text) for text in told] == [[]] * len(ids)
