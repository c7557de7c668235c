import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Table, delete, select, text, update
from sqlalchemy.exc import DatabaseError

from company.policy import load_policy
from orchestration.control.gate_overrides import GateOverrides
from orchestration.control.identity_decisions import IdentityDecisions
from orchestration.control.model_events import ModelEvents
from orchestration.control.privacy_requests import PrivacyRequests
from orchestration.control.retrain_requests import RetrainRequests
from privacy.identifiers import Keyring
from retention.acting.alerts import raise_alerts
from retention.acting.incidents import Incident
from retention.acting.look import look
from retention.deciding.allocation import Limit
from retention.deciding.assignments import Assignment
from retention.deciding.plan import plan
from retention.deciding.plan_overrides import PlanOverride
from retention.deciding.prices import price_table
from retention.deciding.strategies import Strategy
from retention.deciding.strategy_changes import StrategyChange
from retention.deciding.tiers import assign
from retention.measuring.lifecycle import decide
from retention.store import ledger
from retention.store import plans as plans_module
from retention.store.consents import Consent
from retention.store.ledger import period_of
from retention.store.store import Store
from retention.store.tables import APPEND_ONLY, LEDGER, METADATA, OUTBOX
from serving.audit import AuditLog, Entry

AS_OF = date(2017, 12, 1)
AT = datetime(2017, 12, 1, 12, 0, tzinfo=UTC)
POLICY = load_policy({"holdout": {"share": 0.3}})
PRICES = price_table([Limit(name="budget", amount=50.0, uses=np.ones(1))], np.array([2.5]), np.array([49.0]))

Make = Callable[..., Strategy]
Frame = Callable[..., pd.DataFrame]


@pytest.fixture
def strategies(make_strategy: Make) -> list[Strategy]:
    return [make_strategy()]


@pytest.fixture
def decided(make_candidates: Frame, strategies: list[Strategy]) -> pd.DataFrame:
    people = make_candidates(20, value=[float(10 * number) for number in range(20)])
    return plan(people, strategies, POLICY, spent=0).rows


def test_a_committed_plan_comes_back_as_it_was_made(
    store: Store, decided: pd.DataFrame, strategies: list[Strategy]
) -> None:
    committed = store.plans.commit(AS_OF, decided, strategies=strategies, at=AT)
    pd.testing.assert_frame_equal(committed, decided)
    pd.testing.assert_frame_equal(store.plans.read(AS_OF), decided)


def test_the_prices_of_a_plan_are_kept_with_it(store: Store, decided: pd.DataFrame, strategies: list[Strategy]) -> None:
    store.plans.commit(AS_OF, decided, strategies=strategies, at=AT, prices=PRICES)
    store.plans.commit(AS_OF, decided, strategies=strategies, at=AT, prices=PRICES.assign(price=9.0))
    pd.testing.assert_frame_equal(store.plans.read_prices(AS_OF), PRICES)
    assert PRICES["text_en"].tolist() == ["Another 1,000 of budget would bring 2,500.00 beyond its cost."]


def test_a_second_plan_for_the_same_day_changes_nothing(
    store: Store, decided: pd.DataFrame, strategies: list[Strategy]
) -> None:
    store.plans.commit(AS_OF, decided, strategies=strategies, at=AT)
    before = (store.ledger.read(), store.outbox.read())
    other = decided.assign(arm="treated", strategy_id="voucher", channel="email", cost=99.0)
    again = store.plans.commit(AS_OF, other, strategies=strategies, at=AT + timedelta(days=1))
    pd.testing.assert_frame_equal(again, decided)
    pd.testing.assert_frame_equal(store.ledger.read(), before[0])
    pd.testing.assert_frame_equal(store.outbox.read(), before[1])


