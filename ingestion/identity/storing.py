"""Storing: what was decided, into the tables of schema `identity`, in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa

from ingestion.identity.components import Verdict
from ingestion.identity.records import RECORDS
from ingestion.transaction import transaction

DDL = """
create schema if not exists identity;
create table if not exists identity.links (
    left_source varchar, left_id varchar, right_source varchar, right_id varchar, rule varchar, evidence varchar,
    probability double, state varchar, reason varchar, batch varchar, decided_at timestamp
);
create table if not exists identity.members (
    source varchar, customer_id varchar, canonical_id varchar, batch varchar, decided_at timestamp
);
create table if not exists identity.comparisons (
    left_id varchar, right_id varchar, likeness varchar, evidence varchar, probability double, batch varchar,
    decided_at timestamp
);
create table if not exists identity.changes (
    customer_id varchar, canonical_before varchar, canonical_after varchar, batch varchar, decided_at timestamp
);
create table if not exists identity.runs (
    state varchar, records bigint, links bigint, links_cut bigint, links_unmerged bigint, groups bigint, members bigint,
    pairs_compared bigint, pairs_undecided bigint, values_ignored bigint, is_vault_used boolean, batch varchar,
    decided_at timestamp
);
"""
_TEXT = pa.string()
_LINKS = pa.schema(
    [(name, _TEXT) for name in ("left_id", "right_id", "rule", "evidence", "state", "reason")]
    + [("probability", pa.float64())]
)
_COMPARISONS = pa.schema(
    [(name, _TEXT) for name in ("left_id", "right_id", "likeness", "evidence", "batch")]
    + [("probability", pa.float64()), ("decided_at", pa.timestamp("us"))]
)
_MEMBERS = pa.schema([("customer_id", _TEXT), ("canonical_id", _TEXT)])


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The tables in the warehouse behind `connection`, for the decisions of one batch; `decided_at` is naive UTC.

    `sources` are all that may name a customer id.
    """

    connection: duckdb.DuckDBPyConnection
    sources: tuple[str, ...]
    batch: str
    decided_at: datetime

    @property
    def stamp(self) -> dict[str, object]:
        """The batch and the moment of what is decided now."""
        return {"batch": self.batch, "decided_at": self.decided_at}

    def write(
        self,
        run: Mapping[str, Any],
        *,
        likenesses: Sequence[Mapping[str, Any]],
        verdicts: Sequence[Verdict],
        canonical: Mapping[str, str],
    ) -> int:
        """Put what was decided in the place of what stood there; returns how many ids moved."""
        with transaction(self.connection):
            self._fill("comparisons", pa.Table.from_pylist(list(likenesses), schema=_COMPARISONS))
            self._write_links(verdicts)
            moved = self._write_members(canonical)
            self._fill("runs", pa.Table.from_pylist([{**run, **self.stamp}]))
        return moved

    def _fill(self, table: str, rows: pa.Table) -> None:
        self.connection.register("incoming", rows)
        self.connection.execute(f"delete from identity.{table}")
        self.connection.execute(f"insert into identity.{table} by name select * from incoming")
        self.connection.unregister("incoming")

    def _write_links(self, verdicts: Sequence[Verdict]) -> None:
        """Put the links in the place of those before; a link that stands as it stood keeps its batch."""
        rows = [{**asdict(one.link), "state": one.state, "reason": one.reason} for one in verdicts]
        self.connection.register("decided", pa.Table.from_pylist(rows, schema=_LINKS))
        self.connection.execute("create or replace temp table identity_before as from identity.links")
        self.connection.execute("delete from identity.links")
        self.connection.execute(
            f"""
            insert into identity.links by name
            select l.source as left_source, d.left_id, r.source as right_source, d.right_id, d.rule, d.evidence,
                d.probability, d.state, d.reason, coalesce(b.batch, $batch) as batch,
                coalesce(b.decided_at, $decided_at) as decided_at
            from decided d
            join {RECORDS} l on l.customer_id = d.left_id join {RECORDS} r on r.customer_id = d.right_id
            left join (select distinct on (left_id, right_id, rule, evidence, state) * from identity_before) b
            using (left_id, right_id, rule, evidence, state) order by all
            """,
            self.stamp,
        )
        self.connection.execute("drop table identity_before")
        self.connection.unregister("decided")

    def _write_members(self, canonical: Mapping[str, str]) -> int:
        """Put the members in the place of those before, and note who moved; returns how many did.

        An id is the company's, so a member has a row for every source that may name it.
        """
        moved = {customer_id: other for customer_id, other in canonical.items() if customer_id != other}
        rows = pa.table({"customer_id": list(moved), "canonical_id": list(moved.values())}, schema=_MEMBERS)
        self.connection.register("decided", rows)
        self.connection.execute(
            """
            create or replace temp table identity_before as
            select distinct customer_id, canonical_id, batch, decided_at from identity.members
            """
        )
        counted = self.connection.execute(
            """
            insert into identity.changes
            select coalesce(b.customer_id, d.customer_id), coalesce(b.canonical_id, d.customer_id),
                coalesce(d.canonical_id, b.customer_id), $batch, $decided_at
            from identity_before b full join decided d using (customer_id)
            where b.canonical_id is distinct from d.canonical_id order by 1
            """,
            self.stamp,
        ).fetchone()
        self.connection.execute("delete from identity.members")
        self.connection.execute(
            """
            insert into identity.members by name
            select s.source, d.customer_id, d.canonical_id, coalesce(b.batch, $batch) as batch,
                coalesce(b.decided_at, $decided_at) as decided_at
            from decided d left join identity_before b using (customer_id, canonical_id),
                (select unnest($sources::varchar[]) as source) s order by all
            """,
            {**self.stamp, "sources": list(self.sources)},
        )
        self.connection.execute("drop table identity_before")
        self.connection.unregister("decided")
        return int(counted[0]) if counted else 0
