"""What customers at risk who stay go on to bring: who was at risk is so again, and leaves earlier than the mean."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

NEEDED = ("probability", "value_from_now", "years_followed", "is_lost")


def measure_value_share(
    followed: "pd.DataFrame", *, lifetime_years: float, horizon_years: float, prior_leavers: float
) -> float:
    """Return which share of their value from now customers bring who were about to leave and stayed; at most 1.

    Args:
        followed: `NEEDED`, one row per decision whose customer was retained: the probability of leaving and the value
            from now on at the decision, how many years the customer has been seen since the window, and whether they
            were lost for good in that time.
        lifetime_years: the mean lifetime of all customers, on which a value from now rests.
        horizon_years: the years that a value from now counts at most.
        prior_leavers: lost customers that the mean lifetime counts as, against those seen here.

    A value from now is that of the mean customer. The yearly loss of those who were kept is taken from all decisions,
    weighted by the value at risk, since it is in proportion to it that customers are kept; both lifetimes become years
    within the horizon as lifetime x (1 - exp(-horizon / lifetime)). Without any decision the share is 1.
    """
    weights = (
        (followed["probability"].astype(float) * followed["value_from_now"].astype(float)).clip(lower=0).to_numpy()
    )
    if not weights.sum() > 0:
        return 1.0
    weights = weights / weights.mean()
    lived = float(weights @ followed["years_followed"].to_numpy(dtype=float))
    lost = float(weights @ followed["is_lost"].to_numpy(dtype=float))
    own_years = (lived + prior_leavers * lifetime_years) / (lost + prior_leavers)
    return min(_within(own_years, horizon_years) / _within(lifetime_years, horizon_years), 1.0)


def _within(lifetime: float, horizon: float) -> float:
    """Return the years expected within a horizon of whoever leaves at a constant rate."""
    return float(lifetime * (1 - np.exp(-horizon / lifetime)))
