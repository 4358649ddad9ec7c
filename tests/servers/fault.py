"""A fast HTTP server of byte ranges that fails as it is told to.

In a test it runs in a thread; for a measurement, in a process of its own (`tests.servers.process`). It knows GET and
HEAD, one range a request, and nothing else.
"""

import asyncio
import hashlib
import mmap
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from tests.servers.link import Link

Kind = Literal[
    "status",
    "redirect",
    "close",
    "garbage",
    "reset",
    "cut",
    "stall",
    "drip",
    "ignore_range",
    "wrong_range",
    "change_byte",
    "chunked",
    "compressed",
]
NOTHING = memoryview(b"")
_REASONS = {
    200: "OK",
    206: "Partial Content",
    301: "Moved",
    302: "Found",
    404: "Not Found",
    416: "Range Not Satisfiable",
    503: "Unavailable",
}


@dataclass
class Fault:
    """One way to fail, for some requests."""

    kind: Kind
    times: int | None = 1
    """Requests that it befalls; None for all."""
    skip: int = 0
    """Requests before the first that it befalls."""
    every: int = 1
    """Each so-manieth request of those after."""
    after: int = 0
    """Bytes of the body sent before it happens; for "change_byte", the offset in the file."""
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    path: str | None = None
    """The file that it befalls; None for all."""
    seen: int = 0


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]

    @property
    def range(self) -> tuple[int, int] | None:
        """First byte, and one past the last."""
        value = self.headers.get("range", "")
        if not value.startswith("bytes="):
            return None
        first, _, last = value[6:].partition("-")
        return int(first), int(last) + 1 if last else 1 << 62


class FaultServer:
    """Serves files from a folder or a mapping, with faults, latency and a bound on its speed.

    Parameters
    ----------
    files : path, or mapping of str to bytes
        The folder, or the files by path without a leading slash.
    latency_s : float
        Before the first byte of each answer.
    bytes_per_s : float, optional
        Of all connections together.
    allow : callable, optional
        Told the request; where it returns False the answer is 401.
    """

    def __init__(
        self,
        files: str | Path | Mapping[str, bytes] | None = None,
        *,
        latency_s: float = 0.0,
        bytes_per_s: float | None = None,
        tls: ssl.SSLContext | None = None,
        allow: Any = None,
    ) -> None:
        self.folder = Path(files) if isinstance(files, str | Path) else None
        self.files: dict[str, bytes] = dict(files) if isinstance(files, Mapping) else {}
        self.latency_s = latency_s
        self.bytes_per_s = bytes_per_s
        self.allow = allow
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.keep_requests = True
        self.together = 1
        """Requests that are answered at once: each waits until so many are there."""
        self.count = 0
        self.bytes_sent = 0
        self.connections = 0
        self.connections_peak = 0
        self.under_way = 0
        self.under_way_peak = 0
        self._etags: dict[str, str] = {}
        self._maps: dict[str, memoryview] = {}
        self._tls = tls
        self._transports: set[asyncio.Transport] = set()
        self._waiting: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread | None = None
        self.link: Link | None = None
        self.port = 0

    # -- for tests

    @property
    def url(self) -> str:
        """Of the root, with its closing slash."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}/"

    def fail(self, kind: Kind, **settings: Any) -> Fault:
        """Have the next requests fail; see `Fault`."""
        fault = Fault(kind, **settings)
        self.faults.append(fault)
        return fault

    def heal(self) -> None:
        """Fail no more."""
        self.faults.clear()

    def replace(self, name: str, data: bytes) -> None:
        """Put another file in the place of one: its ETag changes."""
        self.files[name] = data
        self._etags[name] = hashlib.sha256(data).hexdigest()[:16]

    def start(self) -> "FaultServer":
        """Serve from a thread."""
        ready = threading.Event()

        def run() -> None:
            self._loop = asyncio.new_event_loop()
            server = self._loop.run_until_complete(self.listen())
            ready.set()
            self._loop.run_forever()
            # asyncio leaves a connection open for ever if its server is closed between accept and transport: accept no
            # more, and close the server last
            for listening in server.sockets:
                self._loop.remove_reader(listening.fileno())
            # those just accepted are made known by tasks some steps later, and each closes a step after it is told
            while self._transports or asyncio.all_tasks(self._loop):
                for transport in list(self._transports):
                    transport.abort()
                self._loop.run_until_complete(asyncio.sleep(0))
            server.close()
            self._loop.run_until_complete(server.wait_closed())
            self._loop.close()

        self._thread = threading.Thread(target=run, name="fault-server", daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def stop(self) -> None:
        """Stop serving."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> "FaultServer":
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    # -- the server

    async def listen(self, port: int = 0) -> asyncio.AbstractServer:
        if self.bytes_per_s is not None:
            self.link = Link(self.bytes_per_s)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: _Connection(self, loop), "127.0.0.1", port, ssl=self._tls, backlog=1024
        )
        self.port = server.sockets[0].getsockname()[1]
        return server

    def content(self, name: str) -> memoryview | None:
        if name in self.files:
            return memoryview(self.files[name])
        if self.folder is None:
            return None
        known = self._maps.get(name)
        if known is None:
            path = self.folder / name
            if not path.is_file() or ".." in Path(name).parts:
                return None
            with path.open("rb") as file:
                known = (
                    memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
                    if path.stat().st_size
                    else memoryview(b"")
                )
            self._maps[name] = known
        return known

    def etag(self, name: str, content: memoryview) -> str:
        known = self._etags.get(name)
        if known is None:
            known = self._etags[name] = hashlib.sha256(content[:4096]).hexdigest()[:16]
        return f'"{known}"'

    def take_fault(self, request: Request) -> Fault | None:
        for fault in self.faults:
            if fault.path not in (None, request.path.lstrip("/")):
                continue
            fault.seen += 1
            if fault.seen <= fault.skip or (fault.seen - fault.skip) % fault.every:
                continue
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
            return fault
        return None


