"""What a Hub lets this process ask for: one count a host, whatever the number of datasets that are open."""

import logging
import os
import re
import threading
from collections.abc import Mapping

from mlstac.storage._retry import Clock, TransientError, parse_retry_after

_LEFT = re.compile(r"\br(?:emaining)?=(\d{1,18})\b")
_RESET = re.compile(r"\b(?:t|reset)=(\d{1,18})\b")
_LONGEST_WAIT_S = 900.0
_LOG = logging.getLogger("mlstac")


class Budget:
    """Requests left in the window of time that a host counts in; known once it has answered.

    Loops of several threads share one.

    References
    ----------
    "RateLimit header fields for HTTP", draft-ietf-httpapi-ratelimit-headers: ``RateLimit: "resolvers";r=4999;t=300``.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: int | None = None
        self._ends = 0.0
        self._told = 0.0

    async def take(self, host: str, clock: Clock) -> None:
        """Take one request out of what is left, once there is one.

        Raises
        ------
        TransientError
            If the host asks to be left alone for longer than anybody would wait.
        """
        while (wait_s := self._try(clock.now())) > 0:
            if wait_s > _LONGEST_WAIT_S:
                raise TransientError(f"{host} takes no more requests for now", throttled=True, retry_after_s=wait_s)
            if self._told < self._ends:
                self._told = self._ends
                _LOG.warning("%s takes no more requests for now; going on in %.0f s", host, wait_s)
            await clock.sleep(wait_s)

    def note(self, status: int, headers: Mapping[str, str], *, now: float, wall: float) -> bool:
        """Hear what an answer says of what is left; tell whether it refused, and said for how long."""
        said = headers.get("ratelimit", "")
        left, reset = _LEFT.search(said), _RESET.search(said)
        wait_s = parse_retry_after(headers.get("retry-after"), wall=wall) if status == 429 else None
        with self._lock:
            if left is not None and reset is not None:
                ends = now + float(reset[1])
                # answers overtake each other: within one window the lowest count is the latest
                same = self._left is not None and now < self._ends
                self._left = min(self._left or 0, int(left[1])) if same else int(left[1])
                self._ends = max(self._ends, ends) if same else ends
            if status != 429 or (wait_s is None and reset is None):
                return False
            self._left = 0
            self._ends = now + (float(reset[1]) if wait_s is None and reset is not None else wait_s or 0.0)
            return True

    def _try(self, now: float) -> float:
        with self._lock:
            if self._left is None or now >= self._ends:
                self._left = None
                return 0.0
            if self._left > 0:
                self._left -= 1
                return 0.0
            return self._ends - now


_BUDGETS: dict[str, Budget] = {}
_OPENING = threading.Lock()


def budget_of(origin: str) -> Budget:
    """Return this process's budget at a host."""
    with _OPENING:
        return _BUDGETS.setdefault(origin, Budget())


def _forget_parent() -> None:
    """Begin anew in a forked child: a lock may have been held at that moment."""
    global _OPENING
    _OPENING = threading.Lock()
    _BUDGETS.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
