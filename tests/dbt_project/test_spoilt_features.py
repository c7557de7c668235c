"""A feature of any family that came out empty, constant or exploded is stopped by the features gate, by its name."""

import json
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from company.contract import TABLES
from company.policy import load_policy
from company.taxonomy import FAMILIES
from dbt_project.library import load_library
from expectations.features import build
from expectations.gate import run_gate
from orchestration.dbt import read_ranges

if TYPE_CHECKING:
    from tests.dbt_project.conftest import Warehouse

AS_OF, BEFORE = date(2017, 12, 1), date(2017, 10, 1)
RHYTHM = ["share_orders_of_usual", "shortfall_orders_28d", "shortfall_largest"]
SPOILS = {"feature_is_filled": "null", "feature_varies": "3", "feature_has_not_exploded": "1000 * (1 + {name})"}


def choose(warehouse: "Warehouse", family: str) -> list[str]:
    """As many features of a family as there are ways to spoil one: filled for everybody, and without an upper bound."""
    snapshots = warehouse.query(f"select * from features.customer_features where as_of = '{BEFORE}'")
    names = [
        feature.name
        for feature in load_library().features
        if feature.family == family
        and feature.high is None
        and snapshots[feature.name].notna().mean() > 0.9
        and snapshots[feature.name].nunique() > 1
    ]
    return names[: len(SPOILS)]


def test_a_spoilt_feature_of_every_family_is_stopped_by_its_name(lived: "Warehouse", tmp_path: Path) -> None:
    warehouse, gates = lived.copy(tmp_path), load_policy().gates
    chosen = {family: choose(warehouse, family) for family in FAMILIES}
    assert {family: len(names) for family, names in chosen.items()} == dict.fromkeys(FAMILIES, len(SPOILS))
    chosen["rhythm"] = RHYTHM
    spoilt = {rule: {names[place] for names in chosen.values()} for place, rule in enumerate(SPOILS)}
    changes = [f"{name} = {SPOILS[rule].format(name=name)}" for rule, names in spoilt.items() for name in names]
    warehouse.execute(f"update features.customer_features set {', '.join(changes)} where as_of = '{AS_OF}'")
    ranges = read_ranges(
        json.loads((lived.home / "dbt" / "target" / "manifest.json").read_text()),
        SimpleNamespace(tables=dict.fromkeys(TABLES)),
        null_share=gates.maximum_null_share,
    )
    suites = build(
        ranges,
        as_of=AS_OF,
        previous=BEFORE,
        snapshots=[BEFORE, AS_OF],
        explosion_factor=gates.explosion_factor,
        minimum_rows=1,  # of so few customers hardly a feature is broad; a rare one only warns
    )
    verdict = run_gate(suites, database=Path(warehouse.path), docs=tmp_path / "gates")
    stopped = {
        rule: {outcome.column for outcome in verdict.failures if outcome.expectation == rule} & names
        for rule, names in spoilt.items()
    }
    assert stopped == spoilt
