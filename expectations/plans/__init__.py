"""What is expected of one day's plan and of the ledger. A new rule is one new file in this folder."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from expectations.gate import Suite, find_rules

SEAM = "plans"
PLANS, LEDGER = "retention.plans", "retention.ledger"
KEY = ("customer_id",)


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a rule knows; see `build`."""

    as_of: date
    budget: float
    spent_before: float
    cooldown_days: int
    holdout_share: float
    holdout_deviations: float
    drawn_from: str
    holdout_since: date
    has_ledger: bool
    capacity: tuple[tuple[str, int], ...]
    counts_replays: bool
    service: tuple[str, ...]


def build(
    *,
    as_of: date,
    budget: float,
    spent_before: float,
    cooldown_days: int,
    holdout_share: float,
    holdout_deviations: float = 4.0,
    drawn_from: str = "arm in ('treated', 'holdout', 'control')",
    holdout_since: date = date.min,
    has_ledger: bool = True,
    capacity: Mapping[str, int] | None = None,
    counts_replays: bool = True,
    service: Collection[str] = (),
) -> list[Suite]:
    """Return the suite of the plan at `as_of` and, where it has one already (`has_ledger`), the suite of the ledger.

    `spent_before` is what the period's `budget` has lost to earlier plans, both in the company's currency. Nobody
    treated may have been chosen in the `cooldown_days` before, unless their message was stopped, or the strategy is one
    of `service` and another one than before; replayed days count where the day `counts_replays`. Among the rows for
    which the SQL condition `drawn_from` holds, the held-out may differ from `holdout_share` by `holdout_deviations`
    binomial standard deviations and one customer. Who was held out on or after `holdout_since`, the day the draw's salt
    last changed, is not treated. `capacity` is the most contacts by channel.
    """
    context = Context(
        as_of=as_of,
        budget=budget,
        spent_before=spent_before,
        cooldown_days=cooldown_days,
        holdout_share=holdout_share,
        holdout_deviations=holdout_deviations,
        drawn_from=drawn_from,
        holdout_since=holdout_since,
        has_ledger=has_ledger,
        capacity=tuple((capacity or {}).items()),
        counts_replays=counts_replays,
        service=tuple(service),
    )
    rules = list(find_rules(__name__, context))
    plan, ledger = ([rule for of, rule in rules if (of or PLANS) == table] for table in (PLANS, LEDGER))
    suite = Suite(seam=SEAM, table=PLANS, where=f"as_of = date '{as_of}'", expectations=plan)
    return [suite, Suite(seam=SEAM, table=LEDGER, expectations=ledger)] if has_ledger else [suite]
