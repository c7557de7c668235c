"""Click logs: one gzipped file of JSON lines per hour of arrival, named by UTC hour."""

import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from simulator.behaviour.presence import Columns
from simulator.behaviour.visits import PAGES, TYPES
from simulator.calendar import DAY_MS, HOUR_MS, Month
from simulator.defects import REMOVE, REPAIR, VARIANTS, Change, Ledger, chosen
from simulator.streams import Integers, generator
from simulator.systems.database import device_codes
from simulator.systems.directory import TEST_ACCOUNT, Directory
from simulator.systems.sheets import join, named, numbered, replace_at, written
from simulator.world import World

ISO, EPOCH, LOCAL = 0, 1, 2
_LATEST_HOURS = 72
_DOUBLE_MS = 450
_GZIP = 31
_TABLE = "clicks"
_EVENT_STRIDE = 10**9


class ClickLogs:
    """Writes the events of one world into hourly files below `folder`."""

    def __init__(self, folder: Path, world: World, directory: Directory, ledger: Ledger) -> None:
        """Prepare; late rows wait in memory until the hour in which they arrive."""
        self.folder, self._world, self._directory, self._ledger = folder, world, directory, ledger
        self._waiting: Columns = {}
        self.count = 0

    def write_month(self, month: Month, events: Columns) -> None:
        """Write every file whose hour lies in the month."""
        rng = generator(self._world.seed, "clicks", month.index)
        rows = self._recorded(rng, month, events)
        for spoil in (self._double, self._repeat, self._try_out):
            rows = _stacked([rows, spoil(rng, rows)])
        self._delay(rng, rows)
        self._reformat(rows)
        rows = _stacked([self._waiting, rows]) if self._waiting else rows
        end = int(self._world.calendar.to_utc(np.array([self._month_end(month)]))[0])
        due = rows["arrival"] < end
        self._waiting = {name: values[~due] for name, values in rows.items()}
        self._write_files({name: values[due] for name, values in rows.items()})

    def _month_end(self, month: Month) -> int:
        return self._world.calendar.origin_ms + (month.offset + month.days) * DAY_MS

    def _recorded(self, rng: np.random.Generator, month: Month, events: Columns) -> Columns:
        calendar = self._world.calendar
        order = np.argsort(events["at"], kind="stable")
        rows = {name: values[order] for name, values in events.items()}
        day = (rows["at"] - calendar.origin_ms) // DAY_MS
        rows["account"] = self._directory.account_at(rng, rows.pop("customer"), day)
        rows["id"] = month.index * _EVENT_STRIDE + np.arange(len(order), dtype=np.int64)
        rows["session"] = rows["session"] + month.index * (1 << 44)
        rows["utc"] = calendar.to_utc(rows["at"])
        rows["arrival"] = rows["utc"].copy()
        rows["variant"] = np.full(len(order), -1, dtype=np.int32)
        rows["format"] = np.zeros(len(order), dtype=np.int32)
        return rows

    def _defect(self, kind: str) -> float:
        return self._world.parameters.defects[kind]

    def _double(self, rng: np.random.Generator, rows: Columns) -> Columns:
        """A nervous finger: the same click again within half a second, as an event of its own."""
        hit = chosen(rng, len(rows["id"]), self._defect("duplicate_click"))
        hit = hit[rows["arrival"][hit] < self._end_utc - _DOUBLE_MS]
        copies = {name: values[hit] for name, values in rows.items()}
        later = rng.integers(50, _DOUBLE_MS, len(hit))
        copies |= {name: copies[name] + later for name in ("at", "utc", "arrival")}
        copies["id"] = copies["id"] + _EVENT_STRIDE // 2
        keys = event_codes(copies["id"])
        first = event_codes(rows["id"][hit])
        self._ledger.declare(
            "duplicate_click", _TABLE, keys, remedy=REMOVE, change=Change(column="eid", clean=first, dirty=keys)
        )
        return copies

    def _repeat(self, rng: np.random.Generator, rows: Columns) -> Columns:
        """A shipper that delivers at least once: the very same line again some hours later."""
        hit = chosen(rng, len(rows["id"]), self._defect("repeated_line"))
        arrival = rows["arrival"][hit] + rng.integers(1, 4, len(hit)) * HOUR_MS
        hit = hit[arrival < self._end_utc]
        copies = {name: values[hit] for name, values in rows.items()}
        copies["arrival"] = arrival[arrival < self._end_utc]
        self._ledger.declare("repeated_line", _TABLE, event_codes(copies["id"]), remedy=REMOVE)
        return copies

    def _try_out(self, rng: np.random.Generator, rows: Columns) -> Columns:
        """The company's own testers."""
        hit = chosen(rng, len(rows["id"]), self._defect("test_row"))
        copies = {name: values[hit] for name, values in rows.items()}
        copies["account"] = np.full(len(hit), -1, dtype=np.int32)
        month = rows["id"][hit] // _EVENT_STRIDE
        copies["id"] = month * _EVENT_STRIDE + _EVENT_STRIDE * 9 // 10 + np.arange(len(hit), dtype=np.int64)
        self._ledger.declare("test_row", _TABLE, event_codes(copies["id"]), remedy=REMOVE)
        return copies

    @property
    def _end_utc(self) -> int:
        return int(self._world.calendar.to_utc(np.array([self._world.calendar.end_ms]))[0])

    def _delay(self, rng: np.random.Generator, rows: Columns) -> None:
        """Some rows arrive up to three days after they happened."""
        fresh = rows["arrival"] == rows["utc"]
        late = fresh & (rng.random(len(fresh)) < self._defect("late_row"))
        arrival = rows["utc"] + rng.integers(1, _LATEST_HOURS + 1, len(fresh)) * HOUR_MS
        hit = np.flatnonzero(late & (arrival < self._end_utc))
        rows["arrival"][hit] = arrival[hit]
        keys, clean = event_codes(rows["id"][hit]), written(rows["utc"][hit])
        self._ledger.declare(
            "late_row",
            _TABLE,
            keys,
            remedy=REPAIR,
            change=Change(column="file", clean=clean, dirty=written(arrival[hit])),
        )

    def _reformat(self, rows: Columns) -> None:
        """Some clients write moments as milliseconds, others in local time; some spell the channel their own way.

        The same event is written the same way every time it is delivered.
        """
        channels = list(self._world.parameters.visits.channels)
        draw = _hash(rows["id"])
        rows["format"] = np.where(draw < self._defect("mixed_time"), 1 + (rows["id"] % 2), ISO).astype(np.int32)
        spelled = (_hash(rows["id"] + 7) < self._defect("enum_variant")) & (rows["account"] >= 0)
        known = np.array([name in VARIANTS for name in channels])[rows["channel"]]
        rows["variant"] = np.where(spelled & known, rows["id"] % 3, -1).astype(np.int32)
        _, first = np.unique(rows["id"], return_index=True)
        hit = first[rows["format"][first] != ISO]
        clean, dirty = (
            written(rows["utc"][hit]),
            _stamps({name: values[hit] for name, values in rows.items()}),
        )
        keys = event_codes(rows["id"][hit])
        self._ledger.declare(
            "mixed_time", _TABLE, keys, remedy=REPAIR, change=Change(column="ts", clean=clean, dirty=dirty)
        )
        hit = first[rows["variant"][first] >= 0]
        clean = named(channels, rows["channel"][hit])
        dirty = _channels(channels, rows["channel"][hit], rows["variant"][hit])
        keys = event_codes(rows["id"][hit])
        self._ledger.declare(
            "enum_variant", _TABLE, keys, remedy=REPAIR, change=Change(column="src", clean=clean, dirty=dirty)
        )

    def _write_files(self, rows: Columns) -> None:
        order = np.argsort(rows["arrival"], kind="stable")
        rows = {name: values[order] for name, values in rows.items()}
        hours = rows["arrival"] // HOUR_MS
        days = np.unique(hours // 24)
        bounds = np.searchsorted(hours, np.append(days, days[-1] + 1 if len(days) else 0) * 24)
        with ThreadPoolExecutor(max_workers=2) as pool:
            parts = [slice(start, stop) for start, stop in pairwise(bounds)]
            list(pool.map(lambda part: self._write_day(hours[part], {k: v[part] for k, v in rows.items()}), parts))
        self.count += len(order)

    def _write_day(self, hours: Integers, rows: Columns) -> None:
        lines = self._lines(rows)
        offsets = np.frombuffer(lines.buffers()[1], dtype=np.int32)[: len(lines) + 1]
        data = memoryview(lines.buffers()[2])
        for hour, start in zip(*np.unique(hours, return_index=True), strict=True):
            stop = np.searchsorted(hours, hour, side="right")
            moment = datetime.fromtimestamp(int(hour) * 3600, tz=UTC)
            path = self.folder / f"{moment:%Y-%m-%d}" / f"clicks-{moment:%Y%m%d-%H}.jsonl.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(zlib.compress(data[offsets[start] : offsets[stop]], 1, _GZIP))

    def _lines(self, rows: Columns) -> pa.Array:
        parameters = self._world.parameters
        channels = list(parameters.visits.channels)
        account = rows["account"]
        acts = [f'","act":"{name}","src":"' for name in TYPES]
        pages = [f'","url":"/{name}","sku":' for name in PAGES]
        features = [f',"feat":"{name}","dur":' for name in parameters.visits.features]
        return join(
            '{"eid":"',
            event_codes(rows["id"]),
            '","uid":"',
            pc.fill_null(self._directory.ids.take(pa.array(account, mask=account < 0)), TEST_ACCOUNT),
            '","ts":"',
            _stamps(rows),
            named(acts, rows["type"]),
            _channels(channels, rows["channel"], rows["variant"]),
            '","sid":"',
            numbered("s", rows["session"]),
            '","did":"',
            device_codes(account, rows["channel"]),
            named(pages, rows["page"]),
            _products(rows["product"], parameters.catalogue.size if parameters.catalogue else 0),
            pc.fill_null(named(features, rows["feature"]), ',"feat":null,"dur":'),
            pc.cast(pa.array(rows["dwell"]), pa.string()),
            "}\n",
        )


def event_codes(numbers: Integers) -> pa.Array:
    """Return the ids under which the log writes events."""
    return numbered("e", numbers)


def _products(product: np.ndarray, size: int) -> pa.Array:
    return pc.fill_null(named([f'"P{number:05d}"' for number in range(size)], product), "null")


def _channels(names: list[str], channel: np.ndarray, variant: np.ndarray) -> pa.Array:
    spellings = [spelling for name in names for spelling in (name, *VARIANTS.get(name, (name,) * 3))]
    return named(spellings, channel * 4 + variant + 1)


def _hash(numbers: Integers) -> np.ndarray:
    """Spread numbers evenly over [0, 1), always the same way."""
    mixed = (numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0x94D049BB133111EB)
    return (mixed >> np.uint64(40)).astype(np.float64) / float(1 << 24)


def _stamps(rows: Columns) -> pa.Array:
    stamps = join(written(rows["utc"]), "Z")
    epoch = np.flatnonzero(rows["format"] == EPOCH)
    stamps = replace_at(stamps, epoch, pc.cast(pa.array(rows["utc"][epoch]), pa.string()))
    local = np.flatnonzero(rows["format"] == LOCAL)
    offset = (rows["at"][local] - rows["utc"][local]) // HOUR_MS
    zoned = join(written(rows["at"][local]), named([f"+{hour:02d}:00" for hour in range(15)], offset))
    return replace_at(stamps, local, zoned)


def _stacked(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
