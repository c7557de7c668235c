"""Retention: what is older than the policy keeps goes with the night, and what went is written down."""

import json
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from company.policy.privacy import Place
from orchestration.deployment import Deployment
from orchestration.privacy.stores import OWN_RECORDS
from orchestration.warehouse import Warehouse

EVIDENCE = "deleted.jsonl"  # next to the receipts
_EXPORTS = "copy-*"


def delete_old(deployment: Deployment, warehouse: Warehouse, *, as_of: date) -> dict[Place, int]:
    """Delete what is older than `privacy.keep_days` on a day; return rows or files by place."""
    home = deployment.settings.home
    counts: dict[Place, int] = {}
    for place, days in deployment.policy.privacy.kept_places.items():
        before = as_of - timedelta(days=days)
        if place == "quarantine":
            counts[place] = _delete_rows(warehouse, before=before)
        else:
            found = (home / OWN_RECORDS).glob(_EXPORTS) if place == "exports" else (home / "logs").glob("*")
            counts[place] = _delete_files(found, before=before)
    write_down(deployment, counts, as_of=as_of)
    return counts


def read_evidence(home: Path) -> list[dict[str, object]]:
    """Return what went on which day, the oldest first."""
    path = home / OWN_RECORDS / EVIDENCE
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def _delete_rows(warehouse: Warehouse, *, before: date) -> int:
    if not warehouse.has_table("quarantine.rows"):
        return 0
    with warehouse.connect() as connection:
        query = "delete from quarantine.rows where landed_at < $before"  # answers how many went, on every engine
        row = connection.execute(query, {"before": before}).fetchone()
        return int(row[0]) if row else 0


def _delete_files(paths: Iterator[Path], *, before: date) -> int:
    old = [path for path in paths if datetime.fromtimestamp(path.stat().st_mtime, tz=UTC).date() < before]
    for path in old:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return len(old)


def write_down(deployment: Deployment, counts: Mapping[Place, int] | Mapping[str, int], *, as_of: date) -> None:
    """Note how much went, by place or source table."""
    path, keep = deployment.settings.home / OWN_RECORDS / EVIDENCE, deployment.policy.privacy.keep_days
    gone = [
        {"as_of": as_of.isoformat(), "place": place, "older_than_days": keep[place], "deleted": count}
        for place, count in counts.items()
        if count
    ]
    if gone:
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(each)}\n" for each in gone)
