"""What is read of one tensor: all of it, some bands, a window; as pieces of a sample's bytes."""

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import InvalidArgumentError
from mlstac.loading._layout import TensorLayout

Picked = tuple[int, int] | tuple[int, ...]


class Pieces(NamedTuple):
    """Runs of bytes of a sample, all of one length, in the order in which they make the result."""

    starts: NDArray[np.int64]
    """Relative to the sample's first byte."""
    length: int


@dataclass(frozen=True)
class TensorView:
    """A tensor, and per axis what is taken of it."""

    layout: TensorLayout
    spans: tuple[tuple[int, int, int], ...] = ()
    """(axis, start, stop): a window along an axis."""
    picks: tuple[int, tuple[int, ...]] | None = None
    """(axis, positions): some bands, in the order asked for."""

    @property
    def name(self) -> str:
        """The tensor's name."""
        return self.layout.name

    @cached_property
    def whole(self) -> bool:
        """Whether all bytes of a sample are taken, in their order."""
        return not self.spans and self.picks is None

    @cached_property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of what is taken of one sample, if every sample has the same."""
        sizes: list[int | None] = list(self.layout.shape)
        for axis, start, stop in self.spans:
            sizes[axis] = stop - start
        if self.picks is not None:
            sizes[self.picks[0]] = len(self.picks[1])
        known = tuple(size for size in sizes if size is not None)
        return known if len(known) == len(sizes) and self.layout.fixed is not None else None

    @cached_property
    def row_bytes(self) -> int | None:
        """Bytes of what is taken of one sample, if every sample has the same."""
        return None if self.shape is None else prod(self.shape) * self.layout.bits // 8

    def shape_of(self, stored: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of what is taken of a sample of that stored shape.

        Raises
        ------
        InvalidArgumentError
            If the window does not fit the sample.
        """
        sizes = list(stored)
        for axis, start, stop in self.spans:
            if stop > sizes[axis]:
                raise InvalidArgumentError(
                    f"window {start}:{stop} of tensor {self.name!r} does not fit a sample of shape {list(stored)}"
                )
            sizes[axis] = stop - start
        if self.picks is not None:
            sizes[self.picks[0]] = len(self.picks[1])
        return tuple(sizes)

    def pieces(self, stored: tuple[int, ...]) -> Pieces:
        """Which bytes of a sample of that stored shape are taken."""
        self.shape_of(stored)
        if self.whole:
            return Pieces(np.zeros(1, np.int64), prod(stored) * self.layout.bits // 8)
        strides = np.cumprod([self.layout.bits // 8, *stored[:0:-1]], dtype=np.int64)[::-1]
        chosen = {axis: np.arange(start, stop) for axis, start, stop in self.spans}
        if self.picks is not None:
            chosen[self.picks[0]] = np.asarray(self.picks[1], np.int64)
        inner = max(chosen)
        starts = np.zeros(1, np.int64)
        for axis in range(inner):
            positions = chosen.get(axis, np.arange(stored[axis]))
            starts = (starts[:, None] + positions * strides[axis]).reshape(-1)
        last = chosen[inner]
        if last.size and (np.diff(last) == 1).all():  # neighbours: one run of bytes
            return Pieces(starts + last[0] * strides[inner], int(last.size * strides[inner]))
        starts = (starts[:, None] + last * strides[inner]).reshape(-1)
        return Pieces(starts, int(strides[inner]))

    def pick(self, axis: int, positions: tuple[int, ...]) -> "TensorView":
        """Some positions of the view's own axis, in the order given."""
        self._refuse_packed()
        if self.picks is not None:
            positions = tuple(self.picks[1][position] for position in positions)
        if positions == tuple(range(self.layout.shape[axis] or -1)):
            return replace(self, picks=None)
        return replace(self, picks=(axis, positions))

    def cut(self, axis: int, start: int, stop: int) -> "TensorView":
        """A window along one of the view's own axes."""
        self._refuse_packed()
        spans = {known: (first, end) for known, first, end in self.spans}
        first, _ = spans.get(axis, (0, 0))
        spans[axis] = (first + start, first + stop)
        if spans[axis] == (0, self.layout.shape[axis]):
            del spans[axis]
        return replace(self, spans=tuple((known, *span) for known, span in sorted(spans.items())))

    def _refuse_packed(self) -> None:
        if self.layout.bits % 8:
            raise InvalidArgumentError(
                f"tensor {self.name!r} has dtype {self.layout.dtype}, of {self.layout.bits} bits an element: "
                "bands and windows of it begin inside a byte; read it whole"
            )
        if self.layout.media_type is not None:
            raise InvalidArgumentError(
                f"tensor {self.name!r} holds encoded bytes ({self.layout.media_type}), which have no bands or windows"
            )


def merge_pieces(pieces: Pieces, *, gap_bytes: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Reads that cover all pieces, with at most that gap between two pieces of a read.

    Returns
    -------
    starts, stops : numpy.ndarray, shape (read,), int64
    owners : numpy.ndarray, shape (piece,), int64
        Which read has which piece.
    """
    order = np.argsort(pieces.starts, kind="stable")
    sorted_starts = pieces.starts[order]
    gaps = sorted_starts[1:] - (sorted_starts[:-1] + pieces.length)
    opens = np.concatenate([[True], gaps > gap_bytes]) if sorted_starts.size else np.zeros(0, bool)
    first = np.flatnonzero(opens)
    last = np.append(first[1:], len(sorted_starts)) - 1
    owners = np.empty(len(order), np.int64)
    owners[order] = np.cumsum(opens) - 1
    return sorted_starts[first], sorted_starts[last] + pieces.length, owners
