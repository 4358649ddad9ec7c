"""What lives behind a fetcher in one process: the loop, its connections, the queue and the cache."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from mlstac.errors import ChangedError, MlstacError, ShardError
from mlstac.storage._address import store_of
from mlstac.storage._answers import Version
from mlstac.storage._cache import Cache
from mlstac.storage._loop import DaemonWorker, LoopThread, closed_error
from mlstac.storage._objects import ObjectSource
from mlstac.storage._options import HttpOptions, StorageOptions
from mlstac.storage._pace import Pace
from mlstac.storage._pointer import POINTER_BYTES, is_pointer, pointer_error
from mlstac.storage._reads import Read, Scatter
from mlstac.storage._retry import Clock, Retry, TransientError
from mlstac.storage._schedule import Schedule
from mlstac.storage._straight import Over, Straight
from mlstac.storage._urls import is_http, redact
from mlstac.storage._web import WebSource

_MOST_FILES_AT_ONCE = 64


class Config:
    """What a Fetcher is made of; all that travels to another process."""

    def __init__(
        self,
        storage_options: StorageOptions,
        *,
        max_in_flight_bytes: int,
        retry: Retry,
        timeout_s: float,
        max_requests: int,
        cache: Cache | None,
        clock: Clock,
    ) -> None:
        self.storage_options = storage_options if callable(storage_options) else dict(storage_options or {})
        self.max_in_flight_bytes = max_in_flight_bytes
        self.retry = retry
        self.timeout_s = timeout_s
        self.max_requests = max_requests
        self.cache = cache
        self.clock = clock
        self.home: str | None = None
        self.store: tuple[str, str] | None = None

    @property
    def store_options(self) -> Mapping[str, Any]:
        """What is known of the store without asking anybody."""
        return {} if callable(self.storage_options) else self.storage_options

    def is_for(self, url: str) -> bool:
        """Whether the caller's options are for the store of a URL: any, until a fetcher is bound to one."""
        return self.store is None or self.store == store_of(url, self.store_options)


class Engine:
    """All that lives: one loop, its connections and its queue. Belongs to one process."""

    def __init__(self, config: Config) -> None:
        self.thread = LoopThread("mlstac-fetcher")
        self.versions: dict[str, Version] = {}
        self._web: WebSource | None = None
        self.objects = ObjectSource(config.storage_options, stall_s=config.timeout_s, is_for=config.is_for)
        self.schedule: Schedule
        self._config = config
        self.cache = config.cache
        self.cache_bytes = 0
        self._writer = DaemonWorker("mlstac-cache")
        self.thread.run(self._open)

    async def _open(self) -> None:
        config = self._config
        pace = Pace(start=min(16, config.max_requests), cap=config.max_requests)
        self.schedule = Schedule(
            self._attempt,
            self._begin,
            self._keep if config.cache is not None else None,
            max_bytes=config.max_in_flight_bytes,
            retry=config.retry,
            clock=config.clock,
            pace=pace,
        )

    @property
    def web(self) -> WebSource:
        """The source for http(s); made, in the loop, when it is first needed: other stores have other options."""
        if self._web is None:
            config = self._config
            # a dataset at S3 may name files at a web server, which knows no options of S3
            is_web = config.home is None or is_http(config.home)
            options = HttpOptions.of(config.storage_options if is_web else None)
            wait_s = config.timeout_s
            self._web = WebSource(
                options,
                connect_s=wait_s,
                stall_s=wait_s,
                clock=config.clock,
                versions=self.versions,
                home=lambda: config.home,
            )
        return self._web

    def source(self, url: str) -> WebSource | ObjectSource:
        """Return what reads a URL."""
        return self.web if is_http(url) else self.objects

    @property
    def requests(self) -> int:
        """Requests made so far."""
        return self.objects.requests + (self._web.requests if self._web else 0)

    def _begin(self, read: Read, scatter: Scatter, over: Over) -> Straight | None:
        return self._web.begin(read, scatter, over) if self._web is not None else None

    async def _attempt(self, read: Read, scatter: Scatter, fault: Exception | None = None) -> None:
        try:
            if fault is not None:
                raise fault
            await self.source(read.url).read(read, scatter)
        except ChangedError:
            if self.cache is not None:
                self.cache.forget(read.url, read.size, mark=read.mark)
            raise
        except ShardError:
            if await self._is_pointer(read.url):
                raise pointer_error(read.url) from None
            raise

    async def _is_pointer(self, url: str) -> bool:
        """Look, once a file has shown to be another than it should, whether it is a Git LFS pointer."""
        try:
            return is_pointer(await self.source(url).read_all(url, limit_bytes=POINTER_BYTES))
        except (MlstacError, TransientError):
            return False

    async def _keep(self, read: Read) -> None:
        if self.cache is not None:
            await self._writer.call(self.cache.keep, read, self.versions.get(read.url))

    def take(self, reads: Sequence[Read]) -> list[Read]:
        """Fill what the cache has; return what is to be fetched."""
        if self.cache is None:
            return list(reads)
        missing: list[Read] = []
        for read in reads:
            left, version = self.cache.take(read)
            if version is not None:
                self.versions.setdefault(read.url, version)
                self.cache_bytes += read.stop - read.start - sum(part.stop - part.start for part in left)
            missing += left
        return missing

    async def _close(self) -> None:
        if self._web is not None:
            await self._web.close()
        with contextlib.suppress(Exception):
            await self.objects.close()
        self._writer.close()
        if self.cache is not None:
            self.cache.close()

    async def whole(self, urls: Sequence[str], limit_bytes: int) -> list[bytes]:
        """Read whole files of unknown size, some at a time."""
        gate = asyncio.Semaphore(max(1, min(_MOST_FILES_AT_ONCE, self._config.max_requests)))

        async def one(url: str) -> bytes:
            async with gate:
                try:
                    data = bytes(
                        await self.schedule.once(
                            lambda: self.source(url).read_all(url, limit_bytes=limit_bytes), redact(url)
                        )
                    )
                except Exception as error:
                    vars(error).update(url=redact(url))  # for whoever knows which sample that is
                    raise
                self.schedule.counts["bytes"] += len(data)
                return data

        tasks = [asyncio.ensure_future(one(url)) for url in urls]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    def small(self, url: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do something small with a file, from any thread but the loop's."""
        return self.thread.run(lambda: self.schedule.once(work, redact(url)))

    def stop(self, *, wait: bool) -> None:
        with contextlib.suppress(RuntimeError):  # closed already
            if self.thread.pid == os.getpid():
                self.thread.call(self.schedule.close, closed_error())
        self.thread.stop(self._close, wait=wait)
