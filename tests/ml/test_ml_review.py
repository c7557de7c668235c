"""What becomes of versions, against a real registry and a real store."""

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from company.policy import load_policy
from ml.registry import Registry, RegistryError
from ml.training.promotion import Decision
from ml.training.train import Fitted
from orchestration.control.model_events import ModelEvents
from orchestration.defs.model_trials import SCHEMA, TRIALS, is_open
from orchestration.defs.scores import divide
from orchestration.engines import DuckDb
from orchestration.review import Outcome, find_unread, judge, review, roll_back, settle_reviews
from orchestration.warehouse import Warehouse
from retention.store.store import Store

AT = datetime(2025, 7, 1, tzinfo=UTC)
BETTER, WORSE = Decision(promote=True, reason="better"), Decision(promote=False, reason="worse")


@pytest.fixture
def store(sqlite_store: Store) -> Store:
    return sqlite_store


def train(  # one training, as the asset does it
    registry: Registry, store: Store, fitted: Fitted, name: str, decision: Decision = BETTER, *, waits: bool = False
) -> Outcome:
    version = registry.register(fitted, as_of="2025-07-01", fingerprint=name, trigger="monthly", review=waits)
    against = registry.aliases().get("champion")
    return judge(registry, store, version, decision, against=against, at=AT, request_id=f"request of {name}")


def set_on_the_page(registry: Registry, version: str, **tags: str) -> None:
    for name, value in tags.items():
        registry._client.set_model_version_tag(registry.model_name, version, name, value)


def moves(store: Store) -> list[tuple[str, str, str, str, str | None]]:
    return [
        (each.version, each.event, each.decided_by, each.comment, each.request_id)
        for each in ModelEvents(store).champions()
    ]


def test_the_policy_promotes_the_better_and_refuses_the_worse_and_both_are_recorded(
    registry: Registry, store: Store, small: Fitted
) -> None:
    first = train(registry, store, small, "a")
    second = train(registry, store, small, "b", WORSE)

    assert (first.lifecycle_status, second.lifecycle_status) == ("promoted", "refused")
    assert registry.aliases() == {"champion": first.version, "challenger": second.version}
    assert moves(store) == [(first.version, "promoted", "policy", "better", "request of a")]
    tags = registry.read(second.version).metadata
    assert (tags["lifecycle_status"], tags["decision"], tags["judged_against"]) == ("refused", "worse", first.version)


def test_what_did_not_beat_the_champion_may_score_live_and_what_was_refused_on_its_own_may_not(
    registry: Registry, store: Store, small: Fitted
) -> None:
    train(registry, store, small, "a")
    worse = train(registry, store, small, "b", WORSE)
    found = registry.challenger()
    assert found is not None
    assert found.version == worse.version
    train(registry, store, small, "c", Decision(promote=False, reason="refused: unfair", is_sound=False))
    assert registry.challenger() is None


def test_two_versions_share_the_customers_until_the_trial_has_a_verdict_or_its_days_are_over(
    registry: Registry, store: Store, small: Fitted, table: pa.Table, tmp_path: Path
) -> None:
    first, second = (train(registry, store, small, "a").version, train(registry, store, small, "b", WORSE).version)
    champion, challenger = registry.champion(), registry.challenger()
    assert champion
    shares = {
        model.version: rows.num_rows / table.num_rows for model, rows in divide(table, champion, challenger, share=0.3)
    }
    assert shares == {first: pytest.approx(0.7, abs=0.06), second: pytest.approx(0.3, abs=0.06)}

    warehouse = Warehouse(engine=DuckDb(path=tmp_path / "warehouse.duckdb"))
    lives = load_policy().promotion.model_copy(update={"live_share": 0.3, "live_days": 90})
    rows = [{"champion": first, "challenger": second, "verdict": "open", "as_of": date(2025, 7, day)} for day in (1, 2)]
    assert not is_open(warehouse, registry, lives, as_of=date(2025, 8, 1))
    warehouse.replace(TRIALS, pa.Table.from_pylist(rows, schema=SCHEMA))
    asked = {day: is_open(warehouse, registry, lives, as_of=day) for day in (date(2025, 9, 28), date(2025, 9, 29))}
    assert list(asked.values()) == [True, False]
    registry.register(small, as_of="2025-08-01", fingerprint="c", trigger="monthly", keeps_challenger=True)
    assert registry.aliases() == {"champion": first, "challenger": second}
    decided = [rows[0], rows[1] | {"verdict": "champion"}]
    warehouse.replace(TRIALS, pa.Table.from_pylist(decided, schema=SCHEMA))
    assert not is_open(warehouse, registry, lives, as_of=date(2025, 8, 1))


