"""Whether a feed that is damaged is ever read wrongly: mutations of files, and of company files.

`make bench TOPIC=feeds` writes the orders of an invented shop, of which every value is known, as csv, tsv, JSON lines
and Parquet, damages each file in one of the ways below, lands it, and compares every row that landed with the truth.
A line that the damage did not touch must land as it was written, lie in quarantine, or be refused with its file; a
line that it changed may also be quarantined. Company files are damaged in the same manner and loaded and checked. A
refusal is one paragraph; anything else that is raised is counted as a traceback. In the end `check` and the ingestion
of a run judge changed companies, see bench/check_and_run.py. Results go to bench/results/feeds.json.
"""

import argparse
import csv
import gzip
import io
import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from bench.check_and_run import compare as compare_verdicts
from bench.figures import Figure, at_least, at_most, record, without_bar
from company.file_faults import CompanyError
from company.policy import PolicyError, load_policy
from ingestion.check import check_company
from ingestion.landing import land
from ingestion.readers import load_company

if TYPE_CHECKING:
    from company.company_file import Company

SEED = 0
FILES, COMPANIES, VERDICTS = 2_000, 1_000, 200
ORDERS, CUSTOMERS = 120, 30
COLUMNS = ("order_id", "customer_id", "ordered_at", "amount", "channel")
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)
SECRETS = {"HOLDFAST_TOKEN_KEY": "a key for this bench only, 0123456789"}
ODD_CELLS = (
    "NULL", "\\N", "nan", "-", "n/a", "", " ", "1e5", "1,5", "1.234,50", "-3", "0001-01-01", "9999-12-31", "infinity",
    "03/04/25", "2031-01-01 00:00:00", '"', '""', "'", "a,b", "a;b", "a\tb", "x" * 40_000, "\u00a0", "\u200b", "12.0",
    "12345678901234567.0", "true", "{}", "[1]", "é", "汉字", "\x00", "=1+1",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One order as it was meant, in the text of each cell."""

    cells: tuple[str, ...]

    @property
    def order_id(self) -> str:
        """Return the key."""
        return self.cells[0]


@dataclass(frozen=True)
class Damaged:
    """A file after a mutation: its bytes, and the rows whose text the mutation changed."""

    content: bytes
    changed: frozenset[str]
    name: str = "orders.csv"
    cell: tuple[int, str] | None = None  # the column and the new text, where exactly one cell of one row was replaced


@dataclass
class Tally:
    """What became of the mutations of one kind."""

    outcomes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, outcome: str, example: str = "") -> None:
        """Count one mutation, and keep the first example of its outcome."""
        self.outcomes[outcome] += 1
        if example:
            self.examples.setdefault(outcome, example)


def make_orders(chance: random.Random) -> list[Row]:
    """Return orders whose every text is unique enough to be found again."""
    rows = []
    for number in range(ORDERS):
        moment = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(200_000))
        amount = f"{chance.uniform(1, 900):.2f}"
        cells = (f"o{number:05d}", f"c{chance.randrange(CUSTOMERS):03d}", f"{moment:%Y-%m-%d %H:%M:%S}", amount)
        rows.append(Row((*cells, chance.choice(("web", "store", "app")))))
    return rows


# --- mutations of text files: lines of a header and rows -> bytes and who was changed -----------------------------


def write_lines(rows: Sequence[Row], separator: str, *, quote: str = "") -> list[str]:
    """Return the header and a line per row, every value between `quote`s."""
    return [
        separator.join(f"{quote}{cell}{quote}" for cell in cells) for cells in (COLUMNS, *(row.cells for row in rows))
    ]


def join(lines: Sequence[str], end: str = "\n") -> bytes:
    """Return the bytes of a file of `lines`."""
    return (end.join(lines) + end).encode()


def put_cell(rows: list[Row], separator: str, chance: random.Random) -> Damaged:
    """Put an odd text into one cell, quoted where the format asks for it."""
    place, column, odd = chance.randrange(len(rows)), chance.randrange(len(COLUMNS)), chance.choice(ODD_CELLS)
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\n")
    writer.writerow(COLUMNS)
    for index, row in enumerate(rows):
        cells = list(row.cells)
        if index == place:
            cells[column] = odd
        writer.writerow(cells)
    return Damaged(out.getvalue().encode(), frozenset({rows[place].order_id}), cell=(column, odd))


def insert_text(rows: list[Row], separator: str, chance: random.Random) -> Damaged:
    """Put a quote, a separator, a line end or another sign somewhere into one line."""
    lines, place = write_lines(rows, separator), chance.randrange(1, len(rows) + 1)
    at = chance.randrange(len(lines[place]) + 1)
    sign = chance.choice(['"', '""', separator, "\n", "\r", "\r\n", "'", "\\", "#", "\x00", "\x1a", "\u2028"])
    lines[place] = lines[place][:at] + sign + lines[place][at:]
    return Damaged(join(lines), frozenset({rows[place - 1].order_id}))


def insert_into_quoted(rows: list[Row], separator: str, chance: random.Random) -> Damaged:
    """Put a quote or another sign into a file in which every value is quoted."""
    lines, place = write_lines(rows, separator, quote='"'), chance.randrange(1, len(rows) + 1)
    at = chance.randrange(len(lines[place]) + 1)
    lines[place] = lines[place][:at] + chance.choice(['"', '""', "\\", "'", separator, "\n"]) + lines[place][at:]
    return Damaged(join(lines), frozenset({rows[place - 1].order_id}))


def cut_quoted(rows: list[Row], separator: str, chance: random.Random) -> Damaged:
    """End a file early in which every value is quoted."""
    content = join(write_lines(rows, separator, quote='"'))
    kept = content[: chance.randrange(len(content) // 3, len(content) - 1)]
    whole = kept.decode().count("\n") - 1
    return Damaged(kept, frozenset(row.order_id for row in rows[whole:]))


def drop_text(rows: list[Row], separator: str, chance: random.Random) -> Damaged:
    """Take a piece out of one line."""
    lines, place = write_lines(rows, separator), chance.randrange(1, len(rows) + 1)
    at = chance.randrange(len(lines[place]))
    lines[place] = lines[place][:at] + lines[place][at + chance.randrange(1, 12) :]
    return Damaged(join(lines), frozenset({rows[place - 1].order_id}))


def flip_byte(rows: list[Row], separator: str, chance: random.Random) -> Damaged:
    """Replace one byte of one line by any other."""
    lines, place = write_lines(rows, separator), chance.randrange(1, len(rows) + 1)
    damaged = bytearray(lines[place].encode())
    damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    parts = [line.encode() for line in lines]
    parts[place] = bytes(damaged)
    return Damaged(b"\n".join(parts) + b"\n", frozenset({rows[place - 1].order_id}))


def mix_line_ends(rows: list[Row], separator: str, chance: random.Random) -> Damaged:
    """End the lines in two ways, changing over somewhere, or at random."""
    lines, change = write_lines(rows, separator), chance.randrange(1, len(rows))
    first, second = chance.sample(["\n", "\r\n"], 2)
    text = "".join(line + (first if index < change else second) for index, line in enumerate(lines))
    return Damaged(text.encode(), frozenset())


def change_coding(rows: list[Row], separator: str, chance: random.Random) -> Damaged:
    """Write the file in another coding, with or without its mark."""
    text = "\n".join(write_lines(rows, separator)) + "\n"
    coding = chance.choice(["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
    return Damaged(text.encode(coding), frozenset())


def quote_late(rows: list[Row], separator: str, chance: random.Random) -> Damaged:
    """Begin to quote every value from some line on."""
    lines, change = write_lines(rows, separator), chance.randrange(1, len(rows))
    quoted = [separator.join(f'"{cell}"' for cell in row.cells) for row in rows]
    return Damaged(join([*lines[:change], *quoted[change - 1 :]]), frozenset())


def change_head(rows: list[Row], separator: str, chance: random.Random) -> Damaged:
    """Rename, double, quote or drop the header, or put something before it."""
    lines = write_lines(rows, separator)
    names = list(COLUMNS)
    place = chance.randrange(len(names))
    match chance.randrange(6):
        case 0:
            names[place] = names[place].replace("_", "")
        case 1:
            names[place] = chance.choice(names)
        case 2:
            names = [f'"{name}"' for name in names]
        case 3:
            names[place] = f" {names[place]} "
        case 4:
            return Damaged(join([f"sep={separator}", *lines]), frozenset())
        case _:
            return Damaged(join(["Export of the shop", "", *lines]), frozenset())
    return Damaged(join([separator.join(names), *lines[1:]]), frozenset())


def cut_file(rows: list[Row], separator: str, chance: random.Random) -> Damaged:
    """End the file within a line: the lines that are gone are not there, the cut one is changed."""
    content = join(write_lines(rows, separator))
    at = chance.randrange(len(content) // 3, len(content) - 1)
    kept = content[:at]
    whole = {line.split(separator)[0] for line in kept.decode().splitlines()[:-1]}
    return Damaged(kept, frozenset(row.order_id for row in rows if row.order_id not in whole))


def cut_gzip(rows: list[Row], separator: str, chance: random.Random) -> Damaged:
    """End a compressed file early: nothing of it may land."""
    content = gzip.compress(join(write_lines(rows, separator)), mtime=0)
    return Damaged(content[: chance.randrange(20, len(content) - 1)], frozenset(), name="orders.csv.gz")


def change_separator(rows: list[Row], separator: str, chance: random.Random) -> Damaged:
    """Write the whole file with another separator than its name says."""
    other = chance.choice([each for each in (",", ";", "\t", "|") if each != separator])
    return Damaged(join(write_lines(rows, other)), frozenset())


def add_lines(rows: list[Row], separator: str, chance: random.Random) -> Damaged:
    """Add empty lines, repeated headers or a closing sum."""
    lines = write_lines(rows, separator)
    extra = chance.choice(["", lines[0], f"sum{separator * 3}99999", separator * 4, "(3 rows)"])
    lines.insert(chance.randrange(1, len(lines) + 1), extra)
    return Damaged(join(lines), frozenset())


TEXT: tuple[Callable[[list[Row], str, random.Random], Damaged], ...] = (
    put_cell, insert_text, insert_into_quoted, cut_quoted, drop_text, flip_byte, mix_line_ends,
    change_coding, quote_late, change_head, cut_file, cut_gzip, change_separator, add_lines,
)  # fmt: skip


# --- JSON lines and Parquet -----------------------------------------------------------------------------------------


def damage_json(rows: list[Row], chance: random.Random) -> tuple[str, Damaged]:
    """Drop, rename or retype a key, damage the text of a line, or the coding of the file."""
    objects: list[dict[str, Any]] = [dict(zip(COLUMNS, row.cells, strict=True)) for row in rows]
    for each in objects:
        each["amount"] = float(each["amount"])
    place = chance.randrange(len(rows))
    key = chance.choice(COLUMNS)
    kind = chance.choice(["key dropped", "key late", "value odd", "text damaged", "coding", "cut", "null element"])
    changed = {rows[place].order_id}
    match kind:
        case "key dropped":
            del objects[place][key]
        case "key late":
            for each in objects[: place + 1]:
                each.pop("channel", None)
            changed = {row.order_id for row in rows[: place + 1]}
        case "value odd":
            objects[place][key] = chance.choice([None, [], {}, True, 10**17 + 1, 1e300, "", " x ", -1, 0.1])
        case "null element":
            objects[place] = None  # type: ignore[call-overload]
        case _:
            pass
    lines = [json.dumps(each) for each in objects]
    if kind == "text damaged":
        at = chance.randrange(len(lines[place]))
        lines[place] = lines[place][:at] + chance.choice(['"', "}", "{", ",", "\\"]) + lines[place][at:]
    content = join(lines)
    if kind == "coding":
        content = content.decode().encode(chance.choice(["utf-8-sig", "utf-16"]))
        changed = set()
    if kind == "cut":
        content = content[: chance.randrange(len(content) // 3, len(content) - 1)]
        whole = len(content.decode().splitlines()) - 1
        changed = {row.order_id for row in rows[whole:]}
    return f"jsonl: {kind}", Damaged(content, frozenset(changed), name="orders.jsonl")


def damage_parquet(rows: list[Row], chance: random.Random) -> tuple[str, Damaged]:
    """Retype or drop a column, damage or cut the bytes."""
    columns: dict[str, Any] = {
        name: pa.array(values)
        for name, values in zip(COLUMNS, zip(*(row.cells for row in rows), strict=True), strict=True)
    }
    columns["amount"] = pa.array([float(row.cells[3]) for row in rows])
    kind = chance.choice(["null column", "column dropped", "bytes damaged", "cut", "renamed", "decimal", "dictionary"])
    name, changed = chance.choice(COLUMNS), {row.order_id for row in rows}
    match kind:
        case "null column":
            columns[name] = pa.nulls(len(rows))
        case "column dropped":
            del columns[name]
        case "renamed":
            columns[f"{name}_"] = columns.pop(name)
        case "decimal":
            columns["amount"] = columns["amount"].cast(pa.decimal128(12, 2))
            changed = set()
        case "dictionary":
            columns["channel"] = columns["channel"].dictionary_encode()
            changed = set()
        case _:
            pass
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    content = bytearray(out.getvalue())
    if kind == "bytes damaged":
        content[chance.randrange(4, len(content) - 8)] ^= 1 << chance.randrange(8)
    if kind == "cut":
        del content[chance.randrange(len(content) // 3, len(content) - 1) :]
    return f"parquet: {kind}", Damaged(bytes(content), frozenset(changed), name="orders.parquet")


def damage(rows: list[Row], index: int, chance: random.Random) -> tuple[str, Damaged]:
    """Return the kind and the file of one mutation; formats and kinds take turns."""
    if index % 8 == 6:  # noqa: PLR2004 - an eighth each
        return damage_json(rows, chance)
    if index % 8 == 7:  # noqa: PLR2004
        return damage_parquet(rows, chance)
    mutate, separator = chance.choice(TEXT), ",\t"[index % 2]
    made = mutate(rows, separator, chance)
    name = made.name if separator == "," else made.name.replace(".csv", ".tsv")
    return f"{'csv' if separator == ',' else 'tsv'}: {mutate.__name__}", replace(made, name=name)


# --- landing and judging --------------------------------------------------------------------------------------------


def describe_company(name: str) -> dict[str, Any]:
    """Return a company file over customers that are never damaged and orders that are."""
    return {
        "company": "Corner Shop",
        "industry": "retail",
        "timezone": "UTC",
        "currency": "EUR",
        "history_starts": "2024-01-01",
        "churn": {"definition": "inactivity", "active_within_days": 60, "horizon_days": 30},
        "sources": {"shop": {"reader": "files", "files": {"people": "people.csv", "sales": name}}},
        "tables": {
            "customers": {"source": "shop", "from": "people", "columns": {"customer_id": "id"}},
            "orders": {"source": "shop", "from": "sales", "columns": {name: name for name in COLUMNS}},
        },
    }


def judge(folder: Path, rows: list[Row], made: Damaged) -> tuple[str, str]:
    """Land a damaged file into an empty warehouse; returns what came of it, and an example of what is wrong."""
    path = folder / made.name
    path.write_bytes(made.content)
    (folder / "company.yaml").write_text(yaml.safe_dump(describe_company(made.name)))
    try:
        company = load_company(folder / "company.yaml")
        with duckdb.connect() as warehouse:
            report = land(warehouse, company, "orders", secrets=SECRETS, batch="b", landed_at=NOON)
            landed = warehouse.execute(
                "select order_id, customer_id, strftime(ordered_at, '%Y-%m-%d %H:%M:%S'), "
                "printf('%.2f', amount), channel from raw_shop.orders"
            ).fetchall()
            aside = warehouse.execute("select cast(raw as varchar), row_key from quarantine.rows").fetchall()
    except CompanyError as refusal:
        is_one = str(refusal).strip() and "\n" not in str(refusal).strip()
        return ("refused", "") if is_one else ("refused in more than a paragraph", str(refusal))
    except Exception as error:  # noqa: BLE001 - what a bench is looking for
        return "traceback", f"{type(error).__name__}: {str(error)[:300]}"
    finally:
        path.unlink()
    if report.rows_in != report.rows_landed + report.rows_quarantined + report.rows_duplicate:
        return "rows do not add up", str(report)
    return compare(rows, made, {row[0]: row for row in landed}, " ".join(str(each) for each in aside))


def compare(rows: list[Row], made: Damaged, landed: dict[str, tuple[Any, ...]], aside: str) -> tuple[str, str]:
    """Hold every row of the truth against what landed and what was quarantined."""
    quarantined = 0
    if made.name.endswith(".gz") and landed:
        return "value changed without a word", f"{len(landed)} rows of a cut file landed"
    for row in rows:
        found = landed.get(row.order_id)
        if row.order_id in made.changed:
            if found and made.cell and not is_faithful(row, made.cell, found):
                return "value changed without a word", f"{made.cell} in {row.cells} landed as {found}"
            continue
        if found is None and row.order_id in aside:
            quarantined += 1
        elif found is None:
            return "row lost without a word", row.order_id
        elif found != row.cells:
            return "value changed without a word", f"{row.cells} landed as {found}"
    return ("untouched rows quarantined", "") if quarantined else ("landed", "")


def is_faithful(row: Row, cell: tuple[int, str], found: tuple[Any, ...]) -> bool:
    """Say whether a landed row kept its untouched cells, and has in the odd cell what its text says or none."""
    column, text = cell
    if any(found[place] != row.cells[place] for place in range(len(COLUMNS)) if place != column):
        return False
    value, plain = found[column], text.strip("\u00a0\u200b \t")
    match COLUMNS[column]:
        case "amount":
            return value is None or (_is_plain_number(plain) and abs(float(value) - float(plain)) < 0.005)  # noqa: PLR2004
        case "ordered_at":
            return value is None or "2000" <= value[:4] <= "2026"
        case _:
            return value is None or value == plain


def _is_plain_number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdigit() or text == "1e5"


# --- company files --------------------------------------------------------------------------------------------------


def describe_whole_company() -> dict[str, Any]:
    """Return a company file that says more of its feeds."""
    company = describe_company("orders.csv")
    company["tables"]["customers"]["extra"] = {"first_shop": {"sql": "shop", "type": "text", "never_changes": True}}
    company["tables"]["orders"] |= {"separator": ",", "null_words": ["none"], "fresh_within_days": 60}
    company["policy"] = {"gates": {"maximum_quarantine_share": 0.1}}
    return company


STARTER = yaml.safe_dump(describe_whole_company(), sort_keys=False)
SCALARS = ("", "~", "true", "0", "-1", "1e9", "[]", "{}", "&a x", "*a", "!!python/object:os.system x", "2024-13-01",
           "UTC+1", "L'Aquila", "'; drop table x; --", "select 1", "(select 1)", "read_csv('/etc/passwd')", "a: b",
           "'", '"', "\t", "汉字", "x" * 5000, "+01:00", "1; select 2", "null", ".inf", "0x1F", "12:30:45")  # fmt: skip


def damage_company(chance: random.Random) -> str:
    """Return the company file with one to three damages: a value, a key, an indentation, a line, or a sign."""
    lines = STARTER.splitlines()
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(lines))
        key, colon, _value = lines[place].partition(":")
        match chance.randrange(7):
            case 0:
                lines[place] = f"{key}{colon} {chance.choice(SCALARS)}"
            case 1:
                del lines[place]
            case 2:
                lines[place] = lines[place].replace(key.strip(), key.strip()[::-1] or "x", 1)
            case 3:
                lines[place] = " " * chance.randrange(5) + lines[place]
            case 4:
                lines.insert(place, lines[chance.randrange(len(lines))])
            case 5:
                at = chance.randrange(len(lines[place]) + 1)
                lines[place] = lines[place][:at] + chance.choice("'\"{}[]:#&*!|>%@`\t\x00") + lines[place][at:]
            case _:
                lines[place] = f"{key}{colon}"
        if not lines:
            break
    return "\n".join(lines) + "\n"


def judge_company(folder: Path, text: str) -> tuple[str, str]:
    """Load and check a damaged company file; returns what came of it."""
    path = folder / "company.yaml"
    path.write_text(text)
    try:
        company: Company = load_company(path)
        load_policy(company.policy)
        report = check_company(company, secrets=SECRETS, now=NOON)
    except (CompanyError, PolicyError) as refusal:
        paragraphs = str(refusal).split("\n\n")
        is_one_each = all(each.strip() and "\n" not in each.strip() for each in paragraphs)
        return ("refused", "") if is_one_each else ("refused in more than a paragraph", str(refusal)[:300])
    except Exception as error:  # noqa: BLE001 - what a bench is looking for
        return "traceback", f"{type(error).__name__}: {str(error)[:300]} of {text[:600]!r}"
    bad = next((each for each in report.faults if "\n" in each.strip() or "Traceback" in each), None)
    if bad:
        return "refused in more than a paragraph", bad
    return ("refused", "") if report.faults else ("usable", "")


# --- figures --------------------------------------------------------------------------------------------------------

COMMAND = "make bench TOPIC=feeds"
UNCLEAR = ("traceback", "refused in more than a paragraph")
WRONG = ("value changed without a word", "row lost without a word", "rows do not add up")


def run_files(count: int, seed: int) -> dict[str, Tally]:
    """Damage, land and judge `count` files; returns the tallies by kind of mutation."""
    tallies: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        people = "\n".join(["id", *(f"c{number:03d}" for number in range(CUSTOMERS))])
        (folder / "people.csv").write_text(people + "\n")
        for index in range(count):
            chance = random.Random(f"{seed}-{index}")
            rows = make_orders(chance)
            kind, made = damage(rows, index, chance)
            outcome, example = judge(folder, rows, made)
            tallies.setdefault(kind, Tally()).add(outcome, example and f"mutation {index}: {example}")
    return tallies


def run_companies(count: int, seed: int) -> Tally:
    """Damage, load and check `count` company files."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "people.csv").write_text("id,shop\nc000,north\n")
        (folder / "orders.csv").write_bytes(join(write_lines(make_orders(random.Random(seed)), ",")))
        for index in range(count):
            outcome, example = judge_company(folder, damage_company(random.Random(f"company-{seed}-{index}")))
            tally.add(outcome, example and f"mutation {index}: {example}")
    return tally


def figures_of_files(files: dict[str, Tally], *, seed: int) -> list[Figure]:
    """Return what became of damaged files next to its bars."""
    totals = sum((each.outcomes for each in files.values()), Counter[str]())
    size = f"{totals.total()} damaged files of {ORDERS} orders, {len(files)} kinds"
    sized: dict[str, Any] = {"unit": "files", "seed": seed, "command": COMMAND, "size": size}
    rows = [Figure("files: tried", **at_least(totals.total(), FILES), **sized)]
    rows += [Figure(f"files: {each}", **at_most(totals[each], 0), **sized) for each in (*WRONG, *UNCLEAR)]
    seen = ("landed", "refused", "untouched rows quarantined")
    return [*rows, *(Figure(f"files: {each}", **without_bar(totals[each]), **sized) for each in seen)]


def figures_of_companies(companies: Tally, *, seed: int) -> list[Figure]:
    """Return what became of damaged company files next to its bars."""
    count = companies.outcomes.total()
    sized: dict[str, Any] = {
        "unit": "files",
        "seed": seed,
        "command": COMMAND,
        "size": f"{count} damaged company files",
    }
    rows = [Figure("company files: tried", **at_least(count, COMPANIES), **sized)]
    rows += [Figure(f"company files: {each}", **at_most(companies.outcomes[each], 0), **sized) for each in UNCLEAR]
    seen = ("refused", "usable")
    return [
        *rows,
        *(Figure(f"company files: {each}", **without_bar(companies.outcomes[each]), **sized) for each in seen),
    ]


def figures_of_verdicts(verdicts: Counter[tuple[int, int]], *, seed: int) -> list[Figure]:
    """Return how often `check` and the ingestion of a run disagreed, and what they agreed on."""
    names = {0: "sound", 1: "the gate closes", 2: "refused"}
    size = f"{verdicts.total()} companies, changed in one or two ways"
    sized: dict[str, Any] = {"unit": "companies", "size": size, "seed": seed, "command": COMMAND}
    differing = sum(count for (check, run), count in verdicts.items() if check != run)
    rows = [Figure("check and run: tried", **at_least(verdicts.total(), VERDICTS), **sized)]
    rows.append(Figure("check and run: disagree", **at_most(differing, 0), **sized))
    seen = ((f"check and run: agree, {name}", verdicts[code, code]) for code, name in names.items())
    return [*rows, *(Figure(name, **without_bar(count), **sized) for name, count in seen)]


def show(tallies: Iterable[tuple[str, Tally]]) -> None:
    """Print what came of each kind, and the first example of what is wrong."""
    for kind, tally in sorted(tallies):
        print(f"{kind:24} {dict(tally.outcomes)}")
        for outcome, example in tally.examples.items():
            print(f"    {outcome}: {example}")


def main() -> None:
    """Measure all three parts, or one, and replace the results of what was measured in full."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["files", "companies", "verdicts"])
    parser.add_argument("--count", type=int, help="try so many; nothing is recorded then")
    asked = parser.parse_args()
    found: list[Figure] = []
    if asked.only in {None, "files"}:
        files = run_files(asked.count or FILES, SEED)
        show(files.items())
        found += figures_of_files(files, seed=SEED)
    if asked.only in {None, "companies"}:
        companies = run_companies(asked.count or COMPANIES, SEED)
        show([("company file", companies)])
        found += figures_of_companies(companies, seed=SEED)
    if asked.only in {None, "verdicts"}:
        verdicts, differing = compare_verdicts(asked.count or VERDICTS, SEED)
        print("check and run", dict(verdicts), *differing, sep="\n    ")
        found += figures_of_verdicts(verdicts, seed=SEED)
    if asked.count is None:
        record("feeds", found)


if __name__ == "__main__":
    main()
