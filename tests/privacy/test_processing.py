"""The record of processing states what a company declared, and what it did not; what is older than kept goes."""

import os
from dataclasses import replace
from datetime import date

import pytest
from erasable import AT, Scene

from company.policy import load_policy
from orchestration.privacy.keeping import delete_old, read_evidence
from orchestration.privacy.processing import Language, ProcessingRecord
from orchestration.resources import open_warehouse

DAY = date(2025, 3, 1)  # 365 days after what the scene holds: the last on which it is kept


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            ("# Record of processing: Shop", "contact persons of companies", "| customers | shop |", "not declared"),
        ),
        ("zh", ("个人信息处理活动记录", "企业联系人", "| customers | shop |", "未申报")),
    ],
)
def test_the_record_names_what_is_processed_and_what_nobody_declared(
    scene: Scene, language: Language, words: tuple[str, ...]
) -> None:
    text = str(ProcessingRecord(deployment=scene.deployment, language=language, day=DAY))
    assert [word for word in words if word not in text] == []
    assert "email, name, phone" in text
    assert "ann" not in text.lower().replace("channel", "").replace("declared", "").replace("cannot", "")


def test_what_is_older_than_the_policy_keeps_goes_and_is_written_down(scene: Scene) -> None:
    warehouse, logs = open_warehouse(scene.deployment.settings), scene.home / "logs"
    os.utime(logs / "run.log", (AT.timestamp(), AT.timestamp()))
    assert scene.ask("select count(*) from quarantine.rows") == [(1,)]
    assert delete_old(scene.deployment, warehouse, as_of=DAY) == {"quarantine": 0, "exports": 0, "logs": 0}
    assert delete_old(scene.deployment, warehouse, as_of=DAY.replace(day=2))["quarantine"] == 1
    assert scene.ask("select count(*) from quarantine.rows") == [(0,)]
    assert ((logs / "run.log").exists(), (logs / "old.log.gz").exists()) == (False, True)
    assert [(each["place"], each["deleted"]) for each in read_evidence(scene.home)] == [("quarantine", 1), ("logs", 1)]
    policy = load_policy({"privacy": {"keep_days": {"orders": 3650}}})
    record = str(ProcessingRecord(deployment=replace(scene.deployment, policy=policy), language="en", day=DAY))
    assert "- `orders`: 3650 days" in record
    assert "deleted on 2025-03-02: 1 older than 365 days (quarantine)" in record
