"""How close the models come to the truth in simulated worlds: five industries, several seeds.

`make bench TOPIC=worlds` writes bench/results/worlds.json; `python -m bench.worlds [--industry NAME] [--seeds 0 1 2]
[--customers N] [--keep FOLDER] [--segments]` a part of it. Each world is simulated, landed from a real database and a
real HTTP API, and turned into features by dbt, once: FOLDER keeps the feature tables, so that a second run only trains.
What the platform never reads, the true probability behind each label, is the yardstick; `bench.reasons` compares the
reasons with the true cause.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import roc_auc_score

from bench.figures import Figure, at_least, at_most, record, without_bar
from ml.dataset import Columns, Feature, Floats, Rows, list_informative
from ml.encode import Encoder
from ml.evaluate import evaluate, intervals
from ml.explaining.causes import list_causes
from ml.learners.base import Candidate, Compute
from ml.learners.trees import BAGS, Trees
from ml.training.config import TrainConfig
from ml.training.group_models import fit_groups
from ml.training.train import Fitted, fit
from simulator.calendar import shift
from simulator.parameters import INDUSTRIES

ROOT = Path(__file__).parent.parent
SECRETS = {"HOLDFAST_TOKEN_KEY": "a key for measuring only, 0123456789"}
FIRST = date(2025, 1, 1)
TESTED = 4  # last matured snapshots, which no model learns from
LEAST_OF_ORACLE, MOST_ERROR = 0.95, 0.02
DRAWS = 300
CHANCE = 0.5  # ROC-AUC of a coin
SHALLOW = {
    "learning_rate": 0.05, "max_depth": 3, "subsample": 0.7, "colsample_bytree": 0.3, "min_child_weight": 5.0,
    "reg_lambda": 10.0,
}  # fmt: skip
Groups = npt.NDArray[np.str_]


@dataclass(frozen=True)
class World:
    """Labelled features of one world beside its truth, in the same row order."""

    industry: str
    seed: int
    table: pa.Table  # features, as_of, customer_id, churned
    truth: pa.Table  # label_probability, cause, is_alive
    words: tuple[Feature, ...]
    maturity_days: int

    @property
    def features(self) -> list[str]:
        """Declared features that hold more than one value here."""
        return list_informative(self.table, [word.name for word in self.words])


def open_world(industry: str, *, seed: int, customers: int, months: int, keep: Path) -> World:
    """Return the world, making it first where `keep` does not hold it."""
    folder = keep / f"{industry}-{seed}-{customers}x{months}"
    if not (folder / "facts.json").exists():
        make_world(industry, folder, seed=seed, customers=customers, months=months)
    facts = json.loads((folder / "facts.json").read_text())
    words = tuple(Feature(**each) for each in facts["words"])
    joined = pq.read_table(folder / "rows.parquet")
    truth = joined.select(["label_probability", "cause", "is_alive"])
    return World(industry, seed, joined.drop_columns(truth.column_names), truth, words, facts["maturity_days"])


def make_world(industry: str, folder: Path, *, seed: int, customers: int, months: int) -> None:
    """Simulate, serve, land, link, build the features, and write them joined with the truth."""
    from simulator.parameters import load_parameters
    from simulator.serve import serve
    from simulator.story import simulate

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="holdfast-world-") as scratch:
        world, home = Path(scratch) / "world", Path(scratch) / "home"
        home.mkdir()
        simulate(load_parameters(industry), world, customers=customers, months=months, seed=seed)
        with serve(world) as (environment, _):
            company = write_company(industry, world, environment["DESK_URL"])
            land_world(company, home / "warehouse.duckdb", {**SECRETS, **environment}, end=shift(FIRST, months))
        facts = _build_features(company, home, months)
        _export(home / "warehouse.duckdb", world / "truth" / "hazard.parquet", folder / "rows.parquet")
    (folder / "facts.json").write_text(json.dumps(facts))


def write_company(industry: str, world: Path, desk: str) -> Path:
    """Put the example's company file beside the world, with the desk where it answers now."""
    from urllib.parse import urlsplit

    text = (ROOT / "examples" / industry / "company.yaml").read_text()
    path = world / "company.yaml"
    path.write_text(text.replace("127.0.0.1:8377", urlsplit(desk).netloc))
    return path


def land_world(path: Path, warehouse: Path, secrets: dict[str, str], *, end: date) -> None:
    """Land every table of a company file into `warehouse` as of `end`, and link its customers."""
    from ingestion.identity.linking import link
    from ingestion.landing import land
    from ingestion.readers import load_company
    from ml.text.reading import TextReader

    company, at = load_company(path), datetime.combine(end, datetime.min.time(), UTC)
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("set timezone = 'UTC'")
        for table in company.tables:
            land(connection, company, table, secrets=secrets, batch="world", landed_at=at, text_reader=TextReader())
        link(connection, company, secrets=secrets, batch="world", decided_at=at)


