"""Isolation forest on the deviations: who is easily set apart from all others (Liu, Ting and Zhou, ICDM 2008)."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ml.anomaly.series import Floats

TREES, ROWS = 50, 128


@dataclass(frozen=True)
class Forest:
    """Trees as arrays of features, thresholds, children and path lengths, and the scale of the deviations."""

    scale: list[float]
    trees: list[dict[str, list[Any]]]

    @classmethod
    def learn(cls, values: Floats, *, seed: int) -> Self:
        """Learn from the deviations of customers (rows) who are mostly as usual."""
        from sklearn.ensemble import IsolationForest

        scale = np.maximum(values.std(axis=0), 1e-3)
        forest = IsolationForest(n_estimators=TREES, max_samples=min(ROWS, len(values)), random_state=seed).fit(
            values / scale
        )
        return cls(scale.astype(float).tolist(), [_describe(each.tree_) for each in forest.estimators_])

    def score(self, values: Floats) -> Floats:
        """Return how easily each customer is set apart: the mean path length, its sign turned."""
        scaled = (values / np.array(self.scale)).astype(np.float32)
        paths = [_follow(scaled, tree) for tree in self.trees]
        found: Floats = -np.mean(paths, axis=0).astype(np.float32)
        return found


def _describe(tree: Any) -> dict[str, list[Any]]:  # noqa: ANN401 - scikit-learn's tree has no type
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):
        for child in (tree.children_left[node], tree.children_right[node]):
            if child >= 0:
                depth[child] = depth[node] + 1
    rest = np.array([_mean_path(int(count)) for count in tree.n_node_samples])
    return {
        "feature": np.maximum(tree.feature, 0).tolist(),
        "threshold": np.round(tree.threshold, 6).tolist(),
        "left": tree.children_left.tolist(),
        "right": tree.children_right.tolist(),
        "path": np.round(depth + rest, 4).tolist(),
    }


def _mean_path(count: int) -> float:
    """Return the path length that is expected of `count` rows that were not parted further."""
    if count <= 1:
        return 0.0
    return float(2 * (np.log(max(count - 1, 1)) + np.euler_gamma) - 2 * (count - 1) / count)


def _follow(values: Floats, tree: dict[str, list[Any]]) -> Floats:
    feature, threshold, left, right, path = (np.array(tree[name]) for name in tree)
    node = np.zeros(len(values), np.intp)
    while (inner := left[node] >= 0).any():
        goes_left = values[np.arange(len(values)), feature[node]] <= threshold[node]
        node = np.where(inner, np.where(goes_left, left[node], right[node]), node)
    found: Floats = path[node].astype(np.float32)
    return found
