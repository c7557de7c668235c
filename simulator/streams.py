"""Named random streams: the same seed, purpose and keys always give the same draws, whatever else was drawn."""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.integer[Any]]
Indices = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]


def generator(seed: int, purpose: str, *keys: int) -> np.random.Generator:
    """Return the generator of one purpose, such as ("orders", month); streams never depend on each other."""
    sequence = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *keys])
    return np.random.Generator(np.random.SFC64(sequence))


def pick(rng: np.random.Generator, weights: Sequence[float], size: int) -> Indices:
    """Draw `size` positions of `weights` with probability in proportion to them."""
    limits = np.cumsum(np.asarray(weights, dtype=np.float64))
    drawn = np.searchsorted(limits, rng.random(size) * limits[-1], side="right")
    return np.asarray(np.minimum(drawn, len(weights) - 1), dtype=np.int32)


def normal(rng: np.random.Generator, size: int) -> Floats:
    """Draw standard normal values as 32-bit floats."""
    return rng.standard_normal(size, dtype=np.float32)


def lognormal(rng: np.random.Generator, size: int, *, spread: float) -> Floats:
    """Draw positive factors with mean 1 whose logarithm has standard deviation `spread`."""
    return np.asarray(np.exp(normal(rng, size) * spread - spread**2 / 2), dtype=np.float32)
