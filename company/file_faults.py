"""Faults a person can fix: where they are, what is wrong, what to do."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong with a company file or with a system it names.

    `key` is the dotted path inside the file, `line` its line counted from 1 where it is known.
    """

    key: str
    problem: str
    fix: str
    line: int | None = None

    def describe(self, file: Path) -> str:
        """Return the fault as one paragraph that names the file, the key and the fix."""
        place = f"{file}, line {self.line}" if self.line else str(file)
        where = f"{place}, {self.key}" if self.key else place
        return " ".join(f"{where}: {self.problem} {self.fix}".split())


class CompanyError(Exception):
    """A company file that cannot be used; `faults` says why, one paragraph each."""

    def __init__(self, file: Path, *faults: Fault) -> None:
        """Hold the `file` that names the faulty parts, and every fault found in it."""
        self.file = file
        self.faults = faults
        super().__init__("\n\n".join(fault.describe(file) for fault in faults))


class SourceError(CompanyError):
    """A source that does not answer, or does not hold what the company file says it holds."""


def suggest(word: str, known: Iterable[str]) -> str:
    """Return a sentence that offers the nearest `known` name to `word`, or lists what is known."""
    names = sorted(set(known))
    near = get_close_matches(word.lower(), [name.lower() for name in names], n=1, cutoff=0.6)
    if near:
        return f"Did you mean `{next(name for name in names if name.lower() == near[0])}`?"
    return f"Known here: {listing(names)}."


def listing(names: Sequence[str], *, most: int = 24) -> str:
    """Return `names` as text, cut after `most`."""
    shown = ", ".join(f"`{name}`" for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown or "nothing"


def kind_of(message: str) -> str:
    """Return what kind of error a message reports, and nothing of its text, which may hold anybody's data."""
    return message.partition(":")[0].strip()


def without_values(message: str) -> str:
    """Return an error message without what stands in quotes, which may be personal and hold quotes of its own."""
    return re.sub(r"'.*'", "'...'", message, flags=re.DOTALL)
