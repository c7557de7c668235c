"""The small published snapshot, written once."""

import pandas as pd
import pytest
from published_shop import make_tables, write_snapshot

from serving.snapshot import Snapshot


@pytest.fixture(scope="session")
def tables() -> dict[str, pd.DataFrame]:
    return make_tables()


@pytest.fixture(scope="session")
def snapshot(tables: dict[str, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    path = tmp_path_factory.mktemp("published") / "holdfast.duckdb"
    write_snapshot(path, tables)
    return Snapshot(path=path)
