"""The one way in which a clear address leaves the vault; each asking is written to its audit table."""

from collections.abc import Mapping
from datetime import datetime

from ingestion.vault import Asked, Vault


def reveal_addresses(
    vault: Vault, wanted: Mapping[str, Asked], *, asker: str, purpose: str, at: datetime
) -> dict[str, str]:
    """Return the clear addresses that the vault still has, by customer.

    `wanted` says for each customer which value is meant. Who asked why, for whose and when is recorded before any value
    is returned, also for values that are there no more.
    """
    clear = vault.reveal_all(wanted.values(), asker=asker, purpose=purpose, at=at)
    return {customer_id: clear[asked] for customer_id, asked in wanted.items() if asked in clear}
