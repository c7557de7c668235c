"""The service desk: tickets, how well they were handled, and what is left of them in the customer's memory."""

import numpy as np

from simulator.behaviour.presence import Columns, Presence, repeat
from simulator.calendar import DAY_MS, HOUR_MS
from simulator.hazard import dominant_cause
from simulator.parameters.schema import CAUSES
from simulator.streams import Flags, Floats, Indices, generator, lognormal, pick

NEVER = np.iinfo(np.int64).max
_OUTAGE_DAYS = 3
_TEXTS = 1 << 20
_TOPIC_OF = {"service": "slow", "price": "billing", "product": "fault", "rival": "rival"}
_TELLS_PHONE = 0.03
_WRITES = 0.5
FORMS = ("nps", "review")
_NPS = FORMS.index("nps")
_RECOMMENDS_FROM, _PRAISES_FROM = 7, 4


def _hit_by_outage(presence: Presence, rng: np.random.Generator) -> Flags:
    world = presence.world
    outage = world.parameters.shocks.outage
    if presence.month.index != outage.month:
        return np.zeros(world.size, dtype=np.bool_)
    names = list(world.parameters.regions)
    there = world.region == names.index(outage.region) if outage.region else np.ones(world.size, dtype=np.bool_)
    return np.asarray(there & (rng.random(world.size) < outage.share))


def _topics(presence: Presence, rng: np.random.Generator, customer: Indices) -> Indices:
    """Draw what a ticket is about: mostly what hurts the customer most, else anything."""
    topics = list(presence.world.parameters.service.topics)
    topic = pick(rng, list(presence.world.parameters.service.topics.values()), len(customer))
    hurt = rng.random(len(customer)) < presence.world.parameters.signs.reveals
    cause = dominant_cause(presence.felt)[customer]
    for name, told in _TOPIC_OF.items():
        topic = np.where(hurt & (cause == CAUSES.index(name)), topics.index(told), topic)
    return topic.astype(np.int32)


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


def open_tickets(presence: Presence, *, incident: Flags) -> tuple[Columns, Floats]:
    """Return the month's tickets and the severity that each customer met.

    A product `incident` or a surprising bill often becomes a ticket, and whom the product does not fit asks more often.
    """
    world, service = presence.world, presence.world.parameters.service
    rng = generator(world.seed, "service", presence.month.index)
    hit = _hit_by_outage(presence, rng)
    asks = world.parameters.signs.asks * presence.felt_of("product")
    rate = (
        service.monthly * world.loudness * (1 + 3 * incident + 3 * presence.surprised + asks)
        + hit * world.parameters.shocks.outage.size
    )
    customer = repeat(presence.counts(rng, rate))
    share = np.where(hit | incident, 0.85, service.complaint_share / (1 + asks))
    complaint = rng.random(len(customer)) < share[customer]
    opened = presence.moments(rng, customer)
    opened = np.where(hit[customer], presence.first_ms + 10 * DAY_MS + opened % (_OUTAGE_DAYS * DAY_MS), opened)
    topic = _topics(presence, rng, customer)
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
    """Return the month's answers to two forms: recommendation scores and reviews of the product.

    A recommendation is a score of 0 to 10, the lower the more pain; a review has 1 to 5 stars, the fewer the less the
    product fits. `form` indexes FORMS.
    """
    service = presence.world.parameters.service
    rng = generator(presence.world.seed, "surveys", presence.month.index)
    asked = [_answering(presence, rng, rate) for rate in (service.survey_monthly, service.review_monthly)]
    form = np.repeat(np.arange(len(FORMS), dtype=np.int32), [len(each) for each in asked])
    customer = np.concatenate(asked)
    noise = rng.standard_normal(len(customer))
    recommends = np.clip(np.rint(8.9 - 1.7 * presence.pain[customer] + 1.2 * noise), 0, 10)
    stars = np.clip(np.rint(4.7 - 1.3 * presence.felt_of("product")[customer] + 0.7 * noise), 1, 5)
    return {
        "customer": customer,
        "given": presence.moments(rng, customer),
        "form": form,
        "score": np.where(form == _NPS, recommends, stars).astype(np.int32),
        "is_pleased": np.where(form == _NPS, recommends >= _RECOMMENDS_FROM, stars >= _PRAISES_FROM),
        "text": rng.integers(0, _TEXTS, len(customer)),
        "writes": rng.random(len(customer)) < _WRITES,
    }


def _answering(presence: Presence, rng: np.random.Generator, monthly: float) -> Indices:
    return repeat(presence.counts(rng, np.full(presence.world.size, monthly, dtype=np.float32)))
