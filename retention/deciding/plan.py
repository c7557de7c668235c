"""The plan: who gets what under one budget, who is held out or explores, and why everybody else is left alone."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from retention.deciding.allocation import NOTHING, Allocation, Bools, Floats, Ints, Limit, allocate
from retention.deciding.effects import name_groups
from retention.deciding.exploration import Lottery, as_text, hold_lottery, write_propensities
from retention.deciding.holdout import fractions, hold_out
from retention.deciding.limits import find_refusals, list_limits
from retention.deciding.matching import holds_any
from retention.deciding.options import Options, build_options, look_up
from retention.deciding.plan_overrides import list_chosen, list_silent, restrict
from retention.deciding.prices import price_table
from retention.deciding.strategy_changes import find_settings

if TYPE_CHECKING:
    import pandas as pd

    from company.policy import Policy
    from retention.deciding.plan_overrides import PlanOverride
    from retention.deciding.strategies import Strategy

TREATED, HOLDOUT, CONTROL, UNTOUCHED = "treated", "holdout", "control", "none"
DECISIONS = {TREATED: "treat", HOLDOUT: "hold_out", CONTROL: "hold_back", UNTOUCHED: "do_nothing"}

REASONS = {
    "best_use_of_budget": ("the most that the budget can buy for this customer", "在预算内对该客户最有价值的方案"),
    "explored": ("drawn at random to measure a strategy that is not chosen today", "随机抽中，用于检验其他方案的效果"),  # noqa: RUF001
    "explored_nothing": ("drawn at random to get nothing this time", "随机抽中，本次不干预以便对照"),  # noqa: RUF001
    "probed": ("drawn at random to see whether contact has begun to pay", "随机抽中，用于检验干预是否开始见效"),  # noqa: RUF001
    "chosen_by_person": ("a person chose this strategy for the customer", "由员工为该客户指定方案"),
    "left_alone_by_person": ("a person decided that the customer is left alone", "员工决定暂不联系该客户"),
    "held_out": ("stays untreated, so that the effect can be measured", "对照组不干预以便衡量效果"),
    "not_contactable": ("the customer has not agreed to be contacted", "客户未同意接收联系"),
    "cooling_down": ("contacted or held out lately; the cool-down is not over", "近期已触达或作为对照, 仍在冷却期"),
    "contact_cap": ("the customer had as many messages as the policy allows", "近期接收的信息已达上限"),
    "complaint_open": ("marketing waits until the complaint is closed", "投诉处理期间暂停营销"),
    "value_unknown": ("the customer's value is not known", "客户价值未知"),
    "no_strategy": ("no strategy in the library answers this case", "策略库中没有适合的方案"),
    "contact_would_hurt": ("contact drives customers like this one away", "联系此类客户会加速其流失"),
    "not_worth_it": ("no strategy would bring more than it costs", "任何方案的收益都不高于成本"),
    "channel_full": ("the channel has no contact left in this plan", "渠道名额已满"),
    "team_full": ("the team has no hours left in this plan", "团队工时已满"),
    "strategy_budget_spent": ("the strategy's own budget is spent", "该方案的专项预算已用完"),
    "budget_spent": ("the budget went to customers with more at stake", "预算已分配给价值更高的客户"),
}
COLUMNS = (
    "customer_id", "as_of", "strategy_id", "arm", "channel", "cost", "expected_value", "rank", "decision",
    "decision_reason", "level", "score", "probability", "main_reason", "value_tier", "money_at_risk",
    "propensity", "model_version", "planned_strategy_id", "effect", "effect_group", "propensities", "best_rejected",
    "rejected_because", "version", "kept_share",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`rows` as `COLUMNS`, one per candidate; `prices` as `retention.deciding.prices.COLUMNS`, one per limit."""

    rows: "pd.DataFrame"
    prices: "pd.DataFrame"


