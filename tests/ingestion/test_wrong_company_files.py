"""`holdfast check` on company files that are wrong on purpose: each fault is named by its key, with its fix."""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer.testing import CliRunner

from orchestration.cli import app

if TYPE_CHECKING:
    from conftest import Shop

Change = Callable[[dict[str, Any]], object]


def crm(document: dict[str, Any]) -> dict[str, Any]:
    """Let the customers come from a database."""
    document["sources"]["crm"] = {"reader": "sql", "connection": "CRM_URL"}
    feed: dict[str, Any] = document["tables"]["customers"] | {"source": "crm", "from": "people"}
    document["tables"]["customers"] = feed
    return document


def orders(document: dict[str, Any]) -> dict[str, Any]:
    feed: dict[str, Any] = document["tables"]["orders"]
    return feed


def rename(part: dict[str, Any], old: str, new: str) -> None:
    part[new] = part.pop(old)


WRONG: Mapping[str, tuple[Change, str, str]] = {
    "an unknown key": (lambda d: d.update(timezoen="UTC"), "timezoen", "Did you mean `timezone`?"),
    "an unknown key deep inside": (
        lambda d: d.update(cleaning={"late_day": 3}),
        "cleaning.late_day",
        "Did you mean `late_days`?",
    ),
    "an unknown table": (
        lambda d: d["tables"].update(order={"source": "shop", "from": "sales", "columns": {"order_id": "order_id"}}),
        "tables.order",
        "Did you mean `orders`?",
    ),
    "an unknown canonical column": (
        lambda d: orders(d)["columns"].update(amont="amount"),
        "tables.orders.columns.amont",
        "Did you mean `amount`?",
    ),
    "a column that the source lacks": (
        lambda d: orders(d)["columns"].update(discount="rebate"),
        "tables.orders.columns.discount",
        "Known here:",
    ),
    "bad SQL": (
        lambda d: orders(d)["columns"].update(amount="amount * (2"),
        "tables.orders.columns.amount",
        "Write one SQL expression",
    ),
    "a missing file": (
        lambda d: d["sources"]["shop"]["files"].update(sales="gone/sales-*.csv"),
        "sources.shop.files.sales",
        "Correct the path or bring the file.",
    ),
    "an unset connection": (crm, "sources.crm.connection", "Set it to an address such as"),
    "a wrong time zone": (
        lambda d: d.update(timezone="Europe/Zurick"),
        "timezone",
        "write one such as `Europe/Berlin`",
    ),
    "an unknown industry": (lambda d: d.update(industry="retial"), "industry", "Did you mean `retail`?"),
    "a folder of strategies that is not there": (
        lambda d: d.update(strategies="plays"),
        "strategies",
        "Name a folder with strategy files",
    ),
    "a required table missing": (
        lambda d: d["tables"].pop("customers"),
        "tables",
        "Add `tables.customers`.",
    ),
    "no orders and no contracts": (lambda d: d["tables"].pop("orders"), "tables", "Add `tables.orders` or"),
    "the same source twice": (
        lambda d: d["tables"].update(orders=[orders(d), dict(orders(d))]),
        "tables.orders",
        "`union all`",
    ),
    "a definition that nothing can answer": (
        lambda d: d.update(churn={"definition": "contract_end"}),
        "churn.definition",
        "Connect `tables.subscriptions`",
    ),
    "a fall without its share": (
        lambda d: d.update(churn={"definition": "spend_fall"}),
        "churn",
        "such as 0.8",
    ),
    "a bound on a text": (
        lambda d: d.update(cleaning={"bounds": [{"table": "orders", "column": "channel", "high": 3}]}),
        "cleaning.bounds.0",
        "Known here: `amount`",
    ),
    "a vocabulary for a column that is none": (
        lambda d: d.update(cleaning={"vocabulary": {"orders": {"chanel": {"store": ["hall"]}}}}),
        "cleaning.vocabulary.orders.chanel",
        "Did you mean `channel`?",
    ),
}


def check(shop: "Shop", **environment: str | None) -> tuple[int, str]:
    path = shop.write("company.yaml", yaml.safe_dump(shop.document, sort_keys=False))
    answer = CliRunner().invoke(app, ["check", str(path)], env=environment)
    return answer.exit_code, answer.output


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_refused_with_the_key_and_its_mend(shop: "Shop", name: str) -> None:
    change, key, fix = WRONG[name]
    change(shop.document)
    code, said = check(shop, CRM_URL=None)
    faults = [" ".join(line.split()) for line in said.splitlines() if fix in line]
    assert code == 2, said
    assert [bool(re.match(rf".*company\.yaml(, line \d+)?, {re.escape(key)}: ", fault)) for fault in faults] == [
        True
    ], said


def test_a_database_that_does_not_answer_is_named_by_its_variable_and_never_by_its_password(shop: "Shop") -> None:
    crm(shop.document)
    code, said = check(shop, CRM_URL="postgresql+psycopg2://me:secret-word@127.0.0.1:9/none")
    assert code == 2
    assert re.search(r"sources\.crm\.connection: .*`CRM_URL`", " ".join(said.split())), said
    assert "secret-word" not in said


def test_a_sound_file_passes(shop: "Shop") -> None:
    code, said = check(shop)
    assert code == 0, said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": {"pigeon": {}}}, "The channel 'pigeon' in company.yaml is unknown; use one of"),
        ({"channels": {"webhook": {}}}, "`channels.webhook.url` is missing; add it"),
        (
            {"policy": {"gates": {"maximum_quarantine_share": 5}}},
            "gates.maximum_quarantine_share' cannot hold 5",
        ),
        ({"policy": {"budget": {"amuont": 5}}}, "'budget.amuont'"),
    ],
)
def test_settings_that_a_run_could_not_use_are_refused_in_a_paragraph_of_their_own(
    shop: "Shop", change: dict[str, Any], message: str
) -> None:
    shop.document.update(change)
    code, said = check(shop)
    assert (code, sum(message in line for line in said.splitlines())) == (2, 1), said


@pytest.mark.parametrize("value", ["2024-13-01", "2024-02-30 25:61:00"])
def test_a_value_that_looks_like_a_date_and_is_none_is_named_with_its_line(shop: "Shop", value: str) -> None:
    shop.company()
    path = shop.folder / "company.yaml"
    text = path.read_text().replace("city: city", f"city: {value}")
    path.write_text(text)
    line = next(number for number, each in enumerate(text.splitlines(), 1) if value in each)

    done = CliRunner().invoke(app, ["check", str(path)])

    assert done.exit_code == 2
    said = " ".join(done.output.split())
    assert f"company.yaml, line {line}, tables.customers.columns.city: `{value}` looks like a date" in said
