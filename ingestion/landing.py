"""Landing: rows of a source become rows of `raw_<source>.<table>`, exactly once, or not at all.

Each feed is one transaction that holds its rows, its quarantine and its line in the manifest. Whatever is killed in
between leaves the warehouse as it was. Every row that came in is landed, quarantined or a declared duplicate.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
from sqlalchemy.exc import SQLAlchemyError

from company.company_file import TOKEN_KEY, Company, Feed
from company.contract import TABLES
from company.file_faults import kind_of, without_values
from ingestion import manifest, storing
from ingestion.classifying import STAGE, Classified, classify, tidy
from ingestion.confinement import confine
from ingestion.evolution import observe
from ingestion.expiry import Expiry
from ingestion.extra_columns import refuse_names, refuse_personal
from ingestion.manifest import Landed, Memory
from ingestion.profiling import Profile, profile_stage
from ingestion.projection import Mapper
from ingestion.readers import open_reader
from ingestion.readers.base import Context, Reader
from ingestion.readers.extract import Extract, FileSeen, Request, quoted
from ingestion.readers.files import fingerprint_of, sort_out
from ingestion.suppression import Suppression
from ingestion.texts import TextReader, read_stage
from ingestion.tokens import FORM
from ingestion.transaction import transaction
from ingestion.values import NULL_WORDS
from ingestion.vault import MASTER_KEY_NAME, URL_NAME, Vault, VaultError, seal_stage

PATIENCE = timedelta(days=1)  # how far clocks and zones may put a moment ahead of the landing
_SAMPLE_ROWS = 3
_BY_FILE = "file"


@dataclass(frozen=True, kw_only=True)
class LandingReport:
    """What one landing did: rows in = landed + quarantined + duplicate.

    `reasons` counts quarantined rows by "column: reason", `repairs` values of landed rows that were repaired by
    "column: rule"; `rows_expired` had stood there and are kept no longer; `notices` tells of columns that came or went.
    A report over several feeds sums them and keeps them in `feeds`. `skipped` means that nothing new was found: the
    counts are then those of the landing that stands or, of an incremental feed, of the few rows that were read again.
    """

    table: str
    source: str
    rows_in: int
    rows_landed: int
    rows_quarantined: int
    rows_duplicate: int
    skipped: bool
    rows_expired: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    repairs: dict[str, int] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    feeds: tuple["LandingReport", ...] = ()


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a feed's good rows look like: a few of them, and the profile of all, which may be part of the source's."""

    sample: tuple[dict[str, Any], ...]
    profile: Profile
    is_partial: bool


def land(
    connection: duckdb.DuckDBPyConnection,
    company: Company,
    table: str,
    *,
    secrets: Mapping[str, str],
    batch: str,
    landed_at: datetime,
    confined: bool = False,
    text_reader: TextReader | None = None,
    suppression: Suppression | None = None,
    expiry: Expiry | None = None,
) -> LandingReport:
    """Land every feed of `table` into the warehouse behind `connection`, each in one transaction.

    A feed in which nothing changed since it was last landed is skipped. `landed_at` is stored in UTC. Clear values of
    personal columns go to the vault when the secrets name one; the `text_reader` reads free text before that. With
    `confined` SQL reaches only files of the table's sources from then on, until the database is closed. Rows of
    customers whom the `suppression` keeps out are left out as if the source had not sent them, and so are those older
    than the `expiry` keeps, which also leave the raw table. Raises SourceError, with nothing of that feed loaded, when
    a source fails, changed what the mapping relies on, or leaves a required table empty.
    """
    manifest.prepare(connection)
    moment = landed_at.astimezone(UTC).replace(tzinfo=None) if landed_at.tzinfo else landed_at
    with TemporaryDirectory(prefix="holdfast-") as scratch:
        if confined:
            confine(connection, files=company.files_of(table), scratch=Path(scratch))
        landing = Landing(
            connection=connection,
            company=company,
            secrets=secrets,
            batch=batch,
            landed_at=moment,
            scratch=Path(scratch),
            text_reader=text_reader,
            suppression=suppression,
            expiry=expiry,
        )
        reports = tuple(landing.land(table, feed) for feed in company.tables[table])
    return reports[0] if len(reports) == 1 else _summed(reports)


