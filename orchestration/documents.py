"""What a model version carries: the data and the code behind it, and what the gates said. No row of data."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from hashlib import sha256
from importlib.metadata import version as version_of
from io import RawIOBase
from pathlib import Path
from typing import Any

import pyarrow as pa

from orchestration.control.gate_overrides import GateOverrides
from orchestration.gates import find_fault
from orchestration.warehouse import Warehouse
from retention.store.store import Store

SEAMS = ("sources", "customer_360", "features")  # the gates before a training
LIBRARIES = ("duckdb", "numpy", "scikit-learn", "xgboost-cpu")
LEARNED_FROM = ("features.customer_features", "features.churn_labels")
SNAPSHOTS = """
    select as_of, count(*) as rows, cast(bit_xor(hash(snapshot)) as varchar) as hash
    from {table} as snapshot
    where as_of in (select unnest($days))
    group by as_of order by as_of
"""


def describe_data(warehouse: Warehouse, table: pa.Table, *, fingerprint: str, until: date) -> dict[str, Any]:
    """Return what a training learned from: tables with rows and a hash per snapshot, the snapshots, and the code.

    The hash of a snapshot is the XOR of DuckDB's hashes of its rows, so it does not depend on their order;
    `fingerprint` is the SHA-256 of the training set itself.
    """
    days = sorted(set(table.column("as_of").to_pylist()))
    tables = {name: warehouse.read(SNAPSHOTS.format(table=name), {"days": days}).to_pylist() for name in LEARNED_FROM}
    return {
        "fingerprint": fingerprint,
        "rows": table.num_rows,
        "labels_until": until,
        "snapshots": days,
        "tables": tables,
        "code_version": read_code_version(),
        "libraries": {name: version_of(name) for name in LIBRARIES},
    }


def as_json(content: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """Return a document as JSON that a person can read."""
    return json.dumps(content, indent=2, default=str).encode()


@cache
def read_code_version() -> str:
    """Return the version of the package and a hash of the code that learns."""
    digest = sha256()
    for path in sorted((Path(__file__).parent.parent / "ml").rglob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return f"{version_of('holdfast')}+{digest.hexdigest()[:12]}"


def read_gates(warehouse: Warehouse, store: Store, *, as_of: date) -> dict[str, str]:
    """Return what the gates before a training said of `as_of`, by `gate.<seam>`."""
    found = {"gate.training": "passed"}  # it raises otherwise
    for seam in SEAMS:
        override = GateOverrides(store).find(seam, as_of)
        fault = find_fault(warehouse, seam, as_of=as_of)
        verdict = "passed" if fault is None else f"overridden by {override.granted_by}" if override else "closed"
        found[f"gate.{seam}"] = verdict if _was_judged(warehouse, seam, as_of) else "not checked"
    return found


def _was_judged(warehouse: Warehouse, seam: str, as_of: date) -> bool:
    if not warehouse.has_table("monitoring.gate_verdicts"):
        return False
    query = "select count(*) from monitoring.gate_verdicts where seam = $seam and as_of = $as_of"
    return bool(warehouse.read_value(query, {"seam": seam, "as_of": as_of}))


def fingerprint(table: pa.Table) -> str:
    """Return the SHA-256 of a table's schema and content."""
    digest = _Digest()
    with pa.ipc.new_stream(pa.PythonFile(digest, mode="w"), table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return digest.sha.hexdigest()


class _Digest(RawIOBase):
    """A file that only remembers the hash of what was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.sha = sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        self.sha.update(data)
        return len(data)
