"""What is expected of the customer 360 view."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from expectations.gate import Suite, expect_filled, expect_none, expect_rows, expect_true, expect_unique

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

SEAM = "customer_360"
CUSTOMERS = "customer_360.customers"
KEY = ("customer_id",)
TOLERANCE = 1e-6


def build(
    *,
    members: Mapping[str, Sequence[str]],
    scores: Sequence[str] = ("rfm_recency", "rfm_frequency", "rfm_monetary"),
    weighted_score: str = "rfm_score",
    spend: str = "clv_yearly_spend",
    clv: str = "clv",
    identities: Mapping[str, str] | None = None,
    population: str = "staging.stg_customers",
) -> list[Suite]:
    """Return the suite of the view: one row per customer, and every derived value in its range.

    `population` is a table, or a query in parentheses, whose `customer_id` are exactly those of the view. `members`
    names the allowed values per column, such as the lifecycle stages. `scores` are quantile scores from 1
    to 5, null for who never bought, and `weighted_score` is their weighted mean. `clv` is known wherever `spend` is
    positive. `identities` gives, per column, the SQL expression over the same row that it must equal.
    """
    expectations = [
        expect_rows(),
        expect_filled("customer_id", key=KEY),
        expect_unique(KEY),
        *_expect_population(population),
        *_expect_scores(scores, weighted_score),
        *(_expect_member(column, values) for column, values in members.items()),
        expect_true(
            "clv_is_known",
            f"{clv} is not null or coalesce({spend}, 0) <= 0",
            column=clv,
            key=KEY,
            says=f"{clv} is known for everybody who spent something",
        ),
        *(_expect_equal(column, expression) for column, expression in (identities or {}).items()),
    ]
    return [Suite(seam=SEAM, table=CUSTOMERS, expectations=expectations)]


def _expect_population(population: str) -> "Iterator[Expectation]":
    yield expect_none(
        "no_customer_is_lost",
        f"select customer_id from {population} where customer_id not in (select customer_id from {{batch}})",
        column="customer_id",
        says="every customer of the sources has a row",
    )
    yield expect_none(
        "no_customer_is_invented",
        f"select customer_id from {{batch}} where customer_id not in (select customer_id from {population})",
        column="customer_id",
        says="every row belongs to a customer of the sources",
    )


def _expect_scores(scores: Sequence[str], weighted_score: str) -> "Iterator[Expectation]":
    for column in scores:
        condition = f"{column} in (1, 2, 3, 4, 5)"
        says = f"{column} is a whole number from 1 to 5"
        yield expect_true("score_is_1_to_5", condition, column=column, key=KEY, says=says, null_passes=True)
    low, high = f"least({', '.join(scores)})", f"greatest({', '.join(scores)})"
    yield expect_true(
        "mean_lies_within_its_parts",
        f"{weighted_score} between {low} - {TOLERANCE} and {high} + {TOLERANCE}",
        column=weighted_score,
        key=KEY,
        says=f"{weighted_score} lies between the lowest and the highest of {', '.join(scores)}",
        null_passes=True,
    )


def _expect_member(column: str, values: Sequence[str]) -> "Expectation":
    listed = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return expect_true(
        "value_is_known", f"{column} in ({listed})", column=column, key=KEY, says=f"{column} is one of {listed}"
    )


def _expect_equal(column: str, expression: str) -> "Expectation":
    slack = f"{TOLERANCE} * greatest(1, abs({column}))"
    return expect_true(
        "identity_holds",
        f"abs({column} - ({expression})) <= {slack}",
        column=column,
        key=KEY,
        says=f"{column} equals {expression}",
        null_passes=True,
    )
