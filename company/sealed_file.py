"""Files of an instance that are no database: sealed whole under its key (AES-256-GCM), in clear where it has none."""

import hmac
import os
from pathlib import Path

from company.encryption import KEY_NAME, EncryptionError

MARK = b"holdfast sealed 1\n"
ENDING = ".sealed"  # of files that a person looks for by their names
_NONCE_BYTES = 12


def seal(data: bytes | memoryview, *, key: str) -> bytes | memoryview:
    """Return what is written in the place of `data`, which stays as it is without a key."""
    if not key:
        return data
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    return MARK + nonce + AESGCM(_derive(key)).encrypt(nonce, data, MARK)


def unseal(data: bytes, path: Path, *, key: str) -> bytes:
    """Return what was sealed, and other data as they are. Raises EncryptionError where the key is not theirs."""
    if not data.startswith(MARK):
        return data
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce, sealed = data[len(MARK) : len(MARK) + _NONCE_BYTES], data[len(MARK) + _NONCE_BYTES :]
    try:
        return AESGCM(_derive(key)).decrypt(nonce, sealed, MARK)
    except InvalidTag:
        raise EncryptionError(
            f"{path}: this file was sealed under another key than the one in {KEY_NAME}, or was changed since. Set the "
            "key of the day on which it was written."
        ) from None


def read_file(path: Path, *, key: str) -> bytes:
    """Return the content of a file, sealed or not. Raises EncryptionError."""
    return unseal(path.read_bytes(), path, key=key)


def is_sealed(path: Path) -> bool:
    """Tell whether a file is sealed, by how it begins."""
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK


def _derive(key: str) -> bytes:
    return hmac.new(key.encode(), b"files", "sha256").digest()
