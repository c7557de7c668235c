"""Rules rank the customers of small companies no worse than how long ago each bought."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from company.industries import load_industry
from company.policy import load_policy
from ml.cold_start.scores import score_cold_start
from simulator.parameters import INDUSTRIES

if TYPE_CHECKING:
    from tests.dbt_project.conftest import Warehouse

AS_OF, ZONE = "2025-06-13", "Asia/Shanghai"
HORIZON = 14  # the simulated companies end some weeks after the day
NOISE = 0.03  # of an AUC over some hundred customers


def who_left(orders: pd.DataFrame, customers: list[str]) -> np.ndarray:
    """Who of the customers bought nothing in the days from `AS_OF` on."""
    first = pd.Timestamp(AS_OF, tz=ZONE).tz_convert("UTC").tz_localize(None)
    bought = orders["ordered_at"].between(first, first + pd.Timedelta(days=HORIZON), inclusive="left")
    kept = set(orders[bought & ~orders["status"].isin(["failed", "cancelled"])]["customer_id"])
    return np.array([customer not in kept for customer in customers])


def eligible(warehouse: "Warehouse", industry: str) -> pa.Table:
    query = (
        "select * from features.customer_features "
        f"where as_of = '{AS_OF}' and is_eligible and customer_id like '{industry}-%' order by customer_id"
    )
    with duckdb.connect(warehouse.path, read_only=True) as connection:
        return connection.execute(query).to_arrow_table()


@pytest.mark.parametrize("industry", INDUSTRIES)
def test_rules_rank_no_worse_than_recency(
    five_lived: "Warehouse", simulated: Mapping[str, Mapping[str, pd.DataFrame]], industry: str
) -> None:
    features = eligible(five_lived, industry)
    left = who_left(simulated[f"raw_{industry}"]["orders"], features["customer_id"].to_pylist())
    scores = score_cold_start(
        features,
        load_policy().cold_start.signals,
        horizon_days=HORIZON,
        base_rate=load_industry(industry).churn_line.over(HORIZON),
    )
    by_recency = roc_auc_score(left, features["recency_days"].to_numpy())
    by_rules = roc_auc_score(left, scores.table["score"].to_numpy())
    assert by_rules >= by_recency - NOISE, f"{by_rules:.3f} against {by_recency:.3f}"
    assert 0 < min(scores.table["score"].to_pylist()) < max(scores.table["score"].to_pylist()) < 100
