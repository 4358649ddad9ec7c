"""`storage_options` for http(s): fsspec's names, read once and checked."""

import base64
import functools
import inspect
import os
import ssl as tls
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from mlstac.errors import InvalidArgumentError

StorageOptions = Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None
"""As fsspec takes them, or a callable that returns them and is asked again once access is refused."""

HeaderSource = Mapping[str, str] | Callable[[], Mapping[str, str] | Awaitable[Mapping[str, str]]]

# fsspec's own settings of its HTTP filesystem: they change nothing in how ranges are read here
_IGNORED = {
    *("asynchronous", "block_size", "cache_options", "cache_type", "encoded", "listings_expiry_time", "loop"),
    *("max_paths", "same_scheme", "simple_links", "size_policy", "skip_instance_cache", "timeout"),
    "use_listings_cache",
}


@dataclass(frozen=True, repr=False)
class HttpOptions:
    """How to talk to web servers. Its text shows nothing of it, for there are credentials in it."""

    headers: HeaderSource = field(default_factory=dict)
    """Sent to the host of the file and no other; or a callable that returns them, called again on 401 and 403."""

    auth: tuple[str, str] | None = None
    """User and password."""

    ssl: Any = True
    """True; False for no verification; a path to a file of certificates; an ``ssl.SSLContext``."""

    proxy: str | None = None
    """URL of a proxy for all requests."""

    proxy_auth: Any = None
    """User and password for the proxy."""

    trust_env: bool = True
    """Whether ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY`` are heeded."""

    client_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """For ``aiohttp.ClientSession``."""

    get_client: Callable[..., Awaitable[Any]] | None = None
    """Makes the session instead, as fsspec has it."""

    token: str | bool | None = None
    """For the Hugging Face Hub: a token; False for none. By default that of whoever is logged in on this machine."""

    endpoint: str | None = None
    """Another Hub than huggingface.co; by default ``HF_ENDPOINT``."""

    @classmethod
    def from_storage_options(cls, options: Mapping[str, Any] | None) -> "HttpOptions":
        """Read fsspec's options of http.

        Raises
        ------
        InvalidArgumentError
            For a name that means nothing here.
        """
        given = {name: value for name, value in (options or {}).items() if name not in _IGNORED}
        unknown = sorted(set(given) - set(cls.__dataclass_fields__))
        if unknown:
            raise InvalidArgumentError(
                f"storage_options of http(s) have no {', '.join(map(repr, unknown))}; they have "
                f"{', '.join(sorted(cls.__dataclass_fields__))}"
            )
        client = dict(given.get("client_kwargs") or {})
        for name in ("headers", "auth", "trust_env"):
            if name in client and name not in given:
                given[name] = client.pop(name)
        given["client_kwargs"] = client
        if given.get("auth") is not None:
            login, password = tuple(given["auth"])[:2]  # aiohttp.BasicAuth is such a tuple
            given["auth"] = (login, password)
        return cls(**given)

    @classmethod
    def of(cls, options: StorageOptions) -> "HttpOptions":
        """Read options, or have a callable's headers asked for anew when they are refused."""
        if not callable(options):
            return cls.from_storage_options(options)

        async def headers() -> Mapping[str, str]:
            return await cls.from_storage_options(options()).current_headers()

        return replace(cls.from_storage_options(options()), headers=headers, auth=None)

    def proxy_for(self, url: str) -> str | None:
        """Return the proxy that requests for a URL go through, if any."""
        if self.proxy is not None or not self.trust_env:
            return self.proxy
        parts = urlsplit(url)
        if parts.hostname is None or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
            return None
        return urllib.request.getproxies().get(parts.scheme)

    def tls_context(self) -> tls.SSLContext:
        """Return the context of secure connections."""
        if isinstance(self.ssl, tls.SSLContext):
            return self.ssl
        # a context made here and now heeds an SSL_CERT_FILE that was set after aiohttp was imported
        context = tls.create_default_context(
            cafile=os.fspath(self.ssl) if isinstance(self.ssl, str | os.PathLike) else None
        )
        if self.ssl is False:
            context.check_hostname = False
            context.verify_mode = tls.CERT_NONE
        return context

    def proxy_settings(self, url: str) -> tuple[dict[str, Any], dict[str, str]]:
        """Return arguments of a request that goes through a proxy, and headers that it needs; empty without one."""
        proxy = self.proxy_for(url)
        if proxy is None:
            return {}, {}
        proxy, login = split_login(proxy)
        if self.proxy_auth is not None:
            login = basic(*tuple(self.proxy_auth)[:2])
        secret = {"Proxy-Authorization": login} if login else {}
        # through a tunnel the proxy sees its own request alone
        return (
            ({"proxy": proxy, "proxy_headers": secret}, {}) if url.startswith("https:") else ({"proxy": proxy}, secret)
        )

    @property
    def is_plain(self) -> bool:
        """Whether a request is a matter of headers alone, so that no session of aiohttp's is needed."""
        known = isinstance(self.ssl, bool | str | os.PathLike | tls.SSLContext | None)
        return known and self.get_client is None and not self.client_kwargs

    async def current_headers(self) -> dict[str, str]:
        """Return the caller's headers as they are now; a callable is asked."""
        given = self.headers
        if callable(given):
            answer = given()
            given = await answer if inspect.isawaitable(answer) else answer
        headers = {str(name): str(value) for name, value in given.items()}
        if self.auth is not None and not any(name.lower() == "authorization" for name in headers):
            headers["Authorization"] = basic(*self.auth)
        if isinstance(self.token, str) and not any(name.lower() == "authorization" for name in headers):
            headers["Authorization"] = f"Bearer {self.token}"
        for name, value in headers.items():
            if any(character in name + value for character in "\r\n\0"):
                raise InvalidArgumentError(f"header {name!r} of storage_options has a line break in it")
        return headers


def basic(login: str, password: str) -> str:
    """Return the ``Authorization`` of user and password (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode("ascii")


@functools.lru_cache(4096)
def split_login(url: str) -> tuple[str, str | None]:
    """Take user and password out of a URL: returns the URL without them, and the ``Authorization`` they make."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url, None
    login, _, host = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    return urlunsplit(parts._replace(netloc=host)), basic(unquote(user), unquote(password))
