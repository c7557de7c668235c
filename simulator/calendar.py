"""The world's clock: local days and months, and what they are in UTC."""

import calendar as gregorian
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np

from simulator.streams import Integers

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
_YEAR = 12
_MARGIN_DAYS = 40


@dataclass(frozen=True, kw_only=True)
class Month:
    """One simulated month: `offset` is its first day counted from the world's first day."""

    index: int
    first: date
    days: int
    offset: int

    @property
    def season(self) -> int:
        """Position of the month within its calendar year, from 0."""
        return self.first.month - 1


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """The months of a world that begins on the first day of `start`'s month, in `timezone`.

    `count` months are simulated of the `span` that the world will last, as many unless it is larger: over all of them
    newcomers arrive, so that a world simulated further is the same world, month for month.
    """

    start: date
    count: int
    timezone: str
    span: int = 0

    @cached_property
    def months(self) -> tuple[Month, ...]:
        """The simulated months in order."""
        return self._list_months(self.count)

    def _list_months(self, count: int) -> tuple[Month, ...]:
        months, offset = [], 0
        for index in range(count):
            first = shift(self.start, index)
            days = gregorian.monthrange(first.year, first.month)[1]
            months.append(Month(index=index, first=first, days=days, offset=offset))
            offset += days
        return tuple(months)

    @property
    def lasts(self) -> int:
        """Months that the world will last."""
        return max(self.count, self.span)

    @property
    def lasts_days(self) -> int:
        """Days that the world will last."""
        return sum(month.days for month in self._list_months(self.lasts))

    @property
    def days(self) -> int:
        """Simulated days."""
        return sum(month.days for month in self.months)

    @property
    def origin_ms(self) -> int:
        """The world's first local midnight, as milliseconds since 1970 read as if local time were UTC."""
        return int(datetime(self.start.year, self.start.month, 1, tzinfo=UTC).timestamp()) * 1000

    @property
    def end_ms(self) -> int:
        """The first local midnight after the world."""
        return self.origin_ms + self.days * DAY_MS

    @cached_property
    def _offsets(self) -> Integers:
        zone = ZoneInfo(self.timezone)
        hours = range((self.days + _MARGIN_DAYS) * 24)
        first = datetime(self.start.year, self.start.month, 1, tzinfo=zone)
        naive = (first.replace(tzinfo=None) + timedelta(hours=hour) for hour in hours)
        return np.array([_offset_ms(moment, zone) for moment in naive], dtype=np.int64)

    def to_utc(self, local_ms: Integers) -> Integers:
        """Turn local milliseconds into UTC milliseconds; moments before the world take its first offset."""
        hour = np.clip((local_ms - self.origin_ms) // HOUR_MS, 0, len(self._offsets) - 1)
        return np.asarray(local_ms - self._offsets[hour])

    def day_ms(self, day: Integers) -> Integers:
        """Return the local midnight of days counted from the world's first."""
        return np.asarray(self.origin_ms + day.astype(np.int64) * DAY_MS)


def _offset_ms(moment: datetime, zone: ZoneInfo) -> int:
    offset = moment.replace(tzinfo=zone).utcoffset() or timedelta()
    return int(offset.total_seconds()) * 1000


def shift(first: date, months: int) -> date:
    """Return the first day of the month `months` after `first`'s."""
    position = first.year * _YEAR + first.month - 1 + months
    return date(position // _YEAR, position % _YEAR + 1, 1)
