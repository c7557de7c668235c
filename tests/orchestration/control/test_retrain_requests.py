from datetime import UTC, date, datetime, timedelta

from orchestration.control.retrain_requests import RetrainRequests
from retention.store.store import Store

AS_OF = date(2017, 12, 1)
AT = datetime(2017, 12, 1, 3, 0, tzinfo=UTC)


def test_retraining_is_granted_once_per_cool_down_and_every_asking_is_kept(store: Store) -> None:
    ask = [
        RetrainRequests(store).submit(
            trigger, AS_OF + timedelta(days=days), evidence={"psi": 0.4}, cooldown_days=25, at=AT
        )
        for trigger, days in (("drift", 0), ("performance", 10), ("drift", 25))
    ]
    assert [request.is_accepted for request in ask] == [True, False, True]
    assert ask[1].decision == "put off: the request of 2017-12-01 (drift) is less than 25 days old"
    assert len(RetrainRequests(store).read()) == 3


def test_the_same_asking_again_gets_the_same_answer(store: Store) -> None:
    ask = [
        RetrainRequests(store).submit(
            "drift", AS_OF, evidence={"psi": 0.4}, cooldown_days=25, at=AT + timedelta(hours=hour)
        )
        for hour in (0, 9)
    ]
    assert ask[0] == ask[1]
    assert RetrainRequests(store).read()["evidence"].tolist() == ['{"psi": 0.4}']


def test_a_person_may_ask_for_retraining_within_the_cool_down(store: Store) -> None:
    RetrainRequests(store).submit("drift", AS_OF, evidence={}, cooldown_days=25, at=AT)
    later = AS_OF + timedelta(days=1)
    assert RetrainRequests(store).submit("manual", later, evidence={}, cooldown_days=25, at=AT).is_accepted
