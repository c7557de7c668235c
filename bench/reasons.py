"""Whether the reasons that are given are why customers leave: five simulated industries, several seeds.

`make bench TOPIC=reasons` writes bench/results/reasons.json; `python -m bench.reasons [--industry NAME]
[--seeds 0 1 2] [--customers N] [--months N] [--keep FOLDER] [--read N]` measures a part of it, and prints the
reasons of N customers. The worlds are those of `bench.worlds`, of which FOLDER keeps the feature tables and the
models. The reasons are those of the product, for the tenth at highest risk; the true cause of each customer's pain,
which the platform never reads, is the yardstick.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from bench.figures import Figure, at_least, at_most, record, without_bar
from bench.worlds import FIRST, World, learn, open_world, split
from company.facts import Fact, load_facts
from company.industries import load_industry
from company.policy import load_policy
from company.taxonomy import CAUSES, REASONS
from ml.explaining.contributions import weigh_model
from ml.explaining.facts import find_holding, read_figures
from ml.explaining.reasons import TOP, explain_model
from ml.training.grouped import read_model
from ml.training.pipeline import Model
from simulator.parameters import INDUSTRIES
from simulator.parameters.schema import CAUSES as TRUE_CAUSES

TENTH = 0.10  # of the customers, at highest risk
LEAST_FIRST, LEAST_AMONG = 0.60, 0.80
VISIBLE = tuple(each for each in TRUE_CAUSES if each in REASONS)  # causes that there are facts for
BETWEEN_ZH = "；"  # noqa: RUF001  (between Chinese clauses)
Names = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Explained:
    """The customers at highest risk: their features, true causes, and the reasons given by rank."""

    data: pa.Table
    cause: Names
    given: Names  # customers x ranks, empty where there is none
    rows: pd.DataFrame

    @property
    def is_visible(self) -> npt.NDArray[np.bool_]:
        """Whether the true cause is one that facts exist for."""
        return np.isin(self.cause.astype(str), VISIBLE)


def open_model(world: World, folder: Path) -> Model:
    """Return the world's model, learning it first where `folder` does not hold it."""
    path = folder / "model.json"
    if not path.exists():
        path.write_bytes(learn(world, split(world)[0]).model.to_bytes())
    return read_model(path.read_bytes())


def explain(world: World, model: Model) -> Explained:
    """Explain the risk of the tenth at highest risk in the tested snapshots, who are still there."""
    rows = split(world)[1]
    probability = model.predict(world.table.take(pa.array(rows)))
    alive = np.array(world.truth.column("is_alive").to_pylist())[rows]
    top = rows[(probability >= np.quantile(probability, 1 - TENTH)) & alive]
    data = world.table.take(pa.array(top))
    numbered = pa.array([f"{row:06}" for row in range(len(top))])
    data = data.set_column(data.column_names.index("customer_id"), "customer_id", numbered)
    facts = load_facts().fill(load_industry(world.industry).words)
    everybody = np.ones(len(top), dtype=bool)
    share = load_policy().inferred_reasons.minimum_share
    found = explain_model(
        model, data, world.words, facts, as_of=FIRST, at_risk=everybody, minimum_share=share
    ).to_pandas()
    given = np.full((len(top), TOP), "", dtype=object)
    given[found["customer_id"].astype(int), found["rank"] - 1] = found["reason"]
    cause = np.array(world.truth.column("cause").to_pylist(), dtype=object)[top]
    return Explained(data, cause, given, found)


