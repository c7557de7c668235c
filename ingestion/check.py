"""`holdfast check`: what a company file would bring in, before anything is loaded."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from company.company_file import Company, Feed
from company.contract import TABLES
from company.file_faults import CompanyError
from company.industries import load_industry
from company.policy import load_policy
from company.policy.gates import Gates
from ingestion import manifest
from ingestion.confinement import confine
from ingestion.known import KnownCustomers, count_known, names_customers
from ingestion.landing import Landing
from ingestion.profiling import Profile
from ingestion.readers.extract import quoted


@dataclass(frozen=True, kw_only=True)
class TableCheck:
    """What one feed would bring: counts of rows read, of bad rows by reason, the columns left empty, and a sample.

    Personal values appear in `sample` as tokens only. Of a database or an API about 10,000 rows are read, but a
    database's customers whole, and of files that are taken one by one the first few; `is_partial` tells where there are
    more. `known` says how many of the rows read name a customer of the customer list; it is None where rows name none,
    or the list was not read whole.
    """

    table: str
    source: str
    rows_in: int
    rows_good: int
    rows_duplicate: int
    reasons: dict[str, int]
    unmapped: tuple[str, ...]
    sample: tuple[dict[str, Any], ...]
    repairs: dict[str, int] = field(default_factory=dict)
    profile: Profile = field(default_factory=Profile)
    known: KnownCustomers | None = None
    is_partial: bool = False

    @property
    def share_quarantined(self) -> float:
        """The share of the rows, duplicates left out, that would be quarantined."""
        bad = sum(self.reasons.values())
        return bad / (self.rows_good + bad) if bad else 0.0


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """Every feed that could be read, one paragraph for every one that could not, and what would close the gate.

    `warnings` name mapped columns that come out empty although the source fills them, and columns whose values look
    personal.
    """

    company: str
    tables: tuple[TableCheck, ...]
    faults: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Tell whether every feed can be read as the company file says."""
        return not self.faults


def check_company(
    company: Company, *, secrets: Mapping[str, str], now: datetime, as_of: date | None = None
) -> CheckReport:
    """Read and judge every feed of `company` as if it were landed `now`, in memory; one fault hides no other.

    `as_of` is the day of the run that is to follow, by which the age of a feed is judged; without it the day of `now`.

    Raises PolicyError when the company's policy cannot be.
    """
    gates = load_policy(load_industry(company.industry).policy, company.policy).gates
    tables: list[TableCheck] = []
    faults: list[str] = []
    with duckdb.connect() as connection, TemporaryDirectory(prefix="holdfast-") as scratch:
        manifest.prepare(connection)
        files = (path for table in company.tables for path in company.files_of(table))
        confine(connection, files=dict.fromkeys(files), scratch=Path(scratch))
        landing = Landing(
            connection=connection,
            company=company,
            secrets=secrets,
            batch="check",
            landed_at=now.astimezone(UTC).replace(tzinfo=None),
            scratch=Path(scratch),
        )
        for table, feed in [(table, feed) for table, feeds in company.tables.items() for feed in feeds]:
            try:
                tables.append(_check(landing, table, feed))
            except CompanyError as error:
                faults += [str(error)] if str(error) not in faults else []
        tables = [] if faults and not tables else _with_known(connection, company, tables)
    day = as_of or now.astimezone(ZoneInfo(company.timezone)).date()
    closed = tuple(paragraph for check in tables for paragraph in _closing(company, check, gates, as_of=day))
    return CheckReport(
        company=company.name,
        tables=tuple(tables),
        faults=tuple(faults),
        closed=closed,
        warnings=tuple(
            paragraph for warn in (_emptied, _personal) for check in tables for paragraph in warn(company, check)
        ),
    )


def _check(landing: Landing, table: str, feed: Feed) -> TableCheck:
    most = landing.company.sources[feed.source].rows_to_try(table)
    report, trial = landing.try_out(table, feed, most=most, keep=_kept(feed.source, table))
    return TableCheck(
        table=table,
        source=feed.source,
        rows_in=report.rows_in,
        rows_good=report.rows_landed,
        rows_duplicate=report.rows_duplicate,
        reasons=report.reasons,
        unmapped=tuple(name for name in TABLES[table].names if name not in feed.columns),
        sample=trial.sample,
        repairs=report.repairs,
        profile=trial.profile,
        is_partial=trial.is_partial,
    )


