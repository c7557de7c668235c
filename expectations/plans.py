"""What is expected of one day's plan, and of the ledger that it goes into."""

from datetime import date, timedelta
from math import sqrt
from typing import TYPE_CHECKING

from expectations.gate import Suite, expect_filled, expect_none, expect_true, expect_unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from great_expectations.expectations.expectation import Expectation

SEAM = "plans"
PLANS, LEDGER = "retention.plans", "retention.ledger"
KEY = ("customer_id",)
ACTED = "('sending', 'sent', 'failed', 'uncertain')"


def build(
    *,
    as_of: date,
    budget: float,
    spent_before: float,
    cooldown_days: int,
    holdout_share: float,
    holdout_deviations: float = 4.0,
    drawn_from: str = "arm in ('treated', 'holdout')",
    holdout_since: date = date.min,
    has_ledger: bool = True,
) -> list[Suite]:
    """Return the suite of the plan at `as_of` and, where it has one already (`has_ledger`), the suite of the ledger.

    `spent_before` is what the period's `budget` has lost to earlier plans, both in the company's currency. Nobody
    treated may have been chosen in the `cooldown_days` before. Among the rows for which the SQL condition
    `drawn_from` holds, the held-out may differ from `holdout_share` by `holdout_deviations` binomial standard
    deviations and one customer. Who was held out on or after `holdout_since`, the day the draw's salt last changed, is
    not treated.
    """
    expectations = [
        expect_filled("customer_id", key=("as_of",)),
        expect_unique(KEY),
        *_expect_rows_sound(),
        _expect_budget(budget, spent_before),
        _expect_holdout_share(drawn_from, holdout_share, holdout_deviations),
        *(_expect_history(as_of, cooldown_days, holdout_since) if has_ledger else ()),
    ]
    suite = Suite(seam=SEAM, table=PLANS, where=f"as_of = date '{as_of}'", expectations=expectations)
    return [suite, Suite(seam=SEAM, table=LEDGER, expectations=[_expect_untouched()])] if has_ledger else [suite]


def _expect_rows_sound() -> "Iterator[Expectation]":
    yield expect_true(
        "arm_is_known", "arm in ('treated', 'holdout', 'none')", column="arm", key=KEY, says="arm is a known one"
    )
    yield expect_true("cost_is_not_negative", "cost >= 0", column="cost", key=KEY, says="cost is not negative")
    for column in ("channel", "strategy_id"):
        yield expect_true(
            "treatment_is_complete",
            f"arm <> 'treated' or length({column}) > 0",
            column=column,
            key=KEY,
            says=f"every treated customer has a {column}",
        )


def _expect_budget(budget: float, spent_before: float) -> "Expectation":
    return expect_none(
        "budget_is_kept",
        f"select 'cost' as column_name, planned, {spent_before} as spent_before, {budget} as budget from "
        "(select coalesce(sum(cost) filter (where arm = 'treated'), 0) as planned from {batch}) "
        f"where planned > 0 and planned + {spent_before} > {budget} + 1e-6",
        says=f"the treatments and the {spent_before:g} spent before stay within the budget of {budget:g}",
    )


def _expect_holdout_share(drawn_from: str, share: float, deviations: float) -> "Expectation":
    slack = f"{deviations * sqrt(share * (1 - share))} * sqrt(drawn) + 1"
    return expect_none(
        "holdout_share_is_kept",
        f"select 'arm' as column_name, held_out, drawn, {share} as share from (select count(*) as drawn, "
        f"count(*) filter (where arm = 'holdout') as held_out from {{batch}} where {drawn_from}) "
        f"where abs(held_out - {share} * drawn) > {slack}",
        says=f"a share of {share:.0%} is held out, as far as chance allows",
    )


def _expect_history(as_of: date, cooldown_days: int, holdout_since: date) -> "Iterator[Expectation]":
    treated = "select customer_id from {batch} where arm = 'treated' and customer_id in "
    since = as_of - timedelta(days=cooldown_days)
    yield expect_none(
        "holdout_is_never_treated",
        f"{treated}(select customer_id from {LEDGER} where arm = 'holdout' and as_of >= date '{holdout_since}')",
        column="arm",
        says=f"nobody is treated who was held out since {holdout_since}",
    )
    yield expect_none(
        "cooldown_is_respected",
        f"{treated}(select customer_id from {LEDGER} where event = 'assigned' "
        f"and as_of > date '{since}' and as_of < date '{as_of}')",
        column="customer_id",
        says=f"nobody is treated twice within {cooldown_days} days",
    )


def _expect_untouched() -> "Expectation":
    return expect_none(
        "holdout_is_never_contacted",
        f"select customer_id, idempotency_key from {{batch}} where arm <> 'treated' and event in {ACTED}",
        column="event",
        says="nothing was sent to anybody but the treated",
    )
