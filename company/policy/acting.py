"""What sending goes by."""

from typing import Annotated, Literal

from pydantic import Field

from company.policy.units import Section


class Delivery(Section):
    """How often a message is tried, how long a sender holds one, and when a receiver is asked what became of it."""

    maximum_attempts: Annotated[int, Field(ge=1)]
    retry_after_minutes: Annotated[float, Field(gt=0)]
    ask_after_seconds: Annotated[float, Field(ge=0)]
    lease_minutes: Annotated[float, Field(ge=3)]
    patience_seconds: Annotated[float, Field(ge=0)]
    pause_after_failures: Annotated[int, Field(ge=1)]
    language: Literal["en", "zh"]