class _Connection(asyncio.Protocol):
    """One connection: one request after the other."""

    def __init__(self, server: FaultServer, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.loop = loop
        self.transport: asyncio.Transport
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        # a whole answer goes into the kernel in one call
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.server._transports.add(transport)
        self.server.connections += 1
        self.server.connections_peak = max(self.server.connections_peak, self.server.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.connections -= 1
        self.server._transports.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            text, self.buffer = self.buffer[:end], self.buffer[end + 4 :]
            server = self.server
            server.under_way += 1
            server.under_way_peak = max(server.under_way_peak, server.under_way)
            if server.latency_s:
                self.loop.call_later(server.latency_s, self.answer, text)
                continue
            server._waiting.append(partial(self.answer, text))
            if len(server._waiting) >= server.together:
                waiting, server._waiting = server._waiting, []
                for answer in waiting:
                    answer()

    def answer(self, text: bytes) -> None:
        server = self.server
        server.under_way -= 1
        first, *lines = text.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        parts = urlsplit(target)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        request = Request(method, unquote(parts.path), parts.query, headers)
        server.count += 1
        if server.keep_requests:
            server.requests.append(request)
        if self.transport.is_closing():
            return
        fault = server.take_fault(request)
        if fault is None and server.allow is not None and not server.allow(request):
            fault = Fault("status", status=401)
        if fault is not None and fault.kind in ("status", "redirect"):
            self.send_head(fault.status, {"Content-Length": "0", **fault.headers})
            return
        if fault is not None and fault.kind == "close":
            self.transport.abort()
            return
        if fault is not None and fault.kind == "garbage":
            self.transport.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
            return
        self.send_file(request, fault)

    def send_file(self, request: Request, fault: Fault | None) -> None:
        server, name, kind = self.server, request.path.lstrip("/"), fault.kind if fault else None
        content = server.content(name)
        if content is None:
            self.send_head(404, {"Content-Length": "0"})
            return
        size = len(content)
        headers = {"ETag": server.etag(name, content), "Accept-Ranges": "bytes"}
        asked = request.range
        if asked is None or kind == "ignore_range":
            status, start, stop = 200, 0, size
        elif asked[0] >= size:
            self.send_head(416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
            return
        else:
            status, start, stop = 206, asked[0], min(asked[1], size)
            shift = 1 if kind == "wrong_range" else 0
            headers["Content-Range"] = f"bytes {start + shift}-{stop - 1 + shift}/{size}"
        body = content[start:stop]
        if kind == "change_byte" and fault is not None and start <= fault.after < stop:
            changed = bytearray(body)
            changed[fault.after - start] ^= 0xFF
            body = memoryview(changed)
        if kind == "compressed":
            headers["Content-Encoding"] = "gzip"
        if kind == "chunked":
            headers["Transfer-Encoding"] = "chunked"
            body = memoryview(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        else:
            headers["Content-Length"] = str(len(body))
        if request.method == "HEAD":
            body = body[:0]
        if kind in ("reset", "cut", "stall", "drip") and fault is not None:
            self.send_head(status, headers)
            server.bytes_sent += min(fault.after, len(body))  # before the client has them, who may then look here
            self.transport.write(body[: fault.after])
            if kind == "cut":
                self.transport.close()
            elif kind == "reset":
                self.reset()
            elif kind == "drip":
                self.drip(body[fault.after :])
            return
        self.send_head(status, headers, body)

    def send_head(self, status: int, headers: Mapping[str, str], body: memoryview = NOTHING) -> None:
        lines = [
            f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}",
            *(f"{name}: {value}" for name, value in headers.items()),
            "",
            "",
        ]
        head = "\r\n".join(lines).encode("latin-1")
        self.server.bytes_sent += len(body)
        if self.server.link is not None and len(body):
            self.transport.write(head)
            self.server.link.send(body, self.write_open)
        elif len(body) <= 1 << 19:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)

    def write_open(self, part: memoryview) -> None:
        if not self.transport.is_closing():
            self.transport.write(part)

    def drip(self, body: memoryview) -> None:
        """Send a byte every 50 ms."""
        if len(body) and not self.transport.is_closing():
            self.server.bytes_sent += 1
            self.transport.write(body[:1])
            self.loop.call_later(0.05, self.drip, body[1:])

    def reset(self) -> None:
        sock = self.transport.get_extra_info("socket")
        # no time to linger: the kernel answers with RST
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
