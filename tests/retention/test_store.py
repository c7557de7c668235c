import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Table, delete, select, text, update
from sqlalchemy.exc import DatabaseError

from company.policy import load_policy
from retention.acting.alerts import raise_alerts
from retention.acting.channels import (
    ChannelError,
    FileChannel,
    Message,
    NotDeliveredError,
    Receipt,
    RefusedError,
    UnclearError,
)
from retention.acting.channels.base import AskLaterError
from retention.acting.outbox import DispatchReport
from retention.deciding.plan import plan
from retention.deciding.strategies import Strategy
from retention.deciding.tiers import assign
from retention.store import database
from retention.store import store as store_module
from retention.store.database import StoreBusyError
from retention.store.store import Store, period_of
from retention.store.tables import APPEND_ONLY, LEDGER, METADATA, OUTBOX

AS_OF = date(2017, 12, 1)
AT = datetime(2017, 12, 1, 3, 0, tzinfo=UTC)
POLICY = load_policy({"holdout": {"share": 0.3}})

Make = Callable[..., Strategy]
Frame = Callable[..., pd.DataFrame]


@pytest.fixture
def strategies(make_strategy: Make) -> list[Strategy]:
    return [make_strategy()]


@pytest.fixture
def decided(make_candidates: Frame, strategies: list[Strategy]) -> pd.DataFrame:
    people = make_candidates(20, clv=[float(10 * number) for number in range(20)])
    return plan(people, strategies, POLICY, spent=0)


class Scripted:
    """A channel whose sends and finds do what a script says; a plain word means success."""

    def __init__(self, sends: list[Any] = (), finds: list[Any] = ()) -> None:  # type: ignore[assignment]
        self.sends, self.finds, self.sent = list(sends), list(finds), list[str]()

    def send(self, message: Message) -> Receipt:
        step = self.sends.pop(0) if self.sends else "taken"
        if isinstance(step, BaseException):
            raise step
        self.sent.append(message.key)
        return Receipt(key=message.key, reference=str(step))

    def find(self, key: str) -> Receipt | None:
        step = self.finds.pop(0)
        if isinstance(step, BaseException):
            raise step
        return None if step is None else Receipt(key=key, reference=str(step))


def test_a_committed_plan_comes_back_as_it_was_made(
    store: Store, decided: pd.DataFrame, strategies: list[Strategy]
) -> None:
    committed = store.commit_plan(AS_OF, decided, strategies=strategies, at=AT)
    pd.testing.assert_frame_equal(committed, decided)
    pd.testing.assert_frame_equal(store.read_plan(AS_OF), decided)


def test_a_second_plan_for_the_same_day_changes_nothing(
    store: Store, decided: pd.DataFrame, strategies: list[Strategy]
) -> None:
    store.commit_plan(AS_OF, decided, strategies=strategies, at=AT)
    before = (store.ledger(), store.read_outbox())
    other = decided.assign(arm="treated", strategy_id="voucher", channel="email", cost=99.0)
    again = store.commit_plan(AS_OF, other, strategies=strategies, at=AT + timedelta(days=1))
    pd.testing.assert_frame_equal(again, decided)
    pd.testing.assert_frame_equal(store.ledger(), before[0])
    pd.testing.assert_frame_equal(store.read_outbox(), before[1])


def test_of_plans_committed_at_once_one_holds_and_all_get_it(
    url: str, store: Store, decided: pd.DataFrame, strategies: list[Strategy]
) -> None:
    plans = [decided.assign(score=float(number)) for number in range(4)]
    stores = [Store(url) for _ in plans]
    with ThreadPoolExecutor(4) as pool:
        committed = list(
            pool.map(
                lambda pair: pair[0].commit_plan(AS_OF, pair[1], strategies=strategies, at=AT),
                zip(stores, plans, strict=True),
            )
        )
    for frame in committed:
        pd.testing.assert_frame_equal(frame, store.read_plan(AS_OF))
    assert len(store.ledger()) == decided["arm"].isin(["treated", "holdout"]).sum()


