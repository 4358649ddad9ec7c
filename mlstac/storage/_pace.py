"""How many requests to have under way: up while it pays, down when the server says so.

Arithmetic only: time is an argument.
"""

from typing import Literal


class Pace:
    """The number of requests that may be under way at once.

    Requests are counted in rounds of `limit` each. *Searching*: after a round in which there was always more to ask
    for, the limit doubles, as long as throughput rises by a tenth; a round that falls short gets one more chance, and a
    doubling that brought less is taken back.
    *Settled*: every so often one doubling more is tried, and taken back if it gains nothing. *Recovering*: a refusal
    (429, 503) halves the limit, at most once a round; each round without one then gives an eighth back, up to where it
    was.

    Parameters
    ----------
    start, cap : int
        The first limit, and the highest.

    Notes
    -----
    Slow start and additive increase, multiplicative decrease, as TCP has them: RFC 5681, section 3.1.
    """

    RISE = 1.10
    """A doubling that raises throughput by less than this is taken back, and ends the search."""

    CLEAR_RISE = 1.5
    """The same for the first round after a doubling, which has the change in it."""

    KEEP = 1.03
    """A later doubling that raises it by less than this is taken back."""

    FIRST_REST = 8
    """Rounds before the first later doubling is tried; twice as many before the next, up to `LONGEST_REST`."""

    LONGEST_REST = 128

    def __init__(self, *, start: int = 16, cap: int = 256) -> None:
        self.limit = min(start, cap)
        self.cap = cap
        self._mode: Literal["searching", "settled", "trying", "recovering"] = "searching"
        self._best = 0.0
        self._short_rounds = 0
        self._rest = self._rounds_to_rest = self.FIRST_REST
        self._before = self.limit
        self._refused = False
        self._done = self._bytes = 0
        self._hungry = True
        self._began: float | None = None

    def started(self, now: float) -> None:
        """Say that a request goes out."""
        if self._began is None:
            self._began = now

    def finished(self, count: int, *, waiting: bool, now: float) -> None:
        """Say that a request brought `count` bytes, and whether more reads wait for their turn."""
        self._bytes += count
        self._done += 1
        self._hungry = self._hungry and waiting
        if self._done >= self.limit:
            self._end_round(now)

    def refused(self, now: float) -> None:
        """Say that the server asked for fewer requests."""
        if not self._refused:
            self._before = self._before if self._mode in ("recovering", "trying") else self.limit
            self.limit = max(1, self.limit // 2)
            self._mode = "recovering"
            self._begin_round(now)
        self._refused = True

    def idle(self) -> None:
        """Say that nothing is under way: the time until the next request is nobody's fault."""
        self._begin_round(None)

    def _begin_round(self, now: float | None) -> None:
        self._done = self._bytes = 0
        self._hungry = True
        self._began = now

    def _end_round(self, now: float) -> None:
        rate = self._bytes / max(now - (now if self._began is None else self._began), 1e-9)
        if self._refused:
            self._refused = False
        elif self._mode == "recovering":
            self.limit = min(self._before, self.limit + max(1, self.limit // 8))
            if self.limit == self._before:
                self._settle(rate)
        elif self._hungry:
            self._judge(rate)
        self._begin_round(now)

    def _judge(self, rate: float) -> None:
        """Decide on the limit after a full round."""
        rose = rate / self._best if self._best else float("inf")
        if self._mode == "settled":
            self._best = rate
            self._rounds_to_rest -= 1
            if self._rounds_to_rest <= 0 and self.limit < self.cap:
                self._mode, self._before, self._short_rounds = "trying", self.limit, 0
                self.limit = min(self.cap, 2 * self.limit)
        elif rose >= (self.RISE if self._short_rounds else self.CLEAR_RISE):
            self._mode, self._best, self._short_rounds = "searching", rate, 0
            self._rest = self.FIRST_REST
            if self.limit == self.cap:
                self._settle(rate)
            self._before = self.limit
            self.limit = min(self.cap, 2 * self.limit)
        elif self._short_rounds == 0:
            # the round right after a doubling begins with an empty link: wait for the next, unless its gain is clear
            self._short_rounds = 1
        else:
            if rose < (self.KEEP if self._mode == "trying" else self.RISE):
                self.limit = self._before
            if self._mode == "trying" and rose < self.KEEP:
                self._rest = min(self.LONGEST_REST, 2 * self._rest)
            self._settle(max(rate, self._best))

    def _settle(self, rate: float) -> None:
        self._mode, self._best, self._short_rounds = "settled", rate, 0
        self._rounds_to_rest = self._rest
