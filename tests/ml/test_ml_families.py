"""Families: their scores, whose weights they have, and what the rule-based fallback makes of them."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from company.policy import PolicyError, load_policy
from company.policy.training import RiskSignal
from company.taxonomy import FAMILIES
from ml.cold_start.families import (
    learn_weights,
    measure_spread,
    score_families,
    tabulate_scores,
    weigh_families,
    weigh_signals,
)

EQUAL = dict.fromkeys(FAMILIES, 1.0)
OF = {"silent": "retention", "angry": "service", "slow": "service"}
SIGNALS = tuple(
    RiskSignal(en=name, zh=name, feature=name, at_least=1, weight=weight)
    for name, weight in (("silent", 2.0), ("angry", 3.0), ("slow", 1.0))
)
TABLE = pa.table(
    {
        "as_of": [date(2026, 1, 1)] * 2,
        "customer_id": ["a", "b"],
        "silent": [1.0, 0.0],
        "angry": [1.0, None],
        "slow": [0.0, None],
    }
)


def test_a_family_scores_by_the_weight_of_its_known_signs_that_show() -> None:
    scores = score_families(TABLE, SIGNALS, OF)
    assert tabulate_scores(TABLE, scores).drop_columns(["as_of"]).to_pylist() == [
        {"customer_id": "a", "family": "service", "score": 75.0},
        {"customer_id": "a", "family": "retention", "score": 100.0},
        {"customer_id": "b", "family": "retention", "score": 0.0},
    ]


def test_weights_are_one_on_average_whoever_gives_them() -> None:
    panel = {"ann": {**EQUAL, "service": 8.0}, "ben": EQUAL, "cat": {**EQUAL, "service": 2.0}}
    for rules in (
        {"weighting": "experts", "experts": {**EQUAL, "service": 8}},
        {"weighting": "delphi", "delphi": [{"ann": EQUAL}, panel]},
        {"weighting": "scenario", "scenario": "price war"},
    ):
        found = weigh_families(load_policy({"families": rules}).families).weights
        assert sum(found.values()) == pytest.approx(len(FAMILIES))
        assert max(found.values()) > 1
    by_panel = weigh_families(load_policy({"families": {"weighting": "delphi", "delphi": [panel]}}).families)
    assert by_panel.weights["service"] == pytest.approx(2 * by_panel.weights["value"])
    assert by_panel.spread["service"] == pytest.approx((5.0 - 1.5) / 2)
    assert by_panel.spread["value"] == 0


def test_a_panel_that_agrees_has_no_spread() -> None:
    assert set(measure_spread({"ann": EQUAL, "ben": EQUAL}).values()) == {0.0}


def test_what_the_data_show_counts_the_more_the_more_have_left() -> None:
    rng = np.random.default_rng(0)
    churned = (rng.random(2_000) < 0.2).astype(float)
    scores = pa.table({
        family: rng.normal(size=2_000) + (1.5 * churned if family == "service" else 0) for family in FAMILIES
    })  # fmt: skip
    many, few = learn_weights(scores, churned), learn_weights(scores.slice(0, 300), churned[:300])
    assert many["service"] > few["service"] > 2
    assert sum(many.values()) == pytest.approx(len(FAMILIES))
    assert learn_weights(scores.slice(0, 30), churned[:30])["service"] == 1


def test_signs_are_weighed_by_their_family_and_fall_out_at_none() -> None:
    weighed = weigh_signals(SIGNALS, OF, {**EQUAL, "service": 0.0, "retention": 1.5})
    assert [(each.feature, each.weight) for each in weighed] == [("silent", 3.0)]


@pytest.mark.parametrize(
    ("families", "message"),
    [
        ({"experts": {"service": 1}, "weighting": "delphi"}, "delphi has no round"),
        ({"weighting": "scenario", "scenario": "flood"}, "'flood', which is none of"),
        ({"delphi": [{"ann": {"service": 1}}]}, "round 1 of ann has no weight for satisfaction"),
        ({"experts": dict.fromkeys(FAMILIES, 0)}, "experts gives every family the weight 0"),
    ],
)
def test_weights_that_weigh_nothing_are_refused_with_the_key(families: dict[str, object], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        load_policy({"families": families})
