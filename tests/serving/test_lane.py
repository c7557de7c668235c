"""The event lane: what the collector takes, what the state counts, and what becomes an alert, once."""

import asyncio
import contextlib
import json
import random
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from brokers import TestBroker
from certificates import write_certificate
from confluent_kafka import Producer
from published_shop import AS_OF, make_tables, write_snapshot
from sqlalchemy import select
from starlette.testclient import TestClient
from stores import make_database

from company.policy import Policy, PolicyError, load_policy
from company.policy.lane import Broker
from orchestration.lane import read_sentiments
from retention.acting.incidents import Incident
from retention.store.lane import LaneMovedError
from retention.store.store import Store
from retention.store.tables import OUTBOX
from serving.access import read_access
from serving.actor import Actor, Desk, InvalidRequestError
from serving.desk.app import create_app, read_templates
from serving.desk.visit import SESSION_COOKIE
from serving.lane.checkpoint import load_checkpoint, save_checkpoint
from serving.lane.collector import Collecting, Keys, create_collector
from serving.lane.follow import Lane
from serving.lane.kafka_log import BrokerRefusedError, KafkaLog
from serving.lane.log import Log, LogAwayError, LogReplacedError, Read, SqliteLog
from serving.lane.postgres_log import PostgresLog
from serving.lane.schema import read_events
from serving.lane.state import State
from serving.lane.surges import Surges, as_json, from_json
from serving.lane.writer import GroupWriter
from serving.live import read_live_alerts
from serving.sign_in.keys import ApiKey, ApiKeys
from serving.sign_in.users import User
from serving.snapshot import Snapshot

AT = datetime(2024, 10, 1, 8, 0, tzinfo=UTC)
LATEST = int(AT.timestamp() * 1000) + 300_000
QUIET, AT_RISK = "secret-035", "secret-020"  # probability 0.30, low; 0.60, medium


def make_event(number: int = 1, customer: str = AT_RISK, kind: str = "visit", **about: object) -> dict[str, Any]:
    event = {"event_id": f"e{number}", "customer_id": customer, "occurred_at": AT.isoformat(), "type": kind}
    return event | about


def make_rows(*events: dict[str, Any]) -> list[Any]:
    return read_events(json.dumps(events).encode(), most=1000, latest=LATEST)


@pytest.fixture
def policy() -> Policy:
    return load_policy({"tier_policy": "tiers"})


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    log = SqliteLog(tmp_path / "lane" / "events.db")
    yield log
    log.close()


@pytest.fixture(scope="module")
def broker() -> Iterator[TestBroker]:
    broker = TestBroker()
    broker.start()
    yield broker
    broker.stop()


def open_topic(broker: TestBroker, copy: Path, topic: str = "events") -> KafkaLog:
    return KafkaLog(Broker(servers=broker.servers, topic=topic), secrets={}, copy=copy, ahead_seconds=300)


@pytest.fixture(params=["sqlite", "postgresql", "kafka"])
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Log]]:
    """How one and the same log is opened, again by everybody who works on it."""
    opened: list[Log] = []
    file = tmp_path / "events.db"
    if request.param == "postgresql":
        url = make_database(request.getfixturevalue("postgres"), "lane")
        opening: Callable[[], Log] = lambda: PostgresLog(url)  # noqa: E731
    elif request.param == "kafka":
        broker, topic = request.getfixturevalue("broker"), f"events-{tmp_path.name}"
        opening = lambda: open_topic(broker, file, topic)  # noqa: E731
    else:
        opening = lambda: SqliteLog(file)  # noqa: E731

    def open_log() -> Log:
        opened.append(opening())
        return opened[-1]

    yield open_log
    for log in opened:
        log.close()


@pytest.fixture
def any_log(open_log: Callable[[], Log]) -> Log:
    return open_log()


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    path = tmp_path_factory.mktemp("lane") / "holdfast.duckdb"
    write_snapshot(path, make_tables())
    return Snapshot(path=path)


def open_lane(log: Log, store: Store, snapshot: Snapshot, policy: Policy, *, now: datetime = AT) -> Lane:
    grant = read_access().grant("lane")
    return Lane(log=log, store=store, snapshot=snapshot, grant=grant, policy=policy, now=lambda: now)


def alerts_of(store: Store) -> list[tuple[str, str, str]]:
    return sorted(zip(*(store.alerts.read()[name] for name in ("customer_id", "level", "why_en")), strict=True))


