"""How well is decided: in a real shop, in companies whose true effects are known, and for a million customers.

`make bench TOPIC=decide` writes bench/results/decide.json; `python -m bench.decide [--home FOLDER] [--only PART]
[--industry NAME] [--keep FOLDER]` a part of it. The shop is read from the instance that `make demo` leaves behind;
FOLDER keeps the instances of simulated companies, so that a second run only plans.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.company_plans import measure_company, open_company
from bench.effect_worlds import World, draw_customers, list_strategies, live_through, make_world
from bench.figures import Figure, at_least, at_most, record, without_bar
from company.industries import load_industry
from company.policy import Policy, load_policy
from ingestion.readers import load_company
from ml.effects.doubly_robust import score
from ml.effects.estimate import EffectConfig, estimate
from ml.effects.policy_value import doubly_robust, snips
from ml.effects.randomised import Randomised, read_randomised
from retention.deciding.allocation import Limit, allocate
from retention.deciding.holdout import draw
from retention.deciding.plan import plan
from retention.deciding.strategy_files import load_strategies
from simulator.parameters import INDUSTRIES

COMMAND = "make bench TOPIC=decide"
Floats = npt.NDArray[np.float64]
SEED = 0
AS_OF = date(2017, 12, 1)

# ---------------------------------------------------------------------------------------------------------- the shop

COMPANY = Path(__file__).parent.parent / "examples" / "complete_journey" / "company.yaml"
CANDIDATES = "select * from decisions.candidates where as_of = $as_of order by customer_id"
LEFT = "select customer_id, coalesce(churned, false) as has_left from features.churn_labels where as_of = $as_of"
PART = 0.2
LEAST_OF_PERFECT, MOST_TO_LOSE = 0.60, 50


def measure_shop(home: Path) -> Iterator[Figure]:
    """Compare the plan of one day with what was lost in the month after it."""
    people = plan_shop(home)
    scored = people.loc[people["probability"].notna()].reset_index(drop=True)
    lost = scored["value_from_now"].clip(lower=0).fillna(0.0) * scored["has_left"]
    size = f"{len(scored)} scored customers, {int(scored['has_left'].sum())} left"
    common: dict[str, Any] = {"size": size, "seed": SEED, "command": COMMAND}
    perfect = _lost_in_top(lost, lost)
    orders = {
        "value of acting": scored["expected_value"], "money at risk": scored["money_at_risk"],
        "probability": scored["probability"],
    }  # fmt: skip
    shares = {name: _lost_in_top(lost, order) / perfect for name, order in orders.items()}
    reference = ", ".join(f"by {name} {share:.3f}" for name, share in shares.items() if name != "value of acting")
    yield Figure(
        "shop: share of a perfect ordering's lost value held by the first 20 % by value of acting",
        **at_least(shares["value of acting"], LEAST_OF_PERFECT), unit="", reference=reference, **common,
    )  # fmt: skip
    yield from _spending(people, common)
    yield from _rivals(scored, common)


def plan_shop(home: Path) -> pd.DataFrame:
    """Plan the day with the whole budget, without exploring; add each customer's value and whether they left."""
    company = load_company(COMPANY)
    industry = load_industry(company.industry)
    policy = load_policy(industry.policy, company.policy, {"exploration": {"share": 0.0}})
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
        candidates, left = (connection.execute(query, {"as_of": AS_OF}).df() for query in (CANDIDATES, LEFT))
    strategies = load_strategies(industry.path, *company.strategy_files, policy=policy, currency=company.currency)
    rows = plan(candidates, strategies, policy, spent=0).rows
    people = rows.merge(candidates[["customer_id", "value_from_now"]], on="customer_id")
    people = people.merge(left, on="customer_id", how="left")
    return people.assign(has_left=people["has_left"].eq(other=True))


def _lost_in_top(lost: "pd.Series[float]", order: "pd.Series[float]") -> float:
    top = order.sort_values(ascending=False, na_position="last").index[: round(PART * len(order))]
    return float(lost.loc[top].sum())


