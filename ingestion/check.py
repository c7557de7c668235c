"""`holdfast check`: what a company file would bring in, before anything is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from company.company_file import Company, Feed
from company.contract import TABLES
from company.file_faults import CompanyError
from ingestion import manifest
from ingestion.landing import Landing

_MOST_ROWS = 10_000


@dataclass(frozen=True, kw_only=True)
class TableCheck:
    """What one feed would bring: counts of rows read, of bad rows by reason, the columns left empty, and a sample.

    Personal values appear in `sample` as tokens only. Of a database or an API about 10,000 rows are
    read, of files that are taken one by one the first few.
    """

    table: str
    source: str
    rows_in: int
    rows_good: int
    rows_duplicate: int
    reasons: dict[str, int]
    unmapped: tuple[str, ...]
    sample: tuple[dict[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """Every feed that could be read, and one paragraph for every one that could not."""

    company: str
    tables: tuple[TableCheck, ...]
    faults: tuple[str, ...] = field(default=())

    @property
    def is_sound(self) -> bool:
        """Tell whether the company can be run as it stands."""
        return not self.faults


def check_company(company: Company, *, secrets: Mapping[str, str], now: datetime) -> CheckReport:
    """Read and judge every feed of `company` as if it were landed `now`, in memory; one fault hides no other."""
    tables: list[TableCheck] = []
    faults: list[str] = []
    with duckdb.connect() as connection, TemporaryDirectory(prefix="holdfast-") as scratch:
        manifest.prepare(connection)
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
    return CheckReport(company=company.name, tables=tuple(tables), faults=tuple(faults))


def _check(landing: Landing, table: str, feed: Feed) -> TableCheck:
    report, sample = landing.try_out(table, feed, most=_MOST_ROWS)
    return TableCheck(
        table=table,
        source=feed.source,
        rows_in=report.rows_in,
        rows_good=report.rows_landed,
        rows_duplicate=report.rows_duplicate,
        reasons=report.reasons,
        unmapped=tuple(name for name in TABLES[table].names if name not in feed.columns),
        sample=tuple(sample),
    )