def test_of_plans_committed_at_once_one_holds_and_all_get_it(
    url: str, store: Store, decided: pd.DataFrame, strategies: list[Strategy]
) -> None:
    plans = [decided.assign(score=float(number)) for number in range(4)]
    stores = [Store(url) for _ in plans]
    with ThreadPoolExecutor(4) as pool:
        committed = list(
            pool.map(
                lambda pair: pair[0].plans.commit(AS_OF, pair[1], strategies=strategies, at=AT),
                zip(stores, plans, strict=True),
            )
        )
    for frame in committed:
        pd.testing.assert_frame_equal(frame, store.plans.read(AS_OF))
    assert len(store.ledger.read()) == decided["arm"].ne("none").sum()


def test_the_ledger_holds_the_treated_and_the_held_out_and_nobody_else(
    store: Store, decided: pd.DataFrame, strategies: list[Strategy]
) -> None:
    store.plans.commit(AS_OF, decided, strategies=strategies, at=AT)
    columns = ["customer_id", "arm", "strategy_id", "cost", "propensity"]
    chosen = decided.loc[decided["arm"] != "none", columns].sort_values("customer_id", ignore_index=True)
    ledger = store.ledger.read().sort_values("customer_id", ignore_index=True)
    pd.testing.assert_frame_equal(ledger[columns], chosen)
    assert set(ledger["event"]) == {"assigned"}
    assert (ledger["idempotency_key"].notna() == (ledger["arm"] == "treated")).all()


def test_a_message_says_what_to_do_and_nothing_personal(
    store: Store, decided: pd.DataFrame, strategies: list[Strategy]
) -> None:
    store.plans.commit(AS_OF, decided, strategies=strategies, at=AT)
    first = store.outbox.read().iloc[0]
    assert json.loads(first["body"]) == {
        "campaign": "voucher",
        "offers": [{"kind": "coupon", "amount": 10.0}],
        "text_en": "10 off for 14 days",
        "text_zh": "14 天内优惠 10",
    }


