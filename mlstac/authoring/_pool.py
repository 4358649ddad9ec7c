"""Buffers that are used again: the first touch of fresh memory costs more than the copy into it."""

import threading
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

_HUGE_PAGE = 2 * 2**20


class Pool:
    """Buffers by size, given back by some threads and taken by another.

    Parameters
    ----------
    most_bytes : int
        What is lent and kept at most, as long as it can be helped: who asks for more waits while buffers are on their
        way back, and gets more where none is.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lent_bytes = 0
        self._kept_bytes = 0
        self._coming = 0
        """Buffers that will be given back without the taker's doing."""
        self._free: defaultdict[int, list[Bytes]] = defaultdict(list)
        self._changed = threading.Condition()

    def take(self, nbytes: int) -> Bytes:
        """A buffer of this size, of any content."""
        with self._changed:
            while not self._free[nbytes] and self._coming and self._lent_bytes + nbytes > self._most_bytes:
                self._changed.wait()
            self._lent_bytes += nbytes
            if self._free[nbytes]:
                self._kept_bytes -= nbytes
                return self._free[nbytes].pop()
            self._shrink()
        return _fresh(nbytes)

    def expect(self, n_buffers: int) -> None:
        """Say that so many lent buffers will be given back whatever happens."""
        with self._changed:
            self._coming += n_buffers

    def give(self, buffer: Bytes) -> None:
        """Give an expected buffer back; nobody may look at it any more."""
        with self._changed:
            self._coming -= 1
            self._lent_bytes -= len(buffer)
            if self._lent_bytes + self._kept_bytes + len(buffer) <= self._most_bytes:
                self._kept_bytes += len(buffer)
                self._free[len(buffer)].append(buffer)
            self._changed.notify_all()

    def close(self) -> None:
        """Keep no buffers from now on."""
        with self._changed:
            self._most_bytes = 0
            self._shrink()

    def _shrink(self) -> None:
        """Let go of kept buffers that are of other sizes than those in demand."""
        for size in list(self._free):
            while self._free[size] and self._lent_bytes + self._kept_bytes > self._most_bytes:
                self._free[size].pop()
                self._kept_bytes -= size


class Loan:
    """Buffers of one shard, each of which goes back when nothing needs its bytes any more.

    Parameters
    ----------
    pool : Pool
    buffers : dict of Bytes to int
        Each buffer, and how many of its bytes will be reported as used, over all uses.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._left: dict[int, int] = {}
        self._buffers: dict[int, Bytes] = {}

    def add(self, buffer: Bytes, uses: int) -> None:
        """Add a buffer; it goes back after so many bytes of it were used."""
        self._buffers[_owner(buffer)] = buffer
        self._left[_owner(buffer)] = uses

    def begin(self) -> None:
        """All buffers are added, and are on their way back."""
        self._pool.expect(len(self._buffers))

    def used(self, part: Bytes) -> None:
        """Some bytes of a buffer were used once; bytes that are of none were copied, and do not count."""
        key = _owner(part)
        with self._lock:
            if key not in self._left:
                return
            self._left[key] -= len(part)
            done = self._buffers.pop(key) if self._left[key] == 0 and key in self._buffers else None
        if done is not None:
            self._pool.give(done)

    def end(self) -> None:
        """Give back what is left: nothing is used any more."""
        with self._lock:
            rest = list(self._buffers.values())
            self._buffers.clear()
        for buffer in rest:
            self._pool.give(buffer)


def _owner(part: Bytes) -> int:
    """What tells that two arrays lie in one buffer: numpy's views name the array that owns the memory."""
    return id(part if part.base is None else part.base)


def _fresh(nbytes: int) -> Bytes:
    """New memory, which begins on a huge page where it is large.

    What lies before the first whole huge page is taken 4 KiB at a time: a quarter of a buffer of 8 MiB, in 500 faults.
    The room left at the two ends is never touched, and so never taken.
    """
    if nbytes < _HUGE_PAGE:
        return np.empty(nbytes, np.uint8)
    room = np.empty(nbytes + _HUGE_PAGE, np.uint8)
    start = -room.ctypes.data % _HUGE_PAGE
    return room[start : start + nbytes]
