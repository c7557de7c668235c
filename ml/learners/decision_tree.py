"""A single decision tree: a few questions, the same for everybody, that a person can follow to the end."""

from ml.learners.base import Algorithm, Candidate
from ml.learners.trees import Trees

_TREE = {"learning_rate": 1.0, "max_depth": 5, "min_child_weight": 10.0, "reg_lambda": 1.0}
ALGORITHMS = (Algorithm("decision_tree", (Candidate(Trees(params=_TREE, rounds=1)),)),)
