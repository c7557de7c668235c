"""Facts of a flat table: how often the customers left who are like one customer in one attribute."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.dataset import Floats, Rows, labels
from ml.encode import is_text, numbers

FEW_VALUES = 10  # of a number, up to which customers are alike only in the same value
PARTS = 5  # equally large parts into which other numbers are cut
LEAST_RATIO = 1.2  # of the share of losses among customers alike to that among all, from which on it is a reason
FEWEST_KNOWN = 20  # customers with a known outcome from which on their share means anything


@dataclass(frozen=True)
class Attribute:
    """One column as groups of customers who are alike in it.

    `group` numbers the group of each row; `shares` holds, per group, the share of losses among its known outcomes, not
    a number where fewer than `FEWEST_KNOWN` are known; `words` follow the value in a sentence; `base` is the share of
    losses among all.
    """

    name: str
    values: pa.ChunkedArray
    group: Rows
    shares: Floats
    words: tuple[str, ...]
    base: float

    def is_elevated(self, row: int) -> bool:
        """Say whether customers like this one left clearly more often than all did."""
        return bool(self.shares[self.group[row]] >= LEAST_RATIO * self.base)

    def show(self, row: int) -> str:
        """Return a customer's own value as text."""
        value = self.values[row].as_py()
        return f"{value:.10g}" if isinstance(value, float) else str(value)

    def state(self, row: int) -> str:
        """Return the fact about one customer as a sentence."""
        group = self.group[row]
        return (
            f"{self.name} is {self.show(row)}{self.words[group]}: "
            f"{self.shares[group]:.0%} of such customers left, {self.base:.0%} of all"
        )


def describe_attribute(rows: pa.Table, name: str, *, label: str) -> Attribute:
    """Return the column `name` as groups, with the share of losses among the known outcomes of each."""
    values, outcome = rows.column(name), labels(rows, label)
    group, words = _group(name, values)
    known = ~np.isnan(outcome)
    sizes = np.bincount(group[known], minlength=len(words))
    lost = np.bincount(group[known], weights=outcome[known], minlength=len(words))
    shares = np.where(sizes >= FEWEST_KNOWN, lost / np.maximum(sizes, 1), np.nan)
    return Attribute(name, values, group, shares, words, base=float(outcome[known].mean()))


def _group(name: str, values: pa.ChunkedArray) -> tuple[Rows, tuple[str, ...]]:
    """Return the group of each row and the words of each group: values, or parts of a number's range."""
    if is_text(values.type) or pc.count_distinct(values).as_py() <= FEW_VALUES:
        codes = pc.dictionary_encode(values, null_encoding="encode").combine_chunks()
        return codes.indices.to_numpy().astype(np.intp), ("",) * len(codes.dictionary)
    known = numbers(name, values)
    edges = np.unique(np.nanquantile(known, np.linspace(0, 1, PARTS + 1)[1:-1]))
    parts = np.where(np.isnan(known), len(edges) + 1, np.searchsorted(edges, known, side="left"))
    return parts, (*_name_parts(edges), "")


def _name_parts(edges: Floats) -> list[str]:
    between = [f" (above {low:.6g}, at most {high:.6g})" for low, high in pairwise(edges)]
    return [f" (at most {edges[0]:.6g})", *between, f" (above {edges[-1]:.6g})"]
