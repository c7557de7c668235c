import re
from pathlib import Path
from typing import Any

import pytest

from company.contract import TABLES
from company.industries import FOLDER, Industry, IndustryError, load_industry, names, read_industry
from company.policy import load_policy
from company.taxonomy import FAMILIES

EVERY = pytest.mark.parametrize("name", names())
TWO_TABLES = {"customers", "orders"}
SUBSCRIPTIONS = {"customers", "subscriptions"}


def test_there_are_the_five_industries_of_the_contract() -> None:
    assert names() == ("ecommerce", "finance", "retail", "saas", "telecom")


@EVERY
def test_a_presets_policy_lies_over_the_default_one(name: str) -> None:
    changes = load_industry(name).policy
    assert _part_of(load_policy(changes).as_dict(), changes) == changes


def _part_of(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    return {key: _part_of(whole[key], value) if isinstance(value, dict) else whole[key] for key, value in part.items()}


@EVERY
def test_a_preset_weighs_all_seven_families(name: str) -> None:
    families = [family.family for family in load_industry(name).features]
    assert sorted(families) == sorted(FAMILIES)


@EVERY
def test_a_preset_names_only_tables_and_columns_of_the_contract(name: str) -> None:
    industry = load_industry(name)
    needed = {table for part in (*industry.churn, *industry.features) for table in part.needs}
    assert needed <= set(TABLES)
    assert all(gate.column in TABLES[gate.table].names for gate in industry.gates)
    metrics = {gate.metric for gate in industry.gates if gate.metric}
    known = next(column.description for column in TABLES["usage"].columns if column.name == "metric")
    assert all(metric in known for metric in metrics)


@EVERY
@pytest.mark.parametrize("tables", [TWO_TABLES, SUBSCRIPTIONS])
def test_every_industry_can_define_churn_for_the_smallest_companies(name: str, tables: set[str]) -> None:
    industry = load_industry(name)
    assert industry.families(tables)
    if tables == TWO_TABLES or name != "finance":
        assert industry.definitions(tables)


@EVERY
def test_reasons_are_the_same_codes_in_every_industry_with_both_languages(name: str) -> None:
    reasons = load_industry(name).reasons
    assert list(reasons) == list(load_industry("retail").reasons)
    assert all(re.search("[\u4e00-\u9fff]", wording.zh) and wording.en for wording in reasons.values())


def test_the_preferred_definition_comes_first_and_absent_tables_leave_the_others() -> None:
    telecom = load_industry("telecom")
    kinds = [
        [definition.definition for definition in telecom.definitions(tables)]
        for tables in (TWO_TABLES | SUBSCRIPTIONS, SUBSCRIPTIONS, TWO_TABLES, {"customers"})
    ]
    assert kinds == [
        ["contract_end", "account_closed", "spend_fall", "inactivity"],
        ["contract_end", "account_closed"],
        ["spend_fall", "inactivity"],
        [],
    ]


def test_a_definition_needs_all_of_its_tables() -> None:
    telecom = load_industry("telecom")
    demanding = telecom.churn[0].model_copy(update={"needs": ("subscriptions", "usage")})
    both = telecom.model_copy(update={"churn": (demanding,)})
    assert (both.definitions(SUBSCRIPTIONS), both.definitions({"usage", *SUBSCRIPTIONS})) == ((), (demanding,))


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
        ("weight: 0.35", "weight: 0.30", "the weights of the feature families must sum to 1"),
        ("definition: inactivity", "definition: absence", "has a fault at 'churn.0.definition'"),
        ("active_within_days: 60, ", "", "the definition inactivity needs active_within_days"),
        (", fall_share: 0.8", "", "fall_share belongs to the definition spend_fall, and it needs one"),
        ("family: purchase", "family: shopping", "has a fault at 'features.0.family'"),
        ("label: {en: Retail", "label: {en: [", "cannot be read"),
    ],
)
def test_a_wrong_preset_is_refused_with_file_key_and_mend(old: str, new: str, message: str, tmp_path: Path) -> None:
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