def test_the_ledger_holds_the_treated_and_the_held_out_and_nobody_else(
    store: Store, decided: pd.DataFrame, strategies: list[Strategy]
) -> None:
    store.commit_plan(AS_OF, decided, strategies=strategies, at=AT)
    columns = ["customer_id", "arm", "strategy_id", "cost", "propensity"]
    chosen = decided.loc[decided["arm"] != "none", columns].sort_values("customer_id", ignore_index=True)
    ledger = store.ledger().sort_values("customer_id", ignore_index=True)
    pd.testing.assert_frame_equal(ledger[columns], chosen)
    assert set(ledger["event"]) == {"assigned"}
    assert (ledger["idempotency_key"].notna() == (ledger["arm"] == "treated")).all()


def test_a_message_says_what_to_do_and_nothing_personal(
    store: Store, decided: pd.DataFrame, strategies: list[Strategy]
) -> None:
    store.commit_plan(AS_OF, decided, strategies=strategies, at=AT)
    first = store.read_outbox().iloc[0]
    assert json.loads(first["body"]) == {
        "as_of": "2017-12-01",
        "customer_id": decided.loc[decided["arm"] == "treated", "customer_id"].iloc[0],
        "strategy_id": "voucher",
        "valid_days": 14,
        "modules": [{"kind": "coupon", "amount": 10.0, "take_up": 0.5}],
        "text_en": "10 off for 14 days",
        "text_zh": "14 天内优惠 10 元",
    }


def test_a_commit_that_fails_leaves_nothing_behind(
    store: Store, decided: pd.DataFrame, strategies: list[Strategy], monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = store_module._insert

    def break_at_outbox(connection: Connection, table: Table, rows: pd.DataFrame) -> None:
        if table is OUTBOX:
            raise RuntimeError("cut")
        insert(connection, table, rows)

    monkeypatch.setattr(store_module, "_insert", break_at_outbox)
    with pytest.raises(RuntimeError, match="cut"):
        store.commit_plan(AS_OF, decided, strategies=strategies, at=AT)
    assert (store.has_plan(AS_OF), len(store.ledger()), len(store.read_outbox())) == (False, 0, 0)


def test_an_empty_plan_is_committed_too(store: Store, make_candidates: Frame, strategies: list[Strategy]) -> None:
    nobody = plan(make_candidates(0), strategies, POLICY, spent=0)
    assert store.commit_plan(AS_OF, nobody, strategies=strategies, at=AT).empty
    assert store.has_plan(AS_OF)


def test_a_plan_of_another_day_is_refused(store: Store, decided: pd.DataFrame, strategies: list[Strategy]) -> None:
    with pytest.raises(ValueError, match="A plan of \\['2017-12-01'\\] cannot be committed for 2017-12-02"):
        store.commit_plan(date(2017, 12, 2), decided, strategies=strategies, at=AT)


def test_a_plan_with_an_unknown_strategy_is_refused(store: Store, decided: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="uses the strategies \\['voucher'\\], which the library"):
        store.commit_plan(AS_OF, decided, strategies=[], at=AT)


def test_a_day_without_a_plan_is_named(store: Store) -> None:
    with pytest.raises(KeyError, match="No plan was committed for 2017-12-01"):
        store.read_plan(AS_OF)


@pytest.mark.parametrize("table", [table.name for table in APPEND_ONLY])
def test_the_database_itself_refuses_to_change_what_was_recorded(
    table: str, store: Store, decided: pd.DataFrame, strategies: list[Strategy]
) -> None:
    store.commit_plan(AS_OF, decided, strategies=strategies, at=AT)
    store.override_gate("scores", AS_OF, by="ann", reason="known gap", at=AT)
    store.request_retrain("drift", AS_OF, evidence={"psi": 0.4}, cooldown_days=25, at=AT)
    store.record_champion("1", by="policy", comment="first", at=AT)
    store.decide_identity("C1", is_apart=True, by="ann", reason="two sisters", at=AT)
    target = METADATA.tables[table]
    for statement in (update(target).values({next(iter(target.primary_key)).name: None}), delete(target)):
        with (
            pytest.raises(DatabaseError, match=f"the table {table} is append-only"),
            store.engine.begin() as connection,
        ):
            connection.execute(statement)


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(store: Store) -> None:
    store.migrate()
    with store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_stores_migrate_at_once_without_harm(tmp_path: Path, postgres_url: str) -> None:
    for url in (f"sqlite:///{tmp_path / 'new' / 'operational.db'}", postgres_url):
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda _, url=url: Store(url).migrate(), range(3)))
        assert Store(url).ledger().empty


