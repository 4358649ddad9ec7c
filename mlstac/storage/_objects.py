"""Ranges and small files from everything else: object stores and whatever fsspec has a filesystem for."""

import asyncio
import errno
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from mlstac.errors import AccessError, FormatError, InvalidArgumentError, MissingFileError, ShardError, StorageError
from mlstac.storage._answers import Version
from mlstac.storage._conditions import AZURE
from mlstac.storage._filesystems import filesystem_class, options_of, own_closing
from mlstac.storage._options import StorageOptions
from mlstac.storage._reads import Read, Scatter
from mlstac.storage._retry import TransientError
from mlstac.storage._urls import redact, scheme_of, with_plain_scheme

_Key = tuple[str, str]


def _key_of(kind: Any, url: str) -> _Key:
    """What one filesystem serves: a scheme, and where URLs name the server, that server."""
    scheme, _, rest = url.partition("://")
    return _key_of_server(kind, f"{scheme}://{rest.partition('/')[0]}/")


@functools.lru_cache(256)  # asked at every read
def _key_of_server(kind: Any, server: str) -> _Key:
    return scheme_of(server), repr(sorted(options_of(kind, server).items()))


class ObjectSource:
    """Reads through fsspec's filesystems, made anew in this process, on this loop. One attempt a call.

    Parameters
    ----------
    storage_options : mapping or callable, optional
        As the filesystem takes them; a callable is asked again once the store refuses access.
    stall_s : float
        Seconds after which a request is given up.
    is_for : callable
        Tells whether the options are for the store of a URL; another is opened without them.
    """

    def __init__(
        self, storage_options: StorageOptions, *, stall_s: float, is_for: Callable[[str], bool] = bool
    ) -> None:
        self._options = storage_options
        self._more: dict[str, Any] = {}
        self._dropped: list[Any] = []
        self._stall_s = stall_s
        self._is_for = is_for
        self._filesystems: dict[_Key, Any] = {}
        self._opening = asyncio.Lock()
        self.requests = 0

    async def read(self, read: Read, scatter: Scatter) -> None:
        """Make one attempt at the rest of a read."""
        start = read.start + scatter.position
        data = await self._call(read.url, "cat_file", start=start, end=read.stop)
        if len(data) > read.stop - start:
            raise ShardError(
                f"{redact(read.url)}: {len(data)} bytes came where {read.stop - start} were asked for; the server "
                f"ignores byte ranges"
            )
        scatter.feed(memoryview(data))
        if len(data) < read.stop - start:
            holds = (await self.version(read.url)).size or 0
            if holds < read.stop:
                said = f", and the catalog says {read.size}" if read.size is not None else ""
                raise ShardError(f"{redact(read.url)} holds {holds} bytes{said}: it was cut short; upload it again")
            raise TransientError(f"the body was cut {read.stop - start - len(data)} bytes before its end")

    async def read_all(self, url: str, *, limit_bytes: int) -> bytearray:
        """Make one attempt at a whole file."""
        size = (await self.version(url)).size
        if size is not None and size > limit_bytes:
            raise FormatError(
                f"{redact(url)} holds {size} bytes, more than the {limit_bytes} that a file of its kind may have; "
                f"check the URL"
            )
        return bytearray(await self._call(url, "cat_file"))

    async def version(self, url: str) -> Version:
        """Make one attempt at a file's state."""
        info = await self._call(url, "info")
        if info.get("type") == "directory" or info.get("size") is None:
            raise MissingFileError(f"{redact(url)}: a folder, and a file was expected; check the URL")
        # stores have words of their own for it
        etag, modified = (
            next((str(info[word]) for word in words if info.get(word)), "") for words in (_ETAGS, _MODIFIED)
        )
        return Version(int(info["size"]), etag, modified)

    async def close(self) -> None:
        """Close what the filesystems hold open, as far as they allow."""
        for filesystem in (*self._filesystems.values(), *self._dropped):
            # the names that s3fs, gcsfs and adlfs have for it
            names = ("_s3", "_session", "service_client")
            client = next((found for name in names if (found := getattr(filesystem, name, None)) is not None), None)
            closing = getattr(client, "close", None)
            if closing is not None:
                result = closing()
                if inspect.isawaitable(result):
                    await result
        self._filesystems.clear()

    async def _open(self, url: str) -> tuple[Any, str]:
        scheme = scheme_of(url)
        kind = filesystem_class(url, scheme, refuse=StorageError, known="http(s), s3, gs, az or a path")
        key = _key_of(kind, url)
        async with self._opening:
            filesystem = self._filesystems.get(key)
            if filesystem is None:
                filesystem = self._filesystems[key] = await self._make(kind, url, scheme)
        return filesystem, filesystem._strip_protocol(with_plain_scheme(url))

    async def _make(self, kind: Any, url: str, scheme: str) -> Any:
        given: Mapping[str, Any] | None = None
        if self._is_for(url):
            given = self._options() if callable(self._options) else self._options
        options = options_of(kind, url) | dict(given or {}) | self._more
        if scheme in ("s3", "s3a"):
            # ten connections is botocore's default; how many are used is decided by the pace
            options["config_kwargs"] = {"max_pool_connections": 256, "retries": {"total_max_attempts": 1}} | dict(
                options.get("config_kwargs") or {}
            )
        try:
            return await self._made(kind, url, scheme, options)
        except TypeError as error:
            raise InvalidArgumentError(f"storage_options are not those of {scheme}://: {error}") from None

    async def _made(self, kind: Any, url: str, scheme: str, options: dict[str, Any]) -> Any:
        if getattr(kind, "async_impl", False):
            options |= {"asynchronous": True, "loop": asyncio.get_running_loop()}
        filesystem = await self._begin(functools.partial(kind, skip_instance_cache=True, **options), kind, url)
        if scheme in ("s3", "s3a"):
            filesystem.retries = 1  # retries are made and bounded in one place, above
        if scheme in ("az", "abfs", "abfss"):
            own_closing(filesystem)
        if getattr(filesystem, "async_impl", False) and hasattr(filesystem, "set_session"):
            await filesystem.set_session()
        return filesystem

    async def _begin(self, make: Callable[[], Any], kind: Any, url: str) -> Any:
        """Make a filesystem; FTP's and the like go to their server, and log in, when they are made."""
        if getattr(kind, "async_impl", False):
            return make()
        try:
            async with asyncio.timeout(self._stall_s):
                return await asyncio.get_running_loop().run_in_executor(None, make)
        except (TypeError, ValueError, ImportError):  # of the options, or the package
            raise
        except Exception as error:  # noqa: BLE001 - every client has classes of its own
            raise named_error(error, url, stall_s=self._stall_s) from None

    async def _call(self, url: str, name: str, **keywords: Any) -> Any:
        """Call a method of the filesystem with the path of a URL; with one made anew if access is refused."""
        filesystem, path = await self._open(url)
        try:
            return await self._try(url, filesystem, name, path, keywords)
        except AccessError as error:
            # credentials may have expired: a new filesystem reads those of today
            await self._drop(url, filesystem, anonymous="redentials" in str(error.__context__))
        filesystem, path = await self._open(url)
        return await self._try(url, filesystem, name, path, keywords)

    async def _drop(self, url: str, filesystem: Any, *, anonymous: bool) -> None:
        scheme = scheme_of(url)
        async with self._opening:
            key = _key_of(type(filesystem), url)
            if self._filesystems.get(key) is filesystem:
                self._dropped.append(self._filesystems.pop(key))  # others may still read through it
                if anonymous and scheme in ("s3", "s3a"):
                    self._more = {"anon": True}  # nobody gave any: the data may be public

    async def _try(self, url: str, filesystem: Any, name: str, path: str, keywords: dict[str, Any]) -> Any:
        self.requests += 1
        try:
            async with asyncio.timeout(self._stall_s):
                if getattr(filesystem, "async_impl", False):
                    return await getattr(filesystem, "_" + name)(path, **keywords)
                call = functools.partial(getattr(filesystem, name), path, **keywords)
                return await asyncio.get_running_loop().run_in_executor(None, call)
        except Exception as error:  # noqa: BLE001 - every client has classes of its own
            raise named_error(error, url, stall_s=self._stall_s) from None


