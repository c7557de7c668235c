"""Free text is read where it lands: its sentiment and topic are kept under its token, and no word of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from ingestion.landing import LandingReport, land
from ingestion.texts import reveal_rated
from ingestion.vault import Vault

if TYPE_CHECKING:
    from conftest import Shop

ROWS = (
    "feedback_id,customer_id,given_at,body\n"
    "f1,c1,2024-01-02,Zanzibar was late again\nf2,c2,2024-01-03,Zanzibar was late again\nf3,c3,2024-01-04,\n"
)
READINGS = "select sentiment, keywords, read_by from ingestion.text_readings order by all"


@dataclass
class Counting:
    """Finds every text negative and late, and remembers what it was asked to read."""

    version: str = "r1"
    model: str = ""
    asked: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.version + self.model

    def read(self, texts: Sequence[str]) -> pa.Table:
        self.asked += texts
        return pa.table({"sentiment": ["negative"] * len(texts), "keywords": ["late"] * len(texts)})


@pytest.fixture
def reviewed(shop: "Shop") -> "Shop":
    shop.document["sources"]["shop"]["files"]["words"] = "words.csv"
    columns = {name: name for name in ("feedback_id", "customer_id", "given_at", "body")}
    shop.document["tables"]["feedback"] = {"source": "shop", "from": "words", "columns": columns}
    shop.write("words.csv", ROWS)
    return shop


def read(shop: "Shop", reader: Counting) -> LandingReport:
    moment = datetime(2024, 3, 1, tzinfo=UTC)
    company = shop.company()
    return land(
        shop.warehouse, company, "feedback", secrets=shop.secrets, batch="b", landed_at=moment, text_reader=reader
    )


def test_a_text_is_read_once_however_often_it_stands_there(reviewed: "Shop") -> None:
    reader = Counting()
    report = read(reviewed, reader)
    assert report.rows_landed == 3
    assert reader.asked == ["Zanzibar was late again"]
    assert reviewed.rows(READINGS) == [("negative", "late", "r1")]


def test_a_reading_stands_under_the_token_that_is_stored_for_the_text(reviewed: "Shop") -> None:
    read(reviewed, Counting())
    joined = "select count(*) from raw_shop.feedback inner join ingestion.text_readings on body = token"
    assert reviewed.rows(joined) == [(2,)]


def test_a_text_that_comes_again_is_not_read_again(reviewed: "Shop") -> None:
    reader = Counting()
    read(reviewed, reader)
    reviewed.append("words.csv", "f4,c1,2024-01-05,Quokka arrived broken\n")
    read(reviewed, reader)
    assert reader.asked == ["Zanzibar was late again", "Quokka arrived broken"]


def test_another_reader_reads_everything_anew(reviewed: "Shop") -> None:
    reader = Counting()
    assert [read(reviewed, reader).skipped, read(reviewed, reader).skipped] == [False, True]
    assert read(reviewed, replace(reader, version="r2")).skipped is False
    assert reader.asked == ["Zanzibar was late again"] * 2
    assert reviewed.rows(READINGS) == [("negative", "late", "r2")]


def test_another_model_reads_what_is_new_alone(reviewed: "Shop") -> None:
    reader = Counting()
    read(reviewed, reader)
    assert read(reviewed, replace(reader, model="-own")).skipped is True
    reviewed.append("words.csv", "f4,c1,2024-01-05,Quokka arrived broken\n")
    read(reviewed, replace(reader, model="-own"))
    assert reader.asked == ["Zanzibar was late again", "Quokka arrived broken"]
    assert reviewed.rows(READINGS) == [("negative", "late", "r1"), ("negative", "late", "r1-own")]


def test_without_a_reader_texts_become_tokens_alone(reviewed: "Shop") -> None:
    reviewed.land("feedback")
    assert reviewed.rows("select count(*) from duckdb_tables() where table_name = 'text_readings'") == [(0,)]


def test_no_word_of_a_text_stands_in_the_warehouse(reviewed: "Shop") -> None:
    read(reviewed, Counting())
    reviewed.warehouse.execute("checkpoint")
    content = b"".join(path.read_bytes() for path in reviewed.folder.parent.glob("warehouse.duckdb*"))
    assert [word for word in (b"Zanzibar", b"zanzibar") if word in content] == []
    columns = reviewed.rows(
        "select schema_name || '.' || table_name, column_name from duckdb_columns() "
        "where data_type = 'VARCHAR' and not internal"
    )
    holding = [
        (table, name)
        for table, name in columns
        if reviewed.rows(f"select 1 from {table} where \"{name}\" ilike '%zanzibar%' limit 1")
    ]
    assert (len(columns) > 20, holding) == (True, [])


def test_rated_texts_come_from_the_vault_the_oldest_first_and_every_asking_is_recorded(reviewed: "Shop") -> None:
    columns = reviewed.document["tables"]["feedback"]["columns"]
    columns |= {"rating": "rating", "kind": "kind"}
    reviewed.write(
        "words.csv",
        "feedback_id,customer_id,given_at,body,rating,kind\n"
        "f1,c1,2024-01-05,fine,5,review\nf2,c2,2024-01-03,bad,1,review\nf3,c3,2024-01-04,so so,,review\n"
        "f4,c1,2024-01-04,ten of ten,5,nps\nf5,c1,2024-01-01,too old,2,review\n",
    )
    reviewed.secrets["HOLDFAST_VAULT_URL"] = f"sqlite:///{reviewed.folder / 'vault.db'}"
    reviewed.secrets["HOLDFAST_MASTER_KEY"] = "a master key for tests only"
    read(reviewed, Counting())
    vault = Vault.from_secrets(reviewed.secrets)
    rated = reveal_rated(reviewed.warehouse, reviewed.company(), vault, most=2, at=datetime(2024, 3, 1, tzinfo=UTC))
    assert rated == [("bad", 1.0), ("fine", 5.0)]
    assert [(one["asker"], one["purpose"]) for one in vault.askings()] == [("text model", "learning")] * 2
