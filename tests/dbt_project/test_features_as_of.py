"""What a feature row may know: nothing of its own day or later, whatever the day it is computed on."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from dbt_project.library import load_library

if TYPE_CHECKING:
    from tests.dbt_project.conftest import Warehouse

PROJECT = Path(__file__).parents[2] / "dbt_project"
AS_OF, SNAPSHOTS = "2017-12-01", ["2017-07-01", "2017-10-01"]
FEATURES = "select * from features.customer_features where as_of = '{day}' order by customer_id"


def slice_of(warehouse: "Warehouse", day: str) -> pd.DataFrame:
    return warehouse.query(FEATURES.format(day=day))


def differing(left: pd.DataFrame, right: pd.DataFrame) -> list[str]:
    """Columns in which two slices of the same customers differ in any bit."""
    assert list(left["customer_id"]) == list(right["customer_id"])
    return [column for column in left if not left[column].equals(right[column])]


def test_every_feature_is_the_same_when_all_later_rows_are_deleted(lived: "Warehouse", truncated: "Warehouse") -> None:
    assert differing(slice_of(lived, AS_OF), slice_of(truncated, AS_OF)) == []


def test_the_customer_view_is_the_same_when_all_later_rows_are_deleted(
    lived: "Warehouse", truncated: "Warehouse"
) -> None:
    view = "select * from customer_360.customers order by customer_id"
    assert differing(lived.query(view), truncated.query(view)) == []


def test_every_feature_takes_more_than_one_value_in_the_company(lived: "Warehouse") -> None:
    values = lived.query("select * from features.customer_features").nunique(dropna=False)
    assert [feature.name for feature in load_library().features if values[feature.name] < 2] == []


def test_a_feature_that_reads_one_day_too_far_is_caught(
    lived: "Warehouse", truncated: "Warehouse", feeds: Mapping, tmp_path: Path
) -> None:
    leaky = Path(shutil.copytree(PROJECT, tmp_path / "project"))
    model = leaky / "models/features/as_of/int_snapshot_orders.sql"
    honest = model.read_text()
    model.write_text(honest.replace("days.order_date < slices.as_of", "days.order_date <= slices.as_of"))
    warehouse = lived.copy(tmp_path)
    changed = ["int_snapshot_orders", "customer_features"]
    warehouse.dbt("run", "--select", *changed, project=leaky, feeds=feeds, as_of=AS_OF)
    assert "count_orders_30d" in differing(slice_of(warehouse, AS_OF), slice_of(truncated, AS_OF))


def test_only_the_slice_of_the_day_is_built_again_and_it_is_the_same_row_for_row(
    lived: "Warehouse", feeds: Mapping, tmp_path: Path
) -> None:
    everything = "select * from features.customer_features order by as_of, customer_id"
    again = lived.copy(tmp_path)
    again.dbt("run", "--select", "path:models/features", feeds=feeds, as_of=AS_OF, snapshots=SNAPSHOTS)
    pd.testing.assert_frame_equal(again.query(everything), lived.query(everything), check_exact=True)
    built = again.query("select distinct cast(as_of as varchar) as day from intermediate.int_snapshot_weeks")
    assert list(built["day"]) == [AS_OF]


def test_a_feature_that_is_declared_anew_fills_the_slices_of_the_run_and_one_that_is_gone_leaves_them(
    lived: "Warehouse", feeds: Mapping, tmp_path: Path
) -> None:
    before = lived.copy(tmp_path)
    before.execute(
        "alter table features.customer_features drop column count_orders_30d",
        "alter table features.customer_features add column count_ghosts double",
    )
    before.dbt("run", "--select", "path:models/features/as_of", "customer_features", feeds=feeds, as_of=AS_OF)
    now = slice_of(before, AS_OF)
    pd.testing.assert_frame_equal(now[list(slice_of(lived, AS_OF))], slice_of(lived, AS_OF), check_exact=True)
    assert "count_ghosts" not in now


def test_the_wanted_slices_and_no_others_exist(lived: "Warehouse") -> None:
    days = lived.query("select distinct cast(as_of as varchar) as day from features.customer_features order by 1")
    assert list(days["day"]) == [*SNAPSHOTS, AS_OF]
