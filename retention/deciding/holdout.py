"""The untreated group: drawn by a hash, so that a customer stays in it for a year."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from company.policy.deciding import Holdout

_RANGE = 2**64


@dataclass(frozen=True, kw_only=True)
class Period:
    """The days for which one draw holds: from `since` on, before `until`; None where it has no such end."""

    name: str
    since: date | None
    until: date | None

    def is_washout(self, day: date, *, days: int) -> bool:
        """Tell whether the draw is so young that what the one before it did still shows."""
        return self.since is not None and day < self.since + timedelta(days=days)


def period_of(holdout: "Holdout", day: date) -> Period:
    """Return the period of a day: a calendar year from `rotates_from` on, and all the time before it."""
    first = holdout.rotates_from
    if first is None:
        return Period(name="always", since=None, until=None)
    if day.year < first:
        return Period(name=f"before {first}", since=None, until=date(first, 1, 1))
    return Period(name=str(day.year), since=date(day.year, 1, 1), until=date(day.year + 1, 1, 1))


def salt_of(holdout: "Holdout", day: date) -> str:
    """Return the salt by which the untreated of a day are drawn: another one in each year that rotates."""
    period = period_of(holdout, day)
    return holdout.salt if period.since is None else f"{holdout.salt}:{period.name}"


def hold_out(customer_ids: "pd.Series[str]", days: "pd.Series[date]", holdout: "Holdout") -> "NDArray[np.bool_]":
    """Tell for each customer whether it stays untreated on its day, see `draw`."""
    import pandas as pd

    salts = pd.to_datetime(days).dt.date.map(lambda day: salt_of(holdout, day))
    held = np.zeros(len(salts), dtype=bool)
    for salt in salts.unique():
        rows = salts.eq(salt).to_numpy()
        held[rows] = draw(customer_ids.loc[rows], salt=salt, share=holdout.share)
    return held


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
