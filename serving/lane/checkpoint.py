"""Checkpoints of the lane's state, written whole, so that a start does not read the log from its first event."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from serving.lane.surges import as_json, from_json

if TYPE_CHECKING:
    from serving.lane.follow import Lane


def save_checkpoint(lane: "Lane", file: Path) -> None:
    """Write the state of a lane with its position; a file that is there is whole, whenever this is killed."""
    state, count = lane.state, len(lane.state.rows)
    aside = file.with_name(f"{file.name}.new")
    shape = json.dumps({"signals": state.signals, "days": state.days, "timezone": lane.baseline.timezone})
    with aside.open("wb") as opened:
        np.savez(
            opened,
            position=lane.position,
            shape=np.array(shape),
            customers=np.array("\n".join(state.rows)),
            counts=state.counts[:count],
            newest=state.newest[:count],
            surges=np.array(json.dumps(as_json(lane.surges))),
            alerted=np.array(json.dumps({"as_of": lane.baseline.as_of.isoformat(), "levels": lane.alerted})),
        )
        opened.flush()
        os.fsync(opened.fileno())
    aside.replace(file)


def load_checkpoint(lane: "Lane", file: Path) -> bool:
    """Give a lane the state of its checkpoint; return whether there is one for its signals, days and time zone."""
    if not file.exists():
        return False
    with np.load(file, allow_pickle=False) as saved:
        shape = json.loads(str(saved["shape"]))
        wanted = [list(lane.state.signals), lane.state.days, lane.baseline.timezone]
        if [shape["signals"], shape["days"], shape["timezone"]] != wanted:
            return False
        customers = str(saved["customers"]).split("\n") if saved["newest"].size else []
        lane.state.rows = {customer: row for row, customer in enumerate(customers)}
        lane.state.counts, lane.state.newest = saved["counts"], saved["newest"]
        lane.position = int(saved["position"])
        from_json(lane.surges, json.loads(str(saved["surges"])))
        alerted = json.loads(str(saved["alerted"]))
    if alerted["as_of"] == lane.baseline.as_of.isoformat():
        lane.alerted = alerted["levels"]
    return True
