"""Whom ingestion keeps out: the erased customers, as the operational store knows them."""

from company.company_file import TOKEN_KEY
from ingestion.suppression import Suppression
from orchestration.control.privacy_requests import PrivacyRequests
from orchestration.deployment import Deployment
from privacy.identifiers import KeyMissingError, make_keyring
from retention.store.store import Store


def read_suppression(deployment: Deployment, store: Store) -> Suppression | None:
    """Return whom to keep out, None when nobody was erased yet.

    Raises KeyMissingError without the key under which the list was made: everybody on it would come back unnoticed.
    """
    listed = PrivacyRequests(store).read_suppressed()
    if not listed:
        return None
    key = deployment.settings.environment.get(TOKEN_KEY, "")
    if set(listed.values()) != {make_keyring(key).check}:
        raise KeyMissingError(
            f"{len(listed)} ids of erased customers are kept out by tokens under another {TOKEN_KEY}, and this night "
            f"would bring them back. Set {TOKEN_KEY} as it was when they were erased."
        )
    return Suppression(tokens=frozenset(listed), key=key)
