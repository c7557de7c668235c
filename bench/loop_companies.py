"""Companies of the simulator that answer to what is done, as arrays: the same customers can be lived through again.

What hurts a customer does not depend on the company's actions, so that the log-odds of leaving, the pain of every cause
and the draw that decides are made once; a life is then a comparison per month. What an action took away of a pain
stays away and fades as that pain would have (`eased`, causes x customers); what comes new hurts anew. Worlds differ by
how strongly actions work: by how much an action drawn at random lowers the monthly churn of the tenth at highest risk,
in the month of the contact. These levels were fixed before anything was measured here, by randomised trials:

- middle, -10 %: P. Godinho de Matos, P. Ferreira and R. Belo, Marketing Science 37, 2018 (17.2 % to 15.3 %, -11 %);
- low and high, half and twice of it;
- harmful, +56 %: E. Ascarza, R. Iyengar and M. Schleicher, Journal of Marketing Research 53, 2016 (10.0 % of the
  contacted left, 6.4 % of the others);
- nothing: no action changes anything.

The platform sees scores blurred from the true hazard of the moment until they rank, and err, as the real models do on
the simulated companies (bench/results/worlds.json).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from company.industries import load_industry
from company.policy import Policy, load_policy
from retention.deciding.strategies import Strategy
from retention.deciding.strategy_files import load_strategies
from simulator import hazard
from simulator.calendar import Calendar
from simulator.hazard import expit, list_lasting
from simulator.parameters import load_parameters
from simulator.parameters.schema import CAUSES
from simulator.response import calibrate_strength, disturb, find_action
from simulator.story import START
from simulator.streams import generator
from simulator.world import World, create_world

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

LEVELS = {"low": 0.05, "middle": 0.10, "high": 0.20, "harmful": -0.56, "nothing": 0.0}
NO_ACTION = -1
LOOP, AFTER = 12, 36  # months of plans, and months after them without any, in which what was kept is counted
REASONS = ("service", "price", "product", "rival", "inactivity", "other")  # for CAUSES, and for none of them
FIRST_RIGHT, SECOND = 0.65, 0.80  # of the reasons given: the first is the true one, one of the others is
NEW_MONTHS = 2
RESULTS = Path(__file__).parent / "results" / "worlds.json"
CHANCE = 0.5
PARTS = 50  # of equally many customers, by which scores are calibrated


@dataclass(frozen=True, eq=False)
class Company:
    """One company over LOOP + AFTER months: what would happen to whom, and what is done about it by whom.

    Arrays are months x customers, `pains` months x causes x customers: the log-odds that each adds. `reliefs` are
    actions x causes, shares of a pain that an action takes away from a customer of mean `receptive`; `disturbs`
    actions x customers. `margin` is what a customer brings a month.
    """

    world: World
    policy: Policy
    strategies: tuple[Strategy, ...]
    log_odds: Floats
    pains: Floats
    reliefs: Floats
    disturbs: Floats
    draw: Floats
    cause: Ints
    complained: Flags
    renewing: Flags
    blur: "Blur"
    margin: Floats

    @property
    def months(self) -> int:
        """How many there are."""
        return len(self.draw)

    @property
    def horizon(self) -> int:
        """How many months ahead a customer's value looks."""
        return round(self.policy.clv.lifetime_years * 12)

    @cached_property
    def true_value(self) -> Floats:
        """What staying through each of the LOOP months truly brings, to the horizon, if nothing is done after it."""
        stays = 1 - expit(self.log_odds).astype(np.float64)
        ahead = [np.cumprod(stays[month + 1 : month + self.horizon], axis=0).sum(axis=0) for month in range(LOOP)]
        return np.asarray(self.margin * (1 + np.stack(ahead)))

    def first_day(self, month: int) -> date:
        """The day on which a month's plan is made."""
        return self.world.calendar.months[month].first

    @cached_property
    def ids(self) -> npt.NDArray[np.object_]:
        """One id per customer, of this seed alone, so that every seed draws another holdout."""
        names = [f"{self.world.seed}-{number:06d}" for number in range(self.world.size)]
        return np.array(names, dtype=object)

    def is_known(self, month: int) -> Flags:
        """Tell who had become a customer before a month."""
        return np.asarray(self.world.signed_day < self.world.calendar.months[month].offset)

    @cached_property
    def nothing_eased(self) -> Floats:
        """The relief of customers whom nobody ever contacted."""
        return np.zeros(self.pains.shape[1:], dtype=np.float32)

    def hurts(self, month: int, eased: Floats) -> Floats:
        """Return the log-odds of each cause that are left of a month's pain."""
        return np.asarray(np.maximum(self.pains[month] - eased, 0), dtype=np.float32)

    def odds(self, month: int, eased: Floats) -> Floats:
        """Return everybody's log-odds of leaving within a month in which nothing is done."""
        return np.asarray(self.log_odds[month] + (self.hurts(month, eased) - self.pains[month]).sum(axis=0))

    def taken(self, month: int, action: Ints, eased: Floats) -> Floats:
        """Return the log-odds of each cause that `action` (NO_ACTION for nothing) takes away."""
        reliefs = np.vstack([self.reliefs, np.zeros(len(CAUSES))])[action].T  # NO_ACTION is the last
        return np.asarray(reliefs * self.hurts(month, eased) * self.world.receptive, dtype=np.float32)

    def ease(self, month: int, action: Ints, eased: Floats) -> Floats:
        """Return what is still eased a month later; what goes beyond the pain that is there ends with the month."""
        reached = np.minimum(eased + self.taken(month, action, eased), self.pains[month])
        return np.asarray(reached * list_lasting(self.world)[:, None], dtype=np.float32)

    def chance(self, month: int, action: Ints, eased: Floats) -> Floats:
        """Return everybody's probability of leaving within a month under `action`."""
        disturbed = np.vstack([self.disturbs, np.zeros(self.world.size)])[action, np.arange(self.world.size)]
        soothed = self.taken(month, action, eased).sum(axis=0)
        return np.asarray(expit(self.odds(month, eased) + disturbed - soothed), dtype=np.float64)

    def best_action(self, month: int, eased: Floats) -> Ints:
        """Return the action that lowers each customer's probability of leaving most, NO_ACTION where none does."""
        every = [np.full(self.world.size, action) for action in range(len(self.reliefs))]
        changes = self.disturbs - np.stack([self.taken(month, each, eased).sum(axis=0) for each in every])
        return np.where(changes.min(axis=0) < 0, changes.argmin(axis=0), NO_ACTION).astype(np.int64)

    def action_of(self, strategy: Strategy) -> int:
        """Return the place of what a strategy does among the simulator's actions."""
        offers = [module.kind for module in strategy.modules]
        return list(self.world.parameters.actions).index(find_action(offers, channel=strategy.channel))

    def candidates(self, month: int, eased: Floats) -> pd.DataFrame:
        """Return everybody known, the left included, as the platform sees them, as decisions.candidates has them.

        `place` is each customer's own among all.
        """
        rows = np.flatnonzero(self.is_known(month))
        people = pd.DataFrame({"customer_id": self.ids[rows], "place": rows, "as_of": self.first_day(month)})
        score = self.blur.score(month, self.odds(month, eased))[rows]
        lifetime = 1 / max(float(score.mean()), 1e-6)
        value = self.margin[rows] * lifetime * (1 - np.exp(-self.horizon / lifetime))
        tier = _share_out(score, {"high": 0.05, "medium": 0.15}, rest="low")
        tiers = self.policy.value_tiers
        value_tier = _share_out(value, {"platinum": tiers.platinum, "gold": tiers.gold}, rest="normal")
        age = month - self.world.signed_month[rows]
        return people.assign(
            probability=score, score=100 * score, tier=tier, level=tier, alert_level="none",
            **self._reasons(month, rows), value_tier=value_tier, money_at_risk=score * value,
            model_version="1", triggers=self._triggers(month, rows), tags="", ticket_topic=None,
            lifecycle_stage=np.where(age <= NEW_MONTHS, "new", "active"),
            kind=np.where(self.world.is_company[rows], "company", "person"),
            allowed_channels=",".join(sorted(self.policy.contact_costs)), service_channels="", return_rate=None,
        )  # fmt: skip

    def _reasons(self, month: int, rows: Ints) -> dict[str, npt.NDArray[np.object_]]:
        """Return the reasons given: what hurts most, as often right as the platform's reasons are."""
        rng = generator(self.world.seed, "reasons", month)
        names = np.array(REASONS, dtype=object)
        true = names[self.cause[month, rows]]
        other = names[rng.integers(0, len(names), len(rows))]
        drawn = rng.random(len(rows))
        first = np.where(drawn < FIRST_RIGHT, true, other)
        second = np.where(drawn < SECOND, true, names[rng.integers(0, len(names), len(rows))])
        return {"main_reason": first, "reasons": np.array([f"{a},{b}" for a, b in zip(first, second, strict=True)])}

    def _triggers(self, month: int, rows: Ints) -> npt.NDArray[np.object_]:
        closed = self.complained[max(month - 1, 0), rows]
        due = self.renewing[month, rows]
        texts = np.array(["", "complaint_closed", "renewal_near", "complaint_closed,renewal_near"], dtype=object)
        return np.asarray(texts[closed.astype(int) + 2 * due.astype(int)])


