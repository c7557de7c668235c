"""The detector: learned once a month on changes written into the company's own quiet customers, used every night.

The profile sums up each customer's deviations, the evidence all that they do together. Isolation forest and LSTM are
learned next to them, and each is used only where it parts changed customers from quiet ones better than the profile's
largest fall alone. A logistic regression on the kinds of change weighs what is used. The line from which a customer
counts as anomalous is set per level of activity, so that customers who then went on as usual cross it no more often
than the policy allows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from ml.anomaly.evidence import measure_evidence
from ml.anomaly.forest import Forest
from ml.anomaly.injection import KINDS, find_quiet, inject
from ml.anomaly.profile import Deviations, measure
from ml.anomaly.recurrent import Recurrent
from ml.anomaly.series import DAYS, Places, Series

if TYPE_CHECKING:
    from company.policy.monitoring import Anomaly

FORM = 2  # of the states: another one's weights are for other parts
_PLAIN = ("accuracies", "centre", "scale", "kinds", "weights", "intercepts", "edges")
Numbers = npt.NDArray[np.float64]
PROFILE, FOREST, LSTM, COMBINATION = "profile", "forest", "lstm", "combination"
LEARNED_FROM = 2_000  # customers drawn
AGES = (7, 14, 28, 56)  # days since the changes that are written in
COMPARED_AT = 28  # of them, at which detectors are compared
LOOKED_BACK = 28  # days whose scores set the lines; the PROVEN days after them show who went on as usual
PROVEN = 28
DAYS_LEARNED = DAYS + LOOKED_BACK + PROVEN
FEWEST = 100  # watched customers below which no line is set, and for each level of activity
_LEVELS = 4
_SAFETY = 0.6  # of the allowed alarms that the days looked back at may hold, the rest being left to chance
_PENALTY = 0.1  # inverse strength of the logistic regression


@dataclass(frozen=True, kw_only=True)
class Detector:
    """What was learned: which detectors are used, how well each did, the weights, and the lines by level of activity.

    `weights` has a row for quiet customers and one per kind of change. `accuracies` are ROC-AUCs on held-back quiet
    customers, half of them changed COMPARED_AT days before. `edges` part the levels of activity; `lines` has one more
    than them, infinite where there are too few customers.
    """

    used: tuple[str, ...]
    accuracies: dict[str, float]
    centre: list[float]
    scale: list[float]
    kinds: list[str]
    weights: list[list[float]]
    intercepts: list[float]
    edges: list[float]
    lines: list[float]
    forest: Forest | None = None
    network: Recurrent | None = None

    def score(self, series: Series, deviations: Deviations) -> Numbers:
        """Return the log-odds that a customer has changed in any way, against one who has not."""
        odds = self.score_kinds(series, deviations)
        return np.asarray(np.logaddexp.reduce(odds, axis=1))

    def score_kinds(self, series: Series, deviations: Deviations) -> Numbers:
        """Return the log-odds of each kind of change against none: customers x kinds."""
        parts = _gather(series, deviations, forest=self.forest, network=self.network)
        sums = (parts - np.array(self.centre)) / np.array(self.scale) @ np.array(self.weights).T + self.intercepts
        return np.asarray(sums[:, 1:] - sums[:, :1])

    def draw_lines(self, deviations: Deviations) -> Numbers:
        """Return the line of each customer."""
        levels = np.searchsorted(self.edges, find_activity(deviations), side="right")
        return np.asarray(self.lines)[levels]

    def state(self) -> dict[str, Any]:
        """Return all there is, as JSON can hold it."""
        return {
            "form": FORM,
            **{name: getattr(self, name) for name in _PLAIN},
            "used": list(self.used),
            "lines": [None if np.isinf(line) else line for line in self.lines],
            "forest": self.forest and {"scale": self.forest.scale, "trees": self.forest.trees},
            "network": self.network and {name: each.tolist() for name, each in self.network.weights.items()},
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `state`."""
        forest, network = state["forest"], state["network"]
        rest = {name: state[name] for name in _PLAIN}
        return cls(
            **rest,
            used=tuple(state["used"]),
            lines=[np.inf if line is None else line for line in state["lines"]],
            forest=forest and Forest(**forest),
            network=network and Recurrent({name: np.array(each) for name, each in network.items()}),
        )


