"""Requests that remove nothing: a copy of the data, an objection to automated decisions, a rectification."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ingestion.vault import Asked, Vault
from orchestration.control.privacy_requests import PrivacyRequests
from orchestration.deployment import Deployment
from orchestration.privacy.subjects import ASKER, find_linked_ids, list_personal
from orchestration.resources import open_warehouse
from privacy.consent_receipts import ConsentChange, Controller, make_records
from privacy.export import Answer, put, read_consents, read_database, read_warehouse, write
from privacy.identifiers import Keyring
from privacy.requests import Request, RequestError
from retention.deciding.plan_overrides import PlanOverride, check
from retention.store.consents import read_consents as read_known_consents
from retention.store.store import Store
from retention.store.tables import METADATA

CONSENTS = "consent_records.json"
PORTABLE = ("consents",)  # of the operational store, what the customer provided
OBJECTION = "The customer objected to automated decisions (request {request_id})."


def export(
    deployment: Deployment, store: Store, request: Request, *, keyring: Keyring, folder: Path, by: str, at: datetime
) -> dict[str, int]:
    """Write what is known of the customer into a new folder and end the request; return the rows by table."""
    if folder.exists():
        raise RequestError(
            f"{folder}: this folder exists; name a new one by `--to`, so that nobody else's data mix in."
        )
    requests = PrivacyRequests(store)
    held = requests.unseal(request, keyring=keyring)
    (accounts,) = find_linked_ids(deployment, [held.customers])
    request = requests.move(request, "running", by=by, at=at)
    key = deployment.settings.encryption_key
    written = write(folder, _answer(deployment, store, request, accounts, at=at), request, at=at, key=key)
    records = find_consents(deployment, store, accounts)
    if records:
        put(folder / CONSENTS, json.dumps(records, indent=2, ensure_ascii=False) + "\n", key=key)
    requests.end(request, "done", by=by, at=at, evidence={"tables": written})
    return written


def find_consents(deployment: Deployment, store: Store, accounts: Sequence[str]) -> list[dict[str, Any]]:
    """Return the consent records of a customer, of all changes that a source or the operational store knows."""
    changes: dict[str, list[ConsentChange]] = {}
    with open_warehouse(deployment.settings).connect() as connection:
        for owner, *change in read_consents(connection, accounts):
            changes.setdefault(owner, []).append(ConsentChange(*change))
    with store.database.read() as connection:
        for owner, known in read_known_consents(connection, accounts).items():
            changes.setdefault(owner, []).extend(
                ConsentChange(
                    each.purpose, each.channel, each.is_granted, each.changed_at.replace(tzinfo=None), each.reported_by
                )
                for each in known
                if each.reported_by != "feed"
            )
    policy, company = deployment.policy.privacy, deployment.company
    controller = Controller(
        name=company.name, contact=policy.record.contact, recipients=sorted(company.channels), jurisdiction=policy.law
    )
    return [
        record
        for owner, each in sorted(changes.items())
        for record in make_records(each, principal=owner, controller=controller)
    ]


def object_to_decisions(
    deployment: Deployment, store: Store, request: Request, *, keyring: Keyring, by: str, at: datetime
) -> int:
    """Take all accounts of the customer out of plans from the next night on; return how many."""
    requests = PrivacyRequests(store)
    (accounts,) = find_linked_ids(deployment, [requests.unseal(request, keyring=keyring).customers])
    request = requests.move(request, "running", by=by, at=at)
    reason = OBJECTION.format(request_id=request.request_id)
    for customer_id in accounts:
        override = PlanOverride(
            customer_id=customer_id, kind="never_contact", decided_by=by, reason=reason, decided_at=at
        )
        check(override, deployment.strategies, today=at.date())
        store.plan_overrides.record(override)
    requests.end(request, "done", by=by, at=at, evidence={"accounts": len(accounts)})
    return len(accounts)


def rectify(store: Store, request: Request, *, note: str, by: str, at: datetime) -> None:
    """End a rectification: the source was corrected, and the next ingestion brings what it holds now."""
    if not note.strip():
        raise RequestError(
            "A rectification is done in the source system; pass `--note` with the system and the columns that were "
            "corrected there, without values. The next ingestion brings them."
        )
    requests = PrivacyRequests(store)
    running = requests.move(request, "running", by=by, at=at)
    requests.end(running, "done", by=by, at=at, note=note)


def _answer(
    deployment: Deployment, store: Store, request: Request, accounts: Sequence[str], *, at: datetime
) -> Iterator[Answer]:
    is_portable = request.kind == "portability"
    with open_warehouse(deployment.settings).connect() as connection:
        personal = list_personal(connection, accounts)
        yield from read_warehouse(connection, accounts, is_portable=is_portable)
    with store.database.read() as connection:
        yield from read_database(connection, METADATA, accounts, tables=PORTABLE if is_portable else None)
    if Vault.is_named(deployment.settings.environment):
        yield _reveal(deployment, personal, purpose=f"request {request.request_id}: a copy for the customer", at=at)


def _reveal(deployment: Deployment, personal: Sequence[Asked], *, purpose: str, at: datetime) -> Answer:
    vault = Vault.from_secrets(deployment.settings.environment)
    clear = vault.reveal_all(personal, asker=ASKER, purpose=purpose, at=at.replace(tzinfo=None))
    rows = [(asked.source, asked.customer_id, asked.column, value) for asked, value in sorted(clear.items())]
    return Answer(table="vault.values", columns=["source", "customer_id", "column", "value"], rows=rows)