def plan(
    candidates: "pd.DataFrame",
    strategies: Sequence["Strategy"],
    policy: "Policy",
    *,
    spent: float,
    spent_on: Mapping[str, float] | None = None,
    recent_contacts: Collection[str] = (),
    recent_strategies: Collection[tuple[str, str]] = (),
    capped: Collection[str] = (),
    effects: "pd.DataFrame | None" = None,
    kept_share: float = 1.0,
    overrides: "Mapping[str, PlanOverride] | None" = None,
) -> Plan:
    """Decide for every candidate: treat, hold out, hold back, or do nothing; each with its reason.

    Args:
        candidates: rows of decisions.candidates, one per customer; money_at_risk may be missing.
        strategies: the library.
        policy: budget, capacity, teams, costs, holdout, exploration, effects.
        spent: money already committed in the budget's period, by plans before this one.
        spent_on: the same by strategy.
        recent_contacts: customers within their cool-down, which holds back marketing and not service.
        recent_strategies: customers with a strategy that they had within their cool-down, and do not get again.
        capped: customers who had as many messages as the policy allows, see `contact_rules.find_capped`.
        effects: what was measured before this day, see `apply_effects`.
        kept_share: which share of the money at risk keeping a customer really saves, as measured before this day: of
            leavers those who do not come back, times what customers at risk who stay go on to bring.
        overrides: by customer what a person decided, see `plan_overrides.find_holding`.

    Returns:
        The plan, the highest expected value first, see `options.build_options`. `cost` is what this plan commits: 0 for
        whoever is not treated. `propensity` is the probability of what was decided, `propensities` those of all that
        could have been, by strategy, "" for nothing; both are conditional on being chosen.

    The untreated group is drawn before matching, then goes through the same matching and the same queue without using
    the budget, so that both arms of a strategy were chosen by one rule. So do the customers who explore: what was drawn
    for them has been reserved from the limits before. For a share of all customers, drawn by a hash once for all,
    declared effects count in full even where strategies together were found to keep less.
    """
    chosen = list_chosen(overrides or {})
    people = _prepare(candidates, policy, silent=list_silent(overrides or {})).assign(
        is_persons_choice=lambda each: each["customer_id"].isin(chosen)
    )
    people["waits"] = _find_waits(people, policy, recent=recent_contacts, capped=capped)
    free = people.loc[people["bar"] == ""].reset_index(drop=True)
    offered, held_back = restrict(strategies, chosen), {*capped, *recent_contacts}
    options = build_options(
        free, offered, policy, held_back=held_back, recent_strategies=recent_strategies, effects=effects,
        kept_share=kept_share,
    )  # fmt: skip
    options = _accept(options, free["is_persons_choice"].to_numpy(dtype=bool))
    limits = list_limits(options.columns, options.costs, policy, spent=spent, spent_on=spent_on or {})
    allocation, lottery = _choose(free, options, limits, policy)
    decided = _decide(free, options, allocation, lottery, policy).assign(
        **_rejected(options, allocation, limits, counted=~free["is_held_out"].to_numpy(dtype=bool))
    )
    joined = _explain(_join(people, decided, holdout_share=policy.holdout.share))
    rows = _rank(joined.assign(version=_name_versions(joined, offered), kept_share=kept_share))
    used = _used(limits, options, decided)
    return Plan(rows=rows, prices=price_table(limits, allocation.prices, used))


def _name_versions(decided: "pd.DataFrame", strategies: Sequence["Strategy"]) -> "pd.Series[str]":
    """Return the version of the strategy of each row, None where it has no strategy or the strategy no versions."""
    import pandas as pd

    chosen = decided.loc[decided["strategy_id"].notna()]
    settings = find_settings(zip(chosen["customer_id"], chosen["strategy_id"], strict=True), strategies)
    versions = [each.version.id if each.version else None for each in settings]
    return pd.Series(versions, index=chosen.index, dtype=object).reindex(decided.index)


def _accept(options: Options, is_persons_choice: Bools) -> Options:
    """Return the options, those that a person chose among the profitable ones whatever they are expected to bring."""
    return replace(options, is_profitable=options.is_profitable | (options.is_open & is_persons_choice[:, np.newaxis]))


def _prepare(candidates: "pd.DataFrame", policy: "Policy", *, silent: Collection[str]) -> "pd.DataFrame":
    _require_unique(candidates)
    people = candidates.sort_values("customer_id", ignore_index=True)
    ids = people["customer_id"].astype(str)
    people["money_at_risk"] = people["money_at_risk"].astype(float)
    people["is_held_out"] = hold_out(ids, people["as_of"], policy.holdout)
    people["is_probe"] = fractions(ids, salt=f"{policy.exploration.salt}:level") < policy.exploration.share
    people["effect_group"] = name_groups(people, policy)
    closed = people["allowed_channels"].eq("") & people["service_channels"].eq("")
    bars = [ids.isin(set(silent)), closed, people["money_at_risk"].isna()]
    people["bar"] = np.select(bars, ["left_alone_by_person", "not_contactable", "value_unknown"], "")
    return people


def _find_waits(
    people: "pd.DataFrame", policy: "Policy", *, recent: Collection[str], capped: Collection[str]
) -> "np.ndarray[tuple[int], np.dtype[np.object_]]":
    """Return what holds back a customer's marketing: the reason of who has no option but for that."""
    ids = people["customer_id"]
    waits = {
        "cooling_down": ids.isin(set(recent)),
        "contact_cap": ids.isin(set(capped)),
        "complaint_open": holds_any(people["triggers"], policy.contact_rules.no_marketing_during),
        "not_contactable": people["allowed_channels"].eq(""),
    }
    return np.select(list(waits.values()), [np.asarray(reason, dtype=object) for reason in waits], "")


