"""Visits to app and web, event by event: browsing, buying, leaving a cart, and drifting away."""

import numpy as np

from simulator.behaviour.orders import PAID
from simulator.behaviour.presence import Columns, Presence, position_within, repeat
from simulator.streams import Flags, Indices, generator, pick

TYPES = (
    "visit",
    "login",
    "view",
    "search",
    "feature",
    "add_to_cart",
    "checkout",
    "pay",
    "unfollow",
    "leave_group",
    "uninstall",
)
_CODE = {name: code for code, name in enumerate(TYPES)}
PAGES = ("home", "list", "detail", "cart", "checkout", "account", "help", "leave", "compare")
_PAGE_OF = np.array([0, 0, 2, 1, 5, 3, 4, 4, 5, 5, 5], dtype=np.int32)
_LEAVE_PAGE, _COMPARE_PAGE = PAGES.index("leave"), PAGES.index("compare")
_MOST_CARTS_LEFT = 0.95
_BUYING = np.array([_CODE[name] for name in ("visit", "view", "add_to_cart", "checkout", "pay")], dtype=np.int32)
_DRIFTING = np.array([_CODE[name] for name in ("unfollow", "leave_group", "uninstall")], dtype=np.int32)
_GAP_MS = 45_000
_AGAIN_MS = 1_500  # the least time between two acts of a visit: a double click is faster
_ORDER_SESSION = 1 << 40
_DRIFT_SESSION = 1 << 41


def browse(presence: Presence, orders: Columns) -> Columns:
    """Return the month's events; orders placed online (`orders` of the month) leave their trace among them.

    Columns: customer, at, type (index of TYPES), channel, session, page (index of PAGES), product and feature (-1 where
    there is none), dwell in milliseconds. Not yet in order of time.
    """
    parts = [_browsing(presence), _drifting(presence)]
    if len(orders) and presence.world.parameters.orders.kind == "baskets":
        parts.append(_buying(presence, orders))
    merged = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return _within_world(presence, merged)


def _within_world(presence: Presence, events: Columns) -> Columns:
    kept = events["at"] < presence.first_ms + presence.month.days * 86_400_000
    return {name: values[kept] for name, values in events.items()}


def _fade(presence: Presence) -> np.ndarray:
    return np.asarray(np.exp(-presence.world.parameters.visits.fade * presence.pain))


def _types(
    presence: Presence, rng: np.random.Generator, customer: Indices, position: Indices, *, last: Flags
) -> Indices:
    """Draw what is done at each position of a visit: whom the price hurts leaves more carts."""
    visits = presence.world.parameters.visits
    codes = np.array([_CODE[name] for name in visits.mix], dtype=np.int32)
    drawn = codes[pick(rng, list(visits.mix.values()), len(position))]
    leaves = np.minimum(visits.cart_left * (1 + presence.felt_of("price")), _MOST_CARTS_LEFT)[customer]
    left = last & (position > 0) & (rng.random(len(position)) < leaves)
    drawn = np.where(left, _CODE["add_to_cart"], drawn)
    return np.where(position == 0, _CODE[visits.first], drawn).astype(np.int32)


def _pages(presence: Presence, rng: np.random.Generator, events: Columns) -> Indices:
    """Draw the page of each event: who is in pain looks how to leave, whom a rival draws compares offers."""
    visits, signs = presence.world.parameters.visits, presence.world.parameters.signs
    customer, follows = events["customer"], events["position"] > 0
    leaves = rng.random(len(customer)) < visits.leave_page * presence.pain[customer]
    lure = signs.compares + presence.felt_of("rival") + signs.price_compares * presence.felt_of("price")
    compares = rng.random(len(customer)) < visits.compare_page * lure[customer]
    page = np.where(follows & compares, _COMPARE_PAGE, _PAGE_OF[events["type"]])
    return np.where(follows & leaves, _LEAVE_PAGE, page).astype(np.int32)


def _browsing(presence: Presence) -> Columns:
    world, visits = presence.world, presence.world.parameters.visits
    rng = generator(world.seed, "visits", presence.month.index)
    customer = repeat(presence.counts(rng, world.visit_rate * _fade(presence) * presence.season))
    begins = presence.moments(rng, customer)
    counts = (1 + rng.poisson(visits.pages - 1, len(customer))).astype(np.int32)
    visit, position = repeat(counts), position_within(counts)
    kind = _types(presence, rng, customer[visit], position, last=position == counts[visit] - 1)
    page = _pages(presence, rng, {"customer": customer[visit], "position": position, "type": kind})
    return _dressed(
        presence,
        rng,
        {
            "customer": customer[visit],
            "at": begins[visit] + position * _GAP_MS + rng.integers(0, _GAP_MS - _AGAIN_MS, len(visit)),
            "type": kind,
            "channel": pick(rng, list(visits.channels.values()), len(customer))[visit],
            "session": visit.astype(np.int64),
            "page": page,
        },
    )


def _drifting(presence: Presence) -> Columns:
    """Signals that the customer lets go of a channel: the more pain, the more often."""
    world = presence.world
    rng = generator(world.seed, "drift", presence.month.index)
    rate = world.parameters.visits.decay_events * np.expm1(np.minimum(presence.pain, 4))
    customer = repeat(presence.counts(rng, rate))
    kind = _DRIFTING[pick(rng, [0.6, 0.25, 0.15], len(customer))]
    return _dressed(
        presence,
        rng,
        {
            "customer": customer,
            "at": presence.moments(rng, customer),
            "type": kind,
            "channel": np.zeros(len(customer), dtype=np.int32),
            "session": _DRIFT_SESSION + np.arange(len(customer), dtype=np.int64),
            "page": _PAGE_OF[kind],
        },
    )


def _buying(presence: Presence, orders: Columns) -> Columns:
    rng = generator(presence.world.seed, "buying", presence.month.index)
    bought = np.flatnonzero(orders["online"])
    steps = np.where(orders["status"][bought] == PAID, len(_BUYING), len(_BUYING) - 1).astype(np.int32)
    order, position = bought[repeat(steps)], position_within(steps)
    kind = _BUYING[position]
    before = (len(_BUYING) - 1 - position) * _GAP_MS
    return _dressed(
        presence,
        rng,
        {
            "customer": orders["customer"][order],
            "at": orders["at"][order] - before,
            "type": kind,
            "channel": orders["channel"][order],
            "session": _ORDER_SESSION + order.astype(np.int64),
            "page": _PAGE_OF[kind],
        },
    )


def _dressed(presence: Presence, rng: np.random.Generator, events: Columns) -> Columns:
    """Add what is looked at or used, and for how long."""
    parameters = presence.world.parameters
    count, kind = len(events["customer"]), events["type"]
    size = parameters.catalogue.size if parameters.catalogue else 0
    looks = (kind == _CODE["view"]) | (kind == _CODE["add_to_cart"])
    product = (rng.random(count) ** 3 * size).astype(np.int32)
    signs = parameters.signs
    narrows = np.exp(-signs.narrows * presence.pain - signs.narrows_unfit * presence.felt_of("product"))
    breadth = np.maximum(1, len(parameters.visits.features) * narrows)[events["customer"]]
    own = (events["customer"] * 31 + (rng.random(count) * breadth).astype(np.int64)) % len(parameters.visits.features)
    return events | {
        "product": np.where(looks & (size > 0), product, -1).astype(np.int32),
        "feature": np.where(kind == _CODE["feature"], own, -1).astype(np.int32),
        "dwell": (rng.exponential(24_000, count) + 400).astype(np.int32),
    }
