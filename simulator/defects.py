"""The ledger of injected defects: every one is declared with its row, what was true and what a good cleaner does."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from simulator.streams import Indices
from simulator.systems.sheets import Sheet

REPAIR, REMOVE, QUARANTINE, MERGE, KEEP = "repair", "remove", "quarantine", "merge", "keep"
# Codes and marks that stand for the same thing in careless systems: canonical code to variants.
VARIANTS = {
    "app": ("APP", "App ", "ios_app"),
    "web": ("WEB", "H5", "www"),
    "mini-program": ("mini_program", "小程序", "MiniProgram"),
    "store": ("STORE", "门店", "offline"),
    "phone": ("PHONE", "电话", "tel"),
    "chat": ("Chat", "在线客服", "im"),
    "e-mail": ("email", "E-Mail", "邮件"),
    "M": ("男", "male", "m"),
    "F": ("女", "female", "f"),
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a defect did to `column`: its true value, and what the file holds (None where the value is gone)."""

    column: str
    clean: pa.Array | None = None
    dirty: pa.Array | None = None


class Ledger:
    """Collects defects and writes them to one parquet file."""

    def __init__(self, path: Path) -> None:
        """Open the ledger at `path`."""
        self._sheet = Sheet(path)

    @property
    def count(self) -> int:
        """Defects declared so far."""
        return self._sheet.count

    def declare(self, kind: str, table: str, keys: pa.Array, *, remedy: str, change: Change | None = None) -> None:
        """Write one line per key: the row `keys` names in `table` (system.object) carries the defect `kind`.

        Without a change the row itself is the defect.
        """
        count = len(keys)
        self._sheet.add(
            pa.table(
                {
                    "kind": pa.repeat(kind, count),
                    "table": pa.repeat(table, count),
                    "row_key": keys.cast(pa.string()),
                    "column": pa.repeat(pa.scalar(change.column if change else None, pa.string()), count),
                    "clean": _texts(change.clean if change else None, count),
                    "dirty": _texts(change.dirty if change else None, count),
                    "remedy": pa.repeat(remedy, count),
                }
            )
        )

    def close(self) -> None:
        """Finish the file."""
        self._sheet.close()


def _texts(values: pa.Array | None, count: int) -> pa.Array:
    return pa.nulls(count, pa.string()) if values is None else values.cast(pa.string())


def chosen(rng: np.random.Generator, size: int, share: float) -> Indices:
    """Return the positions that a defect hits, each with probability `share`."""
    return np.flatnonzero(rng.random(size) < share).astype(np.int32)


def misspell_codes(rng: np.random.Generator, codes: pa.Array, share: float) -> tuple[pa.Array, Indices]:
    """Return `codes` with a share of them in another system's spelling, and where."""
    values = np.array(codes.to_pylist() if len(codes) == 0 else codes.to_numpy(zero_copy_only=False), dtype=object)
    hit = chosen(rng, len(codes), share)
    hit = hit[[value in VARIANTS for value in values[hit]]] if len(hit) else hit
    which = rng.integers(0, 3, len(hit))
    variants = [VARIANTS[value][place] for value, place in zip(values[hit], which, strict=True)]
    values[hit] = variants
    return pa.array(values, pa.string()), hit
