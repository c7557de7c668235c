"""Looks at the clocks of alerts: owners are notified once, at work, by their capacity; a breach is counted once."""

from collections.abc import Hashable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from company.policy import Policy, load_policy
from retention.acting.alerts import raise_alerts
from retention.acting.audit import audit
from retention.acting.channels import build_channels
from retention.acting.clock import make_clock
from retention.acting.dispatch import Sending, dispatch
from retention.acting.look import look
from retention.acting.notices import read_words
from retention.acting.owners import assign_owners
from retention.acting.proof import prove
from retention.acting.rules import SendingRules
from retention.deciding.tiers import assign
from retention.store.store import Store

DAY = date(2026, 6, 1)  # a Monday
NIGHT = datetime(2026, 6, 1, 3, 0, tzinfo=UTC)
NINE = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
TEAM = {
    "owners": {
        "ann": {"team": "retention desk", "regions": ["north"], "capacity": 2},
        "bea": {"team": "retention desk", "prefers": ["price"], "capacity": 10},
        "cai": {"team": "retention desk", "duty": [{"from": "2026-06-08", "until": "2026-06-14"}]},
    }
}


@pytest.fixture
def store(sqlite_store: Store) -> Store:
    return sqlite_store


def raise_for(store: Store, policy: Policy, *scores: float, at: datetime = NIGHT, day: date = DAY) -> list[str]:
    rows = pd.DataFrame({"customer_id": [f"c{place}" for place in range(len(scores))], "score": scores})
    rows = rows.assign(
        probability=rows["score"] / 100, as_of=day, main_reason="price", why_en="pays less", why_zh="消费下降",
        money_at_risk=rows["score"],
    )  # fmt: skip
    clock = make_clock(policy, timezone="UTC")
    store.alerts.record(raise_alerts(assign(rows, policy), policy), at=at, clock=clock)
    return store.alerts.read(day).sort_values("customer_id")["alert_id"].tolist()


def take_looks(store: Store, policy: Policy, *moments: datetime) -> list[tuple[int, int]]:
    looks = [look(store, policy, timezone="UTC", at=at) for at in moments]
    return [(len(found.notices), len(found.breaches)) for found in looks]


def messages(store: Store) -> list[tuple[str, str]]:
    rows = store.outbox.read()
    return list(zip(rows["customer_id"], rows["strategy_id"], strict=True))


def at(hours: float) -> datetime:
    return NINE + timedelta(hours=hours)


def test_the_ladder_is_climbed_at_work_and_each_rung_once_however_often_somebody_looks(store: Store) -> None:
    policy = load_policy()
    raise_for(store, policy, 95.0)
    counts = take_looks(store, policy, NIGHT, NINE, at(0.1), at(0.5), at(0.6), at(1.01), at(1.02), at(5), at(6))
    assert counts == [(0, 0), (1, 0), (0, 0), (1, 0), (0, 0), (1, 1), (0, 0), (1, 0), (0, 0)]
    assert sorted(messages(store)) == [
        ("owner:customer service", "escalation"),
        ("owner:management", "escalation"),
        ("owner:retention desk", "alert"),
        ("owner:retention desk", "reminder"),
    ]


def test_an_acknowledgement_stops_the_ladder_and_one_that_came_late_between_two_looks_is_late(store: Store) -> None:
    policy = load_policy()
    in_time, late = raise_for(store, policy, 95.0, 94.0)
    take_looks(store, policy, NINE)
    clock = make_clock(policy, timezone="UTC")
    store.alerts.acknowledge(in_time, by="ann", at=at(0.9), clock=clock)
    store.alerts.acknowledge(late, by="ann", at=at(1.2), clock=clock)
    store.alerts.close(late, by="ann", at=at(1.3), feedback="useful", clock=clock)
    assert take_looks(store, policy, at(1.5), at(1.6)) == [(0, 1), (0, 0)]
    alerts = store.alerts.read().set_index("alert_id")
    assert alerts.loc[late, "breached_at"] == at(1)
    assert pd.isna(alerts.loc[in_time, "breached_at"])


def test_a_late_look_tells_each_owner_once_of_all_that_became_due(store: Store) -> None:
    policy = load_policy()
    raise_for(store, policy, 95.0)
    assert take_looks(store, policy, at(6)) == [(3, 1)]


def test_alerts_that_are_not_urgent_make_one_digest_per_owner_and_day(store: Store) -> None:
    policy = load_policy({"notices": {"single": ["high"]}})
    raise_for(store, policy, 60.0, 61.0, 62.0)
    assert take_looks(store, policy, NINE, at(1)) == [(1, 0), (0, 0)]
    body = store.outbox.read()["body"].iloc[0]
    assert "3 alerts wait for you" in body
    assert body.count("customer c") == 3


def test_above_the_cap_of_an_owner_the_rest_waits_in_a_digest(store: Store) -> None:
    policy = load_policy({"notices": {"messages_per_day": 2}})
    raise_for(store, policy, 95.0, 94.0, 93.0, 92.0)
    assert take_looks(store, policy, NINE) == [(3, 0)]
    assert sorted(kind for _, kind in messages(store)) == ["alert", "alert", "digest"]


