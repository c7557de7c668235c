"""Scores of a day by partition: executors read rows of features and write scores, and the driver sees neither."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from ml.explaining.contributions import EXACT
from orchestration.scoring import Scorer, find_at_risk
from orchestration.spark.job import SCORED, SparkFolder

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SCORES, REASONS, AHEAD = SCORED
ELIGIBLE = "select * from features.eligible_snapshots where as_of = date '{as_of}'"
AT_RISK = "tier <> 'low' or level <> 'none' or probability >= {mean!r}"
Work = Callable[[pa.Table], pa.Table]


def score_day(eligible: "DataFrame", scorer: Scorer, folder: SparkFolder, *, batch: int) -> None:
    """Write the scores, the scores further ahead, and the reasons of the `eligible` customers of the scorer's day.

    Who is at risk depends on the mean of the day, so that reasons follow when every partition has been scored.
    """
    features = eligible.persist()
    try:
        _write(features, scorer.score, folder, SCORES, batch=batch)
        _write(features, scorer.score_ahead, folder, AHEAD, batch=batch)
        scores = features.sparkSession.read.parquet(str(folder.find(SCORES)))
        mean = float(scores.selectExpr("coalesce(avg(probability), 0) as mean").collect()[0]["mean"])
        exact = scores.where(AT_RISK.format(mean=mean)).count() <= EXACT

        def explain(rows: pa.Table) -> pa.Table:
            return scorer.explain(rows, at_risk=find_at_risk(scorer.score(rows), mean=mean), exact=exact)

        _write(features, explain, folder, REASONS, batch=batch)
    finally:
        features.unpersist()


def _write(features: "DataFrame", work: Work, folder: SparkFolder, table: str, *, batch: int) -> None:
    from pyspark.sql.pandas.types import from_arrow_schema

    sample = work(pa.Table.from_batches([], schema=_read_schema(features)))
    made = features.mapInArrow(_by_batch(work), from_arrow_schema(sample.schema))
    made.selectExpr("*", f"cast({batch} as bigint) as batch").write.mode("overwrite").parquet(str(folder.find(table)))


def _read_schema(features: "DataFrame") -> pa.Schema:
    from pyspark.sql.pandas.types import to_arrow_schema

    return to_arrow_schema(features.schema)


def _by_batch(work: Work) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return what Spark calls with the batches of a partition, of which one is in memory at a time."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in batches:
            if rows.num_rows:
                yield from work(pa.Table.from_batches([rows])).to_batches()

    return run
