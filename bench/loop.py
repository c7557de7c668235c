"""Does the loop close: twelve months of plans, answers, measuring and verdicts in companies whose truth is known.

`make bench TOPIC=loop` writes bench/results/loop.json; `python -m bench.loop [--level ..] [--industry ..] [--seeds N]`
a part of it. Everything between the customers and the verdict is the platform's own: the plan with its holdout,
exploration and budget, the effects, the verdict, the life of strategies. The customers are the simulator's
(bench/loop_companies.py). Leaving is seen at the end of its month, in every industry.

The truth is the same customers lived through again: without any action, under three simple policies, and with the best
action for everybody every month, whatever it costs. What a customer who was kept is worth is what they truly go on to
bring, not what the platform supposes.
"""

import argparse
import json
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.figures import Figure, at_least, record, without_bar
from bench.loop_companies import AFTER, LEVELS, LOOP, NO_ACTION, Company, make_company, read_reached
from ml.effects.estimate import EffectConfig, estimate
from ml.effects.randomised import read_randomised
from retention.deciding.effects import name_groups
from retention.deciding.limits import list_limits
from retention.deciding.matching import read_fits
from retention.deciding.options import Options, build_options
from retention.deciding.plan import HOLDOUT, TREATED, UNTOUCHED, plan
from retention.measuring.lifecycle import Review, break_evens, keep_active, review
from retention.measuring.money import measure_money
from retention.measuring.outcomes import ALL, read_effects
from retention.measuring.staying import measure_value_share
from simulator.parameters import INDUSTRIES

COMMAND = "make bench TOPIC=loop"
CUSTOMERS, SEEDS = 4000, 10
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
FOLDS = 2  # of the cross-fitting: five, as the policy has it, take twice the time of a year
NEVER = LOOP + AFTER
TINY = 1e-9
HIGH_VALUE = ("platinum", "gold")


# ------------------------------------------------------------------------------------------------------ living through


@dataclass(kw_only=True)
class Life:
    """What became of a company's customers under one way of acting: the month each left, and what was spent on whom.

    `eased` is what actions took away of each cause's pain and has not faded yet; `scores` are everybody's, month by
    month.
    """

    left: Ints
    cost: Floats
    eased: Floats
    scores: list[pd.DataFrame] = field(default_factory=list)
    decisions: list[pd.DataFrame] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)

    @classmethod
    def of(cls, company: Company) -> "Life":
        """Return the life in which nobody has left yet."""
        size = company.world.size
        return cls(left=np.full(size, NEVER), cost=np.zeros(size), eased=company.nothing_eased)

    def is_there(self, company: Company, month: int) -> Flags:
        """Tell who is a customer when a month begins."""
        return np.asarray(company.is_known(month) & (self.left == NEVER))

    def pass_month(self, company: Company, month: int, action: Ints) -> None:
        """Let a month pass."""
        is_leaving = company.draw[month] < company.chance(month, action, self.eased)
        self.left[self.is_there(company, month) & is_leaving] = month
        self.eased = company.ease(month, action, self.eased)

    def count_months(self, first: Ints, *, until: Ints | int) -> Ints:
        """Return how many months from `first` to before `until` each customer stayed through."""
        return np.asarray(np.maximum(np.minimum(self.left, until) - first, 0))


def live_untouched(company: Company) -> Life:
    """Live through all months without doing anything."""
    life, nothing = Life.of(company), np.full(company.world.size, NO_ACTION)
    for month in range(company.months):
        life.pass_month(company, month, nothing)
    return life


def live_at_best(company: Company) -> Life:
    """Live through all months with the action for everybody that helps most, as no budget permits and nobody knows."""
    life = Life.of(company)
    for month in range(company.months):
        life.pass_month(company, month, company.best_action(month, life.eased))
    return life


