"""What customers at risk who stay go on to bring, against what their value from now supposes."""

import numpy as np
import pandas as pd
import pytest

from retention.measuring.staying import NEEDED, measure_value_share

HORIZON, LIFETIME = 3.0, 4.0


def _share(followed: pd.DataFrame, *, prior: float = 10) -> float:
    return measure_value_share(followed, lifetime_years=LIFETIME, horizon_years=HORIZON, prior_leavers=prior)


def _follow(lifetime: float, *, customers: int = 20_000, years: float = 1.0) -> pd.DataFrame:
    """Return customers who leave at a constant rate, seen for some time."""
    lived = np.random.default_rng(1).exponential(lifetime, customers)
    return pd.DataFrame(
        {
            "probability": 0.2,
            "value_from_now": 50.0,
            "years_followed": np.minimum(lived, years),
            "is_lost": lived < years,
        }
    )


def test_who_was_at_risk_and_leaves_sooner_brings_less_than_the_mean_customer() -> None:
    truth = 1.5 * (1 - np.exp(-HORIZON / 1.5)) / (LIFETIME * (1 - np.exp(-HORIZON / LIFETIME)))
    assert _share(_follow(1.5)) == pytest.approx(truth, rel=0.03)
    assert _share(_follow(9.0)) == 1.0


def test_the_value_at_risk_decides_whose_later_loss_counts() -> None:
    risky, safe = _follow(1.0).assign(probability=0.4), _follow(9.0).assign(probability=0.0)
    assert _share(pd.concat([risky, safe])) == pytest.approx(_share(risky), rel=0.01)


def test_few_decisions_move_the_share_little_and_none_leave_it_at_one() -> None:
    assert _share(pd.DataFrame(columns=list(NEEDED))) == 1.0
    assert _share(_follow(1.0, customers=5)) > 0.8 > _share(_follow(1.0, customers=500))
