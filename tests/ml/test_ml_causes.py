import json

import numpy as np
import pyarrow as pa
import pytest

from ml.dataset import Floats
from ml.encode import find_totals
from ml.explaining.causes import Causes

NAMES = ("count_slow_tickets", "count_price_tickets", "count_rival_tickets", "same_as_slow")


def _draw(rows: int = 20_000) -> tuple[pa.Table, Floats]:
    """Tickets of three topics, the first of which makes customers leave; one column repeats it, one has gaps."""
    draw = np.random.default_rng(0)
    slow, price, rival = (draw.random(rows).astype(np.float32) for _ in range(3))
    label = (draw.random(rows) < 1 / (1 + np.exp(2 - slow))).astype(float)
    rival[draw.random(rows) < 0.3] = np.nan
    return pa.table(dict(zip(NAMES, (slow, price, rival, slow), strict=True))), label


def _spread(causes: Causes, table: pa.Table) -> dict[str, float]:
    """Return by how much the evidence of each feature rises from the least customer to the greatest."""
    found = causes.contributions(table)
    return dict(zip(causes.features, np.ptp(found, axis=0).tolist(), strict=True))


def test_a_feature_alone_keeps_most_of_its_slope_and_two_of_the_same_share_it() -> None:
    table, label = _draw()

    alone = _spread(Causes.learn(table, label, NAMES[:3], weight=None, seed=0), table)
    shared = _spread(Causes.learn(table, label, NAMES, weight=None, seed=0), table)

    assert alone[NAMES[0]] == pytest.approx(1 / 1.3, abs=0.1)
    assert max(alone[NAMES[1]], alone[NAMES[2]]) < 0.1
    assert shared[NAMES[0]] == pytest.approx(shared[NAMES[3]], rel=0.01)
    assert shared[NAMES[0]] < 0.8 * alone[NAMES[0]]


def test_a_row_that_stands_for_two_customers_counts_as_two() -> None:
    table, label = _draw(2000)
    twice = pa.concat_tables([table, table])
    given = {"names": NAMES, "seed": 0}

    weighed = Causes.learn(table, label, weight=np.full(len(label), 2.0), **given)
    repeated = Causes.learn(twice, np.concatenate([label, label]), weight=None, **given)

    np.testing.assert_allclose(weighed.contributions(table), repeated.contributions(table), atol=1e-3)


def test_what_was_learned_survives_being_written_where_columns_add_up_to_totals() -> None:
    table, label = _draw(2000)
    assert find_totals(NAMES)
    causes = Causes.learn(table, label, NAMES, weight=None, seed=0)

    again = Causes.restore(json.loads(json.dumps(causes.state())))

    np.testing.assert_array_equal(again.contributions(table), causes.contributions(table))
