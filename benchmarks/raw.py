"""The physical limit of a link: a client that does nothing but ask for ranges and receive them into one buffer.

Plain sockets, one thread, keep-alive, requests written by hand, ``recv_into`` straight to the place where the bytes
belong. No checks, no retries, no TLS: what a reader of these ranges can reach at best on this machine.
"""

import selectors
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

import numpy as np


def read_ranges(ranges: Sequence[tuple[str, int, int]], *, connections: int = 64) -> np.ndarray:
    """Receive byte ranges over several connections.

    Parameters
    ----------
    ranges : sequence of (url, start, stop)
        All on one host; ``stop`` is exclusive.
    connections : int
        Requests under way at once.

    Returns
    -------
    numpy.ndarray, shape (total,), uint8
        The ranges one after another.
    """
    total = sum(stop - start for _, start, stop in ranges)
    out = np.empty(total, np.uint8)
    view = memoryview(out)
    places = np.cumsum([0, *(stop - start for _, start, stop in ranges)])
    parts = urlsplit(ranges[0][0])
    todo = iter(range(len(ranges)))
    with selectors.DefaultSelector() as selector:
        for _ in range(min(connections, len(ranges))):
            sock = socket.create_connection((parts.hostname or "", parts.port or 80))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ, _Pending())
            _ask(sock, selector.get_key(sock).data, ranges, places, next(todo))
        open_requests = min(connections, len(ranges))
        while open_requests:
            for key, _ in selector.select():
                pending: _Pending = key.data
                sock = key.fileobj  # type: ignore[assignment]
                if pending.head is not None:
                    pending.head += sock.recv(1 << 12)
                    if b"\r\n\r\n" not in pending.head:
                        continue
                    head, body = pending.head.split(b"\r\n\r\n", 1)
                    assert head.startswith(b"HTTP/1.1 206"), head[:100]
                    view[pending.at : pending.at + len(body)] = body
                    pending.at, pending.head = pending.at + len(body), None
                else:
                    pending.at += sock.recv_into(view[pending.at : pending.stop])
                if pending.head is None and pending.at == pending.stop:
                    number = next(todo, None)
                    if number is None:
                        selector.unregister(sock)
                        sock.close()
                        open_requests -= 1
                    else:
                        _ask(sock, pending, ranges, places, number)
    return out


class _Pending:
    """One request under way."""

    __slots__ = ("at", "head", "stop")

    def __init__(self) -> None:
        self.head: bytes | None = b""
        self.at = self.stop = 0


def _ask(
    sock: socket.socket, pending: _Pending, ranges: Sequence[tuple[str, int, int]], places: np.ndarray, number: int
) -> None:
    url, start, stop = ranges[number]
    parts = urlsplit(url)
    sock.send(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nRange: bytes={start}-{stop - 1}\r\n\r\n".encode())
    pending.head, pending.at, pending.stop = b"", int(places[number]), int(places[number + 1])
