"""Guardrails: what contact may bring about as well, and from when it counts as broken."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from company.policy import load_policy
from retention.measuring.guardrails import find_broken, read_guardrails

POLICY = load_policy({"holdout": {"share": 0.5, "rotates_from": None}})
TODAY = date(2025, 4, 1)


def _decide(strategy: str, *, treated: float, held_out: float, count: int = 2000) -> pd.DataFrame:
    """Return matured decisions, half of them held out, of whom these shares complain."""
    arm = np.where(np.arange(count) % 2, "treated", "holdout")
    places = np.arange(count) // 2 / (count / 2)
    return pd.DataFrame(
        {
            "strategy_id": strategy, "arm": arm, "customer_id": [f"{strategy}{number}" for number in range(count)],
            "as_of": date(2025, 1, 10), "is_mature": True,
            "complaints": (places < np.where(arm == "treated", treated, held_out)).astype(float),
            "opt_outs": np.nan, "margin": 10.0,
        }
    )  # fmt: skip


def _read(*parts: pd.DataFrame) -> pd.DataFrame:
    return read_guardrails(pd.concat(parts), POLICY, today=TODAY).set_index(["strategy_id", "guardrail"])


@pytest.mark.parametrize(
    ("treated", "held_out", "is_broken"), [(0.15, 0.03, True), (0.04, 0.03, False), (0.03, 0.15, False)]
)
def test_a_guardrail_is_broken_where_the_treated_certainly_do_worse_than_is_allowed(
    treated: float, held_out: float, *, is_broken: bool
) -> None:
    row = _read(_decide("s", treated=treated, held_out=held_out)).loc[("s", "complaints")]
    assert (row["treated"], row["holdout"]) == pytest.approx((treated, held_out))
    assert row["difference_low"] < treated - held_out < row["difference_high"]
    assert bool(row["is_broken"]) is is_broken


def test_less_margin_is_worse_and_more_is_not() -> None:
    rng = np.random.default_rng(0)
    same = _decide("s", treated=0.0, held_out=0.0)
    noise = rng.normal(size=len(same))
    moved = [same.assign(margin=10 + noise + by * same["arm"].eq("treated")) for by in (-6.0, -4.0, 6.0)]
    assert [bool(_read(each).loc[("s", "margin"), "is_broken"]) for each in moved] == [True, False, False]


def test_few_decisions_break_nothing_and_what_is_not_connected_has_no_figure() -> None:
    found = _read(_decide("s", treated=1.0, held_out=0.0, count=30))
    assert not found["is_broken"].any()
    assert found.loc[("s", "complaints"), ["treated", "holdout"]].tolist() == [1.0, 0.0]
    assert found.loc[("s", "opt_outs"), ["n_treated", "n_holdout"]].tolist() == [0, 0]
    assert found.loc[("s", "opt_outs"), ["treated", "difference"]].isna().all()


def test_the_first_guardrail_broken_is_named_by_strategy() -> None:
    bad, good = _decide("bad", treated=0.2, held_out=0.0), _decide("good", treated=0.0, held_out=0.0)
    assert find_broken(_read(bad, good).reset_index()) == {"bad": "complaints"}
