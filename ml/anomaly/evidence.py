"""Evidence: how much better each kind of change explains a customer's days than none, over all they do together.

Deviations look at one indicator at a time; who orders four times in four weeks shows a change in none of them. A fall
of everything is the log-likelihood ratio of Poisson counts at the share that a drop leaves, an abandoned thing its
silence counted in acts that were to be expected, a broken rhythm the same acts on fewer days.
"""

import numpy as np

from ml.anomaly.injection import DROP
from ml.anomaly.profile import BASELINE, GAP, WINDOWS, Deviations, Flags, Profile, deviate_days
from ml.anomaly.series import Floats, Series

_BUNCHED = (14, 28, 56)  # days over which acts may fall on fewer days
_MOST_DAYS = 20.0  # active days beyond which more add no weight


def measure_evidence(series: Series, deviations: Deviations) -> Floats:
    """Return customers x statistics, the higher the more there is to say for a change."""
    is_active, known = np.asarray((series.counts > 0).any(axis=1)), np.asarray(deviations.is_known.any(axis=1))
    parts = [
        _weigh_drops(deviations),
        _weigh_silences(series, deviations),
        *_weigh_presence(is_active, deviations.profile, known),
        *_weigh_bunching(series, is_active, known),
    ]
    return np.column_stack(parts).astype(np.float32)


def _weigh_drops(deviations: Deviations) -> Floats:
    """Return the log-likelihood ratio of each window, in units of the customer's own spread, and of any of them."""
    spread = deviations.profile.spread[:, :, None]
    ratio = (deviations.seen * np.log(DROP) + (1 - DROP) * deviations.expected) / spread
    drops = np.where(deviations.is_known[:, :, None], ratio, 0.0).sum(axis=1)
    return np.column_stack([drops, np.logaddexp.reduce(drops, axis=1)])


def _weigh_silences(series: Series, deviations: Deviations) -> Floats:
    """Return the roots of the acts expected since the last one, of the two things that are missed most."""
    profile = deviations.profile
    recent = series.counts[:, :, ::-1][:, :, :GAP] > 0
    silent_days = np.where(recent.any(axis=2), recent.argmax(axis=2), GAP)
    missed = np.where(deviations.is_known, profile.level * silent_days / profile.spread, 0.0)
    padded = np.pad(missed, ((0, 0), (0, max(2 - missed.shape[1], 0))))
    return np.asarray(np.sqrt(-np.sort(-padded, axis=1)[:, :2]))


def _weigh_presence(is_active: Flags, profile: Profile, known: Flags) -> list[Floats]:
    """Return for each window by how much fewer days than usual the customer did anything on."""
    base = is_active[:, max(is_active.shape[1] - GAP - BASELINE, 0) : -GAP]
    share = base.sum(axis=1) / np.maximum(profile.length, 1)
    found = []
    for window in WINDOWS:
        days = is_active[:, -window:].sum(axis=1)
        expected = float(np.where(known, share * window, 0.0).sum())
        season = np.clip(np.where(known, days, 0).sum() / max(expected, 1e-9), 0.05, 20.0)
        found.append(np.where(known, deviate_days(days, window, share * season, profile.length), 0.0))
    return found


def _weigh_bunching(series: Series, is_active: Flags, known: Flags) -> list[Floats]:
    """Return for some windows how many more acts than usual an active day holds, as a logarithm of its precision."""
    base = slice(max(series.days - GAP - BASELINE, 0), series.days - GAP)
    usual = series.counts[:, :, base].sum(axis=(1, 2)) / np.maximum(is_active[:, base].sum(axis=1), 1)
    found = []
    for window in _BUNCHED:
        acts, days = series.counts[:, :, -window:].sum(axis=(1, 2)), is_active[:, -window:].sum(axis=1)
        times = np.maximum(acts, 0.01) / np.maximum(days, 1) / np.maximum(usual, 0.01)
        weighed = np.log(times) * np.sqrt(np.minimum(days, _MOST_DAYS))
        found.append(np.where(known & (days > 0), weighed, 0.0))
    return found
