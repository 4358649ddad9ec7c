"""How often each value of a label occurs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.authoring._partial import Partial
from mlstac.authoring._scratch import converted

MOST_CLASSES = 1024
"""A tensor with more distinct values than this is not counted by class."""

_MANY_BYTES = 2**17
"""From here on it pays to count bytes in pairs, for which there is a table of 65,536 numbers."""

_PIECE_VALUES = 2**19
"""Values that are counted at once: numpy counts integers of 8 bytes, to which they are converted."""


def count_values(values: NDArray[Any]) -> dict[int, int] | None:
    """How often each value occurs in a block of integers; None where there are more than MOST_CLASSES distinct ones."""
    if values.size == 0:
        return {}
    flat = values.reshape(-1)
    if flat.dtype.itemsize == 1 and flat.size >= _MANY_BYTES:
        return _count_bytes(flat)
    lowest, highest = int(flat.min()), int(flat.max())
    if highest - lowest < 2**16:
        base = 0 if lowest >= 0 and highest < 2**16 else lowest
        # In integers of the same size, whose wrap-around gives the right small difference.
        offsets = flat if not base else (flat - flat.dtype.type(base)).view(f"u{flat.dtype.itemsize}")
        counts = _tally(offsets, highest - base + 1)
        found = np.flatnonzero(counts)
        return None if len(found) > MOST_CLASSES else {int(at) + base: int(counts[at]) for at in found}
    distinct, times = np.unique(flat, return_counts=True)
    if len(distinct) > MOST_CLASSES:
        return None
    return {int(value): int(count) for value, count in zip(distinct, times, strict=True)}


def _count_bytes(values: NDArray[Any]) -> dict[int, int]:
    """How often each of many 8-bit integers occurs, found two at a time."""
    pairs = values[: values.size // 2 * 2].view(np.uint16)
    table = _tally(pairs, 2**16).reshape(256, 256)
    counts = table.sum(axis=0) + table.sum(axis=1)
    if values.size % 2:
        counts[values[-1:].view(np.uint8)] += 1
    numbers = np.arange(256, dtype=np.uint8).view(values.dtype)
    return {int(numbers[at]): int(counts[at]) for at in np.argsort(numbers) if counts[at]}


def _tally(numbers: NDArray[Any], size: int) -> NDArray[np.int64]:
    """How often each number below ``size`` occurs."""
    counts = np.zeros(size, np.int64)
    for start in range(0, len(numbers), _PIECE_VALUES):
        counts += np.bincount(converted(numbers[start : start + _PIECE_VALUES], dtype=np.intp), minlength=size)
    return counts


def partial_of(counts: Mapping[int, int], nodata: float | int | None) -> Partial:
    """What is known of the values that were counted: the same as their sums tell."""
    kept = {value: times for value, times in counts.items() if value != nodata}
    left_out = sum(counts.values()) - sum(kept.values())
    if not kept:
        return Partial(left_out=left_out)
    return Partial(
        count=sum(kept.values()),
        left_out=left_out,
        minimum=min(kept),
        maximum=max(kept),
        total=sum(value * times for value, times in kept.items()),
        squares=sum(value * value * times for value, times in kept.items()),
    )


def merge_counts(some: dict[int, int] | None, more: dict[int, int] | None) -> dict[int, int] | None:
    """Counts of both, in order of value."""
    if some is None or more is None:
        return None
    merged = {value: some.get(value, 0) + more.get(value, 0) for value in sorted(some.keys() | more.keys())}
    return merged if len(merged) <= MOST_CLASSES else None