def test_events_that_speak_of_leaving_become_one_alert_that_names_them(
    log: SqliteLog, sqlite_store: Store, snapshot: Snapshot, policy: Policy
) -> None:
    events = [make_event(1, page="leave"), make_event(2, kind="complaint"), make_event(3, QUIET, "complaint")]
    log.append(make_rows(*events), received_at=1)
    lane = open_lane(log, sqlite_store, snapshot, policy)
    lane.catch_up()
    assert (lane.step(), lane.step()) == (3, 0)
    assert alerts_of(sqlite_store) == [(AT_RISK, "high", "since 1 October: complained; looked up how to leave")]
    lane.notify()
    lane.notify()
    sent = sqlite_store.database.read_frame(select(OUTBOX))
    assert sent["strategy_id"].tolist() == ["alert"], sent


def test_another_id_of_a_customer_counts_for_the_customer(
    log: SqliteLog, sqlite_store: Store, snapshot: Snapshot, policy: Policy
) -> None:
    log.append(make_rows(make_event(1, page="leave"), make_event(2, "shop-7", "complaint")), received_at=1)
    lane = open_lane(log, sqlite_store, snapshot, policy)
    lane.catch_up()
    lane.step()
    assert [customer for customer, *_ in alerts_of(sqlite_store)] == [AT_RISK]


def test_the_lines_that_history_chose_are_the_lanes_too(log: SqliteLog, sqlite_store: Store, tmp_path: Path) -> None:
    lines = pd.DataFrame({"cutoff_level": ["high", "medium"], "cutoff_score": [95.0, 90.0]})
    write_snapshot(tmp_path / "holdfast.duckdb", {**make_tables(), "cutoff_lines": lines})
    log.append(make_rows(make_event(1, page="leave"), make_event(2)), received_at=1)
    lane = open_lane(log, sqlite_store, Snapshot(path=tmp_path / "holdfast.duckdb"), load_policy())
    lane.catch_up()
    lane.step()
    assert alerts_of(sqlite_store) == []  # 0.77, which the tiers would have called medium


def read_all(log: Log, count: int) -> list[Read]:
    """Return the events, of which there are so many, also of a log that has them from elsewhere a moment later."""
    found: list[Read] = []
    for _ in range(500):
        found += log.read(after=found[-1].position if found else 0, limit=9)
        if len(found) >= count:
            break
    return found


def test_a_broker_that_lost_its_events_is_reported_and_not_skipped(
    sqlite_store: Store, snapshot: Snapshot, policy: Policy, tmp_path: Path
) -> None:
    broker, copy = TestBroker(), tmp_path / "events.db"
    broker.start()
    with contextlib.ExitStack() as closing:
        closing.callback(broker.stop)
        log = closing.enter_context(contextlib.closing(open_topic(broker, copy)))
        log.append(make_rows(make_event(1, page="leave"), make_event(2)), received_at=LATEST)
        lane = open_lane(log, sqlite_store, snapshot, policy)
        lane.catch_up()
        while lane.position < 2:
            lane.step()
        broker.stop()
        broker.start()
        with pytest.raises(LogReplacedError, match="is not there any more"):
            lane.beat()
        restarted = closing.enter_context(contextlib.closing(open_topic(broker, copy)))
        restarted.append(make_rows(*(make_event(number) for number in range(9))), received_at=LATEST)
        with pytest.raises(LogReplacedError, match="was made anew"):
            open_lane(restarted, sqlite_store, snapshot, policy).catch_up()


