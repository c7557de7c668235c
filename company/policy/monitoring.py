"""What monitoring compares with: drift, decay and the forecast."""

from typing import Annotated

from pydantic import Field

from company.policy.units import Count, Days, Level, Money, Section, Share


class Drift(Section):
    """When features have moved so far that a retrain is asked for, and how often it may be."""

    minimum_rows: Count
    psi: Money
    ks: Share
    importance_share: Share
    drifted_importance: Share
    score_psi: Money
    consecutive: Annotated[int, Field(ge=1)]
    cooldown_days: Days
    page: bool


class Performance(Section):
    """When matured scores show that the champion has decayed."""

    minimum_rows: Count
    minimum_accuracy: Share
    maximum_auc_drop: Share
    maximum_calibration_error: Share
    consecutive: Annotated[int, Field(ge=1)]


class Forecast(Section):
    """The forecast of the overall churn rate."""

    groups: tuple[str, ...]
    months_ahead: Annotated[int, Field(ge=1)]
    coverage: Annotated[float, Field(gt=0, lt=1)]
    minimum_customers: Count


class Anomaly(Section):
    """Customers whose days changed: how often that may be wrong, who can be seen to change, what it raises."""

    weekly_false_alarms: Annotated[float, Field(gt=0, lt=1)]
    least_days: Annotated[float, Field(gt=0, le=28)]
    alert_level: Level | None
