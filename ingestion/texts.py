"""Free text of the stage, read for its sentiment and topic before only its token is stored.

A reading is kept under the text's token, so that a text is read once however often it comes.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import duckdb
import pyarrow as pa

from company.company_file import Company
from ingestion.classifying import STAGE
from ingestion.readers.extract import quoted
from ingestion.vault import Asked, Vault

READINGS = "ingestion.text_readings"
_CHUNK = 5_000
_DDL = f"""
create table if not exists {READINGS} (
    token varchar, language varchar, sentiment varchar, confidence double, domain varchar, symptom varchar,
    reason varchar, is_urgent boolean, keywords varchar, read_by varchar, batch varchar
);
alter table {READINGS} add column if not exists familiarity double;
alter table {READINGS} add column if not exists is_other_domain boolean
"""


class TextReader(Protocol):
    """Whatever reads texts. With another `version` every text is read again; with another `name` alone, the new ones.

    A model that a company's own texts taught changes the name only: were old texts read by it, too, features of texts
    would change in one night, and no longer be those that a churn model learned from.
    """

    @property
    def version(self) -> str:
        """Return what all readings change with."""
        ...

    @property
    def name(self) -> str:
        """Return who reads; it begins with the version."""
        ...

    def read(self, texts: Sequence[str]) -> pa.Table:
        """Return a row per text, in their order, with the columns of a reading and no word of the text."""
        ...


def read_stage(connection: duckdb.DuckDBPyConnection, reader: TextReader, *, columns: Sequence[str], batch: str) -> int:
    """Read the texts of the good rows that stand in the stage and were not read in this version; return how many."""
    connection.execute(_DDL)
    texts = " union all ".join(
        f"select {quoted(name)} as token, {quoted(name + '^')} as clear from {STAGE} where _fault is null"
        for name in columns
    )
    known = f"select token from {READINGS} where starts_with(read_by, $version)"
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
        merge into {READINGS} using (select *, $name as read_by, $batch as batch from landing_readings) as readings
        using (token) when matched then update by name when not matched then insert by name
        """,
        {"name": reader.name, "batch": batch},
    )
    connection.unregister("landing_readings")


def reveal_rated(
    connection: duckdb.DuckDBPyConnection, company: Company, vault: Vault, *, most: int, at: datetime
) -> list[tuple[str, float]]:
    """Return the latest texts of feedback with their ratings of 1 to 5, the oldest first; each asking is recorded.

    Recommendations have another scale and are left out. The satisfaction with a ticket is no rating of its text.
    """
    rated: list[tuple[datetime, Asked, float]] = []
    for feed in company.tables.get("feedback", ()):
        rows = connection.execute(
            f"""
            select given_at, customer_id, body, rating from {quoted(company.raw_schema(feed.source))}.feedback
            where body is not null and rating between 1 and 5 and coalesce(lower(kind), 'review') <> 'nps'
            order by given_at desc, feedback_id limit $most
            """,
            {"most": most},
        ).fetchall()
        rated += [
            (moment, Asked(source=feed.source, customer_id=customer, column="body", token=token), rating)
            for moment, customer, token, rating in rows
        ]
    latest = sorted(rated)[-most:]
    clear = vault.reveal_all((asked for _, asked, _ in latest), asker="text model", purpose="learning", at=at)
    return [(clear[asked], rating) for _, asked, rating in latest if asked in clear]
