"""Weekly usage readings: balances, minutes, data, seats."""

import numpy as np

from simulator.behaviour.presence import Columns, Presence
from simulator.calendar import DAY_MS
from simulator.streams import generator, lognormal

WEEK = 7
_READ_AT_MS = 3 * 3_600_000


def read_meters(presence: Presence) -> Columns:
    """Return customer, at, metric (index in the parameter file) and value, for every week that ends in the month."""
    world = presence.world
    rng = generator(world.seed, "usage", presence.month.index)
    traits = generator(world.seed, "usage traits")
    metrics = list(world.parameters.usage.values())
    levels = [lognormal(traits, world.size, spread=metric.spread) for metric in metrics]
    parts: list[Columns] = []
    first = -presence.month.offset % WEEK
    for day in range(first, presence.month.days, WEEK):
        customer = np.flatnonzero((presence.start <= day) & (day < presence.end)).astype(np.int32)
        for index, metric in enumerate(metrics):
            mean = metric.base * levels[index][customer] * np.sqrt(world.appetite * world.seats)[customer]
            fade = np.exp(-metric.fade * presence.pain[customer])
            value = mean * fade * presence.season * lognormal(rng, len(customer), spread=metric.noise)
            parts.append(_reading(presence, customer, day, index) | {"value": value.round(2)})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def _reading(presence: Presence, customer: np.ndarray, day: int, metric: int) -> Columns:
    at = presence.first_ms + day * DAY_MS + _READ_AT_MS
    return {
        "customer": customer,
        "at": np.full(len(customer), at, dtype=np.int64),
        "metric": np.full(len(customer), metric, dtype=np.int32),
    }
