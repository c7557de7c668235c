"""How well changes of customers' days are found: written into simulated companies after what the detector learned from.

`make bench TOPIC=anomaly` writes bench/results/anomaly.json; `python -m bench.anomaly [--industry NAME] [--seeds 0 1 2]
[--customers N]` a part of it. The detector is learned as of AHEAD days before the last one. In those days changes are
written into half of the customers who, by the world's truth, do not leave; the others are the quiet ones. The weekday
profile alone is given a line by the quiet customers of the very days it is judged on, which no night could know. The
ranking is that of the published score, alarms are crossings of the lines; `bench/anomaly_bound.py` bounds it above.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from bench.anomaly_bound import bound_auc, expect, read_rates
from bench.figures import Figure, at_least, at_most, record, without_bar
from company.policy import load_policy
from ml.anomaly.detector import DAYS_LEARNED, Detector, Numbers, count_crossings, find_largest_fall, find_line, learn
from ml.anomaly.detector import measure_auc as auc
from ml.anomaly.injection import KINDS, find_quiet, inject
from ml.anomaly.profile import measure
from ml.anomaly.series import Places, Series
from simulator.behaviour.marketing import run_campaigns
from simulator.behaviour.orders import FAILED, place_orders
from simulator.behaviour.presence import Columns
from simulator.behaviour.usage import read_meters
from simulator.behaviour.visits import TYPES, browse
from simulator.calendar import DAY_MS, Month
from simulator.hazard import Risk, State
from simulator.parameters import INDUSTRIES, load_parameters
from simulator.story import Lived, Story, Untouched

RULES = load_policy({}).anomaly
AS_OF = date(2026, 3, 1)
MONTHS, AHEAD = 14, 56
COMPARED_AT = 28  # days after the change at which the ranking is judged
LEVELS = ((0, 3), (3, 6), (6, 12), (12, 29))  # usual active days in 28
FEWEST = 10  # customers on either side of an AUC
NEVER = AHEAD + 1  # days to an alert that did not come


class Recorder(Story):
    """A story that keeps what customers did per day instead of writing it into source systems."""

    acts: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]]
    rates: dict[str, Numbers]  # of the days that are compared, once something changed
    left: np.ndarray

    def _act(self, state: State, month: Month, risk: Risk, lived: Lived, base: Untouched | None) -> None:
        del month, base  # a presence has its month, and nobody is contacted
        presence = lived.presence
        last = self.world.calendar.days
        for name, each in read_rates(presence, days=range(last - AHEAD, last - AHEAD + COMPARED_AT)).items():
            self.rates[name] = self.rates.get(name, 0.0) + each
        orders, _ = place_orders(presence, state)
        if self.world.parameters.churn.definition == "inactivity":
            self._watch(risk, presence, orders)
        if self.world.parameters.orders.kind == "baskets":
            self._keep("orders", orders, orders["status"] != FAILED)
        meters = read_meters(presence)
        for place, metric in enumerate(self.world.parameters.usage):
            if metric != "balance":
                self._keep(metric, meters, meters["metric"] == place)
        events = browse(presence, orders)
        for name, kind in (("logins", "login"), ("feature_uses", "feature")):
            self._keep(name, events, events["type"] == TYPES.index(kind))
        day = (events["at"] - self.world.calendar.origin_ms) // DAY_MS
        _, firsts = np.unique(np.stack([events["customer"], day, events["session"]]), axis=1, return_index=True)
        self._keep("visits", events, firsts)
        _, _, state.touch = run_campaigns(presence, risk)
        self.left = state.left_day

    def _keep(self, name: str, rows: Columns, which: np.ndarray) -> None:
        days = (rows["at"][which] - self.world.calendar.origin_ms) // DAY_MS
        values = rows["value"][which] if "value" in rows else np.ones(len(days))
        self.acts.setdefault(name, []).append((rows["customer"][which], days.astype(np.intp), values))


@dataclass(frozen=True, kw_only=True)
class Company:
    """Days of a simulated company: those before the changes, all of them, and who leaves in none."""

    before: Series
    after: Series
    stays: Places
    rates: dict[str, Numbers]


def simulate(industry: str, *, seed: int, customers: int) -> Company:
    """Return a company that was never written to disk."""
    with tempfile.TemporaryDirectory() as folder:
        story = Recorder(load_parameters(industry), Path(folder), customers=customers, months=MONTHS, seed=seed)
        story.acts, story.rates = {}, {}
        story.write()
    last, names = story.world.calendar.days, sorted(story.acts)
    counts = np.zeros((customers, len(names), last), np.float32)
    for place, name in enumerate(names):
        for who, day, value in story.acts[name]:
            fits = (day >= 0) & (day < last)
            np.add.at(counts, (who[fits], place, day[fits]), value[fits])
    series = Series(
        as_of=AS_OF,
        customers=np.arange(customers).astype(str),
        indicators=tuple(names),
        counts=counts,
        known_days=np.clip(last - np.maximum(story.world.signed_day, 0), 0, last).astype(np.intp),
    )
    stays = np.flatnonzero(story.left >= last)
    return Company(before=_cut(series.until(AHEAD)), after=_cut(series), stays=stays, rates=story.rates)


def _cut(series: Series) -> Series:
    known = np.minimum(series.known_days, DAYS_LEARNED)
    return replace(series, counts=series.counts[:, :, -DAYS_LEARNED:], known_days=known)


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Of the days since a change: scores, the same less lines, and largest falls of the profile (days x customers)."""

    scores: Numbers
    above: Numbers
    falls: Numbers


