"""Injection: what a change would look like, written into the days of customers who did not change."""

from collections.abc import Callable, Mapping

import numpy as np

from ml.anomaly.profile import LEAST_KNOWN
from ml.anomaly.series import Floats, Places, Series

DROP = 0.3  # share of the volume that is left
BUNCH = 14  # days whose acts fall on one of them
_LEAST = 2.0  # acts in four weeks that make an indicator one that can be abandoned
VOLUME, RHYTHM, ABANDONED = "volume drop", "rhythm broken", "feature abandoned"


def inject(series: Series, kind: str, *, rows: Places, days: int, rng: np.random.Generator) -> tuple[Series, Places]:
    """Return the series with a change of `kind` in the last `days` of the customers at `rows`, and who has it.

    A customer whose days cannot show the change, such as one without a second indicator, is left as they are.
    """
    counts = series.counts.copy()
    changed = [row for row in rows if KINDS[kind](counts[row], days, rng)]
    return Series(
        as_of=series.as_of,
        customers=series.customers,
        indicators=series.indicators,
        counts=counts,
        known_days=series.known_days,
    ), np.array(changed, dtype=np.intp)


def find_quiet(series: Series, *, days: int) -> Places:
    """Return who was known for long and did, in the last `days`, half to twice of what they usually do."""
    before = series.counts[:, :, :-days].sum(axis=(1, 2)) / np.maximum(
        np.minimum(series.known_days, series.days) - days, 1
    )
    now = series.counts[:, :, -days:].sum(axis=(1, 2)) / days
    is_quiet = (series.known_days >= LEAST_KNOWN + days) & (now >= before / 2) & (now <= 2 * before) & (before > 0)
    return np.flatnonzero(is_quiet)


def _drop(days_of: Floats, days: int, rng: np.random.Generator) -> bool:
    recent = days_of[:, -days:]
    whole = np.floor(recent)
    days_of[:, -days:] = np.where(recent == whole, rng.binomial(whole.astype(np.int64), DROP), recent * DROP)
    return True


def _bunch(days_of: Floats, days: int, rng: np.random.Generator) -> bool:
    recent = days_of[:, -days:].copy()
    days_of[:, -days:] = 0
    for start in range(0, days, BUNCH):
        block = recent[:, start : start + BUNCH]
        days_of[:, days_of.shape[1] - days + start + rng.integers(block.shape[1])] = block.sum(axis=1)
    return True


def _abandon(days_of: Floats, days: int, rng: np.random.Generator) -> bool:
    active = (days_of[:, :-days] > 0).mean(axis=1) * 28
    usable = np.flatnonzero(active >= _LEAST)
    if len(usable) < 2:  # noqa: PLR2004 - who does one thing abandons everything, which is a drop
        return False
    days_of[rng.choice(usable), -days:] = 0
    return True


KINDS: Mapping[str, Callable[[Floats, int, np.random.Generator], bool]] = {
    VOLUME: _drop,
    RHYTHM: _bunch,
    ABANDONED: _abandon,
}
