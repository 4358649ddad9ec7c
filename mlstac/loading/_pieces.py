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


class Pieces:
    """Work in pieces, each of which is done by the thread that takes it."""

    def __init__(self) -> None:
        # they hold the work, and with it the memory of a batch; a thread that comes late finds none
        self._left: deque[Callable[[], object]] = deque()
        self._failed: list[BaseException] = []
        self._other_works = _thread.allocate_lock()

    def __len__(self) -> int:
        return len(self._left)

    def add(self, count: int, work: Callable[[int, int], object], *, size: int, head: int = 0) -> None:
        """Add the rows of some work.

        Parameters
        ----------
        count : int
            Rows.
        work : callable
            Does rows from the first to before the last.
        size : int
            Rows of a piece.
        head : int
            Rows of the first piece, if another number.
        """
        if head:
            self._left.append(partial(work, 0, head))
        for first in range(head, count, size):
            self._left.append(partial(work, first, min(first + size, count)))

    def clear(self) -> None:
        """Leave undone what nobody has taken."""
        self._left.clear()
        self._failed.clear()

    def help_out(self, while_true: Callable[[], bool] = lambda: True) -> None:
        """Do pieces that others wait for, or will; an error is theirs."""
        with self._other_works:
            try:
                self._take(while_true)
            except BaseException as error:  # noqa: BLE001  (it is raised in the thread that asks)
                self._failed.append(error)
                self._left.clear()

    def finish(self, then: "Meanwhile | None" = None) -> None:
        """Do the pieces in this thread and in another, and return when all are done. An error of either is raised.

        Parameters
        ----------
        then : callable, optional
            What the other thread may do after that.
        """
        try:
            with suppress(RuntimeError):  # no more threads are to be had
                begin(partial(_help_out, self, then))
            self._take()
            with self._other_works:  # one that has not begun by now finds nothing left
                pass
            if self._failed:
                raise self._failed[0]
        except BaseException:  # Ctrl-C too, wherever it comes: the other thread does what it has in hand, and no more
            self._left.clear()
            with self._other_works:
                pass
            raise
        finally:
            self._failed.clear()  # or an error would be held by its own traceback, with that memory

    def _take(self, while_true: Callable[[], bool] = lambda: True) -> None:
        while while_true():
            try:
                piece = self._left.popleft()
            except IndexError:
                return
            piece()


def _help_out(pieces: Pieces, then: "Meanwhile | None") -> "Meanwhile | None":
    pieces.help_out()
    return then


def in_pieces(count: int, work: Callable[[int, int], object], *, size: int) -> None:
    """Do some work in this thread and in another, which take its pieces in turn; return when all are done.

    Only where the work lets go of Python's lock, as numpy's copies do. An error of either is raised here. Arguments are
    those of `Pieces.add`.
    """
    # no halves: the other thread may be a tenth of a millisecond late, of half a millisecond
    pieces = Pieces()
    pieces.add(count, work, size=size)
    pieces.finish()


Meanwhile = Callable[[Callable[[], bool]], object]
"""Does something while a function says so. It is kept until the thread that does it is called, or ends."""

Work = Callable[[], Meanwhile | None]
"""What a second thread is called for. It gives what the thread may do while it waits for the next call."""


class _Second:
    """A thread that does what it is called for, and waits a moment for the next call."""

    def __init__(self, work: Work) -> None:
        self._work: Work | None = work
        self._called, self._gone = _thread.allocate_lock(), _thread.allocate_lock()
        self._called.acquire()
        self._gone.acquire()
        # not threading's, whose start waits until the thread runs
        _thread.start_new_thread(self._run, ())

    def call(self, work: Work) -> None:
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
                meanwhile = self._work()
                self._work = None  # and with it the last hold on the memory of a batch
                _WAITING.append(self)
                if meanwhile is not None:
                    meanwhile(self._called.locked)
                if not self._called.acquire(timeout=STAY_S):
                    with suppress(ValueError):
                        _WAITING.remove(self)
                        return
                    # it was taken at this very moment; no call comes if Ctrl-C did before it
                    if not self._called.acquire(timeout=STAY_S):
                        return
                meanwhile = None
        finally:
            self._gone.release()


_WAITING: list[_Second] = []
"""Threads without work. One belongs to who takes it from here: `append`, `pop` and `remove` are one step each."""


def begin(work: Work) -> None:
    """Do some work in a thread that waits for it, or in a new one; `RuntimeError` if none is to be had."""
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