def test_a_commit_that_fails_leaves_nothing_behind(
    store: Store, decided: pd.DataFrame, strategies: list[Strategy], monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = plans_module.insert_frame

    def break_at_outbox(connection: Connection, table: Table, rows: pd.DataFrame) -> None:
        if table is OUTBOX:
            raise RuntimeError("cut")
        insert(connection, table, rows)

    monkeypatch.setattr(plans_module, "insert_frame", break_at_outbox)
    with pytest.raises(RuntimeError, match="cut"):
        store.plans.commit(AS_OF, decided, strategies=strategies, at=AT)
    assert (store.plans.has(AS_OF), len(store.ledger.read()), len(store.outbox.read())) == (False, 0, 0)


def test_an_empty_plan_is_committed_too(store: Store, make_candidates: Frame, strategies: list[Strategy]) -> None:
    nobody = plan(make_candidates(0), strategies, POLICY, spent=0).rows
    assert store.plans.commit(AS_OF, nobody, strategies=strategies, at=AT).empty
    assert store.plans.has(AS_OF)


def test_a_plan_of_another_day_is_refused(store: Store, decided: pd.DataFrame, strategies: list[Strategy]) -> None:
    with pytest.raises(ValueError, match="A plan of \\['2017-12-01'\\] cannot be committed for 2017-12-02"):
        store.plans.commit(date(2017, 12, 2), decided, strategies=strategies, at=AT)


def test_a_plan_with_an_unknown_strategy_is_refused(store: Store, decided: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="uses the strategies \\['voucher'\\], which the library"):
        store.plans.commit(AS_OF, decided, strategies=[], at=AT)


def test_a_day_without_a_plan_is_named(store: Store) -> None:
    with pytest.raises(KeyError, match="No plan was committed for 2017-12-01"):
        store.plans.read(AS_OF)


@pytest.mark.parametrize("table", [table.name for table in APPEND_ONLY])
def test_the_database_itself_refuses_to_change_what_was_recorded(
    table: str, store: Store, decided: pd.DataFrame, strategies: list[Strategy]
) -> None:
    store.plans.commit(AS_OF, decided, strategies=strategies, at=AT, prices=PRICES, needs_approval=True)
    store.plan_approvals.decide(AS_OF, is_approved=True, by="ann", at=AT)
    GateOverrides(store).grant("scores", AS_OF, by="ann", reason="known gap", at=AT)
    RetrainRequests(store).submit("drift", AS_OF, evidence={"psi": 0.4}, cooldown_days=25, at=AT)
    ModelEvents(store).move_champion("1", by="policy", comment="first", at=AT)
    IdentityDecisions(store).decide("C1", is_apart=True, by="ann", reason="two sisters", at=AT)
    store.strategy_changes.record(
        StrategyChange(strategy_id="voucher", strength=1.5, decided_by="ann", reason="a test", decided_at=AT)
    )
    store.strategy_reviews.record([decide([], "voucher", "draft", as_of=AS_OF, by="ann", note="a test", at=AT)])
    store.plan_overrides.record(
        PlanOverride(customer_id="C1", kind="never_contact", decided_by="ann", reason="a test", decided_at=AT)
    )
    AuditLog(store.database).add(Entry(done_at=AT, done_by="ann", action="export"))
    store.alerts.record(_alerts(), at=AT)
    store.alerts.acknowledge(store.alerts.read()["alert_id"].iloc[0], by="ann", at=AT)
    withdrawn = Consent(customer_id="C1", purpose="marketing", channel="all", is_granted=False, changed_at=AT,
                        reported_by="ann")  # fmt: skip
    store.consents.record([withdrawn], at=AT)
    drawn = Assignment(customer_id="C1", strategy_id="voucher", version="long", assigned_at=AT)
    store.assignments.record([drawn], by="ann", at=AT)
    PrivacyRequests(store).receive(
        "access",
        ["C1"],
        law="gdpr",
        received_on=AS_OF,
        due_on=AS_OF,
        keyring=Keyring(key=b"k" * 32),
        by="ann",
        note="",
        at=AT,
    )
    store.incidents.record([make_incident()], as_of=AS_OF, at=AT, policy=load_policy())
    look(store, load_policy(), timezone="UTC", at=AT)
    target = METADATA.tables[table]
    for statement in (update(target).values({list(target.columns)[-1].name: None}), delete(target)):
        with (
            pytest.raises(DatabaseError, match=f"the table {table} is append-only"),
            store.database.engine.begin() as connection,
        ):
            connection.execute(statement)


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(store: Store) -> None:
    store.migrate()
    with store.database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_stores_migrate_at_once_without_harm(empty_url: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: Store(empty_url).migrate(), range(3)))
    assert Store(empty_url).ledger.read().empty


def test_a_moment_without_a_zone_is_refused(
    sqlite_store: Store, decided: pd.DataFrame, strategies: list[Strategy]
) -> None:
    with pytest.raises(Exception, match="has no time zone; pass an aware datetime"):
        sqlite_store.plans.commit(AS_OF, decided, strategies=strategies, at=datetime(2017, 12, 1))  # noqa: DTZ001


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
        decided = plan(make_candidates(2, as_of=day), strategies, policy, spent=0).rows
        sqlite_store.plans.commit(day, decided, strategies=strategies, at=AT)
    assert sqlite_store.ledger.spent(date(2017, 12, 2), period="month") == 10.0
    assert sqlite_store.ledger.spent(date(2017, 12, 9), period="month") == 20.0


def test_the_cool_down_holds_for_both_arms_and_not_for_the_plans_own_day(
    sqlite_store: Store, decided: pd.DataFrame, strategies: list[Strategy]
) -> None:
    sqlite_store.plans.commit(AS_OF, decided, strategies=strategies, at=AT)
    chosen = set(decided.loc[decided["arm"] != "none", "customer_id"])
    near, far = AS_OF + timedelta(days=29), AS_OF + timedelta(days=30)
    found = [sqlite_store.ledger.recent_contacts(day, days=30) for day in (AS_OF, near, far)]
    assert found == [set(), chosen, set()]


