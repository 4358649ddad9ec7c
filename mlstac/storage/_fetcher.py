"""The wall between plans and bytes: ranges in, filled buffers out."""

import asyncio
import contextlib
import os
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from typing import Any

from mlstac.errors import InvalidArgumentError
from mlstac.storage._address import store_of
from mlstac.storage._cache import Cache
from mlstac.storage._engine import Config, Engine
from mlstac.storage._loop import closed_error
from mlstac.storage._options import StorageOptions, split_login
from mlstac.storage._pointer import is_pointer, pointer_error
from mlstac.storage._reads import Read, check_read
from mlstac.storage._retry import Clock, Retry
from mlstac.storage._schedule import Job
from mlstac.storage._sizes import parse_size
from mlstac.storage._waiting import result_of
from mlstac.storage._web import origin_of

SMALL_FILE_BYTES = 64_000_000
"""The most that `read_bytes` takes by default: descriptions and catalogs, not shards."""


class Fetcher:
    """Reads byte ranges into memory that the caller gives.

    For http(s) through a loop of its own, for other schemes through fsspec's filesystems. Everything that lives
    (thread, loop, connections) is made at the first read and belongs to the process that made it: a Fetcher may be used
    before and after a fork, pickled, and shared by threads. It needs no closing for the program to end.

    Parameters
    ----------
    storage_options : mapping or callable, optional
        As fsspec takes them; or a callable that returns them, asked again once access is refused. For http(s):
        ``headers`` (a mapping, or a callable that returns one and is asked again on 401 and 403), ``auth``, ``ssl``,
        ``proxy``, ``proxy_auth``, ``trust_env``, ``client_kwargs``, ``get_client``; for the Hugging Face Hub ``token``
        and ``endpoint``.
    max_in_flight_bytes : int or str
        Bound of the bytes of reads under way, first come, first served. A read larger than that goes alone.
    retry : Retry
        Bounds of patience.
    timeout_s : float
        Seconds without a byte after which a request is broken off and repeated.
    max_requests : int
        The most requests under way at once; how many there are is found by trying (see `Pace`).
    cache : Cache, optional
        Where bytes are kept for the next time; consulted first.
    """

    def __init__(
        self,
        *,
        storage_options: StorageOptions = None,
        max_in_flight_bytes: int | str = "256MB",
        retry: Retry | None = None,
        timeout_s: float = 30.0,
        max_requests: int = 256,
        cache: Cache | None = None,
        clock: Clock | None = None,
    ) -> None:
        if timeout_s <= 0 or max_requests < 1:
            raise InvalidArgumentError(f"timeout_s ({timeout_s}) and max_requests ({max_requests}) must be above zero")
        self._config = Config(
            storage_options,
            max_in_flight_bytes=parse_size(max_in_flight_bytes),
            retry=retry or Retry(),
            timeout_s=timeout_s,
            max_requests=max_requests,
            cache=cache,
            clock=clock or Clock(),
        )
        self._reset()

    def _reset(self) -> None:
        self._engine: Engine | None = None
        self._finalizer: Any = None
        self._lock = threading.Lock()
        _FETCHERS.add(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self._config}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._config = state["config"]
        self._reset()

    def __enter__(self) -> "Fetcher":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def fetch(self, reads: Sequence[Read]) -> None:
        """Fill the destinations of some reads.

        Raises
        ------
        StorageError
            The first that went wrong: `MissingFileError`, `AccessError`, `UnavailableError`, `RangeError`,
            `ChangedError`.
        ShardError
            If a file is shorter or longer than its catalog says.
        """
        future = self.submit(reads)
        try:
            result_of(future)
        except BaseException:
            future.cancel()  # Ctrl-C: what is under way must not go on
            raise

    def submit(self, reads: Sequence[Read]) -> "Future[None]":
        """Begin to fill the destinations of some reads, after those submitted before.

        Returns
        -------
        concurrent.futures.Future
            Done when every byte is in its place; its error is as of `fetch`. Once it has failed, nothing is written any
            more. Cancelling it drops what is queued and breaks off what is under way; a byte or two may still arrive
            after that, so leave the destinations alone.
        """
        for read in reads:
            check_read(read)
        future: Future[None] = Future()
        wanted = [read for read in reads if read.stop > read.start]
        engine = self._living() if wanted else None
        if engine is not None:
            wanted = engine.take(wanted)
        if engine is None or not wanted:
            future.set_result(None)
            return future
        job = Job(future, len(wanted))
        engine.thread.watch(future)
        with contextlib.suppress(RuntimeError):  # closed by another thread: the future hears of it
            engine.thread.call(engine.schedule.add, job, wanted)

        def settle(done: "Future[None]") -> None:
            if done.cancelled():
                with contextlib.suppress(RuntimeError):  # the loop is closed: nothing is under way
                    engine.thread.call(engine.schedule.drop, job)

        future.add_done_callback(settle)
        return future

    def refetch(self, reads: Sequence[Read]) -> None:
        """Fill the destinations of some reads from the store, whatever the cache has of them; errors as of `fetch`.

        For bytes that came, and are not what their checksum says. What comes now is kept in the place of them.
        """
        for read in reads:
            self.forget(read)
        self.fetch(reads)

    def read_bytes(self, url: str, *, limit_bytes: int = SMALL_FILE_BYTES) -> bytes:
        """Return a whole file, of a server that need not know ranges; see `mlstac.storage.read_bytes`."""
        engine = self._living()
        data = bytes(engine.small(url, lambda: engine.source(url).read_all(url, limit_bytes=limit_bytes)))
        if is_pointer(data):
            raise pointer_error(url)
        return data

    def submit_files(self, urls: Sequence[str], *, limit_bytes: int) -> "Future[list[bytes]]":
        """Begin to read whole files of unknown size, several at a time, of servers that need not know ranges.

        Parameters
        ----------
        urls : sequence of str
            The files; all of them are held in memory together.
        limit_bytes : int
            A file larger than this is refused.

        Returns
        -------
        concurrent.futures.Future
            Of their bytes, in their order. Its error is the first that went wrong, with the file as ``url``; cancelling
            it breaks off what is under way.
        """
        future: Future[list[bytes]] = Future()
        if not urls:
            future.set_result([])
            return future
        engine = self._living()
        engine.thread.watch(future)

        def begin() -> None:
            task = asyncio.get_running_loop().create_task(engine.whole(urls, limit_bytes))
            task.add_done_callback(tell)

            def settle(done: "Future[list[bytes]]") -> None:
                if done.cancelled():
                    with contextlib.suppress(RuntimeError):  # the loop is closed: nothing is under way
                        engine.thread.call(task.cancel)

            future.add_done_callback(settle)

        def tell(task: "asyncio.Task[list[bytes]]") -> None:
            with contextlib.suppress(InvalidStateError):  # cancelled by its owner, or told already
                if task.cancelled():
                    future.set_exception(closed_error())
                elif (error := task.exception()) is not None:
                    future.set_exception(error)
                else:
                    future.set_result(task.result())

        with contextlib.suppress(RuntimeError):  # closed by another thread: the future hears of it
            engine.thread.call(begin)
        return future

    def file_size(self, url: str) -> int:
        """Return a file's size in bytes; see `mlstac.storage.file_size`."""
        engine = self._living()
        return int(engine.small(url, lambda: engine.source(url).version(url)).size)

    def mark_of(self, url: str) -> str:
        """Return the ETag of a file, else its date, for `Read.mark`; empty without a cache, and where neither is told.

        A cache that is told no mark has the bytes of a file that was written anew, in the same size, for the old ones.
        """
        if self._config.cache is None:
            return ""
        engine = self._living()
        version = engine.small(url, lambda: engine.source(url).version(url))
        return str(version.etag or version.modified)

    @property
    def endpoint(self) -> str | None:
        """The Hub that ``storage_options`` name, if they do."""
        options = self._config.storage_options
        found = None if callable(options) else options.get("endpoint")
        return None if found is None else str(found)

    def bind(self, url: str) -> None:
        """Keep `storage_options` for the store of a URL: headers and passwords for its host (scheme, host, port).

        Without it they go to the store of each URL that is read. Other stores are asked with none, or with what the
        environment has for them. A dataset names its files itself, so whoever reads one
        binds them to the host of its collection. It holds for reads that begin from now on, and in a pickle.
        """
        self._config.home = origin_of(split_login(url)[0])
        self._config.store = store_of(url, self._config.store_options)

    def stats(self) -> dict[str, float]:
        """Return what was done so far in this process.

        ``bytes`` received, ``requests`` made, ``retries``, ``throttled`` (answers that asked for fewer requests),
        ``waiting_s`` (seconds that reads waited to try again), ``in_flight`` and ``in_flight_peak`` (requests at once,
        now and at most), ``limit`` (how many are allowed now), ``bytes_in_flight_peak``, ``cache_bytes`` (that came
        from the cache).
        """
        engine = self._engine
        if engine is None:
            return dict.fromkeys((*_COUNTS, "requests", "waiting_s", "in_flight", "limit", "cache_bytes"), 0)
        schedule = engine.schedule
        return {
            **schedule.counts,
            "requests": engine.requests,
            "waiting_s": schedule.waiting_s,
            "in_flight": schedule.active,
            "limit": schedule.limit,
            "cache_bytes": engine.cache_bytes,
        }

    def forget(self, read: Read) -> None:
        """Have the cache take a range for absent, now and later: its bytes are not what they should be."""
        if self._config.cache is not None:
            self._config.cache.forget(read.url, read.size, read.start, read.stop, mark=read.mark)

    def close(self) -> None:
        """Break off what is under way and free thread and connections. The next read opens anew.

        Reads of other threads that are queued or under way fail with `StorageError`.
        """
        with self._lock:
            engine, self._engine = self._engine, None
            if self._finalizer is not None:
                self._finalizer.detach()
        if engine is not None:
            engine.stop(wait=True)

    def _living(self) -> Engine:
        with self._lock:
            if self._engine is None:
                self._engine = Engine(self._config)
                # also at the end of the program, and when the Fetcher is forgotten
                self._finalizer = weakref.finalize(self, self._engine.stop, wait=False)
            return self._engine


_COUNTS = ("bytes", "retries", "throttled", "in_flight_peak", "bytes_in_flight_peak")
_FETCHERS: "weakref.WeakSet[Fetcher]" = weakref.WeakSet()
_LEFT_BEHIND: list[object] = []


def _forget_parent() -> None:
    """Let go of the parent's loops in a forked child, without touching them: both share the selector behind them."""
    for fetcher in list(_FETCHERS):
        _LEFT_BEHIND.append(fetcher._engine)
        fetcher._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
