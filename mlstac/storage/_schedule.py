"""Which reads are under way: in the order in which they were asked for, within bounds of memory and of requests."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from functools import partial
from typing import Any

from mlstac.storage._pace import Pace
from mlstac.storage._reads import Read, Scatter
from mlstac.storage._retry import Clock, Retry, TransientError, persist
from mlstac.storage._urls import redact


class Job:
    """Reads that were asked for together, and the future that waits for them."""

    __slots__ = ("failed", "future", "left", "tasks")

    def __init__(self, future: "Future[Any]", count: int) -> None:
        self.future = future
        self.left = count
        self.failed: BaseException | None = None
        self.tasks: set[asyncio.Task[None]] = set()


class Schedule:
    """The queue of reads of one process. Everything here runs in the loop's thread.

    Parameters
    ----------
    attempt : callable
        Makes one attempt at the rest of a read: ``await attempt(read, scatter)``.
    finish : callable
        Called with each read that is complete, before its job hears of it: ``await finish(read)``.
    max_bytes : int
        Bound of bytes of reads under way; a read larger than that goes alone.
    """

    def __init__(
        self,
        attempt: Callable[[Read, Scatter], Awaitable[None]],
        finish: Callable[[Read], Awaitable[None]] | None,
        *,
        max_bytes: int,
        retry: Retry,
        clock: Clock,
        pace: Pace,
    ) -> None:
        self._attempt = attempt
        self._finish = finish
        self._max_bytes = max_bytes
        self._retry = retry
        self._clock = clock
        self._pace = pace
        self._queue: deque[tuple[Job, Read]] = deque()
        self._returning: deque[asyncio.Future[None]] = deque()
        self._active = 0
        self._reads = 0
        self._bytes_under_way = 0
        self._quiet_until = 0.0
        self._closed: Exception | None = None
        self.counts = {"bytes": 0, "retries": 0, "throttled": 0, "in_flight_peak": 0, "bytes_in_flight_peak": 0}
        self.waiting_s = 0.0

    @property
    def active(self) -> int:
        """Requests under way."""
        return self._active

    @property
    def limit(self) -> int:
        """How many may be under way at once, as things stand."""
        return self._pace.limit

    def add(self, job: Job, reads: Sequence[Read]) -> None:
        """Put reads at the end of the queue."""
        if self._closed is not None:
            _tell(job.future, self._closed)
            return
        self._queue.extend((job, read) for read in reads)
        self._pump()

    def drop(self, job: Job) -> None:
        """Forget a cancelled job: its queued reads leave the queue, those under way are broken off."""
        self._queue = deque(entry for entry in self._queue if entry[0] is not job)
        for task in job.tasks:
            task.cancel()
        self._pump()

    def close(self, error: Exception) -> None:
        """Refuse work from now on; all that is queued or under way fails, and is told so once nothing is written."""
        self._closed = error
        queued, self._queue = self._queue, deque()
        for job in {job for job, _ in queued}:
            if not job.tasks:
                _tell(job.future, error)
            self._fail(job, error)

    async def once(self, work: Callable[[], Awaitable[Any]], what: str) -> Any:
        """Do something small with the same patience, out of turn."""
        result: list[Any] = []

        async def attempt() -> None:
            result.append(await work())

        async def pause(fault: TransientError, wait_s: float) -> None:
            self._note(fault, wait_s)
            await self._clock.sleep(wait_s)

        await persist(
            attempt, what=lambda: what, length=1, position=lambda: 0, retry=self._retry, clock=self._clock, pause=pause
        )
        return result[-1]

    def _pump(self) -> None:
        """Start what may start."""
        while self._returning and self._active < self._pace.limit:
            waiter = self._returning.popleft()
            if not waiter.done():
                self._active += 1
                waiter.set_result(None)
        while self._queue and self._active < self._pace.limit:
            job, read = self._queue[0]
            if job.failed is not None or job.future.cancelled():
                self._queue.popleft()
                self._settle(job)
                continue
            length = read.stop - read.start
            if self._reads and self._bytes_under_way + length > self._max_bytes:
                return
            self._queue.popleft()
            self._active += 1
            self._reads += 1
            self._bytes_under_way += length
            counts = self.counts
            counts["in_flight_peak"] = max(counts["in_flight_peak"], self._active)
            counts["bytes_in_flight_peak"] = max(counts["bytes_in_flight_peak"], self._bytes_under_way)
            self._pace.started(self._clock.now())
            holds = [True]
            task = asyncio.get_running_loop().create_task(self._run(job, read, length, holds))
            job.tasks.add(task)
            # not in the task's own `finally`: one that is cancelled before its first step never gets there
            task.add_done_callback(partial(self._over, job, length, holds))

    async def _run(self, job: Job, read: Read, length: int, holds: list[bool]) -> None:
        try:
            await self._persist(read, length, holds)
            if self._finish is not None:
                self._active -= 1
                holds[0] = False
                self._pump()  # the next request need not wait for the disk
                await self._finish(read)
        except Exception as error:  # noqa: BLE001 - whoever waits for the job gets it
            # for whoever knows which sample these bytes are of
            vars(error).update(url=redact(read.url), start=read.start, stop=read.stop)
            self._fail(job, error)

    def _over(self, job: Job, length: int, holds: list[bool], task: "asyncio.Task[None]") -> None:
        """Give back what a read held, whichever way it ended."""
        if task.cancelled():
            job.failed = job.failed or self._closed or asyncio.CancelledError()
        self._active -= holds[0]
        self._reads -= 1
        self._bytes_under_way -= length
        job.tasks.discard(task)
        self._settle(job)
        if not self._reads:
            self._pace.idle()
        self._pump()

    async def _persist(self, read: Read, length: int, holds: list[bool]) -> None:
        scatter = Scatter(read.into, length)

        async def attempt() -> None:
            if (quiet_s := self._quiet_until - self._clock.now()) > 0:
                await self._leave(holds, quiet_s)
            before = scatter.position
            try:
                await self._attempt(read, scatter)
            finally:
                self.counts["bytes"] += max(0, scatter.position - before)
            self._pace.finished(length, waiting=bool(self._queue) or bool(self._returning), now=self._clock.now())

        async def pause(fault: TransientError, wait_s: float) -> None:
            self._note(fault, wait_s)
            await self._leave(holds, wait_s)

        def what() -> str:
            return f"bytes {read.start} to {read.stop} of {redact(read.url)}"

        await persist(
            attempt,
            what=what,
            length=length,
            position=lambda: scatter.position,
            retry=self._retry,
            clock=self._clock,
            pause=pause,
        )

    def _note(self, fault: TransientError, wait_s: float) -> None:
        self.counts["retries"] += 1
        self.waiting_s += wait_s
        if fault.throttled:
            self.counts["throttled"] += 1
            self._pace.refused(self._clock.now())
        if fault.retry_after_s:
            # it was not this one read that the server has had enough of
            self._quiet_until = max(self._quiet_until, self._clock.now() + fault.retry_after_s)

    async def _leave(self, holds: list[bool], wait_s: float) -> None:
        """Wait without holding up others, then come back before all that are still queued."""
        self._active -= 1
        holds[0] = False
        self._pump()
        await self._clock.sleep(wait_s)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._returning.append(waiter)
        self._pump()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._active -= 1  # the place was given in the very step in which the read was cancelled
            raise
        holds[0] = True

    def _fail(self, job: Job, error: BaseException) -> None:
        if job.failed is None:
            job.failed = error
            for task in job.tasks:
                if task is not asyncio.current_task():
                    task.cancel()

    def _settle(self, job: Job) -> None:
        """Count one read of a job as over; tell its future when all are, and nothing is written any more."""
        job.left -= 1
        if job.failed is not None:
            if job.tasks:
                return
            _tell(job.future, job.failed)
        elif job.left == 0:
            _tell(job.future, None)


def _tell(future: "Future[Any]", error: BaseException | None) -> None:
    try:
        if error is None:
            future.set_result(None)
        elif not isinstance(error, asyncio.CancelledError):
            future.set_exception(error)
        else:
            future.cancel()
    except InvalidStateError:
        pass  # cancelled by its owner, or told already
