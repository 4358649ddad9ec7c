"""The bytes of one tensor over the samples of a shard, as few buffers as they come in."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import InvalidArgumentError
from mlstac.sample._dtypes import count_bytes

__all__ = ["Column", "Encoded", "PackedSample", "collect_columns", "join_small", "slice_samples"]

Bytes = NDArray[np.uint8]
Encoded = tuple[str, tuple[int, ...], Bytes]
"""A tensor on its way: dtype, shape, and its bytes, C order and little-endian, as a 1-D uint8 array."""

JOIN_BELOW_BYTES = 64 * 1024
JOINED_BYTES = 4 * 2**20


class PackedSample(NamedTuple):
    """One sample whose tensors are bytes."""

    id: str
    tensors: Mapping[str, Encoded]


@dataclass(frozen=True, slots=True)
class Column:
    """One tensor of the ``n`` samples of a shard, of which ``m`` have it.

    A chunk holds any number of whole samples, one after another, so that a writer may hand over the blocks that it
    filled, or one array a sample.
    """

    dtype: str
    chunks: Sequence[Bytes]
    """1-D uint8 arrays, in the order of the samples."""
    lengths: NDArray[np.int64]
    """Bytes of each sample that has the tensor, shape (m,)."""
    shapes: Sequence[tuple[int, ...]]
    """Shape of each sample that has it; m of them."""
    present: NDArray[np.bool_] | None = None
    """Whether each sample has it, shape (n,); None where all have."""
    digests: NDArray[np.uint64] | None = None
    """xxh3-64 of each sample's bytes, shape (m,), where the caller has taken it already."""

    def rows(self) -> NDArray[np.int64]:
        """Positions in the shard of the samples that have the tensor, shape (m,)."""
        if self.present is None:
            return np.arange(len(self.lengths), dtype=np.int64)
        return np.flatnonzero(self.present).astype(np.int64)

    def common_shape(self) -> tuple[int, ...] | None:
        """The shape of all samples, or None where they differ."""
        shapes = set(self.shapes)
        return shapes.pop() if len(shapes) == 1 else None

    def check(self, name: str, n: int) -> None:
        """Raise InvalidArgumentError where the parts do not fit together."""
        m = n if self.present is None else int(np.count_nonzero(self.present))
        counts = {"lengths": len(self.lengths), "shapes": len(self.shapes)}
        if self.digests is not None:
            counts["digests"] = len(self.digests)
        for what, count in counts.items():
            if count != m:
                raise InvalidArgumentError(f"tensor {name!r}: {count} {what} for {m} samples that have it")
        if self.present is not None and len(self.present) != n:
            raise InvalidArgumentError(f"tensor {name!r}: `present` speaks of {len(self.present)} samples of {n}")
        sizes = {shape: count_bytes(self.dtype, shape) for shape in set(self.shapes)}
        wanted = np.fromiter((sizes[shape] for shape in self.shapes), dtype=np.int64, count=m)
        if not np.array_equal(wanted, self.lengths):
            row = int(np.flatnonzero(wanted != self.lengths)[0])
            raise InvalidArgumentError(
                f"tensor {name!r}: {self.dtype} of shape {self.shapes[row]} takes {wanted[row]} bytes, "
                f"but the {row}th sample has {self.lengths[row]}"
            )
        ends = np.cumsum([len(chunk) for chunk in self.chunks], dtype=np.int64)
        if len(ends) and not np.isin(ends, np.cumsum(self.lengths)).all():
            raise InvalidArgumentError(f"tensor {name!r}: its chunks do not end where samples end")
        if (int(ends[-1]) if len(ends) else 0) != int(self.lengths.sum()):
            raise InvalidArgumentError(f"tensor {name!r}: its chunks have not as many bytes as its samples")


def collect_columns(samples: Sequence[PackedSample]) -> dict[str, Column]:
    """Turn samples into one column a tensor, without copying their bytes."""
    names = dict.fromkeys(name for sample in samples for name in sample.tensors)
    columns = {}
    for name in names:
        present = np.array([name in sample.tensors for sample in samples], dtype=np.bool_)
        encoded = [sample.tensors[name] for sample in samples if name in sample.tensors]
        dtypes = {dtype for dtype, _, _ in encoded}
        if len(dtypes) > 1:
            raise InvalidArgumentError(f"tensor {name!r} has the dtypes {', '.join(sorted(dtypes))}; give it one")
        columns[name] = Column(
            dtype=dtypes.pop(),
            chunks=[data for _, _, data in encoded],
            lengths=np.array([len(data) for _, _, data in encoded], dtype=np.int64),
            shapes=[shape for _, shape, _ in encoded],
            present=None if present.all() else present,
        )
    return columns


def slice_samples(column: Column) -> Iterator[Bytes]:
    """Yield the bytes of each sample that has the tensor, as views of the chunks."""
    chunks = iter(column.chunks)
    chunk: NDArray[Any] = np.empty(0, np.uint8)
    at = 0
    for length in column.lengths.tolist():
        while at + length > len(chunk):
            chunk, at = next(chunks), 0
        yield chunk[at : at + length]
        at += length


def join_small(buffers: Iterable[Bytes]) -> list[Bytes]:
    """Join neighbours that are too small to be worth a call of `write` each; large ones are passed on as they are."""
    joined: list[Bytes] = []
    small: list[Bytes] = []
    size = 0
    for buffer in buffers:
        if len(buffer) < JOIN_BELOW_BYTES:
            small.append(buffer)
            size += len(buffer)
            if size < JOINED_BYTES:
                continue
            joined.append(np.concatenate(small))
        else:
            if size:
                joined.append(np.concatenate(small) if len(small) > 1 else small[0])
            joined.append(buffer)
        small, size = [], 0
    if size:
        joined.append(np.concatenate(small) if len(small) > 1 else small[0])
    return joined