def measure(world: World, model: Model, *, command: str) -> Iterator[Figure]:
    """Compare the reasons with the true causes."""
    found = explain(world, model)
    facts = [fact for fact in load_facts().facts if fact.columns <= set(found.data.column_names)]
    visible, first = found.is_visible, found.given[:, 0] == found.cause
    among = (found.given == found.cause[:, None]).any(axis=1)
    can_be_given = visible & _holds_of_cause(found, facts)
    kinds = {kind: int((found.cause == kind).sum()) for kind in (*VISIBLE, "need", "other")}
    size = f"{len(visible)} customers at highest risk, true causes {kinds}"
    common = {"seed": world.seed, "size": size, "command": command}
    name = world.industry
    yield _share(f"{name}: first reason is the true cause", first[can_be_given], LEAST_FIRST, common)
    yield _share(f"{name}: true cause is among the three reasons", among[can_be_given], LEAST_AMONG, common)
    yield _share(f"{name}: first reason is the true cause, facts for it or not", first[visible], None, common)
    yield _share(f"{name}: true cause is among the three, facts for it or not", among[visible], None, common)
    faded = ~np.isin(found.given[~visible, 0].astype(str), CAUSES)
    yield _share(f"{name}: no cause comes first where there is none", faded, None, common)
    lowering = count_lowering(world, model, found)
    yield Figure(f"{name}: reasons that lower the risk", unit="reasons", **at_most(lowering, 0), **common)
    without = float((found.rows["reason"] == "other").sum()) / len(visible)
    yield Figure(f"{name}: without one single cause", unit="share", **without_bar(without), **common)


def count_lowering(world: World, model: Model, found: Explained) -> int:
    """Return how many reasons have contributions to the score that sum to less than 0, causes' own left out."""
    evidence = weigh_model(model, found.data, exact=True)
    reason_of = {word.name: word.reason for word in world.words}
    given = found.rows[found.rows["reason"] != "other"]
    lowering = 0
    for reason, rows in given.groupby("reason")["customer_id"]:
        mine = [place for place, name in enumerate(evidence.features) if reason_of.get(name) == reason]
        lowering += int((evidence.contributions[np.ix_(rows.astype(int), mine)].sum(axis=1) < 0).sum())
    return lowering


def _holds_of_cause(found: Explained, facts: list[Fact]) -> npt.NDArray[np.bool_]:
    """Return for each customer whether a fact of the true cause holds."""
    frame = read_figures(found.data, facts)
    holds = np.zeros(len(found.cause), dtype=bool)
    for fact in facts:
        holds |= find_holding(fact, frame) & (found.cause == fact.reason)
    return holds


def _share(name: str, hit: npt.NDArray[np.bool_], bar: float | None, common: dict[str, Any]) -> Figure:
    """Return a share with its 95 % interval."""
    n = len(hit)
    share = float(hit.mean()) if n else float("nan")
    reach = 1.96 * (share * (1 - share) / n) ** 0.5 if n else float("nan")
    judged = without_bar(share) if bar is None else at_least(share, bar)
    sized = {**common, "size": f"{n} of {common['size']}"}
    return Figure(name, unit="share", low=share - reach, high=share + reach, **judged, **sized)


def read_out(world: World, model: Model, *, customers: int) -> Iterator[str]:
    """Yield the reasons of some customers in both languages, with the true cause in front."""
    found = explain(world, model)
    for customer, rows in list(found.rows.groupby("customer_id"))[:: max(1, len(found.cause) // customers)]:
        yield f"[{found.cause[int(customer)]}] {'; '.join(rows['text_en'])} | {BETWEEN_ZH.join(rows['text_zh'])}"


def main() -> None:
    """Measure the worlds asked for, and replace their results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--industry", choices=INDUSTRIES, nargs="*", default=list(INDUSTRIES))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--customers", type=int, default=4000)
    parser.add_argument("--months", type=int, default=24)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "holdfast-worlds")
    parser.add_argument("--read", type=int, default=0, help="print the reasons of so many customers of each world")
    arguments = parser.parse_args()
    command = "make bench TOPIC=reasons"
    if (arguments.customers, arguments.months) != (4000, 24):
        command = f"python -m bench.reasons --customers {arguments.customers} --months {arguments.months}"
    for seed in arguments.seeds:
        for industry in arguments.industry:
            size = {"customers": arguments.customers, "months": arguments.months}
            world = open_world(industry, seed=seed, **size, keep=arguments.keep)
            model = open_model(world, arguments.keep / f"{industry}-{seed}-{arguments.customers}x{arguments.months}")
            record("reasons", measure(world, model, command=command))
            for line in read_out(world, model, customers=arguments.read) if arguments.read else ():
                print(line, flush=True)


if __name__ == "__main__":
    main()