def _alerts(*scored: float, as_of: date = AS_OF) -> pd.DataFrame:
    scores = pd.DataFrame({"customer_id": ["a", "b"], "score": scored or [95.0, 55.0]})
    scores = scores.assign(
        probability=scores["score"] / 100, as_of=as_of, main_reason="service", why_en="w", why_zh="因"
    )
    scores["money_at_risk"] = scores["probability"] * [10.0, np.nan]
    policy = load_policy()
    return raise_alerts(assign(scores, policy), policy)


def test_alerts_are_recorded_once_with_their_due_time(store: Store) -> None:
    alerts = _alerts()
    counts = [store.alerts.record(alerts, at=AT), store.alerts.record(alerts, at=AT + timedelta(hours=5))]
    found = store.alerts.read(AS_OF)
    assert counts == [2, 0]
    assert found[["customer_id", "state"]].to_numpy().tolist() == [["a", "open"], ["b", "open"]]
    assert [moment.to_pydatetime() for moment in found["due_at"]] == [AT + timedelta(hours=1), AT + timedelta(hours=9)]


def test_an_alert_is_acknowledged_then_closed_with_feedback(store: Store) -> None:
    store.alerts.record(_alerts(), at=AT)
    alert_id = store.alerts.read()["alert_id"].iloc[0]
    store.alerts.acknowledge(alert_id, by="ann", at=AT + timedelta(minutes=5))
    store.alerts.close(alert_id, by="bob", at=AT + timedelta(hours=2), feedback="useful", note="called")
    row = store.alerts.read().set_index("alert_id").loc[alert_id]
    columns = ["state", "acknowledged_by", "closed_by", "feedback", "note"]
    assert row[columns].tolist() == ["closed", "ann", "bob", "useful", "called"]


def test_an_alert_is_acknowledged_by_one_person_only(store: Store) -> None:
    store.alerts.record(_alerts(), at=AT)
    alert_id = store.alerts.read()["alert_id"].iloc[0]
    store.alerts.acknowledge(alert_id, by="ann", at=AT)
    with pytest.raises(ValueError, match="is not open; read the alerts for its state"):
        store.alerts.acknowledge(alert_id, by="bob", at=AT)


def test_alerts_past_their_time_without_an_answer_are_overdue(store: Store) -> None:
    store.alerts.record(_alerts(), at=AT)
    assert store.alerts.read_overdue(at=AT + timedelta(hours=1))["customer_id"].tolist() == []
    assert store.alerts.read_overdue(at=AT + timedelta(hours=2))["customer_id"].tolist() == ["a"]
    store.alerts.acknowledge(store.alerts.read()["alert_id"].iloc[0], by="ann", at=AT)
    assert store.alerts.read_overdue(at=AT + timedelta(hours=30))["customer_id"].tolist() == ["b"]


def test_a_customer_has_one_unfinished_alert_and_the_more_urgent_one_takes_its_place(store: Store) -> None:
    store.alerts.record(_alerts(), at=AT)
    tomorrow, at = AS_OF + timedelta(days=1), AT + timedelta(days=1)
    counts = [store.alerts.record(_alerts(as_of=tomorrow), at=at)]
    counts.append(store.alerts.record(_alerts(95.0, 90.0, as_of=AS_OF + timedelta(days=2)), at=at))
    found = store.alerts.read().sort_values(["customer_id", "as_of"])
    assert counts == [0, 1]
    assert found[["customer_id", "state", "level"]].to_numpy().tolist() == [
        ["a", "open", "high"],
        ["b", "closed", "medium"],
        ["b", "open", "high"],
    ]
    events = store.alerts.read_events(found["alert_id"])
    assert [(each["event"], each["done_by"]) for each in events if each["event"] != "raised"] == [
        ("superseded", "holdfast")
    ]


@pytest.mark.parametrize(("days", "count"), [(2, 1), (8, 2)])
def test_a_closed_alert_of_a_customer_stays_quiet_for_a_while(store: Store, days: int, count: int) -> None:
    store.alerts.record(_alerts(), at=AT)
    for alert_id in store.alerts.read()["alert_id"].iloc[:1]:
        store.alerts.close(alert_id, by="ann", at=AT, feedback="already_known")
    later = {"at": AT + timedelta(days=days), "quiet": timedelta(days=7)}
    store.alerts.record(_alerts(as_of=AS_OF + timedelta(days=days)), **later)
    assert store.alerts.read()["customer_id"].tolist().count("a") == count


