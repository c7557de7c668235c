from datetime import UTC, date, datetime

import pytest

from orchestration.control.model_events import ModelEvents
from orchestration.control.retrain_requests import RetrainRequests
from retention.store.store import Store

AS_OF = date(2017, 12, 1)
AT = datetime(2017, 12, 1, 3, 0, tzinfo=UTC)


def test_a_version_waits_until_a_person_decides(store: Store) -> None:
    waiting = ModelEvents(store).find_review("3")
    made = ModelEvents(store).review("3", approve=True, by="ann", comment="calibrated", at=AT)
    assert (waiting, ModelEvents(store).find_review("3"), made.event) == (None, made, "approved")
    assert ModelEvents(store).review("3", approve=True, by="bob", comment="", at=AT) == made


def test_a_version_cannot_be_both_approved_and_rejected(store: Store) -> None:
    ModelEvents(store).review("3", approve=False, by="ann", comment="unfair", at=AT)
    with pytest.raises(ValueError, match="version 3 was rejected by ann; it cannot be approved as well"):
        ModelEvents(store).review("3", approve=True, by="bob", comment="", at=AT)


def test_a_review_without_a_name_is_refused(sqlite_store: Store) -> None:
    with pytest.raises(ValueError, match="A review needs the name of a person"):
        ModelEvents(sqlite_store).review("3", approve=True, by=" ", comment="", at=AT)


def test_the_champions_are_remembered_in_order_and_a_rollback_is_one_of_them(store: Store) -> None:
    request = RetrainRequests(store).submit("drift", AS_OF, evidence={}, cooldown_days=25, at=AT)
    ModelEvents(store).move_champion("1", by="policy", comment="first", at=AT)
    ModelEvents(store).move_champion("2", by="policy", comment="+0.01 AUC", at=AT, request_id=request.request_id)
    ModelEvents(store).move_champion("2", by="policy", comment="again", at=AT)
    ModelEvents(store).move_champion("1", by="ann", comment="worse in stores", at=AT, rolled_back=True)
    found = [(move.number, move.version, move.event, move.request_id) for move in ModelEvents(store).champions()]
    assert found == [
        (1, "1", "promoted", None),
        (2, "2", "promoted", request.request_id),
        (3, "1", "rolled_back", None),
    ]
    assert ModelEvents(store).read()["comment"].tolist() == ["first", "+0.01 AUC", "worse in stores"]
