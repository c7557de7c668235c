"""The plan: one budget, greedy by expected value, and doing nothing as a choice with a reason."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from retention.deciding.holdout import draw
from retention.deciding.matching import match

if TYPE_CHECKING:
    import pandas as pd

    from company.policy import Policy
    from retention.deciding.strategies import Strategy

TREATED, HOLDOUT, UNTOUCHED = "treated", "holdout", "none"
DECISIONS = {TREATED: "treat", HOLDOUT: "hold_out", UNTOUCHED: "do_nothing"}

REASONS = {
    "best_use_of_budget": ("the most that the budget can buy for this customer", "在预算内对该客户最有价值的方案"),
    "held_out": ("stays untreated, so that the effect can be measured", "对照组不干预以便衡量效果"),
    "not_at_risk": ("the risk is below what the policy acts on", "风险低于策略的干预线"),
    "not_contactable": ("the customer has not agreed to be contacted", "客户未同意接收联系"),
    "cooling_down": ("chosen too recently to be contacted again", "近期已被选中且处于冷却期"),
    "value_unknown": ("the customer's value is not known", "客户价值未知"),
    "no_strategy": ("no strategy in the library answers this case", "策略库中没有适合的方案"),
    "not_worth_it": ("no strategy would bring more than it costs", "任何方案的收益都不高于成本"),
    "channel_full": ("the channel has no contact left in this plan", "渠道名额已满"),
    "budget_spent": ("the budget went to customers with more at stake", "预算已分配给价值更高的客户"),
}
COLUMNS = (
    "customer_id", "as_of", "strategy_id", "arm", "channel", "cost", "expected_value", "rank", "decision",
    "decision_reason", "level", "score", "probability", "main_reason", "value_tier", "clv", "money_at_risk",
    "propensity", "model_version",
)  # fmt: skip


def plan(
    candidates: "pd.DataFrame",
    strategies: Sequence["Strategy"],
    policy: "Policy",
    *,
    spent: float,
    recent_contacts: Collection[str] = (),
) -> "pd.DataFrame":
    """Decide for every candidate: treat, hold out, or do nothing; each with its reason.

    Args:
        candidates: rows of decisions.candidates, one per customer; clv and money_at_risk may be missing.
        strategies: the library.
        policy: budget, holdout, capacity, costs.
        spent: money already committed in the budget's period, by plans before this one.
        recent_contacts: customers within their cool-down.

    Returns:
        `COLUMNS`, one row per candidate, the highest expected value first. Expected value is
        money_at_risk x effect - cost. `cost` is what this plan commits: 0 for whoever is not treated.

    The untreated group is drawn before matching, then goes through the same matching and the same queue without using
    the budget, so that both arms of a strategy were chosen by one rule. Taking options in falling order, each if
    its customer is still free and its cost and channel still fit, is what the vectorised rounds below amount to.
    """
    people = _prepare(candidates, policy, recent_contacts)
    options = _options(people, strategies, policy)
    left = max(policy.budget.amount - spent, 0.0)
    chosen, refused = _choose(options, left=left, capacity=policy.capacity)
    decided = _decide(people, options, chosen, refused)
    return _rank(decided, options)


def _prepare(candidates: "pd.DataFrame", policy: "Policy", recent: Collection[str]) -> "pd.DataFrame":
    _require_unique(candidates)
    people = candidates.sort_values("customer_id", ignore_index=True)
    people["place"] = np.arange(len(people))  # settles ties as the customer's id would, and sorts faster
    ids = people["customer_id"].astype(str)
    for name in ("clv", "money_at_risk"):
        people[name] = people[name].astype(float)
    people["is_held_out"] = draw(ids, salt=policy.holdout.salt, share=policy.holdout.share)
    people["propensity"] = np.where(people["is_held_out"], policy.holdout.share, 1 - policy.holdout.share)
    closed = people["allowed_channels"].eq("") & people["service_channels"].eq("")
    bars = [people["level"].eq("none"), closed, ids.isin(set(recent)), people["clv"].isna()]
    names = ["not_at_risk", "not_contactable", "cooling_down", "value_unknown"]
    people["bar"] = np.select(bars, names, "")
    return people


def _require_unique(candidates: "pd.DataFrame") -> None:
    twice = candidates["customer_id"].duplicated()
    if twice.any():
        raise ValueError(
            f"{int(twice.sum())} candidates come twice, the first in row {int(twice.to_numpy().argmax())}; "
            "a plan needs one row per customer."
        )


def _options(people: "pd.DataFrame", strategies: Sequence["Strategy"], policy: "Policy") -> "pd.DataFrame":
    free = people.loc[people["bar"] == ""]
    options = match(free, strategies, policy).join(
        free.set_index("customer_id")[["place", "money_at_risk", "is_held_out"]], on="customer_id"
    )
    options["expected_value"] = options["money_at_risk"] * options["effect"] - options["option_cost"]
    options["is_worth_it"] = options["expected_value"] > policy.budget.minimum_expected_value
    options["order"] = options["expected_value"]
    if policy.budget.rank_by == "return_on_cost":
        with np.errstate(divide="ignore"):
            options["order"] = options["expected_value"] / options["option_cost"]
    by = ["order", "option_cost", "place", "strategy_id"]
    return options.sort_values(by, ascending=[False, True, True, True], ignore_index=True)


def _choose(
    options: "pd.DataFrame", *, left: float, capacity: dict[str, int]
) -> tuple["pd.DataFrame", dict[str, set[int]]]:
    """Take options in order while they fit; return the chosen ones and, by constraint, the customers it refused.

    Each round takes everything up to the first option that does not fit. That one shows a cost or a channel which can
    never fit again, so there are at most as many rounds as different costs and channels together.
    """
    import pandas as pd

    queue = options.loc[options["is_worth_it"]]
    room = {channel: float(places) for channel, places in capacity.items()}
    taken: list[pd.DataFrame] = []
    refused: dict[str, set[int]] = {"channel_full": set(), "budget_spent": set()}
    while not queue.empty:
        first = queue.drop_duplicates("place")
        over_budget, over_room = _misfits(first, left=left, room=room)
        fits, stop = _prefix(first, over_budget | over_room)
        taken.append(fits)
        treated = fits.loc[~fits["is_held_out"]]
        left -= float(treated["option_cost"].sum())
        for channel, count in treated["channel"].value_counts().items():
            room[str(channel)] = room.get(str(channel), np.inf) - count
        if stop is None:
            break
        queue = _still_possible(queue.loc[stop:], fits, left=left, room=room, refused=refused)
    return (pd.concat(taken) if taken else queue), refused


def _misfits(
    queue: "pd.DataFrame", *, left: float, room: dict[str, float]
) -> tuple["np.ndarray[tuple[int], np.dtype[np.bool_]]", "np.ndarray[tuple[int], np.dtype[np.bool_]]"]:
    """Tell which options would break the budget or their channel, given everything before them in the queue."""
    treated = ~queue["is_held_out"].to_numpy(dtype=bool)
    cost = queue["option_cost"].to_numpy(dtype=float)
    own = np.where(treated, cost, 0.0)
    before = np.cumsum(own) - own
    places = queue["channel"].map(room).fillna(np.inf).to_numpy(dtype=float)
    count = treated.astype(int)
    used = queue.assign(count=count).groupby("channel")["count"].cumsum().to_numpy() - count
    return before + cost > left + _CENT, used + 1 > places


_CENT = 1e-9  # rounding of sums of money


def _prefix(
    queue: "pd.DataFrame", misfit: "np.ndarray[tuple[int], np.dtype[np.bool_]]"
) -> tuple["pd.DataFrame", int | None]:
    if not misfit.any():
        return queue, None
    stop = int(misfit.argmax())
    return queue.iloc[:stop], int(queue.index[stop])


def _still_possible(
    queue: "pd.DataFrame",
    fits: "pd.DataFrame",
    *,
    left: float,
    room: dict[str, float],
    refused: dict[str, set[int]],
) -> "pd.DataFrame":
    queue = queue.loc[~queue["place"].isin(fits["place"])]
    too_dear = queue["option_cost"] > left + _CENT
    full = queue["channel"].map(room).fillna(np.inf) < 1
    refused["channel_full"].update(queue.loc[full, "place"])
    refused["budget_spent"].update(queue.loc[too_dear, "place"])
    return queue.loc[~(too_dear | full)]


def _decide(
    people: "pd.DataFrame", options: "pd.DataFrame", chosen: "pd.DataFrame", refused: dict[str, set[int]]
) -> "pd.DataFrame":
    picked = chosen.set_index("place")[["strategy_id", "channel", "option_cost", "expected_value"]]
    decided = people.join(picked, on="place")
    is_picked = decided["strategy_id"].notna()
    treated, held_out = is_picked & ~decided["is_held_out"], is_picked & decided["is_held_out"]
    decided["arm"] = np.select([treated, held_out], [TREATED, HOLDOUT], UNTOUCHED).astype(object)
    decided["decision"] = decided["arm"].map(DECISIONS)
    decided["cost"] = decided["option_cost"].where(treated, 0.0)
    places = decided["place"]
    worth = options.loc[options["is_worth_it"], "place"]
    questions = [
        treated, held_out, decided["bar"] != "", ~places.isin(options["place"]), ~places.isin(worth),
        places.isin(refused["budget_spent"]),
    ]  # fmt: skip
    answers = ["best_use_of_budget", "held_out", decided["bar"], "no_strategy", "not_worth_it", "budget_spent"]
    decided["decision_reason"] = np.select(
        questions, [np.asarray(answer, dtype=object) for answer in answers], "channel_full"
    ).astype(object)
    return decided


def _rank(decided: "pd.DataFrame", options: "pd.DataFrame") -> "pd.DataFrame":
    """Order by the best expected value; whoever was not chosen shows the value that was passed over."""
    best = options.groupby("place")["expected_value"].max()
    decided["expected_value"] = decided["expected_value"].fillna(decided["place"].map(best))
    by = ["expected_value", "money_at_risk", "place"]
    ranked = decided.sort_values(by, ascending=[False, False, True], ignore_index=True)
    ranked["rank"] = np.arange(1, len(ranked) + 1)
    return _tidy(ranked[list(COLUMNS)])


def _tidy(plan: "pd.DataFrame") -> "pd.DataFrame":
    """Days as dates, versions as text and absent words as None, as the store gives them back."""
    import pandas as pd

    words = ["strategy_id", "channel", "main_reason", "value_tier", "model_version"]
    plan = plan.assign(
        as_of=pd.to_datetime(plan["as_of"]).dt.date, model_version=plan["model_version"].astype("string")
    )
    plan[words] = plan[words].astype(object).where(plan[words].notna(), None)
    return plan