def named_error(error: Exception, url: str, *, stall_s: float) -> Exception:
    """Return the error of this library that a filesystem's error stands for."""
    shown, said = redact(url), f"{type(error).__name__}: {str(error)[:200]}"
    text = said.lower().replace(" ", "")
    if isinstance(error, FileNotFoundError | IsADirectoryError) or "nosuchbucket" in text:
        return MissingFileError(f"{shown}: no such file; check the URL, and that the upload is complete")
    status = _status_of(error)
    if isinstance(error, PermissionError) or status in (401, 403) or any(word in text for word in _REFUSED):
        azure = scheme_of(url) in AZURE
        which = "connection_string, account_key, sas_token or credential" if azure else "credentials"
        public = "" if azure else " (or, for public data on S3, storage_options={'anon': True})"
        return AccessError(f"{shown}: access refused; give {which} in storage_options{public}")
    if status in (408, 429) or status >= 500 or getattr(error, "errno", None) == errno.EBUSY:
        busy = status in (429, 503) or status == 0
        return TransientError(f"the store answered {status or 'that it is busy'}", throttled=busy)
    if isinstance(error, TimeoutError):
        return TransientError(f"no answer within {stall_s:g} s")
    if "invalidrange" in text or "rangenotsatisfiable" in text or "requestedrange" in text:
        return ShardError(
            f"{shown}: the range lies beyond the file's end, so it was cut short or replaced; upload it again"
        )
    if any(word in text for word in ("slowdown", "reduceyourrequestrate", "429", "toomanyrequests")):
        return TransientError("the store asked for fewer requests", throttled=True)
    if isinstance(error, ConnectionError) or any(word in text for word in _BROKEN):
        return TransientError(type(error).__name__)
    return StorageError(f"{shown}: {said}")


def _status_of(error: BaseException) -> int:
    """HTTP status that an error of s3fs, gcsfs or Azure's client stands for; 0 where there is none."""
    for one in (error, error.__cause__):
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        else:
            found = getattr(one, "status_code", None) or getattr(one, "code", None) or getattr(one, "status", None)
        if isinstance(found, int):
            return found
    return 0


_ETAGS = ("ETag", "etag", "md5", "md5Hash", "content_md5")
_MODIFIED = ("LastModified", "last_modified", "updated", "mtime", "modified")
_REFUSED = (
    "nocredentials",
    "unabletolocatecredentials",
    "(401)",
    "unauthorized",
    "forbidden",
    "invalidcredentials",
    "accessdenied",
    "signaturedoesnotmatch",
    "invalidaccesskeyid",
    "expiredtoken",
    "error_perm:530",  # of FTP: not logged in
)
# Clients of object stores have many private classes; their names and words are all that there is to go by.
_BROKEN = (
    "endpointconnection",
    "connectionclosed",
    "httpclient",
    "clienterror",
    "payload",
    "disconnected",
    "incompleteread",
    "responsestreaming",
    "timeout",
    "internal",
    "unavailable",
    "reset",
    "badgateway",
    "erroroccurred(5",
)
