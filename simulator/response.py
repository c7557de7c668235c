"""What each action would do to each customer: some are won, some stay anyway, some are lost because of it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from simulator.hazard import Risk, State, assess, expit
from simulator.parameters.schema import CAUSES
from simulator.streams import Flags, Floats, Indices
from simulator.world import World

KINDS = ("sure_thing", "persuadable", "lost_cause", "sleeping_dog")
_SLEEPS_ABOVE = 1.0
_BISECTIONS = 40
_MOST = 8.0
_TOP = 0.10


@dataclass(frozen=True, kw_only=True)
class Strength:
    """How strongly actions work: factors on the parameter file's `relief` and `wakes`, and what every contact adds.

    `repels` are log-odds that contact adds whatever it offers.
    """

    relief: float = 1.0
    wakes: float = 1.0
    repels: float = 0.0


AS_DECLARED = Strength()
_ACTIONS = {
    "coupon": "discount", "discount": "discount", "yield_bonus": "discount", "agent": "call", "upgrade": "upgrade",
    "trial": "upgrade", "privilege": "upgrade", "gift": "gift", "points": "gift",
}  # fmt: skip
_SPOKEN = ("phone", "agent")


def find_action(offers: Iterable[str], *, channel: str) -> str:
    """Return the action of the parameter file that a message amounts to: a talk, else its first offer, else a gift."""
    if channel in _SPOKEN:
        return "call"
    return next((_ACTIONS[offer] for offer in offers if offer in _ACTIONS), "gift")


@dataclass(frozen=True, kw_only=True)
class Response:
    """Potential outcomes of one month: probability of leaving untreated and under each action (rows).

    A customer leaves exactly when `draw` is below the probability of what was done, so that the same customers can be
    lived through again under another plan.
    """

    draw: Floats
    untreated: Floats
    treated: Floats
    kinds: Indices


def effect(world: World, risk: Risk, action: str, *, strength: Strength = AS_DECLARED) -> Floats:
    """Return the change of log-odds that `action` makes for every customer; above zero it drives them away."""
    soothes = relieve(world, risk, action, strength=strength).sum(axis=0)
    return np.asarray(disturb(world, action, strength=strength) - soothes, dtype=np.float32)


def relieve(world: World, risk: Risk, action: str, *, strength: Strength = AS_DECLARED) -> Floats:
    """Return the log-odds of each of CAUSES (rows) that `action` takes away from every customer."""
    relief = world.parameters.actions[action].relief
    share = np.array([relief.get(cause, 0.0) for cause in CAUSES], dtype=np.float32)
    return np.asarray(strength.relief * share[:, None] * risk.contributions * world.receptive, dtype=np.float32)


def disturb(world: World, action: str, *, strength: Strength = AS_DECLARED) -> Floats:
    """Return the log-odds that `action` adds for every customer, in the month of the contact alone."""
    wakes = world.parameters.actions[action].wakes * np.maximum(world.inertia - _SLEEPS_ABOVE, 0) * 2
    return np.asarray(strength.wakes * wakes + strength.repels, dtype=np.float32)


def respond(world: World, risk: Risk, draw: Floats) -> Response:
    """Return the potential outcomes of every customer under every action of the parameter file, in its order."""
    treated = np.stack([expit(risk.log_odds + effect(world, risk, name)) for name in world.parameters.actions])
    leaves, leaves_if = draw < risk.hazard, draw < treated
    kinds = np.where(leaves_if, np.where(leaves, 2, 3), np.where(leaves, 1, 0)).astype(np.int32)
    return Response(draw=draw, untreated=risk.hazard, treated=treated, kinds=kinds)


def calibrate_strength(world: World, state: State, *, intercept: float, reduction: float | None) -> Strength:
    """Return the strength at which an action drawn at random lowers monthly churn by `reduction` on average.

    The average is over the tenth at highest risk when the world begins. Below 0 churn rises: then contact repels, and
    relieves nobody. None is what the parameter file holds.
    """
    if reduction is None:
        return AS_DECLARED
    risk = assess(world, state, month=0, intercept=intercept)
    known = world.signed_month < 0
    rows = known & (risk.hazard >= np.quantile(risk.hazard[known], 1 - _TOP))
    low, high = 0.0, _MOST
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        is_too_strong = abs(_mean_reduction(world, risk, rows, _strength(middle, reduction))) > abs(reduction)
        low, high = (low, middle) if is_too_strong else (middle, high)
    return _strength(low, reduction)


def _strength(size: float, reduction: float) -> Strength:
    if reduction < 0:
        return Strength(relief=0.0, wakes=0.0, repels=size)
    return Strength(relief=size, wakes=size)


def _mean_reduction(world: World, risk: Risk, rows: Flags, strength: Strength) -> float:
    changes = [effect(world, risk, name, strength=strength)[rows] for name in world.parameters.actions]
    treated = np.mean([expit(risk.log_odds[rows] + change).mean() for change in changes])
    return float(1 - treated / risk.hazard[rows].mean())