def _require_unique(candidates: "pd.DataFrame") -> None:
    twice = candidates["customer_id"].duplicated()
    if twice.any():
        raise ValueError(
            f"{int(twice.sum())} candidates come twice, the first in row {int(twice.to_numpy().argmax())}; "
            "a plan needs one row per customer."
        )


def _choose(
    free: "pd.DataFrame", options: Options, limits: Sequence[Limit], policy: "Policy"
) -> tuple[Allocation, Lottery]:
    """Allocate, draw who of the chosen explores, reserve what was drawn for them, and allocate the rest again.

    Who takes part in the draw is decided without looking at it, so that its probabilities are what they are said to be.
    """
    is_persons_choice = free["is_persons_choice"].to_numpy(dtype=bool)
    values = _prefer(np.where(options.is_profitable, options.expected, -np.inf), is_persons_choice)
    counted = ~free["is_held_out"].to_numpy(dtype=bool)
    first = allocate(values, limits, counted=counted)
    explored = policy.exploration
    planned = (first.chosen != NOTHING) & ~is_persons_choice
    keys = free["as_of"].astype(str) + ":" + free["customer_id"].astype(str)
    places = fractions(keys.where(planned, ""), salt=explored.salt) if explored.share else np.ones(len(free))
    lottery = hold_lottery(options.is_open, planned, places, limits, share=explored.share)
    if not lottery.is_drawn.any():
        return first, lottery
    drawn = np.where(counted, lottery.drawn, NOTHING)
    left = [replace(limit, amount=max(limit.amount - use, 0.0)) for limit, use in _uses(limits, drawn)]
    return allocate(values, left, counted=counted & ~lottery.is_drawn), lottery


def _prefer(values: Floats, is_persons_choice: Bools) -> Floats:
    """Return the values, what a person chose as high as the best of all, so that it is not outbid."""
    best = values.max(initial=1.0)
    return np.where(is_persons_choice[:, np.newaxis] & np.isfinite(values), best, values)


def _uses(limits: Sequence[Limit], chosen: Ints) -> list[tuple[Limit, float]]:
    rows = np.flatnonzero(chosen != NOTHING)
    return [(limit, float(look_up(limit.uses, rows, chosen[rows]).sum())) for limit in limits]


def _decide(
    free: "pd.DataFrame", options: Options, allocation: Allocation, lottery: Lottery, policy: "Policy"
) -> "pd.DataFrame":
    """Return, for every customer who may be chosen, what the plan decided and with which probability."""
    planned = allocation.chosen
    is_planned, held = planned != NOTHING, free["is_held_out"].to_numpy(dtype=bool)
    explores = is_planned & lottery.is_drawn & ~held
    final = np.where(explores, lottery.drawn, planned)
    arm = np.select([~is_planned, held, final == NOTHING], [UNTOUCHED, HOLDOUT, CONTROL], TREATED).astype(object)
    shown = np.where(final == NOTHING, planned, final)
    names, channels = options.words("strategy"), options.words("channel")
    rows = np.arange(len(free))
    share = policy.holdout.share
    chances = write_propensities(lottery, list(names[:-1]), planned, holdout_share=share)
    decisions = zip(chances, arm, names[final], strict=True)
    return free[["customer_id"]].assign(
        arm=arm,
        strategy_id=names[shown],
        planned_strategy_id=names[planned],
        channel=channels[shown],
        cost=np.where(arm == TREATED, look_up(options.costs, rows, final), 0.0),
        expected_value=look_up(options.expected, rows, shown),
        effect=look_up(options.effects, rows, shown),
        propensity=[_propensity(*decision, holdout_share=share) for decision in decisions],
        propensities=np.array([as_text(chance) for chance in chances], dtype=object),
        is_explored=explores & (final != planned),
        is_probed=look_up(options.is_probing.astype(float), rows, final) == 1,
        is_harmed=options.harmed,
        best=options.best(),
        has_profitable=np.asarray(options.is_profitable.any(axis=1)),
        has_option=np.asarray(options.is_open.any(axis=1)),
    )


def _propensity(chances: Mapping[str, float], arm: str, given: str, *, holdout_share: float) -> float:
    """Return the probability of what was decided, missing for who was not chosen."""
    if arm == UNTOUCHED:
        return np.nan
    if arm == HOLDOUT:
        return holdout_share
    return chances[""] - holdout_share if arm == CONTROL else chances[given]


