"""One connection of HTTP/1.1: the body goes from the socket straight into its destination.

A body passes through no buffer of ours except its first bytes, which come in one receive with the headers.

References
----------
RFC 9112, "HTTP/1.1".
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Protocol

from mlstac.storage._answers import Head
from mlstac.storage._retry import TransientError

_LONGEST_HEAD_BYTES = 65_536
# As much as headers take, so that little of the body comes with them and has to be copied.
_FIRST_BYTES = 2_048
# Receives made at once after the headers, before the other connections have their turn.
_PULLS = 4
# A body that comes slower than this is broken off: a server that drips a byte now and then would hold a read for ever.
# Far below what any link gives each of its connections.
SLOWEST_BYTES_PER_S = 64
# A refused body shorter than this is read to its end, so that the connection can be used again.
_DRAIN_BYTES = 65_536


class Sink(Protocol):
    """Where a body goes: `Scatter` or `Gather`."""

    def window(self, gap: memoryview) -> memoryview | None:
        """Return memory for the next bytes, or None to be fed."""

    def advance(self, count: int) -> None:
        """Hear that the window has so many bytes more."""

    def feed(self, data: memoryview) -> None:
        """Take the next bytes."""


Accept = Callable[[Head], Sink | None]
"""Asked once status and headers are there, before the body is read: where to put it, or None to drop it. May raise."""


class Exchange(Protocol):
    """Whoever asks: told of the answer's head, then of its end."""

    def accept(self, head: Head) -> Sink | None:
        """As `Accept`."""

    def over(self, outcome: Head | Exception) -> None:
        """Hear that the body is in its place, or what went wrong; called once, from within the loop. May ask anew."""


class UnsupportedAnswerError(Exception):
    """The answer is of a kind that is left to aiohttp."""


class Keeper(Protocol):
    """Who keeps connections between exchanges."""

    def idle(self, connection: "Connection") -> None:
        """Hear that a connection may be used again; said before its exchange hears of its end."""

    def lost(self, connection: "Connection") -> None:
        """Hear that it is closed."""


class _Awaited:
    """An exchange that a coroutine waits for."""

    __slots__ = ("accept", "waiter")

    def __init__(self, accept: Accept, waiter: "asyncio.Future[Head]") -> None:
        self.accept = accept
        self.waiter = waiter

    def over(self, outcome: Head | Exception) -> None:
        if self.waiter.done():
            return
        if isinstance(outcome, Exception):
            self.waiter.set_exception(outcome)
        else:
            self.waiter.set_result(outcome)


