"""The learners, found by folder: a new one is one new module here, which defines a `Learner` and its `ALGORITHMS`."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from ml.learners.base import Algorithm, Candidate, Learner


class UnknownLearnerError(ValueError):
    """A name under `training.candidates` is no learner's; the message names those that are."""


@cache
def load_algorithms() -> Mapping[str, Algorithm]:
    """Return what `training.candidates` may name."""
    return {each.name: each for module in _modules() for each in getattr(module, "ALGORITHMS", ())}


@cache
def load_kinds() -> Mapping[str, type[Learner]]:
    """Return the classes of learners by the kind that model files call them."""
    defined = [each for module in _modules() for each in vars(module).values() if isinstance(each, type)]
    return {each.kind: each for each in defined if issubclass(each, Learner) and hasattr(each, "kind")}


def list_candidates(names: Sequence[str]) -> dict[str, tuple[Candidate, ...]]:
    """Return the candidates of the named algorithms; raises an `UnknownLearnerError` for a name that is none."""
    known = load_algorithms()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UnknownLearnerError(
            f"In the policy the key 'training.candidates' names {unknown[0]!r}, which no module of ml/learners "
            f"declares; known are {', '.join(sorted(known))}. Correct it under `policy:`, or add the learner."
        )
    return {name: known[name].candidates for name in names}


def _modules() -> list[ModuleType]:
    return [import_module(f"{__name__}.{each.name}") for each in iter_modules(__path__)]
