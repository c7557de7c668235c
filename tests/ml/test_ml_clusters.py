"""Clusters: found again whatever the seed of the noise, named by what sets them apart, the same ones next month."""

from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from ml.clusters import Clustering, assign_clusters, find_clusters, in_singular
from ml.dataset import Feature

FEATURES = (
    Feature("visits", "retention", "visits", "engagement", "{value:.0f} visits", "访问{value:.0f}次"),
    Feature("visits_again", "retention", "visits", "engagement", "{value:.0f} visits again", "再访{value:.0f}次"),
    Feature("spend", "value", "currency", "spend_fall", "{value:.0f} spent", "消费{value:.0f}"),
    Feature("silent", "value", "currency", "other", "nothing", "无"),
)
TRUTH = np.repeat([0, 1, 2], 200)


def slice_of(month: int, *, seed: int, customers: int = 600, shift: float = 0.0) -> pa.Table:
    """Three kinds of customers in a seeded order: few visits and much money, many and little, some and some."""
    rng = np.random.default_rng(seed)
    kind = TRUTH[:customers]
    visits = np.array([5.0, 50.0, 20.0])[kind] + rng.normal(0, 1.5, customers) + shift
    spend = np.array([900.0, 40.0, 300.0])[kind] + rng.normal(0, 12, customers)
    return pa.table(
        {
            "as_of": pa.array([date(2026, month, 1)] * customers),
            "customer_id": [f"c{number:04d}" for number in range(customers)],
            "visits": visits,
            "visits_again": visits * 3 + rng.normal(0, 0.1, customers),
            "spend": np.where(rng.random(customers) < 0.02, np.nan, spend),
            "silent": np.zeros(customers),
        }
    )


@pytest.fixture(scope="module")
def found() -> Clustering:
    """The clusters of January."""
    return find_clusters(slice_of(1, seed=1), FEATURES)


def ids(clustering: Clustering) -> np.ndarray:
    return clustering.members.column("cluster_id").to_numpy()


def test_kinds_of_customers_become_clusters(found: Clustering) -> None:
    pairs = {(int(kind), int(cluster)) for kind, cluster in zip(TRUTH, ids(found), strict=True)}
    large = [pair for pair in pairs if ((pair[0] == TRUTH) & (pair[1] == ids(found))).sum() > 20]
    assert len(large) == 3
    assert len({cluster for _, cluster in large}) == 3


def test_a_feature_that_repeats_another_or_tells_nothing_is_not_used(found: Clustering) -> None:
    assert list(found.clusters[0].centre) == ["visits", "spend"]


def test_a_cluster_is_named_by_what_sets_it_apart(found: Clustering) -> None:
    of_the_first = next(each for each in found.clusters if each.cluster_id == ids(found)[0])
    assert (of_the_first.name_en, of_the_first.name_zh) == ("5 visits, 897 spent", "访问5次,消费897")


def test_a_cluster_says_how_active_and_how_valuable_its_customers_are() -> None:
    table = slice_of(1, seed=1).rename_columns(
        ["as_of", "customer_id", "count_active_days_90d", "visits_again", "amount_spent_365d", "silent"]
    )
    features = [replace(each, name=name) for each, name in zip(FEATURES, table.column_names[2:], strict=True)]
    named = find_clusters(table, features)
    kind = {each.cluster_id: each.kind for each in named.clusters}
    assert [kind[ids(named)[row]] for row in (0, 200, 400)] == [
        "low_activity_high_value", "high_activity_low_value", "medium_activity_medium_value",
    ]  # fmt: skip
    first = next(each for each in named.clusters if each.cluster_id == ids(named)[0])
    assert first.name_en.startswith("low activity, high value: 5 visits")
    assert first.name_zh.startswith("活跃度低,价值高:")


def test_the_same_slice_gives_the_same_clusters(found: Clustering) -> None:
    again = find_clusters(slice_of(1, seed=1), FEATURES)
    assert again.clusters == found.clusters
    assert again.members.equals(found.members)


def test_clusters_keep_their_ids_in_a_later_month(found: Clustering) -> None:
    later = find_clusters(slice_of(2, seed=2, shift=2.0), FEATURES, before=found.clusters[::-1])
    assert (ids(later) == ids(found)).mean() > 0.97


def test_a_cluster_unlike_all_before_gets_a_new_id(found: Clustering) -> None:
    inverted = slice_of(2, seed=2).set_column(4, "spend", pa.array(np.where(TRUTH == 1, 5000.0, 1.0) + np.arange(600)))
    later = find_clusters(inverted, FEATURES, before=found.clusters)
    known = {each.cluster_id for each in found.clusters}
    assert {each.cluster_id for each in later.clusters} - known == {max(known) + 1, max(known) + 2}


def test_within_a_month_customers_move_between_clusters_that_stay(found: Clustering) -> None:
    table = slice_of(1, seed=3)
    moved = assign_clusters(table, FEATURES, clusters=found.clusters)
    assert [each.name_en for each in moved.clusters] == [each.name_en for each in found.clusters]
    assert (ids(moved) == ids(found)).mean() > 0.97


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("1 late deliveries in the last 30 days", "1 late delivery in the last 30 days"),
        ("last order 1 days ago", "last order 1 day ago"),
        ("active on 1 of the last 30 days", "active on 1 of the last 30 days"),
        ("21 orders, 0.1 orders", "21 orders, 0.1 orders"),
    ],
)
def test_one_of_something_is_named_in_the_singular(phrase: str, expected: str) -> None:
    assert in_singular(phrase) == expected


@pytest.mark.parametrize("customers", [0, 1, 49])
def test_too_few_customers_have_no_clusters(customers: int) -> None:
    assert find_clusters(slice_of(1, seed=1, customers=49).slice(0, customers), FEATURES).clusters == ()
