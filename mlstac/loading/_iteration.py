"""One pass over batches: where its consumer is, and how it ends when another takes its place."""

import os
from collections.abc import Iterator
from typing import Any

from mlstac.errors import StateError
from mlstac.loading._careful import Careful
from mlstac.loading._stripes import Stripes


class Progress:
    """How far the consumer of one iteration is.

    Parameters
    ----------
    stripes : Stripes
        The steps of it.
    done : int
        Steps that the consumer has had.
    """

    def __init__(self, stripes: Stripes, done: int = 0) -> None:
        self.stripes = stripes
        self.done = done
        self.stall_s = 0.0
        self.displaced: str | None = None
        """What took the iteration's place, if anything did before its end."""


class Iteration:
    """Iterator over the batches of one pass; the run ends when it is dropped."""

    def __init__(self, run: Careful, progress: Progress) -> None:
        self._run = run
        self._progress = progress
        self._owner = os.getpid()
        self._finished = self._asked = False

    @property
    def untouched(self) -> bool:
        """Whether it is yet to be asked for its first batch, here."""
        return not (self._finished or self._asked) and os.getpid() == self._owner

    def begin_again(self, run: Careful, progress: Progress) -> None:
        """Give other batches than it was made for; before the first."""
        self._run.stop()
        self._run, self._progress = run, progress

    def stop(self) -> None:
        """Make no more batches."""
        self._run.stop()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._finished:
            raise StopIteration
        self._asked = True  # from now on the batch is of this run, whatever another thread says meanwhile
        run, progress = self._run, self._progress
        try:
            if os.getpid() != self._owner:
                raise StateError(
                    "these batches were begun in another process; begin the iteration in the process that uses it"
                )
            if run.advance():
                progress.stall_s = run.stall_s
                batch = run.take()
                progress.done += 1
                return batch
        except BaseException:
            self._finish()
            raise
        if progress.displaced is not None:
            raise StateError(
                f"this iteration ended because {progress.displaced}: batches have one position, "
                "so make a second object for a second iteration at the same time"
            )
        self._finish()
        raise StopIteration

    def _finish(self) -> None:
        self._finished = True
        self._progress.stall_s = self._run.stall_s
        self._run.stop()
