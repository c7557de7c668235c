"""What a model looks at, and whether it looks at the same from month to month."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ml.dataset import Rows, Tabular, as_table, days
from ml.training.pipeline import Model


@dataclass(frozen=True)
class Importance:
    """Each feature's share of the mean absolute contribution, over all months and by month; shares sum to 1."""

    shares: Mapping[str, float]
    by_month: Mapping[str, Mapping[str, float]]

    @property
    def stability(self) -> float | None:
        """Lowest rank correlation (Spearman) of two months' shares; None where there is but one month.

        Features without any share are left out: their ties would make any model look stable.
        """
        from scipy.stats import spearmanr

        names = [name for name, share in self.shares.items() if share > 0]
        ranks = [np.array([month[name] for name in names]) for month in self.by_month.values()]
        if len(ranks) < 2 or len(names) < 2:  # noqa: PLR2004 - a pair
            return None
        pairs = [(one, other) for place, one in enumerate(ranks) for other in ranks[:place]]
        return min(float(spearmanr(one, other).statistic) for one, other in pairs)


def measure_importance(model: Model, table: Tabular, time: str, *, months: int, rows: int) -> Importance:
    """Measure the importance on the last `months` snapshots of a stacked table, on at most `rows` rows of each."""
    data = as_table(table)
    when = days(data, time)
    found: dict[str, dict[str, float]] = {}
    sizes: list[int] = []
    for month in np.unique(when)[-months:]:
        mine = _spread(np.flatnonzero(when == month), rows)
        found[str(month)] = model.importance(data.take(pa.array(mine)))
        sizes.append(len(mine))
    mean = np.average([[each[name] for name in model.features] for each in found.values()], axis=0, weights=sizes)
    return Importance(dict(zip(model.features, mean.tolist(), strict=True)), found)


def _spread(rows: Rows, most: int) -> Rows:
    """Return at most `most` of the rows, at even distances."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.intp)]
