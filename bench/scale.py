"""One million customers: how long training and scoring take, and how much memory they need.

`make bench TOPIC=scale` writes bench/results/scale.json; `python -m bench.scale [--customers N] [--snapshots 12]
[--features 200] [--rows MOST]` measures another size and writes nothing. The training table is made snapshot by
snapshot from a seed. The sample, which decides the time, is that of the policy (`training.maximum_rows`): where there
are more rows, customers are drawn by chance, each with all its snapshots, until as many rows are left. The candidates
are the policy's, their choice, calibration and refit counted. All customers of the last snapshot are scored, those at
risk with reasons.
"""

import argparse
import resource
import time
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.figures import Figure, at_most, record, without_bar
from company.facts import Facts, read_facts
from company.policy import load_policy
from company.taxonomy import REASONS
from ml.dataset import Columns, Feature, Floats
from ml.evaluate import evaluate
from ml.explaining.reasons import explain_model
from ml.learners.base import Compute
from ml.score import score
from ml.training.config import TrainConfig
from ml.training.pipeline import Model
from ml.training.train import fit

POLICY = load_policy().training
SEED = 0
TELLING = 20  # features that the hazard looks at; the others are noise or copies with noise
MISSING = 0.02  # share of values
SLICE = 100_000  # customers made, or scored, at once
MOST_TRAINING, MOST_SCORING, MOST_MEMORY = 30 * 60, 5 * 60, 16.0
FULL = 1_000_000
FACTS = 70  # about as many as there are
AS_OF = date(2026, 1, 1)


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
    """Return the rows of the drawn customers in all snapshots; only one slice is in memory beside them."""
    share = min(1.0, most / (customers * snapshots))
    parts = []
    for first in range(0, customers, SLICE):
        size = min(SLICE, customers - first)
        kept = np.flatnonzero(np.random.default_rng([SEED, first]).random(size) < share)
        for month in range(snapshots):
            values, label = draw(month, first, size, features)
            columns = {name: values[kept, place] for place, name in enumerate(names(features))}
            when = pa.array(np.full(len(kept), np.datetime64(date(2025, month % 12 + 1, 1), "D")), pa.date32())
            parts.append(pa.table({"as_of": when, **columns, "churned": label[kept]}))
    return pa.concat_tables(parts)


def make_facts(codes: Mapping[str, str]) -> Facts:
    """Return `FACTS` facts on as many features, each of which holds for half of the customers."""
    facts = {
        f"high_{name}": {"reason": reason, "when": f"{name} >= 0", "en": f"{name} is {{{name}:.1}}", "zh": "高"}
        for name, reason in list(codes.items())[:FACTS]
    }
    return read_facts({"facts": facts, "no_single_cause": {"en": "none", "zh": "无"}}, path=Path(__file__))


def measure(customers: int, snapshots: int, features: int, *, most: int, threads: int) -> Iterator[Figure]:
    """Train, then score everybody with reasons."""
    started = time.perf_counter()
    table = make_training_set(customers, snapshots, features, most=most)
    made = time.perf_counter()
    fitted = fit(
        table,
        Columns("churned", "as_of", features=names(features), causes=names(features)[::5]),
        TrainConfig(horizon_days=28, seed=SEED, compute=Compute(workers=1, threads=threads)),
    )
    trained = time.perf_counter()
    rows, grown = table.num_rows, _peak()
    del table
    label, probability, shown = _score(fitted.model, customers, snapshots, features)
    scored = time.perf_counter()
    found = evaluate(label, probability)
    size = (
        f"{customers} customers x {snapshots} snapshots x {features} features; {rows} rows learned, of customers drawn "
        f"by chance, {fitted.chosen} of {', '.join(POLICY.candidates)}; table made in {made - started:.0f} s"
    )
    common: dict[str, object] = {"size": size, "seed": SEED, "command": "make bench TOPIC=scale"}
    judged = {
        ("training", "s"): at_most(trained - made, MOST_TRAINING),
        ("scoring with reasons", "s"): at_most(scored - trained, MOST_SCORING),
        ("peak memory of training", "GiB"): at_most(grown, MOST_MEMORY),
        ("peak memory in all", "GiB"): at_most(_peak(), MOST_MEMORY),
        ("AUC on the scored snapshot", "AUC"): without_bar(found.auc),
        ("calibration error on the scored snapshot", "share"): without_bar(found.ece),
        ("reasons shown", "rows"): without_bar(shown),
    }
    for (name, unit), each in judged.items():
        yield Figure(f"scale: {name}", unit=unit, **each, **common)  # type: ignore[arg-type]


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _score(model: Model, customers: int, snapshots: int, features: int) -> tuple[Floats, Floats, int]:
    """Score slice by slice; making the slice is part of the time, reading one from a warehouse would be, too."""
    codes = {name: REASONS[place % len(REASONS)] for place, name in enumerate(names(features))}
    declared = [Feature(name, "value", "", reason, name, name) for name, reason in codes.items()]
    facts = make_facts(codes)
    labels, probabilities, shown = [], [], 0
    for first in range(0, customers, SLICE):
        values, label = draw(snapshots, first, min(SLICE, customers - first), features)
        columns = {name: values[:, place] for place, name in enumerate(names(features))}
        table = pa.table({"customer_id": [str(first + row) for row in range(len(label))], **columns})
        scores = score(model, table, as_of=AS_OF, horizon_days=30, model_version="1")
        probability = scores.column("probability").to_numpy()
        at_risk = probability >= probability.mean()
        shown += explain_model(
            model, table, declared, facts, as_of=AS_OF, at_risk=at_risk, minimum_share=0.05, exact=False
        ).num_rows
        labels.append(label)
        probabilities.append(probability)
    return np.concatenate(labels), np.concatenate(probabilities), shown


def main() -> None:
    """Measure; only the full size replaces the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=FULL)
    parser.add_argument("--snapshots", type=int, default=12)
    parser.add_argument("--features", type=int, default=200)
    parser.add_argument("--rows", type=int, default=POLICY.maximum_rows, help="most rows to learn from")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    found = measure(given.customers, given.snapshots, given.features, most=given.rows, threads=given.threads)
    if given.customers >= FULL:
        record("scale", found)
        return
    for each in found:
        print(f"{each.name:50} {each.value:12.4f} {each.unit:6} {each.bar} at {FULL} customers", flush=True)


if __name__ == "__main__":
    main()
