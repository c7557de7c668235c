"""The one way in which a clear address leaves the vault for a message; each asking is written to its audit table."""

from collections.abc import Mapping
from datetime import datetime

from ingestion.vault import Asked, Vault

PURPOSE = "an address for a message"


def reveal_addresses(vault: Vault, wanted: Mapping[str, Asked], *, asker: str, at: datetime) -> dict[str, str]:
    """Return the clear addresses that the vault still has, by customer.

    `wanted` says for each customer which value is meant. Who asked, for whose and when is recorded before any value is
    returned, also for values that are there no more.
    """
    clear = vault.reveal_all(wanted.values(), asker=asker, purpose=PURPOSE, at=at)
    return {customer_id: clear[asked] for customer_id, asked in wanted.items() if asked in clear}