def _share_out(values: Floats, shares: Mapping[str, float], *, rest: str) -> npt.NDArray[np.object_]:
    """Name the highest values by the first share, the next by the second, and all others `rest`."""
    place = (len(values) - 1 - np.argsort(np.argsort(values, kind="stable"), kind="stable") + 0.5) / max(len(values), 1)
    ends = np.cumsum(list(shares.values()))
    return np.select([place < end for end in ends], list(shares), rest).astype(object)


def make_company(industry: str, level: str, *, seed: int, customers: int) -> Company:
    """Live through a company's months without actions, and keep what every action would have changed."""
    parameters = load_parameters(industry)
    calendar = Calendar(start=START, count=LOOP + AFTER, timezone=parameters.timezone)
    world = create_world(parameters, calendar, customers=customers, seed=seed)
    state = hazard.burn_in(world)
    intercept = hazard.calibrate(world, state)
    strength = calibrate_strength(world, state, intercept=intercept, reduction=LEVELS[level])
    names = ("log_odds", "pains", "cause", "draw", "complained", "renewing")
    rows: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for month in calendar.months:
        risk = hazard.assess(world, state, month=month.index, intercept=intercept)
        rows["log_odds"].append(risk.log_odds)
        rows["pains"].append(risk.contributions)
        rows["cause"].append(risk.cause)
        rows["renewing"].append(hazard.is_renewal(world, month.index))
        rows["draw"].append(generator(seed, "leaving", month.index).random(world.size, dtype=np.float32))
        rows["complained"].append(
            hazard.endure(world, state, generator(seed, "experience", month.index), month=month.index) > 0
        )
    arrays = {name: np.stack(each) for name, each in rows.items()}
    library = load_industry(industry)
    policy = load_policy(library.policy)
    return Company(
        world=world, policy=policy, margin=_margin(world, policy), blur=_blur(industry, arrays["log_odds"], seed),
        strategies=load_strategies(library.path, policy=policy),
        reliefs=np.array([[offer.relief.get(cause, 0.0) for cause in CAUSES] for offer in parameters.actions.values()])
        * strength.relief,
        disturbs=np.stack([disturb(world, name, strength=strength) for name in parameters.actions]), **arrays,
    )  # fmt: skip


