"""The model: one object from the feature table to the calibrated probability."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ml.calibrate import Calibrator
from ml.dataset import Floats, Tabular, as_table
from ml.encode import Encoder
from ml.members import Contributions, Linear, Member, Trees
from ml.neural import Neural

FORMAT = 1
KINDS: dict[str, type[Member]] = {each.kind: each for each in (Linear, Trees, Neural)}


@dataclass(frozen=True)
class ChurnModel:
    """Encoder, weighted members and calibrator.

    The log-odds before calibration are the weighted mean of the members' log-odds. So the members' contributions,
    weighted alike, add up to them exactly, for a blend as for a single member.
    """

    name: str
    encoder: Encoder
    members: Mapping[str, Member]
    weights: Mapping[str, float]
    calibrator: Calibrator
    seed: int = 0
    trained_until: str | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns it reads."""
        return self.encoder.features

    def predict(self, data: Tabular) -> Floats:
        """Return the calibrated probability of churn for each row."""
        return self.calibrator.probability(self.margin(data))

    def margin(self, data: Tabular) -> Floats:
        """Return the log-odds before calibration for each row."""
        matrix = self.encoder.encode(as_table(data))
        parts = [weight * self.members[name].margin(matrix) for name, weight in sorted(self.weights.items())]
        total: Floats = np.sum(parts, axis=0)
        return total

    def contributions(self, data: Tabular) -> tuple[Floats, float]:
        """Return what each feature adds to `margin` (rows x features, in log-odds), and the base they add to."""
        matrix = self.encoder.encode(as_table(data))
        values, base = np.zeros(matrix.shape), 0.0
        for name, weight in sorted(self.weights.items()):
            part: Contributions = self.members[name].contributions(matrix)
            values += weight * part.values
            base += weight * part.base
        starts = np.flatnonzero(np.diff(self.encoder.owners, prepend=-1))
        found = np.zeros((len(values), len(self.features)))
        found[:, self.encoder.owners[starts]] = np.add.reduceat(values, starts, axis=1)
        return found, base

    def importance(self, data: Tabular) -> dict[str, float]:
        """Return each feature's share of the mean absolute contribution over `data`; the shares sum to 1."""
        mean = np.abs(self.contributions(data)[0]).mean(axis=0)
        return dict(zip(self.features, (mean / max(mean.sum(), 1e-12)).tolist(), strict=True))

    def to_bytes(self) -> bytes:
        """Return the whole model as canonical JSON: parameters and aggregates, no row of data, no code."""
        state = {
            "format": FORMAT,
            "name": self.name,
            "seed": self.seed,
            "trained_until": self.trained_until,
            "encoder": self.encoder.state(),
            "members": {name: {"kind": each.kind, **each.state()} for name, each in self.members.items()},
            "weights": dict(self.weights),
            "calibrator": vars(self.calibrator),
        }
        return json.dumps(state, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Rebuild a model that scores exactly as the one that was written."""
        state = json.loads(data)
        if state["format"] != FORMAT:
            raise ValueError(f"model format {state['format']} cannot be read, {FORMAT} can. Train the model again.")
        return cls(
            name=state["name"],
            encoder=Encoder.restore(state["encoder"]),
            members={name: _member(each) for name, each in state["members"].items()},
            weights=state["weights"],
            calibrator=Calibrator(**state["calibrator"]),
            seed=state["seed"],
            trained_until=state["trained_until"],
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of `to_bytes`: the same data, seed and code give the same one on one machine."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def _member(state: dict[str, Any]) -> Member:
    kind = KINDS[state["kind"]]
    return kind().restore({name: value for name, value in state.items() if name != "kind"})
