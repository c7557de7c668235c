"""The assets' pages in Dagster after the first run: sizes, columns, first rows, and figures that a person can read."""

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping

import dagster as dg
import duckdb
import pytest
from instance import Instance

from orchestration.metadata import FIRST_ROWS, PUBLIC

Pages = Mapping[str, Mapping[str, dg.MetadataValue]]
LARGEST_PLOT = 60_000  # characters of a data URI
MADE, CHECKED = dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_CHECK_EVALUATION


@pytest.fixture(scope="module")
def events(finished_instance: Instance) -> list[dg.DagsterEvent]:
    """What the run recorded."""
    with dg.DagsterInstance.from_config(str(finished_instance.home / "dagster")) as instance:
        return [
            entry.dagster_event
            for run in instance.get_runs()
            for entry in instance.all_logs(run.run_id, of_type={MADE, CHECKED})
            if entry.dagster_event
        ]


@pytest.fixture(scope="module")
def pages(events: list[dg.DagsterEvent]) -> Pages:
    """The metadata of every asset that the run made, by its table."""
    made = [event.step_materialization_data.materialization for event in events if event.event_type == MADE]
    return {".".join(each.asset_key.path): each.metadata for each in made}


@pytest.fixture(scope="module")
def tables(finished_instance: Instance) -> set[str]:
    """The tables of the warehouse, without views."""
    query = "select table_schema || '.' || table_name from information_schema.tables where table_type = 'BASE TABLE'"
    with duckdb.connect(str(finished_instance.home / "warehouse.duckdb"), read_only=True) as connection:
        return {name for (name,) in connection.execute(query).fetchall()}


def test_every_table_tells_its_rows(pages: Pages, tables: set[str]) -> None:
    assert len(pages.keys() & tables) > 50
    assert [name for name in pages.keys() & tables if "dagster/row_count" not in pages[name]] == []


def test_every_table_that_python_writes_tells_its_columns(pages: Pages, tables: set[str]) -> None:
    python = [name for name in pages.keys() & tables if "seconds" not in pages[name] and not name.startswith("raw_")]
    assert {"scores.churn_scores", "retention.plans", "monitoring.trainings"} <= set(python)
    assert [name for name in python if "dagster/column_schema" not in pages[name]] == []


def test_the_row_count_is_that_of_the_table(finished_instance: Instance, pages: Pages) -> None:
    names = ("customer_360.customers", "features.customer_features", "scores.churn_scores", "retention.plans")
    with duckdb.connect(str(finished_instance.home / "warehouse.duckdb"), read_only=True) as connection:
        counts = [connection.table(name).shape[0] for name in names]
    assert [pages[name]["dagster/row_count"].value for name in names] == counts


def test_no_figure_has_more_digits_than_a_person_reads(events: list[dg.DagsterEvent]) -> None:
    floats = [value for value in list_values(events) if isinstance(value, float)]
    assert len(floats) > 10
    assert [value for value in floats if value != float(f"{value:.6g}")] == []


def test_no_page_is_a_wall_of_figures(pages: Pages) -> None:
    counts = {
        name: sum(isinstance(value.value, int | float) and "/" not in key for key, value in page.items())
        for name, page in pages.items()
    }
    assert {name: count for name, count in counts.items() if count > 11} == {}


def test_the_first_rows_show_public_tables_and_nobody_by_id(finished_instance: Instance, pages: Pages) -> None:
    shown = {name: str(page["first_rows"].value) for name, page in pages.items() if "first_rows" in page}
    assert {"customer_360.customers", "features.customer_features", "scores.churn_scores", "retention.plans"} <= set(
        shown
    )
    assert {name.split(".")[0] for name in shown} <= PUBLIC
    assert max(text.count("\n") for text in shown.values()) == FIRST_ROWS + 1
    with duckdb.connect(str(finished_instance.home / "warehouse.duckdb"), read_only=True) as connection:
        ids = {row[0] for row in connection.execute("select customer_id from customer_360.customers").fetchall()}
    person = ids | {"Köln"}
    assert [name for name, text in shown.items() if person & set(re.findall(r"\w+", text))] == []


def test_scores_and_trainings_link_to_the_version(pages: Pages) -> None:
    names = ("scores.churn_scores", "monitoring.trainings", "monitoring.promotions")
    links = {str(pages[name]["mlflow_version"].value) for name in names}
    assert links == {"http://127.0.0.1:5000/#/models/churn/versions/1"}


def list_values(events: list[dg.DagsterEvent]) -> Iterator[object]:
    for event in events:
        is_made = event.event_type == MADE
        told = event.step_materialization_data.materialization if is_made else event.asset_check_evaluation_data
        yield from (value.value for value in told.metadata.values())


def test_the_training_drift_and_the_forecast_are_drawn(pages: Pages) -> None:
    drawn = {
        (name, key): str(value.value)
        for name, page in pages.items()
        for key, value in page.items()
        if "data:image/png;base64," in str(value.value)
    }
    assert {("monitoring.trainings", "calibration"), ("monitoring.drift", "moved")} <= drawn.keys()
    assert max(map(len, drawn.values())) < LARGEST_PLOT
    images = [b64decode(text.partition("base64,")[2].removesuffix(")"), validate=True) for text in drawn.values()]
    assert {image[:8] for image in images} == {b"\x89PNG\r\n\x1a\n"}


def test_a_model_tells_which_columns_its_columns_come_from(pages: Pages) -> None:
    lineage = pages["features.customer_features"]["dagster/column_lineage"].value
    assert isinstance(lineage, dg.TableColumnLineage)
    assert lineage.deps_by_column["amount_per_order_365d"] == [
        dg.TableColumnDep(dg.AssetKey(["intermediate", "int_snapshot_orders"]), name)
        for name in ("amount_spent_365d", "count_orders_365d")
    ]
