"""Addresses of one tensor: where its bytes lie for every row of a catalog part, kept as runs."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MISSING = -1
"""File number of a sample that lacks the tensor."""

PLAIN = -1
"""In the place of an offset in a frame: the row is in no compressed shard."""

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
    frames: Integers | None = None
    """Of rows in compressed shards, whose offsets and lengths are those of a frame: the first byte in what the frame
    decompresses to. `PLAIN` of other rows; None if all are plain."""

    def at(self, rows: Integers) -> "Located":
        """Addresses of some of the rows, by their number here."""
        files, offsets, lengths, shapes, frames = self
        return Located(
            files[rows],
            offsets[rows],
            lengths[rows],
            None if shapes is None else shapes[rows],
            None if frames is None else frames[rows],
        )


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
    frames: Integers | None = None
    frame_strides: Integers | None = None

    def locate(self, rows: Integers) -> Located:
        """Addresses of rows, given by their number in the part, all of them in it."""
        step: Integers | None = None
        if self.starts is None:
            run: Integers = rows
            offsets = self.offsets[rows]
        elif len(self.starts) == 1:
            run, step = np.zeros(len(rows), np.int64), rows
            offsets = self.offsets[0] + self.strides[0] * rows
        else:
            run = np.searchsorted(self.starts, rows, side="right") - 1
            step = rows - self.starts[run]
            offsets = self.offsets[run] + self.strides[run] * step
        frames = None if self.frames is None else self.frames[run]
        if frames is not None and step is not None and self.frame_strides is not None:
            frames = frames + self.frame_strides[run] * step
        shapes = None if self.shapes is None else self.shapes[run]
        return Located(self.files[run], offsets, self.lengths[run], shapes, frames)

    def locate_one(self, row: int) -> tuple[int, int, int]:
        """File, offset and place in the frame of one row: what `locate` says of it, at a tenth of the time."""
        if self.starts is None:
            run, step = row, 0
        else:
            run = int(self.starts.searchsorted(row, side="right")) - 1 if len(self.starts) > 1 else 0
            step = row - int(self.starts[run])
        offset = int(self.offsets[run]) + int(self.strides[run]) * step
        if self.frames is None:
            return int(self.files[run]), offset, PLAIN
        strides = self.frame_strides
        return (
            int(self.files[run]),
            offset,
            int(self.frames[run]) + (0 if strides is None else int(strides[run]) * step),
        )

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
        arrays = (
            *(self.starts, self.files, self.offsets, self.strides, self.lengths),
            *(self.shapes, self.frames, self.frame_strides),
        )
        return sum(array.nbytes for array in arrays if array is not None)


class Rows(NamedTuple):
    """Columns of one row group, as read: one entry a row; zeros where the sample lacks the tensor."""

    files: Integers
    offsets: Integers
    lengths: Integers
    sizes: Integers
    shapes: Integers | None
    frames: Integers | None = None
    """As in `Located`."""


def find_runs(rows: Rows) -> Integers:
    """First row of every run of rows that share file, length, shape and size, and whose offsets keep one step."""
    count = len(rows.files)
    change = np.zeros(count, bool)
    if not count:
        return np.flatnonzero(change)
    change[0] = True
    for column in (rows.files, rows.lengths, rows.sizes):
        if column[0] != column[-1] or (column != column[0]).any():
            change[1:] |= column[1:] != column[:-1]
    if rows.shapes is not None:
        change[1:] |= (rows.shapes[1:] != rows.shapes[:-1]).any(axis=1)
    step = rows.offsets[1:] - rows.offsets[:-1]
    broken = step[1:] != step[:-1]
    if rows.frames is not None:
        step = rows.frames[1:] - rows.frames[:-1]
        broken |= step[1:] != step[:-1]
    # The second row of a run sets its step, so the row after a first row cannot break it
    change[2:] |= broken & ~change[1:-1]
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
    frames: Integers | None = None
    frame_strides: Integers | None = None


def take_runs(rows: Rows, starts: Integers) -> Runs:
    """What is kept of a row group: its columns where runs begin."""
    count = len(rows.files)
    second = np.minimum(starts + 1, count - 1) if count else starts
    single = np.diff(starts, append=count) < 2
    frames = rows.frames
    return Runs(
        rows=count,
        starts=starts,
        files=rows.files[starts],
        offsets=rows.offsets[starts],
        strides=np.where(single, 0, rows.offsets[second] - rows.offsets[starts]),
        lengths=rows.lengths[starts],
        shapes=None if rows.shapes is None else rows.shapes[starts],
        frames=None if frames is None else frames[starts],
        frame_strides=None if frames is None else np.where(single, 0, frames[second] - frames[starts]),
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
        frames=_joined(groups, [group.frames for group in groups], PLAIN),
        frame_strides=_joined(groups, [group.frame_strides for group in groups], 0),
    )
    return _explicit(addresses) if 2 * len(addresses.files) > addresses.rows else addresses


def _joined(groups: list[Runs], columns: list[Integers | None], missing: int) -> Integers | None:
    """A column that only row groups with compressed shards have."""
    if all(column is None for column in columns):
        return None
    filled = [
        np.full(len(group.starts), missing, np.int64) if column is None else column
        for group, column in zip(groups, columns, strict=True)
    ]
    return np.concatenate(filled)


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
        frames=located.frames,
    )
