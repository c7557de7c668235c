from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ml.dataset import DatasetError
from ml.explaining.attributes import describe_attribute
from ml.flat_table import FlatTable, read_flat_table, require_learnable, score_flat_table
from ml.training.config import TrainConfig
from ml.training.leakage import LeakError

ROWS = 600
CONFIG = TrainConfig(candidates=("logistic_regression",))


def draw(**columns: Sequence[object]) -> pa.Table:
    """A table as a text file gives it: who stays silent leaves, and nine outcomes are not known."""
    random = np.random.default_rng(0)
    silence = random.exponential(20, ROWS).round(1)
    churned = np.where(random.random(ROWS) < 1 / (1 + np.exp(2.5 - 0.08 * silence)), "Yes", "no").tolist()
    return pa.table(
        {
            "customer": [f"c{row}" for row in range(ROWS)],
            "silence": [str(each) for each in silence],
            "total": [" " if row % 10 == 0 else str(row % 7) for row in range(ROWS)],
            "plan": random.choice(["basic", "plus"], ROWS).tolist(),
            "Churn": [None] * 9 + churned[9:],
            **columns,
        }
    )


def read(table: pa.Table, **options: Sequence[str]) -> FlatTable:
    return read_flat_table(table, customer="customer", label="Churn", **options)


def test_what_a_column_holds_is_guessed_from_its_values() -> None:
    table = draw(
        number=[str(row + 1) for row in range(ROWS)],
        currency=["EUR"] * ROWS,
        note=[f"note {row}" for row in range(ROWS)],
        since=[f"20{row % 20 + 10}-01-31" for row in range(ROWS)],
        gender=["f", "m"] * (ROWS // 2),
        internal=["x", "y"] * (ROWS // 2),
    )

    flat = read(table, without=["internal"], protected=["gender", "age_band"])

    assert {each.name: each.kind for each in flat.kinds} == {
        "customer": "id",
        "silence": "number",
        "total": "number",
        "plan": "text",
        "Churn": "label",
        "number": "row number",
        "currency": "constant",
        "note": "identifier",
        "since": "date",
        "gender": "protected",
    }
    assert flat.features == ("silence", "total", "plan")
    assert flat.rows.column("total").null_count == 60
    assert flat.rows.column("churned").to_pylist()[8:10] == [None, flat.rows.column("churned")[9].as_py()]


def test_every_customer_is_scored_by_a_model_that_had_not_seen_the_outcome_and_gets_reasons() -> None:
    flat = read(draw())

    found = score_flat_table(flat, CONFIG)

    rows = {row["customer_id"]: row for row in found.scores.to_pylist()}
    validation = found.training.fitted.validation.to_pylist()
    assert len(rows) == ROWS
    assert [name for name, row in rows.items() if not row["is_out_of_fold"]] == [
        name for name, row in rows.items() if row["churned"] is None
    ]
    assert {f"c{each['row']}": each["probability"] for each in validation} == {
        name: row["probability"] for name, row in rows.items() if row["is_out_of_fold"]
    }
    assert found.scores.column("score").to_pylist() == sorted(found.scores.column("score").to_pylist(), reverse=True)
    first = found.scores.column("customer_id")[0].as_py()
    (own,) = flat.rows.filter(pc.equal(flat.rows.column("customer_id"), first)).to_pylist()
    reasons = [row for row in found.reasons.to_pylist() if row["customer_id"] == first]
    assert (reasons[0]["rank"], reasons[0]["feature"], reasons[0]["value"]) == (1, "silence", f"{own['silence']:g}")
    assert reasons[0]["fact"].startswith(f"silence is {own['silence']:g} (above ")
    assert min(found.reasons.column("contribution").to_pylist()) > 0
    average = found.training.fitted.base_rate
    assert {row["customer_id"] for row in found.reasons.to_pylist()} <= {
        name for name, row in rows.items() if row["probability"] > average
    }


def test_a_fact_counts_the_customers_who_are_alike_and_is_none_where_they_left_no_more_often_than_all() -> None:
    rows = pa.table(
        {
            "plan": ["basic"] * 50 + ["plus"] * 50 + ["rare"] * 5,
            "visits": [*range(100), *[None] * 5],
            "churned": [True] * 30 + [False] * 20 + [True] * 4 + [False] * 46 + [True] * 5,
        }
    )

    plan, visits = (describe_attribute(rows, name, label="churned") for name in ("plan", "visits"))

    assert plan.state(0) == "plan is basic: 60% of such customers left, 37% of all"
    assert visits.state(25) == "visits is 25 (above 19.8, at most 39.6): 50% of such customers left, 37% of all"
    assert [plan.is_elevated(row) for row in (0, 50, 100)] == [True, False, False]  # more often; less; too few known


def test_a_day_written_in_any_order_is_no_category() -> None:
    flat = read(draw(began=[f"{row % 28 + 1}.{row % 2 + 1}.22" for row in range(ROWS)]))

    assert {each.name: each.kind for each in flat.kinds}["began"] == "date"


def test_a_table_in_which_too_few_left_is_refused_with_what_would_help() -> None:
    table = draw(Churn=["yes"] * 9 + ["no"] * (ROWS - 9))

    with pytest.raises(DatasetError, match=r"9 customers are known to have left and 591 to have stayed.*10 of each"):
        require_learnable(read(table), CONFIG)


def test_a_column_that_knows_the_outcome_is_refused_by_name_and_may_be_left_out() -> None:
    table = draw()
    known = ["us" if each == "Yes" else "nobody" for each in table["Churn"].to_pylist()]
    leaky = table.append_column("cancelled_by", pa.array(known))

    with pytest.raises(LeakError, match="gives the outcome away: column 'cancelled_by' alone ranks the outcome"):
        score_flat_table(read(leaky), CONFIG)

    assert "cancelled_by" not in read(leaky, without=["cancelled_by"]).features


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (draw(customer=["c1", "c1", *(f"c{row}" for row in range(2, ROWS))]), "more than once, such as 'c1' in 2 rows"),
        (draw(customer=["c0", None, *(f"c{row}" for row in range(2, ROWS))]), "column 'customer' has no id in row 2"),
        (draw(Churn=["maybe", *["no"] * (ROWS - 1)]), "label 'Churn' holds 'maybe'"),
        (draw(churned=["no"] * ROWS), "column 'churned' has a name that the result needs"),
        (draw().drop_columns(["Churn"]), "column 'Churn' is missing"),
        (draw().select(["customer", "Churn"]), "no attribute to learn from next to 'customer' and 'Churn'"),
    ],
)
def test_a_table_that_is_no_flat_table_is_refused_with_the_column_and_the_fix(table: pa.Table, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read(table)
