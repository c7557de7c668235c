"""Ingestion: one asset per table that a source delivers, and the gate on all of them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime

import dagster as dg
import pyarrow as pa

from company.company_file import Company, Feed
from company.contract import TABLES
from expectations.sources import RawTable
from expectations.sources import build as build_suites
from ingestion.expiry import Expiry
from ingestion.known import KnownCustomers, count_known, names_customers
from ingestion.landing import PATIENCE, LandingReport, land, required_tables
from ml.registry import Registry
from orchestration.dbt_models import OWNER
from orchestration.defs.lane import LOGGED, note_landed
from orchestration.defs.text_models import open_text_reader
from orchestration.deployment import Deployment
from orchestration.gates import judge
from orchestration.partitions import read_as_of
from orchestration.privacy.keeping import write_down
from orchestration.privacy.suppressing import read_suppression
from orchestration.warehouse import Warehouse
from retention.store.store import Store

GATE = "sources_gate"
ROWS = "monitoring.source_rows"
WORST = 3  # reasons for quarantine that the gate names


def define(deployment: Deployment) -> dg.Definitions:
    """Return the landings of what the company connects, and the gate on all of them."""
    feeds = deployment.company.feeds()
    return dg.Definitions(
        assets=[build_landing(table, schemas) for table, schemas in feeds.items()],
        asset_checks=[build_gate([(schema, table) for table, schemas in feeds.items() for schema in schemas])],
    )


def build_landing(table: str, schemas: Sequence[str]) -> dg.AssetsDefinition:
    """Return the assets that land one canonical table from every source that delivers it."""
    specs = [
        dg.AssetSpec(
            key=[schema, table],
            group_name="sources",
            owners=[OWNER],
            kinds={"duckdb", "table"},
            metadata={"dagster/column_schema": describe_contract(table)},
            description=f"{TABLES[table].grain.capitalize()}, as its source delivered it, in canonical columns.",
        )
        for schema in schemas
    ]

    @dg.multi_asset(name=f"land_{table}", specs=specs)
    def land_table(
        context: dg.AssetExecutionContext,
        deployment: dg.ResourceParam[Deployment],
        warehouse: dg.ResourceParam[Warehouse],
        store: dg.ResourceParam[Store],
        registry: dg.ResourceParam[Registry],
    ) -> Iterator[dg.MaterializeResult[None]]:
        company, suppression = deployment.company, read_suppression(deployment, store)
        with warehouse.connect_alone() as connection:  # landing confines what SQL reaches, for the whole database
            report = land(
                connection,
                company,
                table,
                secrets=deployment.settings.secrets(company.secret_names),
                batch=context.run_id,
                landed_at=datetime.now(UTC),
                confined=True,
                suppression=suppression,
                expiry=Expiry(keep_days=deployment.policy.privacy.kept_tables),
                text_reader=open_text_reader(deployment, registry) if holds_prose(table) else None,
            )
        write_down(deployment, {table: report.rows_expired}, as_of=datetime.now(UTC).date())
        if table == LOGGED:
            note_landed(company, warehouse, store)
        for feed in report.feeds or (report,):
            yield dg.MaterializeResult(asset_key=[f"raw_{feed.source}", table], metadata=describe(feed))

    return land_table


def holds_prose(table: str) -> bool:
    """Return whether a canonical table has a column of free text."""
    return any(column.is_prose for column in TABLES[table].columns)


def describe_contract(table: str) -> dg.TableSchema:
    """Return the canonical columns of a table as Dagster shows them."""
    columns = TABLES[table].columns
    return dg.TableSchema(
        columns=[dg.TableColumn(each.name, type=each.type.value, description=each.description) for each in columns]
    )


def describe(report: LandingReport) -> dict[str, int | str | bool]:
    """Return a landing's counts as asset metadata."""
    return {
        "dagster/row_count": report.rows_landed,
        "rows_in": report.rows_in,
        "rows_quarantined": report.rows_quarantined,
        "rows_duplicate": report.rows_duplicate,
        "rows_expired": report.rows_expired,
        "quarantine_reasons": ", ".join(f"{name}: {count}" for name, count in report.reasons.items()) or "none",
        "repairs": ", ".join(f"{name}: {count}" for name, count in report.repairs.items()) or "none",
        "notices": "; ".join(report.notices) or "none",
        "unchanged": report.skipped,
    }


