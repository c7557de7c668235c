"""Payments: baskets bought at the customer's pace, or invoices on the billing day."""

import numpy as np

from simulator.behaviour.presence import Columns, Presence, position_within, repeat
from simulator.calendar import DAY_MS, HOUR_MS
from simulator.hazard import State
from simulator.streams import Floats, Indices, Integers, generator, lognormal, normal, pick
from simulator.world import World

PAID, FAILED, REFUNDED = 0, 1, 2
_ZIPF = 1.1
_TASTE_SHARE = 0.35
_INVOICE_HOUR = 9


def expected_orders(presence: Presence) -> Floats:
    """Return the orders a month that each customer would place if present for all of it."""
    fade = np.exp(-presence.world.parameters.orders.fade * presence.pain)
    return np.asarray(presence.world.order_rate * fade * presence.season).astype(np.float32)


def price_level(world: World, month: int) -> Floats:
    """Return the price factor each customer pays: the rise reaches committed contracts when they are renewed."""
    rise = world.parameters.shocks.price_rise
    alive = np.maximum(month - world.signed_month, 0)
    since = np.where(world.term > 1, month - alive % np.maximum(world.term, 1), month)
    return np.where(since >= rise.month, 1 + rise.size, 1).astype(np.float32)


def place_orders(presence: Presence, state: State) -> tuple[Columns, Columns]:
    """Return the month's orders and their lines (empty without a catalogue); moves `state.ticks` on."""
    if presence.world.parameters.orders.kind == "invoices":
        return _invoices(presence), {}
    rng = generator(presence.world.seed, "orders", presence.month.index)
    customer, at = _purchases(presence, state, rng)
    orders = _heads(presence, rng, customer) | {"at": at}
    if presence.world.parameters.catalogue is None:
        return _spends(presence, rng, orders), {}
    lines = _lines(presence, rng, orders)
    count = len(customer)
    orders["amount"] = np.bincount(lines["order"], weights=lines["amount"], minlength=count).round(2)
    orders["discount"] = np.bincount(lines["order"], weights=lines["discount"], minlength=count).round(2)
    return orders, lines


def _purchases(presence: Presence, state: State, rng: np.random.Generator) -> tuple[Indices, Integers]:
    """Return who buys when: at every k-th tick of a clock that runs k times as fast as they buy."""
    rhythm = presence.world.parameters.orders.rhythm
    counts = presence.counts(rng, expected_orders(presence) * rhythm)
    customer = repeat(counts)
    at = presence.moments(rng, customer)
    order = np.lexsort((at, customer))
    tick = state.ticks[customer] + position_within(counts) + 1
    state.ticks = (state.ticks + counts) % rhythm
    buys = order[tick % rhythm == 0]
    return customer[buys], at[buys]


def _heads(presence: Presence, rng: np.random.Generator, customer: Indices) -> Columns:
    parameters = presence.world.parameters.orders
    count = len(customer)
    online = rng.random(count) < parameters.online_share
    failed = rng.random(count) < parameters.failure_rate
    refunded = rng.random(count) < parameters.failure_rate / 2
    return {
        "customer": customer,
        "online": online,
        "channel": pick(rng, list(presence.world.parameters.visits.channels.values()), count),
        "store": np.where(online, -1, (presence.world.region[customer] * 97 + customer) % parameters.stores),
        "payment": pick(rng, list(parameters.payments.values()), count),
        "status": np.where(failed, FAILED, np.where(refunded, REFUNDED, PAID)).astype(np.int32),
        "count_lines": 1 + rng.poisson(parameters.lines - 1, count) if parameters.lines > 1 else np.ones(count, int),
    }


def _spends(presence: Presence, rng: np.random.Generator, orders: Columns) -> Columns:
    parameters = presence.world.parameters.orders
    appetite = np.sqrt(presence.world.appetite[orders["customer"]])
    size = lognormal(rng, len(appetite), spread=parameters.basket_spread)
    orders["amount"] = np.round(parameters.basket * appetite * size, 2)
    orders["discount"] = np.zeros(len(appetite))
    return orders


