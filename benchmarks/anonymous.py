"""Peak of a process's anonymous memory: what it allocated, without the pages of mapped files."""

import gc
import os
import threading
from types import TracebackType
from typing import Self

PAGE = os.sysconf("SC_PAGESIZE")
INTERVAL_S = 0.001


def anonymous_mb() -> float:
    """Anonymous resident memory of this process now, in MB."""
    with open("/proc/self/statm") as file:
        _, resident, shared, *_ = file.read().split()
    return (int(resident) - int(shared)) * PAGE / 1e6


class Peak:
    """Looks at the memory of this process every millisecond, from a thread, while a block runs.

    Attributes
    ----------
    mb : float
        Highest value above that at the block's begin.
    left_mb : float
        Value at the block's end, above that at its begin.
    """

    def __enter__(self) -> Self:
        gc.collect()
        self._before = self._highest = anonymous_mb()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        last = anonymous_mb()
        self._ended.set()
        self._thread.join()
        self.mb = max(self._highest, last) - self._before
        self.left_mb = last - self._before

    def _look(self) -> None:
        while not self._ended.wait(INTERVAL_S):
            self._highest = max(self._highest, anonymous_mb())
