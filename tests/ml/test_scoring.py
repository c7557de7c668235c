"""A part of the customers is scored as it is among all, also by partitions of Spark, which grows trees as well."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from company.facts import read_facts
from company.policy import load_policy
from ml.dataset import Feature, labels
from ml.evaluate import evaluate
from ml.learners.base import Compute
from ml.learners.trees import Trees
from ml.training.pipeline import ChurnModel, Model
from ml.training.spark import Grown, Regrowth, adopt, plan_regrowth, regrow
from ml.training.train import Fitted
from orchestration.defs.scores import score_by_model
from orchestration.engines import DuckDb
from orchestration.scoring import Scorer, find_at_risk
from orchestration.settings import read_settings
from orchestration.spark import build
from orchestration.spark.build import SparkError
from orchestration.spark.job import Job, SparkFolder, Stages
from orchestration.spark.training import grow_on_spark
from orchestration.warehouse import Warehouse

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DAY, MAY = date(2025, 6, 1), date(2025, 5, 1)
FACTS: dict[str, dict[str, object]] = {
    "facts": {"silent": {"reason": "inactivity", "when": "recency_days >= 20", "en": "no order", "zh": "未下单"}},
    "no_single_cause": {"en": "no single cause", "zh": "没有单一原因"},
}


@pytest.fixture
def scorer(small: Fitted, features: tuple[Feature, ...]) -> Scorer:
    return Scorer(
        model=small.model,
        version="3",
        ahead={30: small.model},
        as_of=DAY,
        horizon_days=28,
        policy=load_policy(),
        features=features,
        facts=read_facts(FACTS, path=Path("facts.yaml")),
        cutoffs=None,
        points={},
    )


@pytest.fixture
def rows(world: Callable[..., pa.Table]) -> pa.Table:
    """A day's customers, in the order of their ids."""
    found = world(seed=7, customers=300)
    return found.filter(pc.equal(found["as_of"], pa.scalar(DAY))).sort_by("customer_id")


def test_parts_of_the_customers_are_scored_as_among_all(scorer: Scorer, rows: pa.Table) -> None:
    parts = [scorer.score(rows.slice(start, 100)) for start in range(0, rows.num_rows, 100)]
    assert pa.concat_tables(parts).equals(scorer.score(rows))


def test_spark_scores_by_partition_what_one_call_scores(
    spark_session: "SparkSession", scorer: Scorer, rows: pa.Table, tmp_path: Path
) -> None:
    from orchestration.spark.scores import count_at_risk, score_day

    pq.write_table(rows, tmp_path / "rows.parquet")
    read = spark_session.read.parquet(str(tmp_path / "rows.parquet")).repartition(3)
    folder = SparkFolder(path=tmp_path / "spark")

    score_day(read, scorer, folder, batch=2)

    expected = score_by_model(scorer, rows)
    for table, keys in (("scores.churn_scores", []), ("scores.churn_reasons", ["rank"]), ("scores.lead_scores", [])):
        order = [(name, "ascending") for name in ("customer_id", *keys)]
        made, wanted = pq.read_table(folder.find(table)).sort_by(order), expected[table]
        assert set(made["batch"].to_pylist()) == {2}
        found = made.drop_columns("batch").select(wanted.column_names)
        require_alike(found, wanted)
    scores = expected["scores.churn_scores"]
    mean = float(np.mean(scores["probability"]))
    counted = count_at_risk(spark_session.read.parquet(str(folder.find("scores.churn_scores"))), mean=mean)
    assert counted == find_at_risk(scores, mean=mean).sum() > 0


def test_scores_take_the_place_of_the_empty_table_that_dbt_makes_of_a_source(
    spark_session: "SparkSession", scorer: Scorer, rows: pa.Table, tmp_path: Path
) -> None:
    from orchestration.spark.worker import run_stages

    pq.write_table(rows, tmp_path / "rows.parquet")
    for schema in ("features", "scores"):
        spark_session.sql(f"create schema if not exists {schema}")
    spark_session.read.parquet(str(tmp_path / "rows.parquet")).createOrReplaceTempView("eligible")
    spark_session.sql("create table features.eligible_snapshots using parquet as select * from eligible")
    spark_session.sql("create table scores.churn_scores using parquet as select 1 as batch where false")
    folder = SparkFolder(path=Path(str(spark_session.conf.get("spark.sql.warehouse.dir")).removeprefix("file:")).parent)

    run_stages(spark_session, Stages(scorer=scorer), folder, seconds={})

    assert spark_session.table("scores.churn_scores").count() == rows.num_rows


def require_alike(found: pa.Table, wanted: pa.Table) -> None:
    """Require the same cells, doubles within 1e-9."""
    for name in wanted.column_names:
        if pa.types.is_floating(wanted[name].type):
            assert np.allclose(found[name], wanted[name], rtol=1e-9, equal_nan=True), name
        else:
            assert found[name].to_pylist() == wanted[name].to_pylist(), name


def with_trees(fitted: Fitted, learner: Trees) -> ChurnModel:
    """Return the model with one learner alone."""
    assert isinstance(fitted.model, ChurnModel)
    return replace(fitted.model, members={"trees": learner}, weights={"trees": 1.0})