def live_with_platform(company: Company) -> Life:
    """Plan, act, measure and judge for LOOP months, then let the customers live on alone."""
    life, effects = Life.of(company), None
    config = replace(EffectConfig.of(company.policy), folds=FOLDS)
    fits = {each.id: read_fits(each, company.policy) for each in company.strategies}
    nothing = np.full(company.world.size, NO_ACTION)
    for month in range(LOOP):
        day = company.first_day(month)
        everybody = company.candidates(month, life.eased)
        people = everybody.loc[life.is_there(company, month)[everybody["place"]]].reset_index(drop=True)
        life.scores.append(people[["place", "customer_id", "probability"]].assign(month=month))
        active = list(keep_active(company.strategies, life.reviews, as_of=day))
        kept_share = _value_share(company, life, until=month)
        decided = plan(
            people, active, company.policy, spent=0, effects=effects, kept_share=kept_share,
            recent_contacts=_recent(life, company, day),
        ).rows  # fmt: skip
        rows, action = _act(company, decided, nothing)
        life.cost[rows] += decided["cost"].to_numpy(dtype=float)
        lived = ((nothing, company.nothing_eased), (nothing, life.eased), (action, life.eased))
        chances = [company.chance(month, does, eased)[rows] for does, eased in lived]
        life.pass_month(company, month, action)
        life.decisions.append(
            decided.assign(
                churned=life.left[rows] == month, retained=life.left[rows] != month, is_mature=True, is_sent=True,
                outcome_until=company.first_day(month + 1), month=month, place=rows,
                value_from_now=decided["money_at_risk"] / decided["probability"],
                chance_untouched=chances[0], chance_alone=chances[1], chance=chances[2],
                true_value=company.true_value[month, rows],
            ).loc[decided["arm"].ne(UNTOUCHED).to_numpy()]
        )  # fmt: skip
        known = pd.concat(life.decisions)
        felt = company.policy.effects.windows_felt(known["probability"])
        randomised = read_randomised(known, kept_share=kept_share, felt=felt, fits=fits)
        effects = estimate(randomised, _declare(company), config).table
        life.reviews += _review(company, known, life.reviews, company.first_day(month + 1), kept_share=kept_share)
    for month in range(LOOP, company.months):
        life.pass_month(company, month, nothing)
    return life


def _recent(life: Life, company: Company, day: date) -> set[str]:
    since = day - timedelta(days=company.policy.cooldown_days)
    recent = [each.loc[each["as_of"] > since, "customer_id"] for each in life.decisions[-4:]]
    return set(pd.concat(recent)) if recent else set()


def _act(company: Company, decided: pd.DataFrame, nothing: Ints) -> tuple[Ints, Ints]:
    """Return the place of each planned customer, and the action that everybody gets."""
    rows = decided["customer_id"].str.rpartition("-")[2].to_numpy().astype(np.int64)
    action = nothing.copy()
    is_treated = decided["arm"].eq(TREATED).to_numpy()
    does = {strategy.id: company.action_of(strategy) for strategy in company.strategies}
    action[rows[is_treated]] = decided.loc[is_treated, "strategy_id"].map(does).astype(int)
    return rows, action


def _review(company: Company, known: pd.DataFrame, past: list[Review], day: date, *, kept_share: float) -> list[Review]:
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    effects = read_effects(known, company.policy, today=day)
    felt = company.policy.effects.windows_felt(known["probability"])
    return review(effects, break_evens(known, kept_share=kept_share, felt=felt), past, broken={}, as_of=day, at=at)


def _declare(company: Company) -> pd.DataFrame:
    rows = [
        (each.id, each.effect.value, each.effect.low, each.effect.high, each.cost(company.policy), each.effect.source)
        for each in company.strategies
    ]
    return pd.DataFrame(rows, columns=["strategy_id", "effect", "low", "high", "cost", "source"])


# ------------------------------------------------------------------------------------------------------ simple policies

SIMPLE: dict[str, Callable[[pd.DataFrame, np.random.Generator], Floats]] = {
    "by probability": lambda people, _: people["probability"].to_numpy(dtype=float),
    "by probability x value": lambda people, _: people["money_at_risk"].to_numpy(dtype=float),
    "at random": lambda people, rng: rng.random(len(people)),
}


