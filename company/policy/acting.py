"""What sending goes by."""

from typing import Annotated

from pydantic import Field

from company.policy.units import Section


class Delivery(Section):
    """Attempts before a message is given up, and the first wait between two dispatches."""

    maximum_attempts: Annotated[int, Field(ge=1)]
    retry_after_minutes: Annotated[float, Field(gt=0)]
