"""Checksums of stored bytes: the low half of xxh3-64, for one sample or for a block of small ones."""

from typing import Any

import numpy as np
import xxhash

__all__ = ["BLOCK_BYTES", "checksum", "checksum_blocks", "checksum_rows"]

BLOCK_BYTES = 4096
"""Stacked rows shorter than this share one checksum a block: 4 bytes a row would weigh more than they guard."""


def checksum(data: Any) -> int:
    """Low 32 bits of the xxh3-64 (seed 0) of some bytes.

    Parameters
    ----------
    data : bytes-like
        The stored bytes, contiguous.

    Returns
    -------
    int
        In [0, 2**32).

    References
    ----------
    xxHash fast digest algorithm, "XXH3 64-bit"; https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
    """
    return xxhash.xxh3_64_intdigest(data) & 0xFFFFFFFF


def checksum_rows(row_bytes: int) -> int:
    """How many consecutive stacked rows share one checksum: ``max(1, 4096 // row_bytes)``."""
    return max(1, BLOCK_BYTES // row_bytes) if row_bytes else 1


def checksum_blocks(
    data: np.ndarray[Any, np.dtype[np.uint8]], *, row_bytes: int
) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """Checksums of the blocks of a stacked tensor, one a block of :func:`checksum_rows` rows.

    Parameters
    ----------
    data : numpy.ndarray, shape (n * row_bytes,), uint8
        Rows one after another, the first of them the first row of a block.
    row_bytes : int
        Bytes a row; more than 0.

    Returns
    -------
    numpy.ndarray, shape (ceil(n / checksum_rows(row_bytes)),), uint32
        The last block may be shorter than the others.
    """
    step = checksum_rows(row_bytes) * row_bytes
    view, digest = data.data, xxhash.xxh3_64_intdigest
    sums = [digest(view[at : at + step]) & 0xFFFFFFFF for at in range(0, len(view), step)]
    return np.array(sums, dtype=np.uint32)
