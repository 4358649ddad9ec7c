"""The next batch of a loader that goes through samples in order, begun while its caller is busy with the last one.

Who asked for samples 0 to 63 and then for 64 to 127 is likely to ask for 128 to 191. The thread that helped with the
last batch begins to copy them, and whoever asks for them copies what is left with it. What is foreseen belongs to that
thread alone, which ends in a moment if nothing more is asked for, and where a process is forked: the memory goes with
it.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Protocol
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from mlstac.loading import _pieces
from mlstac.loading._addresses import MISSING
from mlstac.loading._copying import Share
from mlstac.loading._pieces import Meanwhile, Pieces
from mlstac.loading._selection import rows_of
from mlstac.loading._slots import Slots

Integers = NDArray[np.int64]

LONG = 4
"""Pieces that are one at the head of a batch: while the caller runs Python, a thread waits for its lock after each."""

MOST_BYTES = 256 * 1024 * 1024
"""Of a batch that is begun before it is asked for."""


VAIN = 3
"""Batches that were begun in vain one after another, from which on few are begun: as where two loaders take turns."""

PAUSE = 30
"""Batches that are then not begun, before another is."""


class Source(Protocol):
    """What batches are read from."""

    def __len__(self) -> int:
        """Number of samples."""

    def foresees(self, count: int) -> bool:
        """Whether so many samples are worth beginning with before they are asked for."""

    def read(self, samples: Integers) -> list[Slots]:
        """Read samples."""

    def locate(self, samples: Integers) -> list[Slots]:
        """Find the bytes of samples, without memory yet."""

    def fill(self, batch: list[Slots], samples: Integers, *, share: Share = ...) -> None:
        """Read samples that were located; large copies are handed out to be made in pieces."""

    def check_unchanged(self, files: Iterable[int]) -> None:
        """Raise if shards changed since they were opened."""


class Foreseen:
    """A batch that may be asked for: its memory, and the copies that fill it.

    Parameters
    ----------
    samples : numpy.ndarray, shape (batch,), int64
    batch : list of Slots
        Where they are.
    source : Source
    """

    def __init__(self, samples: Integers, batch: list[Slots], source: Source) -> None:
        self.samples = samples
        self.process = os.getpid()
        self._batch = batch
        self._files = {file for slots in batch for file in slots.located.files.tolist()} - {MISSING}
        self._pieces = Pieces()
        source.fill(batch, samples, share=self._share)

    def help_out(self, while_true: Callable[[], bool]) -> None:
        """Copy, while a function says so."""
        self._pieces.help_out(while_true)

    def take(self, source: Source, then: "Foreseen | None") -> list[Slots] | None:
        """Copy what is left, and hand the batch over, once; None if that fails.

        Parameters
        ----------
        source : Source
        then : Foreseen, optional
            What the other thread may go on with.
        """
        try:
            source.check_unchanged(self._files)  # as of any batch when it is asked for
            self._pieces.finish(None if then is None else then.help_out)
        except Exception:  # noqa: BLE001  (who reads them again is told)
            self.drop()
            return None
        batch, self._batch = self._batch, []
        return batch

    def drop(self) -> None:
        """Leave undone what is not in hand, and hold no memory."""
        self._pieces.clear()
        self._batch = []

    def _share(self, count: int, work: Callable[[int, int], object], *, size: int) -> None:
        self._pieces.add(count, work, size=size, head=0 if self._pieces else min(LONG * size, count // 2))


class Foresight:
    """Reads batches, and begins with the one that comes next if the last two tell which that is.

    Several threads may use it: what was foreseen is taken once, and who finds none reads.
    """

    def __init__(self) -> None:
        self._last: range | None = None
        self._returned = 0.0
        self._foreseen: deque[tuple[range, ref[Foreseen]]] = deque()
        self._pays = True
        self._in_vain = self._pause = 0

    def read(self, rows: list[int], source: Source) -> tuple[Integers, list[Slots]]:
        """Samples as an array, and their batch.

        Parameters
        ----------
        rows : list of int
            As `rows_of` takes it.
        source : Source
            The same at every call.
        """
        run = as_run(rows)
        found = self._claim(run)
        coming = self._coming(run, len(source))
        batch = None
        if found is not None:
            self._in_vain = self._pause = 0
            samples = found.samples
            # laid out now, while the other thread copies and has no use for Python's lock; it goes on without a word
            batch = found.take(source, self._foresee(coming, source))
        if batch is None:
            samples = rows_of(rows, len(source))
            batch = source.read(samples)
            next_one = self._foresee(coming, source)
            if next_one is not None:
                with suppress(RuntimeError):  # no more threads are to be had
                    _pieces.begin(partial(_while_waiting, next_one))
        self._returned = time.monotonic()
        return samples, batch

    def _claim(self, run: range | None) -> Foreseen | None:
        """What was foreseen if it is this, for the caller alone; else it is dropped."""
        if not self._foreseen:
            return None
        try:
            expected, kept = self._foreseen.pop()
        except IndexError:  # another thread took it
            return None
        found = kept()
        if found is None:
            return None
        if expected == run and found.process == os.getpid():
            return found
        found.drop()
        return None

    def _coming(self, run: range | None, count: int) -> range | None:
        """What will be asked for if it goes on as it went on from the last call to this."""
        last, self._last = self._last, run
        if run is None or last is None or run.start != last.stop or run.step != last.step or len(run) != len(last):
            return None
        # a thread that has nothing to do, and all that is foreseen, is gone by the time that such a caller comes back
        if not self._pays or run.stop >= count or time.monotonic() - self._returned > _pieces.STAY_S:
            return None
        if self._pause:
            self._pause -= 1
            return None
        return range(run.stop, min(run.stop + len(run) * run.step, count), run.step)

    def _foresee(self, run: range | None, source: Source) -> Foreseen | None:
        if run is None or not source.foresees(len(run)):
            return None
        samples = np.arange(run.start, run.stop, run.step, dtype=np.int64)
        try:
            batch = source.locate(samples)
            if any(slots.located.frames is not None for slots in batch):  # compressed: there is no copy to begin with
                self._pays = False
                return None
            foreseen = Foreseen(samples, batch, source)
        except Exception:  # noqa: BLE001  (it is told to whoever asks for these samples)
            return None
        self._claim(None)  # another thread's
        self._foreseen.append((run, ref(foreseen)))
        self._in_vain += 1  # until it is asked for
        if self._in_vain >= VAIN:
            self._pause = PAUSE
        return foreseen


def _while_waiting(foreseen: Foreseen) -> Meanwhile:
    return foreseen.help_out


def as_run(rows: list[int]) -> range | None:
    """Samples that follow each other at one step, as a range; None if they do not. Soon said of shuffled ones."""
    if not rows or type(rows[0]) is not int or type(rows[-1]) is not int:
        return None
    first, last, count = rows[0], rows[-1], len(rows)
    step = (last - first) // (count - 1) if count > 1 else 1
    if first < 0 or step < 1 or last != first + step * (count - 1) or rows[1:2] not in ([], [first + step]):
        return None
    run = range(first, last + step, step)
    # True and 1.0 equal 1, and mean something else
    return run if list(run) == rows and set(map(type, rows)) == {int} else None
