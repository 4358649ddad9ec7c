"""An event loop of our own in a daemon thread."""

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Executor, Future, InvalidStateError, ThreadPoolExecutor
from typing import Any, TypeVar, TypeVarTuple

from mlstac.errors import StorageError
from mlstac.storage._waiting import result_of

_ADDRESS_LIFE_S = 60.0

T = TypeVar("T")
Words = TypeVarTuple("Words")


class _DaemonExecutor(ThreadPoolExecutor):
    """Runs each call in a daemon thread of its own.

    The standard pool is joined at exit, and a name server or a disk that hangs must not hold up the end of the program.
    asyncio takes nothing but its subclasses.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except Exception as error:  # noqa: BLE001 - whoever waits for the call gets it
                    future.set_exception(error)

        threading.Thread(target=work, name="mlstac-call", daemon=True).start()
        return future


class _Loop(asyncio.SelectorEventLoop):
    """A loop that asks for the addresses of a host once a minute, and hands them out in turn.

    A selector loop on every system: Windows' own keeps a receive buffer lent out between steps.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[Any, ...], tuple[float, asyncio.Future[list[Any]]]] = {}
        self._calls: set[asyncio.Future[Any]] = set()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Words], T], *args: *Words
    ) -> "asyncio.Future[T]":
        """Have a function called in a thread, as the base class does."""
        future = super().run_in_executor(executor, func, *args)
        self._calls.add(future)
        future.add_done_callback(self._calls.discard)
        return future

    async def calls_over(self, timeout_s: float) -> None:
        """Wait until the calls in threads that are under way have been heard of, but no longer than that."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=timeout_s)

    async def getaddrinfo(self, *arguments: Any, **keywords: Any) -> list[Any]:
        """Return the addresses of a host, as the base class does."""
        key = (*arguments, *sorted(keywords.items()))
        expires, asked = self._known.get(key, (0.0, None))
        if asked is None or self.time() > expires or (asked.done() and (asked.cancelled() or asked.exception())):
            asked = asyncio.ensure_future(super().getaddrinfo(*arguments, **keywords))
            self._known[key] = (self.time() + _ADDRESS_LIFE_S, asked)
        found = await asyncio.shield(asked)
        result = list(found)
        found.append(found.pop(0))
        return result


class DaemonWorker:
    """One daemon thread that does one thing after the other; an executor as far as asyncio asks for one.

    The thread begins with the first call, and ends with `close`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def call(self, function: Callable[..., Any], *arguments: Any) -> "asyncio.Future[Any]":
        """Have a function called, from within a running loop; its result is to be awaited."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()

        def work() -> None:
            try:
                result, error = function(*arguments), None
            except Exception as caught:  # noqa: BLE001 - whoever waits for the call gets it
                result, error = None, caught
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(tell, result, error)

        def tell(result: Any, error: Exception | None) -> None:
            if not waiter.done():
                waiter.set_result(result) if error is None else waiter.set_exception(error)

        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._queue.put(work)
        return waiter

    def close(self) -> None:
        """End the thread once it has done what was asked."""
        self._queue.put(None)

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            work()


def closed_error() -> StorageError:
    """Return what those hear who wait for a read of something that was closed."""
    return StorageError("the connections were closed while this was being read; read again, and it opens them anew")


class LoopThread:
    """An event loop that runs in a daemon thread until it is stopped.

    It belongs to the process that made it: in a forked child nothing of it may be touched.
    """

    def __init__(self, name: str) -> None:
        self.pid = os.getpid()
        self.loop = _Loop()
        self.loop.set_default_executor(_DaemonExecutor(max_workers=1))
        self._waiting: set[Future[Any]] = set()
        self._ended = False
        self._end: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have a plain function called in the loop."""
        self.loop.call_soon_threadsafe(function, *arguments)

    def watch(self, future: "Future[Any]") -> None:
        """See to it that a future is done once the thread has ended: to be called before its work is handed over."""
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        if self._ended:
            self._release()

    def _release(self) -> None:
        self._ended = True
        for future in list(self._waiting):
            with contextlib.suppress(InvalidStateError):  # done meanwhile
                future.set_exception(closed_error())

    def run(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Await something in the loop, and return what it returns."""

        async def call() -> Any:
            return await work()

        coroutine = call()
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        except RuntimeError:  # closed meanwhile
            coroutine.close()
            raise closed_error() from None
        self.watch(future)
        try:
            return result_of(future)
        except CancelledError:
            raise closed_error() from None

    def stop(
        self,
        cleanup: Callable[[], Awaitable[None]],
        *,
        wait: bool,
        settle: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Clean up in the loop, then end the thread; from any thread, more than once, and from finalizers.

        What runs in the loop is cancelled first, and before that comes `settle`.
        """
        if self.pid != os.getpid() or self.loop.is_closed():
            return

        async def finish() -> None:
            try:
                if settle is not None:
                    await settle()
                others = asyncio.all_tasks() - {asyncio.current_task()}
                for task in others:
                    task.cancel()
                # connections that were being made are closed by their tasks, the others by the clean-up
                await asyncio.gather(*others, return_exceptions=True)
                await cleanup()
                await asyncio.sleep(
                    0
                )  # transports close their sockets in the step after the one in which they are told
            finally:
                self.loop.stop()

        def begin() -> None:
            if self._end is None:  # else the second end would break off the first
                self._end = self.loop.create_task(finish())

        with contextlib.suppress(RuntimeError):  # closed meanwhile
            self.loop.call_soon_threadsafe(begin)
        if wait and threading.current_thread() is not self._thread:
            self._thread.join(timeout=10)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            pending = asyncio.all_tasks(self.loop)
            for task in pending:
                task.cancel()
            with contextlib.suppress(RuntimeError):
                self.loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
                self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()
            self._release()
