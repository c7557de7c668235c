"""The library is the one place where a feature is declared; what it writes is what is committed."""

import re
from pathlib import Path

import pytest
import yaml

from company.contract import TABLES
from company.taxonomy import FAMILIES, REASONS
from dbt_project.library import GENERATED, HERE, LibraryError, load_library, render

ENTRY = {
    "name": "count_{w}d",
    "windows": [7, 30],
    "sql": "sum(n) filter (where age_days <= {w})",
    "family": "purchase",
    "unit": "orders",
    "reason": "inactivity",
    "means": "orders in {w} days",
    "en": "{value:.0f} orders in {w} days",
    "zh": "{w}天{value:.0f}单",
}
GROUP = {"name": "orders", "needs": ["orders"], "from": "int_days", "day": "order_date"}


def write(folder: Path, **changes: object) -> Path:
    (folder / "orders.yaml").write_text(yaml.dump(GROUP | {"features": [ENTRY | changes]}))
    return folder


def test_the_committed_models_are_what_the_library_writes() -> None:
    rendered = render(load_library())
    assert {name: (HERE / name).read_text(encoding="utf-8") for name in rendered} == rendered


def test_no_generated_model_outlives_its_group() -> None:
    written = {path.relative_to(HERE).as_posix() for path in (HERE / GENERATED).rglob("*.*")}
    assert written == set(render(load_library()))


def test_generated_files_are_few_lines_that_git_knows_as_generated() -> None:
    lines = sum(text.count("\n") for text in render(load_library()).values())
    attributes = (HERE.parent / ".gitattributes").read_text(encoding="utf-8")
    assert lines <= 3500
    assert f"dbt_project/{GENERATED}/** linguist-generated" in attributes.splitlines()


def test_a_number_in_a_phrase_says_what_it_counts() -> None:
    bare = [each.name for each in load_library().features if re.search(r"\bat \{value:[^%}]*f\}", each.en)]
    assert bare == []


def test_a_file_that_declares_several_groups_fills_its_words_in(tmp_path: Path) -> None:
    own = {"many": {"one": "thing", "needs": ["orders"], "from": "int_things"}}
    body = {"each": own, "day": "order_date", "features": [ENTRY | {"name": "share_{one}_{w}d", "means": "{name}"}]}
    (tmp_path / "things.yaml").write_text(yaml.dump(body))
    (group,) = load_library(tmp_path).groups
    assert (group.name, group.source, group.needs) == ("many", "int_things", ("orders",))
    assert [(feature.name, feature.means) for feature in group.features] == [
        ("share_thing_7d", "many"),
        ("share_thing_30d", "many"),
    ]


def test_an_entry_with_windows_is_one_feature_per_window(tmp_path: Path) -> None:
    features = load_library(write(tmp_path)).features
    assert [(feature.name, feature.sql, feature.window) for feature in features] == [
        ("count_7d", "sum(n) filter (where age_days <= 7)", 7),
        ("count_30d", "sum(n) filter (where age_days <= 30)", 30),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"family": "mood"}, "orders.yaml: the entry `count_{w}d` has the family `mood`; take one of"),
        ({"reason": "stars"}, "orders.yaml: the entry `count_{w}d` has the reason `stars`; take one of"),
        (
            {"reason": "{item}", "over": {"price": "价格", "moon": "月"}},
            "orders.yaml: the entry `count_{w}d` has the reason `moon`",
        ),
        ({"reason": "{item}"}, "orders.yaml: the entry `count_{w}d` has the reason `None`"),
        ({"colour": "red"}, "orders.yaml: the entry `count_{w}d` has the unknown key `colour`"),
        ({"name": "same"}, "The feature `same` is declared twice"),
    ],
)
def test_a_wrong_entry_is_refused_by_file_and_name(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(LibraryError) as refused:
        load_library(write(tmp_path, **changes))
    assert str(refused.value).startswith(message)


def test_every_phrase_can_be_spoken_of_a_value() -> None:
    for feature in load_library().features:
        assert "{" not in feature.en.format(value=0.5) + feature.zh.format(value=0.5)


def test_every_feature_rests_on_canonical_tables_alone() -> None:
    assert {table for feature in load_library().features for table in feature.needs} <= set(TABLES)


def test_every_reason_has_features_that_support_it() -> None:
    assert set(REASONS) - {feature.reason for feature in load_library().features} == set()


def test_all_seven_families_have_features() -> None:
    families = {feature.family for feature in load_library().features}
    assert families == set(FAMILIES)