def live_simply(company: Company, name: str) -> Life:
    """Give the customers that come first in a simple order their best declared option, while money and places last."""
    life, nothing = Life.of(company), np.full(company.world.size, NO_ACTION)
    rng = np.random.default_rng(company.world.seed)
    last = np.full(company.world.size, -company.policy.cooldown_days)
    for month in range(company.months):
        action = nothing.copy()
        if month < LOOP:
            day = company.world.calendar.months[month].offset
            is_free = life.is_there(company, month) & (day - last >= company.policy.cooldown_days)
            people, options = _list_offers(company, month, life, is_free)
            wish = np.where(options.is_open.any(axis=1), SIMPLE[name](people, rng), -np.inf)
            rows, column = _choose_simply(company, options, wish)
            places = people["place"].to_numpy()[rows]
            does = {strategy.id: company.action_of(strategy) for strategy in company.strategies}
            action[places] = [does[str(each)] for each in options.words("strategy")[column]]
            last[places] = day
            life.cost[places] += options.costs[column]
        life.pass_month(company, month, action)
    return life


def _list_offers(company: Company, month: int, life: Life, is_free: Flags) -> tuple[pd.DataFrame, Options]:
    """Return who may be contacted and what the library has for them at its declared effects, whatever their reason."""
    everybody = company.candidates(month, life.eased)
    people = everybody.loc[is_free[everybody["place"]]].reset_index(drop=True)
    people = people.assign(effect_group=name_groups(people, company.policy))
    simple = {"unanswered_share": 1.0, "still_felt": 0.0}
    policy = company.policy.model_copy(update={"effects": company.policy.effects.model_copy(update=simple)})
    return people, build_options(people, company.strategies, policy, held_back=(), effects=None)


def _choose_simply(company: Company, options: Options, wish: Floats) -> tuple[Ints, Ints]:
    """Return the rows that get something, in order of `wish` while the limits have room, and their columns."""
    best = np.where(options.is_open, options.expected, -np.inf).argmax(axis=1)
    limits = list_limits(options.columns, options.costs, company.policy, spent=0, spent_on={})
    room, uses = np.array([limit.amount for limit in limits]), np.array([limit.uses for limit in limits])
    rows = []
    for row in np.argsort(-wish, kind="stable"):
        use = uses[:, best[row]]
        if np.isfinite(wish[row]) and (use <= room).all():
            room = room - use
            rows.append(row)
    chosen = np.array(rows, dtype=np.int64)
    return chosen, best[chosen]


# ---------------------------------------------------------------------------------------------------------- one seed


@dataclass(frozen=True, kw_only=True)
class Year:
    """What one company's year showed: what the platform measured, and what was true."""

    seconds: float
    is_saved_covered: bool
    is_money_covered: bool
    saved: float
    saved_measured: float
    money: float
    money_measured: float
    fewer_left: float
    fewer_left_at_risk: float
    fewer_left_in_year: float
    fewer_left_in_year_at_best: float
    more_value: float
    more_value_at_best: float
    supposed: float
    value_share: float  # as measured, of what is supposed
    return_all: float
    return_high_value: float
    spent: float
    is_none_found: bool
    spent_last: float
    gain: dict[str, float]  # net value per unit of the budget allotted, by policy
    kept_per_spent: dict[str, float]  # value kept per unit that was spent
    retired: int
    tried: int
    last_month: int
    month_of_power: float
    expected: float
    kept: float


