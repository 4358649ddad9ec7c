"""Any other HTTP: proxies, chunked bodies, sessions of the caller's own; through aiohttp."""

import asyncio
import os
import ssl
from typing import Any

from mlstac.errors import UnavailableError
from mlstac.storage._answers import Head
from mlstac.storage._connection import SLOWEST_BYTES_PER_S, Accept
from mlstac.storage._options import HttpOptions
from mlstac.storage._retry import TransientError
from mlstac.storage._urls import redact
from mlstac.storage._wire import distrust

_DRAIN_BYTES = 65_536


class SessionEngine:
    """One ``aiohttp.ClientSession``, with the caller's settings.

    Redirects, retries and credentials are not its business: they are decided above it.
    """

    def __init__(self, options: HttpOptions, *, connect_s: float, stall_s: float) -> None:
        self._options = options
        self._connect_s = connect_s
        self._stall_s = stall_s
        self._session: Any = None
        self._opening = asyncio.Lock()

    async def get(self, url: str, headers: dict[str, str], accept: Accept) -> Head:
        """Send a GET and put its body where `accept` says; see `WireEngine.get`."""
        import aiohttp
        from yarl import URL

        loop = asyncio.get_running_loop()
        session = await self._ready()
        extra, more = self._options.proxy_settings(url)
        try:
            async with session.get(
                URL(url, encoded=True), headers=headers | more, allow_redirects=False, **extra
            ) as reply:
                head = Head(reply.status, {name.lower(): value for name, value in reversed(reply.headers.items())})
                sink = accept(head)
                if sink is None:
                    if head.length is None or head.length > _DRAIN_BYTES:
                        reply.close()
                    else:
                        await reply.read()
                    return head
                received = 0
                watched_at, watched_bytes = loop.time(), 0
                async for chunk in reply.content.iter_any():
                    received += len(chunk)
                    sink.feed(memoryview(chunk))
                    watched_s = loop.time() - watched_at
                    if watched_s >= self._stall_s:
                        if (came := received - watched_bytes) < SLOWEST_BYTES_PER_S * watched_s:
                            raise TransientError(f"only {came} bytes came in {watched_s:.3g} s")
                        watched_at, watched_bytes = loop.time(), received
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise distrust(
                url, error.certificate_error if hasattr(error, "certificate_error") else error.os_error
            ) from None
        except aiohttp.ServerTimeoutError:
            raise TransientError(
                f"no connection within {self._connect_s:g} s, or no byte for {self._stall_s:g} s"
            ) from None
        except (
            aiohttp.ClientConnectionError,
            aiohttp.ClientPayloadError,
            aiohttp.ClientHttpProxyError,
            ConnectionError,
            TimeoutError,
        ) as error:
            raise _transient(error) from None
        except aiohttp.ClientError as error:
            raise UnavailableError(f"{redact(url)}: {type(error).__name__}; check the URL and the server") from None
        if head.length is not None and received != head.length:
            raise TransientError(f"the body was cut {head.length - received} bytes before its end")
        return head

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _ready(self) -> Any:
        async with self._opening:
            if self._session is None:
                self._session = await self._make()
        return self._session

    async def _make(self) -> Any:
        import aiohttp

        options = self._options
        client = dict(options.client_kwargs)
        client.setdefault(
            "timeout", aiohttp.ClientTimeout(total=None, sock_connect=self._connect_s, sock_read=self._stall_s)
        )
        if options.get_client is not None:
            return await options.get_client(loop=asyncio.get_running_loop(), **client)
        client.setdefault("cookie_jar", aiohttp.DummyCookieJar())
        if "connector" not in client:
            known = isinstance(options.ssl, bool | str | os.PathLike | ssl.SSLContext | None)
            context = options.tls_context() if known else options.ssl
            # the number of requests under way is decided by the pace, not by the pool
            client["connector"] = aiohttp.TCPConnector(limit=0, ssl=context, ttl_dns_cache=300)
        return aiohttp.ClientSession(auto_decompress=False, trust_env=False, read_bufsize=262_144, **client)


def _transient(error: BaseException) -> TransientError:
    import aiohttp

    if isinstance(error, aiohttp.ClientHttpProxyError):
        if error.status in (407, 403):
            raise UnavailableError(
                f"the proxy refused ({error.status}); give storage_options proxy_auth, or check HTTPS_PROXY"
            ) from None
        return TransientError(f"the proxy answered {error.status}")
    if isinstance(error, aiohttp.ClientPayloadError):
        return TransientError("the body was cut before its end")
    if isinstance(error, aiohttp.ClientConnectorError):
        return TransientError(f"connection failed ({error.os_error.strerror or error.os_error})", unreachable=True)
    return TransientError(f"the connection broke ({type(error).__name__})")
