"""Scores of a day by partition: executors read rows of features and write scores, and the driver sees neither."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from ml.explaining.contributions import EXACT
from ml.explaining.reasons import SCHEMA as REASONS_SCHEMA
from orchestration.scoring import AHEAD_SCHEMA, SCORED_SCHEMA, Scorer, find_at_risk
from orchestration.spark.job import SCORED, SparkFolder

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameWriter

SCORES, REASONS, AHEAD = SCORED
ELIGIBLE = "select * from features.eligible_snapshots where as_of = date '{as_of}'"
Work = Callable[[pa.Table], pa.Table]


def score_day(eligible: "DataFrame", scorer: Scorer, folder: SparkFolder, *, batch: int) -> None:
    """Write the scores, the scores further ahead, and the reasons of the `eligible` customers of the scorer's day.

    Who is at risk depends on the mean of the day, so that reasons follow when every partition has been scored.
    """
    features = spread(eligible).persist()
    try:
        _map(features, scorer.score, SCORED_SCHEMA, batch=batch).parquet(str(folder.find(SCORES)))
        _map(features, scorer.score_ahead, AHEAD_SCHEMA, batch=batch).parquet(str(folder.find(AHEAD)))
        scores = features.sparkSession.read.parquet(str(folder.find(SCORES)))
        mean = float(scores.selectExpr("coalesce(avg(probability), 0) as mean").collect()[0]["mean"])
        exact = count_at_risk(scores, mean=mean) <= EXACT

        def explain(rows: pa.Table) -> pa.Table:
            return scorer.explain(rows, at_risk=find_at_risk(scorer.score(rows), mean=mean), exact=exact)

        _map(features, explain, REASONS_SCHEMA, batch=batch).parquet(str(folder.find(REASONS)))
    finally:
        features.unpersist()


def spread(rows: "DataFrame") -> "DataFrame":
    """Return the rows in partitions for every core: those of a small file, or of a day, are one."""
    cores = rows.sparkSession.sparkContext.defaultParallelism
    return rows if rows.rdd.getNumPartitions() >= cores else rows.repartition(cores)


def count_at_risk(scores: "DataFrame", *, mean: float) -> int:
    """Return how many of the scores need a reason."""

    def count(rows: pa.Table) -> pa.Table:
        return pa.table({"at_risk": pa.array([find_at_risk(rows, mean=mean).sum()], pa.int64())})

    counted = scores.mapInArrow(_by_batch(count), "at_risk long")
    return int(counted.selectExpr("coalesce(sum(at_risk), 0) as at_risk").collect()[0]["at_risk"])


def _map(features: "DataFrame", work: Work, schema: pa.Schema, *, batch: int) -> "DataFrameWriter":
    """Return the writer of what `work` makes of the rows, with the number of the batch."""
    from pyspark.sql.pandas.types import from_arrow_schema

    made = features.mapInArrow(_by_batch(work), from_arrow_schema(schema))
    return made.selectExpr("*", f"cast({batch} as bigint) as batch").write.mode("overwrite")


def _by_batch(work: Work) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return what Spark calls with the batches of a partition, of which one is in memory at a time."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in batches:
            if rows.num_rows:
                yield from work(pa.Table.from_batches([rows])).to_batches()

    return run
