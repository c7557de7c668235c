"""Industry presets: what churn means, which ranges are plausible, what the policy changes, what may be done about it.

A preset is a YAML file in this folder, found by its name; one line of a company file picks one. Its `strategies` are
validated by `retention.deciding.strategy_files`.
"""

from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from company.churn import ChurnDefinition
from company.cleaning import Bound
from company.facts import WORDS, Wording
from company.yaml_file import load_yaml

FOLDER = Path(__file__).parent


class IndustryError(Exception):
    """A preset cannot be used; the message is one paragraph that names the file, the key and the fix."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ChurnLine(_Part):
    """The industry's usual churn: `rate` of the customers within `period_days`, and where that comes from."""

    rate: Annotated[float, Field(gt=0, le=1)]
    period_days: Annotated[int, Field(gt=0)]
    basis: Literal["cited", "assumption"]
    source: str

    def over(self, days: int) -> float:
        """Return the rate over another number of days, at a constant hazard."""
        return float(1 - (1 - self.rate) ** (days / self.period_days))


class Industry(_Part):
    """One preset; `path` is its file, `policy` its changes to the default policy, `words` what it calls an order.

    `churn` are its churn definitions, the preferred one first; rows outside of its `bounds` are quarantined.
    """

    name: str
    path: Path
    churn_line: ChurnLine
    churn: Annotated[tuple[ChurnDefinition, ...], Field(min_length=1)]
    bounds: tuple[Bound, ...]
    words: dict[str, Wording]
    policy: dict[str, Any]
    strategies: tuple[dict[str, Any], ...]

    @model_validator(mode="after")
    def _has_every_word(self) -> Self:
        missing = [word for word in WORDS if word not in self.words]
        if missing:
            raise ValueError(f"`words` lacks {', '.join(missing)}")
        return self

    def usual_churn(self, tables: Collection[str]) -> ChurnDefinition | None:
        """Return the preferred churn definition that the connected `tables` can answer, None when there is none."""
        return next((definition for definition in self.churn if definition.table in tables), None)


def names() -> tuple[str, ...]:
    """Return the names of the presets, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


@cache
def load_industry(name: str) -> Industry:
    """Read the preset called `name`; raises IndustryError when there is none, or when its file is wrong."""
    if name not in names():
        raise IndustryError(
            f"The industry {name!r} is unknown; in company.yaml set `industry` to one of {list(names())}."
        )
    return read_industry(FOLDER / f"{name}.yaml")


def read_industry(path: Path) -> Industry:
    """Read a preset from any file; raises IndustryError."""
    try:
        content = load_yaml(path)
        return Industry.model_validate({"name": path.stem, "path": path, **content})
    except (OSError, yaml.YAMLError, TypeError) as error:
        raise IndustryError(
            f"The industry file {path} cannot be read ({error}); correct its path or its YAML."
        ) from error
    except ValidationError as error:
        raise IndustryError(_explain(error, path=path)) from None


def _explain(error: ValidationError, *, path: Path) -> str:
    fault = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in fault["loc"]) or "the whole file"
    return f"The industry file {path} has a fault at {key!r}: {fault['msg']}; correct it there."
