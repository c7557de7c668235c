"""company.yaml: what is refused, and in which words."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from company.file_faults import CompanyError
from ingestion.readers import load_company
from ingestion.starter import write_company

if TYPE_CHECKING:
    from conftest import Shop


def test_a_sound_file_is_read_as_it_was_written(shop: "Shop") -> None:
    company = shop.company()
    assert (company.name, company.churn.horizon_days, company.feeds(), company.path, company.secret_names) == (
        "Shop",
        30,
        {"customers": ["raw_shop"], "orders": ["raw_shop"]},
        shop.folder / "company.yaml",
        ("HOLDFAST_ENCRYPTION_KEY", "HOLDFAST_TOKEN_KEY"),
    )


def test_the_secrets_a_company_needs_are_named(shop: "Shop") -> None:
    shop.document["sources"]["crm"] = {"reader": "sql", "connection": "CRM_URL"}
    shop.document["sources"]["desk"] = {"reader": "rest", "url": "https://desk.example", "token": "DESK_TOKEN"}
    shop.customers["columns"]["email"] = "email"
    vault = ("HOLDFAST_MASTER_KEY", "HOLDFAST_TOKEN_KEY", "HOLDFAST_VAULT_KEYS_URL", "HOLDFAST_VAULT_URL")
    assert shop.company().secret_names == ("CRM_URL", "DESK_TOKEN", "HOLDFAST_ENCRYPTION_KEY", *vault)


@pytest.mark.parametrize(
    ("industry", "meant"),
    [
        ("retail", ("inactivity", 60, 30, None)),
        ("telecom", ("spend_fall", 60, 60, 0.8)),  # the first of its definitions that orders can answer
    ],
)
def test_without_churn_the_industrys_usual_definition_holds(
    shop: "Shop", industry: str, meant: tuple[str, int, int, float | None]
) -> None:
    del shop.document["churn"]
    shop.document["industry"] = industry
    churn = shop.company().churn
    assert (churn.definition, churn.active_within_days, churn.horizon_days, churn.fall_share) == meant


def test_where_no_usual_definition_can_be_answered_churn_is_asked_for(shop: "Shop") -> None:
    del shop.document["churn"]
    shop.document["tables"] = {"customers": shop.customers}
    assert "churn: the key `churn` is missing" in shop.load_refused()


def test_the_companys_own_strategy_files_are_those_of_its_folder(shop: "Shop") -> None:
    plays = shop.folder / "plays"
    plays.mkdir()
    for name in ("b.yaml", "a.yaml", "notes.txt"):
        (plays / name).write_text("strategies: []", encoding="utf-8")
    shop.document["strategies"] = "plays"
    assert shop.company().strategy_files == (plays / "a.yaml", plays / "b.yaml")


def test_further_definitions_stand_beside_the_main_one(shop: "Shop") -> None:
    shop.document["churn_also"] = [{"definition": "spend_fall", "fall_share": 0.5, "lead_days": 30}]
    assert [churn.definition for churn in (shop.company().churn, *shop.company().churn_also)] == [
        "inactivity",
        "spend_fall",
    ]


def test_an_unknown_key_is_named_with_its_line_and_its_likely_meaning(shop: "Shop") -> None:
    orders = shop.orders
    orders["colums"] = orders.pop("columns")
    orders["columns"] = orders["colums"]
    fault = "tables.orders.colums: `colums` is an unknown key. Did you mean `columns`?"
    assert shop.load_refused() == f"{shop.folder / 'company.yaml'}, line 27, {fault}"


def test_every_fault_is_told_and_not_only_the_first(shop: "Shop") -> None:
    shop.orders["columns"]["ammount"] = "amount"
    shop.orders["source"] = "shopp"
    del shop.document["tables"]["customers"]
    paragraphs = shop.load_refused().split("\n\n")
    assert [paragraph.split(": ")[0].rsplit(", ", 1)[1] for paragraph in paragraphs] == [
        "tables",
        "tables.orders.source",
        "tables.orders.columns.ammount",
    ]


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        (("timezone",), "Mars/Base", ["timezone", "no time zone"]),
        (("timezone",), None, ["timezone", "None is no time zone"]),
        (("timezone",), 60, ["timezone", "60 is no time zone"]),
        (("currency",), "francs", ["currency", "Correct the value"]),
        (("churn", "horizon_days"), 0, ["churn.horizon_days", "greater than or equal to 1"]),
        (("churn", "definition"), "boredom", ["churn.definition", "'inactivity', 'contract_end'"]),
        (("sources", "shop", "reader"), "fax", ["sources.shop", "`reader: files`"]),
        (("sources", "shop", "folder"), "x", ["sources.shop.folder", "unknown key", "`files`"]),
        (("tables", "ordrs"), {"source": "shop", "from": "sales", "columns": {"a": "b"}}, ["tables.ordrs", "`orders`"]),
        (
            ("tables", "orders", "columns"),
            {"order_id": "a"},
            ["tables.orders.columns", "`ordered_at`", "is not mapped"],
        ),
        (("tables", "orders"), [1], ["tables.orders.0", "block of keys"]),
        (("tables", "orders", "incremental"), "day", ["tables.orders.incremental", "`incremental: file`"]),
        (("tables", "customers", "fresh_within_days"), 2, ["tables.customers.fresh_within_days", "Map `signed_up_at`"]),
        (("path",), "x", ["path", "unknown key"]),
    ],
)
def test_a_wrong_value_is_named_with_its_mend(
    shop: "Shop", path: tuple[str, ...], value: object, parts: list[str]
) -> None:
    part = shop.document
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    said = shop.load_refused()
    assert [piece for piece in parts if piece not in said] == []


def test_two_entries_of_one_table_from_one_source_are_refused(shop: "Shop") -> None:
    shop.document["tables"]["orders"] = [shop.orders, shop.orders]
    assert "union all" in shop.load_refused()


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "company.yaml"
    path.write_text("company: A\nindustry: retail\ncompany: B\n")
    with pytest.raises(CompanyError, match="line 3, company: the key stands here twice"):
        load_company(path)


def test_a_file_that_is_no_yaml_is_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "company.yaml"
    path.write_text("company: A\nindustry: [retail\n")
    with pytest.raises(CompanyError, match=r"line 3: the file is not valid YAML"):
        load_company(path)


@pytest.mark.parametrize("text", ["", "- a\n"])
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "company.yaml"
    path.write_text(text)
    with pytest.raises(CompanyError, match="holds no keys"):
        load_company(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CompanyError, match=r"none\.yaml: the file cannot be read"):
        load_company(tmp_path / "none.yaml")


def test_the_starter_file_is_sound_and_is_never_written_over_another(tmp_path: Path) -> None:
    path = write_company(tmp_path / "new" / "company.yaml")
    assert load_company(path).name == "My Company"
    with pytest.raises(CompanyError, match="exists already"):
        write_company(path)


def test_an_alias_within_itself_is_refused_in_a_paragraph(tmp_path: Path) -> None:
    path = tmp_path / "company.yaml"
    path.write_text("company: A\nchurn: &churn\n  also: *churn\n")
    with pytest.raises(CompanyError, match=r"line 2, churn\.also: an alias stands within what it names"):
        load_company(path)
