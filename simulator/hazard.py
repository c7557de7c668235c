"""Why and when customers leave: pain that experience leaves behind, and the hazard that follows from it."""

from dataclasses import dataclass

import numpy as np

from simulator.calendar import Month
from simulator.parameters.schema import CAUSES, DeliveryTrouble
from simulator.streams import Flags, Floats, Indices, generator, lognormal, normal
from simulator.world import World

STAYS = np.iinfo(np.int32).max
OTHER = len(CAUSES)
TROUBLES: tuple[DeliveryTrouble, ...] = ("late", "lost", "out_of_stock")
_FAINT = 0.35
_BISECTIONS = 50
_BURN_IN = 6


@dataclass(kw_only=True)
class State:
    """What a world remembers about its customers from month to month, as arrays of its size.

    `service`, `price`, `product`, `rival` and `need` are pains; `touch` is the change of log-odds that last month's
    contacts made, `eased` the log-odds of each of CAUSES (rows) that actions took away and that have not faded yet;
    `left_day` is STAYS for those who have not left; `cause` indexes CAUSES, or is OTHER; `ticks` counts towards the
    next purchase (see `simulator.silence`).
    """

    service: Floats
    price: Floats
    product: Floats
    rival: Floats
    need: Floats
    touch: Floats
    eased: Floats
    left_day: Indices
    cause: Indices
    ticks: Indices

    @classmethod
    def fresh(cls, size: int) -> "State":
        """Return customers to whom nothing has happened."""
        pains = {name: np.zeros(size, dtype=np.float32) for name in (*CAUSES, "touch")}
        left_day = np.full(size, STAYS, dtype=np.int32)
        cause, ticks = np.full(size, -1, dtype=np.int32), np.zeros(size, dtype=np.int32)
        eased = np.zeros((len(CAUSES), size), dtype=np.float32)
        return cls(**pains, eased=eased, left_day=left_day, cause=cause, ticks=ticks)


@dataclass(frozen=True, kw_only=True)
class Risk:
    """One month's hazard of every customer, and the log-odds that each cause (rows) adds for it."""

    hazard: Floats
    log_odds: Floats
    contributions: Floats
    cause: Indices


def contributions(world: World, state: State) -> Floats:
    """Return the log-odds that each of CAUSES adds, less what actions eased, as a matrix causes x customers."""
    return np.maximum(_pain(world, state) - state.eased, 0)


def _pain(world: World, state: State) -> Floats:
    weights = world.parameters.hazard.weights
    return np.stack(
        [
            weights["service"] * np.log1p(state.service),
            weights["price"] * state.price * np.exp(0.35 * world.price_sensitivity),
            weights["product"] * np.maximum(world.misfit - 0.4 + state.product, 0),
            weights["rival"] * state.rival * np.exp(0.35 * world.rival_pull),
            weights["need"] * state.need,
        ]
    ).astype(np.float32)


def remember_relief(world: World, state: State, taken: Floats) -> Floats:
    """Return what stays eased next month of `taken`, causes x customers: it fades as the pain does that it answered.

    No more is eased than there was: what goes beyond (goodwill) ends with the month.
    """
    eased = np.minimum(state.eased + taken, _pain(world, state))
    return (eased * list_lasting(world)[:, None]).astype(np.float32)


def list_lasting(world: World) -> Floats:
    """Return which share of each of CAUSES is still felt a month later."""
    parameters = world.parameters
    lasts = {**parameters.hazard.lasts, "need": parameters.need.lasts}
    return np.array([lasts[cause] for cause in CAUSES], dtype=np.float32)


def dominant_cause(added: Floats) -> Indices:
    """Return the cause that adds most per customer; OTHER where none adds a noticeable amount."""
    return np.where(added.max(axis=0) > _FAINT, added.argmax(axis=0), OTHER).astype(np.int32)


def _commitment(world: World, month: int) -> Floats:
    contracts = world.parameters.contracts
    if contracts is None:
        return np.zeros(world.size, dtype=np.float32)
    committed = world.term > 1
    due = is_renewal(world, month)
    return np.where(committed, np.where(due, contracts.renewal, contracts.locked), 0).astype(np.float32)