def learn(series: Series, rules: "Anomaly", *, seed: int) -> Detector | None:
    """Learn from the days before `series.as_of`; None where fewer than FEWEST customers are quiet enough to learn from.

    `series` reaches DAYS_LEARNED back. The same series and seed give the same detector.
    """
    rng = np.random.default_rng(seed)
    drawn = series.take(np.sort(rng.permutation(len(series.customers))[:LEARNED_FROM]))
    now = measure(drawn, least_days=rules.least_days)
    quiet = rng.permutation([row for row in find_quiet(drawn, days=COMPARED_AT) if now.is_watched[row]]).astype(np.intp)
    if len(quiet) < FEWEST:
        return None
    learned, held = quiet[::2], quiet[1::2]
    forest = Forest.learn(now.values[learned], seed=seed)
    network = Recurrent.learn(drawn.take(learned), seed=seed)
    accuracies = _compare(drawn, held, rules, forest=forest, network=network, rng=rng)
    used = tuple(name for name in (FOREST, LSTM) if accuracies[name] > accuracies[PROFILE])
    kept_forest, kept_network = forest if FOREST in used else None, network if LSTM in used else None
    parts, changed = _write_examples(drawn, learned, rules, rng=rng, forest=kept_forest, network=kept_network)
    centre, scale = parts.mean(axis=0), np.maximum(parts.std(axis=0), 1e-6)
    weights, intercepts = _weigh((parts - centre) / scale, changed, seed=seed)
    detector = Detector(
        used=(PROFILE, *used),
        accuracies=accuracies,
        centre=centre.tolist(),
        scale=scale.tolist(),
        kinds=[list(KINDS)[place - 1] for place in np.unique(changed) if place],
        weights=weights.tolist(),
        intercepts=intercepts.tolist(),
        edges=[],
        lines=[np.inf],
        forest=kept_forest,
        network=kept_network,
    )
    return _calibrate(detector, drawn, held, rules, rng=rng)


def _compare(
    series: Series, held: Places, rules: "Anomaly", *, forest: Forest, network: Recurrent, rng: np.random.Generator
) -> dict[str, float]:
    """Return the mean ROC-AUC of each detector alone, over the kinds of change."""
    found: dict[str, list[float]] = {PROFILE: [], FOREST: [], LSTM: []}
    for changed, who, others in _write_changes(series, held, rng=rng):
        deviations = measure(changed, least_days=rules.least_days)
        scores: dict[str, npt.NDArray[np.floating[Any]]] = {
            PROFILE: find_largest_fall(deviations),
            FOREST: forest.score(deviations.values),
            LSTM: network.score(changed),
        }
        for name, each in scores.items():
            found[name].append(measure_auc(each[who], each[others]))
    return {name: float(np.mean(each)) if each else 0.5 for name, each in found.items()}


def _write_changes(
    series: Series, rows: Places, *, rng: np.random.Generator
) -> Iterator[tuple[Series, Places, Places]]:
    """Yield the series with a kind of change in every other row, who has it, and the rest."""
    for kind in KINDS:
        changed, who = inject(series, kind, rows=rows[::2], days=COMPARED_AT, rng=rng)
        if len(who):
            yield changed, who, rows[1::2]


def _write_examples(
    series: Series,
    rows: Places,
    rules: "Anomaly",
    *,
    forest: Forest | None,
    network: Recurrent | None,
    rng: np.random.Generator,
) -> tuple[Numbers, npt.NDArray[np.int64]]:
    """Return the parts of quiet customers, 0, and of the same with each kind of change, 1 and up, at each age."""
    parts, changed = [_gather_all(series, rows, rules, forest=forest, network=network)], [np.zeros(len(rows), int)]
    for age in AGES:
        for place, kind in enumerate(KINDS, start=1):
            written, who = inject(series, kind, rows=rows, days=age, rng=rng)
            if len(who):
                parts.append(_gather_all(written, who, rules, forest=forest, network=network))
                changed.append(np.full(len(who), place))
    return np.concatenate(parts), np.concatenate(changed)


def _gather_all(
    series: Series, rows: Places, rules: "Anomaly", *, forest: Forest | None, network: Recurrent | None
) -> Numbers:
    deviations = measure(series, least_days=rules.least_days)
    return _gather(series, deviations, forest=forest, network=network)[rows]


def _gather(series: Series, deviations: Deviations, *, forest: Forest | None, network: Recurrent | None) -> Numbers:
    """Return per customer each statistic's largest and joint deviation, the evidence, and the score of what is used."""
    stacked = deviations.values.reshape(len(deviations.values), -1, len(series.indicators))
    parts = [stacked.max(axis=2), stacked.sum(axis=2) / np.sqrt(stacked.shape[2])]
    parts += [measure_evidence(series, deviations)]
    parts += [forest.score(deviations.values)[:, None]] if forest else []
    parts += [network.score(series)[:, None]] if network else []
    return np.concatenate(parts, axis=1).astype(np.float64)


