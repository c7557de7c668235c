"""Landing files: what arrives, what is set aside, and that nothing arrives twice or by halves."""

import gzip
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from company.contract import TABLES
from ingestion.expiry import Expiry
from ingestion.landing import LandingReport

KEY = "a key for tests only, 0123456789"
if TYPE_CHECKING:
    from conftest import Shop

moment = datetime.fromisoformat
_EMPTY_MEND = "Check `from` and `where`, or bring the rows: nothing can be predicted without them."
_FILE_MEND = "Correct the path or bring the file."


def counts(report: LandingReport) -> tuple[int, int, int, int]:
    return report.rows_in, report.rows_landed, report.rows_quarantined, report.rows_duplicate


def test_a_landed_table_has_every_canonical_column_in_order_and_the_batch(shop: "Shop") -> None:
    shop.land("orders")
    described = [(row[0], row[1].lower()) for row in shop.rows("describe raw_shop.orders")]
    declared = [(column.name, column.type.value) for column in TABLES["orders"].columns]
    assert described == [*declared, ("_batch", "varchar"), ("_landed_at", "timestamp")]


def test_rows_older_than_they_are_kept_leave_the_raw_table_and_are_not_taken_in_again(shop: "Shop") -> None:
    shop.land("orders")
    kept = Expiry(keep_days={"orders": 59})  # landed on 1 March at noon: from 2 January at noon on
    report = shop.land("orders", batch="b2", expiry=kept)
    assert (report.skipped, report.rows_expired) == (True, 1)
    assert shop.rows("select order_id from raw_shop.orders") == [("o2",)]
    shop.append("sales.csv", "o3,c1,2024-02-01 10:00:00,5\n")
    report = shop.land("orders", batch="b3", expiry=kept)
    assert (counts(report), report.rows_expired) == ((2, 2, 0, 0), 0)
    assert shop.rows("select order_id from raw_shop.orders order by 1") == [("o2",), ("o3",)]


def test_moments_land_in_utc_whether_they_carry_an_offset_or_follow_the_sources_zone(shop: "Shop") -> None:
    shop.document["sources"]["shop"]["timezone"] = "Europe/Zurich"
    shop.land("orders")
    assert shop.rows("select order_id, ordered_at, _landed_at from raw_shop.orders order by 1") == [
        ("o1", moment("2024-01-02 09:00:00"), moment("2024-03-01 12:00:00")),
        ("o2", moment("2024-01-03 09:00:00"), moment("2024-03-01 12:00:00")),
    ]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2024-07-01 10:00:00+02", moment("2024-07-01 08:00:00")),
        ("2024-07-01T10:00:00.5Z", moment("2024-07-01 10:00:00.500000")),
        ("2024-07-01 10:00:00 -0330", moment("2024-07-01 13:30:00")),
        ("2024-07-01", moment("2024-07-01 00:00:00")),
        (" 2024-07-01 10:00:00 ", moment("2024-07-01 10:00:00")),
        ("1719828000", moment("2024-07-01 10:00:00")),
        ("1719828000500", moment("2024-07-01 10:00:00.500000")),
    ],
)
def test_a_moment_is_understood_however_it_is_written(shop: "Shop", written: str, meant: datetime) -> None:
    shop.write("sales.csv", f"order_id,customer_id,ordered_at,amount\no1,c1,{written},1\n")
    shop.land("orders")
    assert shop.rows("select ordered_at from raw_shop.orders") == [(meant,)]


def test_every_bad_row_is_set_aside_with_its_reason_and_can_be_read_back(shop: "Shop") -> None:
    lines = [
        "order_id,customer_id,ordered_at,amount",
        "o1,c1,2024-01-02 10:00:00,10.5",
        "o2,c1,yesterday,1",
        "o3,,2024-01-02 10:00:00,1",
        "o4,c1,2024-01-02 10:00:00,-5",
        "o5,c1,2024-01-02 10:00:00,ten",
        "o6,c1,2024-01-02 10:00:00,inf",
        "o7,c1",
        "o1,c1,2024-01-02 10:00:00,10.5",
        "o1,c2,2024-01-02 10:00:00,99",
    ]
    shop.write("sales.csv", "\n".join(lines) + "\n")
    report = shop.land("orders")
    assert counts(report) == (9, 1, 7, 1)
    assert report.reasons == {
        "customer_id: missing": 1,
        "ordered_at: not a moment": 1,
        "amount: not a number": 2,
        "amount: below 0 (declare credit notes by `cleaning.returns.negative_amounts`)": 1,
        "line cannot be split into columns": 1,
        "order_id: duplicate key": 1,
    }
    aside = shop.rows("select reason, column_name, row_key, raw from quarantine.rows order by row_key, reason")
    assert [(reason, column, key) for reason, column, key, _ in aside] == [
        ("duplicate key", "order_id", "o1"),
        ("not a moment", "ordered_at", "o2"),
        ("missing", "customer_id", "o3"),
        ("below 0 (declare credit notes by `cleaning.returns.negative_amounts`)", "amount", "o4"),
        ("not a number", "amount", "o5"),
        ("not a number", "amount", "o6"),
        ("line cannot be split into columns", None, "sales.csv:8"),
    ]
    shown = {"order_id": "o2", "customer_id": "c1", "ordered_at": "xxxxxxxxx", "amount": "1.0"}
    assert json.loads(aside[1][3]) == shown
    assert json.loads(aside[6][3]) == {"file": "sales.csv", "line": 8, "error": "missing columns", "shape": "x9,x9"}


