"""One million customers: how long training and scoring take, and how much memory they need.

`python -m bench.scale [--customers N] [--snapshots 12] [--features 200] [--rows MOST]` writes bench/results/scale.json.
The training table is made snapshot by snapshot from a seed. Rule of the sample, stated because it decides the time:
of every snapshot all churned rows and as many stayed rows as fit into MOST rows in all are learned from; a row that
stands for several carries that number as its weight, so that probabilities stay those of everybody. All customers of
the last snapshot are scored with reasons.
"""

import argparse
import json
import platform
import resource
import time
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from ml.dataset import Feature, Floats
from ml.evaluate import evaluate
from ml.explain import explain
from ml.members import Compute
from ml.score import score
from ml.train import fit

RESULTS = Path(__file__).parent / "results" / "scale.json"
SEED = 0
TELLING = 20  # features that the hazard looks at; the others are noise or copies with noise
MISSING = 0.02  # share of values
SLICE = 100_000  # customers made, or scored, at once
MOST_TRAINING, MOST_SCORING, MOST_MEMORY = 30 * 60, 5 * 60, 16.0
FULL = 1_000_000


@dataclass(frozen=True)
class Result:
    """One measured figure beside the bar it has to reach."""

    name: str
    value: float
    unit: str
    bar: str
    holds: bool
    seed: int
    size: str
    machine: str
    command: str


def names(features: int) -> list[str]:
    """Return the feature columns."""
    return [f"x{number:03d}" for number in range(features)]


def draw(month: int, first: int, customers: int, features: int) -> tuple[Floats, Floats]:
    """Return features (float32, some missing) and labels of some customers in one month."""
    random = np.random.default_rng([SEED, month, first])
    weights = np.random.default_rng(SEED).normal(0, 0.5, TELLING)
    values = random.standard_normal((customers, features), dtype=np.float32)
    logit = values[:, :TELLING] @ weights + 0.6 * np.abs(values[:, 0]) * (values[:, 1] > 0) - 3.2
    label = (random.random(customers) < 1 / (1 + np.exp(-logit))).astype(float)
    values[random.random((customers, features), dtype=np.float32) < MISSING] = np.nan
    return values, label


def make_training_set(customers: int, snapshots: int, features: int, *, most: int) -> pa.Table:
    """Return the sampled rows of all snapshots with their weights; only one slice is in memory beside them."""
    share = min(1.0, most / (customers * snapshots))
    parts = []
    for month in range(snapshots):
        for first in range(0, customers, SLICE):
            values, label = draw(month, first, min(SLICE, customers - first), features)
            random = np.random.default_rng([SEED, month, first, 1])
            stays = max(share - label.mean(), share * 0.5) / max(1 - label.mean(), 1e-9)
            chance = np.where(label > 0, 1.0 if share * 0.5 >= label.mean() else share, min(stays, 1.0))
            kept = np.flatnonzero(random.random(len(label)) < chance)
            columns = {name: values[kept, place] for place, name in enumerate(names(features))}
            columns |= {"churned": label[kept], "stands_for": 1 / chance[kept]}
            when = pa.array(np.full(len(kept), np.datetime64(date(2025, month % 12 + 1, 1), "D")), pa.date32())
            parts.append(pa.table({"as_of": when, **columns}))
    return pa.concat_tables(parts)


def measure(customers: int, snapshots: int, features: int, *, most: int, threads: int) -> list[Result]:
    """Train, then score everybody with reasons."""
    started = time.perf_counter()
    table = make_training_set(customers, snapshots, features, most=most)
    made = time.perf_counter()
    fitted = fit(
        table,
        "churned",
        "as_of",
        features=names(features),
        weight="stands_for",
        maturity_days=28,
        seed=SEED,
        compute=Compute(workers=1, threads=threads),
    )
    trained = time.perf_counter()
    rows = table.num_rows
    del table
    label, probability, told = _score(fitted.model, customers, snapshots, features)
    scored = time.perf_counter()
    found = evaluate(label, probability)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    size = (
        f"{customers} customers x {snapshots} snapshots x {features} features; {rows} rows learned by the stated rule, "
        f"{fitted.chosen}; table made in {made - started:.0f} s"
    )
    full = customers >= FULL
    return [
        _result("training", trained - made, "s", f"<= {MOST_TRAINING}", trained - made <= MOST_TRAINING, full, size),
        _result("scoring", scored - trained, "s", f"<= {MOST_SCORING}", scored - trained <= MOST_SCORING, full, size),
        _result("peak memory", peak, "GiB", f"<= {MOST_MEMORY:.0f}", peak <= MOST_MEMORY, full, size),
        _result("AUC on the scored snapshot", found.auc, "AUC", "no bar", True, full, size),
        _result("calibration error on the scored snapshot", found.ece, "share", "no bar", True, full, size),
        _result("reasons told", told, "rows", "no bar", True, full, size),
    ]


def _score(model: "object", customers: int, snapshots: int, features: int) -> tuple[Floats, Floats, int]:
    """Score slice by slice; making the slice is part of the time, reading one from a warehouse would be, too."""
    words = [Feature(name, "any", "", f"reason {place % 7}", name + " is {value:.1f}", name) for place, name in
             enumerate(names(features))]  # fmt: skip
    labels, probabilities, told = [], [], 0
    for first in range(0, customers, SLICE):
        values, label = draw(snapshots, first, min(SLICE, customers - first), features)
        columns = {name: values[:, place] for place, name in enumerate(names(features))}
        table = pa.table({"customer_id": [str(first + row) for row in range(len(label))], **columns})
        given = {"as_of": date(2026, 1, 1)}
        scores = score(model, table, horizon_days=30, model_version="1", **given)  # type: ignore[arg-type]
        told += explain(model, table, words, **given).num_rows  # type: ignore[arg-type]
        labels.append(label)
        probabilities.append(scores.column("probability").to_numpy())
    return np.concatenate(labels), np.concatenate(probabilities), told


def _result(name: str, value: float, unit: str, bar: str, holds: bool, full: bool, size: str) -> Result:  # noqa: FBT001, PLR0917
    machine = f"{platform.machine()}, 2 cores, Python {platform.python_version()}"
    return Result(
        f"scale: {name}",
        round(value, 4),
        unit,
        bar if full else f"{bar} at {FULL} customers",
        holds,
        SEED,
        size,
        machine,
        "python -m bench.scale",
    )


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=FULL)
    parser.add_argument("--snapshots", type=int, default=12)
    parser.add_argument("--features", type=int, default=200)
    parser.add_argument("--rows", type=int, default=200_000, help="most rows to learn from")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    found = measure(given.customers, given.snapshots, given.features, most=given.rows, threads=given.threads)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(each) for each in found], indent=2) + "\n")
    for each in found:
        print(
            f"{each.name:50} {each.value:12.4f} {each.unit:6} {each.bar:32} {'holds' if each.holds else 'FALLS SHORT'}"
        )


if __name__ == "__main__":
    main()
