"""The service desk: cases, how well they were handled, and what is left of them in the customer's memory."""

import numpy as np

from simulator.behaviour.presence import Columns, Presence, repeat
from simulator.calendar import DAY_MS, HOUR_MS
from simulator.hazard import State
from simulator.streams import Flags, Floats, Indices, generator, lognormal, pick

NEVER = np.iinfo(np.int64).max
_OUTAGE_DAYS = 3
_TEXTS = 1 << 20
_TELLS_WHAT_HURTS = 0.6
_HURTS_ABOVE = 0.5
_TELLS_PHONE = 0.03
_WRITES = 0.5


def _hit_by_outage(presence: Presence, rng: np.random.Generator) -> Flags:
    world = presence.world
    outage = world.parameters.shocks.outage
    if presence.month.index != outage.month:
        return np.zeros(world.size, dtype=np.bool_)
    names = list(world.parameters.regions)
    there = world.region == names.index(outage.region) if outage.region else np.ones(world.size, dtype=np.bool_)
    return np.asarray(there & (rng.random(world.size) < outage.share))


def _topics(presence: Presence, state: State, rng: np.random.Generator, customer: Indices) -> Indices:
    """Draw what a case is about: mostly what hurts the customer, else anything."""
    topics = list(presence.world.parameters.service.topics)
    topic = pick(rng, list(presence.world.parameters.service.topics.values()), len(customer))
    hurt = rng.random(len(customer)) < _TELLS_WHAT_HURTS
    topic = np.where(hurt & (state.rival[customer] > _HURTS_ABOVE), topics.index("rival"), topic)
    topic = np.where(hurt & (state.price[customer] > _HURTS_ABOVE), topics.index("billing"), topic)
    return np.where(hurt & (state.product[customer] > _HURTS_ABOVE), topics.index("fault"), topic).astype(np.int32)


def _handling(presence: Presence, rng: np.random.Generator, complaint: Flags) -> tuple[Floats, Floats]:
    service = presence.world.parameters.service
    count = len(complaint)
    backlog = 2.0 if presence.month.index == presence.world.parameters.shocks.outage.month else 1.0
    answer = service.response_hours * backlog * lognormal(rng, count, spread=0.9)
    solve = service.resolution_hours * backlog * lognormal(rng, count, spread=1.1) * np.where(complaint, 1.4, 0.7)
    unsolved = rng.random(count) < service.unsolved_share * np.where(complaint, 1.5, 0.5)
    return answer, np.where(unsolved, np.inf, solve).astype(np.float32)


def _ratings(presence: Presence, rng: np.random.Generator, columns: Columns, solve: Floats) -> Floats:
    """Satisfaction from 1 to 5 where the customer answered, else nan: slow service and old pain cost stars."""
    slow = np.log1p(np.minimum(solve, 500.0) / 24)
    pain = presence.pain[columns["customer"]]
    stars = 4.7 - 0.8 * slow - 0.5 * columns["is_complaint"] - 0.35 * pain + 0.6 * rng.standard_normal(len(slow))
    answered = rng.random(len(slow)) < presence.world.parameters.service.rated_share
    return np.where(answered & np.isfinite(solve), np.clip(np.rint(stars), 1, 5), np.nan).astype(np.float32)


def open_cases(presence: Presence, state: State, *, incident: Flags) -> tuple[Columns, Floats]:
    """Return the month's cases and the severity that each customer met.

    A product `incident` or a surprising bill often becomes a case.
    """
    world, service = presence.world, presence.world.parameters.service
    rng = generator(world.seed, "service", presence.month.index)
    hit = _hit_by_outage(presence, rng)
    rate = (
        service.monthly * world.loudness * (1 + 3 * incident + 3 * presence.surprised)
        + hit * world.parameters.shocks.outage.size
    )
    customer = repeat(presence.counts(rng, rate))
    complaint = rng.random(len(customer)) < np.where(hit[customer] | incident[customer], 0.85, service.complaint_share)
    opened = presence.moments(rng, customer)
    opened = np.where(hit[customer], presence.first_ms + 10 * DAY_MS + opened % (_OUTAGE_DAYS * DAY_MS), opened)
    topic = _topics(presence, state, rng, customer)
    topic = np.where(incident[customer], list(service.topics).index("fault"), topic)
    topic = np.where(presence.surprised[customer], list(service.topics).index("billing"), topic)
    topic = np.where(hit[customer], list(service.topics).index("outage"), topic).astype(np.int32)
    answer, solve = _handling(presence, rng, complaint)
    answered = opened + (answer * HOUR_MS).astype(np.int64)
    finite = np.where(np.isfinite(solve), solve, 0)
    columns = {
        "customer": customer,
        "opened": opened,
        "answered": answered,
        "solved": np.where(np.isfinite(solve), answered + (finite * HOUR_MS).astype(np.int64), NEVER),
        "is_complaint": complaint,
        "topic": topic,
        "channel": pick(rng, list(service.channels.values()), len(customer)),
        "text": rng.integers(0, _TEXTS, len(customer)),
        "tells_phone": rng.random(len(customer)) < _TELLS_PHONE,
    }
    columns["rating"] = _ratings(presence, rng, columns, solve)
    return columns, _severity(world.size, customer, complaint, answer + np.minimum(solve, 400.0))


def _severity(size: int, customer: Indices, complaint: Flags, hours: Floats) -> Floats:
    weight = np.where(complaint, 0.5 + np.log1p(hours / 24), 0.1 * np.log1p(hours / 24))
    return np.bincount(customer, weights=weight, minlength=size).astype(np.float32)


def ask_opinions(presence: Presence) -> Columns:
    """Return the month's survey answers: a recommendation score of 0 to 10, lower the more pain."""
    world = presence.world
    rng = generator(world.seed, "surveys", presence.month.index)
    rate = np.full(world.size, world.parameters.service.survey_monthly, dtype=np.float32)
    customer = repeat(presence.counts(rng, rate))
    score = 8.9 - 1.7 * presence.pain[customer] + 1.2 * rng.standard_normal(len(customer))
    return {
        "customer": customer,
        "given": presence.moments(rng, customer),
        "score": np.clip(np.rint(score), 0, 10).astype(np.int32),
        "text": rng.integers(0, _TEXTS, len(customer)),
        "writes": rng.random(len(customer)) < _WRITES,
    }
