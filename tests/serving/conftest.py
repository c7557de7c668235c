"""The small published snapshot, written once, and a desk over it."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from published_shop import NOW, make_tables, write_snapshot

from company.policy import load_policy
from retention.deciding.strategies import Strategy
from retention.store.store import Store
from serving.access import read_access
from serving.desk.app import read_templates
from serving.desk.visit import Desk
from serving.sign_in import passwords
from serving.snapshot import Snapshot

VOUCHER = Strategy.model_validate(
    {
        "id": "voucher", "name": {"en": "A voucher", "zh": "优惠券"}, "tiers": ["high", "medium"], "channel": "email",
        "valid_days": 14, "modules": [{"kind": "coupon", "amount": 10.0, "take_up": 0.5}],
        "effect": {"value": 0.1, "basis": "assumption", "source": "a test"},
        "message": {"en": "{amount} off for {valid_days} days", "zh": "{valid_days} 天内优惠 {amount}"},
    }
)  # fmt: skip


@pytest.fixture(scope="session")
def tables() -> dict[str, pd.DataFrame]:
    return make_tables()


@pytest.fixture(scope="session")
def snapshot(tables: dict[str, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    path = tmp_path_factory.mktemp("published") / "holdfast.duckdb"
    write_snapshot(path, tables)
    return Snapshot(path=path)


@pytest.fixture(scope="module")
def desk(sqlite_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    tables = make_tables()
    write_snapshot(folder / "holdfast.duckdb", tables)
    store = Store(f"sqlite:///{shutil.copy(sqlite_tables, folder)}")
    store.alerts.record(tables["alerts"].drop(columns="position"), at=NOW - timedelta(hours=2))
    cost, passwords.COST = passwords.COST, 16
    yield Desk(
        snapshot=Snapshot(path=folder / "holdfast.duckdb"),
        store=store,
        access=read_access(),
        policy=load_policy(),
        templates=read_templates(),
        now=lambda: NOW,
        strategies=(VOUCHER.priced_in("EUR"),),
    )
    passwords.COST = cost
    store.close()
