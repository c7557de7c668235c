from collections.abc import Callable
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from company.policy import Policy, load_policy
from retention.acting.alerts import raise_alerts
from retention.deciding.plan import plan
from retention.deciding.strategies import Strategy
from retention.deciding.tiers import assign
from retention.measuring.outcomes import read_effects
from retention.store.frames import EFFECTS, LEDGER_ENTRIES, PLAN, RAISED, STRATEGY_EFFECTS, to_arrow
from retention.store.store import Store

AT = datetime(2017, 12, 1, 3, 0, tzinfo=UTC)

Make = Callable[..., Strategy]
Frame = Callable[..., pd.DataFrame]


@pytest.mark.parametrize("count", [0, 2])
def test_a_plan_that_does_nothing_has_the_columns_of_one_that_acts(
    count: int, make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    acting = to_arrow(plan(make_candidates(2), [make_strategy()], policy, spent=0).rows, PLAN)
    idle = plan(make_candidates(count, main_reason=None, value=np.nan, model_version=None), [], policy, spent=0).rows
    assert to_arrow(idle, PLAN).schema == acting.schema
    assert acting.schema.field("strategy_id").type == pa.string()
    assert acting.schema.field("as_of").type == pa.date32()


def test_one_name_has_the_type_of_each_frame_and_an_unknown_column_is_named() -> None:
    nothing = pd.Series(dtype=object)
    frame = pd.DataFrame({"level": nothing})
    assert [to_arrow(frame, each).schema.field("level").type for each in (EFFECTS, RAISED)] == [
        pa.float64(),
        pa.string(),
    ]
    with pytest.raises(ValueError, match=r"The schema has no lvl; add their types"):
        to_arrow(frame.rename(columns={"level": "lvl"}), EFFECTS)


def test_no_alerts_have_the_columns_of_some(make_candidates: Frame) -> None:
    policy = load_policy()
    scores = assign(make_candidates(2, why_en="w", why_zh="z").drop(columns="level"), policy)
    none, some = (to_arrow(raise_alerts(rows, policy), RAISED) for rows in (scores.iloc[:0], scores))
    assert none.schema == some.schema


def test_moments_lose_their_zone_and_not_their_hour(
    sqlite_store: Store, make_candidates: Frame, make_strategy: Make, policy: Policy
) -> None:
    empty = to_arrow(sqlite_store.ledger.read(), LEDGER_ENTRIES).schema
    decided = plan(make_candidates(1), [make_strategy()], policy, spent=0).rows
    sqlite_store.plans.commit(date(2017, 12, 1), decided, strategies=[make_strategy()], at=AT)
    ledger = to_arrow(sqlite_store.ledger.read(), LEDGER_ENTRIES)
    assert ledger.schema == empty
    assert ledger.column("recorded_at").to_pylist() == [AT.replace(tzinfo=None)]


def test_effects_without_any_decision_have_numbers_for_columns() -> None:
    columns = ("customer_id", "strategy_id", "arm", "as_of", "outcome_until", "churned", "is_mature")
    nobody = pd.DataFrame({name: [] for name in columns})
    effects = to_arrow(read_effects(nobody, load_policy(), today=date(2017, 12, 1)), STRATEGY_EFFECTS)
    assert effects.schema.field("difference_low").type == pa.float64()
    assert effects.schema.field("decided_on").type == pa.date32()
    assert effects.column("n_treated").to_pylist() == [0]
