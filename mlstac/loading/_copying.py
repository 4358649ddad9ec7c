"""Samples of mapped shards into the buffer of a batch: plain copies of rows, as few as their addresses allow."""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mlstac.loading._addresses import MISSING
from mlstac.loading._slots import Slots

Bytes = NDArray[np.uint8]

SHARED_BYTES = 2 * 1024 * 1024
"""From this size on a copy that is waited for is made by two threads: one carries about half of what memory can."""

PIECE_BYTES = 1024 * 1024
"""About what a thread takes of it at a time: smaller ones are handed out more often than it pays."""

_SMALL_BYTES = 4096  # below it, one gather of many rows is quicker than a copy each

Split = Callable[[int, Callable[[int, int], object]], None]
"""Does ``work(first, last)`` for so many rows."""

Share = Callable[..., None]
"""The same in pieces of ``size=`` rows."""


def copy_samples(slots: Slots, shard: Callable[[int], Bytes], *, share: Share | None = None) -> None:
    """Fill the buffer of one tensor.

    Parameters
    ----------
    slots : Slots
        With its buffer.
    shard : callable
        Bytes of a shard by its number.
    share : callable, optional
        Does a copy in pieces, as `in_pieces` does, if it is large and its rows are of one size.
    """
    if slots.view.whole:
        if slots.view.row_bytes is None or not (slots.complete and slots.dense):
            _copy_each(slots, shard)
        else:
            size = slots.view.row_bytes
            split: Split = at_once
            if share is not None and slots.nbytes >= SHARED_BYTES:
                split = partial(share, size=max(1, PIECE_BYTES // size))
            _copy_rows(slots, shard, size, split)
        return
    for row, (file, offset) in enumerate(
        zip(slots.located.files.tolist(), slots.located.offsets.tolist(), strict=True)
    ):
        if file != MISSING:
            pieces = slots.view.pieces(slots.stored_shape(row))
            gather(shard(file), pieces.starts + offset, pieces.length, slots.place(row))


def _copy_each(slots: Slots, shard: Callable[[int], Bytes]) -> None:
    located = slots.located
    columns = (located.files, located.offsets, slots.begins, slots.sizes)
    for file, offset, begin, size in zip(*(column.tolist() for column in columns), strict=True):
        if file != MISSING:
            slots.buffer[begin : begin + size] = shard(file)[offset : offset + size]


def at_once(count: int, work: Callable[[int, int], object]) -> None:
    """Do some work in this thread."""
    work(0, count)


def _copy_rows(slots: Slots, shard: Callable[[int], Bytes], size: int, split: Split) -> None:
    files, offsets = slots.located.files, slots.located.offsets
    count = len(files)
    if not count or not size:
        return
    out = slots.buffer[: count * size].reshape(count, size)
    first = int(files[0])
    if (files == first).all():
        _copy_from(shard(first), offsets, size, out, split)
    elif size <= _SMALL_BYTES:
        for file in np.unique(files).tolist():
            mine = np.flatnonzero(files == file)
            rows = np.empty((len(mine), size), np.uint8)
            _copy_from(shard(file), offsets[mine], size, rows, at_once)
            out[mine] = rows
    else:
        maps = {file: shard(file) for file in set(files.tolist())}
        addresses = zip(files.tolist(), offsets.tolist(), strict=True)
        _join([maps[file][offset : offset + size] for file, offset in addresses], out, split)


def _copy_from(data: Bytes, offsets: NDArray[np.int64], size: int, out: Bytes, split: Split) -> None:
    """Rows of one shard: one copy if they follow each other, else one gather, for which they must lie on one grid."""
    begin = int(offsets[0])
    steps = offsets - begin
    count = len(offsets)
    if int(steps[-1]) == (count - 1) * size and (np.diff(offsets) == size).all():
        rows = data[begin : begin + count * size].reshape(count, size)
        split(count, lambda first, last: np.copyto(out[first:last], rows[first:last]))
        return
    base = begin % size
    numbers, left = np.divmod(offsets - base, size)
    if not left.any():
        grid = data[base : base + (data.size - base) // size * size].reshape(-1, size)
        # mode="clip", for "raise" would gather into memory of its own first; rows were checked against the file's size
        split(count, lambda first, last: np.take(grid, numbers[first:last], axis=0, out=out[first:last], mode="clip"))
    elif size > _SMALL_BYTES:
        _join([data[start : start + size] for start in offsets.tolist()], out, split)
    else:
        gather(data, offsets, size, out.reshape(-1))


def _join(rows: list[Bytes], out: Bytes, split: Split) -> None:
    # one call: between two, a thread would wait for Python's lock, which others want as well
    split(len(rows), lambda first, last: np.concatenate(rows[first:last], out=out[first:last].reshape(-1)))


def gather(data: Bytes, starts: NDArray[np.int64], size: int, out: Bytes) -> None:
    """Runs of bytes of one length, from anywhere in some bytes, one after another into a buffer."""
    if not size or not starts.size:
        return
    if size > _SMALL_BYTES:
        rows = [data[start : start + size] for start in starts.tolist()]
        np.concatenate(rows, out=out[: starts.size * size])
        return
    windows = np.lib.stride_tricks.as_strided(data, (data.size - size + 1, size), (1, 1), writeable=False)
    out[: starts.size * size].reshape(-1, size)[...] = windows[starts]
