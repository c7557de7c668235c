"""Campaigns: whom they reach, who opens, clicks and redeems, and what that does to the next month's hazard."""

import numpy as np

from simulator.behaviour.backoffice import NEVER
from simulator.behaviour.presence import Columns, Presence, repeat
from simulator.calendar import DAY_MS, HOUR_MS
from simulator.hazard import Risk
from simulator.response import effect
from simulator.streams import Floats, generator, pick

_WINDOW_DAYS = 10
_JOINS_WITHIN_DAYS = 20


def run_campaigns(presence: Presence, risk: Risk) -> tuple[Columns, Columns, Floats]:
    """Return the month's campaigns, its touches, and the change of log-odds that the touches make next month.

    A campaign offers one of the parameter file's actions. Whom it reaches depends on spend, so that comparing reached
    with unreached customers says nothing about its effect.
    """
    world, marketing = presence.world, presence.world.parameters.marketing
    rng = generator(world.seed, "marketing", presence.month.index)
    names = list(world.parameters.actions)
    actions = rng.integers(0, len(names), marketing.monthly)
    touches, change = [], np.zeros(world.size, dtype=np.float32)
    for number in range(marketing.monthly):
        touched = _touches(presence, rng, number)
        opened = touched["customer"][touched["opened"]]
        felt = effect(world, risk, names[actions[number]])[opened] * marketing.strength
        np.add.at(change, opened, felt)
        touches.append(touched)
    campaigns = _campaigns(presence, actions, [len(part["customer"]) for part in touches])
    merged = {name: np.concatenate([part[name] for part in touches]) for name in touches[0]}
    return campaigns, merged, change


def recommend(presence: Presence) -> Columns:
    """Return the month's recommendations, the fewer the more pain; empty where the company keeps none.

    `joined` is the moment at which who was recommended came, NEVER where they did not.
    """
    referrals = presence.world.parameters.referrals
    if referrals is None:
        return {}
    rng = generator(presence.world.seed, "referrals", presence.month.index)
    customer = repeat(presence.counts(rng, referrals.monthly * np.exp(-2 * presence.pain)))
    at = presence.moments(rng, customer)
    later = at + (rng.random(len(customer)) * _JOINS_WITHIN_DAYS * DAY_MS).astype(np.int64)
    return {
        "customer": customer,
        "at": at,
        "joined": np.where(rng.random(len(customer)) < referrals.joins, later, NEVER),
    }


def _campaigns(presence: Presence, actions: np.ndarray, reached: list[int]) -> Columns:
    marketing = presence.world.parameters.marketing
    number = np.arange(marketing.monthly)
    return {
        "number": number + presence.month.index * marketing.monthly,
        "action": actions,
        "channel": number % len(marketing.channels),
        "started": presence.first_ms + (3 + 9 * number) * DAY_MS,
        "ended": presence.first_ms + (3 + 9 * number + _WINDOW_DAYS) * DAY_MS,
        "reached": np.array(reached),
    }


def _touches(presence: Presence, rng: np.random.Generator, number: int) -> Columns:
    world, marketing = presence.world, presence.world.parameters.marketing
    sent_on = 3 + 9 * number
    there = (presence.start <= sent_on) & (sent_on + 1 < presence.end)
    keen = np.minimum(marketing.reach * np.sqrt(world.appetite), 0.9)
    customer = np.flatnonzero(there & (rng.random(world.size) < keen)).astype(np.int32)
    count = len(customer)
    opened = rng.random(count) < marketing.opened * np.exp(-0.25 * presence.pain[customer])
    clicked = opened & (rng.random(count) < marketing.clicked)
    redeemed = clicked & (rng.random(count) < marketing.redeemed)
    sent = presence.first_ms + sent_on * DAY_MS + 10 * HOUR_MS + rng.integers(0, HOUR_MS, count)
    return {
        "customer": customer,
        "campaign": np.full(count, number + presence.month.index * marketing.monthly, dtype=np.int32),
        "sent": sent,
        "channel": pick(rng, list(marketing.channels.values()), count),
        "opened": opened,
        "clicked": clicked,
        "redeemed": redeemed,
        "redeemed_at": sent + (rng.random(count) * 5 * DAY_MS).astype(np.int64),
    }
