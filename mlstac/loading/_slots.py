"""The buffer of a batch: one piece of memory a tensor, and the place in it of every sample."""

from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray

from mlstac.loading._addresses import MISSING, Located
from mlstac.loading._view import TensorView

Integers = NDArray[np.int64]
Bytes = NDArray[np.uint8]

_ALIGNMENT = 64  # what frameworks want of a tensor that lives on our memory


@dataclass(slots=True, eq=False)
class Slots:
    """Where the samples of a batch go, for one tensor.

    Of a tensor whose samples share a shape the buffer is the batch itself, ``(batch, *shape)``; else samples lie one
    after another, each aligned.
    """

    view: TensorView
    located: Located
    begins: Integers
    sizes: Integers
    nbytes: int
    shapes: list[tuple[int, ...]] | None
    """Shape of each sample's result; None if all are the view's."""
    complete: bool
    """Whether every sample has the tensor."""
    dense: bool = True
    """Whether samples lie in the buffer as in the batch, with none between that are another's."""
    buffer: Bytes = field(default_factory=lambda: np.empty(0, np.uint8))
    owners: Integers | None = None
    """Number of the dataset that each sample is of; None where all are of one, or it makes no difference."""

    @property
    def present(self) -> NDArray[np.bool_] | None:
        """Which samples have the tensor; None if all have."""
        return None if self.complete else self.located.files != MISSING

    def part(self, first: int, last: int) -> "Slots":
        """Some neighbouring samples, over the same memory."""
        count = len(self.begins)
        if first == 0 and last == count:
            return self
        begin = int(self.begins[first]) if first < last else 0
        end = int(self.begins[last]) if last < count else self.nbytes
        files, offsets, lengths, shapes, frames = self.located
        return Slots(
            self.view,
            Located(
                files[first:last],
                offsets[first:last],
                lengths[first:last],
                None if shapes is None else shapes[first:last],
                None if frames is None else frames[first:last],
            ),
            self.begins[first:last] - begin,
            self.sizes[first:last],
            end - begin,
            None if self.shapes is None else self.shapes[first:last],
            self.complete,
            self.dense,
            self.buffer[begin:end],
            None if self.owners is None else self.owners[first:last],
        )

    def stored_shape(self, row: int) -> tuple[int, ...]:
        """Shape of one sample as it is in the shard."""
        if self.located.shapes is None:
            return tuple(size for size in self.view.layout.shape if size is not None)
        return tuple(self.located.shapes[row].tolist())

    def place(self, row: int) -> Bytes:
        """The part of the buffer that is one sample's."""
        begin = int(self.begins[row])
        return self.buffer[begin : begin + int(self.sizes[row])]


def make_slots(view: TensorView, located: Located) -> Slots:
    """Lay out the buffer of one tensor for located samples; the memory itself is asked for later."""
    count = len(located.files)
    complete = bool((located.files != MISSING).all())
    if view.shape is not None:
        size = view.row_bytes or 0
        begins = np.arange(count, dtype=np.int64) * size
        return Slots(view, located, begins, np.full(count, size, np.int64), count * size, None, complete)
    if view.whole:
        shapes = _tuples(located)
        sizes = located.lengths if located.frames is None else _sizes(shapes, located, view)
    else:
        shapes = [
            view.shape_of(stored) if file != MISSING else stored
            for stored, file in zip(_tuples(located), located.files.tolist(), strict=True)
        ]
        sizes = _sizes(shapes, located, view)
    aligned = (sizes + _ALIGNMENT - 1) // _ALIGNMENT * _ALIGNMENT
    begins = np.concatenate([[0], np.cumsum(aligned)]).astype(np.int64)
    return Slots(view, located, begins[:-1], sizes, int(begins[-1]), shapes, complete)


def _sizes(shapes: list[tuple[int, ...]], located: Located, view: TensorView) -> Integers:
    sizes = np.array([prod(shape) for shape in shapes], np.int64) * view.layout.bits // 8
    return np.where(located.files == MISSING, 0, sizes).astype(np.int64)


def _tuples(located: Located) -> list[tuple[int, ...]]:
    if not len(located.files):
        return []  # of an empty split no part knows shapes
    assert located.shapes is not None
    return [tuple(shape) for shape in located.shapes.tolist()]
