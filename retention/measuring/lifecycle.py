"""The life of strategies: draft, live, watch, retired; moved once a month by what was measured, or by a person."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal, get_args

from retention.deciding.plan import HOLDOUT, TREATED
from retention.measuring.outcomes import ALL

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from retention.deciding.strategies import Strategy

State = Literal["draft", "live", "watch", "retired"]
STATES: tuple[State, ...] = get_args(State)
IN_PLANS: tuple[State, ...] = ("live", "watch")
HARMFUL = ("harms", "harms_together")
PLATFORM = "holdfast"  # who decides where no person does

REASONS = {
    "harms": ("customers who got it left more often than those who did not", "接受该方案的客户流失更多"),
    "harms_together": (
        "all strategies together drive customers away, and this one does no better",
        "所有方案合计加剧流失且该方案并无例外",
    ),
    "breaks_complaints": (
        "more of those who got it complained than the policy allows",
        "接受该方案的客户投诉超出允许范围",
    ),
    "breaks_opt_outs": (
        "more of those who got it withdrew their consent than the policy allows",
        "接受该方案的客户退订超出允许范围",
    ),
    "breaks_margin": (
        "those who got it brought less margin than the policy allows",
        "接受该方案的客户毛利下降超出允许范围",
    ),
    "below_floor": ("it keeps fewer customers than the policy asks for", "留存率低于规定的下限"),
    "cannot_pay": ("even at its best it keeps too few to pay its cost", "即使按最乐观的估计也收不回成本"),
    "cannot_pay_together": (
        "all strategies together cannot pay their cost, and this one does no better",
        "所有方案合计无法收回成本且该方案并无例外",
    ),
    "works": ("customers who got it stayed more often than those who did not", "接受该方案的客户留存更高"),
    "works_again": ("it works after having been watched", "观察期后确认有效"),
    "no_verdict": ("too few decisions have matured for a verdict", "已成熟的样本还不足以下结论"),
    "may_pay": ("no effect was found yet, and one that pays is not ruled out", "尚未发现效果但仍可能收回成本"),
    "set_by_person": ("a person decided", "由人工决定"),
}
SUGGESTIONS = {
    "widen": ("It works: give it more budget, or a wider group.", "方案有效，可增加预算或扩大适用人群。"),  # noqa: RUF001
    "change": ("Change its offer or its group, or let it go.", "请调整优惠或适用人群，或停用。"),  # noqa: RUF001
    "retire": ("A person keeps it in plans; the figures would retire it.", "人工保留中，但数据建议停用。"),  # noqa: RUF001
    "": ("", ""),
}


@dataclass(frozen=True, kw_only=True)
class Review:
    """What a month's review decided about a strategy, with its evidence; or what a person decided, without.

    `months` is how many reviews in a row gave the same reason, `needs` the difference in retention at which the
    strategy pays its cost, `suggestion` what a person is asked to decide. A state `is_held` from when a person set it
    until a person gives it back.
    """

    strategy_id: str
    as_of: date
    state_before: State
    state: State
    reason: str
    suggestion: str = ""
    verdict: str | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    needs: float | None = None
    n_treated: int | None = None
    n_holdout: int | None = None
    months: int = 1
    is_held: bool = False
    decided_by: str = PLATFORM
    note: str = ""
    decided_at: datetime
    number: int = 0


def break_evens(
    outcomes: "pd.DataFrame", *, kept_share: float = 1.0, felt: "npt.NDArray[np.float64] | float" = 1.0
) -> dict[str, float]:
    """Return, by strategy and for `all`, the difference in retention at which its treatments pay what they cost.

    Args:
        outcomes: decisions with strategy_id, arm, cost and value_from_now; of the treated counts what one cost, of both
            arms what a customer is worth who stays or comes back.
        kept_share: which share of that keeping a customer really saves.
        felt: by row the windows' worth of an effect, see `company.policy.deciding.Effects.windows_felt`.
    """
    outcomes = outcomes.assign(felt=felt)
    decided = outcomes.loc[outcomes["arm"].isin([TREATED, HOLDOUT]) & outcomes["value_from_now"].notna()]
    worth = kept_share * decided["felt"] * decided["value_from_now"].astype(float).clip(lower=0)
    cost = decided["cost"].where(decided["arm"].eq(TREATED)).astype(float)
    frame = decided[["strategy_id"]].assign(worth=worth, cost=cost)
    means = frame.groupby("strategy_id")[["worth", "cost"]].mean()
    means.loc[ALL] = frame[["worth", "cost"]].mean()
    means = means.loc[means["worth"].gt(0) & means["cost"].notna()]
    return {str(name): float(row["cost"] / row["worth"]) for name, row in means.iterrows()}


def review(
    effects: "pd.DataFrame",
    needs: Mapping[str, float],
    past: Sequence[Review],
    *,
    broken: Mapping[str, str],
    as_of: date,
    at: datetime,
) -> list[Review]:
    """Judge every measured strategy by the month's figures; return one row each, in the order of `effects`.

    Args:
        effects: as `retention.measuring.outcomes.read_effects` gives them up to `as_of`; the latest rows count.
        needs: see `break_evens`.
        past: all reviews so far, the oldest first.
        broken: by strategy the guardrail that it breaks, see `find_broken`.
        as_of: the day of the review.
        at: the moment of deciding.

    A strategy that does harm or breaks a guardrail is retired at once; where only all together have the sample for a
    verdict, so is each that does not do better by its own figures. One that keeps fewer than the policy's floor, or
    that could not pay its cost even at the upper end of its interval, is watched for a month and then retired. One that
    works is live, and worth widening. A state that a person set stays; what the figures ask for is then a suggestion.
    """
    newest = effects.loc[effects["is_latest"].astype(bool)]
    rows = {str(row["strategy_id"]): {str(name): row[name] for name in row} for row in newest.to_dict("records")}
    latest = latest_reviews(past)
    together = _find_reason(rows.pop(ALL), needs.get(ALL)) if ALL in rows else ""
    return [
        _judge(row, needs.get(name), latest.get(name), broken.get(name), together=together, as_of=as_of, at=at)
        for name, row in rows.items()
    ]


def _judge(
    row: Mapping[str, object],
    needs: float | None,
    last: Review | None,
    broken: str | None,
    *,
    together: str,
    as_of: date,
    at: datetime,
) -> Review:
    before: State = last.state if last else "live"
    reason = _join(_find_reason(row, needs), together, own=_number(row["difference"]), needs=needs)
    if broken and reason not in HARMFUL and row["verdict"] != "blocked":
        reason = f"breaks_{broken}"
    asked, suggestion = _move(before, reason, watched_for=last.reason if last else "")
    is_held = last is not None and last.is_held
    if is_held and asked != before:
        asked, suggestion = before, "retire" if asked in {"watch", "retired"} else suggestion
    return Review(
        strategy_id=str(row["strategy_id"]), as_of=as_of, state_before=before, state=asked, suggestion=suggestion,
        reason="works_again" if reason == "works" and before == "watch" else reason,
        verdict=str(row["verdict"]), needs=needs, n_treated=int(str(row["n_treated"])),
        n_holdout=int(str(row["n_holdout"])), months=last.months + 1 if last and last.reason == reason else 1,
        is_held=is_held, decided_at=at, difference=_number(row["difference"]),
        difference_low=_number(row["difference_low"]), difference_high=_number(row["difference_high"]),
    )  # fmt: skip


def _find_reason(row: Mapping[str, object], needs: float | None) -> str:
    if row["verdict"] == "blocked":
        return "no_verdict"
    if row["verdict"] == "harms":
        return "harms"
    if row["is_below_floor"]:
        return "below_floor"
    if row["verdict"] == "works":
        return "works"
    high = _number(row["difference_high"])
    if row["verdict"] == "insufficient" or high is None:
        return "no_verdict"
    return "cannot_pay" if needs is not None and high < needs else "may_pay"


def _join(reason: str, together: str, *, own: float | None, needs: float | None) -> str:
    """Return what holds of all strategies for one that cannot be distinguished from them."""
    if reason not in {"no_verdict", "may_pay"}:
        return reason
    if together == "harms" and (own is None or own <= 0):
        return "harms_together"
    if together == "cannot_pay" and (own is None or needs is None or own < needs):
        return "cannot_pay_together"
    return reason


def _move(before: State, reason: str, *, watched_for: str) -> tuple[State, str]:
    """Return the state that a reason asks for, and what it suggests to a person."""
    if before not in IN_PLANS:
        return before, ""
    if reason in HARMFUL or reason.startswith("breaks_"):
        return "retired", "change"
    if reason in {"below_floor", "cannot_pay", "cannot_pay_together"}:
        return ("retired" if before == "watch" and watched_for == reason else "watch"), "change"
    return ("live", "widen") if reason == "works" else (before, "")


def _number(value: object) -> float | None:
    number = float("nan") if value is None else float(str(value))
    return None if number != number else number  # noqa: PLR0124 - a missing figure is unequal to itself


def decide(
    past: Sequence[Review], strategy_id: str, state: State | None, *, as_of: date, by: str, note: str, at: datetime
) -> Review:
    """Return what a person decided: a state that stays as it is set, or, without one, that the figures decide again.

    Raises ValueError, which names the option and the fix, when no person or no reason is named.
    """
    if not by.strip() or not note.strip() or by.strip() == PLATFORM:
        raise ValueError("A state needs the name of a person and a reason: pass --by and --reason.")
    last = latest_reviews(past).get(strategy_id)
    before: State = last.state if last else "live"
    return Review(
        strategy_id=strategy_id, as_of=as_of, state_before=before, state=state or before, reason="set_by_person",
        is_held=state is not None, decided_by=by, note=note, decided_at=at,
    )  # fmt: skip


def is_due(past: Iterable[Review], *, as_of: date) -> bool:
    """Tell whether the month of a day has no review yet, nor has any later one."""
    days = [each.as_of.replace(day=1) for each in past if each.decided_by == PLATFORM]
    return not days or max(days) < as_of.replace(day=1)


def latest_reviews(reviews: Iterable[Review]) -> dict[str, Review]:
    """Return the last review of each strategy; reviews come the oldest first."""
    return {each.strategy_id: each for each in reviews}


def read_states(reviews: Iterable[Review], *, as_of: date) -> dict[str, State]:
    """Return the state of each strategy on a day; one that was never reviewed is not among them, and is live."""
    return {name: each.state for name, each in latest_reviews(r for r in reviews if r.as_of <= as_of).items()}


def keep_active(strategies: Iterable["Strategy"], reviews: Iterable[Review], *, as_of: date) -> Iterator["Strategy"]:
    """Yield the strategies that may come into a plan of a day."""
    states = read_states(reviews, as_of=as_of)
    return (strategy for strategy in strategies if states.get(strategy.id, "live") in IN_PLANS)
