"""Buffers that are used again: the first touch of fresh memory costs more than the copy into it."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

_HUGE_PAGE = 2 * 2**20


class Pool:
    """Buffers by size, given back by one thread and taken by another.

    Parameters
    ----------
    most_bytes : int
        What is kept at most; beyond it buffers go back to the system.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept_bytes = 0
        self._free: defaultdict[int, list[NDArray[np.uint8]]] = defaultdict(list)

    def take(self, nbytes: int) -> NDArray[np.uint8]:
        """A buffer of this size, of any content."""
        try:
            buffer = self._free[nbytes].pop()  # one step for Python's lock: no other thread gets the same
        except IndexError:
            self._shrink(nbytes)
            return _fresh(nbytes)
        self._kept_bytes -= nbytes
        return buffer

    def _shrink(self, nbytes: int) -> None:
        """Let go of buffers of other sizes, so that what is kept and what is in use stay within the bound together."""
        for size in list(self._free):
            while self._free[size] and nbytes > 0:
                self._free[size].pop()
                self._kept_bytes -= size
                nbytes -= size

    def give(self, buffer: NDArray[np.uint8]) -> None:
        """Give a buffer back; nobody may look at it any more."""
        if self._kept_bytes + len(buffer) <= self._most_bytes:
            self._kept_bytes += len(buffer)
            self._free[len(buffer)].append(buffer)


def _fresh(nbytes: int) -> NDArray[np.uint8]:
    """New memory, which begins on a huge page where it is large.

    What lies before the first whole huge page is taken 4 KiB at a time: a quarter of a buffer of 8 MiB, in 500 faults.
    The room left at the two ends is never touched, and so never taken.
    """
    if nbytes < _HUGE_PAGE:
        return np.empty(nbytes, np.uint8)
    room = np.empty(nbytes + _HUGE_PAGE, np.uint8)
    start = -room.ctypes.data % _HUGE_PAGE
    return room[start : start + nbytes]
