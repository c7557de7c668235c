"""Signatures of Standard Webhooks (standardwebhooks.com, v1): over id, moment and body, with one or several keys."""

import base64
import binascii
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

TOLERANCE = timedelta(minutes=5)
_PREFIX = "whsec_"
_LEAST_BYTES, _NEW_BYTES = 24, 32  # what the standard asks of a key, and what a new one has


class SignatureError(Exception):
    """A signature is missing, wrong or too old; the message is one sentence."""


def read_key(secret: str) -> bytes:
    """Return the bytes of a key written as `whsec_` and base64; raises ValueError when it is none or too short."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"it is not written in base64 after {_PREFIX!r}") from None
    if len(key) < _LEAST_BYTES:
        raise ValueError(f"it has fewer than {_LEAST_BYTES} bytes")
    return key


def make_secret() -> str:
    """Return a new key as it is written."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_NEW_BYTES)).decode()


def sign(keys: Sequence[bytes], *, key: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the three headers of a message: one signature per signing key, so that keys can be changed."""
    stamp = str(int(at.timestamp()))
    signatures = " ".join(_signature(each, key, stamp, body) for each in keys)
    return {"webhook-id": key, "webhook-timestamp": stamp, "webhook-signature": signatures}


def verify(keys: Sequence[bytes], *, headers: Mapping[str, str], body: bytes, at: datetime) -> str:
    """Return the id of a message that one of the keys has signed; raises SignatureError.

    `headers` are found by their names in lower case.
    """
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    missing = [name for name in names if not headers.get(name)]
    if missing:
        raise SignatureError(f"The header {missing[0]} is missing.")
    key, stamp, signatures = (headers[name] for name in names)
    if not stamp.isdecimal() or abs(at - datetime.fromtimestamp(int(stamp), tz=UTC)) > TOLERANCE:
        raise SignatureError("The signature is too old, or of the future; check the clock.")
    expected = [_signature(each, key, stamp, body) for each in keys]
    given = signatures.split()
    if not any(hmac.compare_digest(one.encode(), other.encode()) for one in expected for other in given):
        raise SignatureError("No signature fits the body and the keys.")
    return key


def _signature(key: bytes, message_id: str, stamp: str, body: bytes) -> str:
    content = f"{message_id}.{stamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(key, content, sha256)).decode()}"
