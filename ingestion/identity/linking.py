"""Linking: which customer ids are one customer, decided anew whenever a row or a rule changed, and kept with evidence.

Tables, all in schema `identity`: `links` (one row per evidence), `members` (one row per source and id that is not its
group's canonical one; whoever is absent stands for itself), `comparisons` (what was compared in clear, so that it is
not asked again), `changes` (every move of an id from one canonical id to another, append-only) and `runs`.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import duckdb
from sqlalchemy.exc import SQLAlchemyError

from company.company_file import Company
from ingestion.identity import evidence, records
from ingestion.identity.comparing import ComparisonError, Likeness, Profile, compare
from ingestion.identity.components import CUT, LINKED, UNMERGED, Apart, Link, Record, Verdict, group
from ingestion.identity.records import RECORDS
from ingestion.identity.rules import Rules, load_rules
from ingestion.identity.storing import DDL, Ledger
from ingestion.vault import Vault, VaultError


class IdentityError(Exception):
    """Customers cannot be linked; str() is one paragraph with the fix."""


@dataclass(frozen=True, kw_only=True)
class LinkReport:
    """What one linking found.

    `links` hold, `links_cut` would have brought a contradiction into a group, `links_unmerged` a person took apart.
    `members` counts ids that stand for another one, `changed` those that moved in this run. `pairs_compared` were
    compared in clear, now or before; `pairs_undecided` would have been, had the vault been there. `values_ignored`
    are ids and contacts that too many records hold. `skipped` means that nothing had changed.
    """

    records: int = 0
    links: int = 0
    links_cut: int = 0
    links_unmerged: int = 0
    groups: int = 0
    members: int = 0
    changed: int = 0
    pairs_compared: int = 0
    pairs_undecided: int = 0
    values_ignored: int = 0
    is_vault_used: bool = False
    skipped: bool = False


def link(
    connection: duckdb.DuckDBPyConnection,
    company: Company,
    *,
    secrets: Mapping[str, str],
    batch: str,
    decided_at: datetime,
    apart: Collection[Apart] = (),
) -> LinkReport:
    """Decide who is one customer among the landed rows, and write links and members in one transaction.

    Args:
        connection: the warehouse.
        company: whose feeds were landed.
        secrets: where they name a vault, pairs that tokens leave open are compared in clear.
        batch: the run's id.
        decided_at: the moment of the decision, stored in UTC; a decision that stands keeps its batch and moment.
        apart: whom a person took apart.

    Raises IdentityError when the vault or the comparison fails; what was decided before then stays.
    """
    connection.execute(DDL)
    moment = decided_at.astimezone(UTC).replace(tzinfo=None) if decided_at.tzinfo else decided_at
    sources = tuple(sorted({feed.source for feeds in company.tables.values() for feed in feeds}))
    ledger = Ledger(connection=connection, sources=sources, batch=batch, decided_at=moment)
    linking = Linking(connection=connection, ledger=ledger, rules=load_rules(), secrets=secrets)
    try:
        return linking.run(records.list_tables(connection, company), apart)
    finally:
        records.forget(connection)
        evidence.forget(connection)


@dataclass(frozen=True, kw_only=True)
class Linking:
    """One linking in the warehouse behind `connection`; what it decides goes to `ledger`."""

    connection: duckdb.DuckDBPyConnection
    ledger: Ledger
    rules: Rules
    secrets: Mapping[str, str]

    def run(self, tables: Sequence[records.RawTable], apart: Collection[Apart]) -> LinkReport:
        """Skip when nothing changed, else decide everything anew."""
        state = self._state(tables, apart)
        last = self._last()
        if last is not None and last[0] == state:
            return last[1]
        count = records.gather(self.connection, tables, self.rules)
        evidence.find(self.connection, self.rules)
        likenesses, undecided = self._compare()
        links = [*self._links(), *self._likely(likenesses)]
        verdicts, canonical = group(self._records(links), links, apart=apart)
        ignored = evidence.count_ignored(self.connection, self.rules)
        counted = replace(
            _tally(verdicts, canonical),
            records=count,
            pairs_compared=len(likenesses),
            pairs_undecided=undecided,
            values_ignored=ignored,
            is_vault_used=Vault.is_named(self.secrets),
        )
        run = {name: value for name, value in asdict(counted).items() if name not in _OF_ONE_RUN}
        moved = self.ledger.write(
            {**run, "state": state}, likenesses=likenesses, verdicts=verdicts, canonical=canonical
        )
        return replace(counted, changed=moved)

    def _state(self, tables: Sequence[records.RawTable], apart: Collection[Apart]) -> str:
        """Digest all that the decision depends on."""
        kept = sorted((pair.customer_id, pair.other_id or "") for pair in apart)
        has_vault = str(Vault.is_named(self.secrets))
        parts = [records.fingerprint(self.connection, tables), self.rules.digest, str(kept), has_vault]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _last(self) -> tuple[str, LinkReport] | None:
        names = [name for name in asdict(LinkReport()) if name not in _OF_ONE_RUN]
        row = self.connection.execute(f"select state, {', '.join(names)} from identity.runs").fetchone()
        return None if row is None else (row[0], LinkReport(**dict(zip(names, row[1:], strict=True)), skipped=True))

    def _compare(self) -> tuple[list[dict[str, Any]], int]:
        """Return the likeness of every candidate, known or new, and how many could not be compared."""
        known = self._rows(
            f"""
            select c.left_id, c.right_id, c.likeness, k.evidence, k.probability, k.batch, k.decided_at
            from {evidence.CANDIDATES} c join identity.comparisons k using (left_id, right_id, likeness)
            """
        )
        new = self._rows(
            f"""
            select left_id, right_id, likeness from {evidence.CANDIDATES}
            anti join identity.comparisons using (left_id, right_id, likeness) order by all
            """
        )
        if not new or not Vault.is_named(self.secrets):
            return known, len(new)
        told = {(found.left_id, found.right_id): found for found in self._look_closer()}
        fresh = [
            self._remembered(pair, found) for pair in new if (found := told.get((pair["left_id"], pair["right_id"])))
        ]
        return [*known, *fresh], len(new) - len(fresh)

    def _look_closer(self) -> list[Likeness]:
        """Compare in clear those records that stand in a pair which nobody has compared yet."""
        rows = self._rows(
            f"""
            with open_pairs as (
                from {evidence.CANDIDATES} anti join identity.comparisons using (left_id, right_id, likeness)
            ), sides as (
                select left_id as customer_id, unnest(ids || [null]) as id from open_pairs
                union all select right_id, unnest(ids || [null]) from open_pairs
            )
            select r.source, r.customer_id, r.kind, r.name, r.birth_date, r.address, r.phone, r.email, r.is_common_date,
                coalesce(list(distinct id order by id) filter (id is not null), []) as ids
            from sides join {RECORDS} r using (customer_id) group by all order by customer_id
            """
        )
        profiles = [Profile(**{**row, "ids": tuple(row["ids"])}) for row in rows]
        try:
            return compare(profiles, Vault.from_secrets(self.secrets), rules=self.rules, at=self.ledger.decided_at)
        except (VaultError, ComparisonError, SQLAlchemyError) as error:
            said = type(error).__name__ if isinstance(error, SQLAlchemyError) else str(error).rstrip(".")
            raise IdentityError(
                f"Names and addresses cannot be compared ({said}). Check HOLDFAST_VAULT_URL and HOLDFAST_MASTER_KEY; "
                "without the former, customers are linked by tokens alone."
            ) from None

    def _remembered(self, pair: Mapping[str, Any], found: Likeness) -> dict[str, Any]:
        return {**pair, "evidence": found.evidence, "probability": found.probability, **self.ledger.stamp}

    def _links(self) -> list[Link]:
        return [Link(**row) for row in self._rows(f"from {evidence.LINKS}")]

    def _likely(self, likenesses: Sequence[Mapping[str, Any]]) -> list[Link]:
        names = ("left_id", "right_id", "evidence", "probability")
        likely = [row for row in likenesses if row["probability"] >= self.rules.least_probability]
        return [Link(rule="likeness", **{name: row[name] for name in names}) for row in likely]

    def _records(self, links: Sequence[Link]) -> list[Record]:
        """Return what is known of every record that a link touches."""
        ids = sorted({end for one in links for end in (one.left_id, one.right_id)})
        rows = self._rows(
            f"""
            select customer_id, kind, birth_date, is_profiled, coalesce(rank, {_LAST}) as place,
                coalesce(strftime(came_at, '%Y-%m-%dT%H:%M:%S.%f'), '~') as came_at
            from {RECORDS} where customer_id in (select unnest($ids::varchar[]))
            """,
            {"ids": ids},
        )
        return [Record(rank=(row.pop("place"), row.pop("came_at"), row["customer_id"]), **row) for row in rows]

    def _rows(self, query: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.connection.execute(query, dict(parameters or {})).to_arrow_table().to_pylist()
        return rows


_LAST = 1_000_000
_OF_ONE_RUN = frozenset({"changed", "skipped"})


def _tally(verdicts: Sequence[Verdict], canonical: Mapping[str, str]) -> LinkReport:
    states = [verdict.state for verdict in verdicts]
    return LinkReport(
        links=states.count(LINKED),
        links_cut=states.count(CUT),
        links_unmerged=states.count(UNMERGED),
        groups=len(set(canonical.values())),
        members=sum(customer_id != other for customer_id, other in canonical.items()),
    )
