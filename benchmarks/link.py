"""A server at the end of a link: plain files by HTTP ranges, with a latency before each first byte and one cap for all.

``python -m benchmarks.link FOLDER --latency 0.025 --cap 100e6`` prints its address and serves until its standard input
closes. It is one process with one thread: ready sockets take turns, a turn is at most 64 KiB of ``sendfile``, and all
turns draw on one bucket that fills at the cap's rate. So it costs the reader beside it little of the machine's two
cores, and the cap holds for all connections together, as a network card's does.

``GET /-/stats`` answers the requests, bytes and most connections since the last such call.
"""

import argparse
import heapq
import itertools
import json
import os
import re
import selectors
import socket
import subprocess
import sys
import time
import urllib.request
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote

TURN_BYTES = 1 << 16
SMALL_BYTES = 1 << 16
BURST_S = 0.004
REQUEST = re.compile(rb"(GET|HEAD) (\S+) HTTP/1\.1\r\n")
RANGE = re.compile(rb"\r\nrange: *bytes=(\d+)-(\d*)\r\n", re.IGNORECASE)


class Link:
    """The server, from the side of the benchmark that starts and asks it.

    Parameters
    ----------
    folder : Path
        What it serves.
    latency_s : float
        Time from a whole request to the first byte of its answer.
    cap : float
        Bytes a second, for all connections together; 0 for no cap.
    """

    def __init__(self, folder: Path, *, latency_s: float, cap: float) -> None:
        command = [sys.executable, "-m", "benchmarks.link", str(folder)]
        command += ["--latency", str(latency_s), "--cap", str(cap)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def stats(self) -> dict[str, int]:
        """Requests, bytes and most connections since the last call."""
        with urllib.request.urlopen(f"{self.url}/-/stats") as answer:
            found: dict[str, int] = json.load(answer)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()


class _Client:
    """One connection: what it asked and what it is still owed."""

    __slots__ = ("at", "file", "head", "inbox", "left", "socket", "waiting")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.inbox = b""
        self.head = b""
        self.file = -1
        self.at = self.left = 0
        self.waiting = False


class _Server:
    def __init__(self, folder: Path, latency_s: float, cap: float) -> None:
        self.folder, self.latency_s, self.cap = folder.resolve(), latency_s, cap
        self.files: dict[bytes, tuple[int | Path, int] | None] = {}
        self.selector = selectors.DefaultSelector()
        self.due: list[tuple[float, int, _Client]] = []
        self.turns: deque[_Client] = deque()
        self.tie = itertools.count()
        self.credit, self.filled = 0.0, time.perf_counter()
        self.requests = self.sent = self.clients = self.most = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def run(self) -> None:
        while True:
            for key, events in self.selector.select(self._pause()):
                if key.fileobj is self.listener:
                    self._accept()
                elif key.data is None:
                    return
                else:
                    self._wake(key.data, events)
            now = time.perf_counter()
            while self.due and self.due[0][0] <= now:
                self.turns.append(heapq.heappop(self.due)[2])
            self._send(now)

    def _pause(self) -> float | None:
        if self.turns:
            return 0.0 if not self.cap or self.credit > 0 else 0.0005
        return max(0.0, self.due[0][0] - time.perf_counter()) if self.due else None

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except BlockingIOError:
                return
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(connection, selectors.EVENT_READ, _Client(connection))
            self.clients += 1
            self.most = max(self.most, self.clients)

    def _close(self, client: _Client) -> None:
        if client.socket.fileno() >= 0:
            self.selector.unregister(client.socket)
            client.socket.close()
            self.clients -= 1
        client.left, client.head = 0, b""

    def _wake(self, client: _Client, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self.selector.modify(client.socket, selectors.EVENT_READ, client)
            self.turns.append(client)
        if events & selectors.EVENT_READ:
            try:
                got = client.socket.recv(1 << 16)
            except OSError:
                got = b""
            if not got:
                return self._close(client)
            client.inbox += got
            self._next(client)
        return None

    def _next(self, client: _Client) -> None:
        """Begin the next request of a client that is owed nothing."""
        if client.waiting or b"\r\n\r\n" not in client.inbox:
            return None
        request, client.inbox = client.inbox.split(b"\r\n\r\n", 1)
        found = REQUEST.match(request)
        if found is None:
            return self._close(client)
        method, path = found[1], found[2].split(b"?")[0]
        if path == b"/-/stats":
            body = json.dumps({"requests": self.requests, "bytes": self.sent, "connections": self.most}).encode()
            client.head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            self.requests, self.sent, self.most = 0, 0, self.clients
            client.waiting = True
            self.turns.append(client)
            return None
        self.requests += 1
        client.head, file, client.at, client.left = self._answer(path, RANGE.search(request + b"\r\n"))
        if method == b"HEAD":
            client.left = 0
        if isinstance(file, int):
            client.file = file
        elif client.left:
            with file.open("rb") as small:
                small.seek(client.at)
                client.head += small.read(client.left)
            self.sent += client.left
            self.credit -= client.left
            client.left = 0
        client.waiting = True
        heapq.heappush(self.due, (time.perf_counter() + self.latency_s, next(self.tie), client))
        return None

    def _answer(self, path: bytes, asked: re.Match[bytes] | None) -> tuple[bytes, int | Path, int, int]:
        if path not in self.files:
            name = (self.folder / unquote(path.decode()).lstrip("/")).resolve()
            inside = name.is_relative_to(self.folder) and name.is_file()
            size = name.stat().st_size if inside else 0
            # of small files there may be more than a process can hold open
            file = name if size <= SMALL_BYTES else os.open(name, os.O_RDONLY)
            self.files[path] = (file, size) if inside else None
        known = self.files[path]
        if known is None:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", -1, 0, 0
        file, size = known
        start, stop, status = 0, size, b"200 OK"
        extra = b""
        if asked is not None:
            start = int(asked[1])
            stop = min(size, int(asked[2]) + 1) if asked[2] else size
            status, extra = b"206 Partial Content", b"Content-Range: bytes %d-%d/%d\r\n" % (start, stop - 1, size)
        head = (
            b'HTTP/1.1 %s\r\nContent-Length: %d\r\nAccept-Ranges: bytes\r\nETag: "%x"\r\n%s'
            b"Content-Type: application/octet-stream\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n"
        ) % (status, stop - start, size, extra)
        return head, file, start, stop - start

    def _send(self, now: float) -> None:
        """Let the clients whose answers are due take turns, as far as the link's credit goes."""
        if self.cap:
            self.credit = min(self.credit + (now - self.filled) * self.cap, self.cap * BURST_S)
            self.filled = now
        for _ in range(len(self.turns) * 4):
            if not self.turns or (self.cap and self.credit <= 0):
                return
            client = self.turns.popleft()
            try:
                if client.head:
                    client.head = client.head[client.socket.send(client.head) :]
                if client.left and not client.head:
                    sent = os.sendfile(client.socket.fileno(), client.file, client.at, min(client.left, TURN_BYTES))
                    client.at, client.left = client.at + sent, client.left - sent
                    self.sent += sent
                    self.credit -= sent
            except BlockingIOError:
                self.selector.modify(client.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, client)
                continue
            except OSError:
                self._close(client)
                continue
            if client.head or client.left:
                self.turns.append(client)
            else:
                client.waiting = False
                self._next(client)


def main() -> None:
    """Serve until standard input closes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before the first byte of an answer")
    parser.add_argument("--cap", type=float, default=0.0, help="bytes a second for all connections; 0: none")
    options = parser.parse_args()
    server = _Server(options.folder, options.latency, options.cap)
    print(server.address, flush=True)
    server.run()


if __name__ == "__main__":
    main()
