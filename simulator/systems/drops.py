"""Monthly CSV drops of the marketing tool, with the dates that its many operators prefer."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from simulator.behaviour.presence import Columns
from simulator.calendar import HOUR_MS, Month
from simulator.defects import REPAIR, Change, Ledger, chosen
from simulator.streams import generator
from simulator.systems.directory import Directory
from simulator.systems.sheets import join, named, numbered, replace_at, written
from simulator.world import World

_CAMPAIGN_COST = 0.05


class MarketingDrops:
    """Writes campaigns, sends and redemptions of each month into `folder`."""

    def __init__(self, folder: Path, world: World, directory: Directory, ledger: Ledger) -> None:
        """Prepare."""
        self.folder, self._world, self._directory, self._ledger = folder, world, directory, ledger

    def write_month(self, month: Month, campaigns: Columns, touches: Columns) -> None:
        """Write the month's three files."""
        self._write("campaigns", month, self._campaigns(campaigns))
        codes = numbered(f"M{month.first:%y%m}", np.arange(len(touches["customer"])), width=8)
        self._write("sends", month, self._sends(month, codes, touches))
        self._write("redemptions", month, self._redemptions(codes, touches))

    def _write(self, name: str, month: Month, table: pa.Table) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        pacsv.write_csv(table, self.folder / f"{name}-{month.first:%Y%m}.csv")

    def _campaigns(self, campaigns: Columns) -> pa.Table:
        world, medium = self._world, list(self._world.parameters.marketing.channels)
        cost = np.array([action.cost for action in world.parameters.actions.values()])[campaigns["action"]]
        return pa.table(
            {
                "code": campaign_codes(campaigns["number"]),
                "title": join(
                    named(list(world.parameters.actions), campaigns["action"]), " ", numbered("", campaigns["number"])
                ),
                "medium": named(medium, campaigns["channel"]),
                "start_dt": pc.utf8_slice_codeunits(written(campaigns["started"]), 0, 10),
                "end_dt": pc.utf8_slice_codeunits(written(campaigns["ended"]), 0, 10),
                "budget": np.round(campaigns["reached"] * _CAMPAIGN_COST * cost, 2),
            }
        )

    def _sends(self, month: Month, codes: pa.Array, touches: Columns) -> pa.Table:
        yes = ["N", "Y"]
        return pa.table(
            {
                "send_id": codes,
                "subscriber": self._directory.ids.take(pa.array(touches["customer"])),
                "campaign": campaign_codes(touches["campaign"]),
                "sent_at": self._stamps(month, codes, touches),
                "medium": named(list(self._world.parameters.marketing.channels), touches["channel"]),
                "opened": named(yes, touches["opened"].astype(np.int32)),
                "clicked": named(yes, touches["clicked"].astype(np.int32)),
            }
        )

    def _stamps(self, month: Month, codes: pa.Array, touches: Columns) -> pa.Array:
        """Local time without a zone; some operators write day first, some with an offset."""
        rng = generator(self._world.seed, "drops", month.index)
        local = touches["sent"] // 60_000 * 60_000
        stamps = pc.utf8_slice_codeunits(written(local), 0, 16)
        hit = chosen(rng, len(local), self._world.parameters.defects["mixed_time"])
        day_first = np.arange(len(hit)) % 2 == 0
        text = stamps.take(pa.array(hit))
        parts = {name: pc.utf8_slice_codeunits(text, *span) for name, span in _SPANS.items()}
        other = join(parts["day"], "/", parts["month"], "/", parts["year"], " ", parts["time"])
        offset = (local[hit] - self._world.calendar.to_utc(local[hit])) // HOUR_MS
        zoned = join(text, ":00", named([f"+{hour:02d}:00" for hour in range(15)], offset))
        dirty = pc.if_else(pa.array(day_first), other, zoned)
        keys = codes.take(pa.array(hit))
        self._ledger.declare(
            "mixed_time",
            "marketing.sends",
            keys,
            remedy=REPAIR,
            change=Change(column="sent_at", clean=text, dirty=dirty),
        )
        return replace_at(stamps, hit, dirty)

    def _redemptions(self, codes: pa.Array, touches: Columns) -> pa.Table:
        used = np.flatnonzero(touches["redeemed"] & (touches["redeemed_at"] < self._world.calendar.end_ms))
        rows = pa.array(used)
        return pa.table(
            {
                "coupon_no": join("R", codes.take(rows)),
                "subscriber": self._directory.ids.take(pa.array(touches["customer"][used])),
                "campaign": campaign_codes(touches["campaign"][used]),
                "used_at": pc.utf8_slice_codeunits(written(touches["redeemed_at"][used]), 0, 19),
                "face_value": pa.repeat(10.0, len(used)),
            }
        )


_SPANS = {"year": (0, 4), "month": (5, 7), "day": (8, 10), "time": (11, 16)}


def campaign_codes(numbers: np.ndarray) -> pa.Array:
    """Return the codes under which the tool knows its campaigns."""
    return numbered("CMP", numbers, width=4)
