"""Industry presets: what churn means, which features count, which ranges are plausible, what may be done about it.

`retail.yaml`, `ecommerce.yaml`, `finance.yaml`, `telecom.yaml` and `saas.yaml` lie beside this file; one line of a
company file picks one. The `strategies` of a preset are read by
`retention.deciding.strategies.load_strategies(preset.path)`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from company.taxonomy import Family

FOLDER = Path(__file__).parent

Days = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]


class IndustryError(Exception):
    """A preset cannot be used; the message is one paragraph that names the file, the key and the fix."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Wording(_Part):
    """A label in English and in Chinese."""

    en: str
    zh: str


class ChurnDefinition(_Part):
    """One meaning of having left.

    `inactivity`: active within `active_within_days` before, no purchase in the horizon. `contract_end`: the contract
    ends in the horizon without a successor. `spend_fall`: spend in the horizon falls by `fall_share` against the same
    length before. `account_closed`: the account is closed in the horizon.
    """

    definition: Literal["inactivity", "contract_end", "spend_fall", "account_closed"]
    horizon_days: Annotated[int, Field(gt=0)]
    lead_days: Days = 0
    active_within_days: Annotated[int, Field(gt=0)] | None = None
    fall_share: Share | None = None
    needs: tuple[str, ...]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.definition in {"inactivity", "spend_fall"} and self.active_within_days is None:
            raise ValueError(f"the definition {self.definition} needs active_within_days")
        if (self.definition == "spend_fall") != (self.fall_share is not None):
            raise ValueError("fall_share belongs to the definition spend_fall, and it needs one")
        return self


class ChurnLine(_Part):
    """The industry's usual churn: `rate` of the customers within `period_days`, and where that comes from."""

    rate: Share
    period_days: Annotated[int, Field(gt=0)]
    basis: Literal["cited", "assumption"]
    source: str

    def over(self, days: int) -> float:
        """Return the rate over another number of days, at a constant hazard."""
        return float(1 - (1 - self.rate) ** (days / self.period_days))


class FeatureFamily(_Part):
    """One family of indicators: the weight experts give it, and the source tables it lives on."""

    family: Family
    weight: Share
    needs: tuple[str, ...]


class Range(_Part):
    """A gate: values of a column, or of one metric in `usage`, outside of which a row is implausible."""

    table: str
    column: str
    metric: str | None = None
    low: float | None = None
    high: float | None = None


class Industry(_Part):
    """One preset; `path` is its file, `policy` its changes to the default policy."""

    name: str
    path: Path
    label: Wording
    churn_line: ChurnLine
    churn: Annotated[tuple[ChurnDefinition, ...], Field(min_length=1)]
    features: Annotated[tuple[FeatureFamily, ...], Field(min_length=1)]
    gates: tuple[Range, ...]
    reasons: dict[str, Wording]
    policy: dict[str, Any]
    strategies: tuple[dict[str, Any], ...]

    @model_validator(mode="after")
    def _weigh_to_one(self) -> Self:
        if abs(sum(family.weight for family in self.features) - 1) > 1e-6:  # noqa: PLR2004 - rounding
            raise ValueError("the weights of the feature families must sum to 1")
        return self

    def families(self, tables: Mapping[str, object] | set[str]) -> tuple[str, ...]:
        """Return the families that live on at least one of the connected `tables`."""
        return tuple(family.family for family in self.features if set(family.needs) & set(tables))

    def definitions(self, tables: Mapping[str, object] | set[str]) -> tuple[ChurnDefinition, ...]:
        """Return the churn definitions that the connected `tables` can answer, the preferred one first."""
        return tuple(definition for definition in self.churn if set(definition.needs) <= set(tables))


def names() -> tuple[str, ...]:
    """Return the names of the presets, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


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
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
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