def live_a_year(industry: str, level: str, *, seed: int, customers: int = CUSTOMERS) -> Year:
    """Live one company through with the platform, without it, and under the simple policies."""
    started = time.process_time()
    own = zlib.crc32(f"{industry} {level} {seed}".encode())  # else the luck of one holdout would be that of all worlds
    company = make_company(industry, level, seed=own, customers=customers)
    untouched, platform, best = live_untouched(company), live_with_platform(company), live_at_best(company)
    simple = {name: live_simply(company, name) for name in SIMPLE}
    known = pd.concat(platform.decisions)
    treated = known.loc[known["arm"].eq(TREATED)]
    saved = _measure_saved(company, known)
    money, share = _measure_money(company, platform, known), _value_share(company, platform, until=LOOP)
    first = _first_months(treated, company)
    ever = first < NEVER
    over = [(life.left < first + 12)[ever].sum() for life in (untouched, platform, best)]
    years = [life.count_months(first, until=first + 12) for life in (untouched, platform, best)]
    brought = [float((company.margin * each)[ever].sum()) for each in years]
    high = known.drop_duplicates("place").set_index("place")["value_tier"].isin(HIGH_VALUE)
    is_high = np.isin(np.arange(company.world.size), high.index[high])
    budget = company.policy.budget.amount * LOOP
    lives = {"the platform": platform, **simple}
    gains = {name: _kept(company, untouched, life) for name, life in lives.items()}
    spent = {name: life.cost.sum() for name, life in lives.items()}
    everybody = np.ones(company.world.size, dtype=bool)
    retired = [each for each in platform.reviews if each.state == "retired" and each.state_before != "retired"]
    return Year(
        seconds=time.process_time() - started,
        is_saved_covered=saved.covers, is_money_covered=money.covers, saved=saved.truth, saved_measured=saved.value,
        money=money.truth, money_measured=money.value,
        fewer_left=_fewer(treated), fewer_left_at_risk=_fewer(treated.loc[treated["level"].ne("low")]),
        fewer_left_in_year=float(1 - over[1] / max(over[0], 1)),
        fewer_left_in_year_at_best=float(1 - over[2] / max(over[0], 1)),
        more_value=brought[1] / max(brought[0], TINY) - 1, more_value_at_best=brought[2] / max(brought[0], TINY) - 1,
        supposed=_kept_value(treated, "value_from_now"), value_share=share,
        return_all=_return(company, untouched, platform, everybody),
        return_high_value=_return(company, untouched, platform, is_high),
        spent=float(platform.cost.sum()),
        is_none_found=not any(each.reason.startswith("works") for each in platform.reviews),
        spent_last=float(known.loc[known["month"] >= LOOP - 3, "cost"].sum()),
        gain={name: float((gains[name].sum() - spent[name]) / budget) for name in lives},
        kept_per_spent={name: float(gains[name].sum() / max(spent[name], TINY)) for name in lives},
        expected=float((treated["expected_value"] + treated["cost"]).sum()), kept=float(gains["the platform"].sum()),
        retired=len({each.strategy_id for each in retired}), tried=int(treated["strategy_id"].nunique()),
        last_month=int(treated["month"].max()) + 1, month_of_power=_month_of_power(company, known),
    )  # fmt: skip


def _fewer(treated: pd.DataFrame) -> float:
    """Return by which share of itself contact lowers the churn of the month after it, in truth.

    What earlier contacts still relieve is on both sides; the held-out, whom the platform compares, have none of it.
    """
    return float(1 - treated["chance"].sum() / max(treated["chance_alone"].sum(), TINY))


def _first_months(decisions: pd.DataFrame, company: Company) -> Ints:
    """Return the month of each customer's first decision, NEVER for who has none."""
    first = np.full(company.world.size, NEVER)
    by_customer = decisions.groupby("place")["month"].min()
    first[by_customer.index] = by_customer
    return first


def _kept(company: Company, untouched: Life, life: Life) -> Floats:
    """Return what each customer brought beyond what they would have brought untouched, to the last month."""
    start = np.maximum(company.world.signed_month, 0)
    months = life.count_months(start, until=NEVER) - untouched.count_months(start, until=NEVER)
    return np.asarray(company.margin * months, dtype=np.float64)


