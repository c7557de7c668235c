"""What a learner is: log-odds from a matrix, contributions that add up to them, and a form that JSON can hold."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, ClassVar, Protocol, Self

from ml.dataset import Floats

JSON = "json"  # in the metadata of a field: its name in model files, where that differs


@dataclass(frozen=True)
class Compute:
    """Where and how wide to compute.

    `workers` candidates are tried side by side, each on `threads`. One thread each is right up to some 100,000 rows:
    small trees spend two threads waiting for each other. Results are reproducible for one setting on one machine.
    """

    workers: int = 2
    threads: int = 1
    device: str = "cpu"


@dataclass(frozen=True)
class Contributions:
    """Parts of the log-odds: `values` (rows x matrix columns) plus `base` is the log-odds of each row."""

    values: Floats
    base: float


@dataclass
class Learner(ABC):
    """A learner on the encoded matrix (float32, missing is NaN). `fit` learns, the rest touches no state.

    A dataclass: fields are hyperparameters, and every one has a default; fields that end in `_` are what was learned
    and have `init=False`. Both are written to model files, with `kind`.
    """

    kind: ClassVar[str]

    def name_columns(self, names: Sequence[str]) -> Self:
        """Take note of the features behind the matrix columns, before `fit`; few learners have a use for them."""
        del names
        return self

    @abstractmethod
    def fit(self, matrix: Floats, label: Floats, *, weight: Floats | None, seed: int, compute: Compute) -> Self:
        """Learn from rows x columns and labels 0/1."""

    @abstractmethod
    def log_odds(self, matrix: Floats) -> Floats:
        """Return log-odds, one per row."""

    @abstractmethod
    def contributions(self, matrix: Floats, *, exact: bool = True) -> Contributions:
        """Return the parts of `log_odds`; they add up in any case, `exact` decides how they are shared out."""

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The hyperparameters by name, without what was learned."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.init}

    def state(self) -> dict[str, Any]:
        """Return hyperparameters and what was learned, as JSON can hold it."""
        return {_key(each): getattr(self, each.name) for each in fields(self)}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `state`."""
        names = {_key(each): each.name for each in fields(cls)}
        learner = cls()
        for key, value in state.items():
            setattr(learner, names[key], value)
        return learner


def _key(each: Field[Any]) -> str:
    return str(each.metadata.get(JSON, each.name.rstrip("_")))


class Growth(Protocol):
    """An ensemble that is still growing."""

    def until(self, rounds: int) -> Self:
        """Grow on to `rounds` rounds in all; the result is that of growing them in one go."""

    def log_odds(self, matrix: Floats) -> Floats:
        """Return the log-odds that all rounds so far give."""


@dataclass
class StagedLearner(Learner):
    """A learner that grows in rounds, so that several numbers of `rounds` cost no more than the largest."""

    rounds: int = 1

    @abstractmethod
    def begin(self, matrix: Floats, label: Floats, *, weight: Floats | None, seed: int, compute: Compute) -> Growth:
        """Return an ensemble without any round, to be grown as far as it helps."""


@dataclass(frozen=True)
class Candidate:
    """Hyperparameters to try: a learner that has them, and the numbers of rounds to compare.

    `bags` is how many seeds the final fit averages, where the learner can.
    """

    learner: Learner
    rounds: tuple[int, ...] = ()
    bags: int | None = None

    def build(self, *, rounds: int | None = None, final: bool = False) -> Learner:
        """Return an unlearned copy, with the given number of rounds; the `final` one with all its bags."""
        chosen = {"rounds": rounds, "bags": self.bags if final else None}
        return replace(self.learner, **{name: value for name, value in chosen.items() if value is not None})

    def settle(self, rounds: int | None) -> "Candidate":
        """Return the candidate with its number of rounds decided."""
        return replace(self, learner=self.build(rounds=rounds), rounds=())


@dataclass(frozen=True)
class Range:
    """Values that a hyperparameter may take in a search; `log` draws their logarithm evenly, `whole` whole numbers."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


@dataclass(frozen=True)
class SearchSpace:
    """What a search may draw, and the candidate that a draw makes."""

    ranges: Mapping[str, Range]
    build: Callable[[Mapping[str, float]], Candidate]


@dataclass(frozen=True)
class Algorithm:
    """What `training.candidates` of the policy may name: the candidates that are always tried, and what to search."""

    name: str
    candidates: tuple[Candidate, ...]
    space: SearchSpace | None = field(default=None)