class Connection(asyncio.BufferedProtocol):
    """One connection, at most one request at a time.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        A selector loop.
    stage : memoryview
        Memory for headers and for bytes that go to small destinations. Connections of one loop share it, for a selector
        loop hands it out and takes it back within one step.
    keeper : Keeper
        Of connections that may be used again.
    key : tuple of str, str, int
        Scheme, host and port.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, stage: memoryview, keeper: Keeper, key: tuple[str, str, int]
    ) -> None:
        self.key = key
        self._loop = loop
        self._stage = stage
        self._keeper = keeper
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._sink: Sink | None = None
        self._head: Head | None = None
        self._prefix = b""
        self._left = 0
        self._handle = -1
        self._window_direct = False
        self._last_byte_at = 0.0
        self._watched_at = 0.0
        self._watched_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stall_s = 0.0
        self.reusable = True
        self.answered = False

    # -- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if transport.get_extra_info("sslcontext") is None:
            self._handle = transport.get_extra_info("socket").fileno()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio gives it
        if self._head is None:
            return self._stage[:_FIRST_BYTES]
        if self._sink is not None and (window := self._sink.window(self._stage)) is not None:
            self._window_direct = True
            return window[: self._left]
        self._window_direct = False
        return self._stage[: self._left]

    def buffer_updated(self, nbytes: int) -> None:
        self._last_byte_at = self._loop.time()
        self._watched_bytes += nbytes
        try:
            if self._head is None:
                self._take_head(self._stage[:nbytes])
            else:
                self._take_body(nbytes)
        except Exception as error:  # noqa: BLE001 - whoever waits for this answer gets it
            self._fail(error)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        self._transport = None
        self._stop_timer()
        self._keeper.lost(self)
        if self._head is not None:
            self._fail(TransientError(f"the body was cut {self._left} bytes before its end"))
        elif self.answered:
            # a kept connection that the server closed while idle
            self._fail(TransientError("the kept connection was closed", free=True))
        else:
            said = "the connection was reset" if exc is not None else "the connection was closed before an answer"
            self._fail(TransientError(said))

    # -- what the engine calls

    @property
    def is_open(self) -> bool:
        return self.reusable and self._transport is not None and not self._transport.is_closing()

    def begin(self, request: bytes, exchange: Exchange, *, stall_s: float) -> None:
        """Send a request; its exchange hears of the answer in later steps of the loop, never before this returns."""
        assert self._transport is not None
        assert self._exchange is None
        self._exchange = exchange
        self._sink, self._head, self._prefix, self._stall_s = None, None, b"", stall_s
        self._last_byte_at = self._watched_at = self._loop.time()
        self._watched_bytes = 0
        if self._timer is None:
            self._timer = self._loop.call_later(stall_s, self._check_stall)
        self._transport.write(request)

    async def ask(self, request: bytes, accept: Accept, *, stall_s: float) -> Head:
        """Send a request and put the answer's body where `accept` says."""
        waiter: asyncio.Future[Head] = self._loop.create_future()
        exchange = _Awaited(accept, waiter)
        self.begin(request, exchange, stall_s=stall_s)
        try:
            return await waiter
        except asyncio.CancelledError:
            self.give_up(exchange)
            raise

    def give_up(self, exchange: Exchange) -> None:
        """Break off an exchange that nobody waits for any more; nothing if it is over and the next has begun."""
        if self._exchange is exchange:
            self.abort()

    def abort(self) -> None:
        """Close at once; nothing more is written anywhere, and nobody hears of it."""
        self.reusable = False
        self._sink = self._exchange = None
        self._stop_timer()
        if self._transport is not None:
            # closing alone would leave the connection open as long as a forked child has a copy of its descriptor
            own = self._transport.get_extra_info("socket")
            if own is not None:  # over TLS there is none between the loss of a connection and the word of it
                with contextlib.suppress(OSError):
                    own.shutdown(socket.SHUT_RDWR)
            self._transport.abort()

    # -- the answer

    def _take_head(self, data: memoryview) -> None:
        exchange = self._exchange
        if exchange is None:
            # bytes that nobody asked for: whatever they are, the next answer must not begin with them
            self.abort()
            return
        text = self._prefix + data
        end = text.find(b"\r\n\r\n", max(0, len(self._prefix) - 3))
        if end < 0:
            if len(text) >= _LONGEST_HEAD_BYTES:
                raise UnsupportedAnswerError("headers without an end")
            self._prefix = text
            return
        body = data[end + 4 - len(self._prefix) :]
        self._prefix = b""
        head, keeps = _parse_head(text[:end])
        length = head.length
        if length is None or "transfer-encoding" in head.headers or head.status < 200:
            raise UnsupportedAnswerError(f"an answer of status {head.status} without a length")
        self.answered = True
        self.reusable = keeps
        self._sink = exchange.accept(head)
        self._left = length
        self._head = head
        if len(body) > self._left:
            raise TransientError("the server sent more than it announced")
        if self._sink is None and self._left > _DRAIN_BYTES:
            self._finish(keep=False)
            return
        if len(body):
            if self._sink is not None:
                self._sink.feed(body)
            self._left -= len(body)
        if self._left == 0:
            self._finish(keep=True)
        else:
            self._pull()

    def _pull(self) -> None:
        """Receive what is there of the body at once: to be called by the loop for it costs more than the receive."""
        if self._handle < 0 or not hasattr(os, "readv"):
            return
        with contextlib.suppress(OSError):  # nothing there yet, or broken: the loop will tell
            for _ in range(_PULLS):
                count = os.readv(self._handle, [self.get_buffer(-1)])
                if count:
                    self._watched_bytes += count
                    self._take_body(count)
                if not count or not self._left:
                    return

    def _take_body(self, count: int) -> None:
        self._left -= count
        if self._sink is not None:
            if self._window_direct:
                self._sink.advance(count)
            else:
                self._sink.feed(self._stage[:count])
        if self._left == 0:
            self._finish(keep=True)

    def _finish(self, *, keep: bool) -> None:
        exchange, head = self._exchange, self._head
        self._head = self._sink = self._exchange = None
        if keep and self.reusable:
            self._keeper.idle(self)
        else:
            self.abort()
        if exchange is not None and head is not None:
            exchange.over(head)

    def _fail(self, error: Exception) -> None:
        exchange = self._exchange
        self._head = None
        self.abort()
        if exchange is not None:
            exchange.over(error)

    def _check_stall(self) -> None:
        self._timer = None
        if self._exchange is None:
            return
        now = self._loop.time()
        silent_s, watched_s = now - self._last_byte_at, now - self._watched_at
        if silent_s >= self._stall_s:
            self._fail(TransientError(f"no byte came for {self._stall_s:g} s"))
            return
        if watched_s >= self._stall_s:
            if self._watched_bytes < SLOWEST_BYTES_PER_S * watched_s:
                self._fail(TransientError(f"only {self._watched_bytes} bytes came in {watched_s:.3g} s"))
                return
            self._watched_at, self._watched_bytes, watched_s = now, 0, 0.0
        self._timer = self._loop.call_later(self._stall_s - max(silent_s, watched_s), self._check_stall)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _parse_head(text: bytes) -> tuple[Head, bool]:
    """Return the head, and whether the connection stays open."""
    first, *lines = text.decode("latin-1").split("\r\n")
    protocol, _, rest = first.partition(" ")
    if protocol not in ("HTTP/1.1", "HTTP/1.0") or not (rest[:3].isascii() and rest[:3].isdigit()):
        raise UnsupportedAnswerError("not HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or line[:1] in " \t":
            raise UnsupportedAnswerError("a header without a colon")
        key = name.lower()
        value = value.strip(" \t")
        if key in headers and not (key == "content-length" and headers[key] == value):
            headers[key] += ", " + value
        else:
            headers[key] = value
    keeps = (
        headers.get("connection", "").lower() != "close"
        if protocol == "HTTP/1.1"
        else headers.get("connection", "").lower() == "keep-alive"
    )
    status = int(rest[:3])
    if status in (204, 304):
        headers["content-length"] = "0"
    return Head(status, headers), keeps
