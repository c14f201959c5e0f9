"""Random-looking numbers that depend on their inputs alone: not on row order, library version or machine."""

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def stable_hash(*columns: NDArray[np.integer], seed: int = 0) -> NDArray[np.uint64]:
    """Mixes integer columns, row by row, into one 64-bit hash (SplitMix64, Steele et al., OOPSLA 2014).

    Args:
        columns: integer arrays of one shape, (N,).
        seed: a different seed gives an unrelated hash.

    Returns:
        (N,) hashes.
    """
    state = np.full(columns[0].shape, seed, dtype=np.uint64)
    for column in columns:
        state = (state ^ column.astype(np.uint64)) + _GOLDEN
        state = (state ^ (state >> np.uint64(30))) * _MIX_1
        state = (state ^ (state >> np.uint64(27))) * _MIX_2
        state = state ^ (state >> np.uint64(31))
    return state


def stable_uniform(*columns: NDArray[np.integer], seed: int = 0) -> NDArray[np.float64]:
    """Returns the same as numbers in [0, 1), (N,)."""
    return (stable_hash(*columns, seed=seed) >> np.uint64(11)).astype(np.float64) * 2.0**-53
