"""The file of a flat table as text and numbers, read as it is written; nothing is guessed that could change a value."""

import tempfile
from pathlib import Path

import duckdb
import pyarrow as pa
from pyarrow import csv, parquet

from company.company_file import Writing
from ingestion.readers.extract import quoted
from ingestion.readers.text import TextFile, read_text
from ingestion.readers.whole import FileFaultError
from ingestion.values import Reading

_COMMAS = r"[+-]?\d{1,3}(\.\d{3})*,\d+|[+-]?\d+,\d+|[+-]?\d{1,3}(,\d{3})+(\.\d+)?"
_PLAIN = r"[+-]?\d+(\.\d+)?"
_ON_THE_COMMAND_LINE = (
    "The feed is the key `snapshot` of a company file; `holdfast score-table` has `--encoding`, `--separator` and "
    "`--decimal`."
)


class FlatFileError(Exception):
    """The file of a flat table cannot be read; the message is one paragraph with the file and the fix."""


def read_flat_file(path: Path, writing: Writing) -> pa.Table:
    """Return the table in a parquet or text file.

    Words for nothing are null, numbers of a text column that its `writing` declares are written in plain digits, dates
    as timestamps; all other text stays as it is. Raises a FlatFileError where the file is not whole, or a column holds
    numbers that nobody can read without knowing the decimal sign.
    """
    try:
        table = parquet.read_table(path) if path.suffix == ".parquet" else _read_records(path, writing)
        _refuse_repeated(table)
        return _as_written(table, Reading(writing=writing, zone="UTC"))
    except FileNotFoundError:
        raise FlatFileError(f"{path}: there is no such file. Correct the path.") from None
    except FileFaultError as fault:
        hint = f" {_ON_THE_COMMAND_LINE}" if "feed" in fault.fix else ""
        raise FlatFileError(f"{path}: {fault.problem} {fault.fix}{hint}") from None
    except (pa.ArrowInvalid, OSError) as fault:
        raise FlatFileError(f"{path}: the file cannot be read ({fault}). Export it again as CSV or parquet.") from None


def _read_records(path: Path, writing: Writing) -> pa.Table:
    with tempfile.TemporaryDirectory() as scratch:
        text = read_text(path, writing, copy_to=Path(scratch) / "copy.csv")
        if text is None:
            raise FileFaultError("the file is empty.", "Export it again.")
        if text.broken:
            first = text.broken[0]
            problem = f"{len(text.broken):,} lines are no records, the first is line {first.line} ({first.error})."
            raise FileFaultError(problem, "Correct them, so that no customer is lost.")
        return _read_text(text)


def _read_text(text: TextFile) -> pa.Table:
    layout = text.layout
    return csv.read_csv(
        text.path,
        read_options=csv.ReadOptions(column_names=list(layout.names), skip_rows=layout.head),
        parse_options=csv.ParseOptions(
            delimiter=layout.separator, quote_char=layout.quote or False, newlines_in_values=True
        ),
        convert_options=csv.ConvertOptions(column_types=dict.fromkeys(layout.names, pa.string())),
    )


def _refuse_repeated(table: pa.Table) -> None:
    repeated = [name for name in table.column_names if table.column_names.count(name) > 1]
    if repeated:
        raise FileFaultError(f"the column `{repeated[0]}` stands there twice.", "Rename one of the two.")


def _as_written(table: pa.Table, reading: Reading) -> pa.Table:
    """Return the table with every text column read as it is written."""
    texts = [
        field.name for field in table.schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    ]
    if not texts:
        return table
    with duckdb.connect() as connection:
        connection.register("flat", table)
        filled = ", ".join(f"{reading.filled(quoted(name))} as {quoted(name)}" for name in texts)
        connection.execute(f"create temp view filled as select * replace ({filled}) from flat")
        read = {name: _expression(connection, name, reading) for name in texts}
        replaced = ", ".join(f"{expression} as {quoted(name)}" for name, expression in read.items())
        return connection.execute(f"select * replace ({replaced}) from filled").to_arrow_table()


def _expression(connection: duckdb.DuckDBPyConnection, name: str, reading: Reading) -> str:
    """Return SQL for the values of a column: what the writing declares, where every known value is of that kind."""
    column = quoted(name)
    number, moment = reading.number(column), reading.moment("VARCHAR", column)
    if reading.has_signs and _holds(connection, f"try_cast({number} as double) is not null", column):
        return number
    if reading.writing.date_format and _holds(connection, f"{moment} is not null", column):
        return moment
    has_comma = f"count_if(contains({column}, ',')) > 0"
    if not reading.has_signs and _holds(
        connection, f"regexp_full_match({column}, '{_COMMAS}|{_PLAIN}')", column, has_comma
    ):
        problem = f"the numbers of the column `{name}` hold commas that may be decimal signs or group thousands."
        fix = 'Declare `decimal: ","` or `thousands: ","` on the feed; `decimal: "."` where they are no numbers.'
        raise FileFaultError(problem, fix)
    return column


def _holds(connection: duckdb.DuckDBPyConnection, condition: str, column: str, further: str = "true") -> bool:
    query = f"select coalesce(bool_and({condition}), false) and {further} from filled where {column} is not null"
    row = connection.execute(query).fetchone()
    return bool(row and row[0])
