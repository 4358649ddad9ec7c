"""Connections by host, over TLS or plain: GET with a body of known length, and that fast.

Proxies, chunked bodies and everything else are aiohttp's.
"""

import asyncio
import functools
import ipaddress
import socket
import ssl
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from mlstac.errors import UnavailableError
from mlstac.storage._answers import Head
from mlstac.storage._connection import Accept, Connection, Exchange
from mlstac.storage._retry import TransientError
from mlstac.storage._urls import redact

STAGE_BYTES = 262_144
"""Memory for the bodies of all connections that go to small destinations."""

Key = tuple[str, str, int]
"""Scheme, host and port: what connections are kept by."""


class WireEngine:
    """Connections by host, kept open and used again.

    Parameters
    ----------
    connect_s, stall_s : float
        Seconds to wait for a connection, and for the next byte of an answer.
    tls : callable
        Makes the context of secure connections; called once, when the first is made.
    """

    def __init__(self, *, connect_s: float, stall_s: float, tls: Callable[[], ssl.SSLContext]) -> None:
        self._loop = asyncio.get_running_loop()
        self._make_context = tls
        self._context: ssl.SSLContext | None = None
        self._connect_s = connect_s
        self._stall_s = stall_s
        self._stage = memoryview(bytearray(STAGE_BYTES))
        self._idle: defaultdict[Key, list[Connection]] = defaultdict(list)
        self._open: set[Connection] = set()

    @property
    def connections(self) -> int:
        """Connections open now."""
        return sum(connection.is_open for connection in self._open)

    async def get(self, url: str, headers: dict[str, str], accept: Accept) -> Head:
        """Send a GET and put its body where `accept` says.

        Raises
        ------
        TransientError
            If no connection was had, it broke, or the body was cut.
        UnavailableError
            If the server's certificate is not trusted.
        UnsupportedAnswerError
            If the answer is one for aiohttp; nothing of its body was kept.
        """
        key, request = compose(url, headers)
        connection = self._kept(key) or await self._connect(key, url)
        try:
            return await connection.ask(request + b"\r\n", accept, stall_s=self._stall_s)
        except TransientError as error:
            self.note(key, error)
            raise

    def begin(self, key: Key, request: bytes, exchange: Exchange) -> Connection | None:
        """Send a request at once over a kept connection; None if there is none. What goes wrong is to be noted."""
        connection = self._kept(key)
        if connection is not None:
            connection.begin(request, exchange, stall_s=self._stall_s)
        return connection

    def note(self, key: Key, error: TransientError) -> None:
        """Hear how a request failed: the neighbours of a kept connection that was closed were as idle as it was."""
        if error.free:
            for idle in self._idle.pop(key, []):
                idle.abort()

    def idle(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        self._idle[connection.key].append(connection)

    def lost(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        self._open.discard(connection)

    async def close(self) -> None:
        """Close every connection."""
        for connection in list(self._open):
            connection.abort()
        self._open.clear()
        self._idle.clear()
        await asyncio.sleep(0)  # transports close their sockets in the loop's next step

    def _kept(self, key: Key) -> Connection | None:
        idle = self._idle[key]
        while idle:
            connection = idle.pop()
            if connection.is_open:
                return connection
        return None

    async def _connect(self, key: Key, url: str) -> Connection:
        secure: dict[str, Any] = {}
        if key[0] == "https":
            if self._context is None:
                self._context = self._make_context()
            secure = {"ssl": self._context, "server_hostname": key[1], "ssl_handshake_timeout": self._connect_s}
        try:
            async with asyncio.timeout(self._connect_s):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self._loop, self._stage, self, key),
                    key[1],
                    key[2],
                    happy_eyeballs_delay=_race_delay_s(key[1]),
                    **secure,
                )
        except ssl.SSLError as error:
            raise distrust(url, error) from None
        except TimeoutError:
            raise TransientError(f"no connection within {self._connect_s:g} s", unreachable=True) from None
        except socket.gaierror as error:
            raise TransientError(f"host {key[1]!r} is not known ({error.strerror})", unreachable=True) from None
        except OSError as error:
            said = error.strerror or str(error) or type(error).__name__
            raise TransientError(f"connection failed ({said})", unreachable=True) from None
        self._open.add(connection)
        return connection


def distrust(url: str, error: Exception) -> UnavailableError:
    """Return the error of a connection that could not be made secure."""
    return UnavailableError(
        f"{redact(url)}: no secure connection ({error}); if the server has a certificate of your own authority, give "
        "storage_options={'ssl': 'ca.pem'} or set SSL_CERT_FILE"
    )


@functools.lru_cache(4096)
def _race_delay_s(host: str) -> float | None:
    """Return how long one address of a host is tried before the next as well (RFC 8305); None for an address alone.

    That is not raced: where a connection is given up just as it is made, asyncio's race of Python 3.11 forgets to
    close it.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return 0.25
    return None


def compose(url: str, headers: dict[str, str]) -> tuple[Key, bytes]:
    """Return host and port of a URL, and a request for it up to the empty line at its end."""
    key, first = _target_of(url)
    return key, (first + "".join([f"{name}: {value}\r\n" for name, value in headers.items()])).encode("latin-1")


@functools.lru_cache(4096)
def _target_of(url: str) -> tuple[Key, str]:
    """Return host and port of a URL, and the first lines of a request for it."""
    parts = urlsplit(url)
    path = parts.path or "/"
    target = f"{path}?{parts.query}" if parts.query else path
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return (parts.scheme, parts.hostname or "", port), f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
