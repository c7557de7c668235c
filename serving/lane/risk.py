"""The online risk: how far the events since the night's score move its log-odds, by declared signals and rules.

The log-odds of the lane are those of the night plus a delta: the sum over signals of weight times count, each up to its
`most`, plus the weights of the rules that hold, within `most_delta` either way. It is a logistic model on lane features
with the night's log-odds as its offset; nights publish weights that were learned, and the policy's hold until then.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from company.policy.lane import SEEN, declared_weights
from company.policy.units import LEVELS, Level

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from company.policy.lane import Lane, Rule, Signal
    from serving.lane.state import Counts

    Numbers = NDArray[np.float64]

_LEAST = 1e-6


@dataclass(frozen=True, kw_only=True)
class Risk:
    """The lane's rules over arrays; `policy` declares them, `learned` has weights of features that take their place."""

    policy: "Lane"
    learned: Mapping[str, float] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The signals, in the order of the columns of counts."""
        return tuple(self.policy.signals)

    @property
    def features(self) -> tuple[str, ...]:
        """The features of the model: the signals, the rules, and that anything was seen at all."""
        return (*self.names, *(rule.name for rule in self.policy.rules), SEEN)

    @property
    def weights(self) -> "Numbers":
        """The log-odds of each feature."""
        declared = declared_weights(self.policy)
        return np.array([self.learned.get(name, declared[name]) for name in self.features])

    @property
    def windows(self) -> tuple[int, ...]:
        """The windows of days that rules look at."""
        return tuple(sorted({rule.within_days for rule in self.policy.rules}))

    def codes(self) -> Mapping[tuple[str | None, str | None], int]:
        """Return a mapping from type and page of an event to its signal, filled as it is asked; -1 is none."""
        return _Codes(self.policy)

    def delta(self, counts: "Counts") -> "Numbers":
        """Return how far the log-odds of each customer move."""
        moved: Numbers = self.measure(counts) @ self.weights
        return np.clip(moved, -self.policy.most_delta, self.policy.most_delta)

    def measure(self, counts: "Counts") -> "Numbers":
        """Return the features of each customer (customers, features): counts up to their `most`, then 0 or 1."""
        most = np.array([signal.most for signal in self.policy.signals.values()])
        rules = [self._holds(rule, counts) for rule in self.policy.rules]
        seen = counts.since_score.any(axis=1)
        return np.column_stack([np.minimum(counts.since_score, most), *rules, seen]).astype(float)

    def least_levels(self, counts: "Counts") -> "NDArray[np.int64]":
        """Return the level to which rules raise each customer as an index of `LEVELS`; its length where none does."""
        found = np.full(len(counts.since_score), len(LEVELS))
        for rule in self.policy.rules:
            if rule.at_least is not None:
                found = np.where(self._holds(rule, counts), np.minimum(found, LEVELS.index(rule.at_least)), found)
        return found

    def explain(self, counts: "NDArray[np.int64]", *, since: date, language: str) -> str:
        """Return what raised a customer's risk since the score, the weightiest first, as a sentence."""
        raising = self._raising(counts)
        listed = [_describe(signal, language, many=count > 1).format(count=count) for signal, count in raising]
        if language == "zh":
            return f"{since.month}月{since.day}日以来: {'; '.join(listed)}"
        return f"since {since.day} {since:%B}: {'; '.join(listed)}"

    def reason(self, counts: "NDArray[np.int64]") -> str:
        """Return the reason that the weightiest signal stands for."""
        return next((signal.reason for signal, _ in self._raising(counts)), "other")

    def _raising(self, counts: "NDArray[np.int64]") -> "Sequence[tuple[Signal, int]]":
        found = zip(self.policy.signals.values(), counts.tolist(), self.weights.tolist(), strict=False)
        raising = [each for each in found if each[1] and each[0].en and each[2] > 0]
        ordered = sorted(raising, key=lambda each: -each[2] * min(each[1], each[0].most))
        return [(signal, count) for signal, count, _ in ordered]

    def _holds(self, rule: "Rule", counts: "Counts") -> "NDArray[np.bool_]":
        """Return where a rule holds: all of its signals within its days, and one of them since the score."""
        columns = [self.names.index(name) for name in rule.all_of]
        within = counts.windows[rule.within_days][:, columns]
        is_new = counts.since_score[:, columns].any(axis=1)
        return np.logical_and((within >= np.array(list(rule.all_of.values()))).all(axis=1), is_new)


def _describe(signal: "Signal", language: str, *, many: bool) -> str:
    one, more = (signal.zh, signal.zh_more) if language == "zh" else (signal.en, signal.en_more)
    return more if many else one


class _Codes(dict[tuple[str | None, str | None], int]):
    """Signals by type and page: a page is what an event is about where one names it, else its type."""

    def __init__(self, policy: "Lane") -> None:
        super().__init__()
        self._policy = policy

    def __missing__(self, key: tuple[str | None, str | None]) -> int:
        self[key] = next(self._find(key), -1)
        return self[key]

    def _find(self, key: tuple[str | None, str | None]) -> Iterator[int]:
        kind, page = key
        signals = list(self._policy.signals.values())
        yield from (place for place, signal in enumerate(signals) if page in signal.pages)
        yield from (place for place, signal in enumerate(signals) if kind in signal.types)


def to_log_odds(probability: "Numbers") -> "Numbers":
    """Return log-odds; probabilities of 0 and 1 are taken as nearly so."""
    inside = np.clip(probability, _LEAST, 1 - _LEAST)
    odds: Numbers = np.log(inside / (1 - inside))
    return odds


def to_probability(log_odds: "Numbers") -> "Numbers":
    """Return probabilities."""
    probability: Numbers = 1 / (1 + np.exp(-log_odds))
    return probability


def stronger(level: str, least: int) -> Level | str:
    """Return a level, or the one with the index `least` where that is stronger."""
    levels = list(LEVELS)
    place = levels.index(level) if level in levels else len(levels)  # type: ignore[arg-type]
    return levels[min(place, least)] if min(place, least) < len(levels) else level
