"""Where facts hold, and their sentences with a customer's own figures."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from company.facts import Fact, read_names


class Figure(float):
    """A number as sentences show it: whole by default, as a percentage by `%`, with one decimal at most by `.1`.

    `0=none|1=a day|# days` chooses the words by the whole number, the last ones for any other; `#` stands for it.
    """

    def __format__(self, form: str) -> str:
        """Return the figure in words of `form`."""
        if form == "%":
            return f"{round(100 * self)}%"
        if form.startswith("."):
            return f"{float(self):,{form}f}".rstrip("0").rstrip(".")
        whole = f"{round(self):,}"
        if not form:
            return whole
        *special, other = form.split("|")
        words = dict(each.split("=", 1) for each in special)
        return words.get(whole, other).replace("#", whole)


def read_figures(data: pa.Table, facts: Sequence[Fact]) -> pd.DataFrame:
    """Return the columns that conditions and sentences read, as numbers; what is not known is NaN."""
    names = sorted(set().union(*(fact.columns for fact in facts)))
    return pd.DataFrame({name: data.column(name).cast(pa.float64()).to_numpy() for name in names})


def find_holding(fact: Fact, frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return for each customer (rows of `frame`) whether a fact holds and is not left to another."""
    holds: npt.NDArray[np.bool_] = _read(fact.when, frame).astype(bool)
    return holds & ~_read(fact.unless, frame).astype(bool) if fact.unless else holds


def write_sentences(fact: Fact, frame: pd.DataFrame, rows: npt.NDArray[np.intp]) -> tuple[list[str], list[str]]:
    """Return the fact about the customers in `rows` of `frame`, in English and in Chinese."""
    figures = {name: _read(expression, frame)[rows] for name, expression in fact.shown.items()}
    each = [{name: Figure(values[place]) for name, values in figures.items()} for place in range(len(rows))]
    return [fact.en.format(**shown) for shown in each], [fact.zh.format(**shown) for shown in each]


def _read(expression: str, frame: pd.DataFrame) -> npt.NDArray[Any]:
    """Return an expression for every customer (rows)."""
    columns = frame[sorted(read_names(expression))]  # eval takes in every column it is given
    return np.asarray(columns.eval(" ".join(expression.split()), engine="python"))