def build_gate(raw: Sequence[tuple[str, str]]) -> dg.AssetChecksDefinition:
    """Return the gate on the raw tables, named by schema and table: a check on each of them."""
    specs = [dg.AssetCheckSpec(GATE, asset=[schema, table], blocking=True) for schema, table in raw]

    @dg.multi_asset_check(name=GATE, specs=specs)
    def sources_gate(
        context: dg.AssetCheckExecutionContext,
        deployment: dg.ResourceParam[Deployment],
        warehouse: dg.ResourceParam[Warehouse],
        store: dg.ResourceParam[Store],
    ) -> Iterator[dg.AssetCheckResult]:
        """Stop the pipeline when a source is empty, undated, doubled, dirty, old or much smaller than before."""
        as_of = read_as_of(context)
        suites = build_suites(
            [describe_raw(warehouse, deployment.company, schema, table) for schema, table in raw],
            as_of=as_of,
            latest=datetime.now(UTC).replace(tzinfo=None) + PATIENCE,
            limits=deployment.policy.gates,
        )
        folder = deployment.settings.gates_folder
        judgement = judge(warehouse, store, "sources", suites, as_of=as_of, docs=folder)
        if judgement.is_open:
            remember_rows(warehouse, raw, as_of=as_of)
        for schema, table in raw:
            yield judgement.result_for([schema, table], tables=[f"{schema}.{table}"], check=GATE)

    return sources_gate


def find_feed(company: Company, schema: str, table: str) -> Feed:
    """Return what the company file declares of one ingested table."""
    return next(feed for feed in company.tables[table] if company.raw_schema(feed.source) == schema)


def remember_rows(warehouse: Warehouse, raw: Sequence[tuple[str, str]], *, as_of: date) -> None:
    """Keep how many rows each raw table holds; the next day is compared with it.

    Only what passed the gate, or what a person let pass, is kept: rows that are lost stay lost on the days after.
    """
    names = [f"{schema}.{table}" for schema, table in raw]
    counts = [warehouse.read_value(f"select count(*) from {name}") for name in names]
    warehouse.replace(ROWS, pa.table({"table_name": names, "as_of": [as_of] * len(names), "count_rows": counts}))


def read_rows_before(warehouse: Warehouse, name: str) -> int | None:
    """Return how many rows a raw table held when it last passed the gate, None when it never has."""
    if not warehouse.has_table(ROWS):
        return None
    count = warehouse.read_value(f"select count_rows from {ROWS} where table_name = $name", {"name": name})
    return None if count is None else int(count)


def read_reasons(warehouse: Warehouse, source: str, table: str) -> tuple[tuple[str, int], ...]:
    """Return the most frequent reasons for which the last ingestion of a table quarantined rows, the worst first."""
    query = """
        select concat_ws(': ', column_name, reason) as why, count(*) as count_rows
        from quarantine.rows
        where source = $source and table_name = $table and batch = (
            select batch from ingestion.landings where source = $source and table_name = $table
        )
        group by why order by count_rows desc, why
    """
    rows = warehouse.read(query, {"source": source, "table": table}).slice(0, WORST).to_pylist()
    return tuple((row["why"], row["count_rows"]) for row in rows)


def describe_raw(warehouse: Warehouse, company: Company, schema: str, table: str) -> RawTable:
    """Return what the gate must know of one raw table: its contract, and what its ingestion counted."""
    contract, source = TABLES[table], schema.removeprefix("raw_")
    counted = warehouse.read_value(
        "select rows_quarantined from ingestion.landings where source = $source and table_name = $table",
        {"source": source, "table": table},
    )
    known = count_known_customers(warehouse, company, schema, table)
    return RawTable(
        table=f"{schema}.{table}",
        key=contract.key,
        required=tuple(column.name for column in contract.columns if column.is_required),
        personal=tuple(column.name for column in contract.columns if column.personal),
        moment=contract.moment,
        stale_after_days=find_feed(company, schema, table).fresh_within_days,
        rows_quarantined=int(counted or 0),
        quarantine_reasons=read_reasons(warehouse, source, table),
        rows_before=read_rows_before(warehouse, f"{schema}.{table}"),
        may_be_empty=table not in required_tables(company),
        rows_with_customer=known.rows,
        rows_unknown=known.unknown,
    )


def count_known_customers(warehouse: Warehouse, company: Company, schema: str, table: str) -> KnownCustomers:
    """Return how many rows of one ingested table name a customer, and how many of these nobody knows."""
    if not names_customers(table):
        return KnownCustomers(rows=0, unknown=0)
    lists = [f"{raw}.customers" for raw in company.feeds()["customers"]]
    with warehouse.connect() as connection:
        return count_known(connection, f"{schema}.{table}", lists)