def test_a_cast_in_the_mapping_sets_only_its_own_row_aside(shop: "Shop") -> None:
    shop.write(
        "sales.csv", "order_id,customer_id,day,net\no1,c1,02/01/2024,10\no2,c1,02.01.2024,1\no3,c1,03/01/2024,x\n"
    )
    columns = shop.orders["columns"]
    columns["ordered_at"], columns["amount"] = "strptime(day, '%d/%m/%Y')", "cast(net as double) * 1.1"
    report = shop.land("orders")
    assert report.reasons == {"ordered_at: unreadable": 1, "amount: unreadable": 1}
    assert shop.rows("select order_id, ordered_at, round(amount, 2) from raw_shop.orders") == [
        ("o1", moment("2024-01-02 00:00:00"), 11.0)
    ]
    kept = shop.rows("select row_key, raw ->> 'ordered_at', raw ->> 'amount' from quarantine.rows order by 1")
    assert kept == [("o2", "99.99.9999", "1.1"), ("o3", "2024-01-03 00:00:00", "x")]


def test_a_row_that_the_filter_cannot_judge_is_set_aside_and_not_dropped(shop: "Shop") -> None:
    shop.write(
        "sales.csv",
        "order_id,customer_id,ordered_at,amount,total\no1,c1,2024-01-02,1,5\no2,c1,2024-01-02,1,x\no3,c1,2024-01-02,1,0\n",
    )
    shop.orders["where"] = "cast(total as double) > 0"
    report = shop.land("orders")
    assert (counts(report), report.reasons) == ((2, 1, 1, 0), {"where: unreadable": 1})


def test_rows_can_be_joined_and_summed_on_the_way_in(shop: "Shop") -> None:
    shop.write("sales.csv", "basket,who,day,cents\nb1,1,2024-01-02,100\nb1,1,2024-01-02,50\nb2,2,2024-01-03,x\n")
    shop.write("people.csv", "nr,customer_id\n1,c1\n2,c2\n")
    shop.orders.update(
        {
            "from": "sales join people on people.nr = sales.who",
            "group_by": "basket",
            "columns": {
                "order_id": "basket",
                "customer_id": "min(people.customer_id)",
                "ordered_at": "min(day)",
                "amount": "sum(cast(cents as double)) / 100",
            },
        }
    )
    report = shop.land("orders")
    assert shop.rows("select order_id, customer_id, amount from raw_shop.orders") == [("b1", "c1", 1.5)]
    assert report.reasons == {"amount: unreadable": 1}


@pytest.mark.parametrize("kind", ["sales.csv.gz", "sales.parquet", "sales.jsonl", "sales.jsonl.gz", "sales.tsv"])
def test_files_of_every_kind_land_alike(shop: "Shop", kind: str) -> None:
    content = duckdb.connect().sql(f"from read_csv('{shop.folder}/sales.csv', all_varchar = true)")
    records = [dict(zip(content.columns, row, strict=True)) for row in content.fetchall()]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    match kind:
        case "sales.csv.gz":
            (shop.folder / kind).write_bytes(gzip.compress((shop.folder / "sales.csv").read_bytes()))
        case "sales.parquet":
            content.write_parquet(str(shop.folder / kind))
        case "sales.jsonl":
            shop.write(kind, lines)
        case "sales.jsonl.gz":
            (shop.folder / kind).write_bytes(gzip.compress(lines.encode()))
        case _:
            shop.write(kind, (shop.folder / "sales.csv").read_text().replace(",", "\t"))
    shop.document["sources"]["shop"]["files"]["sales"] = kind
    shop.land("orders")
    assert shop.rows("select order_id, customer_id, ordered_at, amount from raw_shop.orders order by 1") == [
        ("o1", "c1", moment("2024-01-02 10:00:00"), 10.5),
        ("o2", "c2", moment("2024-01-03 09:00:00"), 7.0),
    ]


