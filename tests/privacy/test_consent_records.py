"""Consent records: one per purpose and channel, with its history, in the fields of the specification."""

from datetime import UTC, datetime

from erasable import AT, Scene

from orchestration.privacy.answering import find_consents
from privacy.consent_receipts import ConsentChange, Controller, make_records
from retention.store.consents import Consent

SHOP = Controller(name="Shop", contact="dpo@shop.example", recipients=("webhook",), jurisdiction="gdpr")


def change(day: int, *, is_granted: bool, channel: str = "email") -> ConsentChange:
    return ConsentChange("marketing", channel, is_granted, datetime(2024, 1, day, tzinfo=UTC), "crm")


def test_each_purpose_and_channel_has_a_record_with_its_changes_in_order() -> None:
    changes = [change(3, is_granted=False), change(1, is_granted=True), change(1, is_granted=True)]
    records = make_records([*changes, change(2, is_granted=True, channel="sms")], principal="ann", controller=SHOP)
    assert [[event["event_state"] for event in each["events"]] for each in records] == [
        ["given", "withdrawn"],
        ["given"],
    ]
    assert {each["schema_version"] for each in records} == {"ISO/IEC TS 27560:2023"}
    assert len({each["record_id"] for each in records}) == 2
    purpose = records[0]["pii_processing"]["purposes"][0]
    controllers = [{"party_name": "Shop", "party_contact": "dpo@shop.example"}]
    assert (purpose["lawful_basis"], purpose["pii_controllers"]) == ("consent", controllers)


def test_what_was_withdrawn_at_the_command_line_stands_in_the_customers_records_and_nobody_elses(scene: Scene) -> None:
    withdrawn = Consent(
        customer_id="cyn-005", purpose="marketing", channel="email", is_granted=False, changed_at=AT, reported_by="dpo"
    )
    scene.store.consents.record([withdrawn], at=AT)
    records = find_consents(scene.deployment, scene.store, ["cyn-005"])
    assert {each["pii_principal_id"] for each in records} == {"cyn-005"}
    own = [each for each in records if each["pii_processing"]["purposes"][0]["purpose"] == "marketing"]
    assert [[event["event_state"] for event in each["events"]] for each in own] == [["withdrawn"]]
