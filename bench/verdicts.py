"""Are verdicts right: false alarms where nothing works, power where something does, and what the score saves.

`make bench TOPIC=verdicts` writes bench/results/verdicts.json. In every run decisions, a tenth of them held out, mature
month by month at a rate that brings the full information in about twelve months; `Trial` looks each month until its
verdict.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from bench.figures import Figure, at_least, at_most, record
from company.policy import Policy, load_policy
from retention.deciding.allocation import Bools, Floats, Ints
from retention.measuring.estimates import Estimate, compare
from retention.measuring.sequential import find_bounds
from retention.measuring.trials import HARMS, LOOKS_A_YEAR, WORKS, Trial, inflate

COMMAND = "make bench TOPIC=verdicts"
SEED = 0
DAY = date(2025, 1, 1)
RUNS = 2000
MOST_ALARMS, MOST_POWER_LOST = 0.05, 0.03
CLAIMS = {WORKS, HARMS}
HELD_OUT = 0.1
MONTHS = LOOKS_A_YEAR + 4  # some have to wait: what they saw varied more than was planned for
ALIKE = 0.5  # correlation of two decisions of one customer, where customers are decided about repeatedly


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A world of one strategy: retention of the untreated, effect, and how often one customer is decided about."""

    name: str
    retention: float = 0.6
    effect: float = 0.0
    decisions_each: int = 1
    spread: float = 0.0  # of the probability of leaving over customers, known at the decision


@dataclass(frozen=True, kw_only=True)
class Run:
    """The decisions of a trial, in the order in which they mature."""

    stayed: Floats
    is_treated: Bools
    customers: Ints
    probability: Floats

    def look(self, share: float, *, adjusted: bool) -> Estimate | None:
        """Return the estimate from the first decisions, as a `share` of those of twelve months."""
        part = slice(0, int(share * len(self.stayed) * LOOKS_A_YEAR / MONTHS))
        before = self.probability[part] if adjusted else None
        return compare(self.stayed[part], self.is_treated[part], self.customers[part], before=before)


@dataclass(frozen=True, kw_only=True)
class Result:
    """Whether looks claimed an effect, and after how many; what one test and twelve naive looks would have claimed."""

    claims: bool
    looks: int
    single: bool
    naive: bool
    band_fails: bool


def draw_run(setting: Setting, policy: Policy, random: np.random.Generator) -> Run:
    """Return a run of `MONTHS` whose first twelve bring the full information, by chance a little less or more."""
    sample = sum(Trial.begin(policy.outcomes).needed_sample(setting.retention, holdout_share=HELD_OUT))
    each, leaving = setting.decisions_each, 1 - setting.retention
    count = round(sample * MONTHS / LOOKS_A_YEAR * (1 + (each - 1) * ALIKE) / each)
    held = random.random(count) < HELD_OUT
    tendency = leaving + setting.spread * random.uniform(-1, 1, count)
    if each > 1:
        tendency = random.beta(leaving * (1 / ALIKE - 1), setting.retention * (1 / ALIKE - 1), count)
    customers = random.permutation(np.tile(np.arange(count), each))
    is_treated = ~held[customers]
    leaves = random.random(len(customers)) < tendency[customers] - setting.effect * is_treated
    return Run(
        stayed=(~leaves).astype(float), is_treated=is_treated, customers=customers, probability=tendency[customers]
    )


def live_through(setting: Setting, policy: Policy, random: np.random.Generator) -> Result:
    """Look each month, and once at the sample that one test takes."""
    run, trial = draw_run(setting, policy, random), Trial.begin(policy.outcomes)
    naive = band_fails = False
    for month in range(1, MONTHS + 1):
        found = run.look(month / LOOKS_A_YEAR, adjusted=setting.spread > 0)
        if found is None:
            continue
        naive |= month <= LOOKS_A_YEAR and abs(found.value) > 1.959964 * found.error
        band_fails |= abs(found.value - setting.effect) > trial.reach_of_band(found) * found.error
        if trial.is_look(found):
            trial = trial.look(found, DAY)
    plain = run.look(1 / inflate(policy.outcomes), adjusted=False)
    single = plain is not None and abs(plain.value) > 1.959964 * plain.error
    return Result(
        claims=trial.verdict in CLAIMS, looks=len(trial.fractions), single=single, naive=naive, band_fails=band_fails
    )


def measure(setting: Setting, policy: Policy) -> dict[str, float]:
    """Return the shares over all runs of a setting."""
    random = np.random.default_rng(SEED)
    runs = [live_through(setting, policy, random) for _ in range(RUNS)]
    return {name: float(np.mean([getattr(run, name) for run in runs])) for name in Result.__dataclass_fields__}


NOTHING = (
    Setting(name="retention 60 %"),
    Setting(name="retention 90 %", retention=0.9),
    Setting(name="retention 60 %, adjusted by the score", spread=0.35),
    Setting(name="every customer decided about four times", decisions_each=4),
)
WORKING = (
    Setting(name="retention 60 %", effect=0.05),
    Setting(name="retention 90 %", retention=0.9, effect=0.05),
)
SCORED = Setting(name="retention 60 %, adjusted by the score", effect=0.05, spread=0.35)


def figures() -> Iterator[Figure]:
    """Measure every setting."""
    policy = load_policy()
    common: dict[str, Any] = {
        "size": f"{RUNS} runs of monthly looks, 12 to the full information",
        "seed": SEED,
        "command": COMMAND,
        "unit": "",
    }
    for setting in NOTHING:
        found = measure(setting, policy)
        reference = f"naive looks at 95 %: {found['naive']:.3f}; one look: {found['single']:.3f}"
        yield Figure(
            f"false alarms, {setting.name}", **at_most(found["claims"], MOST_ALARMS), reference=reference, **common
        )
        yield Figure(
            f"always-valid band ever misses the truth, {setting.name}",
            **at_most(found["band_fails"], MOST_ALARMS), reference="an interval of 95 % each month misses it as often "
            f"as naive looks raise an alarm: {found['naive']:.3f}", **common,
        )  # fmt: skip
    for setting in WORKING:
        found = measure(setting, policy)
        yield Figure(
            f"power given up against one test of a fixed sample, {setting.name}, effect 5 points",
            **at_most(found["single"] - found["claims"], MOST_POWER_LOST),
            reference=f"looks {found['claims']:.3f}, one test {found['single']:.3f}; "
            f"looks until the verdict: {found['looks']:.1f} ", **common,
        )  # fmt: skip
    found = measure(SCORED, policy)
    yield Figure(
        f"power with the score, {SCORED.name}, effect 5 points", **at_least(found["claims"], found["single"]),
        reference=f"one test without the score: {found['single']:.3f}; looks until the verdict: "
        f"{found['looks']:.1f} ", **common,
    )  # fmt: skip
    yield from _against_published(common)


def _against_published(common: dict[str, Any]) -> Iterator[Figure]:
    bounds = find_bounds((0.2, 0.4, 0.6, 0.8, 1.0), confidence=0.95)
    published = (4.8769, 3.3570, 2.6803, 2.2898, 2.0310)
    distance = max(abs(ours - theirs) for ours, theirs in zip(bounds, published, strict=True))
    yield Figure(
        "bounds of five looks: largest distance from those of the R package gsDesign", **at_most(distance, 1e-4),
        reference="gsDesign(k=5, test.type=2, alpha=0.025, sfu=sfLDOF)", **(common | {"size": "5 looks"}),
    )  # fmt: skip


if __name__ == "__main__":
    record("verdicts", figures())