def test_a_glob_reads_files_whose_columns_stand_in_another_order(shop: "Shop") -> None:
    shop.write("sales-2.csv", "amount,ordered_at,order_id,customer_id\n3,2024-01-05,o3,c3\n")
    shop.document["sources"]["shop"]["files"]["sales"] = "sales*.csv"
    shop.land("orders")
    assert shop.rows("select order_id, amount from raw_shop.orders order by 1") == [
        ("o1", 10.5),
        ("o2", 7),
        ("o3", 3),
    ]


def test_a_broken_json_line_and_a_value_of_another_type_are_rows_to_judge_and_stop_nothing(shop: "Shop") -> None:
    good = '{"order_id": "o1", "customer_id": "c1", "ordered_at": "2024-01-02", "amount": 5}\n'
    late = '{"order_id": "o2", "customer_id": "c1", "ordered_at": "2024-01-02", "amount": {"net": 1}}\n'
    shop.write("sales.jsonl", good + "{broken\n" + late)
    shop.document["sources"]["shop"]["files"]["sales"] = "sales.jsonl"
    report = shop.land("orders")
    assert (counts(report), report.reasons) == (
        (3, 1, 2, 0),
        {"order_id: missing": 1, "amount: not a number": 1},
    )


def test_landing_the_same_again_is_skipped_and_changed_content_or_mapping_lands_anew(shop: "Shop") -> None:
    first, second = shop.land("orders"), shop.land("orders", batch="b2")
    shop.append("sales.csv", "o3,c3,2024-02-01,1\n")
    third = shop.land("orders", batch="b3")
    shop.orders["where"] = "order_id <> 'o1'"
    fourth = shop.land("orders", batch="b4")
    assert [(r.skipped, r.rows_landed) for r in (first, second, third, fourth)] == [
        (False, 2),
        (True, 2),
        (False, 3),
        (False, 2),
    ]
    assert shop.rows("select order_id, _batch from raw_shop.orders order by 1") == [("o2", "b4"), ("o3", "b4")]


def test_a_table_may_come_from_several_sources(shop: "Shop") -> None:
    shop.write("web.csv", "id,who,day\nw1,c1,2024-01-09\n")
    shop.document["sources"]["web"] = {"reader": "files", "files": {"web": "web.csv"}}
    web = {"source": "web", "from": "web", "columns": {"order_id": "id", "customer_id": "who", "ordered_at": "day"}}
    shop.document["tables"]["orders"] = [shop.orders, web]
    report = shop.land("orders")
    assert (report.source, counts(report), [feed.source for feed in report.feeds]) == (
        "shop, web",
        (3, 3, 0, 0),
        ["shop", "web"],
    )
    assert shop.raw_tables() == [("raw_shop", "orders"), ("raw_web", "orders")]


def test_personal_columns_land_as_tokens_that_join_and_never_in_clear(shop: "Shop") -> None:
    shop.write(
        "people.csv",
        "customer_id,email,phone,born\n"
        "c1,Ann@Example.org,+41 79 123 45 67,1990-03-02\n"
        "c2, ann@example.ORG ,0041791234567,1989-01-01\n"
        ",ghost@example.org,1,2000-01-01\n",
    )
    shop.customers["columns"] = {
        "customer_id": "customer_id",
        "email": "email",
        "phone": "phone",
        "birth_date": "born",
    }
    shop.land("customers")
    people = shop.rows("select email, email_domain, age_band, birth_date from raw_shop.customers order by customer_id")
    assert people[0][0] == people[1][0] == "tok_" + _hmac("ann@example.org")
    assert [person[1:3] for person in people] == [("example.org", "25-34"), ("example.org", "35-44")]
    assert json.loads(shop.rows("select raw from quarantine.rows")[0][0])["email"] == "tok_" + _hmac(
        "ghost@example.org"
    )
    shop.warehouse.execute("checkpoint")
    stored = Path(shop.rows("select path from duckdb_databases() where path is not null")[0][0]).read_bytes()
    assert [
        word for word in (b"Ann@", b"ann@", b"ghost", b"123 45 67", b"1990-03", KEY.encode()) if word in stored
    ] == []