def test_a_snoozed_alert_is_not_open_until_its_moment(store: Store) -> None:
    store.alerts.record(_alerts(), at=AT)
    alert_id = store.alerts.read().set_index("customer_id")["alert_id"]["a"]
    until = AT + timedelta(days=1)
    store.alerts.snooze(alert_id, by="ann", at=AT, until=until, note="on holiday")
    found = [[alert_id in store.alerts.find(state, at=at) for state in ("open", "overdue", "snoozed")]
             for at in (AT + timedelta(hours=3), until, until + timedelta(hours=2))]  # fmt: skip
    assert found == [[False, False, True], [True, False, False], [True, True, False]]  # its clock stood until then
    event = store.alerts.read_events([alert_id])[0]
    assert (event["event"], event["done_by"], event["snoozed_until"]) == ("snoozed", "ann", until)
    with pytest.raises(ValueError, match="has passed"):
        store.alerts.snooze(alert_id, by="ann", at=until, until=until)


def test_feedback_is_one_of_three_words(store: Store) -> None:
    store.alerts.record(_alerts(), at=AT)
    with pytest.raises(ValueError, match="one of useful, wrong, already_known"):
        store.alerts.close(store.alerts.read()["alert_id"].iloc[0], by="ann", at=AT, feedback="fine")


def test_a_store_of_the_first_version_moves_forward_with_its_rows(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'old.db'}")
    store.migrate(to="0001")
    GateOverrides(store).grant("scores", AS_OF, by="ann", reason="known gap", at=AT)
    store.migrate()
    ModelEvents(store).move_champion("1", by="policy", comment="first", at=AT)
    assert (len(GateOverrides(store).read()), len(ModelEvents(store).read())) == (1, 1)


OLD_ROWS = """
insert into outbox (idempotency_key, as_of, customer_id, strategy_id, channel, rank, body, state, attempts, not_before,
    updated_at) values ('{key}', '2017-12-01', 'c{key}', 'voucher', 'sms', 1, '{{"text_en": "t"}}', '{state}', 1,
    '2017-12-01 03:00:00', '2017-12-02 03:00:00');
insert into ledger (entry_id, as_of, customer_id, strategy_id, arm, event, cost, idempotency_key, recorded_at)
    values ('{key}', '2017-12-01', 'c{key}', 'voucher', 'treated', '{event}', 1.0, '{key}', '2017-12-02 03:00:00')
"""


def test_the_former_outbox_moves_forward_and_back_with_its_rows(empty_url: str) -> None:
    store = Store(empty_url)
    store.migrate(to="0007")
    former = {"p": "pending", "s": "sending", "u": "uncertain", "d": "sent", "f": "failed"}
    with store.database.write() as connection:
        for key, state in former.items():
            event = "uncertain" if key == "u" else "sent"
            for statement in OLD_ROWS.format(key=key, state=state, event=event).split(";"):
                connection.exec_driver_sql(statement)
    store.migrate()
    columns = ["state", "occasion", "version", "left_on", "is_replay"]
    rows = store.outbox.read().set_index("idempotency_key")[columns]
    left = date(2017, 12, 2)
    assert {key: tuple(None if pd.isna(each) else each for each in row) for key, *row in rows.itertuples()} == {
        "p": ("planned", "2017-12-01", "1", None, False),
        "s": ("claimed", "2017-12-01", "1", None, False),
        "u": ("unknown", "2017-12-01", "1", left, False),
        "d": ("sent", "2017-12-01", "1", left, False),
        "f": ("failed", "2017-12-01", "1", None, False),
    }
    ledger = store.ledger.read()
    assert sorted(ledger["event"]) == ["sent"] * 4 + ["unknown"]
    assert ledger["happened_at"].equals(ledger["recorded_at"])
    with pytest.raises(DatabaseError, match="append-only"), store.database.write() as connection:
        connection.execute(delete(LEDGER))

    store.downgrade(to="0007")
    with store.database.read() as connection:
        states = dict(connection.execute(text("select idempotency_key, state from outbox")).tuples().all())
        events = connection.scalars(text("select event from ledger order by event")).all()
    assert states == former
    assert events == ["sent"] * 4 + ["uncertain"]
    store.migrate()
    store.close()


