"""The canonical tables: that the contract does not contradict itself."""

import pytest

from company.contract import TABLES, ColumnType


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_canonical_table_keeps_its_own_rules(name: str) -> None:
    table = TABLES[name]
    described = [column.name for column in table.columns if not column.description]
    personal = [column.name for column in table.columns if column.personal and column.type is not ColumnType.TEXT]
    assert (table.name, len(set(table.names)), described, personal) == (name, len(table.columns), [], [])
    assert set(table.key) <= set(table.names)
    assert table.moment is None or table.column(table.moment).type is ColumnType.MOMENT


def test_only_customers_and_orders_or_subscriptions_are_needed_and_events_belong_to_customers() -> None:
    free = {"products", "campaigns"}
    assert {name for name, table in TABLES.items() if "customer_id" not in table.names} == free
