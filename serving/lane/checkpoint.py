"""Checkpoints of the lane's state, written whole, so that a start does not read the log from its first event.

Ids of customers are UTF-8, so that an erasure finds their bytes; it removes the file, and the state is made anew.
"""

import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from company.sealed_file import read_file, seal
from serving.lane.surges import as_json, from_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serving.lane.follow import Lane


def save_checkpoint(lane: "Lane", file: Path, *, key: str = "") -> None:
    """Write the state of a lane with its position; a file that is there is whole, whenever this is killed."""
    state, count, packed = lane.state, len(lane.state.rows), io.BytesIO()
    aside = file.with_name(f"{file.name}.new")
    shape = json.dumps({"signals": state.signals, "days": state.days, "timezone": lane.baseline.timezone})
    alerted = {"as_of": lane.baseline.as_of.isoformat(), "levels": lane.alerted}
    np.savez(
        packed,
        position=lane.position,
        shape=np.array(shape),
        customer_ids=_write("\n".join(state.rows)),
        counts=state.counts[:count],
        newest=state.newest[:count],
        surges=np.array(json.dumps(as_json(lane.surges))),
        alerted_ids=_write(json.dumps(alerted, ensure_ascii=False)),
    )
    with aside.open("wb") as opened:
        opened.write(seal(packed.getbuffer(), key=key))
        opened.flush()
        os.fsync(opened.fileno())
    aside.replace(file)


def load_checkpoint(lane: "Lane", file: Path, *, key: str = "") -> bool:
    """Give a lane the state of its checkpoint; return whether there is one for its signals, days and time zone."""
    if not file.exists():
        return False
    with np.load(io.BytesIO(read_file(file, key=key)), allow_pickle=False) as saved:
        if "customer_ids" not in saved:  # written by an earlier version
            return False
        shape = json.loads(str(saved["shape"]))
        wanted = [list(lane.state.signals), lane.state.days, lane.baseline.timezone]
        if [shape["signals"], shape["days"], shape["timezone"]] != wanted:
            return False
        customers = _read(saved["customer_ids"]).split("\n") if saved["newest"].size else []
        lane.state.rows = {customer: row for row, customer in enumerate(customers)}
        lane.state.counts, lane.state.newest = saved["counts"], saved["newest"]
        lane.position = int(saved["position"])
        from_json(lane.surges, json.loads(str(saved["surges"])))
        alerted = json.loads(_read(saved["alerted_ids"]))
    if alerted["as_of"] == lane.baseline.as_of.isoformat():
        lane.alerted = alerted["levels"]
    return True


def _write(text: str) -> "NDArray[np.uint8]":
    return np.frombuffer(text.encode(), dtype=np.uint8)


def _read(written: "NDArray[np.uint8]") -> str:
    return written.tobytes().decode()