def test_a_version_approved_on_the_mlflow_page_becomes_champion_at_the_sensor_s_next_look(
    registry: Registry, store: Store, small: Fitted
) -> None:
    waiting = train(registry, store, small, "a", waits=True)
    assert (waiting.lifecycle_status, settle_reviews(registry, store, at=AT), registry.champion()) == (
        "awaiting_review",
        (),
        None,
    )

    set_on_the_page(registry, waiting.version, review_comment="looks right", review_state="Approved")
    found = settle_reviews(registry, store, at=AT)

    assert found == (Outcome(waiting.version, "promoted", "looks right"),)
    assert registry.aliases() == {"champion": waiting.version}
    assert moves(store)[0][2:4] == ("a person on the MLflow page", "looks right")
    assert settle_reviews(registry, store, at=AT) == ()


def test_a_version_rejected_on_the_mlflow_page_never_becomes_champion(
    registry: Registry, store: Store, small: Fitted
) -> None:
    waiting = train(registry, store, small, "a", waits=True)
    set_on_the_page(registry, waiting.version, review_state="rejected", reviewed_by="ann", review_comment="unfair")

    assert settle_reviews(registry, store, at=AT) == (
        Outcome(waiting.version, "refused", "rejected by ann: unfair"),
    )  # fmt: skip

    assert train(registry, store, small, "a", waits=True).lifecycle_status == "refused"
    with pytest.raises(RegistryError, match="review_state is 'rejected'"):
        registry.promote(waiting.version)


def test_approval_does_not_help_a_version_that_the_policy_refuses(
    registry: Registry, store: Store, small: Fitted
) -> None:
    refused = train(registry, store, small, "a", WORSE, waits=True)

    found = review(registry, store, refused.version, approve=True, by="ann", comment="please", at=AT)

    assert found == Outcome(refused.version, "refused", "worse")
    assert (registry.champion(), moves(store)) == (None, [])


def test_an_approved_version_that_was_compared_with_an_earlier_champion_is_not_promoted(
    registry: Registry, store: Store, small: Fitted
) -> None:
    old, new = (train(registry, store, small, name, waits=True) for name in "ab")

    newer = review(registry, store, new.version, approve=True, by="ann", comment="good", at=AT)
    older = review(registry, store, old.version, approve=True, by="ann", comment="good", at=AT)

    assert (newer.lifecycle_status, older.lifecycle_status) == ("promoted", "refused")
    assert f"the champion is {new.version} now; train again" in older.reason
    assert registry.aliases()["champion"] == new.version


def test_a_typing_error_on_the_page_is_no_verdict_and_is_found(registry: Registry, store: Store, small: Fitted) -> None:
    waiting = train(registry, store, small, "a", waits=True)
    set_on_the_page(registry, waiting.version, review_state="aproved")

    assert settle_reviews(registry, store, at=AT) == ()
    assert find_unread(registry) == (waiting.version,)


def test_a_rollback_is_recorded_and_a_training_that_is_repeated_does_not_undo_it(
    registry: Registry, store: Store, small: Fitted
) -> None:
    first, second = (train(registry, store, small, name) for name in "ab")

    back = roll_back(registry, store, by="ann", reason="too many false alarms", at=AT)
    again = train(registry, store, small, "b")

    assert (back.version, again.lifecycle_status) == (first.version, "rolled_back")
    assert registry.aliases()["champion"] == first.version
    assert [each[:4] for each in moves(store)] == [
        (first.version, "promoted", "policy", "better"),
        (second.version, "promoted", "policy", "better"),
        (first.version, "rolled_back", "ann", "too many false alarms"),
    ]


@pytest.mark.parametrize("killed_after", ["alias", "record"])
def test_a_settling_that_was_killed_half_way_is_finished_at_the_next_look(
    registry: Registry, store: Store, small: Fitted, killed_after: str
) -> None:
    waiting = train(registry, store, small, "a", waits=True)
    set_on_the_page(registry, waiting.version, review_state="approved", reviewed_by="ann")
    registry.promote(waiting.version)
    if killed_after == "record":
        ModelEvents(store).move_champion(
            waiting.version, by="ann", comment="approved by ann", at=AT, request_id="request of a"
        )

    found = settle_reviews(registry, store, at=AT)

    assert [each.lifecycle_status for each in found] == ["promoted"]
    assert moves(store) == [(waiting.version, "promoted", "ann", "approved by ann", "request of a")]


def test_a_verdict_without_a_name_or_on_no_version_leaves_no_trace(
    registry: Registry, store: Store, small: Fitted
) -> None:
    waiting = train(registry, store, small, "a", waits=True)

    with pytest.raises(ValueError, match="needs the name of a person"):
        review(registry, store, waiting.version, approve=True, by=" ", comment="", at=AT)
    with pytest.raises(RegistryError, match="There is no version 9"):
        review(registry, store, "9", approve=True, by="ann", comment="", at=AT)
    with pytest.raises(ValueError, match="name of a person and a reason"):
        roll_back(registry, store, by="ann", reason="", at=AT)

    assert ModelEvents(store).read().empty
