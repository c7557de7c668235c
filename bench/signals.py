"""What texts, invoices and deliveries add to the scores and the reasons: the same worlds with and without them.

`make bench TOPIC=signals` writes bench/results/signals.json; `python -m bench.signals [--industry NAME] [--seeds 0 1]
[--customers N] [--months N] [--keep FOLDER]` measures a part of it. The worlds and reasons are those of `bench.worlds`
and `bench.reasons`; without a signal its features are empty, as for a company that does not connect it. Only the
online shop delivers, and only the software company sends invoices.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from sklearn.metrics import roc_auc_score

from bench.figures import Figure, record, without_bar
from bench.reasons import explain
from bench.worlds import World, learn, open_world, split
from dbt_project.library import load_library
from simulator.parameters import INDUSTRIES

SIGNALS = {"texts": ("ticket_texts", "feedback_texts"), "invoices and deliveries": ("invoices", "deliveries")}
CUSTOMERS, MONTHS = 1200, 12


def hide(world: World, *signals: str) -> World:
    """Return the world as a company sees it that does not have some of SIGNALS."""
    groups = [group for signal in signals for group in SIGNALS[signal]]
    hidden = {each.name for group in load_library().groups if group.name in groups for each in group.features}
    table = world.table
    for place, name in enumerate(table.column_names):
        if name in hidden:
            table = table.set_column(place, name, pa.nulls(table.num_rows, pa.float64()))
    return replace(world, table=table)


def has(world: World, signal: str) -> bool:
    """Return whether the world has a signal at all."""
    return world.features != hide(world, signal).features


def measure(world: World, *, command: str) -> Iterator[Figure]:
    """Train and explain with everything, without each signal that the world has, and without all of them."""
    present = [signal for signal in SIGNALS if has(world, signal)]
    variants = {"with all signals": (), **{f"without {signal}": (signal,) for signal in present}}
    if len(present) > 1:
        variants["without any of them"] = tuple(present)
    for name, hidden in variants.items():
        yield from _measure(hide(world, *hidden), name=f"{world.industry}, {name}", command=command)


def _measure(world: World, *, name: str, command: str) -> Iterator[Figure]:
    learned, tested = split(world)
    model = learn(world, learned).model
    later = world.table.take(pa.array(tested))
    label = later.column("churned").to_numpy(zero_copy_only=False).astype(float)
    found = explain(world, model)
    hit, visible = found.given == found.cause[:, None], found.is_visible
    shares = {"first reason is the true cause": hit[:, 0], "true cause is among the three": hit.any(axis=1)}
    given: dict[str, Any] = {"seed": world.seed, "command": command}
    size = f"{len(tested)} rows, {len(world.features)} features"
    auc = float(roc_auc_score(label, model.predict(later)))
    yield Figure(f"{name}: auc", unit="", **without_bar(auc), size=size, **given)
    size = f"{int(visible.sum())} customers at highest risk with a cause that facts exist for"
    for what, each in shares.items():
        yield Figure(f"{name}: {what}", unit="share", **without_bar(float(each[visible].mean())), size=size, **given)


def main() -> None:
    """Measure the worlds asked for, and replace their results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--industry", choices=INDUSTRIES, nargs="*", default=list(INDUSTRIES))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1])
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--months", type=int, default=MONTHS)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "holdfast-signal-worlds")
    given = parser.parse_args()
    command = "make bench TOPIC=signals"
    if (given.customers, given.months) != (CUSTOMERS, MONTHS):
        command = f"python -m bench.signals --customers {given.customers} --months {given.months}"
    for seed in given.seeds:
        for industry in given.industry:
            world = open_world(industry, seed=seed, customers=given.customers, months=given.months, keep=given.keep)
            record("signals", measure(world, command=command))


if __name__ == "__main__":
    main()
