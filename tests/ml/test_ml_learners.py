"""Every learner that the policy may name: it ranks, its contributions add up, and it reads back from JSON."""

import json

import numpy as np
import pytest

from ml.evaluate import evaluate
from ml.learners import load_algorithms, load_kinds
from ml.learners.base import Compute
from ml.learners.by_cluster import ByCluster
from ml.learners.sequences import Sequences


def make_rows(rows: int = 400, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two columns that matter, one that does not, and gaps."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, 3)).astype(np.float32)
    label = (rng.random(rows) < 1 / (1 + np.exp(1 - 2 * matrix[:, 0] - np.abs(matrix[:, 1])))).astype(float)
    matrix[rng.random(matrix.shape) < 0.05] = np.nan
    return matrix, label


@pytest.mark.parametrize("name", load_algorithms())
def test_a_learner_ranks_adds_up_and_reads_back(name: str) -> None:
    matrix, label = make_rows(seed=0)
    later, truth = make_rows(seed=1)
    learner = load_algorithms()[name].candidates[0].build()
    learner.fit(matrix, label, weight=np.ones(len(label)), seed=0, compute=Compute())
    odds, parts = learner.log_odds(later), learner.contributions(later)
    assert np.allclose(parts.values.sum(axis=1) + parts.base, odds, atol=1e-3)
    assert evaluate(truth, 1 / (1 + np.exp(-odds))).auc > 0.7
    restored = load_kinds()[learner.kind].restore(json.loads(json.dumps(learner.state())))
    assert np.array_equal(restored.log_odds(later), odds)


def test_sums_over_nested_windows_are_read_as_a_sequence_that_fades_or_rises() -> None:
    rng = np.random.default_rng(0)
    fades = rng.random(400) < 0.5
    weekly = rng.poisson(np.where(fades[:, None], np.linspace(6, 0.5, 13), np.linspace(0.5, 6, 13)))
    noise = rng.normal(size=400)
    columns = [weekly[:, -1], noise, weekly[:, -4:].sum(axis=1), weekly.sum(axis=1)]
    matrix = np.column_stack(columns).astype(np.float32)
    names = ["count_logins_7d", "tenure_days", "count_logins_28d", "count_logins_91d"]
    asked = {"weight": None, "seed": 0, "compute": Compute()}
    read = Sequences().name_columns(names).fit(matrix, fades.astype(float), **asked)
    unread = Sequences().fit(matrix, fades.astype(float), **asked)
    parts = read.contributions(matrix)
    assert [set(each) for each in read.windows_] == [{"7", "28", "91"}]
    assert len(read.coefficients_) > len(unread.coefficients_)
    assert np.allclose(parts.values.sum(axis=1) + parts.base, read.log_odds(matrix))
    plain = np.array([[0, 0, 4, 40], [12, 0, 36, 40]], np.float32)  # the same in three months, fading and rising
    assert np.subtract(*read.log_odds(plain)) > np.subtract(*unread.log_odds(plain)) > 0


def test_ratios_and_fewer_than_three_windows_are_no_sequence() -> None:
    names = [
        "amount_per_order_30d",
        "amount_per_order_90d",
        "amount_per_order_365d",
        "count_visits_30d",
        "count_visits_90d",
    ]
    assert Sequences().name_columns(names).windows_ == []


def test_a_cluster_with_enough_rows_has_a_model_of_its_own_and_the_others_share_one() -> None:
    rng = np.random.default_rng(0)
    is_company = rng.random(1600) < 0.5
    matrix = rng.normal(size=(1600, 2)) * 0.1
    matrix = np.column_stack([matrix, *(np.where(is_company, 1.0, 0.0) + 0.05 * rng.normal(size=(3, 1600)))])
    slope = np.where(is_company, 20.0, -20.0)  # what makes one kind leave keeps the other
    label = (rng.random(1600) < 1 / (1 + np.exp(-slope * matrix[:, 0]))).astype(float)
    train, later = np.arange(1200), np.arange(1200, 1600)
    asked = {"weight": None, "seed": 0, "compute": Compute()}
    own, few = (
        ByCluster(clusters=2, fewest_rows=rows).fit(matrix[train], label[train], **asked) for rows in (400, 1000)
    )
    parts = own.contributions(matrix[later])
    assert (sorted(own.own_), sorted(few.own_)) == (["0", "1"], [])
    assert np.allclose(parts.values.sum(axis=1) + parts.base, own.log_odds(matrix[later]))
    ranked = [evaluate(label[later], 1 / (1 + np.exp(-each.log_odds(matrix[later])))).auc for each in (own, few)]
    assert ranked[0] > 0.75
    assert ranked[1] < 0.6
