"""One month from sources to recorded actions and back, and the same month again."""

import sqlite3

import duckdb
import pandas as pd
from instance import AS_OF, Instance, PreparedRun

from bench.state import read_ledger, read_tables
from retention.acting.inbox import Inbox


def test_the_first_run_decides_sends_and_reads_back(finished_instance: Instance) -> None:
    with duckdb.connect(str(finished_instance.home / "warehouse.duckdb"), read_only=True) as connection:
        arms = dict(
            connection.execute("select arm, count(*) from retention.plans where arm <> 'none' group by arm").fetchall()
        )
        sent = connection.execute("select count(*) from retention.ledger where event = 'sent'").fetchone()
        judged = connection.execute("select count(*) from outcomes.treatment_outcomes where is_mature").fetchone()
    assert min(arms.get("treated", 0), arms.get("holdout", 0)) > 0
    assert sent == (arms["treated"],)
    assert judged is not None
    assert judged[0] > 0


def test_every_message_is_delivered_without_personal_data(finished_instance: Instance) -> None:
    messages = Inbox(finished_instance.home / "outbox" / "inbox.db").read(limit=10_000)
    treated = read_ledger(finished_instance.home).query("event == 'sent'")
    assert sorted(message.key for message in messages) == sorted(treated["idempotency_key"])
    assert {message.body["customer_id"] for message in messages} == set(treated["customer_id"])
    assert {(message.times, message.is_replay) for message in messages} == {(1, True)}


def test_the_same_month_again_changes_nothing_and_sends_nothing(prepared_run: PreparedRun) -> None:
    instance = prepared_run.restore("end")
    before, ledger = read_tables(instance.home), read_ledger(instance.home)
    delivered = Inbox(instance.home / "outbox" / "inbox.db").read(limit=10_000)
    versions = read_versions(instance)
    again = instance.run(AS_OF)
    assert again.returncode == 0, again.stdout
    assert read_versions(instance) == versions
    assert Inbox(instance.home / "outbox" / "inbox.db").read(limit=10_000) == delivered
    pd.testing.assert_frame_equal(read_ledger(instance.home), ledger)
    assert read_tables(instance.home) == before


def read_versions(instance: Instance) -> list[tuple[str, int]]:
    with sqlite3.connect(instance.home / "mlflow" / "mlflow.db") as connection:
        return connection.execute("select run_id, version from model_versions order by version").fetchall()