def watch(detector: Detector, series: Series, *, days: int = AHEAD) -> Watch:
    """Return what each night since the change would have found."""
    scores, above, falls = [], [], []
    for back in range(days - 1, -1, -1):
        past = series.until(back)
        deviations = measure(past, least_days=RULES.least_days)
        scores.append(detector.score(past, deviations))
        above.append(scores[-1] - detector.draw_lines(deviations))
        falls.append(find_largest_fall(deviations))
    return Watch(scores=np.array(scores), above=np.array(above), falls=np.array(falls))


def figure(name: str, value: dict[str, float | str | bool | None], *, unit: str, size: int, seed: int) -> Figure:
    """Return a figure of this benchmark."""
    return Figure(name=name, unit=unit, size=f"{size} customers", seed=seed, command="python -m bench.anomaly", **value)  # type: ignore[arg-type]


def measure_company(industry: str, *, seed: int, customers: int) -> Iterator[Figure]:
    """Yield the figures of one company."""
    company, begun = simulate(industry, seed=seed, customers=customers), time.process_time()
    detector = learn(company.before, RULES, seed=seed)
    spent = time.process_time() - begun
    if detector is None:
        return
    now = measure(company.after, least_days=RULES.least_days)
    usual, rng = now.usual.max(axis=1), np.random.default_rng(1000 + seed)
    quiet = rng.permutation(np.intersect1d(find_quiet(company.after, days=AHEAD), company.stays))
    changing, still = quiet[::2], quiet[1::2]
    watched = still[now.is_watched[still]]
    begin = watch(detector, company.after)
    line = find_line(begin.falls[:, watched], rate=RULES.weekly_false_alarms)
    alarms = count_crossings(begin.above[:, watched], 0.0) / len(watched) / ((AHEAD - 1) / 7)

    def give(name: str, value: dict[str, float | str | bool | None], unit: str = "AUC") -> Figure:
        return figure(f"{industry}: {name}", value, unit=unit, size=customers, seed=seed)

    yield give("false alarms a week", at_most(alarms, RULES.weekly_false_alarms), "share")
    yield give("watched of those who stay", without_bar(float(now.is_watched[quiet].mean())), "share")
    yield give("processor time to learn", without_bar(spent), "seconds")
    for name, accuracy in detector.accuracies.items():
        used = " (used)" if name in detector.used else ""
        yield give(f"AUC at training, {name}{used}", without_bar(accuracy))
    then = company.after.until(AHEAD - COMPARED_AT)
    expected = expect(then, company.rates, watched, days=COMPARED_AT)
    residual = (then.counts[:, :, -COMPARED_AT:].sum(axis=2) - expected)[watched]
    spread = np.maximum((residual**2 / expected[watched]).mean(axis=0), 1e-3)
    found, bounds, levels = [], [], {level: [] for level in LEVELS}  # type: ignore[var-annotated]
    for kind in KINDS:
        written, who = inject(company.after, kind, rows=changing, days=AHEAD, rng=rng)
        seen = watch(detector, written)
        mine = who[now.is_watched[who]]
        found.append(auc(seen.scores[COMPARED_AT - 1, mine], seen.scores[COMPARED_AT - 1, watched]))
        yield give(f"AUC {COMPARED_AT} days after a {kind}", at_least(found[-1], 0.95))
        profile = auc(seen.falls[COMPARED_AT - 1, mine], seen.falls[COMPARED_AT - 1, watched])
        yield give(f"AUC {COMPARED_AT} days after a {kind}, profile alone", without_bar(profile))
        less_line = auc(seen.above[COMPARED_AT - 1, mine], seen.above[COMPARED_AT - 1, watched])
        yield give(f"AUC {COMPARED_AT} days after a {kind}, of the score less its line", without_bar(less_line))
        past = written.until(AHEAD - COMPARED_AT)
        bounds.append(bound_auc(kind, past, mine=mine, quiet=watched, expected=expected, spread=spread))
        yield give(f"AUC {COMPARED_AT} days after a {kind}, with the true rates, kind and day", without_bar(bounds[-1]))
        for level in LEVELS:
            of_level = [rows[(usual[rows] >= level[0]) & (usual[rows] < level[1])] for rows in (who, still)]
            if min(map(len, of_level)) >= FEWEST:
                levels[level].append(auc(*(seen.scores[COMPARED_AT - 1, rows] for rows in of_level)))
        for name, above in (("combination", seen.above >= 0), ("profile alone", seen.falls >= line)):
            days = np.where(above.any(axis=0), above.argmax(axis=0) + 1, NEVER)[mine]
            yield give(f"median days from a {kind} to the alert, {name}", without_bar(float(np.median(days))), "days")
            share = float((days < NEVER).mean())
            yield give(f"alerted within {AHEAD} days of a {kind}, {name}", without_bar(share), "share")
    yield give(f"AUC {COMPARED_AT} days after a change", at_least(float(np.mean(found)), 0.95))
    yield give(
        f"AUC {COMPARED_AT} days after a change, with the true rates, kind and day", without_bar(float(np.mean(bounds)))
    )
    for (low, high), each in levels.items():
        if each:
            value = without_bar(float(np.mean(each)))
            yield give(f"AUC {COMPARED_AT} days after a change, {low} to {high - 1} active days in 28", value)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--industry", choices=INDUSTRIES, help="one of them instead of all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--customers", type=int, default=1_000)
    asked = parser.parse_args()
    for industry in [asked.industry] if asked.industry else INDUSTRIES:
        for seed in asked.seeds:
            record("anomaly", measure_company(industry, seed=seed, customers=asked.customers))


if __name__ == "__main__":
    main()
