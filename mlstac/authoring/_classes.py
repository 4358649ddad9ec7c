"""How often each value of a label occurs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_CLASSES = 1024
"""A tensor with more distinct values than this is not counted by class."""


def count_values(values: NDArray[Any]) -> dict[int, int] | None:
    """How often each value occurs in a block of integers; None where there are more than MOST_CLASSES distinct ones."""
    if values.size == 0:
        return {}
    flat = values.reshape(-1)
    lowest, highest = int(flat.min()), int(flat.max())
    if highest - lowest < 2**16:
        base = 0 if lowest >= 0 and highest < 2**16 else lowest
        # In integers of the same size, whose wrap-around gives the right small difference.
        offsets = flat if not base else (flat - flat.dtype.type(base)).view(f"u{flat.dtype.itemsize}")
        counts = np.bincount(offsets.astype(np.intp, copy=False))
        found = np.flatnonzero(counts)
        return None if len(found) > MOST_CLASSES else {int(at) + base: int(counts[at]) for at in found}
    distinct, times = np.unique(flat, return_counts=True)
    if len(distinct) > MOST_CLASSES:
        return None
    return {int(value): int(count) for value, count in zip(distinct, times, strict=True)}


def merge_counts(some: dict[int, int] | None, more: dict[int, int] | None) -> dict[int, int] | None:
    """Counts of both, in order of value."""
    if some is None or more is None:
        return None
    merged = {value: some.get(value, 0) + more.get(value, 0) for value in sorted(some.keys() | more.keys())}
    return merged if len(merged) <= MOST_CLASSES else None