def _margin(world: World, policy: Policy) -> Floats:
    """Return what a month of each customer brings: fees of plans and seats, and the margin of what is bought."""
    parameters = world.parameters
    bought = np.zeros(world.size)
    if parameters.orders.kind == "baskets":
        bought = (world.order_rate * parameters.orders.basket * policy.clv.revenue_share).astype(np.float64)
    fees = np.zeros(world.size)
    if parameters.contracts:
        prices = np.array([plan.price for plan in parameters.contracts.plans.values()], dtype=np.float64)
        fees = (prices[world.plan] * world.seats).astype(np.float64)
    return np.asarray((bought + fees) * policy.clv.gross_margin, dtype=np.float64)


# --------------------------------------------------------------------------------------------- what the platform sees


@dataclass(frozen=True, eq=False)
class Blur:
    """How scores see log-odds: with `noise` (months x customers), then as the `rates` of `places` in that ranking."""

    noise: Floats
    places: Floats
    rates: Floats
    factor: float

    def score(self, month: int, odds: Floats) -> Floats:
        """Return the scores of customers with these log-odds of leaving in a month."""
        seen = np.interp(odds + self.noise[month], self.places, self.rates)
        return np.asarray(np.clip(np.clip(seen, 1e-4, 1 - 1e-4) * self.factor, 1e-4, 1 - 1e-4))


def _blur(industry: str, log_odds: Floats, seed: int) -> Blur:
    """Return a blur by which scores rank and err as the real models do, at the customers' untouched log-odds."""
    reached = read_reached(industry)
    rng = generator(seed, "scores")
    own = rng.standard_normal(log_odds.shape[1])
    noise = np.sqrt(0.5) * own + np.sqrt(0.5) * rng.standard_normal(log_odds.shape)
    truth = expit(log_odds[0]).astype(np.float64)
    best = _auc(truth, truth)
    wanted = CHANCE + (best - CHANCE) * reached["share"]
    low, high = 0.0, 5.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if _auc(log_odds[0] + middle * noise[0], truth) > wanted else (low, middle)
    return _recalibrate(log_odds, low * noise, truth, ece=reached["ece"])


def read_reached(industry: str) -> dict[str, float]:
    """Return what the real models reach: their share of what a perfect ranking gains over chance, and their error.

    The error is that of calibration beyond the oracle's own, which is what chance alone shows on as many rows.
    """
    figures = json.loads(RESULTS.read_text())

    def mean(name: str) -> float:
        return float(np.mean([each["value"] for each in figures if each["name"] == f"{industry}: {name}"]))

    return {
        "share": (mean("auc") - CHANCE) / (mean("auc of the oracle") - CHANCE),
        "ece": max(mean("ece") - mean("ece of the oracle"), 0.0),
    }


def _auc(score: Floats, chance: Floats) -> float:
    """Return the expected ROC-AUC of a score where each row churns with its chance."""
    order = np.argsort(score, kind="stable")
    churns, stays = chance[order], 1 - chance[order]
    below = np.cumsum(stays) - stays / 2
    return float((churns * below).sum() / (churns.sum() * stays.sum()))


def _recalibrate(log_odds: Floats, noise: Floats, truth: Floats, *, ece: float) -> Blur:
    """Return each score as the mean true probability of its place in the ranking, raised until it lies `ece` above.

    Errors upward are those that cost money.
    """
    seen = log_odds[0] + noise[0]
    parts = [(seen[part].mean(), truth[part].mean()) for part in np.array_split(np.argsort(seen, kind="stable"), PARTS)]
    places, means = np.array(parts).T
    blur = Blur(noise=noise, places=places, rates=np.maximum.accumulate(means), factor=1.0)
    return replace(blur, factor=1 + ece / float(blur.score(0, log_odds[0]).mean()))
