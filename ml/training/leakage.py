"""The training gate: columns that know the answer, and rows that stand on both sides of a split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from ml.dataset import Columns, DatasetError, Floats, Rows, Tabular, as_table, labels, split_by_chance
from ml.encode import Encoder
from ml.learners.base import Compute
from ml.learners.trees import Trees
from ml.training.config import TrainConfig

SAMPLE = 5_000  # rows looked at
SINGLE_AUC = 0.99  # a column that ranks as well as this alone is the label in other words
EXPECTED = 20.0  # outcomes expected in a range of values before their absence means anything
CERTAINTY = 0.05  # fewer of them than this share of what is expected is certainty
REPEATED = 0.01  # share of rows that may repeat another row's every figure
FEW = 3  # rows alike that can be copies of one row
DIFFERENT = 0.25  # share of the expected differences in outcome from which on rows alike are different customers
RANGES = 20
TOGETHER = 8  # models that clear suspects several at a time


@dataclass(frozen=True)
class Leak:
    """A column (or key) that must not be trained on, and the evidence, in one sentence."""

    column: str
    kind: str  # 'label', 'future' or 'duplicates'
    evidence: str


class LeakError(DatasetError):
    """The training table gives the outcome away; the message names each column or key with its evidence."""


def require_no_leaks(table: Tabular, columns: Columns, config: TrainConfig) -> None:
    """Raise a `LeakError` where `find_leaks` finds anything: what comes before every `fit` of a table from outside."""
    whole = as_table(table)
    key = [name for name in (columns.time, columns.customer) if name is not None]
    features = columns.list_features(whole)
    leaks = find_leaks(whole, columns.label, features, key=key, seed=config.seed)
    if leaks:
        evidence = "; ".join(leak.evidence for leak in leaks)
        raise LeakError(f"The training table gives the outcome away: {evidence}. Fix the column, or leave it out.")


def find_leaks(
    table: Tabular, label: str, features: Sequence[str], *, key: Sequence[str] = (), seed: int = 0
) -> tuple[Leak, ...]:
    """Return what would make validation figures lie; empty means the table may be trained on.

    - 'label': one column alone ranks the outcome nearly perfectly.
    - 'future': in some range of a column's values an outcome is all but certain, although a model of all other
      columns expects many exceptions. Other columns sharpen the odds, only the future makes them certain.
    - 'duplicates': rows share their whole `key` (time and customer), or repeat every figure of another row, and its
      outcome. Customers of whom little is known are alike as well, but not all of those who are alike leave together.
    """
    whole = as_table(table)
    target = labels(whole, label)
    known = np.flatnonzero(~np.isnan(target))
    rows = _sample(known, seed)
    data, outcome = whole.take(pa.array(rows)), target[rows]
    if not 0 < outcome.mean() < 1:
        return ()
    look = _Look(data, features, outcome, seed)
    copies = tuple(leak for name in features if (leak := look.copy_of_label(name)))
    rest = [name for name in features if name not in {leak.column for leak in copies}]
    future = look.future(rest)
    return (*copies, *future, *_duplicates(whole.take(pa.array(known)), target[known], features, key))


@dataclass(frozen=True)
class _Look:
    data: pa.Table
    features: Sequence[str]
    outcome: Floats
    seed: int

    def copy_of_label(self, name: str) -> Leak | None:
        """Judge a column by how well the churn rates of its ranges, learned on one half, rank the other half."""
        from sklearn.metrics import roc_auc_score

        ranges = self._ranges(name)
        half = np.random.default_rng(self.seed).random(len(ranges)) < 0.5  # noqa: PLR2004 - a half
        sizes = np.bincount(ranges[half], minlength=ranges.max() + 1)
        churned = np.bincount(ranges[half], weights=self.outcome[half], minlength=ranges.max() + 1)
        rates = (churned + self.outcome.mean()) / (sizes + 1)
        if not 0 < self.outcome[~half].mean() < 1:
            return None
        found = float(roc_auc_score(self.outcome[~half], rates[ranges[~half]]))
        evidence = f"column {name!r} alone ranks the outcome with AUC {found:.3f}: it holds the label"
        return Leak(name, "label", evidence) if found >= SINGLE_AUC else None

    def future(self, features: Sequence[str]) -> tuple[Leak, ...]:
        """Judge columns by ranges in which the outcome is certain, first against chance, then against the rest.

        Suspects are first left out several at a time: what a model without all of them foresees, one without a single
        one of them foresees as well. Who is not cleared so is left out alone.
        """
        ranges = {name: self._ranges(name) for name in features}
        base = np.full(len(self.outcome), self.outcome.mean())
        suspects = [name for name in features if self._certain(name, ranges[name], base)]
        together = [suspects[first::TOGETHER] for first in range(TOGETHER)]
        parties = [party for party in together if party and len(party) < len(features)]
        accused = [leak.column for party in parties for leak in self._accuse(party, ranges, features)]
        alone = [(name,) for name in suspects if name in accused and len(features) > 1]
        return tuple(leak for party in alone for leak in self._accuse(party, ranges, features))

    def _accuse(self, party: Sequence[str], ranges: Mapping[str, Rows], features: Sequence[str]) -> list[Leak]:
        expected = self._expected([name for name in features if name not in party])
        return [leak for name in party if (leak := self._certain(name, ranges[name], expected))]

    def _certain(self, name: str, ranges: Rows, expected: Floats) -> Leak | None:
        for outcome, chance, word in ((self.outcome, expected, "left"), (1 - self.outcome, 1 - expected, "stayed")):
            seen, due = np.bincount(ranges, weights=outcome), np.bincount(ranges, weights=chance)
            certain = np.flatnonzero((due >= EXPECTED) & (seen < CERTAINTY * due))
            if len(certain):
                worst = certain[np.argmax(due[certain])]
                evidence = (
                    f"column {name!r}: of {int((ranges == worst).sum())} rows in one range of its values "
                    f"{seen[worst]:.0f} {word}, where all other columns expect {due[worst]:.0f}: it knows the future"
                )
                return Leak(name, "future", evidence)
        return None

    def _expected(self, features: Sequence[str]) -> Floats:
        """Return probabilities from quick trees on `features`, each row judged by trees that had not seen it."""
        matrix = self._matrix[:, [place for name in features for place in self._places[name]]]
        params = {"max_depth": 4, "learning_rate": 0.15, "subsample": 0.7, "colsample_bytree": 0.5}
        found = np.empty(len(self.outcome))
        for fold in split_by_chance(self.outcome, folds=2, seed=self.seed):
            trees = Trees(params=params, rounds=40)
            trees.fit(matrix[fold.train], self.outcome[fold.train], weight=None, seed=self.seed, compute=Compute())
            found[fold.validate] = 1 / (1 + np.exp(-trees.log_odds(matrix[fold.validate])))
        return found

    @cached_property
    def _encoder(self) -> Encoder:
        return Encoder.learn(self.data, self.features)

    @cached_property
    def _matrix(self) -> Floats:
        return self._encoder.encode(self.data)

    @cached_property
    def _places(self) -> Mapping[str, Rows]:
        return {name: np.flatnonzero(self._encoder.owners == at) for at, name in enumerate(self._encoder.features)}

    def _ranges(self, name: str) -> Rows:
        """Number the range of values that each row falls in; missing is one of its own."""
        matrix = self._matrix[:, self._places[name]]
        if name in self._categories:
            return np.where(matrix.any(axis=1), matrix.argmax(axis=1) + 1 if matrix.shape[1] else 0, 0)
        values = matrix[:, 0]
        missing = np.isnan(values)
        if missing.all():
            return np.zeros(len(values), dtype=np.intp)
        edges = np.unique(np.quantile(values[~missing], np.linspace(0, 1, RANGES + 1)[1:-1]))
        return np.where(missing, 0, np.searchsorted(edges, values, side="left") + 1)

    @cached_property
    def _categories(self) -> frozenset[str]:
        return frozenset(each.name for each in self._encoder.encodings if each.levels is not None)


def _sample(rows: Rows, seed: int) -> Rows:
    if len(rows) <= SAMPLE:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, SAMPLE, replace=False))


def _duplicates(data: pa.Table, outcome: Floats, features: Sequence[str], key: Sequence[str]) -> tuple[Leak, ...]:
    found = []
    if key and (extra := int(data.select(list(key)).to_pandas().duplicated().sum())):
        named = ", ".join(key)
        found.append(Leak(named, "duplicates", f"{extra} rows repeat the key ({named}) of another row"))
    extra, chance = _copies(data, features), _copies(_shuffled(data, features), features)
    if features and extra - chance > REPEATED * data.num_rows > chance and not _differ(data, outcome, features):
        evidence = f"{extra} of {data.num_rows} rows repeat every figure of another row: they would stand on both sides"
        found.append(Leak(", ".join(key) or "all features", "duplicates", evidence))
    return tuple(found)


def _copies(data: pa.Table, columns: Sequence[str]) -> int:
    """Return how many rows copy another; many alike, such as customers without any activity, are no copies."""
    sizes = data.select(list(columns)).to_pandas().value_counts(dropna=False, sort=False).to_numpy()
    return int((sizes[sizes <= FEW] - 1).sum())


def _differ(data: pa.Table, outcome: Floats, columns: Sequence[str]) -> bool:
    """Say whether rows that are alike had different outcomes as often as different customers would."""
    alike = data.select(list(columns)).to_pandas()
    groups = alike.assign(outcome=outcome).groupby(list(columns), dropna=False, sort=False)["outcome"]
    sizes, churned = groups.count().to_numpy(), groups.sum().to_numpy()
    few = (sizes > 1) & (sizes <= FEW)
    rate = churned[few].sum() / max(sizes[few].sum(), 1)
    expected = float((1 - rate ** sizes[few] - (1 - rate) ** sizes[few]).sum())
    seen = int(((churned > 0) & (churned < sizes))[few].sum())
    return expected >= EXPECTED and seen >= DIFFERENT * expected


def _shuffled(data: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Return the columns, each in an order of its own: rows that are alike now are so by chance."""
    draw = np.random.default_rng(0)
    return pa.table({name: data.column(name).take(pa.array(draw.permutation(data.num_rows))) for name in columns})
