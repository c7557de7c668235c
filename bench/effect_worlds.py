"""Companies whose true effects are known, as pure functions: who leaves, and what each strategy does to each group.

A customer leaves within the month with a probability of its own. A strategy multiplies that by 1 - effect of the
customer's group. Levels are those of randomised trials, and were fixed before anything was measured here:

- middle: about 11 % fewer leave (P. Godinho de Matos, P. Ferreira and R. Belo, "Target the Ego or Target the Group:
  Evidence from a Randomized Experiment in Proactive Churn Management", Marketing Science 37, 2018: 17.2 % to 15.3 %);
- high: about 20 % fewer;
- harmful: about 56 % more (E. Ascarza, R. Iyengar and M. Schleicher, "The Perils of Proactive Churn Prevention Using
  Plan Recommendations", Journal of Marketing Research 53, 2016: 10.0 % of the contacted left, 6.4 % of the others).

In the middle and the high world two of nine groups are sleeping dogs: what the trial of 2016 found holds for them.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd

from retention.deciding.strategies import Strategy

Floats = npt.NDArray[np.float64]

LEVELS = {"middle": 0.11, "high": 0.20, "harmful": -0.56}
HARM = -0.56
DECLARED = 0.11  # of every strategy in every world: what the trial of 2018 lets a company expect
BETWEEN_STRATEGIES, BETWEEN_GROUPS, OWN = 0.05, 0.03, 0.03  # standard deviations of the true effects
TIERS = {"high": (0.12, (8, 5)), "medium": (0.23, (4, 10)), "low": (0.65, (1.5, 20))}  # share, beta of the probability
VALUES = {"platinum": (0.1, 2000.0), "gold": (0.3, 600.0), "normal": (0.6, 150.0)}  # share, median value
CHANNELS = {
    "call": ("phone", 0.0),
    "coupon": ("email", 6.0),
    "gift": ("mail", 3.0),
    "message": ("push", 0.0),
    "points": ("sms", 1.5),
}
DOGS = 2


@dataclass(frozen=True)
class World:
    """The truth: `effects[strategy, group]`, and which groups contact drives away whatever it is."""

    name: str
    strategies: tuple[str, ...]
    groups: tuple[str, ...]
    effects: Floats
    dogs: frozenset[str]

    def effects_of(self, groups: npt.NDArray[np.object_]) -> Floats:
        """Return rows x strategies."""
        place = {group: number for number, group in enumerate(self.groups)}
        return self.effects[:, [place[group] for group in groups]].T


def make_world(name: str, *, seed: int) -> World:
    """Draw the true effects of a world."""
    random = np.random.default_rng(seed)
    strategies, groups = tuple(CHANNELS), tuple(f"{value}, {tier}" for value in VALUES for tier in TIERS)
    size = (len(strategies), len(groups))
    effects = (
        LEVELS[name]
        + random.normal(0, BETWEEN_STRATEGIES, (size[0], 1))
        + random.normal(0, BETWEEN_GROUPS, (1, size[1]))
    )
    effects = effects + random.normal(0, OWN, size)
    dogs = random.choice(len(groups), DOGS, replace=False) if name != "harmful" else np.arange(len(groups))
    if name != "harmful":
        effects[:, dogs] += HARM - LEVELS[name]
    return World(name, strategies, groups, effects, frozenset(groups[place] for place in dogs))


def draw_customers(count: int, *, month: date, random: np.random.Generator) -> pd.DataFrame:
    """Return the candidates of a month, as decisions.candidates has them; every month brings others."""
    tier = random.choice(list(TIERS), count, p=[share for share, _ in TIERS.values()])
    value_tier = random.choice(list(VALUES), count, p=[share for share, _ in VALUES.values()])
    probability = np.empty(count)
    for name, (_, shape) in TIERS.items():
        probability[tier == name] = random.beta(*shape, size=int((tier == name).sum()))
    value = np.array([VALUES[name][1] for name in value_tier]) * random.lognormal(0, 0.5, count)
    return pd.DataFrame(
        {
            "customer_id": [f"{month:%y%m}-{number:06d}" for number in range(count)],
            "as_of": month, "probability": probability, "score": 100 * probability, "tier": tier, "level": tier,
            "alert_level": "none", "main_reason": "inactivity", "reasons": "inactivity", "value_tier": value_tier,
            "money_at_risk": probability * value, "model_version": "1", "triggers": "", "tags": "",
            "ticket_topic": None,
            "lifecycle_stage": "active", "kind": "person",
            "allowed_channels": ",".join(channel for channel, _ in CHANNELS.values()), "service_channels": "",
            "return_rate": None,
        }
    )  # fmt: skip


def list_strategies() -> list[Strategy]:
    """Return the library of every world: five channels, one declared effect, no group that is favoured."""
    return [
        Strategy.model_validate(
            {
                "id": name, "name": {"en": name, "zh": "方案"}, "tiers": ["high", "medium", "low"], "channel": channel,
                "valid_days": 14, "modules": [{"kind": "coupon", "amount": amount}],
                "message": {"en": name, "zh": "方案"},
                "effect": {
                    "value": DECLARED, "low": DECLARED - 0.2, "high": DECLARED + 0.2, "basis": "cited",
                    "source": "Godinho de Matos et al. 2018",
                },
            }
        )
        for name, (channel, amount) in CHANNELS.items()
    ]  # fmt: skip


def live_through(world: World, plan: pd.DataFrame, *, random: np.random.Generator) -> pd.DataFrame:
    """Return the decisions of a plan with what came of them, as outcomes.treatment_outcomes has them."""
    decided = plan.loc[plan["arm"] != "none"].reset_index(drop=True)
    effects = world.effects_of(decided["effect_group"].to_numpy(dtype=object))
    place = {name: number for number, name in enumerate(world.strategies)}
    given = decided["strategy_id"].map(place).to_numpy(dtype=np.int64)
    effect = np.where(decided["arm"].eq("treated"), effects[np.arange(len(decided)), given], 0.0)
    leaving = np.clip(decided["probability"].to_numpy(dtype=float) * (1 - effect), 0, 1)
    churned = random.random(len(decided)) < leaving
    worth = decided["money_at_risk"] / decided["probability"]
    return decided.assign(churned=churned, retained=~churned, value_from_now=worth, is_mature=True)