@dataclass(frozen=True, kw_only=True)
class Landing:
    """One batch of landings into the warehouse behind `connection`; `landed_at` is naive UTC, `scratch` a folder."""

    connection: duckdb.DuckDBPyConnection
    company: Company
    secrets: Mapping[str, str]
    batch: str
    landed_at: datetime
    scratch: Path
    text_reader: TextReader | None = None
    suppression: Suppression | None = None
    expiry: Expiry | None = None

    def land(self, table: str, feed: Feed) -> LandingReport:
        """Land one feed in one transaction, or skip it when there is nothing new; then let go of what is too old."""
        try:
            report = self._land_new(table, feed) if feed.incremental else self._land_whole(table, feed)
            return replace(report, rows_expired=self._expire(table, feed))
        finally:
            tidy(self.connection)

    def _expire(self, table: str, feed: Feed) -> int:
        if self.expiry is None:
            return 0
        return self.expiry.clear(self.connection, self._target(table, feed), TABLES[table], at=self.landed_at)

    def try_out(self, table: str, feed: Feed, *, most: int, keep: str) -> tuple[LandingReport, Trial]:
        """Judge the rows of one feed without landing them; returns what would happen and what the good rows look like.

        Of a database or an API, which may be large or slow, only about `most` rows are read, and of files that are
        taken one by one only the first bundle. The customers of the good rows are kept in the temporary table `keep`.
        """
        try:
            mapper = self._mapper(table, feed)
            files, has_more = self._reader(table, feed).look(self.connection), False
            if feed.incremental == _BY_FILE:
                bundles, _ = sort_out(files[feed.relation], taken=())
                files, has_more = {feed.relation: tuple(bundles[0])}, len(bundles) > 1
            extract = self._extract(mapper, files=files, most=most)
            judged = self._judge(mapper, extract)
            self._refuse_empty(table, feed, judged)
            columns = tuple(feed.expressions)
            names = ", ".join(quoted(name) for name in columns)
            rows = self.connection.execute(f"select {names} from {STAGE} where _fault is null limit {_SAMPLE_ROWS}")
            sample = tuple(dict(zip(columns, row, strict=True)) for row in rows.fetchall())
            profile = profile_stage(
                self.connection,
                mapper.contract,
                columns,
                zone=self.company.timezone,
                latest=self.landed_at + PATIENCE,
            )
            if "customer_id" in feed.columns:
                kept = f"select customer_id from {STAGE} where _fault is null"
                self.connection.execute(f"create or replace temp table {keep} as {kept}")
            is_partial = has_more if files else judged.rows_in >= most
            trial = Trial(sample=sample, profile=profile, is_partial=is_partial)
            return self._report(table, feed, [judged]), trial
        finally:
            tidy(self.connection)

    def _land_whole(self, table: str, feed: Feed) -> LandingReport:
        """Read all of a feed and put it in the place of what stood there."""
        memory, mapping, mapper = self._memory(table, feed), self._mapping(table, feed), self._mapper(table, feed)
        last = memory.last
        files = self._look(table, feed, memory)
        fingerprint = fingerprint_of(files) if files else ""
        if last and files and (last.fingerprint, last.mapping) == (fingerprint, mapping):
            return _skipped(table, feed, last)
        extract = self._extract(mapper, files=files)
        notices = observe(memory, mapper, extract, is_accepted=last is None or last.mapping != mapping)
        judged = self._judge(mapper, extract)
        fingerprint = fingerprint or storing.content(self.connection)
        if last and (last.fingerprint, last.mapping) == (fingerprint, mapping):
            with transaction(self.connection):
                memory.remember_columns(extract.columns or {})
            return _skipped(table, feed, last, notices=notices)
        self._refuse_empty(table, feed, judged)
        self._read_texts(mapper)
        self._seal(mapper)
        report = self._report(table, feed, [judged], notices=notices)
        with transaction(self.connection):
            target = self._target(table, feed)
            storing.replace(self.connection, target, mapper.contract, batch=self.batch, at=self.landed_at)
            storing.forget_batch(self.connection, feed.source, table, batch=self.batch)
            storing.forget_repairs(self.connection, feed.source, table)
            self._quarantine(table, feed, judged)
            self._remember(memory, report, fingerprint=fingerprint, mapping=mapping, cursor=None)
            memory.forget_files()
            memory.remember_files(extract.files, batch=self.batch, at=self.landed_at)
            memory.remember_columns(extract.columns or {})
        return report

    def _land_new(self, table: str, feed: Feed) -> LandingReport:
        with transaction(self.connection):
            return self._merge_new(table, feed)

    def _merge_new(self, table: str, feed: Feed) -> LandingReport:
        """Read what is new in a feed and merge it, by key, into what stands there.

        After a change of the mapping everything that the source still has is read again; rows that it no longer has
        stay as they were landed, because nothing could bring them back.
        """
        memory, mapping, mapper = self._memory(table, feed), self._mapping(table, feed), self._mapper(table, feed)
        last = memory.last
        is_whole = storing.exists(self.connection, self._target(table, feed))
        if last is None or last.mapping != mapping or not is_whole:
            memory.forget_files()
            last = None
        parts: list[Classified] = []
        notices: dict[str, None] = {}
        cursor = last.cursor if last else None
        for extract in self._increments(mapper, memory, cursor):
            notices |= dict.fromkeys(observe(memory, mapper, extract, is_accepted=last is None and not parts))
            parts.append(self._merge(mapper, extract, memory))
            cursor = extract.cursor or cursor
        if last is None:
            self._refuse_empty(table, feed, *parts)
        report = self._report(table, feed, parts, notices=tuple(notices))
        self._remember(memory, report, fingerprint="", mapping=mapping, cursor=cursor)
        return report

    def _merge(self, mapper: Mapper, extract: Extract, memory: Memory) -> Classified:
        table, feed = mapper.table, mapper.feed
        target, contract = self._target(table, feed), mapper.contract
        judged = self._judge(mapper, extract)
        overlaps = storing.overlaps_with(self.connection, target, contract)
        judged = storing.mark_known(self.connection, target, contract, judged, overlaps=overlaps, source=feed.source)
        self._read_texts(mapper)
        self._seal(mapper)
        storing.merge(self.connection, target, contract, overlaps=overlaps, batch=self.batch, at=self.landed_at)
        self._quarantine(table, feed, judged)
        memory.remember_files(extract.files, batch=self.batch, at=self.landed_at)
        if extract.columns:
            memory.remember_columns({**memory.columns(), **extract.columns})
        return judged

    def _increments(self, mapper: Mapper, memory: Memory, cursor: str | None) -> Iterator[Extract]:
        table, feed = mapper.table, mapper.feed
        files = self._look(table, feed, memory)
        if not files:
            known = memory.columns() if cursor else {}
            yield self._extract(mapper, files={}, known=known, since=cursor)
            return
        bundles, moved = sort_out([file for found in files.values() for file in found], taken=memory.files())
        memory.remember_files(moved, batch=self.batch, at=self.landed_at)
        for bundle in bundles:
            yield self._extract(mapper, files={feed.relation: bundle}, known=memory.columns())
            for copy in self.scratch.iterdir():
                copy.unlink()

    def _reader(self, table: str, feed: Feed) -> Reader:
        return open_reader(
            Context(company=self.company, table=table, feed=feed, secrets=self.secrets, scratch=self.scratch)
        )

    def _look(self, table: str, feed: Feed, memory: Memory) -> dict[str, tuple[FileSeen, ...]]:
        return self._reader(table, feed).look(self.connection, taken=memory.files())

    def _extract(
        self,
        mapper: Mapper,
        *,
        files: Mapping[str, Sequence[FileSeen]],
        known: Mapping[str, str] | None = None,
        most: int | None = None,
        since: str | None = None,
    ) -> Extract:
        asked = Request(
            files=files,
            reads=mapper.paths,
            names=mapper.reads,
            optional=mapper.optional_paths,
            known=known or {},
            most=most,
            since=since,
        )
        return self._reader(mapper.table, mapper.feed).extract(self.connection, asked)

    def _judge(self, mapper: Mapper, extract: Extract) -> Classified:
        refuse_personal(mapper)
        projection = mapper.project(extract)
        try:
            classified = classify(self.connection, mapper.contract, projection, broken=extract.broken)
        except (duckdb.Error, UnicodeDecodeError) as error:  # the latter when DuckDB cuts a quoted value in two
            message = str(error).splitlines()[0]
            said = kind_of(message) if mapper.personal else without_values(message)
            fix = "Make the mapping bear such values, with `try_cast` and `nullif`, or correct the source."
            raise self.company.error(mapper.key, f"a row could not be computed ({said}).", fix) from None
        refuse_names(self.connection, mapper)
        if self.suppression:
            classified = self.suppression.apply(self.connection, classified)
        if self.expiry:
            classified = self.expiry.apply(self.connection, mapper.contract, classified, at=self.landed_at)
        return classified

    def _read_texts(self, mapper: Mapper) -> None:
        """Read free text of the stage; what was read and is not landed after all does no harm."""
        if self.text_reader and mapper.prose:
            read_stage(self.connection, self.text_reader, columns=mapper.prose, batch=self.batch)

    def _seal(self, mapper: Mapper) -> None:
        """Keep the clear values of the stage in the vault; what is kept there twice or too much does no harm."""
        if not mapper.personal or not Vault.is_named(self.secrets):
            return
        try:
            vault = Vault.from_secrets(self.secrets)
            seal_stage(self.connection, vault, source=mapper.feed.source, columns=mapper.personal, at=self.landed_at)
        except (VaultError, SQLAlchemyError) as error:
            said = str(error) if isinstance(error, VaultError) else type(error).__name__
            fix = f"Check `{URL_NAME}` and `{MASTER_KEY_NAME}`; without the former, only tokens are kept."
            raise self.company.error(mapper.key, f"personal data cannot be sealed ({said}).", fix) from None

    def _mapper(self, table: str, feed: Feed) -> Mapper:
        return Mapper(
            connection=self.connection,
            company=self.company,
            table=table,
            feed=feed,
            secrets=self.secrets,
            on=self.landed_at.date(),
            keeps_clear=Vault.is_named(self.secrets) or self.text_reader is not None,
        )

    def _memory(self, table: str, feed: Feed) -> Memory:
        return Memory(connection=self.connection, source=feed.source, table=table)

    def _target(self, table: str, feed: Feed) -> str:
        return f"{quoted(self.company.raw_schema(feed.source))}.{quoted(table)}"

    def _mapping(self, table: str, feed: Feed) -> str:
        """Digest all that decides what the rows become besides their content."""
        columns = self.company.contract_of(table).columns
        prose = {column.name for column in columns if column.is_prose} & set(feed.columns)
        contract = [{name: it for name, it in asdict(column).items() if name != "is_prose"} for column in columns]
        key = hashlib.sha256(self.secrets.get(TOKEN_KEY, "").encode()).hexdigest()
        bounds = [bound.model_dump() for bound in self.company.bounds_of(table)]
        decided: list[object] = [
            feed.model_dump(exclude=None if feed.extra else {"extra"}),
            self.company.sources[feed.source].timezone,
            contract,
            bounds,
            NULL_WORDS,
        ]
        returns = self.company.cleaning.returns
        decided += [returns.negative_amounts] if returns.negative_amounts else []
        decided += [key, FORM, Vault.is_named(self.secrets)] if self.company.has_personal(table) else []
        decided += [self.text_reader.version] if self.text_reader and prose else []
        return hashlib.sha256(json.dumps(decided, sort_keys=True, default=str).encode()).hexdigest()

    def _report(
        self, table: str, feed: Feed, parts: list[Classified], *, notices: tuple[str, ...] = ()
    ) -> LandingReport:
        reasons = sum((part.reasons for part in parts), Counter[str]())
        repairs = sum((part.repairs for part in parts), Counter[str]())
        good, duplicates = sum(part.good for part in parts), sum(part.duplicates for part in parts)
        return LandingReport(
            table=table,
            source=feed.source,
            rows_in=sum(part.rows_in for part in parts),
            rows_landed=good,
            rows_quarantined=reasons.total(),
            rows_duplicate=duplicates,
            skipped=bool(feed.incremental) and not good and not reasons,
            reasons=dict(reasons),
            repairs=dict(repairs),
            notices=notices,
        )

    def _refuse_empty(self, table: str, feed: Feed, *parts: Classified) -> None:
        if any(part.good for part in parts) or table not in required_tables(self.company):
            return
        key = self.company.key_of(table, feed)
        reasons = sum((part.reasons for part in parts), Counter[str]())
        if not reasons:
            fix = "Check `from` and `where`, or bring the rows: nothing can be predicted without them."
            raise self.company.error(key, f"the required table `{table}` came empty from `{feed.source}`.", fix)
        worst, _ = reasons.most_common(1)[0]
        problem = (
            f"none of the {reasons.total()} rows of the required table `{table}` can be taken; most often {worst}."
        )
        raise self.company.error(key, problem, "Correct the expression of that column, or the source.")

    def _quarantine(self, table: str, feed: Feed, judged: Classified) -> None:
        source, batch, at = feed.source, self.batch, self.landed_at
        storing.quarantine(self.connection, judged, source=source, table=table, batch=batch, at=at)
        storing.note_repairs(self.connection, judged, source=source, table=table, batch=batch, at=at)

    def _remember(
        self, memory: Memory, report: LandingReport, *, fingerprint: str, mapping: str, cursor: str | None
    ) -> None:
        landed = Landed(
            fingerprint=fingerprint,
            mapping=mapping,
            cursor=cursor,
            rows_in=report.rows_in,
            rows_landed=report.rows_landed,
            rows_quarantined=report.rows_quarantined,
            rows_duplicate=report.rows_duplicate,
        )
        memory.remember(landed, batch=self.batch, at=self.landed_at)


