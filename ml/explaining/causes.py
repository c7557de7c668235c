"""What the causes of leaving predict by themselves, apart from the symptoms that follow from them.

Who is served badly complains, then visits and buys less, then leaves. A model that reads all of it gives the risk to
the silence, which is how leaving looks, and hardly any to the complaint, which is why. So causes count twice: in
the model, next to everything else, and here alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import pyarrow as pa

from company.taxonomy import CAUSES
from ml.dataset import Feature, Floats
from ml.encode import Encoder
from ml.learners.base import Compute
from ml.learners.linear import Linear

PENALTY = 0.3  # of what all rows show about one slope
VARIANCE = 1 / 12  # of a column that is spread evenly over [0, 1], as the linear member's are


def list_causes(features: Sequence[Feature]) -> list[str]:
    """Return the names of the features of a cause."""
    return [each.name for each in features if each.reason in CAUSES]


@dataclass(frozen=True)
class Causes:
    """A ridge regression of churn on the features of a cause, and on no other."""

    encoder: Encoder
    linear: Linear

    @classmethod
    def learn(cls, table: pa.Table, label: Floats, names: Sequence[str], *, weight: Floats | None, seed: int) -> Self:
        """Learn from the columns `names` of labelled rows.

        The penalty weighs `PENALTY` of what all rows show about one slope, so that a feature that stands alone keeps
        three quarters of its slope, and features that repeat each other share one. Source: Hoerl and Kennard,
        Technometrics 1970.
        """
        encoder = _without_totals(Encoder.learn(table, names))
        size = len(label) if weight is None else float(weight.sum())
        rate = label.mean() if weight is None else float((label * weight).sum() / size)
        evidence = size * rate * (1 - rate) * VARIANCE
        linear = Linear(strength=float(1 / (PENALTY * evidence)), knots=0)
        linear.fit(encoder.encode(table), label, weight=weight, seed=seed, compute=Compute())
        return cls(encoder, linear)

    def contributions(self, table: pa.Table) -> Floats:
        """Return what each of `features` adds to the log-odds of churn (rows x features), 0 being the mean customer."""
        return self.encoder.attribute(self.linear.contributions(self.encoder.encode(table)).values)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns it reads."""
        return self.encoder.features

    def state(self) -> dict[str, Any]:
        """Return all there is to it, as JSON can hold it."""
        return {"encoder": self.encoder.state(), "linear": self.linear.state()}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Self:
        """Rebuild from `state`."""
        return cls(_without_totals(Encoder.restore(state["encoder"])), Linear.restore(state["linear"]))


def _without_totals(encoder: Encoder) -> Encoder:
    """Return it without sums of columns, which would give one feature's evidence to others."""
    return replace(encoder, totals=())