PEOPLE = "customer_id,email,city\nAnn@Example.org,ann@example.org,Bern\n+41 79 123 45 67,,Basel\nc3,,+x\n"
SALES = (
    "order_id,customer_id,ordered_at,amount\no1, ann@example.org,2024-01-02,1\no2,0041791234567,2024-01-02,1\n"
    "o3,+41791234567,2024-01-02,1\no4,c3,2024-01-02,1\no5,eve@example.org,soon,1\n"
)


def test_ids_that_are_contacts_become_tokens_and_join_whether_or_not_a_personal_column_is_mapped(shop: "Shop") -> None:
    shop.write("people.csv", PEOPLE)
    shop.write("sales.csv", SALES)
    reports = [shop.land("customers"), shop.land("orders")]
    mail, phone = "tok_" + _hmac("ann@example.org"), "tok_" + _hmac("791234567")
    assert {row[0] for row in shop.rows("select customer_id from raw_shop.customers")} == {mail, phone, "c3"}
    named = [mail, "0041791234567", phone, "c3"]  # digits alone may be anything
    assert shop.rows("select customer_id from raw_shop.orders order by order_id") == [(name,) for name in named]
    assert [report.repairs["customer_id: contact_id"] for report in reports] == [2, 2]
    assert "eve" not in str(shop.rows("select * from quarantine.rows"))
    shop.customers["columns"]["email"] = "email"
    shop.land("customers")
    assert shop.rows("select customer_id from raw_shop.customers where email is not null") == [(mail,)]


def test_of_customers_that_contradict_each_other_the_quarantine_shows_the_shape(shop: "Shop") -> None:
    shop.write("people.csv", "customer_id,email,city\nc1,,Ann Lee\nc1,,Bob Ray 9\n")
    shop.land("customers")
    assert shop.rows(
        "select row_key, raw ->> 'customer_id', raw ->> 'city' in ('xxx xxx', 'xxx xxx 9') from quarantine.rows"
    ) == [("c1", "c1", True)]


def test_ids_that_are_contacts_are_not_taken_in_clear_where_there_is_no_key(shop: "Shop") -> None:
    shop.write("people.csv", PEOPLE)
    shop.secrets.clear()
    report = shop.land("customers")
    ((reason, rows),) = report.reasons.items()
    assert (report.rows_landed, rows) == (1, 2)
    assert reason.startswith("customer_id: an e-mail address or a telephone number as id: set `HOLDFAST_TOKEN_KEY`")
    assert shop.rows("select row_key, raw ->> 'city' from quarantine.rows order by 1") == [
        ("<e-mail>", "xxxx"),
        ("<phone>", "xxxxx"),
    ]


def _hmac(text: str) -> str:
    import hashlib
    import hmac

    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]


def test_a_missing_file_a_missing_column_and_an_empty_table_are_each_named_and_leave_nothing_behind(
    shop: "Shop",
) -> None:
    said = []
    shop.orders["columns"]["amount"] = "amout"
    said.append(shop.refused("orders"))
    shop.orders["columns"]["amount"] = "amount"
    shop.write("sales.csv", "order_id,customer_id,ordered_at,amount\n")
    said.append(shop.refused("orders"))
    (shop.folder / "sales.csv").rename(shop.folder / "sale.csv")
    said.append(shop.refused("orders"))
    file = shop.folder / "company.yaml"
    assert said == [
        f"{file}, line {line}, {fault}"
        for line, fault in [
            (31, "tables.orders.columns.amount: there is no column `amout`; did you mean `amount`?"),
            (24, f"tables.orders: the required table `orders` came empty from `shop`. {_EMPTY_MEND}"),
            (16, f"sources.shop.files.sales: there is no file at `sales.csv`. Did you mean `sale.csv`? {_FILE_MEND}"),
        ]
    ]
    assert shop.raw_tables() == shop.rows("from quarantine.rows") == shop.rows("from ingestion.landings") == []


@pytest.mark.parametrize("name", ["Betrag in EUR", "total sum", "paid-net"])
def test_a_column_whose_name_is_no_plain_word_is_named_as_it_is_to_be_written(shop: "Shop", name: str) -> None:
    shop.write("sales.csv", f"order_id,customer_id,ordered_at,{name}\no1,c1,2025-06-01,7.50\n")
    shop.orders["columns"]["amount"] = name
    fault = f"amount: the name of the column `{name}` is no plain word. Put it in quotes of both kinds: '\"{name}\"'."
    assert fault in shop.refused("orders")
    shop.orders["columns"]["amount"] = f'"{name}"'
    shop.land("orders")
    assert shop.rows("select amount from raw_shop.orders") == [(7.5,)]


