"""Explaining: why customer ids are one customer, or are not, in words that hold no personal data."""

from dataclasses import dataclass
from datetime import datetime

import duckdb

from ingestion.identity.components import LINKED


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One piece of evidence about two ids: what it is, how likely they are one customer, and what became of it.

    `state` is linked, cut, unmerged or, for a comparison in clear that was not likely enough, apart.
    """

    left_id: str
    right_id: str
    rule: str
    evidence: str
    probability: float
    state: str
    reason: str | None
    batch: str
    decided_at: datetime


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The canonical id of an id, all ids of its group in their order, and every evidence that touches one of them."""

    customer_id: str
    canonical_id: str
    members: tuple[str, ...]
    evidence: tuple[Evidence, ...]


def explain(connection: duckdb.DuckDBPyConnection, customer_id: str) -> Explanation:
    """Return why `customer_id` stands for whom it stands; raises KeyError when nothing was ever linked here."""
    there = connection.execute(
        "select count(*) from information_schema.tables where table_schema = 'identity' and table_name = 'members'"
    ).fetchone()
    if not there or not there[0]:
        raise KeyError("identity.members")
    found = connection.execute(
        "select canonical_id from identity.members where customer_id = $id limit 1", {"id": customer_id}
    ).fetchone()
    canonical = found[0] if found else customer_id
    members = connection.execute(
        "select distinct customer_id from identity.members where canonical_id = $id order by 1", {"id": canonical}
    ).fetchall()
    group = (canonical, *(row[0] for row in members))
    return Explanation(
        customer_id=customer_id, canonical_id=canonical, members=group, evidence=_evidence(connection, group)
    )


def _evidence(connection: duckdb.DuckDBPyConnection, group: tuple[str, ...]) -> tuple[Evidence, ...]:
    names = list(Evidence.__dataclass_fields__)
    rows = connection.execute(
        f"""
        with compared as (
            select {", ".join(names)} from identity.links
            union all by name
            select left_id, right_id, 'likeness' as rule, evidence, probability, 'apart' as state,
                'not likely enough' as reason, batch, decided_at
            from identity.comparisons anti join identity.links using (left_id, right_id)
        )
        select * from compared where list_contains($ids::varchar[], left_id) or list_contains($ids::varchar[], right_id)
        order by state <> '{LINKED}', probability desc, left_id, right_id, rule, evidence
        """,
        {"ids": list(group)},
    ).fetchall()
    return tuple(Evidence(**dict(zip(names, row, strict=True))) for row in rows)
