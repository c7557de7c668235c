"""Free text of the stage, read for its sentiment and topic before only its token is stored.

A reading is kept under the text's token, so that a text is read once however often it comes.
"""

from collections.abc import Sequence
from typing import Protocol

import duckdb
import pyarrow as pa

from ingestion.classifying import STAGE
from ingestion.readers.extract import quoted

READINGS = "ingestion.text_readings"
_CHUNK = 5_000
_DDL = f"""
create table if not exists {READINGS} (
    token varchar primary key, language varchar, sentiment varchar, confidence double, domain varchar, symptom varchar,
    reason varchar, is_urgent boolean, keywords varchar, read_by varchar, batch varchar
)
"""


class TextReader(Protocol):
    """Whatever reads texts; another `version` reads otherwise, and then every text is read again."""

    @property
    def version(self) -> str:
        """Return what the readings change with."""
        ...

    def read(self, texts: Sequence[str]) -> pa.Table:
        """Return a row per text, in their order, with the columns of a reading and no word of the text."""
        ...


def read_stage(connection: duckdb.DuckDBPyConnection, reader: TextReader, *, columns: Sequence[str], batch: str) -> int:
    """Read the texts of the good rows that stand in the stage and were not read by this reader; return how many."""
    connection.execute(_DDL)
    texts = " union all ".join(
        f"select {quoted(name)} as token, {quoted(name + '^')} as clear from {STAGE} where _fault is null"
        for name in columns
    )
    known = f"select token from {READINGS} where read_by = $version"
    connection.execute(
        f"""
        create or replace temp table landing_texts as
        select token, min(clear) as clear from ({texts})
        where token is not null and token not in ({known}) group by token order by token
        """,
        {"version": reader.version},
    )
    read = 0
    while rows := connection.execute(
        "select token, clear from temp.landing_texts where rowid >= $first and rowid < $last",
        {"first": read, "last": read + _CHUNK},
    ).fetchall():
        _store(connection, reader, tokens=[row[0] for row in rows], texts=[row[1] for row in rows], batch=batch)
        read += len(rows)
    connection.execute("drop table temp.landing_texts")
    return read


def _store(
    connection: duckdb.DuckDBPyConnection,
    reader: TextReader,
    *,
    tokens: Sequence[str],
    texts: Sequence[str],
    batch: str,
) -> None:
    readings = reader.read(texts).append_column("token", pa.array(tokens))
    connection.register("landing_readings", readings)
    connection.execute(
        f"""
        insert or replace into {READINGS} by name
        select *, $version as read_by, $batch as batch from landing_readings
        """,
        {"version": reader.version, "batch": batch},
    )
    connection.unregister("landing_readings")