def _kept(source: str, table: str) -> str:
    return quoted(f"customers of {table} in {source}")


def _with_known(
    connection: duckdb.DuckDBPyConnection, company: Company, checks: Sequence[TableCheck]
) -> list[TableCheck]:
    """Add how many of the rows read name a known customer, where all lists of customers were read in full."""
    lists = [check for check in checks if check.table == "customers"]
    if len(lists) < len(company.tables["customers"]) or any(check.is_partial for check in lists):
        return list(checks)
    names = [_kept(check.source, "customers") for check in lists]
    return [
        replace(check, known=count_known(connection, _kept(check.source, check.table), names))
        if names_customers(check.table) and "customer_id" not in check.unmapped
        else check
        for check in checks
    ]


def _emptied(company: Company, check: TableCheck) -> Iterator[str]:
    """Yield a paragraph for each mapped column of which no value could be taken."""
    feed = next(feed for feed in company.tables[check.table] if feed.source == check.source)
    for name, share in check.profile.null_shares.items():
        lost = sum(check.repairs.get(f"{name}: {rule}", 0) for rule in ("unreadable_value", "impossible_value"))
        if share == 1 and lost:
            problem = f"none of its {lost:,} values can be taken, so that `{name}` would be empty."
            fix = "Declare how the feed writes them (`date_format`, `day_first`, `decimal`), or correct the SQL."
            yield str(company.error(f"{company.key_of(check.table, feed)}.{feed.key_of(name)}", problem, fix))


def _personal(company: Company, check: TableCheck) -> Iterator[str]:
    """Yield a paragraph for each column that is kept in clear and looks like personal data."""
    feed = next(feed for feed in company.tables[check.table] if feed.source == check.source)
    for name, (look, share) in check.profile.personal.items():
        problem = f"{share:.0%} of the values of `{name}` look like {look}, and they would be kept in clear."
        fix = "Map them as `email`, `phone` or `name`, which become tokens, or leave the column out."
        if name.endswith("_id"):
            fix = "Map an id of your own instead, in every table alike."
        yield str(company.error(f"{company.key_of(check.table, feed)}.{feed.key_of(name)}", problem, fix))


def _closing(company: Company, check: TableCheck, gates: Gates, *, as_of: date) -> Iterator[str]:
    """Yield a paragraph for each limit of the gate on the sources that the feed would break."""
    feed = next(feed for feed in company.tables[check.table] if feed.source == check.source)
    key, would = company.key_of(check.table, feed), "so that the gate on the sources would close"
    if check.share_quarantined > gates.maximum_quarantine_share:
        worst, rows = max(check.reasons.items(), key=lambda reason: reason[1])
        problem = (
            f"{check.share_quarantined:.1%} of the rows would be quarantined, and at most "
            f"{gates.maximum_quarantine_share:.1%} may be, {would}; most often {worst} ({rows:,} rows)."
        )
        fix = "Correct the mapping or the source, or raise `policy.gates.maximum_quarantine_share`."
        yield str(company.error(key, problem, fix))
    if check.known and check.known.share_unknown > gates.maximum_unknown_share:
        problem = (
            f"{check.known.unknown:,} of {check.known.rows:,} rows ({check.known.share_unknown:.1%}) name a customer "
            f"whom no list of customers holds, and at most {gates.maximum_unknown_share:.0%} may, {would}."
        )
        fix = "Compare how ids are written in the two; then correct the expression of `customer_id`."
        yield str(company.error(f"{key}.columns.customer_id", problem, fix))
    profile, moment = check.profile, TABLES[check.table].moment
    if profile.share_future > gates.maximum_future_share:
        problem = (
            f"{profile.share_future:.1%} of the rows lie in the future, and at most {gates.maximum_future_share:.1%} "
            f"may, {would}."
        )
        fix = "Correct the dates at the source, or the format and the zone in the mapping."
        yield str(company.error(f"{key}.columns.{moment}", problem, fix))
    limit = datetime.combine(as_of, time.min) - timedelta(days=feed.fresh_within_days or 0)
    if feed.fresh_within_days and not check.is_partial and profile.newest and profile.newest < limit:
        problem = (
            f"the newest row is of {profile.newest:%Y-%m-%d}, and may not be older than {limit:%Y-%m-%d}, {would}."
        )
        fix = "Find out why the source delivers nothing new, or change `fresh_within_days`."
        yield str(company.error(f"{key}.fresh_within_days", problem, fix))
