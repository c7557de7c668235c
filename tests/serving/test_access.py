"""Rights: whatever is asked, nothing leaves the rows and the columns that the file gives a role."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from published_shop import make_tables, write_snapshot

from company.yaml_file import load_yaml
from serving.access import (
    MASK_OF_TEXT,
    Access,
    AccessDeniedError,
    Condition,
    Grant,
    Measure,
    MissingFieldError,
    Order,
    Question,
    read_access,
)
from serving.snapshot import Snapshot

ROOT = Path(__file__).parents[2]
ACCESS = read_access()
PEOPLE = [
    (role, owner, region)
    for role in ACCESS.roles
    for owner, region in [("ann", "north"), ("customer service", None), (None, None)]
]
RELATIONS = ACCESS.relations.customer
COLUMNS = sorted({name for names in ACCESS.fields.values() for name in names} | {"nobody_listed_this", "1; drop table"})
VALUES = some.one_of(some.none(), some.integers(-5, 2000), some.sampled_from(["ann", "north", "high", "' or true --"]))
CONDITIONS = some.builds(
    Condition,
    column=some.sampled_from(COLUMNS),
    comparison=some.sampled_from(["=", "<", ">", ">=", "is null", "is not null"]),
    value=VALUES,
)
ORDERS = some.builds(Order, column=some.sampled_from(COLUMNS), descending=some.booleans())
QUESTIONS = some.builds(
    Question,
    relation=some.sampled_from(RELATIONS),
    columns=some.lists(some.sampled_from(COLUMNS), max_size=4, unique=True).map(tuple),
    where=some.lists(CONDITIONS, max_size=2).map(tuple),
    among=some.lists(CONDITIONS, max_size=1).map(tuple),
    order=some.lists(ORDERS, max_size=2).map(tuple),
    after=some.lists(VALUES, max_size=2).map(tuple),
    limit=some.one_of(some.none(), some.integers(0, 50)),
)


def allowed_customers(grant: Grant, customers: pd.DataFrame) -> set[str]:
    """The rule of the rows, written a second time in another language."""
    rule = ACCESS.roles[grant.role].rows
    if rule == "own":
        customers = customers.loc[customers["responsible"] == grant.parameters["owner"]]
    elif rule == "region":
        customers = customers.loc[customers["region"] == grant.parameters["region"]]
    elif rule == "none":
        customers = customers.head(0)
    return set(customers["customer_id"])


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("relation", RELATIONS)
def test_every_role_reads_its_rows_and_its_fields_of_every_relation(
    person: tuple[str, str | None, str | None], relation: str, snapshot: Snapshot, tables: dict[str, pd.DataFrame]
) -> None:
    role, owner, region = person
    grant = ACCESS.grant(role, owner=owner, region=region)
    rows = snapshot.ask(grant, Question(relation=relation))
    mine = tables[relation].loc[tables[relation]["customer_id"].isin(allowed_customers(grant, tables["customers"]))]
    assert len(rows) == len(mine)
    shown = set(rows[0]) if rows else set()
    assert shown <= {name for name in tables[relation] if grant.sees(name) != "hidden"}
    for name in shown:
        values = {row[name] for row in rows}
        if grant.sees(name) == "masked":
            assert all(is_masked(value) for value in values), name
        elif name == "customer_id":
            assert values == set(mine["customer_id"])


def is_masked(value: object) -> bool:
    if isinstance(value, float):
        return value == 0 or f"{abs(value):e}".startswith("1.000000e")
    return value is None or value == MASK_OF_TEXT


@settings(max_examples=400, deadline=None)
@given(person=some.sampled_from(PEOPLE), question=QUESTIONS)
def test_no_question_leaves_the_rows_and_the_fields_of_the_role(
    person: tuple[str, str | None, str | None], question: Question, snapshot: Snapshot, tables: dict[str, pd.DataFrame]
) -> None:
    import duckdb

    role, owner, region = person
    grant = ACCESS.grant(role, owner=owner, region=region)
    used = {each.column for each in (*question.where, *question.among, *question.order)}
    try:
        rows = snapshot.ask(grant, question)
    except (AccessDeniedError, MissingFieldError):
        return
    except (duckdb.ConversionException, duckdb.BinderException):  # a word compared with a number
        rows = []
    assert all(grant.sees(name) == "clear" for name in used)
    customers = tables["customers"]
    allowed = customers.loc[customers["customer_id"].isin(allowed_customers(grant, customers))]
    for row in rows:
        assert all(grant.sees(name) != "hidden" or name == "nothing" for name in row)
        if grant.sees("customer_id") == "clear":
            assert row.get("customer_id") in {None, *allowed["customer_id"]}
        assert row.get("city") in {None, MASK_OF_TEXT, *allowed["city"]}
    assert len(rows) <= len(tables[question.relation])


@pytest.mark.parametrize("role", ACCESS.roles)
def test_counting_sees_what_listing_sees_and_no_masked_field(role: str, snapshot: Snapshot) -> None:
    grant = ACCESS.grant(role, owner="ann")
    listed = snapshot.ask(grant, Question(relation="customers", columns=("position",)))
    counted = Question(relation="customers", measures=(Measure(function="count", name="customers"),))
    assert snapshot.ask(grant, counted) == [{"customers": len(listed)}]
    for name in (name for names in ACCESS.fields.values() for name in names if grant.sees(name) != "clear"):
        for question in (
            Question(relation="customers", measures=(Measure(function="max", name="most", column=name),)),
            Question(relation="customers", columns=(name,), measures=(Measure(function="count", name="customers"),)),
        ):
            with pytest.raises(AccessDeniedError):
                snapshot.ask(grant, question)


def test_pages_by_key_bring_every_row_once_whatever_the_order(snapshot: Snapshot) -> None:
    grant = ACCESS.grant("retention_manager")
    for order in (
        (Order(column="position"),),
        (Order(column="money_at_risk", descending=True), Order(column="position")),
        (Order(column="score"), Order(column="position")),
        (Order(column="owner"), Order(column="position")),
    ):
        names = tuple(each.column for each in order)
        whole = snapshot.ask(grant, Question(relation="customers", columns=names, order=order))
        paged: list[dict[str, object]] = []
        after: tuple[object, ...] = ()
        while rows := snapshot.ask(
            grant, Question(relation="customers", columns=names, order=order, after=after, limit=7)
        ):
            paged += rows
            after = tuple(rows[-1][name] for name in names)
        assert paged == whole


def test_a_relation_that_nobody_declared_is_refused(snapshot: Snapshot) -> None:
    with pytest.raises(AccessDeniedError, match="not one that anybody may read"):
        snapshot.ask(ACCESS.grant("admin"), Question(relation="duckdb_settings()"))


def test_a_file_that_names_what_does_not_exist_is_refused() -> None:
    content = ACCESS.model_dump()
    content["roles"]["agent"]["masked"] = ["momey"]
    with pytest.raises(ValueError, match="the role 'agent' names"):
        Access.model_validate(content)


def test_every_published_column_has_a_class() -> None:
    """Of the columns that dbt publishes none is forgotten: a forgotten one would be hidden from everybody."""
    models = {}
    for path in (ROOT / "dbt_project/models").rglob("*.yml"):
        for model in load_yaml(path).get("models", []):
            models[model["name"]] = [column["name"] for column in model.get("columns", [])]
    published = {*models["customers"], *models["published_customers"]}
    assert sorted(published - {name for names in ACCESS.fields.values() for name in names}) == []


def test_a_snapshot_that_is_swapped_in_is_read_at_once_and_the_one_before_to_its_end(
    tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    path = tmp_path / "holdfast.duckdb"
    write_snapshot(path, tables)
    snapshot, grant = Snapshot(path=path), ACCESS.grant("admin")
    count = Question(relation="customers", measures=(Measure(function="count", name="customers"),))
    before = snapshot.ask(grant, count)
    reading = snapshot._current().connection.cursor().execute("select customer_id from snapshot.customers")
    write_snapshot(path, make_tables(count=9))
    assert (before, snapshot.ask(grant, count), len(reading.fetchall())) == (
        [{"customers": 40}],
        [{"customers": 9}],
        40,
    )


def test_nothing_outside_the_snapshot_can_be_reached_through_it(snapshot: Snapshot) -> None:
    import duckdb

    for text in (
        "select * from read_text('/etc/hostname')",
        "attach '/tmp/other.duckdb'",
        "create table snapshot.t (i int)",
    ):
        with pytest.raises(duckdb.Error):
            snapshot._current().connection.cursor().execute(text).fetchall()