def _return(company: Company, untouched: Life, life: Life, who: Flags) -> float:
    cost = life.cost[who].sum()
    return float(_kept(company, untouched, life)[who].sum() / cost) if cost > 0 else np.nan


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A saving as the platform measured it, with its interval, and the truth."""

    value: float
    low: float
    high: float
    truth: float

    @property
    def covers(self) -> bool:
        """Whether the interval holds the truth."""
        return self.low <= self.truth <= self.high


def _measure_saved(company: Company, known: pd.DataFrame) -> Measured:
    """Return the customers kept through the month after their treatment: the verdict's difference x the treated."""
    effects = read_effects(known, company.policy, today=company.first_day(LOOP))
    found = effects.loc[effects["is_latest"]].set_index("strategy_id").loc[ALL].to_dict()
    planned = known["strategy_id"].eq(known["planned_strategy_id"]) & known["arm"].eq(TREATED)
    count = int(planned.sum())
    value, low, high = (float(found[name]) * count for name in ("difference", "difference_low", "difference_high"))
    truth = float((known["chance_untouched"] - known["chance"])[planned].sum())
    return Measured(value=value, low=low, high=high, truth=truth)


def _measure_money(company: Company, life: Life, known: pd.DataFrame) -> Measured:
    """Return the value of the customers kept, as the platform measures it in money."""
    share = _value_share(company, life, until=LOOP)
    found = measure_money(known, confidence=company.policy.outcomes.confidence, loss_share=share)
    money = found.set_index("scope").loc[ALL].to_dict()
    truth = _kept_value(known.loc[known["arm"].ne(HOLDOUT)], "true_value")
    return Measured(
        value=float(money["saved"]), low=float(money["saved_low"]), high=float(money["saved_high"]), truth=truth
    )


def _value_share(company: Company, life: Life, *, until: int) -> float:
    """Return the share that the platform measures from what was seen of the retained before a month; 1 at first."""
    if not life.decisions:
        return 1.0
    known = pd.concat(life.decisions)
    retained = known.loc[known["retained"]]
    left = np.minimum(life.left[retained["place"]], until)
    followed = retained.assign(years_followed=(left - retained["month"] - 1) / 12, is_lost=left < until)
    clv = company.policy.clv
    return measure_value_share(
        followed, lifetime_years=1 / float(pd.concat(life.scores)["probability"].mean()) / 12,
        horizon_years=company.horizon / 12, prior_leavers=clv.prior_leavers,
    )  # fmt: skip


def _kept_value(decisions: pd.DataFrame, value: str) -> float:
    return float(((decisions["chance_untouched"] - decisions["chance"]) * decisions[value]).sum())


def _month_of_power(company: Company, known: pd.DataFrame) -> float:
    """Return after how many months the true effect of all strategies stands out from chance, 99 for more than a year.

    It does where the policy's power allows a two-sided test to find it, by the numbers of treated and held out.
    """
    asked, normal = company.policy.outcomes, NormalDist()
    wanted = normal.inv_cdf((1 + asked.confidence) / 2) + normal.inv_cdf(asked.power)
    for month in range(LOOP):
        arms = known.loc[known["month"] <= month]
        treated, held_out = (arms.loc[arms["arm"].eq(arm)] for arm in (TREATED, HOLDOUT))
        if len(treated) and len(held_out):
            effect = float((treated["chance_untouched"] - treated["chance"]).mean())
            rate = float(arms["chance"].mean())
            if abs(effect) >= wanted * np.sqrt(rate * (1 - rate) * (1 / len(treated) + 1 / len(held_out))):
                return float(month + 1)
    return 99.0


# ------------------------------------------------------------------------------------------------------------ figures

LEAST_COVERED, LEAST_FEWER, LEAST_MORE_VALUE, LEAST_RETURN, LEAST_RETURN_HIGH = 0.90, 0.20, 0.15, 3.2, 5.8