def _rejected(
    options: Options, allocation: Allocation, limits: Sequence[Limit], *, counted: Bools
) -> dict[str, "np.ndarray[tuple[int], np.dtype[np.object_]]"]:
    """Return the best option that each row did not get, and why not."""
    rows = np.arange(len(counted))
    others = np.where(np.isnan(options.expected), -np.inf, options.expected)
    chosen = allocation.chosen
    is_chosen = chosen != NOTHING
    got = np.full(len(rows), -np.inf)
    got[is_chosen] = others[is_chosen, chosen[is_chosen]]
    best = others.argmax(axis=1) if options.columns else np.zeros(len(rows), dtype=np.int64)
    lost = (others.max(axis=1, initial=-np.inf) > got) if options.columns else np.zeros(len(rows), dtype=bool)
    name, why = np.full(len(rows), None, dtype=object), np.full(len(rows), None, dtype=object)
    name[lost] = options.words("strategy")[best[lost]]
    room = np.array([limit.amount - use for limit, use in zip(limits, allocation.used, strict=True)])
    why[lost] = find_refusals(limits, allocation.prices, room, rows[lost], best[lost])
    why[lost & ~is_chosen & ~options.is_profitable.any(axis=1)] = "not_worth_it"
    return {"best_rejected": name, "rejected_because": why}


def _used(limits: Sequence[Limit], options: Options, decided: "pd.DataFrame") -> Floats:
    """Return how much of each limit the treated use, those who explore included."""
    places = {column: place for place, column in enumerate(options.columns)}
    pairs = zip(decided["strategy_id"], decided["channel"], strict=True)
    final = np.array([places.get((str(name), str(channel)), NOTHING) for name, channel in pairs], dtype=np.int64)
    final = np.where(decided["arm"].eq(TREATED), final, NOTHING)
    return np.array([use for _, use in _uses(limits, final)])


def _join(people: "pd.DataFrame", decided: "pd.DataFrame", *, holdout_share: float) -> "pd.DataFrame":
    """Lay what was decided beside everybody; whoever was not chosen has the probability of the group they are in."""
    import pandas as pd

    joined = people.merge(decided, on="customer_id", how="left")
    is_barred = joined["bar"] != ""
    joined["arm"] = joined["arm"].where(~is_barred, UNTOUCHED)
    joined["cost"] = joined["cost"].fillna(0.0)
    of_group = np.where(joined["is_held_out"], holdout_share, 1 - holdout_share)
    joined["propensity"] = joined["propensity"].fillna(pd.Series(of_group, index=joined.index))
    joined["expected_value"] = joined["expected_value"].fillna(joined["best"])
    for name in ("is_explored", "is_probed", "is_harmed", "has_option", "has_profitable"):
        joined[name] = joined[name].eq(other=True)
    return joined


def _explain(joined: "pd.DataFrame") -> "pd.DataFrame":
    """Give every row its decision and the first reason that holds."""
    arm = joined["arm"]
    questions = [
        joined["bar"] != "", arm == HOLDOUT, arm == CONTROL, (arm == TREATED) & joined["is_explored"],
        (arm == TREATED) & joined["is_persons_choice"], (arm == TREATED) & joined["is_probed"], arm == TREATED,
        joined["is_harmed"],
        ~joined["has_option"] & joined["waits"].ne(""), ~joined["has_option"], ~joined["has_profitable"],
    ]  # fmt: skip
    answers = [
        joined["bar"], "held_out", "explored_nothing", "explored", "chosen_by_person", "probed", "best_use_of_budget",
        "contact_would_hurt", joined["waits"], "no_strategy", "not_worth_it",
    ]  # fmt: skip
    reasons = np.select(questions, [np.asarray(answer, dtype=object) for answer in answers], joined["rejected_because"])
    return joined.assign(decision=arm.map(DECISIONS), decision_reason=reasons.astype(object))


def _rank(decided: "pd.DataFrame") -> "pd.DataFrame":
    """Order by expected value; whoever was not chosen shows the value that was passed over."""
    by = ["expected_value", "money_at_risk", "customer_id"]
    ranked = decided.sort_values(by, ascending=[False, False, True], ignore_index=True)
    ranked["rank"] = np.arange(1, len(ranked) + 1)
    return _tidy(ranked[list(COLUMNS)])


WORDS = (
    "strategy_id", "channel", "main_reason", "value_tier", "planned_strategy_id", "propensities", "best_rejected",
    "rejected_because", "effect_group", "model_version", "version",
)  # fmt: skip


def _tidy(plan: "pd.DataFrame") -> "pd.DataFrame":
    """Days as dates, versions as text and absent words as None, as the store gives them back."""
    import pandas as pd

    plan = plan.assign(
        as_of=pd.to_datetime(plan["as_of"]).dt.date, model_version=plan["model_version"].astype("string")
    )
    plan[list(WORDS)] = plan[list(WORDS)].astype(object).where(plan[list(WORDS)].notna(), None)
    return plan
