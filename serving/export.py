"""Lists as files: CSV in chunks, Parquet by row groups, with the rows and the fields of the key."""

import csv
import io
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from serving.access import Grant, Question
from serving.actor import Actor

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 5_000
_PIECE = 1 << 16


def read_chunks(actor: Actor, question: Question) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of a question with a unique order, a chunk after the other."""
    after: tuple[Any, ...] = ()
    while True:
        rows = actor.ask(Question(**vars(question) | {"after": after, "limit": CHUNK}))
        yield rows
        if len(rows) < CHUNK:
            return
        after = tuple(rows[-1][each.column] for each in question.order)


def write_csv(actor: Actor, question: Question, names: list[str]) -> Iterator[str]:
    """Yield the lines of a CSV file with a header."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(names)
    for rows in read_chunks(actor, question):
        writer.writerows([as_cell(row.get(name)) for name in names] for row in rows)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def write_rows(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of a CSV file of rows that are known."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(names)
    writer.writerows([as_cell(row.get(name)) for name in names] for row in rows)
    yield buffer.getvalue()


def as_cell(value: Any) -> Any:  # noqa: ANN401 - a cell of any column
    """Return a cell of which no spreadsheet makes a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def write_parquet(actor: Actor, question: Question, names: list[str], types: Mapping[str, str]) -> Iterator[bytes]:
    """Yield the pieces of a Parquet file; it is written to a file without a name first."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, _arrow_type(actor.grant, name, types[name])) for name in names])
    with tempfile.TemporaryFile() as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for rows in read_chunks(actor, question):
                writer.write_table(pa.Table.from_pylist([{n: row.get(n) for n in names} for row in rows], schema))
        file.seek(0)
        yield from _read_pieces(file)


def _read_pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def _arrow_type(grant: Grant, name: str, kind: str) -> "pa.DataType":
    import pyarrow as pa

    simple = {"VARCHAR": pa.string(), "BOOLEAN": pa.bool_(), "DATE": pa.date32(), "BIGINT": pa.int64(),
              "INTEGER": pa.int64(), "TIMESTAMP": pa.timestamp("us")}  # fmt: skip
    is_number = kind not in {"VARCHAR", "BOOLEAN", "DATE", "TIMESTAMP"}
    if grant.sees(name) == "masked":  # a number by its order of magnitude, anything else by a text
        return pa.float64() if is_number else pa.string()
    return simple.get(kind, pa.float64())