def is_renewal(world: World, month: int) -> Flags:
    """Tell whose committed term ends within the month."""
    alive = month - world.signed_month
    return np.asarray((world.term > 1) & (alive > 0) & (alive % np.maximum(world.term, 1) == 0))


def assess(world: World, state: State, *, month: int, intercept: float) -> Risk:
    """Return the hazard of leaving within `month`, from what had happened before it."""
    added = contributions(world, state)
    tenure = np.log1p(np.maximum(month - world.signed_month, 0) / 12)
    log_odds = intercept + added.sum(axis=0) - world.parameters.hazard.tenure * tenure + state.touch
    log_odds = (log_odds + _commitment(world, month)).astype(np.float32)
    return Risk(hazard=expit(log_odds), log_odds=log_odds, contributions=added, cause=dominant_cause(added))


def expit(log_odds: Floats) -> Floats:
    """Return the probability that belongs to log-odds."""
    return np.asarray(1 / (1 + np.exp(-log_odds)), dtype=np.float32)


def calibrate(world: World, state: State) -> float:
    """Return the intercept that makes the first month's mean hazard the industry's base rate."""
    free = assess(world, state, month=0, intercept=0.0).log_odds[world.signed_month < 0]
    low, high = -20.0, 20.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        too_high = expit(free + np.float32(middle)).mean() > world.parameters.base_rate
        low, high = (low, middle) if too_high else (middle, high)
    return (low + high) / 2


def fade_need(world: World, state: State, rng: np.random.Generator) -> Floats:
    """Return next month's faded need: some customers begin to need the product less, most recover slowly."""
    need = world.parameters.need
    starts = rng.random(world.size) < need.starts
    drop = np.where(starts, need.size * lognormal(rng, world.size, spread=0.4), 0)
    return (state.need * need.lasts + drop).astype(np.float32)


def disappoint(world: World, state: State, rng: np.random.Generator) -> tuple[Floats, Flags]:
    """Return next month's product pain, and who had a product incident."""
    hazard = world.parameters.hazard
    incident = rng.random(world.size) < hazard.product_incidents
    return (state.product * hazard.lasts["product"] + incident).astype(np.float32), incident


def raise_price(world: World, state: State, rng: np.random.Generator, *, month: int) -> tuple[Floats, Flags]:
    """Return next month's price pain, and whom a bill surprised.

    The rise comes in its month; committed customers feel it at renewal. Some are surprised in any month.
    """
    hazard, rise = world.parameters.hazard, world.parameters.shocks.price_rise
    feels = np.full(world.size, month == rise.month) & (world.term <= 1)
    feels |= is_renewal(world, month) & (month >= rise.month)
    surprised = rng.random(world.size) < hazard.price_incidents
    pain = state.price * hazard.lasts["price"] + rise.size * 10 * feels + hazard.price_surprise * surprised
    return pain.astype(np.float32), surprised


def attract(world: World, state: State, rng: np.random.Generator, *, month: int) -> Floats:
    """Return next month's pull of rivals: their offers reach some customers in any month, and one opens in a region."""
    hazard, rival = world.parameters.hazard, world.parameters.shocks.rival
    names = list(world.parameters.regions)
    exposed = (world.region == names.index(rival.region)) if rival.region else np.ones(world.size, dtype=np.bool_)
    opens = np.where(exposed & (month == rival.month), rival.size, 0)
    offered = rng.random(world.size) < hazard.rival_incidents
    return (state.rival * hazard.lasts["rival"] + opens + hazard.rival_offer * offered).astype(np.float32)


def let_down(world: World, rng: np.random.Generator) -> Indices:
    """Draw which of TROUBLES each customer has with the month's deliveries, -1 for none.

    It depends on how often the customer orders and where they live, and on nothing that contact could change.
    """
    fulfilment = world.parameters.fulfilment
    if fulfilment is None:
        return np.full(world.size, -1, dtype=np.int32)
    remote = lognormal(generator(world.seed, "remoteness"), world.size, spread=fulfilment.remote)
    orders = 1 - np.exp(-world.order_rate)
    limits = np.cumsum([fulfilment.trouble[name] for name in TROUBLES])
    drawn = rng.random(world.size) / np.maximum(remote * orders, np.finfo(np.float32).tiny)
    kind = np.searchsorted(limits, drawn, side="right")
    return np.where(kind < len(TROUBLES), kind, -1).astype(np.int32)


