"""What each action would do to each customer: some are won, some stay anyway, some are lost because of it."""

from dataclasses import dataclass

import numpy as np

from simulator.hazard import Risk, expit
from simulator.parameters.schema import CAUSES
from simulator.streams import Floats, Indices
from simulator.world import World

KINDS = ("sure_thing", "persuadable", "lost_cause", "sleeping_dog")
_SLEEPS_ABOVE = 1.0


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


def effect(world: World, risk: Risk, action: str) -> Floats:
    """Return the change of log-odds that `action` makes for every customer; above zero it drives them away."""
    offer = world.parameters.actions[action]
    relief = np.array([offer.relief.get(cause, 0.0) for cause in CAUSES], dtype=np.float32)
    soothes = (relief[:, None] * risk.contributions).sum(axis=0) * world.receptive
    wakes = offer.wakes * np.maximum(world.inertia - _SLEEPS_ABOVE, 0) * 2
    return np.asarray(wakes - soothes, dtype=np.float32)


def respond(world: World, risk: Risk, draw: Floats) -> Response:
    """Return the potential outcomes of every customer under every action of the parameter file, in its order."""
    treated = np.stack([expit(risk.log_odds + effect(world, risk, name)) for name in world.parameters.actions])
    leaves, leaves_if = draw < risk.hazard, draw < treated
    kinds = np.where(leaves_if, np.where(leaves, 2, 3), np.where(leaves, 1, 0)).astype(np.int32)
    return Response(draw=draw, untreated=risk.hazard, treated=treated, kinds=kinds)