@pytest.mark.parametrize(
    ("part", "value", "parts"),
    [
        ("from", "sails", ["tables.orders.from", "Did you mean `sales`?"]),
        ("from", "sales where", ["tables.orders.from", "is not SQL"]),
        ("where", "amount >", ["tables.orders.where", "not one SQL expression"]),
        ("where", "total > 1", ["tables.orders.where", "no column `total`"]),
        ("group_by", "nothing", ["tables.orders.group_by", "no column `nothing`"]),
        ("columns.amount", "amount, 2", ["tables.orders.columns.amount", "more than one expression"]),
        ("columns.amount", "amount * 2", ["tables.orders.columns.amount", "cast(column as double)"]),
        ("columns.ordered_at", "17", ["tables.orders.columns.ordered_at", "to_timestamp"]),
    ],
)
def test_a_mapping_that_does_not_fit_the_source_is_named_with_its_mend(
    shop: "Shop", part: str, value: str, parts: list[str]
) -> None:
    head, _, name = part.partition(".")
    if name:
        shop.orders[head][name] = value
    else:
        shop.orders[head] = value
    said = shop.refused("orders")
    assert ([piece for piece in parts if piece not in said], "\n" in said) == ([], False)


def test_a_required_table_of_which_every_row_is_bad_is_refused(shop: "Shop") -> None:
    shop.orders["columns"]["ordered_at"] = "customer_id"
    said = shop.refused("orders")
    assert "none of the 2 rows" in said
    assert "most often ordered_at: not a moment" in said
    assert shop.raw_tables() == []


def test_personal_data_without_a_key_is_refused(shop: "Shop") -> None:
    shop.customers["columns"]["email"] = "email"
    shop.secrets["HOLDFAST_TOKEN_KEY"] = ""
    assert "needs the environment variable `HOLDFAST_TOKEN_KEY`, which is not set" in shop.refused("customers")
    shop.secrets["HOLDFAST_TOKEN_KEY"] = "short"
    assert "fewer than 16 characters" in shop.refused("customers")


def test_an_error_never_repeats_a_value(shop: "Shop") -> None:
    shop.write("sales.csv", "order_id,customer_id,ordered_at,amount\no1,c1,2024-01-02,ann@example.org\n")
    shop.orders["from"] = "(select *, cast(amount as int) as whole from sales)"
    shop.orders["columns"]["amount"] = "whole"
    said = shop.refused("orders")
    assert "could not be computed" in said
    assert "ann@" not in said


_KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
import duckdb
from ingestion.readers import load_company
from ingestion.landing import land

class Mortal:
    # passes every statement on, and dies before the first that holds the words it was given
    def execute(self, statement, *arguments):
        if sys.argv[3] in statement:
            os.kill(os.getpid(), signal.SIGKILL)
        return connection.execute(statement, *arguments)

company = load_company(Path(sys.argv[1]))
connection = duckdb.connect(sys.argv[2])
for table in company.tables:
    land(Mortal(), company, table, secrets={}, batch="b1", landed_at=datetime(2024, 3, 1, 12, tzinfo=UTC))
"""


def _killed_before(words: str, company: Path, file: Path) -> bool:
    command = [sys.executable, "-c", _KILLED, str(company), str(file), words]
    done = subprocess.run(command, check=False, capture_output=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())})
    return done.returncode == -signal.SIGKILL


def _content(shop: "Shop", file: Path) -> list[list[tuple[Any, ...]]]:
    """Land everything into the warehouse at `file` and return all of it."""
    names = ["raw_shop.customers", "raw_shop.orders", "quarantine.rows", "ingestion.landings", "ingestion.files"]
    with duckdb.connect(str(file)) as connection:
        running = replace(shop, warehouse=connection)
        for table in ("customers", "orders"):
            running.land(table)
        return [connection.execute(f"select * from {name} order by all").fetchall() for name in names]


def test_a_killed_landing_leaves_nothing_by_halves_and_the_next_one_gives_the_same_tables(
    shop: "Shop", tmp_path: Path
) -> None:
    shop.append("sales.csv", "o3,,2024-02-01,1\n")
    company = shop.company().path
    whole = _content(shop, tmp_path / "whole.duckdb")
    moments = ['table "raw_shop"."orders"', "insert into quarantine.rows", "insert into ingestion.files", "commit"]
    for place, words in enumerate(moments):
        target = tmp_path / f"killed-{place}.duckdb"
        assert _killed_before(words, company, target), words
        assert _content(shop, target) == whole, words