def test_a_lane_whose_copy_of_the_topic_is_lost_makes_its_state_anew(
    broker: TestBroker, sqlite_store: Store, snapshot: Snapshot, policy: Policy, tmp_path: Path,
    *, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("serving.lane.kafka_log._POLL_SECONDS", 0.0001)  # before the broker has answered
    found = []
    for copy in ("first", "second"):
        log = open_topic(broker, tmp_path / copy, "anew")
        if copy == "first":
            for number in range(3):
                log.append(make_rows(make_event(number, page="leave")), received_at=LATEST)
        lane = open_lane(log, sqlite_store, snapshot, policy)
        lane.catch_up()
        while lane.position < 3:
            lane.step()
        found.append((lane.position, lane.probabilities([AT_RISK]).tolist()))
        log.close()
    assert found[0] == found[1]
    assert found[0][0] == 3


def test_a_message_that_is_no_event_is_left_out_and_reported_without_its_content(
    broker: TestBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = open_topic(broker, tmp_path / "events.db", "mixed")
    producer = Producer({"bootstrap.servers": broker.servers})
    for body in (b"no JSON", json.dumps(make_event(1, "ann@example.com")).encode(), json.dumps(make_event(2)).encode()):
        producer.produce("mixed", body, timestamp=LATEST)
    producer.flush(9)
    assert [event.position for event in read_all(log, 1)] == [3]
    assert "The message at offset 1 of mixed was left out: No event was taken. event 0: `customer_id`" in caplog.text
    assert "ann@" not in caplog.text
    log.close()


def test_a_broker_that_is_away_takes_no_event_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.lane.kafka_log._SECONDS", 0.3)
    with pytest.raises(LogAwayError, match=r"answered (_TIMED_OUT|_TRANSPORT)"):
        open_topic(TestBroker(), tmp_path / "events.db")


@contextlib.contextmanager
def listen_by_tls(folder: Path) -> Iterator[tuple[str, Path, list[bytes]]]:
    """Yield the address of a listener with a certificate of its own, that certificate, and what clients sent it."""
    certificate, key = write_certificate(folder)
    context, received = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    context.load_cert_chain(certificate, key)

    def answer() -> None:
        with contextlib.suppress(OSError):
            while True:
                with (
                    contextlib.suppress(ssl.SSLError),
                    context.wrap_socket(listener.accept()[0], server_side=True) as client,
                ):
                    received.append(client.recv(1000))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(target=answer)
        answering.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", certificate, received
        listener.shutdown(socket.SHUT_RDWR)
    answering.join()


def test_a_broker_is_reached_by_tls_and_with_a_certificate_that_nobody_trusts_the_lane_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.lane.kafka_log._SECONDS", 1.0)
    signed = {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"}
    secrets = {"sasl.username": "BROKER_USER", "sasl.password": "BROKER_PASSWORD"}

    def open_signed(servers: str, **settings: str) -> KafkaLog:
        broker = Broker(servers=servers, topic="events", settings={**signed, **settings}, secrets=secrets)
        environment = {"BROKER_USER": "shop", "BROKER_PASSWORD": "a word for tests"}
        return KafkaLog(broker, secrets=environment, copy=tmp_path / "events.db", ahead_seconds=300)

    with listen_by_tls(tmp_path) as (servers, certificate, received):
        with pytest.raises(
            BrokerRefusedError, match=f"{servers}.*certificate verify failed.*`ssl.ca.location`"
        ) as fault:
            open_signed(servers)
        assert "a word for tests" not in str(fault.value)
        assert received == []
        with pytest.raises(LogAwayError):  # the certificate is trusted now, and nothing answers as a broker does
            open_signed(servers, **{"ssl.ca.location": str(certificate)})
        assert any(received)
        with pytest.raises(BrokerRefusedError, match="Unsupported SASL mechanism: NOPE"):
            open_signed(servers, **{"sasl.mechanism": "NOPE"})


@pytest.mark.parametrize(
    ("broken", "said"),
    [({"settings": {"auto.offset.reset": "latest"}}, "is set by the lane itself"),
     ({"settings": {"sasl.password": "x"}}, "is a secret; name its environment variable")],
)  # fmt: skip
def test_a_broker_cannot_be_named_so_that_events_are_skipped_or_secrets_are_written_down(
    broken: dict[str, Any], said: str
) -> None:
    with pytest.raises(PolicyError, match=said):
        load_policy({"lane": {"broker": {"servers": "localhost:9092", "topic": "events", **broken}}})


def test_an_event_that_was_sent_twice_counts_once(any_log: Log) -> None:
    any_log.append(make_rows(make_event(1), make_event(1), make_event(2)), received_at=LATEST)
    any_log.append(make_rows(make_event(2), make_event(3)), received_at=LATEST + 1)
    found = read_all(any_log, 3)
    at = int(AT.timestamp() * 1000)
    assert [event[1:] for event in found] == [
        (AT_RISK, at, "visit", None, moment) for moment in (LATEST, LATEST, LATEST + 1)
    ]
    assert any_log.read(after=found[1].position, limit=9) == found[2:]
    assert any_log.last() == found[-1].position


def test_what_the_company_tests_moves_nothing(any_log: Log) -> None:
    any_log.append(make_rows(make_event(1, is_test=True), make_event(2)), received_at=LATEST)
    assert [event.position for event in read_all(any_log, 1)] == [2]


def test_old_events_leave_the_log_and_no_position_comes_again(any_log: Log) -> None:
    any_log.append(make_rows(make_event(1), make_event(2)), received_at=LATEST)
    any_log.append(make_rows(make_event(3)), received_at=LATEST + 4)
    assert len(read_all(any_log, 3)) == 3
    assert any_log.trim(before=LATEST + 4, upto=1) == 1
    assert any_log.trim(before=LATEST + 8, upto=9) == 2
    assert any_log.issued() == 3
    any_log.append(make_rows(make_event(4)), received_at=LATEST + 5)
    assert [event.position for event in read_all(any_log, 1)] == [4]


def test_events_that_are_appended_at_once_are_read_in_one_order_without_a_gap(open_log: Callable[[], Log]) -> None:
    reading, seen = open_log(), list[int]()
    rows = [make_rows(*(make_event(100 * writer + n) for n in range(20))) for writer in range(4)]

    def write(writer: int) -> None:
        log = open_log()
        for row in rows[writer]:
            log.append([row, rows[(writer + 1) % 4][0]], received_at=LATEST)

    with ThreadPoolExecutor() as pool:
        writing = [pool.submit(write, writer) for writer in range(4)]
        while not all(each.done() for each in writing) or len(seen) < 80:
            seen += [event.position for event in reading.read(after=(seen or [0])[-1], limit=7)]
    assert [each.exception() for each in writing] == [None] * 4
    assert seen == [event.position for event in reading.read(after=0, limit=100)]
    assert len(seen) == 80


def test_counts_are_the_same_in_whatever_order_events_come() -> None:
    generator = random.Random(7)
    events = [(generator.randrange(5), generator.randrange(3), 20_000 + generator.randrange(12)) for _ in range(400)]
    states = []
    for _ in range(3):
        generator.shuffle(events)
        state = State(days=8, signals=("a", "b", "c"))
        for row in range(5):
            state.row_of(str(row))
        for start in range(0, len(events), 37):
            state.add(*(np.array(column) for column in zip(*events[start : start + 37], strict=True)))
        states.append(state.read(np.arange(5), since=20_006, windows=(3, 8)))
    newest = [max(day for row, _, day in events if row == customer) for customer in range(5)]
    counted = [
        [sum(1 for row, s, day in events if (row, s) == (c, signal) and day > newest[c] - 3) for signal in range(3)]
        for c in range(5)
    ]
    assert states[0].windows[3].tolist() == counted
    for state in states[1:]:
        assert (state.since_score == states[0].since_score).all()
        assert (state.windows[8] == states[0].windows[8]).all()


def test_alerts_do_not_depend_on_how_events_are_cut_into_steps(
    tmp_path: Path, sqlite_tables: Path, log: SqliteLog, snapshot: Snapshot, policy: Policy
) -> None:
    generator = random.Random(3)
    kinds = ["visit", "complaint", "pay", "uninstall", "payment_failed", "add_to_cart"]
    events = [
        make_event(number, f"secret-{generator.randrange(1, 41):03d}", generator.choice(kinds)) for number in range(300)
    ]
    log.append(make_rows(*events), received_at=1)
    found = []
    for size in (1, 7, 1000):
        sized = policy.model_copy(update={"lane": policy.lane.model_copy(update={"events_per_step": size})})
        with Store(f"sqlite:///{shutil.copy(sqlite_tables, tmp_path / f'{size}.db')}") as store:
            lane = open_lane(log, store, snapshot, sized)
            lane.catch_up()
            while lane.step():
                pass
            found.append(store.alerts.read()[["alert_id", "customer_id", "level", "why_en"]].sort_values("alert_id"))
    assert len(found[0]) > 10
    assert found[0].to_dict("list") == found[1].to_dict("list") == found[2].to_dict("list")


def test_a_lane_that_was_killed_reads_on_from_its_effects_and_its_checkpoint(
    tmp_path: Path, log: SqliteLog, sqlite_store: Store, snapshot: Snapshot, policy: Policy
) -> None:
    first = open_lane(log, sqlite_store, snapshot, policy)
    first.catch_up()
    log.append(make_rows(make_event(1, page="leave")), received_at=1)
    first.step()
    save_checkpoint(first, tmp_path / "state.npz")
    log.append(make_rows(make_event(2, kind="payment_failed")), received_at=2)
    first.step()
    log.append(make_rows(make_event(3, kind="payment_failed")), received_at=3)
    second = open_lane(log, sqlite_store, snapshot, policy)
    assert load_checkpoint(second, tmp_path / "state.npz")
    second.catch_up()
    assert second.position == 2
    second.step()
    log_odds = np.log(1.5) + 0.5 + 2 * 0.6 + 0.3
    assert second.probabilities([AT_RISK]).tolist() == pytest.approx([1 / (1 + np.exp(-log_odds))])
    assert [customer for customer, *_ in alerts_of(sqlite_store)] == [AT_RISK]


def test_what_a_night_has_yet_to_land_stays_in_the_log(
    log: SqliteLog, sqlite_store: Store, snapshot: Snapshot, policy: Policy
) -> None:
    log.append(make_rows(make_event(1), make_event(2), make_event(3)), received_at=1)
    lane = open_lane(log, sqlite_store, snapshot, policy)
    lane.catch_up()
    lane.is_landed = True
    assert (lane.step(), lane.trim()) == (3, 0)
    sqlite_store.lane.record_landed(2, at=AT)
    assert lane.trim() == 2
    lane.is_landed = False  # no feed lands the log
    assert lane.trim() == 1


def test_two_lanes_cannot_give_one_event_two_effects(
    log: SqliteLog, sqlite_store: Store, snapshot: Snapshot, policy: Policy
) -> None:
    lanes = [open_lane(log, sqlite_store, snapshot, policy) for _ in range(2)]
    for lane in lanes:
        lane.catch_up()
    log.append(make_rows(make_event(1, page="leave"), make_event(2, kind="complaint")), received_at=1)
    lanes[0].step()
    with pytest.raises(LaneMovedError):
        lanes[1].step()
    assert len(sqlite_store.alerts.read()) == 1


def test_a_lane_begins_anew_after_all_its_events_were_trimmed_or_erased(
    log: SqliteLog, sqlite_store: Store, snapshot: Snapshot, policy: Policy
) -> None:
    log.append(make_rows(make_event(1), make_event(2)), received_at=1)
    lane = open_lane(log, sqlite_store, snapshot, policy)
    lane.catch_up()
    lane.step()
    assert log.trim(before=2, upto=2) == 2
    again = open_lane(log, sqlite_store, snapshot, policy)
    again.catch_up()
    assert again.position == 2


def test_a_log_that_forgot_is_reported_and_not_skipped(
    log: SqliteLog, sqlite_store: Store, snapshot: Snapshot, policy: Policy, tmp_path: Path
) -> None:
    log.append(make_rows(make_event(1)), received_at=1)
    lane = open_lane(log, sqlite_store, snapshot, policy)
    lane.catch_up()
    lane.step()
    empty = SqliteLog(tmp_path / "empty.db")
    with pytest.raises(LogReplacedError, match="ends at 0, but events up to 1"):
        open_lane(empty, sqlite_store, snapshot, policy).catch_up()
    empty.close()


def test_a_new_night_takes_the_place_of_the_delta_and_is_compared_with_it(
    log: SqliteLog, sqlite_store: Store, policy: Policy, tmp_path: Path
) -> None:
    path, tables = tmp_path / "holdfast.duckdb", make_tables()
    write_snapshot(path, tables)
    lane = open_lane(log, sqlite_store, Snapshot(path=path), policy)
    lane.catch_up()
    log.append(make_rows(make_event(1, page="leave")), received_at=1)
    lane.step()
    tomorrow = AS_OF + timedelta(days=1)
    customers = tables["customers"].assign(as_of=tomorrow, probability=0.7, score=70.0)
    about = tables["about"].assign(as_of=tomorrow)
    write_snapshot(path.with_suffix(".new"), {**tables, "customers": customers, "about": about})
    path.with_suffix(".new").replace(path)
    assert lane.refresh()
    assert not lane.refresh()
    assert lane.probabilities([AT_RISK]).tolist() == pytest.approx([0.7])
    night = sqlite_store.lane.read_nights().to_dict("records")
    assert [(row["as_of"], row["group_name"], row["count_customers"]) for row in night] == [(tomorrow, "raised", 1)]
    assert night[0]["probability_lane"] == pytest.approx(0.7121, abs=1e-4)
    assert night[0]["log_odds_gap"] == pytest.approx(np.log(1.5) + 0.5 - np.log(7 / 3))


def test_a_night_teaches_what_was_seen_before_it_and_its_weights_take_the_place_of_declared_ones(
    log: SqliteLog, sqlite_store: Store, policy: Policy, tmp_path: Path
) -> None:
    path, tables = tmp_path / "holdfast.duckdb", make_tables()
    write_snapshot(path, tables)
    lane = open_lane(log, sqlite_store, Snapshot(path=path), policy, now=AT + timedelta(days=2))
    lane.catch_up()
    tomorrow = AS_OF + timedelta(days=1)
    late = (AT + timedelta(days=1)).isoformat()  # the night of tomorrow knows nothing of tomorrow
    events = [make_event(1, page="leave"), make_event(2, kind="complaint"), make_event(3, kind="pay", occurred_at=late)]
    rows = read_events(json.dumps(events).encode(), most=9, latest=LATEST + 2 * 86_400_000)
    log.append(rows, received_at=1)
    lane.step()
    weights = pd.DataFrame({"lane_feature": ["complaint", "no signal of ours"], "lane_weight": [0.1, 9.0]})
    customers = tables["customers"].assign(as_of=tomorrow, probability=0.7, score=70.0)
    new = {**tables, "customers": customers, "about": tables["about"].assign(as_of=tomorrow), "lane_weights": weights}
    write_snapshot(path.with_suffix(".new"), new)
    path.with_suffix(".new").replace(path)
    assert lane.refresh()
    [lesson] = sqlite_store.lane.read_lessons(upto=tomorrow).to_dict("records")
    assert json.loads(lesson["lane_features"]) == {
        "leave_page": 1.0, "complaint": 1.0, "leave_page 1 and complaint 1": 1.0, "anything": 1.0,
    }  # fmt: skip
    assert lesson["lane_delta"] == pytest.approx(0.5 + 0.8 + 0.2)
    assert (lesson["log_odds_before"], lesson["log_odds_night"]) == pytest.approx((np.log(1.5), np.log(7 / 3)))
    log.append(read_events(json.dumps(make_event(4, kind="complaint", occurred_at=late)).encode(), most=9,
                           latest=LATEST + 2 * 86_400_000), received_at=1)  # fmt: skip
    lane.step()
    assert lane.probabilities([AT_RISK]).tolist() == pytest.approx(
        [1 / (1 + np.exp(-(np.log(7 / 3) - 0.3 + 0.1 + 0.2)))]
    )


FAULTS = {
    "no JSON": (b"{", "no JSON"),
    "an address": (json.dumps([make_event(1, "ann@example.com")]).encode(), "event 0: `customer_id` is not an id"),
    "a device": (json.dumps(make_event(1, device_id="d1")).encode(), "`device_id` is personal"),
    "no time zone": (json.dumps(make_event(1, occurred_at="2024-10-01T08:00:00")).encode(), "time zone"),
    "the future": (json.dumps(make_event(1, occurred_at="2024-10-01T09:00:00Z")).encode(), "lies in the future"),
    "no id": (
        json.dumps([make_event(), {"customer_id": "c", "occurred_at": AT.isoformat()}]).encode(),
        "event 1: `event_id` is missing",
    ),
    "other fields": (json.dumps(make_event(1, email="x")).encode(), "fields that are none of"),
    "words that nobody reads": (json.dumps(make_event(1, text="ann@example.com")).encode(), "`text` is not read here"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_taken_is_refused_by_its_place_and_without_its_value(fault: str) -> None:
    body, said = FAULTS[fault]
    with pytest.raises(InvalidRequestError, match=said) as refused:
        read_events(body, most=10, latest=LATEST)
    assert "ann@" not in str(refused.value)


def ask(
    store: Store, log: SqliteLog, policy: Policy, *bodies: bytes, role: str = "collector", waiting: int = 0
) -> list[httpx.Response]:
    keys = ApiKeys(store.database)
    key = keys.add(ApiKey(name="shop", role=role), by="test", at=AT, days=1)
    limits = policy.lane.collector
    collecting = Collecting(
        writer=GroupWriter(log, now=lambda: 5, most_queued=limits.most_queued),
        keys=Keys(keys=keys, access=read_access(), now=lambda: AT), limits=limits, now=lambda: AT,
        waiting=lambda: waiting, read_texts=read_sentiments,
    )  # fmt: skip

    async def send() -> list[httpx.Response]:
        transport = httpx.ASGITransport(create_collector(collecting), raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://collector", headers=headers) as client:
            return list(await asyncio.gather(*(client.post("/v1/events", content=body) for body in bodies)))

    with collecting.writer:
        return asyncio.run(send())


def test_the_collector_acknowledges_what_is_in_the_log(sqlite_store: Store, log: SqliteLog, policy: Policy) -> None:
    bodies = [json.dumps([make_event(10 * request + number) for number in range(10)]).encode() for request in range(9)]
    answers = ask(sqlite_store, log, policy, *bodies)
    assert {(answer.status_code, answer.text) for answer in answers} == {(202, '{"accepted":10}')}
    assert len(log.read(after=0, limit=100)) == 90


def test_events_that_could_not_be_stored_are_not_acknowledged(
    sqlite_store: Store, log: SqliteLog, policy: Policy
) -> None:
    log.close()
    [answer] = ask(sqlite_store, log, policy, json.dumps(make_event()).encode())
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "send it again" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("changed", "role", "waiting", "status"),
    [({}, "agent", 0, 401), ({"largest_body_kb": 1}, "collector", 0, 413), ({"most_queued": 5}, "collector", 0, 429),
     ({}, "collector", 10**9, 429), ({"events_per_request": 5}, "collector", 0, 422)],
)  # fmt: skip
def test_the_collector_refuses_with_a_problem_and_stores_nothing(
    changed: dict[str, int], role: str, waiting: int, *, status: int, sqlite_store: Store, log: SqliteLog
) -> None:
    body = json.dumps([make_event(number) for number in range(12)]).encode()
    policy = load_policy({"lane": {"collector": changed}})
    [answer] = ask(sqlite_store, log, policy, body, role=role, waiting=waiting)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert ("Retry-After" in answer.headers) == (status == 429)
    assert log.last() == 0


def test_the_desk_shows_a_live_alert_to_those_who_may_see_its_customer(
    log: SqliteLog, sqlite_store: Store, snapshot: Snapshot, policy: Policy
) -> None:
    log.append(make_rows(make_event(1, page="leave"), make_event(2, kind="complaint")), received_at=1)
    lane = open_lane(log, sqlite_store, snapshot, policy)
    lane.catch_up()
    lane.step()
    desk = Desk(
        snapshot=snapshot, store=sqlite_store, access=read_access(), policy=policy, templates=read_templates(),
        now=lambda: AT,
    )  # fmt: skip
    found = {}
    for role, owner in (
        ("retention_manager", None),
        ("agent", "ann"),
        ("agent", "customer service"),
        ("analyst", None),
    ):
        actor = Actor(desk=desk, name="x", grant=desk.access.grant(role, owner=owner))
        ids = sqlite_store.alerts.find("open", at=AT)
        found[role, owner] = [(row["customer_id"], row["level"]) for row in read_live_alerts(actor, ids, limit=5)]
    assert found == {
        ("retention_manager", None): [(AT_RISK, "high")], ("agent", "ann"): [],
        ("agent", "customer service"): [(AT_RISK, "high")], ("analyst", None): [],
    }  # fmt: skip


def test_a_program_lists_a_live_alert_by_its_filters_and_answers_it(
    log: SqliteLog, sqlite_store: Store, snapshot: Snapshot, policy: Policy
) -> None:
    log.append(make_rows(make_event(1, page="leave"), make_event(2, kind="complaint")), received_at=1)
    lane = open_lane(log, sqlite_store, snapshot, policy)
    lane.catch_up()
    lane.step()
    desk = Desk(
        snapshot=snapshot,
        store=sqlite_store,
        access=read_access(),
        policy=policy,
        templates=read_templates(),
        now=lambda: AT,
    )
    key = desk.keys.add(ApiKey(name="test", role="retention_manager"), by="test", at=AT, days=1)
    client = TestClient(create_app(desk), base_url="http://127.0.0.1", headers={"Authorization": f"Bearer {key}"})
    [live] = client.get("/v1/alerts").json()["live"]
    assert (live["customer_id"], live["level"], live["state"]) == (AT_RISK, "high", "open")
    for condition, count in (
        ("score:ge:70", 1),
        ("score:ge:99", 0),
        ("level:in:high,low", 1),
        ("customer_id:eq:secret-001", 0),
    ):
        answer = client.get("/v1/alerts", params={"filter": condition})
        assert (answer.status_code, len(answer.json()["live"])) == (200, count), condition
    taken = client.post(f"/v1/alerts/{live['alert_id']}/acknowledge", headers={"Idempotency-Key": "lane-0001"})
    assert (taken.status_code, taken.json()["after"]) == (200, "acknowledged")
    assert client.get("/v1/alerts").json()["live"] == []


def test_the_page_of_health_shows_how_the_lane_compares_with_the_night(
    sqlite_store: Store, snapshot: Snapshot, policy: Policy
) -> None:
    group = {"count_customers": 9, "probability_before": 0.2, "probability_lane": 0.34, "log_odds_gap": 0.3}
    groups = [{"group_name": each, "probability_night": 0.29, **group} for each in ("lowered", "raised", "unmoved")]
    sqlite_store.lane.record_night(AS_OF, groups)
    desk = Desk(
        snapshot=snapshot, store=sqlite_store, access=read_access(), policy=policy, templates=read_templates(),
        now=lambda: AT,
    )  # fmt: skip
    link = desk.users.add(User(name="somebody", role="retention_manager"), by="test", at=AT)
    session = desk.users.choose_password(link, "correct horse battery", at=AT)
    page = TestClient(create_app(desk), base_url="http://127.0.0.1", cookies={SESSION_COOKIE: session}).get("/health")
    for direction in ("raised", "lowered"):
        found = f"had {direction} the risk of 9 customers, to 34% on average; the night of that day has 29%."
        assert found in page.text, page.text


def fill_days(policy: Policy, *, complaints: int, visits: int, days: int = 6) -> Surges:
    """Return what was seen in the hour before AT of the last days, with as much on each."""
    surges = Surges(policy=policy)
    for day in range(days):
        at = int((AT - timedelta(days=day, minutes=30)).timestamp() * 1000)
        for number in range(complaints + visits):
            signal = "complaint" if number < complaints else "visit"
            surges.add([(Read(1, f"c{number}", at, signal, None, at), signal)])
    return surges


def add_now(surges: Surges, signal: str, count: int) -> list[Incident]:
    at = int((AT - timedelta(minutes=20)).timestamp() * 1000)
    surges.add((Read(1, f"n{number}", at, signal, None, at), signal) for number in range(count))
    return surges.find(at=AT, customers=10_000)


def test_complaints_that_surge_in_an_hour_are_an_incident_and_usual_ones_are_none(policy: Policy) -> None:
    assert add_now(fill_days(policy, complaints=5, visits=20), "complaint", 3) == []
    [found] = add_now(fill_days(policy, complaints=5, visits=20), "complaint", 60)
    assert (found.measure, len(found.customers), found.count_expected, found.grade) == ("complaints", 65, 5.0, "orange")
    assert found.cause_en == "all customers, last hour: 65 customers complained."


def test_a_burst_of_negative_feedback_is_an_incident_within_the_hour_and_leaves_no_word(
    sqlite_store: Store, log: SqliteLog, snapshot: Snapshot, policy: Policy, tmp_path: Path
) -> None:
    bad, good = "The parcel came three weeks late and nobody answers", "很满意,下次还会再来"
    opinions = [*([bad] * 20), *([good] * 5)]

    def write(day: int, text: str, number: int) -> dict[str, Any]:
        moment = (AT - timedelta(days=day, minutes=30)).isoformat()
        return make_event(100 * day + number, f"c{number}", "feedback", occurred_at=moment, text=text)

    past = [write(day, text, number) for day in range(1, 6) for number, text in enumerate((bad, good, good))]
    today = [write(0, text, number) for number, text in enumerate(opinions)]
    answers = ask(sqlite_store, log, policy, json.dumps([*past, *today]).encode())
    assert [answer.status_code for answer in answers] == [202]
    lane = open_lane(log, sqlite_store, snapshot, policy)
    lane.catch_up()
    lane.step()
    assert (lane.watch_rates(), lane.watch_rates()) == (1, 0)
    [incident] = sqlite_store.incidents.find()
    assert (incident["measure"], incident["cause_en"]) == (
        "opinions", "all customers, last hour: 20 customers wrote negative feedback.",
    )  # fmt: skip
    stored = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert not [word for word in ("parcel", "满意") if word.encode() in stored]


@pytest.mark.parametrize("text", ["", 7, "x" * 5_001])
def test_words_are_refused_without_being_repeated(
    text: object, sqlite_store: Store, log: SqliteLog, policy: Policy
) -> None:
    body = json.dumps(make_event(1, kind="feedback", text=text)).encode()
    [answer] = ask(sqlite_store, log, policy, body)
    assert (answer.status_code, log.last()) == (422, 0)
    assert answer.json()["detail"].startswith("No event was taken. event 0: `text` is no text of 1 to 5000 characters")


def test_events_that_cease_are_an_incident(policy: Policy) -> None:
    surges = fill_days(policy, complaints=0, visits=400)
    assert surges.find(at=AT, customers=10_000) == []
    kept = as_json(surges)
    kept["counts"]["inactivity"] = dict(sorted(kept["counts"]["inactivity"].items())[:-1])  # today brought nothing
    restarted = Surges(policy=policy)
    from_json(restarted, json.loads(json.dumps(kept)))
    [found] = add_now(restarted, "visit", 7)
    assert found.cause_en.startswith("all events, last hour: 7 came where 400 are usual")
    assert (found.measure, found.ratio, found.grade) == ("inactivity", 7 / 400, "red")
