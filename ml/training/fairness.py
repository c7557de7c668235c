"""How a model treats groups of customers: whether its probabilities mean the same for each of them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ml.dataset import Floats


@dataclass(frozen=True)
class GroupFigures:
    """One group's figures on rows the model had not learned from; all are shares but `rows` and `auc`.

    `contacted` is the share of the group among the `capacity` of all customers with the highest scores, `found` the
    share of its churners among them, `contacted_in_vain` that of its stayers. `chance` is two standard errors of its
    churn rate.
    """

    column: str
    group: str
    rows: int
    base_rate: float
    mean_probability: float
    chance: float
    auc: float | None
    contacted: float
    found: float | None
    contacted_in_vain: float | None

    @property
    def gap(self) -> float:
        """How far the group's churn is over- or understated on average."""
        return self.mean_probability - self.base_rate

    def as_dict(self) -> dict[str, Any]:
        """Return the figures by name, the gap among them."""
        return {**asdict(self), "gap": self.gap}


def measure_groups(
    label: Floats,
    probability: Floats,
    groups: Mapping[str, Sequence[str | None]],
    *,
    capacity: float,
    minimum_rows: int,
) -> tuple[GroupFigures, ...]:
    """Return the figures of every group with `minimum_rows` or more, by column and group.

    Args:
        label: 0 or 1 (n).
        probability: of churn (n).
        groups: per column the group that each row belongs to (n), None where it is not known.
        capacity: the share of all customers that can be contacted.
        minimum_rows: smaller groups are left out: their figures would be chance, and could point at a person.
    """
    reach = max(1, round(capacity * len(label)))
    contacted = np.zeros(len(label), dtype=bool)
    contacted[np.argsort(-probability, kind="stable")[:reach]] = True
    found = []
    for column, values in groups.items():
        given = np.array(["" if value is None else str(value) for value in values], dtype=object)
        for group in sorted(set(given) - {""}):
            mine = given == group
            if mine.sum() >= minimum_rows:
                found.append(_figures(column, group, label[mine], probability[mine], contacted[mine]))
    return tuple(found)


def name_unfair(figures: Sequence[GroupFigures], *, protected: Sequence[str], maximum_gap: float) -> tuple[str, ...]:
    """Return a clause for every group of the `protected` columns whose churn is misstated by more than `maximum_gap`.

    What chance may add in a group of its size is not held against the model. Criterion: calibration within groups
    (Kleinberg, Mullainathan and Raghavan, "Inherent trade-offs in the fair determination of risk scores", 2017).
    """
    return tuple(
        f"it misstates the churn of {each.column} {each.group!r} by {each.gap:+.3f}, {maximum_gap:.3f} is allowed"
        for each in figures
        if each.column in protected and is_misstated(each, maximum_gap=maximum_gap)
    )


def is_misstated(figures: GroupFigures, *, maximum_gap: float) -> bool:
    """Tell whether a group's churn is off by more than is allowed and chance explains."""
    return abs(figures.gap) > maximum_gap + figures.chance


def _figures(column: str, group: str, label: Floats, probability: Floats, contacted: Floats) -> GroupFigures:
    from sklearn.metrics import roc_auc_score

    rate, churned = float(label.mean()), label > 0
    both = 0 < rate < 1
    return GroupFigures(
        column=column,
        group=group,
        rows=len(label),
        base_rate=rate,
        mean_probability=float(probability.mean()),
        chance=float(2 * (rate * (1 - rate) / len(label)) ** 0.5),
        auc=float(roc_auc_score(label, probability)) if both else None,
        contacted=float(contacted.mean()),
        found=float(contacted[churned].mean()) if churned.any() else None,
        contacted_in_vain=float(contacted[~churned].mean()) if not churned.all() else None,
    )