def test_a_moment_without_a_zone_is_refused(
    sqlite_store: Store, decided: pd.DataFrame, strategies: list[Strategy]
) -> None:
    with pytest.raises(Exception, match="has no time zone; pass an aware datetime"):
        sqlite_store.commit_plan(AS_OF, decided, strategies=strategies, at=datetime(2017, 12, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("as_of", "period", "first", "end"),
    [
        (date(2017, 12, 31), "month", date(2017, 12, 1), date(2018, 1, 1)),
        (date(2017, 2, 1), "month", date(2017, 2, 1), date(2017, 3, 1)),
        (date(2017, 11, 15), "quarter", date(2017, 10, 1), date(2018, 1, 1)),
        (date(2017, 5, 15), "year", date(2017, 1, 1), date(2018, 1, 1)),
        (date(2017, 12, 3), "week", date(2017, 11, 27), date(2017, 12, 4)),
        (date(2017, 12, 31), "day", date(2017, 12, 31), date(2018, 1, 1)),
    ],
)
def test_a_budget_period_is_the_calendars(as_of: date, period: str, first: date, end: date) -> None:
    assert period_of(as_of, period) == (first, end)


def test_spent_counts_the_period_without_the_day_itself_and_gives_failures_back(
    sqlite_store: Store, make_candidates: Frame, strategies: list[Strategy]
) -> None:
    policy = load_policy({"holdout": {"share": 0.0}})
    for day in (date(2017, 11, 30), AS_OF, date(2017, 12, 2)):
        decided = plan(make_candidates(2, as_of=day), strategies, policy, spent=0)
        sqlite_store.commit_plan(day, decided, strategies=strategies, at=AT)
    assert sqlite_store.spent(date(2017, 12, 2), period="month") == 10.0
    assert sqlite_store.spent(date(2017, 12, 9), period="month") == 20.0
    channel = Scripted(sends=["ok", "ok", RefusedError("no such customer")])
    sqlite_store.dispatch({"*": channel}, at=AT)
    assert sqlite_store.spent(date(2017, 12, 9), period="month") == 15.0


def test_the_cool_down_holds_for_both_arms_and_not_for_the_plans_own_day(
    sqlite_store: Store, decided: pd.DataFrame, strategies: list[Strategy]
) -> None:
    sqlite_store.commit_plan(AS_OF, decided, strategies=strategies, at=AT)
    chosen = set(decided.loc[decided["arm"] != "none", "customer_id"])
    near, far = AS_OF + timedelta(days=29), AS_OF + timedelta(days=30)
    found = [sqlite_store.recent_contacts(day, days=30) for day in (AS_OF, near, far)]
    assert found == [set(), chosen, set()]


def test_sending_turns_every_message_into_a_receipt_and_a_ledger_entry(
    store: Store, decided: pd.DataFrame, strategies: list[Strategy], tmp_path: Path
) -> None:
    store.commit_plan(AS_OF, decided, strategies=strategies, at=AT)
    count = int((decided["arm"] == "treated").sum())
    report = store.dispatch({"*": FileChannel(tmp_path / "out")}, at=AT)
    ledger = store.ledger()
    assert report == DispatchReport(sent=count)
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == sorted(store.read_outbox()["idempotency_key"])
    assert ledger.loc[ledger["event"] == "sent", "cost"].tolist() == [0.0] * count
    assert store.dispatch({"*": FileChannel(tmp_path / "out")}, at=AT) == DispatchReport()


def test_messages_leave_in_the_order_of_the_plan(
    sqlite_store: Store, decided: pd.DataFrame, strategies: list[Strategy]
) -> None:
    sqlite_store.commit_plan(AS_OF, decided, strategies=strategies, at=AT)
    channel = Scripted()
    sqlite_store.dispatch({"*": channel}, at=AT)
    assert channel.sent == sqlite_store.read_outbox().sort_values("rank")["idempotency_key"].tolist()


def test_nothing_is_sent_when_a_medium_has_no_channel(
    sqlite_store: Store, decided: pd.DataFrame, strategies: list[Strategy]
) -> None:
    sqlite_store.commit_plan(AS_OF, decided, strategies=strategies, at=AT)
    channel = Scripted()
    with pytest.raises(ChannelError, match=r"No channel delivers 'in_app' messages; in company\.yaml add one"):
        sqlite_store.dispatch({"sms": channel}, at=AT)
    assert (channel.sent, set(sqlite_store.read_outbox()["state"])) == ([], {"pending"})


@pytest.fixture
def one_message(sqlite_store: Store, make_candidates: Frame, strategies: list[Strategy]) -> Store:
    decided = plan(make_candidates(1), strategies, load_policy({"holdout": {"share": 0.0}}), spent=0)
    sqlite_store.commit_plan(AS_OF, decided, strategies=strategies, at=AT)
    return sqlite_store


def _fate(store: Store) -> tuple[str, list[str]]:
    return store.read_outbox()["state"].iloc[0], sorted(store.ledger()["event"])


def test_a_refused_message_is_dead_and_its_money_comes_back(one_message: Store) -> None:
    one_message.dispatch({"*": Scripted(sends=[RefusedError("unknown customer")])}, at=AT)
    assert _fate(one_message) == ("failed", ["assigned", "failed"])
    assert one_message.ledger()["cost"].sum() == 0
    assert one_message.read_outbox()["trouble"].iloc[0] == "unknown customer"


def test_a_message_that_did_not_arrive_waits_longer_each_time_and_is_given_up_at_last(one_message: Store) -> None:
    delivery = load_policy({"delivery": {"maximum_attempts": 3, "retry_after_minutes": 10}}).delivery
    channel = Scripted(sends=[NotDeliveredError("down")] * 3)
    reports = [
        one_message.dispatch({"*": channel}, at=AT + timedelta(minutes=minutes), delivery=delivery)
        for minutes in (0, 9, 10, 29, 30)
    ]
    postponed, nothing, failed = DispatchReport(postponed=1), DispatchReport(), DispatchReport(failed=1)
    assert reports == [postponed, nothing, postponed, nothing, failed]
    assert _fate(one_message) == ("failed", ["assigned", "failed"])


def test_what_nobody_can_tell_waits_for_a_person_and_is_never_sent_again(one_message: Store) -> None:
    channel = Scripted(sends=[UnclearError("no lookup")])
    one_message.dispatch({"*": channel}, at=AT)
    one_message.dispatch({"*": channel}, at=AT + timedelta(days=1))
    assert (channel.sent, _fate(one_message)) == ([], ("uncertain", ["assigned", "uncertain"]))
    key = one_message.read_outbox()["idempotency_key"].iloc[0]
    one_message.settle(key, delivered=True, by="ann", at=AT)
    assert _fate(one_message) == ("sent", ["assigned", "sent", "uncertain"])
    assert one_message.read_outbox()["settled_by"].iloc[0] == "ann"
    with pytest.raises(ValueError, match="is not uncertain, so it cannot become failed"):
        one_message.settle(key, delivered=False, by="ann", at=AT)


@pytest.mark.parametrize(
    ("answer", "fate", "count_sent"),
    [
        ("found", ("sent", ["assigned", "sent"]), 0),
        (None, ("sent", ["assigned", "sent"]), 1),
        (UnclearError("cannot tell"), ("uncertain", ["assigned", "uncertain"]), 0),
        (AskLaterError("lookup down"), ("sending", ["assigned"]), 0),
    ],
)
def test_a_half_sent_message_is_settled_by_what_the_channel_knows(
    one_message: Store, answer: object, fate: tuple[str, list[str]], count_sent: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        one_message.dispatch({"*": Scripted(sends=[KeyboardInterrupt()])}, at=AT)
    channel = Scripted(finds=[answer])
    report = one_message.dispatch({"*": channel}, at=AT)
    assert (report.recovered, _fate(one_message), len(channel.sent)) == (1, fate, count_sent)


def test_a_lookup_that_was_down_is_asked_again_next_time(one_message: Store) -> None:
    channel = Scripted(sends=[AskLaterError("lookup down")], finds=["found"])
    first = one_message.dispatch({"*": channel}, at=AT)
    second = one_message.dispatch({"*": channel}, at=AT)
    assert (first, second) == (DispatchReport(unsettled=1), DispatchReport(sent=1, recovered=1))
    assert _fate(one_message) == ("sent", ["assigned", "sent"])


def test_the_claim_is_committed_before_the_channel_is_called(one_message: Store) -> None:
    seen: list[str] = []

    class Peeking(Scripted):
        def send(self, message: Message) -> Receipt:
            seen.extend(Store(str(one_message.engine.url)).read_outbox()["state"])
            return super().send(message)

    one_message.dispatch({"*": Peeking()}, at=AT)
    assert seen == ["sending"]


def test_only_one_process_sends_at_a_time(
    store: Store, decided: pd.DataFrame, strategies: list[Strategy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_LOCK_WAIT", "100ms")
    store.commit_plan(AS_OF, decided, strategies=strategies, at=AT)
    other = Store(store.engine.url.render_as_string(hide_password=False))

    class Meddling(Scripted):
        def send(self, message: Message) -> Receipt:
            with pytest.raises(StoreBusyError, match="Another process is sending from this store; wait until"):
                other.dispatch({"*": Scripted()}, at=AT)
            return super().send(message)

    report = store.dispatch({"*": Meddling()}, at=AT)
    assert report == DispatchReport(sent=int((decided["arm"] == "treated").sum()))


def _alerts() -> pd.DataFrame:
    scores = pd.DataFrame({"customer_id": ["a", "b"], "score": [95.0, 55.0], "clv": [10.0, None]})
    scores = scores.assign(
        probability=scores["score"] / 100, as_of=AS_OF, main_reason="service", why_en="w", why_zh="因"
    )
    policy = load_policy()
    return raise_alerts(assign(scores, policy), policy)


def test_alerts_are_recorded_once_with_their_due_time(store: Store) -> None:
    alerts = _alerts()
    counts = [store.record_alerts(alerts, at=AT), store.record_alerts(alerts, at=AT + timedelta(hours=5))]
    found = store.read_alerts(AS_OF)
    assert counts == [2, 0]
    assert found[["customer_id", "state"]].to_numpy().tolist() == [["a", "open"], ["b", "open"]]
    assert [moment.to_pydatetime() for moment in found["due_at"]] == [AT + timedelta(hours=1), AT + timedelta(hours=24)]


def test_an_alert_is_acknowledged_then_closed_with_feedback(store: Store) -> None:
    store.record_alerts(_alerts(), at=AT)
    alert_id = store.read_alerts()["alert_id"].iloc[0]
    store.acknowledge_alert(alert_id, by="ann", at=AT + timedelta(minutes=5))
    store.close_alert(alert_id, by="bob", at=AT + timedelta(hours=2), feedback="right", note="called")
    row = store.read_alerts().set_index("alert_id").loc[alert_id]
    columns = ["state", "acknowledged_by", "closed_by", "feedback", "note"]
    assert row[columns].tolist() == ["closed", "ann", "bob", "right", "called"]


def test_an_alert_is_acknowledged_by_one_person_only(store: Store) -> None:
    store.record_alerts(_alerts(), at=AT)
    alert_id = store.read_alerts()["alert_id"].iloc[0]
    store.acknowledge_alert(alert_id, by="ann", at=AT)
    with pytest.raises(ValueError, match="is not open; read the alerts for its state"):
        store.acknowledge_alert(alert_id, by="bob", at=AT)


def test_alerts_past_their_time_without_an_answer_are_overdue(store: Store) -> None:
    store.record_alerts(_alerts(), at=AT)
    assert store.overdue_alerts(at=AT + timedelta(hours=1))["customer_id"].tolist() == []
    assert store.overdue_alerts(at=AT + timedelta(hours=2))["customer_id"].tolist() == ["a"]
    store.acknowledge_alert(store.read_alerts()["alert_id"].iloc[0], by="ann", at=AT)
    assert store.overdue_alerts(at=AT + timedelta(hours=30))["customer_id"].tolist() == ["b"]


def test_a_gate_is_overridden_by_name_for_one_seam_and_day(store: Store) -> None:
    store.override_gate("scores", AS_OF, by="ann", reason="known gap in November", at=AT)
    found = [store.gate_override("scores", AS_OF), store.gate_override("scores", date(2017, 12, 2))]
    assert found[1] is None
    assert found[0] is not None
    assert (found[0].granted_by, found[0].reason) == ("ann", "known gap in November")
    assert store.gate_override("plans", AS_OF) is None


def test_a_second_override_of_the_same_gate_keeps_the_first(store: Store) -> None:
    first = store.override_gate("scores", AS_OF, by="ann", reason="known gap", at=AT)
    assert store.override_gate("scores", AS_OF, by="bob", reason="me too", at=AT) == first
    assert store.gate_overrides()["granted_by"].tolist() == ["ann"]


@pytest.mark.parametrize(("by", "reason"), [("", "why"), ("ann", " ")])
def test_an_override_without_a_name_or_a_reason_is_refused(sqlite_store: Store, by: str, reason: str) -> None:
    with pytest.raises(ValueError, match="needs the name of a person and a reason"):
        sqlite_store.override_gate("scores", AS_OF, by=by, reason=reason, at=AT)


def test_retraining_is_granted_once_per_cool_down_and_every_asking_is_kept(store: Store) -> None:
    ask = [
        store.request_retrain(trigger, AS_OF + timedelta(days=days), evidence={"psi": 0.4}, cooldown_days=25, at=AT)
        for trigger, days in (("drift", 0), ("performance", 10), ("drift", 25))
    ]
    assert [request.is_accepted for request in ask] == [True, False, True]
    assert ask[1].decision == "put off: the request of 2017-12-01 (drift) is less than 25 days old"
    assert len(store.retrain_requests()) == 3


def test_the_same_asking_again_gets_the_same_answer(store: Store) -> None:
    ask = [
        store.request_retrain("drift", AS_OF, evidence={"psi": 0.4}, cooldown_days=25, at=AT + timedelta(hours=hour))
        for hour in (0, 9)
    ]
    assert ask[0] == ask[1]
    assert store.retrain_requests()["evidence"].tolist() == ['{"psi": 0.4}']


def test_a_person_may_ask_for_retraining_within_the_cool_down(store: Store) -> None:
    store.request_retrain("drift", AS_OF, evidence={}, cooldown_days=25, at=AT)
    later = AS_OF + timedelta(days=1)
    assert store.request_retrain("manual", later, evidence={}, cooldown_days=25, at=AT).is_accepted


def test_a_version_waits_until_a_person_decides(store: Store) -> None:
    waiting = store.review_of("3")
    made = store.review_model("3", approve=True, by="ann", comment="calibrated", at=AT)
    assert (waiting, store.review_of("3"), made.event) == (None, made, "approved")
    assert store.review_model("3", approve=True, by="bob", comment="", at=AT) == made


def test_a_version_cannot_be_both_approved_and_rejected(store: Store) -> None:
    store.review_model("3", approve=False, by="ann", comment="unfair", at=AT)
    with pytest.raises(ValueError, match="version 3 was rejected by ann; it cannot be approved as well"):
        store.review_model("3", approve=True, by="bob", comment="", at=AT)


def test_a_review_without_a_name_is_refused(sqlite_store: Store) -> None:
    with pytest.raises(ValueError, match="A review needs the name of a person"):
        sqlite_store.review_model("3", approve=True, by=" ", comment="", at=AT)


def test_the_champions_are_remembered_in_order_and_a_rollback_is_one_of_them(store: Store) -> None:
    request = store.request_retrain("drift", AS_OF, evidence={}, cooldown_days=25, at=AT)
    store.record_champion("1", by="policy", comment="first", at=AT)
    store.record_champion("2", by="policy", comment="+0.01 AUC", at=AT, request_id=request.request_id)
    store.record_champion("2", by="policy", comment="again", at=AT)
    store.record_champion("1", by="ann", comment="worse in stores", at=AT, rolled_back=True)
    found = [(move.number, move.version, move.event, move.request_id) for move in store.champions()]
    assert found == [
        (1, "1", "promoted", None),
        (2, "2", "promoted", request.request_id),
        (3, "1", "rolled_back", None),
    ]
    assert store.model_events()["comment"].tolist() == ["first", "+0.01 AUC", "worse in stores"]


def test_a_store_of_the_first_version_moves_forward_with_its_rows(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'old.db'}")
    store.migrate(to="0001")
    store.override_gate("scores", AS_OF, by="ann", reason="known gap", at=AT)
    store.migrate()
    store.record_champion("1", by="policy", comment="first", at=AT)
    assert (len(store.gate_overrides()), len(store.model_events())) == (1, 1)


def test_sqlite_keeps_foreign_keys_and_a_write_ahead_log(sqlite_store: Store) -> None:
    with sqlite_store.engine.connect() as connection:
        found = [connection.scalar(text(f"pragma {name}")) for name in ("foreign_keys", "journal_mode")]
    assert found == [1, "wal"]


def test_reading_does_not_wait_for_a_writer(sqlite_store: Store) -> None:
    with sqlite_store.engine.begin() as writer:
        writer.execute(select(LEDGER))
        assert sqlite_store.ledger().empty
