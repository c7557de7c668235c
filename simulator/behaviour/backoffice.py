"""What the back office does: deliveries that come late or not at all, invoices that are paid late or contested."""

import numpy as np

from simulator.behaviour.orders import FAILED
from simulator.behaviour.presence import Columns
from simulator.calendar import DAY_MS
from simulator.hazard import TROUBLES, Bills
from simulator.streams import Flags, Indices, generator, lognormal
from simulator.world import World

NEVER = np.iinfo(np.int64).max
_LATE, _LOST, _SHORT = range(len(TROUBLES))
_GIVEN_UP_DAYS, _NOTICED_DAYS = 10, 1
_CONTESTED_DAYS = 3


def deliver(world: World, orders: Columns, lines: Columns, *, trouble: Indices, month: int) -> Columns:
    """Return the deliveries of a month's orders; empty where the company delivers nothing.

    A customer's `trouble` of the month meets the first order. What lacks is a row of its own, with the order's first
    product; `order` is the position of the order, `failure` indexes TROUBLES and is -1 for what arrived, `product` is
    -1 for a whole order.
    """
    promise = world.parameters.fulfilment
    if promise is None:
        return {}
    rng = generator(world.seed, "deliveries", month)
    order = np.flatnonzero(orders["status"] != FAILED).astype(np.int32)
    met = np.where(_is_first(orders["customer"][order]), trouble[orders["customer"][order]], -1)
    promised = orders["at"][order] + promise.promise_days * DAY_MS
    slips = rng.random(len(order)) < promise.slips
    early = promised - (rng.random(len(order)) * promise.promise_days * DAY_MS / 2).astype(np.int64)
    delay = np.maximum(promise.delay_days * lognormal(rng, len(order), spread=0.5), 1)
    late = promised + (np.where(met == _LATE, delay, 1) * DAY_MS).astype(np.int64)
    is_lost = met == _LOST
    whole = {
        "order": order,
        "promised": promised,
        "delivered": np.where(is_lost, NEVER, np.where((met == _LATE) | slips, late, early)),
        "failed": np.where(is_lost, promised + _GIVEN_UP_DAYS * DAY_MS, NEVER),
        "failure": np.where(is_lost, _LOST, -1),
        "product": np.full(len(order), -1),
    }
    return _joined(whole, _lacking(order[met == _SHORT], orders, lines, days=promise.promise_days))


def _is_first(customer: Indices) -> Flags:
    first = np.zeros(len(customer), dtype=np.bool_)
    first[np.unique(customer, return_index=True)[1]] = True
    return first


def _lacking(order: Indices, orders: Columns, lines: Columns, *, days: int) -> Columns:
    """Return a row for the first product of each of the orders, which was out of stock."""
    first = np.unique(lines["order"], return_index=True)[1]
    return {
        "order": order,
        "promised": orders["at"][order] + days * DAY_MS,
        "delivered": np.full(len(order), NEVER),
        "failed": orders["at"][order] + _NOTICED_DAYS * DAY_MS,
        "failure": np.full(len(order), _SHORT),
        "product": lines["product"][first[order]],
    }


def _joined(one: Columns, other: Columns) -> Columns:
    return {name: np.concatenate([one[name], other[name]]) for name in one}


def bill(world: World, orders: Columns, bills: Bills) -> Columns:
    """Return the invoices of a month's orders; empty where the company sends none."""
    terms = world.parameters.billing
    if terms is None:
        return {}
    customer, issued = orders["customer"], orders["at"]
    due = issued + terms.payable_days * DAY_MS
    paid = due + (bills.delay_days[customer] * DAY_MS).astype(np.int64)
    return {
        "order": np.arange(len(customer), dtype=np.int32),
        "due": due,
        "paid": np.maximum(paid, issued),
        "dunned": np.where(bills.is_dunned[customer], due + terms.dunned_after_days * DAY_MS, NEVER),
        "disputed": np.where(bills.is_disputed[customer], issued + _CONTESTED_DAYS * DAY_MS, NEVER),
    }
