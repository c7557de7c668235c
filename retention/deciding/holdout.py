"""The untreated group: drawn by a hash, so that a customer stays in it."""

from collections.abc import Iterable
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RANGE = 2**64


def draw(customer_ids: Iterable[str], *, salt: str, share: float) -> "NDArray[np.bool_]":
    """Tell for each customer whether it stays untreated.

    The first eight bytes of sha256(salt:customer_id), read as a fraction of their range, are compared with `share`:
    nothing else about the customer enters, the answer never changes, and a larger share keeps everyone of a smaller.
    """
    return fractions(customer_ids, salt=salt) < share


def fractions(customer_ids: Iterable[str], *, salt: str) -> "NDArray[np.float64]":
    """Return each customer's place between 0 and 1 under `salt`, uniform over customers."""
    prefix = f"{salt}:".encode()
    digests = b"".join(sha256(prefix + str(customer_id).encode()).digest()[:8] for customer_id in customer_ids)
    return np.frombuffer(digests, dtype=">u8").astype(np.float64) / _RANGE
