import re
from pathlib import Path
from typing import Any

import pytest

from company.churn import TABLE_OF, ChurnDefinition
from company.contract import TABLES
from company.facts import WORDS
from company.industries import FOLDER, Industry, IndustryError, load_industry, names, read_industry
from company.policy import load_policy

EVERY = pytest.mark.parametrize("name", names())


def test_five_industries_have_a_preset() -> None:
    assert names() == ("ecommerce", "finance", "retail", "saas", "telecom")


@EVERY
def test_a_presets_policy_lies_over_the_default_one(name: str) -> None:
    changes = load_industry(name).policy
    assert _part_of(load_policy(changes).as_dict(), changes) == changes


def _part_of(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    return {key: _part_of(whole[key], value) if isinstance(value, dict) else whole[key] for key, value in part.items()}


@EVERY
def test_a_preset_names_only_tables_and_columns_of_the_contract(name: str) -> None:
    bounds = load_industry(name).bounds
    assert all(bound.column in TABLES[bound.table].names for bound in bounds)
    metrics = {bound.metric for bound in bounds if bound.metric}
    known = next(column.description for column in TABLES["usage"].columns if column.name == "metric")
    assert all(metric in known for metric in metrics)


@EVERY
@pytest.mark.parametrize("table", ["orders", "subscriptions"])
def test_every_industry_can_define_churn_for_the_smallest_companies(name: str, table: str) -> None:
    usual = load_industry(name).usual_churn({"customers", table})
    assert usual is not None
    assert usual.table == table


@EVERY
def test_orders_have_words_in_both_languages(name: str) -> None:
    words = load_industry(name).words
    assert set(words) == set(WORDS)
    assert all(re.search("[\u4e00-\u9fff]", wording.zh) and wording.en for wording in words.values())


@pytest.mark.parametrize(
    ("tables", "kind"),
    [
        ({"customers", "orders", "subscriptions"}, "contract_end"),
        ({"customers", "subscriptions"}, "contract_end"),
        ({"customers", "orders"}, "spend_fall"),
        ({"customers"}, None),
    ],
)
def test_the_preferred_definition_that_the_tables_can_answer_is_the_usual_one(
    tables: set[str], kind: str | None
) -> None:
    usual = load_industry("telecom").usual_churn(tables)
    assert (usual.definition if usual else None) == kind


def test_the_industry_line_is_carried_over_to_another_length_of_time() -> None:
    line = load_industry("retail").churn_line
    assert line.over(line.period_days) == pytest.approx(line.rate)
    assert 1 - (1 - line.over(73)) ** 5 == pytest.approx(line.rate)


def test_an_unknown_industry_is_refused_with_the_known_ones() -> None:
    with pytest.raises(IndustryError) as raised:
        load_industry("retial")
    known = "['ecommerce', 'finance', 'retail', 'saas', 'telecom']"
    assert str(raised.value) == (f"The industry 'retial' is unknown; in company.yaml set `industry` to one of {known}.")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("churn_line:", "churn_lien:", "has a fault at 'churn_line': Field required"),
        ("rate: 0.24", "rate: 24", "has a fault at 'churn_line.rate': Input should be less than or equal to 1"),
        ("definition: inactivity", "definition: absence", "has a fault at 'churn.0.definition'"),
        (", fall_share: 0.8", "", "`fall_share` belongs to the definition `spend_fall`, and that needs one"),
        ("  orders: {en: orders, zh: 下单}\n", "", "`words` lacks orders"),
        ("  orders: {en: orders, zh: 下单}", "  orders: {en: orders}", "has a fault at 'words.orders.zh'"),
        ("orders: {en: orders", "orders: {en: [", "cannot be read"),
    ],
)
def test_a_wrong_preset_is_refused_with_file_key_and_fix(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = (FOLDER / "retail.yaml").read_text(encoding="utf-8")
    path = tmp_path / "retail.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(IndustryError, match=re.escape(message)) as raised:
        read_industry(path)
    assert str(path) in str(raised.value)


def test_a_preset_is_read_from_any_folder(tmp_path: Path) -> None:
    path = tmp_path / "bakery.yaml"
    path.write_bytes((FOLDER / "retail.yaml").read_bytes())
    bakery: Industry = read_industry(path)
    assert (bakery.name, bakery.path) == ("bakery", path)


def test_only_who_ended_a_contract_is_gone_for_good() -> None:
    kinds = {
        kind: ChurnDefinition(definition=kind, fall_share=0.8 if kind == "spend_fall" else None) for kind in TABLE_OF
    }
    assert [kind for kind, churn in kinds.items() if churn.is_final] == ["contract_end", "account_closed"]