def live_years(levels: list[str], industries: list[str], seeds: int, keep: Path) -> pd.DataFrame:
    """Return one row per year, living through those that `keep` does not hold yet; every seed is done in turn."""
    rows = [json.loads(line) for line in keep.read_text().splitlines()] if keep.exists() else []
    done = {(row["level"], row["industry"], row["seed"]) for row in rows}
    keep.parent.mkdir(parents=True, exist_ok=True)
    for seed in range(seeds):
        for level in levels:
            for industry in industries:
                if (level, industry, seed) in done:
                    continue
                key = {"level": level, "industry": industry, "seed": seed}
                rows.append(key | asdict(live_a_year(industry, level, seed=seed)))
                with keep.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
    years = pd.DataFrame(rows)
    return years.loc[years["level"].isin(levels) & years["industry"].isin(industries) & years["seed"].lt(seeds)]


def name_world(level: str, industries: list[str]) -> str:
    """Return what a world's figures are called: those of one industry alone stand next to those of all."""
    return f"{industries[0]}, {level}" if len(industries) == 1 else level


def summarise(years: pd.DataFrame) -> Iterator[Figure]:
    """Yield the figures of every world."""
    for level in [name for name in LEVELS if name in set(years["level"])]:
        world = years.loc[years["level"] == level]
        name = name_world(level, sorted(world["industry"].unique()))
        common: dict[str, Any] = {
            "seed": sorted(int(seed) for seed in world["seed"].unique()), "command": COMMAND,
            "size": f"{len(world)} years of {CUSTOMERS} customers, {world['industry'].nunique()} industries",
        }  # fmt: skip
        yield from _judge_measuring(name, world, common)
        yield from _judge_spending(name, world, common)
        if LEVELS[level] > 0:
            yield from _judge_effect(name, world, common)
        else:
            yield from _judge_stopping(name, world, common)


def _judge_measuring(level: str, world: pd.DataFrame, common: dict[str, Any]) -> Iterator[Figure]:
    """Yield how often what the platform measured covers the truth, and how far it lies off on average."""
    for name, measured, truth in (("saved", "saved_measured", "saved"), ("money", "money_measured", "money")):
        covered = float(world[f"is_{name}_covered"].mean())
        off = world[measured] - world[truth]
        error = float(off.std(ddof=1) / np.sqrt(len(off))) if len(off) > 1 else np.nan
        what = "customers kept" if name == "saved" else "value of the customers kept"
        yield Figure(
            f"{level} world: measured {what} covers the truth", **at_least(covered, LEAST_COVERED), unit="",
            reference=f"true {world[truth].mean():,.0f} a year, measured {world[measured].mean():,.0f}, "
            f"off by {off.mean():,.0f} with a standard error of {error:,.0f}", **common,
        )  # fmt: skip


def _judge_spending(level: str, world: pd.DataFrame, common: dict[str, Any]) -> Iterator[Figure]:
    """Yield what a unit of the budget brought next to the simple policies: allotted, less cost, and spent."""
    whats = {"gain": "net value per unit of budget", "kept_per_spent": "value kept per unit spent"}
    for column, what in whats.items():
        gains = pd.DataFrame(world[column].tolist(), index=world.index)
        rivals = gains.drop(columns="the platform").max(axis=1)
        yield Figure(
            f"{level} world: share of years with more {what} than the best simple policy",
            **at_least(float((gains["the platform"] > rivals).mean()), 1.0), unit="",
            reference=", ".join(f"{name} {value:.3f}" for name, value in gains.mean().items()), **common,
        )  # fmt: skip


