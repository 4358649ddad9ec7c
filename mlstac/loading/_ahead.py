"""Threads that make batches ahead of their use, and the one user who takes them.

Threads keep only what they need to make batches, never the object that the user holds: when that is dropped or closed,
they are told to stop and what they had begun is cancelled. They are daemons, so they keep no interpreter alive.
"""

import atexit
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

from mlstac.storage import LOOK_S


class End(NamedTuple):
    """The last thing that is handed over: nothing more, or the error that ended it."""

    error: BaseException | None


Made = list[Any] | End
"""What is handed over at once: some batches, or the end."""

Item = TypeVar("Item")


def receive(queue: "SimpleQueue[Item]") -> Item:
    """What comes next out of a queue, waited for in a way that Ctrl-C ends."""
    while True:
        try:
            return queue.get(timeout=LOOK_S)
        except Empty:
            continue


class Ahead(ABC):
    """Batches made in threads, at most ``prefetch`` of them (or chunks of small ones) ahead of their use.

    Parameters
    ----------
    *names : str
        Of the threads.
    prefetch : int
        At least 1.
    stop : callable
        Tells the threads to stop, and cancels what they wait for; holds nothing of this object.
    """

    def __init__(self, *names: str, prefetch: int, stop: Callable[[], None]) -> None:
        self._permits: SimpleQueue[None] = SimpleQueue()
        for _ in range(prefetch):
            self._permits.put(None)
        self._names = names
        self._stop = partial(_stop, stop, self._permits, len(names))
        self._items: deque[Any] = deque()
        self._ended = False
        self.stall_s = 0.0

    def _start(self, work: Callable[..., None], *of: Any) -> None:
        """Begin the threads, which do some work; each takes a permit before it makes anything."""
        for thread in list(_RUNNING):
            if not thread.is_alive():
                _RUNNING.pop(thread, None)
        for name in self._names:
            thread = threading.Thread(target=work, args=of, name=name, daemon=True)
            _RUNNING[thread] = self._stop
            thread.start()

    @abstractmethod
    def _receive(self) -> Made:
        """Wait for what comes next in the order."""

    def advance(self) -> bool:
        """Wait for the next batch; False after the last. Raises what making it raised."""
        if self._ended:
            return False
        if self._items:
            return True
        began = time.perf_counter()
        made = self._receive()
        self.stall_s += time.perf_counter() - began
        if isinstance(made, End):
            self._ended = True
            if made.error is not None:
                raise made.error
            return False
        self._items.extend(made)
        self._permits.put(None)
        return True

    def take(self) -> Any:
        """Hand out the batch that `advance` waited for, and keep nothing of it."""
        return self._items.popleft().wait()

    def stop(self) -> None:
        """Make no more batches; what was begun is cancelled."""
        self._ended = True
        self._items.clear()
        self._stop()

    def __del__(self) -> None:
        self.stop()


def _stop(stop: Callable[[], None], permits: "SimpleQueue[None]", threads: int) -> None:
    stop()
    for _ in range(threads):
        permits.put(None)


EXIT_S = 5.0
"""Longest wait at exit, for all threads together."""

_RUNNING: dict[threading.Thread, Callable[[], None]] = {}
"""Threads that may still run, and how to stop each. Their owners may be gone: a thread outlives its own a little."""


@atexit.register
def _stop_all() -> None:
    """Let no thread be in the middle of a framework's code when the interpreter goes: that aborts the process."""
    running = list(_RUNNING.items())
    for _, stop in running:
        stop()
    deadline = time.monotonic() + EXIT_S
    for thread, _ in running:
        if thread.is_alive():
            thread.join(max(0.0, deadline - time.monotonic()))
