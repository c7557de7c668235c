"""Whether attribution finds which strategy did it where everybody is contacted.

`make bench TOPIC=attribution` draws customers whose probability of leaving six strategies lower, raise or leave alone,
one or two strategies each, a fifth of the customers held out. Results go to bench/results/attribution.json.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.figures import Figure, at_least, at_most, record, without_bar
from retention.measuring.attribution import Attribution, attribute

SEEDS = tuple(range(10))  # the priors were looked at with none of them
CUSTOMERS, HELD_OUT, LEAVE = 60_000, 0.2, 0.4
STRATEGIES = tuple("abcdef")
METHODS = ("shapley", "markov")
COMMAND = "make bench TOPIC=attribution"


@dataclass(frozen=True)
class World:
    """By how much each strategy lowers the probability of leaving, and how many strategies a customer gets at most."""

    name: str
    effects: tuple[float, ...]
    most: int


WORLDS = (
    World("one of six works", (0.15, 0, 0, 0, 0, 0), most=1),
    World("one of six works, two a customer", (0.15, 0, 0, 0, 0, 0), most=2),
    World("one works, one harms", (0.15, -0.10, 0, 0, 0, 0), most=2),
    World("none works", (0, 0, 0, 0, 0, 0), most=1),
)


def draw(world: World, seed: int) -> pd.DataFrame:
    """Return the decisions of one world with their outcomes: retained, shared out over a customer's decisions."""
    rng = np.random.default_rng([sum(map(ord, world.name)), seed])
    is_held_out, counts = rng.random(CUSTOMERS) < HELD_OUT, rng.integers(1, world.most + 1, CUSTOMERS)
    actions = np.argsort(rng.random((CUSTOMERS, len(STRATEGIES))), axis=1)[:, : world.most]
    is_due = np.arange(world.most) < counts[:, None]
    lowered = (np.asarray(world.effects)[actions] * is_due).sum(axis=1)
    stayed = rng.random(CUSTOMERS) > LEAVE - lowered * ~is_held_out
    customers, steps = np.nonzero(is_due)
    return pd.DataFrame(
        {
            "customer_id": customers,
            "as_of": steps,
            "arm": np.where(is_held_out, "holdout", "treated")[customers],
            "strategy_id": np.asarray(STRATEGIES)[actions[customers, steps]],
            "outcome": stayed[customers] / counts[customers],
        }
    )


def measure(world: World) -> Iterator[Figure]:
    """Yield the figures of one world over all seeds."""
    found = [attribute(draw(world, seed), action="strategy_id") for seed in SEEDS]
    gap = max(_gap(each, method) for each in found for method in METHODS)
    yield _figure(f"{world.name}: parts and rest miss the increment by", "customers", **at_most(gap, 1e-6))
    increment = np.array([each.increment for each in found])
    for method in (*METHODS, "last_touch"):
        parts = np.array([each.parts.set_index("action")[method].reindex(list(STRATEGIES)) for each in found])
        yield from _judge(world, method, parts, increment)


def _judge(world: World, method: str, parts: np.ndarray, increment: np.ndarray) -> Iterator[Figure]:
    is_ours = method in METHODS
    if world.effects[1] < 0:
        share = float((parts[:, 1] < 0).mean())
        shown = at_least(share, 0.95) if is_ours else without_bar(share)
        yield _figure(f"{world.name}: {method}, seeds in which the harmful one is negative", "share", **shown)
    elif world.effects[0] > 0:
        share = float(parts[:, 0].sum() / increment.sum())
        shown = at_least(share, 0.80) if is_ours else without_bar(share)
        yield _figure(f"{world.name}: {method}, part of the one that works", "share of the increment", **shown)
    else:
        size = float(np.abs(parts).sum(axis=1).mean() / (CUSTOMERS * (1 - HELD_OUT)))
        shown = at_most(size, 0.01) if is_ours else without_bar(size)
        yield _figure(f"{world.name}: {method}, parts in all", "share of the treated", **shown)


def _gap(found: Attribution, method: str) -> float:
    rest = found.rest_shapley if method == "shapley" else found.rest_markov
    return abs(float(found.parts[method].sum()) + rest - found.increment)


def _figure(name: str, unit: str, **shown: object) -> Figure:
    size = f"{CUSTOMERS} customers, {HELD_OUT:.0%} held out, {len(SEEDS)} seeds"
    return Figure(name=name, unit=unit, size=size, seed=list(SEEDS), command=COMMAND, **shown)  # type: ignore[arg-type]


def main(worlds: Sequence[World] = WORLDS) -> int:
    """Measure all worlds; return 1 where a bar was missed."""
    figures = record("attribution", [figure for world in worlds for figure in measure(world)])
    return int(any(figure.holds is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