def _judge_effect(level: str, world: pd.DataFrame, common: dict[str, Any]) -> Iterator[Figure]:
    is_high = level.endswith("high")
    shares = {
        "churn of the treated, lower than the same untreated in that month": ("fewer_left", LEAST_FEWER),
        "the same of those at high and medium risk": ("fewer_left_at_risk", LEAST_FEWER),
        "churn of the treated within 12 months of their first treatment, lower": ("fewer_left_in_year", LEAST_FEWER),
        "value of the treated within 12 months of their first treatment, higher": ("more_value", LEAST_MORE_VALUE),
        "return on what was spent": ("return_all", LEAST_RETURN),
        "return on what was spent on platinum and gold": ("return_high_value", LEAST_RETURN_HIGH),
    }
    for what, (column, bar) in shares.items():
        value = float(world[column].mean())
        by_industry = ", ".join(f"{name} {each:.3f}" for name, each in world.groupby("industry")[column].mean().items())
        if f"{column}_at_best" in world:
            by_industry += f"; with the best action for everybody every month {world[f'{column}_at_best'].mean():.3f}"
        judged = at_least(value, bar) if is_high else without_bar(value)
        yield Figure(f"{level} world: {what}", **judged, unit="", reference=by_industry, **common)
    share = float(world["kept"].sum() / world["expected"].sum())
    yield Figure(
        f"{level} world: what was kept over what the plans expected", **without_bar(share), unit="",
        reference="kept by the end of the fourth year; plans look three years ahead", **common,
    )  # fmt: skip
    share = float(world["money"].sum() / world["supposed"].sum())
    measured = float((world["supposed"] * world["value_share"]).sum() / world["supposed"].sum())
    yield Figure(
        f"{level} world: what customers who were kept go on to bring, over their value from now", **without_bar(share),
        unit="", reference=f"who was at risk is so again; the platform measures {measured:.3f}", **common,
    )  # fmt: skip
    lost = float((world["retired"] / world["tried"]).mean())
    yield Figure(f"{level} world: share of strategies retired though they work", **without_bar(lost), unit="", **common)


def _judge_stopping(level: str, world: pd.DataFrame, common: dict[str, Any]) -> Iterator[Figure]:
    power = world["month_of_power"].where(world["month_of_power"] < NEVER)
    allowed = power.fillna(LOOP) + 1
    if level.endswith("harmful"):
        yield Figure(
            f"{level} world: share of years in which contact ends within the months that power allows",
            **at_least(float((world["last_month"] <= allowed).mean()), 1.0), unit="",
            reference=f"last contact in month {world['last_month'].mean():.1f} on average; a test of the whole group "
            f"would have the power within a year in {power.notna().mean():.0%} of the years", **common,
        )  # fmt: skip
    else:
        yield Figure(
            f"{level} world: share of years in which no strategy is reported to work",
            **at_least(float(world["is_none_found"].mean()), 1.0), unit="",
            reference=f"strategies retired {world['retired'].sum() / world['tried'].sum():.2f}", **common,
        )  # fmt: skip
    spent = world["spent_last"].sum() / (world["spent"].sum() / LOOP * 3)
    yield Figure(
        f"{level} world: spent in the last quarter over an average one", **without_bar(float(spent)), unit="",
        reference=f"{world['spent'].mean():,.0f} a year of a budget of 60,000", **common,
    )  # fmt: skip


def describe_scores() -> Iterator[Figure]:
    """Yield what the blurred scores were made to reach."""
    for industry in INDUSTRIES:
        reached = read_reached(industry)
        yield Figure(
            f"{industry}: scores' share of the oracle's AUC over chance", **without_bar(reached["share"]), unit="",
            reference=f"calibration error beyond the oracle's {reached['ece']:.4f}, as in bench/results/worlds.json",
            size="", seed=0, command=COMMAND,
        )  # fmt: skip


def main() -> None:
    """Live through the worlds that were asked for, and write their figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", choices=LEVELS, nargs="*", default=list(LEVELS))
    parser.add_argument("--industry", choices=INDUSTRIES, nargs="*", default=list(INDUSTRIES))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "holdfast-loop" / "years.jsonl")
    asked = parser.parse_args()
    years = live_years(asked.level, asked.industry, asked.seeds, asked.keep)
    worlds = tuple(f"{name_world(level, asked.industry)} world:" for level in asked.level)
    record("loop", [*describe_scores(), *summarise(years)], replaces=worlds)


if __name__ == "__main__":
    main()