def test_the_same_customer_and_reason_is_not_told_of_again_within_the_cool_down(store: Store) -> None:
    policy = load_policy()
    (first,) = raise_for(store, policy, 95.0)
    take_looks(store, policy, NINE)
    store.alerts.close(first, by="ann", at=at(0.5), feedback="already_known")
    raise_for(store, policy, 95.0, at=NIGHT + timedelta(days=1), day=DAY + timedelta(days=1))
    days = [NINE + timedelta(days=1), NINE + timedelta(days=1, minutes=5), NINE + timedelta(days=7, minutes=1)]
    assert [notices for notices, _ in take_looks(store, policy, *days[:2])] == [0, 0]
    (second,) = store.alerts.find("open", at=days[2])
    store.alerts.close(second, by="ann", at=days[1], feedback="already_known")
    raise_for(store, policy, 95.0, at=days[2], day=DAY + timedelta(days=7))
    assert take_looks(store, policy, days[2])[0][0] == 1


def test_a_hand_over_tells_the_new_owner_and_the_clock_runs_on(store: Store) -> None:
    policy = load_policy()
    (alert_id,) = raise_for(store, policy, 95.0)
    take_looks(store, policy, NINE)
    clock = make_clock(policy, timezone="UTC")
    store.alerts.hand_over(alert_id, to="marketing", by="ann", at=at(0.2), clock=clock)
    assert take_looks(store, policy, at(0.3), at(0.4)) == [(1, 0), (0, 0)]
    assert ("owner:marketing", "hand_over") in messages(store)
    row = store.alerts.read().iloc[0]
    assert (row["owner"], row["due_at"]) == ("marketing", at(1))


def test_messages_to_owners_leave_by_the_outbox_once_and_agree_with_their_receiver(
    store: Store, tmp_path: Path
) -> None:
    policy = load_policy()
    raise_for(store, policy, 95.0)
    take_looks(store, policy, NINE)
    channels = build_channels({}, folder=tmp_path, secrets={})
    rules = SendingRules(contact=policy.contact_rules, timezone="UTC")
    sending = Sending(channels=channels, delivery=policy.delivery, rules=rules, clock=lambda: at(0.1))
    assert [dispatch(store, sending).sent for _ in range(2)] == [1, 0]
    proof = prove(store, channels, replays={})
    assert (proof.planned, proof.messages, proof.confirmed, proof.disagreements) == (0, 1, 1, ())
    assert store.ledger.recent_contacts(DAY, days=30) == set()


def test_two_who_look_at_once_tell_once(store: Store) -> None:
    policy = load_policy()
    raise_for(store, policy, 95.0)
    with Store(str(store.database.engine.url)) as other:
        counts = [*take_looks(store, policy, NINE), *take_looks(other, policy, NINE)]
    assert counts == [(1, 0), (0, 0)]
    assert len(store.looks.read(since=NINE)) == 2


def test_a_look_that_fails_has_told_nobody(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = load_policy()
    raise_for(store, policy, 95.0)
    with monkeypatch.context() as patch:
        patch.setattr("retention.store.looks._record_found", _fail)
        with pytest.raises(RuntimeError):
            take_looks(store, policy, NINE)
    assert messages(store) == []
    assert take_looks(store, policy, NINE) == [(1, 0)]


def _fail(*_: object, **__: object) -> None:
    raise RuntimeError


def test_a_notice_brings_the_customers_history_and_the_proposal(store: Store) -> None:
    policy = load_policy({"notices": {"cooldown_days": 0}, "owners": {"retention desk": {"language": "zh"}}})
    (first,) = raise_for(store, policy, 95.0)
    store.alerts.close(first, by="ann", at=at(0.5), feedback="wrong")
    raise_for(store, policy, 95.0, at=NIGHT + timedelta(days=8), day=DAY + timedelta(days=8))
    take_looks(store, policy, NINE + timedelta(days=8))
    assert "历史预警 1 条，最近 2026-06-01（误报）" in store.outbox.read()["body"].iloc[0]  # noqa: RUF001


def test_the_words_of_both_languages_have_the_same_keys_and_values() -> None:
    english, chinese = (read_words()[language] for language in ("en", "zh"))
    assert english.keys() == chinese.keys()
    fields = [
        {name: sorted(part.split("}")[0].split(":")[0] for part in text.split("{")[1:]) for name, text in words.items()}
        for words in (english, chinese)
    ]
    assert fields[0] == fields[1]


def _customer(**about: object) -> dict[Hashable, object]:
    return {"level": "high", "region": "south", "main_reason": "service"} | about


def test_an_alert_goes_to_its_owner_by_region_preference_load_and_duty() -> None:
    policy = load_policy(TEAM)
    customers = [_customer(owner="dan"), _customer(region="north"), _customer(region="north", main_reason="price")]
    customers += [_customer(region="north"), _customer(level="medium")]
    assert assign_owners(customers, policy, load={}, day=DAY) == ["dan", "ann", "bea", "bea", "customer service"]
    assert assign_owners([_customer()], policy, load={"bea": 10}, day=DAY) == ["retention desk"]
    assert assign_owners([_customer()], policy, load={}, day=date(2026, 6, 9)) == ["cai"]


def test_the_auditor_finds_what_stands_still_and_nothing_else(store: Store, tmp_path: Path) -> None:
    policy = load_policy()
    channels = build_channels({}, folder=tmp_path, secrets={})
    raise_for(store, policy, 95.0)
    assert audit(store, policy, channels, at=NIGHT + timedelta(minutes=30)) == []
    assert "Nobody has looked at the clocks of 1 alerts" in audit(store, policy, channels, at=NINE)[0]
    take_looks(store, policy, NINE)
    assert audit(store, policy, channels, at=at(0.1)) == []
    found = audit(store, policy, build_channels({"file": {"media": ["sms"]}}, folder=tmp_path, secrets={}), at=at(400))
    assert [sentence[:24] for sentence in found] == [
        "Nobody has looked at the", "1 alerts of retention de", "1 messages by email wait", "retention desk is notifi",
    ]  # fmt: skip
