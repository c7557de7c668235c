"""What a policy would have brought on randomised rows, estimated from what other decisions brought there."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ml.effects.randomised import Floats, Ints, Randomised


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean per row with its interval."""

    value: float
    low: float
    high: float


def snips(rows: Randomised, reward: Floats, policy: Ints, *, confidence: float) -> Estimate:
    """Return the self-normalised inverse propensity estimate of a policy's mean reward.

    Args:
        rows: randomised decisions.
        reward: what each row brought.
        policy: the action that the policy would have given each row; its probability must not be 0.
        confidence: of the interval, by the delta method.

    Source: A. Swaminathan and T. Joachims, "The Self-Normalized Estimator for Counterfactual Learning", NIPS 2015.
    """
    places = np.arange(len(policy))
    weight = np.where(rows.given == policy, 1.0 / rows.chances[places, rows.given], 0.0)
    value = float((weight * reward).sum() / weight.sum())
    return _interval(value, weight * (reward - value) / weight.mean(), rows.customers, confidence=confidence)


def doubly_robust(scores: Floats, customers: Ints, policy: Ints, *, confidence: float) -> Estimate:
    """Return the doubly robust estimate of a policy's mean reward from `scores`, rows x actions.

    Source: M. Dudik, J. Langford and L. Li, "Doubly Robust Policy Evaluation and Learning", ICML 2011.
    """
    taken = scores[np.arange(len(policy)), policy]
    return mean(taken, customers, confidence=confidence)


def mean(values: Floats, customers: Ints, *, confidence: float) -> Estimate:
    """Return a mean with an interval that counts a customer's rows as one observation."""
    value = float(values.mean())
    return _interval(value, values - value, customers, confidence=confidence)


def _interval(value: float, deviations: Floats, customers: Ints, *, confidence: float) -> Estimate:
    by_customer = np.bincount(customers, weights=deviations)
    half = NormalDist().inv_cdf(0.5 + confidence / 2) * float(np.sqrt((by_customer**2).sum())) / len(deviations)
    return Estimate(value=value, low=value - half, high=value + half)
