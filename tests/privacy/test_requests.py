"""A request goes from state to state, each step by a person, and its due date is pointed out in time."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from privacy.requests import STATES, Request, RequestError, State, check_move, remind

REQUEST = Request(
    request_id="0123456789abcdef", kind="erasure", law="gdpr", customer_token="tok_1", received_on=date(2024, 1, 31),
    due_on=date(2024, 2, 29), state="received", changed_at=datetime(2024, 1, 31, tzinfo=UTC), changed_by="dpo", note="",
    sealed="00",
)  # fmt: skip
MAY_FOLLOW = {
    "received": {"verified", "refused"},
    "verified": {"planned", "running", "refused", "held"},
    "planned": {"planned", "running", "refused", "held"},
    "running": {"running", "partial", "done"},
    "partial": {"running"},
    "held": {"verified", "refused"},
    "done": set(),
    "refused": set(),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("to", STATES)
def test_a_state_follows_only_where_it_may(state: State, to: State) -> None:
    request = replace(REQUEST, state=state)
    if to in MAY_FOLLOW[state]:
        check_move(request, to, by="dpo", note="a reason")
    else:
        with pytest.raises(RequestError, match=f"is {state} and cannot become {to}"):
            check_move(request, to, by="dpo", note="a reason")


def test_nobody_moves_a_request_without_a_name_or_refuses_it_without_a_reason() -> None:
    with pytest.raises(RequestError, match="--by"):
        check_move(REQUEST, "verified", by=" ", note="")
    with pytest.raises(RequestError, match="--reason"):
        check_move(REQUEST, "refused", by="dpo", note="")


def test_open_requests_are_pointed_out_before_they_are_due_and_ended_ones_are_not() -> None:
    soon, late = replace(REQUEST, request_id="soon"), replace(REQUEST, request_id="late", due_on=date(2024, 2, 1))
    far, done = replace(REQUEST, request_id="far", due_on=date(2024, 5, 1)), replace(REQUEST, state="done")
    reminders = remind([soon, far, done, late], today=date(2024, 2, 25), days_before=7)
    assert [each.split(" (")[0] for each in reminders] == ["The request late", "The request soon"]
    assert "was due on 2024-02-01" in reminders[0]
    assert "is due on 2024-02-29" in reminders[1]
