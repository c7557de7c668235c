"""Champion and challenger side by side: whose customers were worth more, less what was spent."""

import numpy as np
import pandas as pd
import pytest

from company.policy import load_policy
from retention.measuring.model_trial import compare_models, draw_challenged

POLICY = load_policy()


def _live(*, leaves: tuple[float, float], days: int = 6, customers: int = 3000, seed: int = 0) -> pd.DataFrame:
    """Return what became of customers whom a champion (1) and a challenger (2) score, with their rates of leaving."""
    rng = np.random.default_rng(seed)
    ids = np.array([f"c{number}" for number in range(customers)])
    is_challenger = draw_challenged(ids, champion="1", challenger="2", share=0.5)
    value = rng.lognormal(4, 0.5, customers)
    frames = [
        pd.DataFrame(
            {
                "as_of": day,
                "customer_id": ids,
                "model_version": np.where(is_challenger, "2", "1"),
                "churned": rng.random(customers) < np.where(is_challenger, leaves[1], leaves[0]),
                "value_from_now": value,
            }
        )
        for day in range(days)
    ]
    return pd.concat(frames, ignore_index=True)


def _compare(outcomes: pd.DataFrame, costs: dict[str, float]) -> dict[str, object]:
    spent = pd.DataFrame({"as_of": 0, "model_version": list(costs), "cost": list(costs.values())})
    return compare_models(outcomes, spent, POLICY, champion="1", challenger="2")


@pytest.mark.parametrize(
    ("leaves", "verdict"), [((0.15, 0.06), "challenger"), ((0.06, 0.15), "champion"), ((0.1, 0.1), "open")]
)
def test_the_model_whose_customers_were_worth_more_wins(leaves: tuple[float, float], verdict: str) -> None:
    assert _compare(_live(leaves=leaves), {})["verdict"] == verdict


def test_what_a_model_costs_more_is_taken_off_what_its_customers_kept() -> None:
    outcomes = _live(leaves=(0.15, 0.06))
    free, dear = _compare(outcomes, {}), _compare(outcomes, {"2": 90_000.0})
    assert dear["difference"] == pytest.approx(free["difference"] - 90_000 / free["count_challenger"])
    assert (free["verdict"], dear["verdict"]) == ("challenger", "champion")


def test_a_customer_stays_with_a_model_and_days_before_the_trial_do_not_count() -> None:
    outcomes = _live(leaves=(0.1, 0.1))
    assert not outcomes[["customer_id", "model_version"]].drop_duplicates()["customer_id"].duplicated().any()
    before = outcomes.assign(as_of=-1, model_version="1", churned=True)
    assert _compare(pd.concat([before, outcomes]), {}) == _compare(outcomes, {})


def test_few_customers_decide_nothing() -> None:
    assert _compare(_live(leaves=(0.9, 0.0), days=1, customers=100), {})["verdict"] == "open"
    nothing = _compare(_live(leaves=(0.9, 0.0), days=1, customers=100).iloc[:0], {})  # no window is over yet
    assert (nothing["verdict"], nothing["count_challenger"], nothing["value_champion"]) == ("open", 0, None)
