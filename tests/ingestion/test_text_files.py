"""Delimited text as the world writes it: whole, read as written, and refused by name where it is in doubt."""

import codecs
import gzip
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Shop

HEADER = "order_id,customer_id,ordered_at,amount,store"
ROWS = [
    ("o1", "c1", "2024-01-02 10:00:00", "10.5", "Main St"),
    ("o2", "c2", "2024-01-03 11:00:00", "7", "Zürich"),
    ("o3", "c3", "2024-01-04 12:00:00", "8.25", "Main St"),
]
LANDED = [("o1", 10.5, "Main St"), ("o2", 7.0, "Zürich"), ("o3", 8.25, "Main St")]


def text(separator: str = ",", end: str = "\n") -> str:
    lines = [HEADER.replace(",", separator), *(separator.join(row) for row in ROWS)]
    return end.join(lines) + end


def bring(shop: "Shop", content: bytes, name: str = "sales.csv", **declared: object) -> None:
    (shop.folder / name).write_bytes(content)
    shop.document["sources"]["shop"]["files"]["sales"] = name
    shop.orders["columns"]["store"] = "store"
    shop.orders.update(declared)


def landed(shop: "Shop") -> list[tuple[Any, ...]]:
    return shop.rows("select order_id, amount, store from raw_shop.orders order by 1")


@pytest.mark.parametrize(
    ("content", "declared"),
    [
        (text().encode(), {}),
        (text(";").encode(), {}),
        (text("\t").encode(), {}),
        (text("|").encode(), {}),
        (text("~").encode(), {"separator": "~"}),
        (text(end="\r\n").encode(), {}),
        (text(end="\r").encode(), {}),
        (text().encode().removesuffix(b"\n"), {}),
        (codecs.BOM_UTF8 + text().encode(), {}),
        (codecs.BOM_UTF16_LE + text().encode("utf-16-le"), {}),
        (codecs.BOM_UTF16_BE + text(end="\r\n").encode("utf-16-be"), {}),
        (text().encode("utf-16-le"), {"encoding": "utf-16-le"}),
        (text().encode("cp1252"), {"encoding": "cp1252"}),
        (text().encode("latin-1"), {"encoding": "latin-1"}),
        (b"sep=;\r\n" + text(";", "\r\n").encode(), {}),
        (b"\n\n" + text().encode(), {}),
        (b"Sales\nof January\n\n" + text().encode(), {"header_line": 4}),
        (text().encode().replace(b"\n", b",\n").replace(b"store,\n", b"store\n"), {}),
        (text().encode() + b"\n\n", {}),
        (text(end="\r\n").encode().replace(b"8.25,Main St\r\n", b"8.25,Main St\n"), {}),
        (text().encode().replace(b"Main St", b'"Main St"'), {}),
        (text().encode().replace(b"Main St", b"'Main St'"), {"quote": "'"}),
    ],
)
def test_a_table_is_the_same_however_it_is_written(shop: "Shop", content: bytes, declared: dict[str, Any]) -> None:
    bring(shop, content, **declared)
    report = shop.land("orders")
    assert (landed(shop), report.reasons) == (LANDED, {})


def test_a_file_without_a_header_names_its_columns_by_place(shop: "Shop") -> None:
    bring(shop, text().partition("\n")[2].encode(), header_line=0)
    names = ("order_id", "customer_id", "ordered_at", "amount", "store")
    shop.orders["columns"] = {name: f"column{place}" for place, name in enumerate(names, start=1)}
    shop.land("orders")
    assert landed(shop) == LANDED


def test_values_keep_their_quotes_line_ends_and_separators(shop: "Shop") -> None:
    stores = ['"He said ""no"""', '"two\nlines"', '"two\r\nlines"', '"a,b"', '12" shelf', "it's", '""']
    rows = "".join(f"o{n},c1,2024-01-02,1,{store}\n" for n, store in enumerate(stores))
    bring(shop, f"{HEADER}\n{rows}".encode())
    report = shop.land("orders")
    assert report.reasons == {}
    assert [row[2] for row in landed(shop)] == [
        'He said "no"',
        "two\nlines",
        "two\r\nlines",
        "a,b",
        '12" shelf',
        "it's",
        None,
    ]


def test_quotes_that_begin_late_are_no_part_of_the_values(shop: "Shop") -> None:
    plain = "".join(f"o{n},c1,2024-01-02,1,Bern\n" for n in range(21_000))
    bring(shop, f'{HEADER}\n{plain}"late","c1","2024-01-02","1","Bern"\n'.encode())
    shop.land("orders")
    assert shop.rows("select count(*), count(distinct store) from raw_shop.orders") == [(21_001, 1)]
    assert shop.rows("select count(*) from raw_shop.orders where order_id = 'late'") == [(1,)]


@pytest.mark.parametrize("whole", [gzip.compress(text().encode() * 400)])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_cut_file_is_refused_whole_and_the_other_tables_go_on(shop: "Shop", whole: bytes, share: float) -> None:
    bring(shop, whole[: int(len(whole) * share)], "sales.csv.gz")
    assert "`sales.csv.gz` is not complete" in shop.refused("orders")
    assert shop.land("customers").rows_landed == 3
    assert shop.raw_tables() == [("raw_shop", "customers")]


