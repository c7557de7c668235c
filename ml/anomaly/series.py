"""Series: what each customer did on each day, as an array of customers x indicators x days."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.intp]
DAYS = 7 * 34  # that are looked back: half a year as a baseline, and eight weeks in which something may have changed


@dataclass(frozen=True, kw_only=True)
class Series:
    """Counts of `indicators` for `customers` on the days before `as_of`, the last day last.

    `counts` is customers x indicators x days, 0 where nothing was done; `known_days` (customers) is on how many of the
    last days each customer was known.
    """

    as_of: date
    customers: npt.NDArray[np.str_]
    indicators: tuple[str, ...]
    counts: Floats
    known_days: Places

    @classmethod
    def build(cls, activity: pa.Table, *, as_of: date, days: int = DAYS) -> Self:
        """Arrange rows of customer_id, active_date, indicator, count_actions and known_date; days from `as_of` on go.

        A customer without a `known_date` is known since their first row.
        """
        age = _ages(activity["active_date"], as_of)
        ids = activity["customer_id"].combine_chunks().dictionary_encode()
        kinds = activity["indicator"].combine_chunks().dictionary_encode()
        who, what = (each.indices.to_numpy(zero_copy_only=False) for each in (ids, kinds))
        customers, names = np.array(ids.dictionary.to_pylist(), str), kinds.dictionary.to_pylist()
        counts = np.zeros((len(customers), len(names), days), np.float32)
        fits = (age >= 1) & (age <= days)
        np.add.at(counts, (who[fits], what[fits], days - age[fits]), activity["count_actions"].to_numpy()[fits])
        known = np.zeros(len(customers), np.intp)
        since = np.maximum(age, _ages(activity["known_date"].fill_null(as_of), as_of))
        np.maximum.at(known, who, since)
        order, place = np.argsort(customers), np.argsort(names)
        return cls(
            as_of=as_of,
            customers=customers[order],
            indicators=tuple(names[each] for each in place),
            counts=counts[order][:, place],
            known_days=np.clip(known[order], 0, days),
        )

    @property
    def days(self) -> int:
        """How many days there are."""
        return int(self.counts.shape[2])

    def take(self, rows: npt.NDArray[np.bool_] | Places) -> Self:
        """Return the customers at `rows` alone."""
        return replace(self, customers=self.customers[rows], counts=self.counts[rows], known_days=self.known_days[rows])

    def until(self, back: int) -> Self:
        """Return what was known `back` days before."""
        if not back:
            return self
        return replace(
            self,
            as_of=self.as_of - timedelta(days=back),
            counts=self.counts[:, :, :-back],
            known_days=np.maximum(self.known_days - back, 0),
        )


def _ages(days: pa.ChunkedArray, as_of: date) -> Places:
    """Return how many days before `as_of` each day is, 1 for the day before."""
    ages = np.datetime64(as_of) - days.cast(pa.date32()).to_numpy()
    return np.asarray(ages.astype("timedelta64[D]"), dtype=np.intp)