def trouble_severity(world: World, trouble: Indices) -> Floats:
    """Return the service pain that the month's trouble with deliveries leaves."""
    fulfilment = world.parameters.fulfilment
    severity = [fulfilment.severity[name] if fulfilment else 0.0 for name in TROUBLES]
    return np.asarray([*severity, 0.0], dtype=np.float32)[trouble]


@dataclass(frozen=True, kw_only=True)
class Bills:
    """How each customer takes the month's invoice: days from the due day to the payment, and who contests it."""

    delay_days: Floats
    is_dunned: Flags
    is_disputed: Flags


def pay(world: World, state: State, rng: np.random.Generator, *, surprised: Flags) -> Bills:
    """Draw how the month's invoices are paid: those whom the price hurts or who need the product less pay late."""
    billing = world.parameters.billing
    if billing is None:
        nobody = np.zeros(world.size, dtype=np.bool_)
        return Bills(delay_days=nobody.astype(np.float32), is_dunned=nobody, is_disputed=nobody)
    added = contributions(world, state)
    hurt = added[CAUSES.index("price")] + added[CAUSES.index("need")]
    disputed = surprised & (rng.random(world.size) < billing.contests)
    late = billing.late_days * (hurt + disputed) * lognormal(rng, world.size, spread=0.6)
    delay = late + 2 * normal(rng, world.size) - billing.early_days
    return Bills(
        delay_days=delay.astype(np.float32), is_dunned=delay >= billing.dunned_after_days, is_disputed=disputed
    )


def annoyance(world: World, bills: Bills) -> Floats:
    """Return the price pain that reminders to pay leave."""
    billing = world.parameters.billing
    return np.asarray((billing.annoys if billing else 0.0) * bills.is_dunned, dtype=np.float32)


def complain(world: World, state: State, severity: Floats) -> Floats:
    """Return next month's service pain from the severity of what each customer met at the desk."""
    return (state.service * world.parameters.hazard.lasts["service"] + severity).astype(np.float32)


def endure(world: World, state: State, rng: np.random.Generator, *, month: int) -> Floats:
    """Let a month happen to everybody as if all were there, and return the severity of each customer's complaints.

    What is drawn does not depend on who has left, so that the same month can be lived through under another plan.
    """
    service = world.parameters.service
    state.need = fade_need(world, state, rng)
    state.product, _ = disappoint(world, state, rng)
    state.price, _ = raise_price(world, state, rng, month=month)
    state.rival = attract(world, state, rng, month=month)
    complaints = rng.poisson(service.monthly * service.complaint_share * world.loudness)
    severity = np.asarray(complaints * lognormal(rng, world.size, spread=0.6))
    state.service = complain(world, state, severity + trouble_severity(world, let_down(world, rng)))
    return severity


def burn_in(world: World) -> State:
    """Return the state of a company that has been running for a while when the world begins."""
    state = State.fresh(world.size)
    for month in range(-_BURN_IN, 0):
        endure(world, state, generator(world.seed, "burn in", month + _BURN_IN), month=month)
    return state


@dataclass(frozen=True, kw_only=True)
class Fate:
    """Who was a customer before the month (`known`), the draw that decides, and who leaves within it (`left`)."""

    known: Flags
    draw: Floats
    left: Flags


def depart(world: World, state: State, risk: Risk, *, month: Month) -> Fate:
    """Let those leave whose draw is below their hazard; contracts under commitment end on their renewal day."""
    draw = generator(world.seed, "leaving", month.index).random(world.size, dtype=np.float32)
    known = (world.signed_day < month.offset) & (state.left_day == STAYS)
    left = known & (draw < risk.hazard)
    day = month.offset + (generator(world.seed, "leaving day", month.index).random(world.size) * month.days)
    due = is_renewal(world, month.index)
    day = np.where(due, month.offset + world.day_of_month, day)
    state.left_day = np.where(left, day, state.left_day).astype(np.int32)
    state.cause = np.where(left, risk.cause, state.cause).astype(np.int32)
    return Fate(known=known, draw=draw, left=left)
