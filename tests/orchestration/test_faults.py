"""Bad input: one paragraph that names the file, the key and the fix, exit code 2, and nothing half-loaded."""

import re
from collections.abc import Callable

import duckdb
import pytest
from instance import Instance

SPOILT: dict[str, tuple[Callable[[str], str], list[str]]] = {
    "a missing file": (
        lambda text: text.replace("orders.csv", "gone.csv"),
        [r"company\.yaml", r"sources\.shop\.files\.orders", r"gone\.csv"],
    ),
    "an unreachable database": (
        lambda text: text.replace(
            "    reader: files\n    files: {customers: customers.csv, orders: orders.csv}",
            "    reader: sql\n    connection: SHOP_URL",
        ),
        [r"company\.yaml", r"sources\.shop", r"SHOP_URL"],
    ),
    "a column that does not exist": (
        lambda text: text.replace("amount: total", "amount: totl"),
        [r"company\.yaml", r"tables\.orders\.columns\.amount", r"totl"],
    ),
    "an unknown key": (
        lambda text: text.replace("currency: EUR", "currency: EUR\ncurency: EUR"),
        [r"company\.yaml", r"curency", r"currency"],
    ),
    "an unknown policy key": (
        lambda text: text.replace("tiers: {high: 60", "tiers: {hihg: 60"),
        [r"tiers\.hihg|hihg", r"policy"],
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_bad_input_is_one_paragraph_with_the_mend(
    instance: Instance, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil, named = SPOILT[case]
    instance.company.write_text(spoil(instance.company.read_text()))
    monkeypatch.setenv("SHOP_URL", "postgresql+psycopg2://nobody@127.0.0.1:1/none")
    answer = instance.run()
    said = answer.stdout + answer.stderr
    assert answer.returncode == 2, said
    assert "Traceback" not in said
    assert [pattern for pattern in named if not re.search(pattern, said)] == []
    assert _count_loaded(instance) == 0


def test_an_empty_required_table_is_named(instance: Instance) -> None:
    orders = instance.folder / "orders.csv"
    orders.write_text(orders.read_text().splitlines()[0] + "\n")
    answer = instance.run()
    said = answer.stdout + answer.stderr
    assert answer.returncode == 2, said
    assert "Traceback" not in said
    assert re.search(r"tables\.orders", said)
    assert _count_loaded(instance, table="orders") == 0


def _count_loaded(instance: Instance, table: str = "orders") -> int:
    warehouse = instance.home / "warehouse.duckdb"
    if not warehouse.exists():
        return 0
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        found = connection.execute(
            "select count(*) from information_schema.tables where table_schema = 'raw_shop' and table_name = ?", [table]
        ).fetchone()
    return int(found[0]) if found else 0
