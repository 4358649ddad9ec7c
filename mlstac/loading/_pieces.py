"""Work in pieces, which the thread that waits for it and a second one take in turn.

The second thread stays for a moment after its work: a loader is back for the next batch within a millisecond, of which
the start of a thread would take a tenth. Where a process is forked, and when the program ends, none is left.
"""

import _thread
import atexit
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

STAY_S = 0.1
"""How long a second thread waits for more work. Who comes later does not feel the start of another."""


def in_pieces(count: int, work: Callable[[int, int], object], *, size: int) -> None:
    """Do some work in this thread and in another, which take its pieces in turn; return when all are done.

    Only where the work lets go of Python's lock, as numpy's copies do. An error of either is raised here.

    Parameters
    ----------
    count : int
        Rows.
    work : callable
        Does rows from the first to before the last.
    size : int
        Rows of a piece.
    """
    # no halves: the other thread may be a tenth of a millisecond late, of half a millisecond
    # they hold the work, and with it the memory of a batch; a thread that comes late finds none
    pieces = deque(partial(work, first, min(first + size, count)) for first in range(0, count, size))
    failed: list[BaseException] = []
    other_works = _thread.allocate_lock()

    def take() -> None:
        while True:
            try:
                piece = pieces.popleft()
            except IndexError:
                return
            piece()

    def help_out() -> None:
        with other_works:
            try:
                take()
            except BaseException as error:  # noqa: BLE001  (it is raised in the thread that asked)
                failed.append(error)
                pieces.clear()

    try:
        with suppress(RuntimeError):  # no more threads are to be had
            _begin(help_out)
        take()
        with other_works:  # one that has not begun by now finds nothing left
            pass
        if failed:
            raise failed[0]
    except BaseException:  # Ctrl-C too, wherever it comes: the other thread does what it has in hand, and no more
        pieces.clear()
        with other_works:
            pass
        raise
    finally:
        failed.clear()  # or an error would be held by its own traceback, with that memory


class _Second:
    """A thread that does what it is called for, and waits a moment for the next call."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work: Callable[[], None] | None = work
        self._called, self._gone = _thread.allocate_lock(), _thread.allocate_lock()
        self._called.acquire()
        self._gone.acquire()
        # not threading's, whose start waits until the thread runs
        _thread.start_new_thread(self._run, ())

    def call(self, work: Callable[[], None]) -> None:
        """Do this next; only of one that was taken from those that wait, and soon, or it may have ended."""
        self._work = work
        self._called.release()

    def end(self) -> None:
        """Return when the thread has ended; only of one that was taken from those that wait."""
        self._called.release()
        with self._gone:
            pass

    def _run(self) -> None:
        try:
            while self._work is not None:
                self._work()
                self._work = None  # and with it the last hold on the memory of a batch
                _WAITING.append(self)
                if not self._called.acquire(timeout=STAY_S):
                    with suppress(ValueError):
                        _WAITING.remove(self)
                        return
                    # it was taken at this very moment; no call comes if Ctrl-C did before it
                    if not self._called.acquire(timeout=STAY_S):
                        return
        finally:
            self._gone.release()


_WAITING: list[_Second] = []
"""Threads without work. One belongs to who takes it from here: `append`, `pop` and `remove` are one step each."""


def _begin(work: Callable[[], None]) -> None:
    try:
        second = _WAITING.pop()
    except IndexError:
        _Second(work)
    else:
        second.call(work)


def _end_waiting() -> None:
    with suppress(IndexError):
        while True:
            _WAITING.pop().end()


atexit.register(_end_waiting)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_end_waiting, after_in_child=_WAITING.clear)