def _spending(people: pd.DataFrame, common: dict[str, Any]) -> Iterator[Figure]:
    budget = load_policy().budget.amount
    unspent = people.loc[people["decision_reason"].isin(["budget_spent"]), "expected_value"]
    cost = float(people["cost"].sum())
    yield Figure(
        "shop: share of the budget committed", **without_bar(cost / budget), unit="",
        reference=f"{len(unspent)} options that pay were refused for want of money", **common,
    )  # fmt: skip
    dear = people.nlargest(MOST_TO_LOSE, "money_at_risk")
    reasoned = float(dear["decision_reason"].notna().mean())
    chosen = int(dear["arm"].ne("none").sum())
    others = dict(dear.loc[dear["arm"] == "none", "decision_reason"].value_counts())
    yield Figure(
        f"shop: of the {MOST_TO_LOSE} with most to lose, in the plan or with a reason", **at_least(reasoned, 1.0),
        unit="", reference=f"{chosen} chosen; others: {others}",
        **common,
    )  # fmt: skip


def _rivals(scored: pd.DataFrame, common: dict[str, Any]) -> Iterator[Figure]:
    """Compare what the plan keeps of those who did leave, at the effects it believes in, with simple policies."""
    treated = scored.loc[scored["arm"].eq("treated")]
    saved = float(
        (treated["has_left"] * treated["value_from_now"].clip(lower=0) * treated["effect"] - treated["cost"]).sum()
    )
    usual = treated.loc[treated["strategy_id"].eq(treated["strategy_id"].mode()[0])]
    effect, cost = float(usual["effect"].median()), float(usual["cost"].median())
    holdout = load_policy().holdout
    free = scored.loc[~draw(scored["customer_id"], salt=holdout.salt, share=holdout.share)]
    rivals = {
        "everybody above the cut-off": free.loc[free["level"].ne("none")],
        "as many at random": free.sample(len(treated), random_state=SEED),
        "as many with most at risk": free.nlargest(len(treated), "money_at_risk"),
    }
    values = {
        name: float((group["has_left"] * group["value_from_now"].clip(lower=0) * effect - cost).sum())
        for name, group in rivals.items()
    }
    yield Figure(
        "shop: value kept of December's leavers, at the declared effects, less cost", **without_bar(saved),
        unit="currency", reference="with the strategy planned most: "
        + ", ".join(f"{name} {value:,.0f}" for name, value in values.items()), **common,
    )  # fmt: skip


# -------------------------------------------------------------------------------------------------------- the worlds

CUSTOMERS, MONTHS = 20_000, 6
LEAST_AGREEMENT, CLOSE, MOST_DOGS = 0.85, 0.95, 0.02
MOST_CONTACTED_IN_HARM = 0.02


def policy_of_worlds() -> Policy:
    """Return the default policy with money for everybody, so that the truly best action is always within reach."""
    return load_policy({"budget": {"amount": 1e9}, "capacity": {"phone": 10**9}})


