"""A gate before another server: it passes requests on, and fails those that a test names."""

import contextlib
import http.client
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Passed(NamedTuple):
    """A request that came."""

    method: str
    path: str
    """With the beginning of the body after a blank: Google's uploads name the file there."""


@dataclass
class Fault:
    """What befalls requests whose method and path fit."""

    method: str
    path: str
    status: int
    times: int
    """How many; below zero: all."""
    code: str


class Gate:
    """Serves at a port of its own what the server at `url` serves."""

    def __init__(self, url: str) -> None:
        self.target = urlsplit(url)
        self.passed: list[Passed] = []
        self.faults: list[Fault] = []
        self.meanwhile: Callable[[Passed], None] | None = None
        """Is told of each request before it is passed on, while the client waits."""
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.gate = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail(self, method: str, path: str, status: int, *, times: int = -1, code: str = "") -> None:
        """Fail requests of a method whose path a pattern is found in; status 0 breaks the connection off."""
        self.faults.append(Fault(method, path, status, times, code))

    def uploads(self) -> list[str]:
        """Paths that something was put to, in order."""
        return [passed.path for passed in self.passed if passed.method == "PUT"]

    def __enter__(self) -> "Gate":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    gate: Gate

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients break off when a test is over."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *arguments: object) -> None:
        pass

    def _serve(self) -> None:
        gate, path = self.server.gate, unquote(self.path)
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        body = self._body()
        path += " " + body[:500].decode("latin-1")
        gate.passed.append(Passed(self.command, path))
        if gate.meanwhile is not None:
            gate.meanwhile(gate.passed[-1])
        for fault in gate.faults:
            if fault.times and fault.method == self.command and re.search(fault.path, path):
                fault.times -= 1
                if fault.status == 0:
                    self.close_connection = True
                    return
                said = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>no</Message></Error>".encode()
                self._answer(fault.status, [("Content-Type", "application/xml")], said)
                return
        target = http.client.HTTPConnection(gate.target.hostname or "", gate.target.port, timeout=100)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP | {"expect"}}
        with contextlib.closing(target) as connection:  # also where the client has gone
            connection.request(self.command, self.path, body=body, headers=headers)
            reply = connection.getresponse()
            data = reply.read()
            length = reply.headers.get("Content-Length")
            kept = [(name, value) for name, value in reply.getheaders() if name.lower() not in _HOP_BY_HOP]
            self._answer(reply.status, kept, data, length=length)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _serve  # noqa: N815 - as http.server has it

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, *, length: str | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
