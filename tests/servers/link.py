"""A link of limited speed that all connections of a server share."""

import asyncio
from collections import deque
from collections.abc import Callable


class Link:
    """Hands over slices of bodies, first come first served, no faster than `bytes_per_s` together."""

    SLICE_BYTES = 65_536

    def __init__(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_at = 0.0
        self._queue: deque[tuple[float, memoryview, Callable[[memoryview], None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def send(self, body: memoryview, write: Callable[[memoryview], None]) -> None:
        now = asyncio.get_running_loop().time()
        for start in range(0, len(body), self.SLICE_BYTES):
            part = body[start : start + self.SLICE_BYTES]
            # a slice arrives when its last byte has passed
            self._free_at = max(self._free_at, now) + len(part) / self._bytes_per_s
            self._queue.append((self._free_at, part, write))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(self._queue[0][0], self._deliver)

    def _deliver(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._queue and self._queue[0][0] <= now:
            _, part, write = self._queue.popleft()
            write(part)
        self._timer = loop.call_at(self._queue[0][0], self._deliver) if self._queue else None