def test_a_model_is_grown_on_spark_where_the_rows_pass_the_policys_limit(small: Fitted) -> None:
    policy, forest = load_policy().training, with_trees(small, Trees())

    def plan(model: Model, known: int, **others: str) -> Regrowth | None:
        asked = policy.model_copy(update=others)
        return plan_regrowth(model, known=known, until=DAY, newest=MAY, training=asked)

    assert plan(forest, policy.maximum_rows) is None
    assert plan(small.model, policy.maximum_rows + 1) is None  # a regression has no trees
    assert plan(forest, policy.maximum_rows + 1, treated="weighted") is None
    assert plan(forest, policy.maximum_rows + 1) == Regrowth(model=forest, until=DAY, newest=MAY, capacity=0.1)


@pytest.mark.parametrize(
    ("figures", "word"),
    [({}, "grown on Spark"), ({"auc": 0.65}, "the sample's trees"), ({"ece": 0.5}, "calibration")],
)
def test_trees_of_all_rows_are_taken_unless_they_do_worse_than_the_samples(
    small: Fitted, figures: dict[str, Any], word: str
) -> None:
    promotion, fold = load_policy().promotion, small.validation.column("fold")
    newest = small.validation.filter(pc.equal(fold, pc.max(fold)))
    shown = evaluate(newest["label"].to_numpy(), newest["probability"].to_numpy())
    forest = with_trees(small, Trees())
    grown = Grown(model=forest, rows=9000, earlier=7000, evaluation=replace(shown, **figures))

    fitted, why = adopt(small, grown, promotion=promotion, seed=0)

    assert word in why
    assert f"{shown.auc:.4f}" in why
    assert (fitted.model, fitted.rows) == ((small.model, small.rows) if figures else (forest, 9000))


def test_trees_grown_on_spark_rank_customers_as_those_of_the_driver_do(
    spark_session: "SparkSession", small: Fitted, table: pa.Table, tmp_path: Path
) -> None:
    until = pc.add(table["as_of"].cast(pa.timestamp("s")), pa.scalar(timedelta(days=28))).cast(pa.date32())
    pq.write_table(table.append_column("label_until", until), tmp_path / "rows.parquet")
    learner = Trees(params={"max_depth": 3, "learning_rate": 0.1}, rounds=30)
    model = with_trees(small, learner)
    labelled = spark_session.read.parquet(str(tmp_path / "rows.parquet"))

    grown = regrow(labelled, Regrowth(model=model, until=date(2025, 7, 1), newest=DAY, capacity=0.1))

    matrix, label = model.encoder.encode(table), labels(table, "churned")
    alone = learner.fit(matrix, label, weight=None, seed=0, compute=Compute()).log_odds(matrix)
    assert grown.earlier < grown.rows == table.num_rows
    assert Grown.restore(grown.model, grown.describe()) == grown
    assert grown.evaluation.auc > 0.7
    assert np.corrcoef(alone, grown.model.log_odds(table))[0, 1] > 0.95


@pytest.mark.parametrize("ends_well", [True, False])
def test_trees_learn_from_the_labelled_rows_of_months_or_the_run_ends(
    small: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, ends_well: bool
) -> None:
    deployed: Any = SimpleNamespace(settings=read_settings({"HOLDFAST_HOME": str(tmp_path)}))
    warehouse = Warehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb"))
    model, newest = with_trees(small, Trees()), date(2026, 2, 10)
    shown = small.evaluations[small.chosen]

    def work(job: Job, **_: object) -> int:
        regrowth = cast("Regrowth", job.stages.regrowth)
        with duckdb.connect() as connection:
            handed = connection.sql(f"from '{job.folder.inputs}/features/labelled_snapshots.parquet'").fetchall()
        if ends_well:
            grown = Grown(model=regrowth.model, rows=len(handed), earlier=1, evaluation=shown)
            job.folder.model.write_bytes(grown.model.to_bytes())
            job.folder.report.write_text(json.dumps({"training": grown.describe()}))
        return 0 if ends_well else 1

    with warehouse.connect() as connection:
        connection.execute("create schema features")
        days = "(date '2026-01-01'), (date '2026-01-15'), (date '2026-02-01'), (date '2026-02-10'), (date '2026-03-01')"
        connection.execute(
            "create table features.labelled_snapshots as "
            f"select day as as_of, day + 28 as label_until, 'c1' as customer_id from (values {days}) as days(day)"
        )
    monkeypatch.setattr(build, "require_spark", lambda _: None)
    monkeypatch.setattr(build, "start_worker", work)
    regrowth = Regrowth(model=model, until=date(2026, 3, 10), newest=newest, capacity=0.1)
    if ends_well:
        grown = grow_on_spark(deployed, warehouse, regrowth)
        assert (grown.rows, grown.evaluation, grown.model.fingerprint) == (3, shown, model.fingerprint)
    else:
        with pytest.raises(SparkError, match="Spark grew no trees"):
            grow_on_spark(deployed, warehouse, regrowth)
