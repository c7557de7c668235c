"""What the gates allow."""

from typing import Annotated

from pydantic import Field

from company.policy.units import Count, Section, Share


class Gates(Section):
    """Limits of the gates."""

    maximum_quarantine_share: Share
    maximum_future_share: Share
    maximum_unknown_share: Share
    minimum_rows_share: Share
    maximum_null_share: Share
    explosion_factor: Annotated[float, Field(gt=1)]
    minimum_rows: Count
    minimum_customers: Count
    base_rate_band: Share
    maximum_score_share_at_one_value: Share
