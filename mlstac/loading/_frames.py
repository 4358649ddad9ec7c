"""Samples of compressed shards: which frames hold them, and the frames undone into the buffer of a batch.

A sample's tensor that has a frame of its own is decompressed straight into its place in the batch, by several threads
where there is enough of it: zstd lets go of Python's lock. The threads live as long as one call, so that there is
nothing for a fork to lose.
"""

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import MlstacError, ShardError
from mlstac.loading._addresses import MISSING, PLAIN
from mlstac.loading._copying import gather
from mlstac.loading._shards import Shards
from mlstac.loading._slots import Slots
from mlstac.loading._verify import Namer, verify_frame
from mlstac.sample import GZIP, SHARED_FRAME_BYTES, decompress_frame, frame_contents, undo_shared

Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]

MOST_THREADS = 8
ALONE_BYTES = 1024 * 1024
"""Contents up to this size are decompressed by the calling thread: another would cost more to start."""


class Frame(NamedTuple):
    """One frame, and the rows of the batch that are in it."""

    file: int
    start: int
    stop: int
    rows: Integers


class Unpacking(NamedTuple):
    """What is done with the frames of one tensor."""

    slots: Slots
    shards: Shards
    expected: Integers | None
    """Checksum of each row's frame, -1 where the catalog has none; None: not to be checked."""
    name: Namer
    """Says of a row which sample it is, and in which shard."""


def split_slots(slots: Slots) -> tuple[Slots | None, list[Frame]]:
    """Part the rows of a batch: those of plain shards, if any, and the frames that hold the others."""
    located = slots.located
    if located.frames is None:
        return slots, []
    compressed = located.frames != PLAIN
    if not compressed.any():
        return slots, []
    plain = None
    if (~compressed & (located.files != MISSING)).any():
        files = np.where(compressed, MISSING, located.files)
        plain = replace(slots, located=located._replace(files=files, frames=None), complete=False)
    rows = np.flatnonzero(compressed & (located.lengths > 0) & (slots.sizes > 0))
    keys = np.stack([located.files[rows], located.offsets[rows], located.lengths[rows]])
    order = np.lexsort(keys[::-1])
    groups = np.split(rows[order], np.flatnonzero((np.diff(keys[:, order], axis=1) != 0).any(axis=0)) + 1)
    # in the order of their first use, which is how they are asked for
    groups.sort(key=lambda group: int(group[0]) if group.size else 0)
    wanted = []
    for group in groups if rows.size else []:
        first = group[0]
        start = int(located.offsets[first])
        wanted.append(Frame(int(located.files[first]), start, start + int(located.lengths[first]), group))
    return plain, wanted


def unpack_all(jobs: Sequence[tuple[Unpacking, Frame]], stored: Callable[[int], Bytes]) -> None:
    """Undo frames into the buffers of a batch.

    Parameters
    ----------
    jobs : sequence of (Unpacking, Frame)
        Frames of any tensors; no row of a tensor is in two.
    stored : callable
        Stored bytes of a job's frame, by the job's number. Called from several threads.

    Raises
    ------
    ChecksumError
        If stored bytes are not those that were written.
    ShardError
        If a frame is damaged, or does not hold what dtype and shape make.
    """
    nbytes = sum(int(unpacking.slots.sizes[wanted.rows].sum()) for unpacking, wanted in jobs)
    numbers = count()  # hands every number out once, to whichever thread asks
    failures: list[tuple[int, BaseException]] = []

    def work() -> None:
        while not failures:
            number = next(numbers)
            if number >= len(jobs):
                return
            try:
                _unpack(*jobs[number], stored(number))
            except BaseException as error:  # noqa: BLE001  (it is raised in the calling thread)
                failures.append((number, error))

    threads = []
    for _ in range(min(_cores(), MOST_THREADS, len(jobs), 1 + nbytes // ALONE_BYTES) - 1):
        thread = threading.Thread(target=work, name="mlstac-unpack", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # none to be had, or the interpreter is ending: this thread does it all
            break
        threads.append(thread)
    work()
    for thread in threads:
        thread.join()
    if failures:
        raise min(failures, key=lambda failure: failure[0])[1]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _unpack(unpacking: Unpacking, wanted: Frame, stored: Bytes) -> None:
    """Check one frame, and put what it holds where it belongs."""
    slots, rows, first = unpacking.slots, wanted.rows, int(wanted.rows[0])
    if unpacking.expected is not None:
        verify_frame(slots.view.name, stored, first, int(unpacking.expected[first]), unpacking.name)
    frames = slots.located.frames
    assert frames is not None
    inside, sizes = frames[rows], _stored_sizes(slots, rows)
    codec = unpacking.shards[wanted.file].codec
    try:
        if codec != GZIP and slots.view.whole and not inside[0] and frame_contents(stored) == sizes[0]:
            decompress_frame(stored, slots.place(first))
            if len(rows) > 1:
                _place(slots, rows, inside, sizes, slots.place(first).copy())
            return
        # a frame is one tensor's own, or one of those that are shared and short
        most = SHARED_FRAME_BYTES if inside.any() else max(SHARED_FRAME_BYTES, int(sizes[0]))
        contents = undo_shared(stored, codec or "", at_least=int((inside + sizes).max()), at_most=most)
        _place(slots, rows, inside, sizes, contents)
    except ShardError as error:
        raise _told(error, unpacking, first) from error


def _stored_sizes(slots: Slots, rows: Integers) -> Integers:
    """Bytes of whole tensors of some rows, as dtype and shape make them."""
    layout = slots.view.layout
    if layout.row_bytes is not None:
        return np.full(len(rows), layout.row_bytes, np.int64)
    assert slots.located.shapes is not None
    return np.asarray(slots.located.shapes[rows].prod(axis=1) * layout.bits // 8, np.int64)


def _place(slots: Slots, rows: Integers, inside: Integers, sizes: Integers, contents: Bytes) -> None:
    """Copy samples, or what is taken of them, out of a frame's contents."""
    if (inside + sizes > len(contents)).any():
        raise ShardError(f"its frame holds {len(contents):,} bytes, and it lies beyond them")
    size = slots.view.row_bytes
    if slots.view.whole and size is not None and slots.dense:
        batch = slots.buffer[: len(slots.begins) * size].reshape(len(slots.begins), size)
        found = np.empty((len(rows), size), np.uint8)
        gather(contents, inside, size, found.reshape(-1))
        batch[rows] = found
        return
    for row, start, nbytes in zip(rows.tolist(), inside.tolist(), sizes.tolist(), strict=True):
        if slots.view.whole:
            slots.place(row)[:] = contents[start : start + nbytes]
        else:
            pieces = slots.view.pieces(slots.stored_shape(row))
            gather(contents, pieces.starts + start, pieces.length, slots.place(row))


def _told(error: MlstacError, unpacking: Unpacking, row: int) -> MlstacError:
    """The error, with the sample."""
    told = type(error)(
        f"tensor {unpacking.slots.view.name!r} of {unpacking.name(row)} cannot be read: {error}; fetch the shard "
        "again, and if that does not help tell the dataset's authors"
    )
    vars(told).update(placed=True, row=row)
    return told
