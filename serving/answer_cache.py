"""Answers of one publication, which never changes: kept by the very statement that somebody's rights allowed them."""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_CELLS = 1_000_000  # some 100 MB
_MOST_CELLS_OF_ONE = 20_000  # a page, and no part of an export


@dataclass(frozen=True, kw_only=True)
class Statement:
    """SQL with its parameters: rows and columns of whoever asked stand in it, so that nobody else's is equal to it.

    `key` is what makes two statements the same one.
    """

    query: str
    key: tuple[tuple[str, tuple[Hashable, ...]], ...]
    parameters: Mapping[str, Any] = field(compare=False)

    @classmethod
    def of(cls, query: str, parameters: Mapping[str, Any]) -> "Statement":
        """Return a statement as Grant.compile made it."""
        key = tuple((name, _identify(value)) for name, value in parameters.items())
        return cls(query=query, key=key, parameters=parameters)

    @property
    def cells(self) -> int:
        """How much room its parameters take; a list may name thousands."""
        return sum(len(value) for _, value in self.key)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The rows of an answer, the names of their columns, and the seconds that it took."""

    names: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    seconds: float

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return the rows by name, as the caller's own."""
        return [dict(zip(self.names, row, strict=True)) for row in self.rows]

    @property
    def cells(self) -> int:
        """How much room it takes; an answer without rows takes some too."""
        return len(self.names) * len(self.rows) + 1


class AnswerCache:
    """Answers up to a number of cells, for any number of threads; what was not asked for longest goes first."""

    def __init__(self, *, most_cells: int = MOST_CELLS) -> None:
        """Keep as much as `most_cells`."""
        self._most_cells, self._cells = most_cells, 0
        self._answers: OrderedDict[Statement, Answer] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, statement: Statement) -> Answer | None:
        """Return the answer to a statement, None where it is not kept."""
        with self._lock:
            answer = self._answers.get(statement)
            if answer is not None:
                self._answers.move_to_end(statement)
            return answer

    def keep(self, statement: Statement, answer: Answer) -> None:
        """Keep an answer unless it is a large one."""
        size = statement.cells + answer.cells
        if size > _MOST_CELLS_OF_ONE:
            return
        with self._lock:
            if statement not in self._answers:
                self._answers[statement] = answer
                self._cells += size
            while self._cells > self._most_cells:
                oldest, its_answer = self._answers.popitem(last=False)
                self._cells -= oldest.cells + its_answer.cells

    def list_costliest(self, count: int) -> list[Statement]:
        """Return the statements that took longest to answer, the costliest first."""
        with self._lock:
            by_cost = sorted(self._answers.items(), key=lambda item: item[1].seconds, reverse=True)
        return [statement for statement, _ in by_cost[:count]]


def _identify(value: Any) -> tuple[Hashable, ...]:  # noqa: ANN401 - a value of any column
    """Return what distinguishes a parameter; 1, 1.0 and true are equal and not the same to a database."""
    return tuple(map(_identify, value)) if isinstance(value, list) else (type(value).__name__, value)
