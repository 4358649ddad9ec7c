"""Addresses of one tensor: where its bytes lie for every row of a catalog part, kept as runs."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MISSING = -1
"""File number of a sample that lacks the tensor."""

Integers = NDArray[np.int64]


class Located(NamedTuple):
    """Addresses of some rows, one entry a row."""

    files: Integers
    """Number of the shard, or `MISSING`."""
    offsets: Integers
    """Absolute position of the first byte in the shard."""
    lengths: Integers
    """Bytes as stored."""
    shapes: Integers | None
    """Shape of each sample, where it varies: (row, axis)."""


@dataclass(frozen=True, slots=True, eq=False)
class Addresses:
    """Runs of rows whose bytes follow each other at one stride.

    A stacked shard is one run, whatever its number of samples; where lengths vary every row is a run of its own, and
    `starts` is left out.
    """

    rows: int
    starts: Integers | None
    """First row of each run; None if every row is its own run."""
    files: Integers
    offsets: Integers
    strides: Integers
    lengths: Integers
    shapes: Integers | None = None

    def locate(self, rows: Integers) -> Located:
        """Addresses of rows, given by their number in the part, all of them in it."""
        if self.starts is None:
            run: Integers = rows
            offsets = self.offsets[rows]
        elif len(self.starts) == 1:
            run = np.zeros(len(rows), np.int64)
            offsets = self.offsets[0] + self.strides[0] * rows
        else:
            run = np.searchsorted(self.starts, rows, side="right") - 1
            offsets = self.offsets[run] + self.strides[run] * (rows - self.starts[run])
        return Located(self.files[run], offsets, self.lengths[run], None if self.shapes is None else self.shapes[run])

    def spans(self) -> dict[int, tuple[int, int, int, int]]:
        """Per file: first byte, end, number of rows, and their bytes together."""
        counts = self.counts()
        last = self.offsets + self.strides * (counts - 1)
        low, high = np.minimum(self.offsets, last), np.maximum(self.offsets, last) + self.lengths
        found: dict[int, tuple[int, int, int, int]] = {}
        order = np.argsort(self.files, kind="stable")
        files = self.files[order]
        edges = np.flatnonzero(np.diff(files, prepend=files[:1] - 1))
        if not edges.size:
            return found
        lows = np.minimum.reduceat(low[order], edges)
        highs = np.maximum.reduceat(high[order], edges)
        rows = np.add.reduceat(counts[order], edges)
        sizes = np.add.reduceat((counts * self.lengths)[order], edges)
        for file, *span in zip(files[edges].tolist(), lows.tolist(), highs.tolist(), rows.tolist(), sizes.tolist(),
                               strict=True):  # fmt: skip
            if file != MISSING:
                found[file] = (span[0], span[1], span[2], span[3])
        return found

    def counts(self) -> Integers:
        """Number of rows of each run."""
        if self.starts is None:
            return np.ones(self.rows, np.int64)
        return np.diff(self.starts, append=self.rows)

    @property
    def nbytes(self) -> int:
        """Memory that the runs take."""
        arrays = (self.starts, self.files, self.offsets, self.strides, self.lengths, self.shapes)
        return sum(array.nbytes for array in arrays if array is not None)


class Rows(NamedTuple):
    """Columns of one row group, as read: one entry a row; zeros where the sample lacks the tensor."""

    files: Integers
    offsets: Integers
    lengths: Integers
    sizes: Integers
    shapes: Integers | None


def find_runs(rows: Rows) -> Integers:
    """First row of every run of rows that share file, length, shape and size, and whose offsets keep one step."""
    count = len(rows.files)
    change = np.zeros(count, bool)
    if not count:
        return np.flatnonzero(change)
    change[0] = True
    for column in (rows.files, rows.lengths, rows.sizes):
        change[1:] |= column[1:] != column[:-1]
    if rows.shapes is not None:
        change[1:] |= (rows.shapes[1:] != rows.shapes[:-1]).any(axis=1)
    step = np.diff(rows.offsets)
    # The second row of a run sets its step, so the row after a first row cannot break it
    change[2:] |= (step[1:] != step[:-1]) & ~change[1:-1]
    return np.flatnonzero(change)


class Runs(NamedTuple):
    """Runs of one row group, by their first rows."""

    rows: int
    starts: Integers
    files: Integers
    offsets: Integers
    strides: Integers
    lengths: Integers
    shapes: Integers | None


def take_runs(rows: Rows, starts: Integers) -> Runs:
    """What is kept of a row group: its columns where runs begin."""
    count = len(rows.files)
    second = np.minimum(starts + 1, count - 1) if count else starts
    single = np.diff(starts, append=count) < 2
    return Runs(
        rows=count,
        starts=starts,
        files=rows.files[starts],
        offsets=rows.offsets[starts],
        strides=np.where(single, 0, rows.offsets[second] - rows.offsets[starts]),
        lengths=rows.lengths[starts],
        shapes=None if rows.shapes is None else rows.shapes[starts],
    )


def make_addresses(groups: list[Runs]) -> Addresses:
    """Addresses of a part from the runs of its row groups."""
    empty = np.zeros(0, np.int64)
    groups = [group for group in groups if group.rows]
    if not groups:
        return Addresses(0, None, empty, empty, empty, empty)
    firsts = np.cumsum([0, *(group.rows for group in groups)])
    shapes = [group.shapes for group in groups if group.shapes is not None]
    addresses = Addresses(
        rows=int(firsts[-1]),
        starts=np.concatenate([group.starts + first for group, first in zip(groups, firsts, strict=False)]),
        files=np.concatenate([group.files for group in groups]),
        offsets=np.concatenate([group.offsets for group in groups]),
        strides=np.concatenate([group.strides for group in groups]),
        lengths=np.concatenate([group.lengths for group in groups]),
        shapes=np.concatenate(shapes) if shapes else None,
    )
    return _explicit(addresses) if 2 * len(addresses.files) > addresses.rows else addresses


def _explicit(addresses: Addresses) -> Addresses:
    """One entry a row: cheaper than runs where most have a single row."""
    located = addresses.locate(np.arange(addresses.rows))
    return Addresses(
        rows=addresses.rows,
        starts=None,
        files=located.files,
        offsets=located.offsets,
        strides=np.zeros(addresses.rows, np.int64),
        lengths=located.lengths,
        shapes=located.shapes,
    )