def _build_features(path: Path, home: Path, months: int) -> dict[str, Any]:
    """Run dbt up to the labels; return the features' words and how long labels take to mature."""
    from company.industries import load_industry
    from company.policy import load_policy
    from ingestion.readers import load_company
    from orchestration.dbt import PROJECT, read_features, read_variables, write_run

    company = load_company(path)
    policy = load_policy(load_industry(company.industry).policy, company.policy)
    given = read_variables(company, policy)
    folders = ("staging", "bookkeeping", "intermediate", "customer_360", "features")
    models = [f"path:models/{folder}" for folder in folders]
    command = [str(Path(sys.executable).with_name("dbt")), "--quiet", "run", "--select", *models]
    command += ["--exclude", "leavers+"]  # they read what models learn from
    command += ["--vars", json.dumps(given), "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    command += ["--target-path", str(home / "dbt" / "target"), "--log-path", str(home / "dbt" / "logs")]
    subprocess.run(
        command,
        check=True,
        env=os.environ | write_run(shift(FIRST, months), list_snapshots(months)) | {"HOLDFAST_HOME": str(home)},
    )
    words = read_features(json.loads((home / "dbt" / "target" / "manifest.json").read_text()))
    return {
        "words": [asdict(word) for word in words],
        "maturity_days": company.churn.lead_days + company.churn.horizon_days,
    }


def list_snapshots(months: int) -> list[date]:
    """Return the months from the third on: before, nobody has a history."""
    return [shift(FIRST, month) for month in range(2, months + 1)]


def _export(warehouse: Path, hazard: Path, rows: Path) -> None:
    query = f"""
        copy (
            select features.*, labels.churned, truth.label_probability, truth.cause, truth.is_alive
            from features.customer_features as features
            inner join features.churn_labels as labels using (as_of, customer_id)
            inner join read_parquet('{hazard}') as truth using (as_of, customer_id)
            where labels.is_mature and features.is_eligible
            order by features.as_of, features.customer_id
        ) to '{rows}' (format parquet)
    """
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(query)


def measure(world: World, *, command: str) -> Iterator[Figure]:
    """Train on the earlier snapshots, test on the last ones, and compare with the truth."""
    learned, tested = split(world)
    features = world.features
    started = time.perf_counter()
    fitted = learn(world, learned)
    seconds = time.perf_counter() - started
    later = world.table.take(pa.array(tested))
    label = later.column("churned").to_numpy(zero_copy_only=False).astype(float)
    oracle = world.truth.column("label_probability").to_numpy()[tested].astype(float)
    probability = fitted.model.predict(later)
    size = (
        f"{len(learned)} rows x {len(features)} features learned, {len(tested)} tested with "
        f"{int(label.sum())} churned, {seconds:.0f} s to fit, {fitted.chosen}"
    )
    common = {"seed": world.seed, "size": size, "command": command}
    name = world.industry
    share, low, high = _share_of_oracle(label, probability, oracle, seed=world.seed)
    named = f"{name}: share of the oracle's AUC"
    yield Figure(named, unit="share", low=low, high=high, **at_least(share, LEAST_OF_ORACLE), **common)
    figures = intervals(label, probability, seed=world.seed)
    for figure in ("auc", "pr_auc", "ece"):
        each = figures[figure]
        judged = at_most(each.value, MOST_ERROR) if figure == "ece" else without_bar(each.value)
        yield Figure(f"{name}: {figure}", unit="", low=each.low, high=each.high, **judged, **common)
    best = evaluate(label, np.clip(oracle, 1e-6, 1 - 1e-6))
    yield Figure(f"{name}: auc of the oracle", unit="", **without_bar(best.auc), **common)
    yield Figure(f"{name}: ece of the oracle", unit="", **without_bar(best.ece), **common)
    taught = _teach(world, learned, tested)
    ceiling = (roc_auc_score(label, taught) - CHANCE) / (best.auc - CHANCE)
    named = f"{name}: share of the oracle's AUC that trees reach when taught the true probability of every row"
    yield Figure(named, unit="share", **without_bar(ceiling), **common)


def split(world: World) -> tuple[Rows, Rows]:
    """Return the rows to learn from, whose labels are known when the first tested snapshot comes, and those tested."""
    when = np.array(world.table.column("as_of").to_pylist(), dtype="datetime64[D]")
    first_tested = np.unique(when)[-TESTED]
    learned = np.flatnonzero(when + np.timedelta64(world.maturity_days, "D") <= first_tested)
    return learned, np.flatnonzero(when >= first_tested)


def learn(world: World, rows: Rows) -> Fitted:
    """Train on some rows of a world as the product does."""
    return fit(
        world.table.take(pa.array(rows)),
        Columns("churned", "as_of", features=world.features, causes=list_causes(world.words)),
        TrainConfig(horizon_days=world.maturity_days, seed=world.seed),
    )


def _teach(world: World, learned: Rows, tested: Rows) -> Floats:
    """Return the log-odds of trees that learned the truth instead of what happened: what the features hold."""
    earlier, later = (world.table.take(pa.array(rows)) for rows in (learned, tested))
    encoder = Encoder.learn(earlier, world.features)
    truth = world.truth.column("label_probability").to_numpy()[learned].astype(float)
    trees = Trees(params=SHALLOW, rounds=300)
    trees.fit(encoder.encode(earlier), truth, weight=None, seed=world.seed, compute=Compute())
    return trees.log_odds(encoder.encode(later))


def _share_of_oracle(label: Floats, probability: Floats, oracle: Floats, *, seed: int) -> tuple[float, float, float]:
    """Return (AUC - 0.5) over the oracle's on the same rows, and its 95 % bootstrap interval over rows."""

    def share(rows: Rows) -> float:
        own, best = (roc_auc_score(label[rows], each[rows]) for each in (probability, oracle))
        return float((own - CHANCE) / (best - CHANCE))

    draw = np.random.default_rng(seed)
    drawn = [share(draw.integers(0, len(label), len(label))) for _ in range(DRAWS)]
    return share(np.arange(len(label))), float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


def measure_segments(world: World, *, command: str) -> Iterator[Figure]:
    """Count sub-models kept where one group's labels are as they are, and where they are drawn the other way round."""
    draw = np.random.default_rng(world.seed)
    customers = world.table.column("customer_id").to_pylist()
    names = sorted(set(customers))
    group_of = dict(zip(names, draw.choice(["a", "b"], len(names)).tolist(), strict=True))
    groups = np.array([group_of[name] for name in customers])
    common = {"seed": world.seed, "size": f"{world.table.num_rows} rows", "command": command}
    for planted in (False, True):
        table = _plant(world, groups, draw) if planted else world.table
        table = table.append_column("group", pa.array(groups.tolist()))
        columns = Columns("churned", "as_of", features=world.features)
        config = TrainConfig(horizon_days=world.maturity_days, folds=2, group_margin=0.01)
        candidates = {"xgboost": (Candidate(Trees(params=SHALLOW, rounds=200), bags=BAGS),)}
        fitted = fit(table, columns, config, candidates=candidates)
        _, comparisons = fit_groups(fitted, table, columns, config, group="group")
        kept = sum(each.has_own_model for each in comparisons)
        which, bar = ("differs", ">= 1") if planted else ("is alike", "0")
        holds = kept >= 1 if planted else kept == 0
        name = f"{world.industry}: sub-models kept where a group {which}"
        yield Figure(name, kept, "models", bar, holds, **common)


def _plant(world: World, groups: Groups, draw: np.random.Generator) -> pa.Table:
    """Draw group b's labels from the true probabilities in reverse order: the safest become the likeliest."""
    probability = world.truth.column("label_probability").to_numpy().astype(float).copy()
    mine = np.flatnonzero(groups == "b")
    order = mine[np.argsort(probability[mine], kind="stable")]
    probability[order] = probability[order[::-1]]
    label = np.where(
        groups == "b",
        draw.random(len(groups)) < probability,
        np.array(world.table.column("churned").to_pylist(), dtype=bool),
    )
    return world.table.set_column(world.table.column_names.index("churned"), "churned", pa.array(label))


def main() -> None:
    """Measure the worlds asked for, and replace their results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--industry", choices=INDUSTRIES, nargs="*", default=list(INDUSTRIES))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--customers", type=int, default=4000)
    parser.add_argument("--months", type=int, default=24)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "holdfast-worlds")
    parser.add_argument("--segments", action="store_true", help="measure whether sub-models are kept, and only that")
    given = parser.parse_args()
    command = "make bench TOPIC=worlds"
    if (given.customers, given.months) != (4000, 24):
        command = f"python -m bench.worlds --customers {given.customers} --months {given.months}"
    for seed in given.seeds:
        for industry in given.industry:
            world = open_world(industry, seed=seed, customers=given.customers, months=given.months, keep=given.keep)
            work = measure_segments if given.segments else measure
            record("worlds", work(world, command=command))


if __name__ == "__main__":
    main()