def _invoices(presence: Presence) -> Columns:
    world, month = presence.world, presence.month
    rng = generator(world.seed, "orders", month.index)
    contracts = world.parameters.contracts
    prices = np.array([plan.price for plan in contracts.plans.values()]) if contracts else np.ones(1)
    day = world.day_of_month
    customer = np.flatnonzero((presence.start <= day) & (day < presence.end)).astype(np.int32)
    orders = _heads(presence, rng, customer)
    due = presence.first_ms + day[customer].astype(np.int64) * DAY_MS + _INVOICE_HOUR * HOUR_MS
    list_price = (prices[world.plan] * world.seats * price_level(world, month.index))[customer]
    extra = 1 + world.parameters.orders.basket * lognormal(rng, len(customer), spread=1.0) * world.appetite[customer]
    extra = extra + world.parameters.signs.surprise * presence.surprised[customer]
    share = _discount_share(presence, rng, customer)
    return orders | {
        "at": due + rng.integers(0, HOUR_MS, len(customer)),
        "store": np.full(len(customer), -1),
        "amount": np.round(list_price * extra * (1 - share), 2),
        "discount": np.round(list_price * extra * share, 2),
        "count_lines": np.ones(len(customer), dtype=np.int64),
    }


def _discount_share(presence: Presence, rng: np.random.Generator, customer: Indices) -> Floats:
    base = presence.world.parameters.orders.discount_share
    keen = np.exp(0.5 * presence.world.price_sensitivity[customer]) * (1 + presence.felt_of("price")[customer])
    return np.where(rng.random(len(customer)) < base * keen, rng.choice([0.05, 0.1, 0.2], len(customer)), 0)


def product_prices(world: World) -> Floats:
    """Return the list price of every product."""
    catalogue = world.parameters.catalogue
    if catalogue is None:
        return np.zeros(0, dtype=np.float32)
    drawn = catalogue.price * lognormal(generator(world.seed, "prices"), catalogue.size, spread=0.8)
    return np.maximum(np.round(drawn, 1), 0.5).astype(np.float32)


def partner(world: World, product: Indices) -> Indices:
    """Return the product that completes each product's bundle, -1 where it begins none."""
    bundles = world.parameters.catalogue.bundles if world.parameters.catalogue else 0
    return np.where(product < bundles, product + bundles, -1).astype(np.int32)


def _products(presence: Presence, rng: np.random.Generator, customer: Indices) -> Indices:
    """Draw products: a few are bought often, and each customer has a taste for one part of the shelf."""
    catalogue = presence.world.parameters.catalogue
    size = catalogue.size if catalogue else 1
    ranks = np.power(np.arange(1, size + 1), -_ZIPF)
    anything = pick(rng, list(ranks), len(customer))
    taste = (customer * 7919 + (rng.random(len(customer)) ** 2 * size * 0.1).astype(np.int64)) % size
    return np.where(rng.random(len(customer)) < _TASTE_SHARE, taste, anything).astype(np.int32)


def _lines(presence: Presence, rng: np.random.Generator, orders: Columns) -> Columns:
    world = presence.world
    counts = orders["count_lines"].astype(np.int32)
    order = repeat(counts)
    number = position_within(counts)
    product = _products(presence, rng, orders["customer"][order])
    before = np.concatenate([[-1], partner(world, product)[:-1]]) if len(product) else product
    share = world.parameters.catalogue.bundle_share if world.parameters.catalogue else 0.0
    completes = (number > 0) & (before >= 0) & (rng.random(len(product)) < share)
    product = np.where(completes, before, product).astype(np.int32)
    quantity = 1 + rng.poisson(0.3, len(product))
    rise = price_level(world, presence.month.index)[orders["customer"][order]]
    taste = np.exp(0.15 * normal(rng, len(product))) * np.sqrt(world.appetite)[orders["customer"][order]] ** 0.3
    dearer = 1 + world.parameters.signs.surprise * presence.surprised[orders["customer"][order]]
    full = product_prices(world)[product] * quantity * rise * taste * dearer
    off = _discount_share(presence, rng, orders["customer"][order])
    return {
        "order": order,
        "number": number + 1,
        "product": product,
        "quantity": quantity,
        "amount": np.round(full * (1 - off), 2),
        "discount": np.round(full * off, 2),
    }