def test_a_damaged_file_is_refused_whole(shop: "Shop") -> None:
    whole = bytearray(gzip.compress(text().encode() * 400))
    whole[-6] ^= 0xFF
    bring(shop, bytes(whole), "sales.csv.gz")
    assert "is not complete: it is cut short or damaged" in shop.refused("orders")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (text().encode("cp1252"), ["is not written in utf-8, as its line 3 shows", "`encoding: cp1252`"]),
        (text().encode("utf-16-le"), ["zero bytes", "`encoding: utf-16-le`"]),
        (b"PK\x03\x04 and so on", ["a zip archive, such as an Excel workbook"]),
        (b"\xd0\xcf\x11\xe0 and so on", ["an Excel workbook"]),
        (gzip.compress(text().encode()), ["compressed by gzip", "`.gz`"]),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", ["a web page"]),
        (b"Sales of January\n\n" + text().encode(), ["line 1 ", "1 columns", "5 values", "`header_line: 3`"]),
        (text().replace("amount", "store", 1).encode(), ["`store` (column 4) and `store` (column 5)"]),
        (text().replace("amount", "Store", 1).encode(), ["`Store` (column 4) and `store` (column 5)"]),
        (b"", ["there is no line in the file"]),
        (b"a;b,c\n1;2,3\n4;5,6\n7;8,9\n", ["`,` and `;`", "`separator:"]),
    ],
)
def test_what_is_in_doubt_is_refused_with_the_key_that_settles_it(
    shop: "Shop", content: bytes, said: list[str]
) -> None:
    bring(shop, content)
    fault = shop.refused("orders")
    assert ([part for part in said if part not in fault], "\n" in fault) == ([], False), fault
    assert "sources.shop.files.sales: " in fault
    assert shop.raw_tables() == []


def test_two_columns_of_one_name_that_nothing_reads_stop_nothing(shop: "Shop") -> None:
    bring(shop, text().replace("store", "note,note", 1).replace("St\n", "St,x\n").replace("ürich", "ürich,y").encode())
    del shop.orders["columns"]["store"]
    assert shop.land("orders").rows_landed == 3


@pytest.mark.parametrize(
    ("declared", "key"),
    [
        ({"encoding": "martian"}, "encoding"),
        ({"decimal": ",", "thousands": ","}, "orders"),
        ({"separator": ";;"}, "separator"),
        ({"header_line": -1}, "header_line"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_its_key(shop: "Shop", declared: dict[str, Any], key: str) -> None:
    shop.orders.update(declared)
    assert f"{key}: " in shop.load_refused()


def test_a_broken_line_costs_its_own_row_and_is_shown_by_its_number(shop: "Shop") -> None:
    lines = text().splitlines()
    lines[2] = 'o2,c2,2024-01-03,"7,Zürich'
    bring(shop, ("\n".join(lines) + "\n").encode())
    report = shop.land("orders")
    assert ([row[0] for row in landed(shop)], report.rows_in) == (["o1", "o3"], 3)
    assert shop.rows("select reason, row_key, raw ->> 'error' from quarantine.rows") == [
        ("line cannot be split into columns", "sales.csv:3", "a quote out of place")
    ]


MUTATIONS = ('"', '""', "\n", ",", "\r\n", ";", '",', ',"', "")


def mutated(lines: list[str], chance: random.Random) -> tuple[list[str], int]:
    """Change one line at one place, and return where."""
    place = chance.randrange(len(lines))
    line, mutation = lines[place], chance.choice(MUTATIONS)
    start = chance.randrange(len(line))
    stop = chance.randint(start, min(len(line), start + 3)) if not mutation else start
    return [*lines[:place], line[:start] + mutation + line[stop:], *lines[place + 1 :]], place


@pytest.mark.parametrize("quoting", ["none", "all", "some"])
def test_a_change_in_one_line_never_changes_the_row_of_another(shop: "Shop", quoting: str) -> None:
    def written(number: int, value: str) -> str:
        return f'"{value}"' if quoting == "all" or (quoting == "some" and (number + len(value)) % 3 == 0) else value

    rows = [(f"o{n}", f"c{n % 7}", f"2024-01-{1 + n % 28:02d}", f"{n}.5", f"Store {n % 5}") for n in range(60)]
    lines = [",".join(written(n, value) for value in row) for n, row in enumerate(rows)]
    chance = random.Random(f"text {quoting}")
    for _ in range(25):
        changed, place = mutated(lines, chance)
        bring(shop, "\n".join([HEADER, *changed, ""]).encode())
        shop.land("orders")
        others = [(row[0], float(row[3]), row[4]) for n, row in enumerate(rows) if n != place]
        missing = set(others) - set(landed(shop))
        assert missing == set(), (changed[place], missing)


def test_a_copy_made_for_reading_does_not_stay(shop: "Shop", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    bring(shop, text().encode("cp1252"), encoding="cp1252")
    shop.land("orders")
    assert list((tmp_path / "scratch").iterdir()) == []
