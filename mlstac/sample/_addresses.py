"""Where the samples' bytes lie in their shard, one array a property."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlstac.sample._checksum import checksum, checksum_blocks, checksum_rows
from mlstac.sample._columns import Bytes, Column, slice_samples

__all__ = ["Addresses", "address_samples", "address_stacked"]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses of one tensor of the ``n`` samples of a shard.

    Where a sample lacks the tensor its numbers are 0 and mean nothing.
    """

    offset: NDArray[np.int64]
    """First byte in the file, shape (n,); in a compressed file, of the frame that holds it."""
    length: NDArray[np.int64]
    """Stored bytes, shape (n,); in a compressed file, of the whole frame."""
    checksum: NDArray[np.uint32]
    """Low half of xxh3-64 of the stored bytes, or of the block that the row belongs to, shape (n,)."""
    present: NDArray[np.bool_] | None = None
    """Whether each sample has the tensor, shape (n,); None where all have."""
    shapes: Sequence[tuple[int, ...]] | None = None
    """Shape of each sample that *has* the tensor; None where all have the shape that the collection names."""
    frame_offset: NDArray[np.int64] | None = None
    """First byte in what the frame at ``offset`` decompresses to, shape (n,); None where 0 for all."""


def address_stacked(column: Column, *, starts: NDArray[np.int64], rows: NDArray[np.int64], n: int) -> Addresses:
    """Addresses of a stacked tensor; rows under 4 KiB share a checksum a block."""
    row_bytes = int(column.lengths[0]) if len(column.lengths) else 0
    share = checksum_rows(row_bytes)
    if share == 1:
        return address_samples(column, starts=starts, rows=rows, n=n, shapes=None)
    sums = np.repeat(_block_sums(column.chunks, row_bytes=row_bytes), share)[: len(rows)]
    return _spread(column, starts=starts, sums=sums, rows=rows, n=n, shapes=None)


def address_samples(
    column: Column,
    *,
    starts: NDArray[np.int64],
    rows: NDArray[np.int64],
    n: int,
    shapes: Sequence[tuple[int, ...]] | None,
) -> Addresses:
    """Addresses with a checksum of each sample's own bytes."""
    if column.digests is not None:
        sums = (column.digests & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    else:
        found = (checksum(data.data) for data in slice_samples(column))
        sums = np.fromiter(found, np.uint32, count=len(rows))
    return _spread(column, starts=starts, sums=sums, rows=rows, n=n, shapes=shapes)


def _spread(
    column: Column,
    *,
    starts: NDArray[np.int64],
    sums: NDArray[np.uint32],
    rows: NDArray[np.int64],
    n: int,
    shapes: Sequence[tuple[int, ...]] | None,
) -> Addresses:
    """Give each of the n samples its numbers, and zeros to those that lack the tensor."""
    if len(rows) == n:
        return Addresses(starts, column.lengths, sums, None, shapes)
    offset, length, checksum = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.uint32)
    offset[rows], length[rows], checksum[rows] = starts, column.lengths, sums
    return Addresses(offset, length, checksum, column.present, shapes)


def _block_sums(chunks: Sequence[Bytes], *, row_bytes: int) -> NDArray[np.uint32]:
    """Checksums of all blocks, though a chunk may end inside a block."""
    block_bytes = checksum_rows(row_bytes) * row_bytes
    sums: list[NDArray[np.uint32]] = []
    carried = np.empty(0, np.uint8)
    for chunk in chunks:
        at = 0
        if len(carried):
            at = min(block_bytes - len(carried), len(chunk))
            carried = np.concatenate([carried, chunk[:at]])
            if len(carried) < block_bytes:
                continue
            sums.append(checksum_blocks(carried, row_bytes=row_bytes))
        whole = at + (len(chunk) - at) // block_bytes * block_bytes
        sums.append(checksum_blocks(chunk[at:whole], row_bytes=row_bytes))
        carried = chunk[whole:]
    if len(carried):
        sums.append(checksum_blocks(carried, row_bytes=row_bytes))
    return np.concatenate(sums) if sums else np.empty(0, np.uint32)
