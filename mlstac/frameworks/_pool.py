"""Memory of batches that are gone, kept for the batches to come."""

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGE = 1 << 20
"""Bytes from which memory is kept. What is smaller, the allocator of C recycles by itself."""

KEPT_BYTES = 256 << 20
"""Bytes kept at most, in this process."""

_ALIGNMENT = 64

Bytes = NDArray[np.uint8]


class Pool:
    """Blocks of memory that come back when the last array or tensor over them is gone.

    A batch's memory, given back to the system and asked for again, is handed out page by page, each cleared first: for
    batches of a few megabytes that takes longer than filling them. What came back last is lent first, while the
    processor's caches still have it. There is no lock, which a fork could leave held: what is done here to a deque or a
    dict in one call is safe between threads.

    Parameters
    ----------
    kept_bytes : int
        Bound of what waits here; what is in use is not counted.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._waiting: dict[int, deque[Bytes]] = {}  # by size

    def lend(self, nbytes: int) -> Bytes:
        """Aligned bytes, uninitialised, until nothing refers to them."""
        size = _rounded(nbytes)
        try:
            block = self._waiting[size].pop()
        except (KeyError, IndexError):
            whole = np.empty(size + _ALIGNMENT, np.uint8)
            start = -whole.ctypes.data % _ALIGNMENT
            block = whole[start : start + size]
        return np.asarray(_Lease(block, self))[:nbytes]

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait to be lent."""
        return sum(size * len(blocks) for size, blocks in self._waiting.copy().items())

    def take_back(self, block: Bytes) -> None:
        """Keep a block for later; others make room for it, of other sizes first."""
        if block.nbytes > self._kept_bytes:
            return
        mine = self._waiting.setdefault(block.nbytes, deque())
        for blocks in (*(others for others in self._waiting.copy().values() if others is not mine), mine):
            while blocks and self.waiting_bytes + block.nbytes > self._kept_bytes:
                try:
                    blocks.popleft()
                except IndexError:  # another thread took it
                    break
        mine.append(block)


def _rounded(nbytes: int) -> int:
    """A size that batches of nearly the same length share: up to an eighth larger."""
    step = 1 << max(nbytes.bit_length() - 4, 0)
    return -(-nbytes // step) * step


class _Lease:
    """What arrays over a block refer to in the end; when it goes, nobody can see the block any more."""

    def __init__(self, block: Bytes, pool: Pool) -> None:
        self._block = block
        self._pool = pool

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self._block.__array_interface__

    def __del__(self) -> None:
        self._pool.take_back(self._block)
