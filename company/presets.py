"""What an industry preset says about a company's rows: what losing a customer means, and which values are plausible.

The presets are the data files of the folder `industries`; here only their parts `churn` and `gates` are read.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "industries"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """The churn definitions of an industry, the preferred one first, and the ranges of plausible values."""

    churn: tuple[dict[str, Any], ...]
    bounds: tuple[dict[str, Any], ...]

    def usual_churn(self, tables: Collection[str]) -> dict[str, Any] | None:
        """Return the first definition that the connected `tables` can answer, or None."""
        for definition in self.churn:
            if set(definition["needs"]) <= set(tables):
                return {name: value for name, value in definition.items() if name != "needs"}
        return None


def names() -> tuple[str, ...]:
    """Return the names of the presets, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


@cache
def read_preset(name: str) -> Preset:
    """Read the preset called `name`; raises KeyError when there is none."""
    if name not in names():
        raise KeyError(name)
    document = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return Preset(churn=tuple(document["churn"]), bounds=tuple(document["gates"]))
