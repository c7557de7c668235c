"""A score follows from its probability, and the levels follow from the score."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from expectations.gate import expect_filled, expect_true
from expectations.scores import KEY

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

    from expectations.scores import Context


def expect(context: "Context") -> "Iterator[Expectation]":
    """Expect the model's version, a probability, a score that follows from it, and levels that follow from it."""
    yield expect_filled("model_version", key=KEY)
    yield expect_true(
        "probability_is_0_to_1",
        "probability between 0 and 1",
        column="probability",
        key=KEY,
        says="probability lies between 0 and 1",
    )
    yield expect_true(
        "score_is_100_times_probability",
        "abs(score - 100 * probability) < 1e-6",
        column="score",
        key=KEY,
        says="score equals 100 x probability",
    )
    yield _expect_level("tier", context.tiers, context.lowest_tier)
    if context.alerts:
        yield _expect_level("alert_level", context.alerts, "none")


def _expect_level(column: str, levels: Mapping[str, float], otherwise: str) -> "Expectation":
    steps = sorted(levels.items(), key=lambda level: -level[1])
    cases = " ".join(f"when score >= {low} then '{name}'" for name, low in steps)
    condition = f"coalesce({column}, 'none') = case {cases} else '{otherwise}' end"
    says = f"{column} follows from the score: {', '.join(f'{name} from {low:g}' for name, low in steps)}"
    return expect_true("level_follows_score", condition, column=column, key=KEY, says=says)
