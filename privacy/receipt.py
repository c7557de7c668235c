"""The receipt of what was done for a request: JSON, signed with Ed25519 (RFC 8032)."""

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_SIGNED, _SIGNATURE = "receipt", "signature"


class ReceiptError(Exception):
    """A receipt or its key cannot be used; the message is one paragraph with the fix."""


def sign(content: Mapping[str, Any], *, key_file: Path) -> dict[str, Any]:
    """Return a receipt with its signature; the key is made where there is none, with its public half next to it."""
    signature = sign_bytes(_canonical(content), key_file=key_file)
    return {_SIGNED: dict(content), _SIGNATURE: signature}


def sign_bytes(data: bytes, *, key_file: Path) -> str:
    """Return the signature of `data` in base64; the key is made where there is none."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    require_key(key_file)
    key = load_pem_private_key(key_file.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ReceiptError(
            f"{key_file}: this is no Ed25519 key. Remove it, and a new one is made with the next receipt."
        )
    return base64.b64encode(key.sign(data)).decode()


def require_key(key_file: Path) -> Path:
    """Return where the public half of a key is; the key is made where there is none."""
    if not key_file.exists():
        _make_key(key_file)
    return public_key_of(key_file)


def verify(receipt: Path, *, public_key_file: Path) -> dict[str, Any]:
    """Return what a receipt states. Raises ReceiptError unless it was signed by that key, word for word."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        signed = json.loads(receipt.read_text(encoding="utf-8"))
        content, signature = signed[_SIGNED], base64.b64decode(signed[_SIGNATURE], validate=True)
    except (OSError, ValueError, KeyError, TypeError):
        raise ReceiptError(f"{receipt}: this is no receipt. Name the file that `holdfast privacy run` wrote.") from None
    try:
        key = load_pem_public_key(public_key_file.read_bytes())
    except (OSError, ValueError):
        raise ReceiptError(
            f"{public_key_file}: there is no public key. Pass `--key` with the instance's `privacy/signing.pub`."
        ) from None
    try:
        cast("Ed25519PublicKey", key).verify(signature, _canonical(content))
    except (AttributeError, TypeError, InvalidSignature):
        raise ReceiptError(
            f"{receipt}: the signature does not belong to this text and the key {public_key_file}. The receipt was "
            "changed, or another instance signed it; ask for it anew, or pass the right `--key`."
        ) from None
    return dict(content)


def public_key_of(key_file: Path) -> Path:
    """Return where the public half of a key is."""
    return key_file.with_suffix(".pub")


def _make_key(key_file: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    key_file.parent.mkdir(parents=True, exist_ok=True)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(private)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    public_key_of(key_file).write_bytes(public)


def _canonical(content: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed: the same for the same content, however the file is laid out."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
