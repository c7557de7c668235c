"""A model made of models: the global one, and those of groups that earned one of their own."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml.dataset import Floats, Rows, Tabular, as_table, column
from ml.training.pipeline import FORMAT, ChurnModel, Model

KIND = "segmented"  # of model files


@dataclass(frozen=True)
class GroupedModel(Model):
    """Scores each customer by the model of its group in the column `group`, or by the `shared` one.

    The group itself counts as a reason: its contribution is the distance of its model's base from the shared base,
    so that contributions add up to each row's log-odds exactly.
    """

    group: str
    shared: ChurnModel
    own: Mapping[str, ChurnModel] = field(default_factory=dict)

    @property
    def seed(self) -> int:  # type: ignore[override]
        """Return the seed that all of them were given."""
        return self.shared.seed

    @property
    def name(self) -> str:  # type: ignore[override]
        """Return what was chosen for all, and for how many groups another."""
        return f"{self.shared.name} with {len(self.own)} by {self.group}"

    @property
    def trained_until(self) -> str | None:  # type: ignore[override]
        """Return the last snapshot that any of them learned from."""
        return max((each.trained_until for each in self._models if each.trained_until is not None), default=None)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns it reads, `group` among them."""
        named = (name for each in self._models for name in each.features)
        return tuple(dict.fromkeys((*named, self.group)))

    @property
    def categories(self) -> frozenset[str]:
        """Those of `features` that are text; the group is, unless the shared model reads it as a number."""
        named = frozenset(name for each in self._models for name in each.categories)
        return named if self.group in self.shared.features else named | {self.group}

    def predict(self, data: Tabular) -> Floats:
        """Return the calibrated probability for each row, by its group's model where there is one."""
        return self._by_group(as_table(data), lambda model, rows: model.predict(rows))

    def log_odds(self, data: Tabular) -> Floats:
        """Return the log-odds before each model's own calibration."""
        return self._by_group(as_table(data), lambda model, rows: model.log_odds(rows))

    def contributions(self, data: Tabular, *, exact: bool = True) -> tuple[Floats, float]:
        """Return what each feature adds to `log_odds`, and the shared model's base."""
        table = as_table(data)
        position = {name: place for place, name in enumerate(self.features)}
        found = np.zeros((table.num_rows, len(position)))
        base = self.shared.contributions(table.slice(0, 1), exact=exact)[1]
        for model, rows in self._parts(table):
            values, own_base = model.contributions(_take(table, rows), exact=exact)
            places = np.array([position[name] for name in model.features])
            found[np.ix_(rows, places)] = values
            found[rows, position[self.group]] += own_base - base
        return found, base

    def cause_contributions(self, data: Tabular) -> Floats:
        """Return what each feature of a cause adds by itself, by the model of each row's group."""
        table = as_table(data)
        position = {name: place for place, name in enumerate(self.features)}
        found = np.zeros((table.num_rows, len(position)))
        for model, rows in self._parts(table):
            places = np.array([position[name] for name in model.features])
            found[np.ix_(rows, places)] = model.cause_contributions(_take(table, rows))
        return found

    def state(self) -> dict[str, Any]:
        """Return the models by group."""
        return {
            "format": FORMAT,
            "kind": KIND,
            "segment": self.group,
            "shared": self.shared.state(),
            "own": {name: each.state() for name, each in self.own.items()},
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `state`."""
        own = {name: ChurnModel.restore(each) for name, each in state["own"].items()}
        return cls(state["segment"], ChurnModel.restore(state["shared"]), own)

    @property
    def _models(self) -> tuple[ChurnModel, ...]:
        return (self.shared, *self.own.values())

    def _by_group(self, table: pa.Table, work: Callable[[ChurnModel, pa.Table], Floats]) -> Floats:
        found = np.empty(table.num_rows)
        for model, rows in self._parts(table):
            found[rows] = work(model, _take(table, rows))
        return found

    def _parts(self, table: pa.Table) -> list[tuple[ChurnModel, Rows]]:
        groups = list_groups(table, self.group)
        mine = {name: np.flatnonzero(groups == name) for name in self.own}
        rest = np.flatnonzero(~np.isin(groups.astype(str), list(self.own)) | (groups == None))  # noqa: E711 - elementwise
        parts = [(self.shared, rest), *((self.own[name], rows) for name, rows in mine.items())]
        return [(model, rows) for model, rows in parts if len(rows)]


def read_model(data: bytes) -> ChurnModel | GroupedModel:
    """Rebuild whichever model was written by `to_bytes`; it scores exactly as that one."""
    state = json.loads(data)
    return GroupedModel.restore(state) if state.get("kind") == KIND else ChurnModel.restore(state)


def list_groups(table: pa.Table, group: str) -> npt.NDArray[Any]:
    """Return each row's group as text, None where it is unknown."""
    return np.array(column(table, group).cast(pa.string()).to_pylist(), dtype=object)


def _take(table: pa.Table, rows: Rows) -> pa.Table:
    return table if len(rows) == table.num_rows else table.take(pa.array(rows))
