"""The model: one object from the feature table to the calibrated probability."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ml.dataset import Floats, Tabular, as_table
from ml.encode import Encoder
from ml.explaining.causes import Causes
from ml.learners import load_kinds
from ml.learners.base import Contributions, Learner
from ml.training.calibrate import Calibrator

FORMAT = 1


class Model(ABC):
    """What scores customers and explains it: registered, read back and explained without knowing how it is built."""

    name: str
    seed: int
    trained_until: str | None

    @property
    @abstractmethod
    def features(self) -> tuple[str, ...]:
        """Names of the columns it reads."""

    @property
    @abstractmethod
    def categories(self) -> frozenset[str]:
        """Those of `features` that are text; the others are numbers."""

    @abstractmethod
    def predict(self, data: Tabular) -> Floats:
        """Return the calibrated probability of churn for each row."""

    @abstractmethod
    def log_odds(self, data: Tabular) -> Floats:
        """Return the log-odds before calibration for each row."""

    @abstractmethod
    def contributions(self, data: Tabular, *, exact: bool = True) -> tuple[Floats, float]:
        """Return what each feature adds to `log_odds` (rows x features, in log-odds), and the base they add to.

        They add up in any case; with `exact` trees share their log-odds out by Shapley values, without along each
        row's path, which is many times quicker.
        """

    @abstractmethod
    def cause_contributions(self, data: Tabular) -> Floats:
        """Return what each feature of a cause adds to the log-odds by itself (rows x features).

        0 for every other feature; see `ml.explaining.causes`.
        """

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return all there is to the model, as JSON can hold it."""

    def to_bytes(self) -> bytes:
        """Return the whole model as canonical JSON: parameters and aggregates, no row of data, no code."""
        return json.dumps(self.state(), sort_keys=True, separators=(",", ":")).encode()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of `to_bytes`: the same data, seed and code give the same one on one machine."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def importance(self, data: Tabular) -> dict[str, float]:
        """Return each feature's share of the mean absolute contribution over `data`; the shares sum to 1."""
        mean = np.abs(self.contributions(data)[0]).mean(axis=0)
        return dict(zip(self.features, (mean / max(mean.sum(), 1e-12)).tolist(), strict=True))


@dataclass(frozen=True)
class ChurnModel(Model):
    """Encoder, weighted learners and calibrator.

    The log-odds before calibration are the weighted mean of the learners' log-odds. So the learners' contributions,
    weighted alike, add up to them exactly, for a blend as for a single learner.
    """

    name: str
    encoder: Encoder
    members: Mapping[str, Learner]
    weights: Mapping[str, float]
    calibrator: Calibrator
    seed: int = 0
    trained_until: str | None = None
    causes: Causes | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns it reads."""
        return self.encoder.features

    @property
    def categories(self) -> frozenset[str]:
        """Those of `features` that are text."""
        return frozenset(each.name for each in self.encoder.encodings if each.levels is not None)

    def predict(self, data: Tabular) -> Floats:
        """Return the calibrated probability of churn for each row."""
        return self.calibrator.probability(self.log_odds(data))

    def log_odds(self, data: Tabular) -> Floats:
        """Return the log-odds before calibration for each row."""
        matrix = self.encoder.encode(as_table(data))
        parts = [weight * self.members[name].log_odds(matrix) for name, weight in sorted(self.weights.items())]
        total: Floats = np.sum(parts, axis=0)
        return total

    def contributions(self, data: Tabular, *, exact: bool = True) -> tuple[Floats, float]:
        """Return what each feature adds to `log_odds` (rows x features, in log-odds), and the base they add to.

        They add up in any case; with `exact` trees share their log-odds out by Shapley values, without along each
        row's path, which is many times quicker.
        """
        matrix = self.encoder.encode(as_table(data))
        values, base = np.zeros(matrix.shape), 0.0
        for name, weight in sorted(self.weights.items()):
            part: Contributions = self.members[name].contributions(matrix, exact=exact)
            values += weight * part.values
            base += weight * part.base
        return self.encoder.attribute(values), base

    def cause_contributions(self, data: Tabular) -> Floats:
        """Return what each feature of a cause adds to the log-odds by itself (rows x features)."""
        table = as_table(data)
        found = np.zeros((table.num_rows, len(self.features)))
        if self.causes is not None:
            places = [self.features.index(name) for name in self.causes.features]
            found[:, places] = self.causes.contributions(table)
        return found

    def state(self) -> dict[str, Any]:
        """Return hyperparameters, encoder, learners, calibration and what was learned of the causes."""
        return {
            "format": FORMAT,
            "name": self.name,
            "seed": self.seed,
            "trained_until": self.trained_until,
            "encoder": self.encoder.state(),
            "members": {name: {"kind": each.kind, **each.state()} for name, each in self.members.items()},
            "weights": dict(self.weights),
            "calibrator": vars(self.calibrator),
            "causes": None if self.causes is None else self.causes.state(),
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `state`."""
        if state["format"] != FORMAT:
            raise ValueError(f"model format {state['format']} cannot be read, {FORMAT} can. Train the model again.")
        return cls(
            name=state["name"],
            encoder=Encoder.restore(state["encoder"]),
            members={name: _restore_learner(each) for name, each in state["members"].items()},
            weights=state["weights"],
            calibrator=Calibrator(**state["calibrator"]),
            seed=state["seed"],
            trained_until=state["trained_until"],
            causes=Causes.restore(state["causes"]) if state.get("causes") else None,
        )


def _restore_learner(state: Mapping[str, Any]) -> Learner:
    kind = load_kinds()[state["kind"]]
    return kind.restore({name: value for name, value in state.items() if name != "kind"})
