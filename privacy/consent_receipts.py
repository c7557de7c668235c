"""Consent records with the fields of ISO/IEC TS 27560:2023: what a customer agreed to, when, and how it ends."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

SCHEMA = "ISO/IEC TS 27560:2023"
_WITHDRAWAL = "by a message to the controller; it counts from the next message on, planned ones included"


@dataclass(frozen=True)
class ConsentChange:
    """A consent given or withdrawn, for messages of a purpose by a channel."""

    purpose: str
    channel: str
    is_granted: bool
    changed_at: datetime
    reported_by: str


@dataclass(frozen=True, kw_only=True)
class Controller:
    """Who asks for the consents: name and contact, and who gets what the customer agreed to."""

    name: str
    contact: str | None
    recipients: Sequence[str]
    jurisdiction: str


def make_records(
    changes: Iterable[ConsentChange], *, principal: str, controller: Controller, language: str = "en"
) -> list[dict[str, Any]]:
    """Return a record per purpose and channel, with an event per change, the oldest first.

    `principal` names the customer; the last event is the state that holds.
    """
    groups: dict[tuple[str, str], list[ConsentChange]] = {}
    for change in sorted(set(changes), key=lambda each: (each.changed_at, not each.is_granted)):
        groups.setdefault((change.purpose, change.channel), []).append(change)
    return [
        _make_record(purpose, channel, events, principal=principal, controller=controller, language=language)
        for (purpose, channel), events in sorted(groups.items())
    ]


def _make_record(
    purpose: str,
    channel: str,
    events: Sequence[ConsentChange],
    *,
    principal: str,
    controller: Controller,
    language: str,
) -> dict[str, Any]:
    identity = sha256(f"{controller.name}|{principal}|{purpose}|{channel}".encode()).hexdigest()[:32]
    return {
        "schema_version": SCHEMA,
        "record_id": identity,
        "pii_principal_id": principal,
        "pii_processing": {
            "language": language,
            "purposes": [
                {
                    "purpose": purpose,
                    "purpose_type": f"messages by {channel}",
                    "lawful_basis": "consent",
                    "pii_information": [{"pii_type": channel, "pii_optional": True}],
                    "pii_controllers": [{"party_name": controller.name, "party_contact": controller.contact}],
                    "recipient_third_parties": list(controller.recipients),
                    "jurisdiction": controller.jurisdiction,
                    "withdrawal_method": _WITHDRAWAL,
                }
            ],
        },
        "events": [
            {
                "event_time": each.changed_at.isoformat(),
                "event_type": "explicit",
                "event_state": "given" if each.is_granted else "withdrawn",
                "entity_id": each.reported_by,
            }
            for each in events
        ],
    }
