"""What is found of a customer in a store, and what became of it."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Action = Literal["deleted", "renamed", "emptied", "replaced", "informed", "expired"]
ERASED = "erased"  # stands where an identifier stood in a text that stays


class ErasureError(Exception):
    """A store cannot be erased from; the message is one paragraph with the fix."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Rows, lines or files of one `place` in a store that hold an identifier, and what is done with them.

    `rows_before` and `rows_after` count all of the place, `rows` those of the customers.
    """

    place: str
    action: Action
    rows: int
    rows_before: int = 0
    rows_after: int = 0


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was done in one store: its traces, and whether the rows of everybody else are the same as before.

    `remarks` are sentences for the receipt.
    """

    store: str
    traces: tuple[Trace, ...]
    others_unchanged: bool | None = None
    remarks: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows, lines or files were changed."""
        return sum(trace.rows for trace in self.traces)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON; an action a line."""
        return asdict(self) | {"traces": [asdict(trace) for trace in self.traces]}