def required_tables(company: Company) -> frozenset[str]:
    """Return the connected tables without whose rows the platform has nothing to say."""
    return frozenset({"customers", "orders" if "orders" in company.tables else "subscriptions"})


def _skipped(table: str, feed: Feed, last: Landed, *, notices: tuple[str, ...] = ()) -> LandingReport:
    return LandingReport(
        table=table,
        source=feed.source,
        rows_in=last.rows_in,
        rows_landed=last.rows_landed,
        rows_quarantined=last.rows_quarantined,
        rows_duplicate=last.rows_duplicate,
        skipped=True,
        notices=notices,
    )


def _summed(reports: tuple[LandingReport, ...]) -> LandingReport:
    return LandingReport(
        table=reports[0].table,
        source=", ".join(report.source for report in reports),
        rows_in=sum(report.rows_in for report in reports),
        rows_landed=sum(report.rows_landed for report in reports),
        rows_quarantined=sum(report.rows_quarantined for report in reports),
        rows_duplicate=sum(report.rows_duplicate for report in reports),
        skipped=all(report.skipped for report in reports),
        rows_expired=sum(report.rows_expired for report in reports),
        reasons=dict(sum((Counter(report.reasons) for report in reports), Counter[str]())),
        repairs=dict(sum((Counter(report.repairs) for report in reports), Counter[str]())),
        notices=tuple(notice for report in reports for notice in report.notices),
        feeds=reports,
    )
