"""The units that thresholds are written in, and what all sections of the policy share."""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Score = Annotated[float, Field(ge=0, le=100)]
Days = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Money = Annotated[float, Field(ge=0)]
Level = Literal["high", "medium", "low"]
LEVELS: tuple[Level, ...] = get_args(Level)  # the strongest first
Period = Literal["day", "week", "month", "quarter", "year"]


class Section(BaseModel):
    """A part of the policy: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
