"""The bytes of one tensor in the shard that is being filled: few large buffers, measured as they fill."""

from array import array
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mlstac.authoring import _statistics as statistics
from mlstac.authoring._classes import count_values, merge_counts, partial_of
from mlstac.authoring._partial import Partial, merge_bands
from mlstac.authoring._pool import Loan, Pool
from mlstac.authoring._statistics import Nodata

CHUNK_BYTES = 8 * 2**20
"""A buffer's size: large for `write`, small beside a shard, and past the 4 MiB from which numpy asks for huge pages (a
page fault for every 4 KiB costs as much as all the copying)."""

# Stacked rows under 4 KiB share checksums in runs of 4096 // row bytes, so that a buffer holds whole runs.
_RUN_BYTES = 4096

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Measures:
    """What is measured of one tensor in one shard, or over several."""

    bands: list[Partial] | None
    """One a band; None where the number of bands varies."""
    classes: dict[int, int] | None = None
    """How often each value occurs; None where nobody asked, or where there are too many values to be classes."""

    def merge(self, other: "Measures") -> "Measures":
        return Measures(merge_bands(self.bands, other.bands), merge_counts(self.classes, other.classes))


@dataclass(frozen=True)
class Measuring:
    """How a tensor is to be measured."""

    dtype: str
    band_axis: int | None
    nodata: Nodata
    classes: bool

    @property
    def is_of_floats(self) -> bool:
        return not statistics.is_countable(self.dtype) and self.dtype != "BOOL"

    def measure(self, data: NDArray[np.uint8], lengths: list[int], shapes: list[Shape]) -> Measures:
        """Measure samples that lie one after another in ``data``."""
        if all(shape == shapes[0] for shape in shapes):
            return self._measure_alike(data, (len(shapes), *shapes[0]))
        merged: Measures | None = None
        start = 0
        for length, shape in zip(lengths, shapes, strict=True):
            one = self._measure_alike(data[start : start + length], (1, *shape))
            merged = one if merged is None else merged.merge(one)
            start += length
        assert merged is not None
        return merged

    def _measure_alike(self, data: NDArray[np.uint8], shape: Shape) -> Measures:
        values = statistics.view(data, self.dtype, shape)
        axis = self.band_axis if self.band_axis is not None and self.band_axis < len(shape) - 1 else None
        classes = count_values(values) if self.classes else None
        if classes is not None and axis is None and not isinstance(self.nodata, tuple):
            return Measures([partial_of(classes, self.nodata)], classes)
        return Measures(statistics.measure(values, band_axis=axis, nodata=self.nodata), classes)


class Block:
    """One tensor's samples in the shard that is being filled, copied one after another into buffers of some MiB.

    A full buffer is handed to a thread to be measured while the next one fills.
    """

    def __init__(
        self, *, dtype: str, measuring: Measuring | None, submit: Callable[..., "Future[Measures]"], pool: Pool
    ) -> None:
        self.dtype = dtype
        self.nbytes = 0
        self.present = array("b")
        """One a sample of the shard: whether it has this tensor."""
        self.lengths = array("q")
        self.digests = array("Q")
        self.shapes: list[Shape] = []
        """One a sample that has the tensor."""
        self._measuring = measuring
        self._submit = submit
        self._pool = pool
        self._pending: list[Future[Measures]] = []
        self._buffers: list[NDArray[np.uint8]] = []
        self.chunks: list[NDArray[np.uint8]] = []
        """The full buffers, each as far as it is used."""
        self._buffer: NDArray[np.uint8] | None = None
        self._used = 0
        self._first = 0
        self._shape: Shape | None = None

    def skip(self) -> None:
        """The next sample lacks the tensor."""
        self.present.append(0)

    def append(self, data: NDArray[np.uint8], shape: Shape, digest: int) -> None:
        """Copy the next sample's bytes, whose xxh3-64 is known."""
        length = len(data)
        if self._buffer is None or self._used + length > len(self._buffer):
            self._close_buffer()
            self._buffer = self._pool.take(_buffer_bytes(length))
            self._buffers.append(self._buffer)
        self._buffer[self._used : self._used + length] = data
        self._used += length
        self.nbytes += length
        self.present.append(1)
        self.lengths.append(length)
        self.digests.append(digest)
        # One tuple for all samples of the same shape: a million of them cost a pointer each.
        if shape != self._shape:
            self._shape = shape
        assert self._shape is not None
        self.shapes.append(self._shape)

    def close(self) -> None:
        """The block is full."""
        self._close_buffer()

    def lend(self, loan: Loan) -> None:
        """Have the buffers of a full block given back as each is hashed, written and measured."""
        uses = 2 if self._measuring is None else 3
        for buffer, filled in zip(self._buffers, self.chunks, strict=True):
            loan.add(buffer, uses * len(filled))

    def watch(self, loan: Loan) -> None:
        """Tell the loan, once it has begun, of what is measured."""
        for filled, pending in zip(self.chunks, self._pending, strict=False):
            pending.add_done_callback(partial(_measured, loan, filled))

    def release(self) -> None:
        """Forget the samples' bytes; what is said of them stays."""
        self.chunks.clear()
        self._buffers.clear()

    def measures(self) -> Measures | None:
        """What was measured, once the block is closed; None where nothing was to be."""
        merged: Measures | None = None
        for pending in self._pending:  # in order: float sums depend on it
            merged = pending.result() if merged is None else merged.merge(pending.result())
        return merged

    def _close_buffer(self) -> None:
        if self._buffer is None:
            return
        stop = len(self.shapes)
        filled = self._buffer[: self._used]
        self.chunks.append(filled)
        if self._measuring is not None:
            lengths = self.lengths[self._first : stop].tolist()
            self._pending.append(self._submit(self._measuring, filled, lengths, self.shapes[self._first : stop]))
        self._first, self._used, self._buffer = stop, 0, None


def _measured(loan: Loan, filled: NDArray[np.uint8], _: "Future[Measures]") -> None:
    loan.used(filled)


def _buffer_bytes(row_bytes: int) -> int:
    if row_bytes >= CHUNK_BYTES or not row_bytes:
        return row_bytes
    run = max(1, _RUN_BYTES // row_bytes) * row_bytes
    return CHUNK_BYTES // run * run