def learn(world: World, policy: Policy, *, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Live through months of plans and outcomes; return the first plan, and the plan after them."""
    random = np.random.default_rng(seed)
    strategies, effects, decisions, plans = list_strategies(), None, [], []
    for month in range(MONTHS + 1):
        people = draw_customers(CUSTOMERS, month=date(2025, 1 + month, 1), random=random)
        plans.append(plan(people, strategies, policy, spent=0, effects=effects).rows)
        decisions.append(live_through(world, plans[-1], random=random))
        found = estimate(read_randomised(pd.concat(decisions)), declare(policy), EffectConfig.of(policy))
        effects = found.table
        gain = "-" if found.gain is None else f"{found.gain.value:.2f} ({found.gain.low:.2f} to {found.gain.high:.2f})"
        right = agreement(world, plans[-1], policy)
        print(
            f"  {world.name} world, month {month + 1}: planned rightly {right:.3f}, gain a decision {gain}", flush=True
        )
    return plans[0], plans[-1]


def declare(policy: Policy) -> pd.DataFrame:
    """Return the declared effects of the worlds' library."""
    rows = [
        (each.id, each.effect.value, each.effect.low, each.effect.high, each.cost(policy), each.effect.source)
        for each in list_strategies()
    ]
    return pd.DataFrame(rows, columns=["strategy_id", "effect", "low", "high", "cost", "source"])


def agreement(world: World, decided: pd.DataFrame, policy: Policy) -> float:
    """Return the share of the planned whose planned action is the truly best, or within 5 % of its value."""
    planned = decided.loc[decided["planned_strategy_id"].notna()]
    if planned.empty:
        return 1.0
    costs = np.array([each.cost(policy) for each in list_strategies()])
    money = planned["money_at_risk"].to_numpy(dtype=float)
    true = money[:, None] * world.effects_of(planned["effect_group"].to_numpy(dtype=object)) - costs
    place = {name: number for number, name in enumerate(world.strategies)}
    own = true[np.arange(len(planned)), planned["planned_strategy_id"].map(place).to_numpy(dtype=np.int64)]
    best = np.maximum(true.max(axis=1), 0.0)
    return float((own >= best * CLOSE - 1e-9).mean())


def measure_worlds() -> Iterator[Figure]:
    """Learn for six months in each world, then compare the plan with the truth."""
    policy = policy_of_worlds()
    common: dict[str, Any] = {
        "unit": "",
        "seed": SEED,
        "size": f"{CUSTOMERS} customers a month, {MONTHS} months",
        "command": COMMAND,
    }
    for name in ("middle", "high", "harmful"):
        world = make_world(name, seed=SEED)
        first, decided = learn(world, policy, seed=SEED)
        before, after = (_contacted(world, each) for each in (first, decided))
        reached, right = agreement(world, decided, policy), agreement(world, first, policy)
        if name != "harmful":
            bar = at_least(reached, LEAST_AGREEMENT) if name == "middle" else without_bar(reached)
            yield Figure(
                f"{name} world: planned action is the truly best or within 5 % of it",
                **bar,
                reference=f"by declared effects {right:.3f}",
                **common,
            )
            yield Figure(
                f"{name} world: sleeping dogs contacted",
                **at_most(after, MOST_DOGS),
                reference=f"by declared effects {before:.3f}",
                **common,
            )
        else:
            yield Figure(
                "harmful world: customers contacted",
                **at_most(after, MOST_CONTACTED_IN_HARM),
                reference=f"by declared effects {before:.3f}",
                **common,
            )


def _contacted(world: World, decided: pd.DataFrame) -> float:
    dogs = decided.loc[decided["effect_group"].isin(world.dogs)]
    return float(dogs["arm"].eq("treated").mean())


# ----------------------------------------------------------------------------------------------- off-policy estimates

WORLDS, ROWS, CONFIDENCE, LEAST_COVERED = 50, 4_000, 0.95, 0.90


def measure_policy_values() -> Iterator[Figure]:
    """Estimate what a policy brings from decisions of another, in many worlds; count how often the truth is covered."""
    covered: dict[str, list[bool]] = {"SNIPS": [], "doubly robust": []}
    widths: dict[str, list[float]] = {"SNIPS": [], "doubly robust": []}
    for seed in range(WORLDS):
        rows, policy, truth = _randomise(seed)
        for name, found in (
            ("SNIPS", snips(rows, rows.stayed, policy, confidence=CONFIDENCE)),
            ("doubly robust", doubly_robust(score(rows, folds=3), rows.customers, policy, confidence=CONFIDENCE)),
        ):
            covered[name].append(found.low <= truth <= found.high)
            widths[name].append(found.high - found.low)
    for name, hits in covered.items():
        yield Figure(
            f"off-policy: {name} intervals that hold the true value", **at_least(float(np.mean(hits)), LEAST_COVERED),
            unit="", size=f"{WORLDS} worlds of {ROWS} decisions", seed=SEED, command=COMMAND,
            reference=f"nominal {CONFIDENCE}; mean width {np.mean(widths[name]):.4f}",
        )  # fmt: skip


def _randomise(seed: int) -> tuple[Randomised, npt.NDArray[np.int64], float]:
    """Return randomised decisions in a world, a policy that differs from theirs, and the policy's true value."""
    random, world = np.random.default_rng(seed), make_world("middle", seed=seed)
    people = draw_customers(ROWS, month=AS_OF, random=random)
    groups = (people["value_tier"] + ", " + people["tier"]).to_numpy(dtype=object)
    actions = ("", *world.strategies)
    chances = random.dirichlet(np.full(len(actions), 2.0), size=len(world.groups))
    chances = (0.9 * chances + 0.1 / len(actions))[[world.groups.index(group) for group in groups]]
    given = (chances.cumsum(axis=1) < random.random(ROWS)[:, None]).sum(axis=1).clip(max=len(actions) - 1)
    leaving = people["probability"].to_numpy()[:, None] * (
        1 - np.column_stack([np.zeros(ROWS), world.effects_of(groups)])
    )
    stays = 1 - np.clip(leaving, 0, 1)
    places = np.arange(ROWS)
    churned = random.random(ROWS) >= stays[places, given]
    decisions = people.assign(
        arm=np.where(given == 0, "holdout", "treated"), strategy_id=[actions[place] for place in given],
        effect_group=groups, churned=churned, retained=~churned,
        value_from_now=people["money_at_risk"] / people["probability"],
        propensities=[json.dumps(dict(zip(actions, row.tolist(), strict=True))) for row in chances],
    )  # fmt: skip
    rows = read_randomised(decisions)
    target = random.integers(0, len(actions), len(world.groups))[[world.groups.index(group) for group in groups]]
    return rows, target.astype(np.int64), float(stays[places, target].mean())


# ------------------------------------------------------------------------------------------------ a million customers

MILLION, STRATEGIES, BINDING = 1_000_000, 40, 30
MOST_SECONDS, MOST_GIGABYTES, LEAST_OF_BOUND = 90, 2.0, 0.99


def measure_size() -> Iterator[Figure]:
    """Allocate a million customers under a budget and thirty capacities that all bind."""
    values, limits = _large_company(np.random.default_rng(SEED))
    started = time.process_time()
    found = allocate(values, limits)
    seconds = time.process_time() - started
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    binding = int(sum(used >= 0.99 * limit.amount for limit, used in zip(limits, found.used, strict=True)))
    size = f"{MILLION} customers x {STRATEGIES} strategies, {binding} of {len(limits)} limits binding"
    common: dict[str, Any] = {"size": size, "seed": SEED, "command": COMMAND}
    yield Figure(
        "allocation: share of the bound",
        **at_least(found.value / found.bound, LEAST_OF_BOUND),
        unit="",
        reference=f"value {found.value:,.0f}, bound {found.bound:,.0f}",
        **common,
    )
    yield Figure(
        "allocation: processor time",
        **at_most(seconds, MOST_SECONDS),
        unit="s",
        reference="prices, bound and repair, without making the values",
        **common,
    )
    yield Figure(
        "allocation: memory of the process",
        **at_most(gigabytes, MOST_GIGABYTES),
        unit="GiB",
        reference=f"the values alone {values.nbytes / 1024**3:.2f}",
        **common,
    )


def _large_company(random: np.random.Generator) -> tuple[npt.NDArray[np.float32], list[Limit]]:
    """Return values of every option, half of them closed, and limits: 60 % of the money, 40 % of the demand."""
    single = np.float32
    money = random.lognormal(4, 1.2, MILLION).astype(single) * random.beta(1, 4, MILLION).astype(single)
    effects = random.uniform(0.03, 0.12, (6, STRATEGIES)).astype(single)
    costs = random.uniform(0.2, 3, STRATEGIES)
    groups = random.integers(0, 6, MILLION)
    values = np.empty((MILLION, STRATEGIES), dtype=single)
    for start in range(0, MILLION, 100_000):
        rows = slice(start, start + 100_000)
        noise = random.random((100_000, STRATEGIES), dtype=single)
        values[rows] = money[rows, None] * effects[groups[rows]] * (0.7 + 0.6 * noise) - costs.astype(single)
        values[rows][random.random((100_000, STRATEGIES), dtype=single) < 1 / 2] = -np.inf
    wanted = np.flatnonzero(values.max(axis=1) > 0)
    demand = np.bincount(values[wanted].argmax(axis=1), minlength=STRATEGIES)
    scarce = np.sort(np.argsort(-demand)[:BINDING])
    limits = [Limit(name="budget", amount=0.6 * float(costs @ demand), uses=costs)]
    own = np.eye(STRATEGIES)
    return values, [
        *limits,
        *(Limit(name=f"capacity {j}", amount=float(int(0.4 * demand[j])), uses=own[j]) for j in scarce),
    ]


# --------------------------------------------------------------------------------------------------------- companies


def measure_companies(industries: Sequence[str], keep: Path) -> Iterator[Figure]:
    """Plan a day of each simulated company, and compare the plan with the truth."""
    for industry in industries:
        yield from measure_company(open_company(industry, keep), command=COMMAND)


def main() -> None:
    """Measure all parts, or one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("HOLDFAST_HOME", ".holdfast")))
    parser.add_argument("--industry", choices=INDUSTRIES, nargs="*", default=list(INDUSTRIES))
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "holdfast-companies")
    parser.add_argument("--only", choices=list(PARTS))
    asked = parser.parse_args()
    for name, measure in PARTS.items():
        if asked.only in (None, name):
            record("decide", measure(asked))


PARTS: dict[str, Callable[[argparse.Namespace], Iterator[Figure]]] = {
    "shop": lambda asked: measure_shop(asked.home),
    "companies": lambda asked: measure_companies(asked.industry, asked.keep),
    "worlds": lambda _: measure_worlds(),
    "policies": lambda _: measure_policy_values(),
    "size": lambda _: measure_size(),
}


if __name__ == "__main__":
    main()
