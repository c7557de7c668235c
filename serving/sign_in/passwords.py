"""Passwords as scrypt digests, and secrets that are handed out once as SHA-256 digests."""

import hmac
import secrets
import threading
from base64 import b64decode, b64encode
from hashlib import scrypt, sha256

# 32 MiB and some 80 ms a digest; two at a time, so that many sign-ins cannot exhaust the memory
COST, BLOCK_SIZE, PARALLEL = 2**15, 8, 1
_MEMORY = 64 * 2**20
_AT_ONCE = threading.Semaphore(2)
_LENGTH = 32


def hash_password(password: str) -> str:
    """Return the digest of a password with its parameters and a salt of its own."""
    salt = secrets.token_bytes(16)
    key = _derive(password, salt, cost=COST, block_size=BLOCK_SIZE, parallel=PARALLEL)
    return f"scrypt${COST}${BLOCK_SIZE}${PARALLEL}${_text(salt)}${_text(key)}"


def verify_password(password: str, digest: str | None) -> bool:
    """Return whether a password has that digest; it takes as long where there is none."""
    _, cost, block_size, parallel, salt, key = (digest or _NOBODY).split("$")
    parameters = {"cost": int(cost), "block_size": int(block_size), "parallel": int(parallel)}
    is_same = hmac.compare_digest(_derive(password, b64decode(salt), **parameters), b64decode(key))
    return is_same and digest is not None


def make_secret() -> str:
    """Return a random text for a link or a cookie."""
    return secrets.token_urlsafe(_LENGTH)


def hash_secret(secret: str, purpose: str = "secret") -> str:
    """Return the 64 hexadecimal digits under which a random text is kept, or another text derived from it."""
    return sha256(f"{purpose}|{secret}".encode()).hexdigest()


def _derive(password: str, salt: bytes, *, cost: int, block_size: int, parallel: int) -> bytes:
    with _AT_ONCE:
        return scrypt(password.encode(), salt=salt, n=cost, r=block_size, p=parallel, maxmem=_MEMORY, dklen=_LENGTH)


def _text(value: bytes) -> str:
    return b64encode(value).decode()


_NOBODY = f"scrypt${COST}${BLOCK_SIZE}${PARALLEL}${_text(bytes(16))}${_text(bytes(_LENGTH))}"
