"""Clear addresses of customers: where the operational store says they are, out of the vault by its one audited way."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import get_args

from ingestion.addresses import reveal_addresses
from ingestion.vault import Asked, Vault
from retention.acting.channels.base import AddressKind
from retention.store.store import Store
from serving.contacts import Reveal


def look_up_addresses(
    vault: Vault, store: Store, customers: Sequence[str], kind: AddressKind, *, asker: str, purpose: str, at: datetime
) -> dict[str, str]:
    """Return the clear addresses of a kind by customer, as far as the vault has them."""
    wanted = {
        each.customer_id: Asked(source=each.source, customer_id=each.account, column=kind, token=each.token)
        for each in store.recipients.references(customers, kind)
    }
    return reveal_addresses(vault, wanted, asker=asker, purpose=purpose, at=at.replace(tzinfo=None))


def open_reveal(secrets: Mapping[str, str], store: Store) -> Reveal | None:
    """Return what shows a customer's contact data on the desk; None where the secrets name no vault."""
    if not Vault.is_named(secrets):
        return None
    vault = Vault.from_secrets(secrets)

    def reveal(customer_id: str, *, asker: str, purpose: str, at: datetime) -> dict[str, str]:
        found = {
            kind: look_up_addresses(vault, store, [customer_id], kind, asker=asker, purpose=purpose, at=at)
            for kind in get_args(AddressKind)
        }
        return {kind: clear[customer_id] for kind, clear in found.items() if customer_id in clear}

    return reveal
