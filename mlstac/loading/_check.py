"""Addresses of rows against what is possible: inside their shard, and as long as dtype and shape make them.

A row of a compressed shard has the length of a frame, which may be any; but no frame decompresses to more than 32,768
times its length, so that no row can promise more and have memory asked for.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mlstac.loading._addresses import MISSING, PLAIN, Rows
from mlstac.loading._columns import RowError
from mlstac.loading._layout import TensorLayout
from mlstac.sample import MAX_EXPANSION

Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]


def check_rows(rows: Rows, runs: Integers, layout: TensorLayout) -> None:
    """Refuse rows that point outside their shard, or whose length is not what dtype and shape make.

    Looks at the first and the last row of every run: between them length, shape and size are the same, and offsets go
    by one step.

    Raises
    ------
    RowError
    """
    if not len(rows.files):
        return  # an empty split has no first row and no last
    ends = np.append(runs[1:], len(rows.files)) - 1
    what = f"assets.{layout.name}"
    there = rows.files[runs] != MISSING
    length = rows.lengths[runs]
    _refuse(runs, there & (length < 0), lambda row: f"{what}.ml:length is {rows.lengths[row]}")
    for edge in (runs, ends):
        offset, size = rows.offsets[edge], rows.sizes[edge]
        _refuse(edge, there & (offset < 0), lambda row: f"{what}.ml:offset is {rows.offsets[row]}")
        # subtracted, for the sum of hostile numbers may leave 64 bits
        beyond = (offset > size) | (length > size - np.minimum(offset, size))
        _refuse(edge, there & beyond, lambda row: _beyond(what, rows, row))
    # a hostile step may leave 64 bits between two ends that are inside, so it is held against the room in the file
    more = ends - runs
    step = rows.offsets[np.minimum(runs + 1, ends)] - rows.offsets[runs]
    room = rows.sizes[runs] // np.maximum(more, 1)
    wide = there & (more > 0) & ((step > room) | (step < -room))
    _refuse(runs + (more > 0), wide, lambda row: _beyond(what, rows, row))
    _check_lengths(rows, runs, there, layout)


def _beyond(what: str, rows: Rows, row: int) -> str:
    first, length = int(rows.offsets[row]), int(rows.lengths[row])
    return f"{what} points at bytes {first} to {first + length} of a file of {rows.sizes[row]} (file:size)"


def _check_lengths(rows: Rows, runs: Integers, there: Mask, layout: TensorLayout) -> None:
    length, what = rows.lengths[runs], f"assets.{layout.name}"
    compressed = np.zeros(len(runs), bool) if rows.frames is None else rows.frames[runs] != PLAIN
    if layout.fixed is not None:
        made = f"dtype {layout.dtype} and shape {list(layout.fixed)} make {layout.row_bytes}"
        wrong = there & ~compressed & (length != layout.row_bytes)
        _refuse(runs, wrong, lambda row: f"{what}.ml:length is {rows.lengths[row]}; {made}")
        _check_frames(rows, runs, there & compressed, np.full(len(runs), layout.row_bytes), what)
        return
    assert rows.shapes is not None
    known = rows.shapes
    shapes = known[runs]
    wrong = (shapes < 0).any(axis=1)
    for axis, size in enumerate(layout.shape):
        if size is not None:
            wrong |= shapes[:, axis] != size
    said = f"the collection says {list(layout.shape)}"
    _refuse(runs, there & wrong, lambda row: f"{what}.ml:shape is {known[row].tolist()}; {said}")
    # floats first, for the product of hostile sizes may leave 64 bits
    far = there & (np.prod(shapes, axis=1, dtype=np.float64) * layout.bits / 8 > 2.0**62)
    count = np.prod(np.where(far[:, None], 0, shapes), axis=1)
    wrong = far | (there & ~compressed & (count * layout.bits // 8 != length))
    _refuse(
        runs,
        wrong,
        lambda row: f"{what}.ml:length is {rows.lengths[row]}; {layout.dtype} of {known[row].tolist()} is another",
    )
    _check_frames(rows, runs, there & compressed, count * layout.bits // 8, what)


def _check_frames(rows: Rows, runs: Integers, there: Mask, size: Integers, what: str) -> None:
    """Refuse rows of which a frame of their length cannot hold the bytes."""
    if rows.frames is None or not there.any():
        return
    ends = np.append(runs[1:], len(rows.files)) - 1
    inside = np.maximum(rows.frames[runs], rows.frames[ends])
    # compared in floats, for the sum of hostile numbers may leave 64 bits
    held = inside.astype(np.float64) + size
    wrong = there & (size > 0) & (held > rows.lengths[runs].astype(np.float64) * MAX_EXPANSION)
    _refuse(
        runs,
        wrong,
        lambda row: (
            f"{what}.ml:length is {rows.lengths[row]}; no frame of that length decompresses to what dtype and "
            "shape make"
        ),
    )


def _refuse(rows: Integers, wrong: Mask, message: Callable[[int], str]) -> None:
    if wrong.any():
        row = int(rows[np.flatnonzero(wrong)[0]])
        raise RowError(row, message(row))


def shapes_of_lengths(lengths: Integers, layout: TensorLayout) -> Integers:
    """Shapes that follow from lengths, where one axis alone varies.

    Raises
    ------
    RowError
        If several vary.
    """
    varying = [axis for axis, size in enumerate(layout.shape) if size is None]
    if len(varying) != 1:
        raise RowError(0, f"assets.{layout.name} needs ml:shape: {len(varying)} of its axes vary")
    shapes = np.array([size or 0 for size in layout.shape], np.int64)[None].repeat(len(lengths), axis=0)
    rest = int(np.prod([size for size in layout.shape if size is not None], dtype=np.int64)) * layout.bits
    shapes[:, varying[0]] = lengths * 8 // max(rest, 1)
    return shapes