def make_incident() -> Incident:
    return Incident(
        measure="complaints", group_name="region: north", first_date=AS_OF, last_date=AS_OF, customers=("a",),
        count_expected=0.5, ratio=2.0, p_value=1e-6, q_value=1e-5, money_at_risk=None, cause_en="up", cause_zh="上升",
        grade="yellow",
    )  # fmt: skip


FORMER_INCIDENT = """
insert into incidents (incident_id, as_of, measure, group_name, first_date, last_date, count_customers, count_expected,
    ratio, p_value, q_value, cause_en, cause_zh, grade, raised_at, answer_minutes, due_at, is_replay, state)
    values ('i', '2026-06-01', 'complaints', 'region: north', '2026-05-29', '2026-05-31', 60, 5, 12, 0.001, 0.01, 'up',
    '上升', 'red', '2026-06-01 09:00:00', 240, '2026-06-01 13:00:00', false, 'open')
"""


def test_an_incident_of_before_the_clock_moves_forward_and_back(empty_url: str) -> None:
    store, at = Store(empty_url), datetime(2026, 6, 1, 14, tzinfo=UTC)
    store.migrate(to="0013")
    with store.database.write() as connection:
        connection.exec_driver_sql(FORMER_INCIDENT)
    store.migrate()
    found = look(store, load_policy(), timezone="UTC", at=at)
    assert (sorted(each.owner for each in found.notices), len(found.breaches)) == (
        ["customer service", "management", "retention desk"], 1,
    )  # fmt: skip
    store.incidents.close("i", by="ann", at=at, feedback="useful")
    store.downgrade(to="0013")
    store.migrate()
    assert [row["state"] for row in store.incidents.find(state="closed")] == ["closed"]
    store.close()


def test_sqlite_keeps_foreign_keys_and_a_write_ahead_log(sqlite_store: Store) -> None:
    with sqlite_store.database.engine.connect() as connection:
        found = [connection.scalar(text(f"pragma {name}")) for name in ("foreign_keys", "journal_mode")]
    assert found == [1, "wal"]


def test_reading_does_not_wait_for_a_writer(sqlite_store: Store) -> None:
    with sqlite_store.database.engine.begin() as writer:
        writer.execute(select(LEDGER))
        assert sqlite_store.ledger.read().empty


def test_a_message_that_left_for_a_held_out_customer_is_found_once(
    store: Store, make_candidates: Frame, strategies: list[Strategy]
) -> None:
    days = (AS_OF, AS_OF + timedelta(days=60))
    for day, share in zip(days, (0.99, 0.0), strict=True):
        policy = load_policy({"holdout": {"share": share}, "exploration": {"share": 0.0}})
        rows = plan(make_candidates(3, as_of=day), strategies, policy, spent=0).rows
        store.plans.commit(day, rows, strategies=strategies, at=AT)
    key = str(store.ledger.read().query("arm == 'treated'")["idempotency_key"].iloc[0])
    assert store.ledger.read_contacted_holdout(since=AS_OF, after=AT - timedelta(days=1)).empty
    left = AT + timedelta(minutes=1)
    with store.database.write() as connection:
        ledger.record(connection, [ledger.Entry(key=key, event=ledger.SENT, at=left, happened_at=left)])
    found = [
        len(store.ledger.read_contacted_holdout(since=since, after=after))
        for since, after in ((AS_OF, AT), (AS_OF, left), (days[1], AT))
    ]
    assert found == [1, 0, 0]
