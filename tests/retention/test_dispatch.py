"""The states of a message, by channels that do what a script says, on a clock that a test moves."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from clocks import Clock

from company.policy import load_policy
from retention.acting.channels import Channel, ChannelError, Message, Receipt, build_channels
from retention.acting.channels.base import AskLaterError, NotDeliveredError, RefusedError, UnclearError
from retention.acting.dispatch import DispatchReport, Sending, dispatch
from retention.deciding.plan import plan
from retention.deciding.strategies import Strategy
from retention.store.consents import Consent
from retention.store.outbox import Move
from retention.store.plan_approvals import AlreadyDecidedError
from retention.store.store import Store

AS_OF = date(2017, 12, 1)
AT = datetime(2017, 12, 1, 12, 0, tzinfo=UTC)
NOBODY_HELD_OUT = load_policy({"holdout": {"share": 0.0}, "exploration": {"share": 0.0}})

IMPATIENT = load_policy({"delivery": {"patience_seconds": 0}})

Make = Callable[..., Strategy]
Frame = Callable[..., pd.DataFrame]
Prepare = Callable[..., Sending]


class Scripted(Channel):
    """A channel whose sends and finds do what a script says; a plain word means success."""

    def __init__(
        self, sends: list[Any] | None = None, finds: list[Any] | None = None, *, is_askable: bool = True
    ) -> None:
        self.sends, self.finds, self.sent = sends or [], finds or [], list[Message]()
        self._is_askable = is_askable

    @property
    def is_askable(self) -> bool:
        return self._is_askable

    def send(self, message: Message) -> Receipt:
        step = self.sends.pop(0) if self.sends else "taken"
        if isinstance(step, BaseException):
            raise step
        self.sent.append(message)
        return Receipt(key=message.key, reference=str(step))

    def find(self, key: str) -> Receipt | None:
        step = self.finds.pop(0)
        if isinstance(step, BaseException):
            raise step
        return None if step is None else Receipt(key=key, reference=str(step))


@pytest.fixture
def fill(make_candidates: Frame, make_strategy: Make) -> Callable[..., None]:
    """Commit a plan that treats so many customers."""

    def fill(store: Store, count: int = 1, *, as_of: date = AS_OF, channel: str = "in_app", **commit: object) -> None:
        strategies = [make_strategy(channel=channel)]
        decided = plan(make_candidates(count, as_of=as_of), strategies, NOBODY_HELD_OUT, spent=0).rows
        store.plans.commit(as_of, decided, strategies=strategies, **({"at": AT} | commit))

    return fill


@pytest.fixture
def one(sqlite_store: Store, fill: Callable[..., None]) -> Store:
    fill(sqlite_store)
    return sqlite_store


def fate(store: Store) -> tuple[str, list[str]]:
    return store.outbox.read()["state"].iloc[0], sorted(store.ledger.read()["event"])


def withdraw(store: Store, at: datetime, **changes: object) -> None:
    known = {"customer_id": "c000", "purpose": "marketing", "channel": "all", "is_granted": False, "reported_by": "ann"}
    store.consents.record([Consent(**(known | {"changed_at": at} | changes))], at=at)


def test_sending_turns_every_message_into_a_receipt_and_a_ledger_entry(
    store: Store, fill: Callable[..., None], prepare: Prepare, tmp_path: Path
) -> None:
    fill(store, 14)
    sending = prepare(build_channels({"file": {}}, folder=tmp_path / "out", secrets={}))
    assert dispatch(store, sending) == DispatchReport(sent=14)
    ledger = store.ledger.read()
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == sorted(store.outbox.read()["idempotency_key"])
    assert ledger.loc[ledger["event"] == "sent", "cost"].tolist() == [0.0] * 14
    assert dispatch(store, sending) == DispatchReport()


def test_messages_leave_in_the_order_of_the_plan_and_say_nothing_of_its_figures(
    sqlite_store: Store, fill: Callable[..., None], prepare: Prepare
) -> None:
    fill(sqlite_store, 5)
    channel = Scripted()
    dispatch(sqlite_store, prepare({"*": channel}))
    ordered = sqlite_store.outbox.read().sort_values("rank")
    assert [message.key for message in channel.sent] == ordered["idempotency_key"].tolist()
    assert channel.sent[0].body == {
        "customer_id": ordered["customer_id"].iloc[0],
        "language": "en",
        "text": "10 off for 14 days",
        "valid_until": "2017-12-15",
        "campaign": "voucher",
        "offers": [{"kind": "coupon", "amount": 10.0}],
    }


def test_a_customer_is_written_to_in_their_language(one: Store, prepare: Prepare) -> None:
    known = dict.fromkeys(
        ("email_source", "email_account", "email_token", "phone_source", "phone_account", "phone_token")
    )
    one.recipients.replace(pd.DataFrame([{"customer_id": "c000", "language": "zh", **known}]))
    channel = Scripted()
    dispatch(one, prepare({"*": channel}))
    assert channel.sent[0].body["text"] == "14 天内优惠 10"


def test_nothing_is_sent_when_a_medium_has_no_channel(one: Store, prepare: Prepare) -> None:
    channel = Scripted()
    with pytest.raises(ChannelError, match=r"No channel delivers 'in_app' messages; in company\.yaml add one"):
        dispatch(one, prepare({"sms": channel}))
    assert (channel.sent, fate(one)) == ([], ("planned", ["assigned"]))


def test_a_refused_message_rests_alone_and_its_money_comes_back(
    sqlite_store: Store, fill: Callable[..., None], prepare: Prepare
) -> None:
    fill(sqlite_store, 3)
    channel = Scripted(sends=["ok", RefusedError("unknown customer"), "ok"])
    assert dispatch(sqlite_store, prepare({"*": channel})) == DispatchReport(sent=2, failed=1)
    assert sorted(sqlite_store.outbox.read()["state"]) == ["failed", "sent", "sent"]
    assert sqlite_store.ledger.read()["cost"].sum() == 10.0
    assert sqlite_store.ledger.spent(date(2017, 12, 9), period="month") == 10.0


def test_a_dead_letter_is_sent_again_when_a_person_says_so(one: Store, prepare: Prepare) -> None:
    dispatch(one, prepare({"*": Scripted(sends=[RefusedError("the token is too old")])}))
    assert one.outbox.redrive(None, by="ann", at=AT) == 1
    dispatch(one, prepare({"*": Scripted()}))
    assert fate(one) == ("sent", ["assigned", "failed", "redriven", "sent"])
    assert one.ledger.read()["cost"].sum() == 5.0
    with pytest.raises(ValueError, match="is not failed"):
        one.outbox.redrive([one.outbox.read()["idempotency_key"].iloc[0]], by="ann", at=AT)


def test_a_message_that_did_not_arrive_waits_longer_each_time_and_is_given_up_at_last(
    one: Store, prepare: Prepare, clock: Clock
) -> None:
    policy = load_policy({"delivery": {"maximum_attempts": 3, "retry_after_minutes": 10, "patience_seconds": 0}})
    channel, reports = Scripted(sends=[NotDeliveredError("down")] * 3), []
    for minutes in (0, 9, 10, 29, 30):
        clock.now = AT + timedelta(minutes=minutes)
        reports.append(dispatch(one, prepare({"*": channel}, policy)))
    postponed, nothing, failed = DispatchReport(postponed=1), DispatchReport(), DispatchReport(failed=1)
    assert reports == [postponed, nothing, postponed, nothing, failed]
    assert fate(one) == ("failed", ["assigned", "failed"])


def test_what_cannot_be_asked_stays_unknown_is_never_sent_again_and_counts_as_a_contact(
    one: Store, prepare: Prepare, clock: Clock
) -> None:
    channel = Scripted(sends=[UnclearError("no answer")], is_askable=False)
    dispatch(one, prepare({"*": channel}))
    clock.now += timedelta(days=3)
    dispatch(one, prepare({"*": channel}))
    assert (channel.sent, fate(one)) == ([], ("unknown", ["assigned", "unknown"]))
    assert one.ledger.recent_contacts(date(2017, 12, 20), days=30) == {"c000"}
    key = one.outbox.read()["idempotency_key"].iloc[0]
    one.outbox.decide(key, delivered=True, by="ann", at=AT)
    assert fate(one) == ("sent", ["assigned", "sent", "unknown"])
    assert one.outbox.read()["settled_by"].iloc[0] == "ann"
    with pytest.raises(ValueError, match="is not unknown"):
        one.outbox.decide(key, delivered=False, by="ann", at=AT)


@pytest.mark.parametrize(
    ("answer", "count_sent"),
    [("found", 0), (None, 1)],
)
def test_an_unknown_message_is_settled_by_asking_and_not_before_the_receiver_had_its_time(
    one: Store, prepare: Prepare, clock: Clock, answer: str | None, count_sent: int
) -> None:
    channel = Scripted(sends=[UnclearError("503")], finds=[answer])
    dispatch(one, prepare({"*": channel}))
    assert fate(one) == ("sent", ["assigned", "sent", "unknown"])
    assert len(channel.sent) == count_sent
    assert sum(clock.slept) == load_policy().delivery.ask_after_seconds


def test_a_look_up_that_is_down_is_asked_again_later_and_nothing_is_sent_meanwhile(
    one: Store, prepare: Prepare, clock: Clock
) -> None:
    channel = Scripted(sends=[UnclearError("500")], finds=[AskLaterError("down"), "found"])
    dispatch(one, prepare({"*": channel}))
    assert (fate(one), channel.sent) == (("unknown", ["assigned", "unknown"]), [])
    clock.now += timedelta(hours=1)
    dispatch(one, prepare({"*": channel}))
    assert (fate(one), channel.sent) == (("sent", ["assigned", "sent", "unknown"]), [])


def test_the_claim_is_committed_before_the_channel_is_called(one: Store, prepare: Prepare) -> None:
    seen: list[str] = []

    class Peeking(Scripted):
        def send(self, message: Message) -> Receipt:
            seen.extend(Store(str(one.database.engine.url)).outbox.read()["state"])
            return super().send(message)

    dispatch(one, prepare({"*": Peeking()}))
    assert seen == ["claimed"]


def test_a_message_whose_sender_is_gone_is_asked_about(one: Store, prepare: Prepare) -> None:
    with pytest.raises(KeyboardInterrupt):
        dispatch(one, prepare({"*": Scripted(sends=[KeyboardInterrupt()])}))
    report = dispatch(one, prepare({"*": Scripted(finds=["found"])}))
    assert (report.taken_over, fate(one)) == (1, ("sent", ["assigned", "sent", "unknown"]))


def test_an_answer_from_before_a_message_was_sent_again_changes_nothing(
    one: Store, prepare: Prepare, clock: Clock
) -> None:
    again = Scripted(sends=[UnclearError("503"), UnclearError("503")], finds=[None])
    dispatch(one, prepare({"*": again}, IMPATIENT))
    clock.now += timedelta(minutes=1)
    (asked,) = one.outbox.read_unknown(["in_app"], at=clock.now, limit=9, is_replay=False)
    dispatch(one, prepare({"*": again}, IMPATIENT))
    not_there = Move(state="planned", at=clock.now, attempts=1, not_before=clock.now)
    one.outbox.answer([(asked, not_there)], at=clock.now)
    assert fate(one) == ("unknown", ["assigned", "unknown", "unknown"])


def test_two_senders_at_once_send_each_message_once(store: Store, fill: Callable[..., None], prepare: Prepare) -> None:
    fill(store, 6)
    other, second = Store(store.database.engine.url.render_as_string(hide_password=False)), Scripted()

    class Meddling(Scripted):
        def send(self, message: Message) -> Receipt:
            dispatch(other, prepare({"*": second}))
            return super().send(message)

    first = Meddling(is_askable=False)  # claims one by one, so that some are left for the other
    dispatch(store, prepare({"*": first}))
    keys = [message.key for message in (*first.sent, *second.sent)]
    assert (len(first.sent), len(second.sent)) == (1, 5)
    assert sorted(keys) == sorted(store.outbox.read()["idempotency_key"])
    other.close()


def test_a_consent_withdrawn_the_moment_before_stops_the_message(one: Store, prepare: Prepare) -> None:
    withdraw(one, AT - timedelta(seconds=1))
    channel = Scripted()
    assert dispatch(one, prepare({"*": channel})) == DispatchReport(held=1)
    assert (channel.sent, fate(one)) == ([], ("held", ["assigned", "held"]))
    assert one.ledger.read()["cost"].sum() == 0


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": "profiling"},
        {"channel": "e-mail"},
        {"customer_id": "c001"},
        {"at": AT + timedelta(minutes=1)},
    ],
)
def test_another_consent_stops_nothing(one: Store, prepare: Prepare, change: dict[str, Any]) -> None:
    withdraw(one, **({"at": AT - timedelta(days=1)} | change))
    assert dispatch(one, prepare({"*": Scripted()})) == DispatchReport(sent=1)


def test_a_consent_given_again_counts(one: Store, prepare: Prepare) -> None:
    withdraw(one, AT - timedelta(days=2))
    withdraw(one, AT - timedelta(days=1), channel="app", is_granted=True)
    assert dispatch(one, prepare({"*": Scripted()})) == DispatchReport(sent=1)


def test_a_message_past_its_last_useful_day_is_late(one: Store, prepare: Prepare, clock: Clock) -> None:
    clock.now = AT + timedelta(days=15)
    assert dispatch(one, prepare({"*": Scripted()})) == DispatchReport(late=1)
    assert fate(one) == ("late", ["assigned", "late"])


def test_caps_count_the_messages_that_left_and_those_claimed_a_moment_ago(
    sqlite_store: Store, fill: Callable[..., None], prepare: Prepare, clock: Clock
) -> None:
    for day in range(4):
        fill(sqlite_store, as_of=AS_OF + timedelta(days=day))
    assert dispatch(sqlite_store, prepare({"*": Scripted()})) == DispatchReport(sent=1, capped=3)
    fill(sqlite_store, as_of=AS_OF + timedelta(days=4))
    clock.now += timedelta(days=6)
    assert dispatch(sqlite_store, prepare({"*": Scripted()})) == DispatchReport(sent=1)
    fill(sqlite_store, as_of=AS_OF + timedelta(days=5))
    assert dispatch(sqlite_store, prepare({"*": Scripted()})) == DispatchReport(capped=1)


def test_a_message_waits_for_the_end_of_the_quiet_hours(
    sqlite_store: Store, fill: Callable[..., None], prepare: Prepare, clock: Clock
) -> None:
    fill(sqlite_store, channel="phone")
    clock.now = datetime(2017, 12, 1, 22, 30, tzinfo=UTC)
    channel = Scripted()
    assert dispatch(sqlite_store, prepare({"*": channel})) == DispatchReport(quiet=1)
    assert sqlite_store.outbox.next_due(is_replay=False) == datetime(2017, 12, 2, 9, 0, tzinfo=UTC)
    clock.now = datetime(2017, 12, 2, 9, 0, tzinfo=UTC)
    assert dispatch(sqlite_store, prepare({"*": channel})) == DispatchReport(sent=1)


def test_quiet_hours_end_by_the_companys_clock(prepare: Prepare) -> None:
    rules = replace(prepare({}).rules, timezone="America/New_York")
    assert rules.opens("sms", datetime(2017, 12, 1, 12, 0, tzinfo=UTC)) == datetime(2017, 12, 1, 14, 0, tzinfo=UTC)
    assert rules.opens("email", datetime(2017, 12, 1, 12, 0, tzinfo=UTC)) == datetime(2017, 12, 1, 12, 0, tzinfo=UTC)


def test_a_channel_sends_no_faster_than_it_may(
    sqlite_store: Store, fill: Callable[..., None], prepare: Prepare, clock: Clock
) -> None:
    fill(sqlite_store, 7)
    channel = Scripted()
    channel.per_minute = 3
    sent = []
    for _ in range(4):
        sent.append(dispatch(sqlite_store, prepare({"*": channel})).sent)
        clock.now += timedelta(seconds=61)
    assert sent == [3, 3, 1, 0]


def test_a_channel_that_fails_again_and_again_is_left_alone(
    sqlite_store: Store, fill: Callable[..., None], prepare: Prepare
) -> None:
    fill(sqlite_store, 9)
    channel = Scripted(sends=[NotDeliveredError("down")] * 9)
    report = dispatch(sqlite_store, prepare({"*": channel}))
    assert (len(channel.sends), report.paused) == (4, ("in_app",))
    assert set(sqlite_store.outbox.read()["state"]) == {"planned"}


def test_a_replayed_day_is_lived_at_its_own_moment_and_never_left_to_a_real_channel(
    sqlite_store: Store, fill: Callable[..., None], prepare: Prepare, clock: Clock
) -> None:
    clock.now = AT + timedelta(days=700)
    lived = datetime(2017, 12, 1, 9, 0, tzinfo=UTC)
    fill(sqlite_store, at=clock.now, replayed_at=lived)
    real, gateway = Scripted(), Scripted()
    assert dispatch(sqlite_store, prepare({"*": real})) == DispatchReport()
    assert dispatch(sqlite_store, prepare({"*": gateway}, is_replay=True)) == DispatchReport(sent=1)
    assert (real.sent, gateway.sent[0].is_replay, gateway.sent[0].moment) == ([], True, lived)
    ledger = sqlite_store.ledger.read()
    assert set(ledger["happened_at"]) == {lived}
    assert sqlite_store.ledger.recent_contacts(date(2017, 12, 20), days=30) == {"c000"}
    assert sqlite_store.ledger.recent_contacts(date(2017, 12, 20), days=30, is_replay=False) == set()


def test_an_address_in_an_answer_is_not_kept(one: Store, prepare: Prepare) -> None:
    class Telling(Scripted):
        needs = "phone"

    channel = Telling(sends=[RefusedError("550 no such user ann@example.org, +41 (79) 123-45-67")])
    sending = prepare({"*": channel}, addresses=lambda _customers, _kind: {"c000": "+41791234567"})
    dispatch(one, sending)
    assert one.outbox.read()["trouble"].iloc[0] == "550 no such user (address), (address)"


def test_a_customer_without_an_address_costs_nothing(one: Store, prepare: Prepare) -> None:
    class Posting(Scripted):
        needs = "email"

    asked: list[tuple[list[str], str]] = []
    channel = Posting()
    dispatch(one, prepare({"*": channel}, addresses=lambda who, kind: asked.append((list(who), kind)) or {}))
    assert (channel.sent, asked, fate(one)) == ([], [(["c000"], "email")], ("failed", ["assigned", "failed"]))


def test_what_a_receiver_reports_is_recorded_once_and_settles_what_was_unknown(one: Store, prepare: Prepare) -> None:
    dispatch(one, prepare({"*": Scripted(sends=[UnclearError("no answer")], is_askable=False)}))
    key = one.outbox.read()["idempotency_key"].iloc[0]
    again = [one.outbox.report(key, event, happened_at=AT, at=AT) for event in ("opened", "opened", "redeemed")]
    assert again == [True, False, True]
    assert fate(one) == ("sent", ["assigned", "opened", "redeemed", "sent", "unknown"])
    with pytest.raises(KeyError):
        one.outbox.report("nobody's", "opened", happened_at=AT, at=AT)


def test_the_same_occasion_is_never_written_twice(
    sqlite_store: Store, make_candidates: Frame, make_strategy: Make
) -> None:
    strategies = [make_strategy()]
    for day in (AS_OF, AS_OF + timedelta(days=40)):
        decided = plan(make_candidates(1, as_of=day), strategies, NOBODY_HELD_OUT, spent=0).rows.assign(
            occasion="cart 7"
        )
        sqlite_store.plans.commit(day, decided, strategies=strategies, at=AT)
    assert len(sqlite_store.outbox.read()) == 1
    assert sqlite_store.ledger.read()["event"].tolist() == ["assigned"]


@pytest.mark.parametrize("milliseconds", range(3, 30, 3))
def test_what_becomes_due_while_a_slow_sender_looks_is_not_left(
    one: Store, prepare: Prepare, milliseconds: int
) -> None:
    moments = iter(AT + timedelta(milliseconds=milliseconds * number) for number in range(10_000))
    channel = Scripted(sends=[UnclearError("no answer")], finds=["taken"])
    policy = load_policy({"delivery": {"ask_after_seconds": 0.05}})
    dispatch(one, prepare({"*": channel}, policy, clock=lambda: next(moments), sleep=lambda _: None))
    assert fate(one)[0] == "sent"


def test_nothing_of_a_plan_leaves_before_a_person_has_approved_it(
    store: Store, fill: Callable[..., None], prepare: Prepare
) -> None:
    fill(store, 3, needs_approval=True)
    channel = Scripted()
    assert dispatch(store, prepare({"*": channel})) == DispatchReport()
    assert (channel.sent, store.outbox.next_due(is_replay=False)) == ([], None)
    assert store.plan_approvals.count_waiting() == {AS_OF: 3}
    given, waited = store.plan_approvals.decide(AS_OF, is_approved=True, by="ann", at=AT)
    assert (store.plan_approvals.find(AS_OF), waited) == (given, 3)
    assert dispatch(store, prepare({"*": channel})) == DispatchReport(sent=3)


def test_a_refused_plan_never_leaves_costs_nothing_and_cannot_be_approved_any_more(
    sqlite_store: Store, fill: Callable[..., None], prepare: Prepare
) -> None:
    fill(sqlite_store, 2, needs_approval=True)
    sqlite_store.plan_approvals.decide(AS_OF, is_approved=False, by="ann", at=AT)
    with pytest.raises(AlreadyDecidedError, match="No message of the plan of 2017-12-01 waits"):
        sqlite_store.plan_approvals.decide(AS_OF, is_approved=True, by="bob", at=AT)
    assert dispatch(sqlite_store, prepare({"*": Scripted()})) == DispatchReport()
    assert fate(sqlite_store) == ("held", ["assigned", "assigned", "held", "held"])
    assert sqlite_store.outbox.read()["trouble"].unique().tolist() == ["the plan was refused by ann"]
    assert sqlite_store.ledger.spent(AS_OF + timedelta(days=1), period="month") == 0


def test_a_replayed_day_needs_no_approval(sqlite_store: Store, fill: Callable[..., None]) -> None:
    fill(sqlite_store, 2, needs_approval=True, replayed_at=AT)
    assert sqlite_store.plan_approvals.count_waiting() == {}
