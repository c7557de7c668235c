"""How well changes could be separated by somebody who knew the simulator's own rates, the day and the kind of change.

The best of several statistics for each kind, chosen on the customers it is judged on. A score that weighs all of them
together may still be a little better where next to nobody is in doubt.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from ml.anomaly.detector import Numbers, measure_auc
from ml.anomaly.injection import ABANDONED, BUNCH, DROP, RHYTHM, VOLUME
from ml.anomaly.profile import learn_profile
from ml.anomaly.series import Places, Series
from simulator.behaviour.orders import expected_orders
from simulator.behaviour.presence import Presence

OF_VISITS = ("visits", "logins", "feature_uses")  # of which the simulator draws so many a visit
NEVER_BUNCHED = -50.0  # log-likelihood ratio of a block with acts on two days


def read_rates(presence: Presence, *, days: range) -> dict[str, Numbers]:
    """Return how many orders and visits of each customer a month lets expect on some days of the world."""
    month, parameters = presence.month, presence.world.parameters
    within = max(0, min(days.stop, month.offset + month.days) - max(days.start, month.offset)) / month.days
    visits = presence.world.visit_rate * np.exp(-parameters.visits.fade * presence.pain) * presence.season
    if parameters.orders.kind != "baskets":
        return {"visits": within * visits}
    orders = expected_orders(presence)
    return {"orders": within * orders, "visits": within * (visits + parameters.orders.online_share * orders)}


def expect(series: Series, rates: Mapping[str, Numbers], quiet: Places, *, days: int) -> Numbers:
    """Return the expected counts of the last `days` (customers x indicators) of a series in which nothing changed.

    A metric of use, whose level the simulator draws once, is taken to stay at that of the half year before.
    """
    counts = series.counts[:, :, -days:].sum(axis=2)
    found = np.asarray(days * learn_profile(series).level, dtype=np.float64)
    for place, name in enumerate(series.indicators):
        if name == "orders" and name in rates:
            found[:, place] = rates[name]
        elif name in OF_VISITS:
            found[:, place] = rates["visits"] * counts[quiet, place].sum() / rates["visits"][quiet].sum()
    return np.maximum(found, 1e-6)


def bound_auc(kind: str, changed: Series, *, mine: Places, quiet: Places, expected: Numbers, spread: Numbers) -> float:
    """Return the ROC-AUC of those at `mine`, who changed, against the quiet ones; `changed` ends with the last day.

    `spread` (indicators) is the variance of the quiet customers' counts over their mean.
    """
    days = 2 * BUNCH
    recent = changed.counts[:, :, -days:]
    counts = recent.sum(axis=2)
    if kind == VOLUME:
        # some are drawn together, and add nothing to each other
        ratios = (counts * np.log(DROP) + (1 - DROP) * expected) / spread
        subsets = [list(each) for size in range(1, ratios.shape[1] + 1)
                   for each in combinations(range(ratios.shape[1]), size)]  # fmt: skip
        return max(measure_auc(*(ratios[rows][:, each].sum(axis=1) for rows in (mine, quiet))) for each in subsets)
    if kind == ABANDONED:
        missed = np.where(counts == 0, expected / spread, 0.0).max(axis=1)
        return measure_auc(missed[mine], missed[quiet])
    assert kind == RHYTHM
    ratio = np.zeros(len(counts))
    for start in range(0, days, BUNCH):
        block = recent[:, :, start : start + BUNCH]
        on_days, acts = (block > 0).any(axis=1).sum(axis=1), np.round(block.sum(axis=(1, 2)))
        ratio += np.where(on_days > 1, NEVER_BUNCHED, np.log(BUNCH) * np.maximum(acts - 1, 0))
    return measure_auc(ratio[mine], ratio[quiet])