def _weigh(parts: Numbers, changed: npt.NDArray[np.int64], *, seed: int) -> tuple[Numbers, Numbers]:
    """Return weights (kinds, none being the first, x parts) and intercepts."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=_PENALTY, max_iter=500, class_weight="balanced", random_state=seed)
    model.fit(parts, changed)
    if len(model.classes_) == 2:  # noqa: PLR2004 - one kind of change: scikit-learn then has one row
        return np.vstack([0 * model.coef_, model.coef_]), np.array([0.0, model.intercept_[0]])
    return np.asarray(model.coef_), np.asarray(model.intercept_)


def _calibrate(
    detector: Detector, series: Series, held: Places, rules: "Anomaly", *, rng: np.random.Generator
) -> Detector:
    """Return the detector with its lines, and with its own accuracy on the rows held back."""
    found = []
    for changed, who, others in _write_changes(series, held, rng=rng):
        scores = detector.score(changed, measure(changed, least_days=rules.least_days))
        found.append(measure_auc(scores[who], scores[others]))
    scores, watched, activity = _look_back(detector, series, rules)
    watched[np.setdiff1d(np.arange(len(watched)), find_quiet(series, days=PROVEN))] = False
    edges = _part(activity[watched])
    levels = np.searchsorted(edges, activity, side="right")
    lines = [
        find_line(scores[:, watched & (levels == level)], rate=_SAFETY * rules.weekly_false_alarms)
        for level in range(len(edges) + 1)
    ]
    accuracies = detector.accuracies | {COMBINATION: float(np.mean(found)) if found else 0.5}
    return Detector(**{**vars(detector), "accuracies": accuracies, "edges": edges, "lines": lines})


def _look_back(detector: Detector, series: Series, rules: "Anomaly") -> tuple[Numbers, npt.NDArray[np.bool_], Numbers]:
    """Return the scores of the last days (days x customers, the latest last), who was watched, and their activity."""
    scores = []
    for back in range(LOOKED_BACK - 1, -1, -1):
        past = series.until(PROVEN + back)
        deviations = measure(past, least_days=rules.least_days)
        scores.append(np.where(deviations.is_watched, detector.score(past, deviations), -np.inf))
    return np.array(scores), deviations.is_watched, find_activity(deviations)


def _part(activity: Numbers) -> list[float]:
    """Return edges between levels of activity, each with enough customers for a line of its own."""
    count = min(len(activity) // FEWEST, _LEVELS)
    return np.unique(np.quantile(activity, np.arange(1, count) / count)).tolist() if count > 1 else []


def find_line(scores: Numbers, *, rate: float) -> float:
    """Return the lowest line that at most a share `rate` of the customers cross in a week; scores are days x customers.

    A crossing counts when the seven days before lay below the line. Infinite with fewer than FEWEST customers.
    """
    days, customers = scores.shape
    if customers < FEWEST:
        return float(np.inf)
    line = float(np.inf)
    for tried in np.unique(scores[np.isfinite(scores)])[::-1][: max(customers, 500)]:
        if count_crossings(scores, float(tried)) > rate * customers * (days - 1) / 7:
            break
        line = float(tried)
    return line


def count_crossings(scores: Numbers, lines: float | Numbers) -> int:
    """Return how often customers cross their line after seven days below it, the first day aside."""
    above = scores >= lines
    before = np.zeros_like(above)
    for back in range(1, 8):
        before[back:] |= above[:-back]
    return int((above & ~before)[1:].sum())


def find_largest_fall(deviations: Deviations) -> Numbers:
    """Return the largest fall of a volume in any window: what the weekday profile alone has to say."""
    volumes = [place for place, (_, statistic) in enumerate(deviations.names) if statistic.startswith("volume")]
    return np.asarray(deviations.values[:, volumes].max(axis=1, initial=0.0), dtype=np.float64)


def find_activity(deviations: Deviations) -> Numbers:
    """Return on how many days in 28 each customer usually does what they do most often."""
    return np.asarray(deviations.usual.max(axis=1, initial=0.0), dtype=np.float64)


def measure_auc(changed: npt.NDArray[Any], others: npt.NDArray[Any]) -> float:
    """Return the chance that a changed customer scores above another one, ties counting half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, changed, "left") + np.searchsorted(ordered, changed, "right")
    return float(below.mean() / (2 * max(len(ordered), 1)))
