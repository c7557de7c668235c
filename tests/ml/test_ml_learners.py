"""Every learner that the policy may name: it ranks, its contributions add up, and it reads back from JSON."""

import json

import numpy as np
import pytest

from ml.evaluate import evaluate
from ml.learners import load_algorithms, load_kinds
from ml.learners.base import Compute


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
