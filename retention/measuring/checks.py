"""Whether a comparison can be trusted: arms of their size, nobody who changed arm, held-out customers left alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from retention.deciding.holdout import period_of
from retention.deciding.plan import CONTROL, HOLDOUT, TREATED
from retention.measuring.outcomes import ALL
from retention.measuring.trials import BLOCKED
from retention.store.ledger import ASSIGNED, CONTACTS

if TYPE_CHECKING:
    import pandas as pd

    from company.policy import Policy

SAMPLE_RATIO, ASSIGNMENT, LEAK = "sample_ratio", "assignment_changed", "holdout_contacted"
CHECKS = (SAMPLE_RATIO, ASSIGNMENT, LEAK)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with a comparison, the strategies whose verdict it blocks, and what was seen."""

    check: str
    strategies: tuple[str, ...]
    detail: str


def find_faults(ledger: "pd.DataFrame", policy: "Policy", *, today: date) -> list[Fault]:
    """Return what is wrong with the comparisons of the holdout period of `today`.

    Args:
        ledger: entries of the ledger: customer_id, strategy_id, arm, event, as_of; may have planned_strategy_id and
            channel. An entry counts for the strategy that was planned, also where exploration drew another.
        policy: `holdout` and the level of `outcomes.sample_ratio_level`.
        today: a day of the period.
    """
    import pandas as pd

    period = period_of(policy.holdout, today)
    days = pd.to_datetime(ledger["as_of"]).dt.date
    of_period = days.map(lambda day: period_of(policy.holdout, day).name) == period.name
    entries = ledger.assign(as_of=days).loc[of_period]
    decisions = _plan(entries.loc[entries["event"] == ASSIGNED])
    return [
        *_find_wrong_shares(decisions, policy),
        *_find_changed_arms(decisions),
        *_find_contacts(entries, decisions),
    ]


def _plan(decisions: "pd.DataFrame") -> "pd.DataFrame":
    """Return decisions with the strategy that the plan chose, the oldest first."""
    planned = decisions.get("planned_strategy_id", decisions["strategy_id"]).fillna(decisions["strategy_id"])
    return decisions.assign(strategy_id=planned).sort_values(["as_of", "customer_id"], kind="stable")


def _find_wrong_shares(decisions: "pd.DataFrame", policy: "Policy") -> Iterator[Fault]:
    """Compare arms with the draw by an exact binomial test, over all, by strategy and by channel.

    Every customer counts once, at the first decision of the period: what came of it may change who is chosen again. The
    level is divided by the number of tests (Bonferroni).
    """
    first = decisions.drop_duplicates("customer_id")
    groups = [("all strategies", first)]
    groups += [(f"strategy {name}", group) for name, group in first.groupby("strategy_id")]
    groups += [(f"channel {name}", group) for name, group in first.groupby("channel")] if "channel" in first else []
    level = policy.outcomes.sample_ratio_level / len(groups)
    for name, group in groups:
        held, chance = _test_share(group, share=policy.holdout.share)
        if chance < level:
            everybody = len(group) == len(first)
            found = f"{name}: {held} of {len(group)} customers are held out, {policy.holdout.share:.1%} were drawn"
            yield Fault(
                check=SAMPLE_RATIO,
                strategies=_block(decisions if everybody else group),
                detail=f"{found} (p = {chance:.1g})",
            )


def _test_share(group: "pd.DataFrame", *, share: float) -> tuple[int, float]:
    from scipy.stats import binomtest

    held = int(group["arm"].eq(HOLDOUT).sum())
    return held, float(binomtest(held, len(group), share).pvalue) if len(group) else 1.0


def _find_changed_arms(decisions: "pd.DataFrame") -> Iterator[Fault]:
    held, others = (decisions.loc[decisions["arm"].isin(arms)] for arms in ((HOLDOUT,), (TREATED, CONTROL)))
    changed = held.loc[held["customer_id"].isin(others["customer_id"])]
    if len(changed):
        both = decisions.loc[decisions["customer_id"].isin(changed["customer_id"])]
        yield Fault(
            check=ASSIGNMENT,
            strategies=_block(both),
            detail=f"{changed['customer_id'].nunique()} customers were held out and, in the same period, not; "
            "the salt or the share of the holdout was changed, or entries were written from outside",
        )


def _find_contacts(entries: "pd.DataFrame", decisions: "pd.DataFrame") -> Iterator[Fault]:
    held = decisions.loc[decisions["arm"] == HOLDOUT]
    contacts = entries.loc[entries["event"].isin(CONTACTS) & entries["customer_id"].isin(held["customer_id"])]
    if len(contacts):
        reached = held.loc[held["customer_id"].isin(contacts["customer_id"])]
        yield Fault(
            check=LEAK,
            strategies=_block(reached),
            detail=f"{contacts['customer_id'].nunique()} held-out customers were contacted, first on "
            f"{min(contacts['as_of'])} by {', '.join(sorted(set(contacts['strategy_id'].astype(str))))}",
        )


def _block(decisions: "pd.DataFrame") -> tuple[str, ...]:
    return (ALL, *sorted(decisions["strategy_id"].dropna().unique()))


def block(effects: "pd.DataFrame", faults: Iterable[Fault], policy: "Policy", *, today: date) -> "pd.DataFrame":
    """Return `effects` with the verdict `blocked` for all looks at a strategy with a fault in the period of `today`."""
    blocked = effects.copy()
    running = period_of(policy.holdout, today).name
    for strategy, checks in _name_checks(faults).items():
        rows = blocked["strategy_id"].eq(strategy) & blocked["period"].eq(running)
        blocked.loc[rows, "verdict"] = BLOCKED
        blocked.loc[rows, "because"] = ", ".join(checks)
    return blocked


def _name_checks(faults: Iterable[Fault]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for fault in faults:
        for strategy in fault.strategies:
            checks = found.setdefault(strategy, [])
            checks += [fault.check] if fault.check not in checks else []
    return found
