"""The rules of identity, read from `rules.yaml` into frozen types."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from company.yaml_file import load_yaml

RULES = Path(__file__).with_name("rules.yaml")

Share = Annotated[float, Field(gt=0, lt=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Level(_Part):
    """One way in which two records may agree: how often those of one customer do (`m`), and those of two (`u`)."""

    label: str
    m: Share
    u: Share


class Probability(_Part):
    """What each kind of evidence says on its own."""

    proof: Share
    proof_phone: Share
    profile: Share
    sole_owner: Share
    sole_contact: Share


class Comparison(_Part):
    """The model of the comparison in clear; levels go from the best agreement to none."""

    prior: Share
    name: tuple[Level, Level, Level]
    birth_date: tuple[Level, Level, Level]
    contact: tuple[Level, Level, Level, Level]


class Similar(_Part):
    """From which likeness on two texts are called similar."""

    name: Share
    address: Share


class Rules(_Part):
    """How records are recognised as the same customer's."""

    most_owners: Annotated[int, Field(ge=2)]
    common_date_share: Share
    least_probability: Share
    probability: Probability
    comparison: Comparison
    similar: Similar

    @property
    def digest(self) -> str:
        """The same for the same rules."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


@cache
def load_rules(path: Path = RULES) -> Rules:
    """Return the rules that stand in `path`."""
    return Rules.model_validate(load_yaml(path))
