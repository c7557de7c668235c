"""What a feature row may know: nothing of its own day or later, whatever the day it is computed on."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from company.contract import TABLES
from dbt_project.library import HERE as PROJECT
from dbt_project.library import Group, load_library, write
from simulator.parameters import INDUSTRIES

if TYPE_CHECKING:
    from tests.dbt_project.conftest import Warehouse

AS_OF, SNAPSHOTS = "2017-12-01", ["2017-07-01", "2017-10-01"]
ZONE = "America/New_York"
SIMULATED_AS_OF = "2025-06-13"
KNOWN_TOO_EARLY = [
    ("tickets", "first_response_date < as_of", "first_response_date <= as_of"),
    ("tickets", "resolved_date < as_of", "resolved_date <= as_of"),
    ("invoices", "dunned_date < as_of", "dunned_date <= as_of"),
    ("invoices", "disputed_date < as_of", "disputed_date <= as_of"),
    ("deliveries", "failed_date < as_of", "failed_date <= as_of"),
    ("subscriptions", "ended_date >= as_of", "ended_date > as_of"),
    ("subscriptions", "ended_date < as_of", "ended_date <= as_of"),
]
POPULATION = "select as_of, customer_id, definition from features.churn_outcomes where as_of = '{day}' order by all"
VIEW = "select * from customer_360.customers order by customer_id"
RULES = "select * from customer_360.product_rules order by all"
FEATURES = "select * from features.customer_features where as_of = '{day}' order by customer_id"


def slice_of(warehouse: "Warehouse", day: str) -> pd.DataFrame:
    return warehouse.query(FEATURES.format(day=day))


def moment_of(day: str) -> pd.Timestamp:
    """The UTC moment, without a zone, at which a day begins in the company's zone."""
    return pd.Timestamp(day, tz=ZONE).tz_convert("UTC").tz_localize(None)


def differing(left: pd.DataFrame, right: pd.DataFrame) -> list[str]:
    """Columns in which two snapshots of the same customers differ in any bit."""
    assert list(left["customer_id"]) == list(right["customer_id"])
    return [column for column in left if not left[column].equals(right[column])]


def test_every_feature_is_the_same_when_all_later_rows_are_deleted(lived: "Warehouse", truncated: "Warehouse") -> None:
    assert differing(slice_of(lived, AS_OF), slice_of(truncated, AS_OF)) == []


def test_the_customer_view_is_the_same_when_all_later_rows_are_deleted(
    lived: "Warehouse", truncated: "Warehouse"
) -> None:
    assert differing(lived.query(VIEW), truncated.query(VIEW)) == []


@pytest.mark.parametrize("industry", INDUSTRIES)
def test_every_feature_is_the_same_in_every_industry_when_all_later_rows_are_deleted(
    five_lived: "Warehouse", five_truncated: "Warehouse", industry: str
) -> None:
    snapshots = [slice_of(warehouse, SIMULATED_AS_OF) for warehouse in (five_lived, five_truncated)]
    left, right = (rows[rows["customer_id"].str.startswith(industry)].reset_index(drop=True) for rows in snapshots)
    assert len(left) > 100
    assert differing(left, right) == []


@pytest.mark.parametrize("query", [POPULATION.format(day=SIMULATED_AS_OF), VIEW, RULES])
def test_population_view_and_rules_are_the_same_in_every_industry_when_all_later_rows_are_deleted(
    five_lived: "Warehouse", five_truncated: "Warehouse", query: str
) -> None:
    found, expected = five_lived.query(query), five_truncated.query(query)
    assert len(found) > 0
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.parametrize("industry", INDUSTRIES)
def test_visits_of_a_month_down_by_half_are_seen_in_every_industry(five_lived: "Warehouse", industry: str) -> None:
    rows = slice_of(five_lived, SIMULATED_AS_OF)
    ours = rows[rows["customer_id"].str.startswith(industry)]
    assert ours["count_visits_30d"].nunique() > 3
    assert set(ours["is_visits_down_50"].dropna()) == {0.0, 1.0}


@pytest.mark.parametrize("industry", INDUSTRIES)
def test_example_companies_tell_the_signs_of_product_price_and_rivals(five_lived: "Warehouse", industry: str) -> None:
    signs = ["count_product_tickets_180d", "count_price_tickets_180d", "count_comparisons_90d", "count_leave_pages_90d"]
    rows = slice_of(five_lived, SIMULATED_AS_OF)
    own = rows[rows["customer_id"].str.startswith(industry)]
    assert [sign for sign in (*signs, "mean_rating_365d") if not own[sign].max() > 0] == []
    assert rows["count_rival_tickets_180d"].max() > 0


