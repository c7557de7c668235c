"""What people decide about identity is kept, by name, and the last word holds."""

from datetime import UTC, datetime

import pytest

from orchestration.control.identity_decisions import IdentityDecisions
from retention.store.store import Store

AT = datetime(2026, 1, 1, 9, tzinfo=UTC)


@pytest.fixture
def decided(sqlite_store: Store) -> Store:
    return sqlite_store


def say(store: Store, customer_id: str, other_id: str | None, *, is_apart: bool = True) -> int:
    told = IdentityDecisions(store).decide(
        customer_id, other_id=other_id, is_apart=is_apart, by="Ann", reason="called", at=AT
    )
    return told.number


def test_ids_are_kept_apart_until_somebody_takes_it_back(decided: Store) -> None:
    numbers = [say(decided, "b", "a"), say(decided, "c", None), say(decided, "a", "b"), say(decided, "c", "a")]
    assert numbers == [1, 2, 1, 3]
    say(decided, "a", "b", is_apart=False)
    assert [(one.customer_id, one.other_id, one.number) for one in IdentityDecisions(decided).read_apart()] == [
        ("c", None, 2),
        ("c", "a", 3),
    ]
    assert say(decided, "b", "a") == 5


def test_a_decision_needs_a_name_a_reason_and_two_ids(decided: Store) -> None:
    with pytest.raises(ValueError, match="needs the name of a person and a reason"):
        IdentityDecisions(decided).decide("a", is_apart=True, by=" ", reason="called", at=AT)
    with pytest.raises(ValueError, match="cannot be taken apart from itself"):
        say(decided, "a", "a")
    assert IdentityDecisions(decided).read_apart() == []


def test_taking_back_what_nobody_decided_adds_nothing(decided: Store) -> None:
    assert (say(decided, "a", "b", is_apart=False), IdentityDecisions(decided).read_apart()) == (0, [])