def test_every_feature_takes_more_than_one_value_in_the_company(lived: "Warehouse") -> None:
    values = lived.query("select * from features.customer_features").nunique(dropna=False)
    assert [feature.name for feature in load_library().features if values[feature.name] < 2] == []


def test_every_table_of_the_company_has_rows_of_the_day_itself(company: Mapping) -> None:
    dated = {name: rows[TABLES[name].moment] for name, rows in company["raw_generated"].items() if is_behind(name)}
    begins, ends = moment_of(AS_OF), moment_of("2017-12-02")
    assert [name for name, moments in dated.items() if not moments.between(begins, ends, inclusive="left").any()] == []


def is_behind(table: str) -> bool:
    """Whether rows of a table are taken away by the truncation."""
    return TABLES[table].moment is not None and table != "customers"


def test_features_that_read_one_day_too_far_are_caught_in_every_group(
    lived: "Warehouse", truncated: "Warehouse", feeds: Mapping, tmp_path: Path
) -> None:
    leaky = Path(shutil.copytree(PROJECT, tmp_path / "project"))
    planted = plant_leaks(leaky)
    warehouse = lived.copy(tmp_path)
    warehouse.dbt(
        "run",
        "--select",
        *(f"{model}+1" for model in planted),
        "customer_features",
        project=leaky,
        feeds=feeds,
        as_of=AS_OF,
    )
    caught = set(differing(slice_of(warehouse, AS_OF), slice_of(truncated, AS_OF)))
    names = {model: {feature.name for feature in group.features} for model, group in planted.items()}
    assert "int_bundles_held" in names
    assert [model for model, features in names.items() if not features & caught] == []
    assert {"mean_response_hours_30d", "count_open_tickets", "count_contracts_ended_90d"} <= caught
    # whatever else differs is derived from them
    assert caught - set().union(*names.values()) <= {feature.name for feature in load_library().derived}


def plant_leaks(project: Path) -> dict[str, Group]:
    """Let every group of a copied project read the day of the snapshot; returns them by the models that were changed.

    Cases and contracts are read up to the day before, as they should be, and learn of their ends a day too early.
    """
    for name, honest, leak in KNOWN_TOO_EARLY:
        path = project / "library" / f"{name}.yaml"
        text = path.read_text(encoding="utf-8")
        assert honest in text
        path.write_text(text.replace(honest, leak), encoding="utf-8")
    write(project)
    library = load_library(project / "library")
    groups = {group.model if group.day else group.source: group for group in library.groups}
    for model, group in groups.items():
        (path,) = (project / "models" / "features").rglob(f"{model}.sql")
        honest = path.read_text(encoding="utf-8")
        leak = re.sub(r"< (snapshots|told_of)\.as_of", r"<= \1.as_of", honest)
        assert honest != leak
        if group.name not in {name for name, _, _ in KNOWN_TOO_EARLY}:
            path.write_text(leak, encoding="utf-8")
    return groups


def test_only_the_slice_of_the_day_is_built_again_and_it_is_the_same_row_for_row(
    lived: "Warehouse", run_again: "Warehouse"
) -> None:
    everything = "select * from features.customer_features order by as_of, customer_id"
    pd.testing.assert_frame_equal(run_again.query(everything), lived.query(everything), check_exact=True)
    built = run_again.query("select distinct cast(as_of as varchar) as day from intermediate.int_snapshot_weeks")
    assert list(built["day"]) == [AS_OF]


def test_a_feature_that_is_declared_anew_fills_the_slices_of_the_run_and_one_that_is_gone_leaves_them(
    lived: "Warehouse", feeds: Mapping, tmp_path: Path
) -> None:
    before = lived.copy(tmp_path)
    before.execute(
        "alter table features.customer_features drop column count_orders_30d",
        "alter table features.customer_features add column count_ghosts double",
    )
    before.dbt(
        "run", "--select", "path:models/features/as_of", "path:models/features/generated", feeds=feeds, as_of=AS_OF
    )
    now = slice_of(before, AS_OF)
    pd.testing.assert_frame_equal(now[list(slice_of(lived, AS_OF))], slice_of(lived, AS_OF), check_exact=True)
    assert "count_ghosts" not in now


def test_the_wanted_slices_and_no_others_exist(lived: "Warehouse") -> None:
    days = lived.query("select distinct cast(as_of as varchar) as day from features.customer_features order by 1")
    assert list(days["day"]) == [*SNAPSHOTS, AS_OF]
