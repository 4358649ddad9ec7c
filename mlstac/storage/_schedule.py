"""Which reads are under way: in the order in which they were asked for, within bounds of memory and of requests."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future, InvalidStateError
from typing import Any, Protocol

from mlstac.storage._pace import Pace
from mlstac.storage._reads import Read, Scatter
from mlstac.storage._retry import Clock, Retry, TransientError, persist
from mlstac.storage._urls import redact

WIRE_BYTES = 48 * 1024 * 1024
"""Bytes of requests under way from which another one waits. They share the link evenly: the more of them there are, the
later each ends, the first that somebody waits for with the last. So many bytes are what a link of 1 GB/s carries in two
round trips of 25 ms."""

WIRE_REQUESTS = 16
"""Requests that are under way whatever their bytes, as many as `Pace` begins with: object stores give each of them no
more than some 100 MB/s, however wide the link."""


class Job:
    """Reads that were asked for together, and the future that waits for them."""

    __slots__ = ("failed", "flights", "future", "left")

    def __init__(self, future: "Future[Any]", count: int) -> None:
        self.future = future
        self.left = count
        self.failed: BaseException | None = None
        self.flights: set[Flight] = set()


class Attempt(Protocol):
    """An attempt that is under way without a task."""

    def cancel(self) -> None:
        """Break it off; nobody is told."""


Begin = Callable[[Read, Scatter, Callable[[Exception | None], None]], Attempt | None]


class Flight:
    """A read under way: an attempt without a task at first, where there is a short way; else, and later, a task."""

    __slots__ = ("_schedule", "attempt", "holds", "job", "length", "read", "scatter", "task")

    def __init__(self, schedule: "Schedule", job: Job, read: Read) -> None:
        self._schedule = schedule
        self.job = job
        self.read = read
        self.length = read.stop - read.start
        self.scatter = Scatter(read.into, self.length)
        self.holds = True
        """Whether it has one of the places for requests."""
        self.attempt: Attempt | None = None
        self.task: asyncio.Task[None] | None = None

    def landed(self, fault: Exception | None) -> None:
        """Hear how the attempt without a task ended."""
        self.attempt = None
        self._schedule.landed(self, fault)

    def over(self, task: "asyncio.Task[None]") -> None:
        """Hear that the task ended."""
        self._schedule.over(self, cancelled=task.cancelled())

    def cancel(self) -> None:
        """Break it off."""
        if self.task is not None:
            self.task.cancel()
        elif self.attempt is not None:
            attempt, self.attempt = self.attempt, None
            attempt.cancel()
            self._schedule.counts["bytes"] += self.scatter.position
            self._schedule.over(self, cancelled=True)


class Schedule:
    """The queue of reads of one process. Everything here runs in the loop's thread.

    Parameters
    ----------
    attempt : callable
        Makes one attempt at the rest of a read: ``await attempt(read, scatter)``; with a fault as third argument, deals
        with that of an attempt that was made already.
    begin : callable, optional
        Begins the first attempt at a read without a task, where it can: ``begin(read, scatter, over)``.
    finish : callable
        Called with each read that is complete, before its job hears of it: ``await finish(read)``.
    max_bytes : int
        Bound of bytes of reads under way; a read larger than that goes alone. Of many reads no more than `WIRE_BYTES`
        are under way either.
    """

    def __init__(
        self,
        attempt: Callable[..., Awaitable[None]],
        begin: Begin | None,
        finish: Callable[[Read], Awaitable[None]] | None,
        *,
        max_bytes: int,
        retry: Retry,
        clock: Clock,
        pace: Pace,
    ) -> None:
        self._attempt = attempt
        self._begin = begin
        self._finish = finish
        self._max_bytes = max_bytes
        self._retry = retry
        self._clock = clock
        self._pace = pace
        self._queue: deque[tuple[Job, Read]] = deque()
        self._returning: deque[asyncio.Future[None]] = deque()
        self._flights: set[Flight] = set()
        self._active = 0
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
        for flight in list(job.flights):
            flight.cancel()
        self._pump()

    def close(self, error: Exception) -> None:
        """Refuse work from now on; all that is queued or under way fails, and is told so once nothing is written."""
        self._closed = error
        queued, self._queue = self._queue, deque()
        for job in {job for job, _ in queued}:
            if not job.flights:
                _tell(job.future, error)
            self._fail(job, error)
        for flight in list(self._flights):
            flight.cancel()

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
            if self._flights and not self._has_room(self._bytes_under_way + length):
                return
            self._queue.popleft()
            self._launch(Flight(self, job, read))

    def _has_room(self, under_way: int) -> bool:
        """Whether that many bytes may be under way."""
        return under_way <= self._max_bytes and (under_way <= WIRE_BYTES or self._active < WIRE_REQUESTS)

    def _held_back(self) -> bool:
        """Whether more reads wait, and for nothing but the limit of requests."""
        return self._active >= self._pace.limit and bool(self._queue or self._returning)

    def _launch(self, flight: Flight) -> None:
        self._active += 1
        self._bytes_under_way += flight.length
        self._flights.add(flight)
        flight.job.flights.add(flight)
        counts = self.counts
        if self._active > counts["in_flight_peak"]:
            counts["in_flight_peak"] = self._active
        if self._bytes_under_way > counts["bytes_in_flight_peak"]:
            counts["bytes_in_flight_peak"] = self._bytes_under_way
        now = self._clock.now()
        self._pace.started(now)
        if self._begin is not None and now >= self._quiet_until:
            flight.attempt = self._begin(flight.read, flight.scatter, flight.landed)
        if flight.attempt is None:
            self._go_on(flight, self._run(flight))

    def _go_on(self, flight: Flight, work: Coroutine[Any, Any, None]) -> None:
        flight.task = asyncio.get_running_loop().create_task(work)
        # not in the task's own `finally`: one that is cancelled before its first step never gets there
        flight.task.add_done_callback(flight.over)

    def landed(self, flight: Flight, fault: Exception | None) -> None:
        """Hear how an attempt without a task ended: with every byte, or with a fault that a task deals with."""
        self.counts["bytes"] += flight.scatter.position
        if fault is not None:
            self._go_on(flight, self._run(flight, fault=fault))
            return
        self._pace.finished(flight.length, waiting=self._held_back(), now=self._clock.now())
        if self._finish is not None:
            self._go_on(flight, self._run(flight, arrived=True))
        else:
            self.over(flight, cancelled=False)

    async def _run(self, flight: Flight, *, fault: Exception | None = None, arrived: bool = False) -> None:
        read = flight.read
        try:
            if not arrived:
                await self._persist(flight, fault)
            if self._finish is not None:
                await self._keep(flight)
        except Exception as error:  # noqa: BLE001 - whoever waits for the job gets it
            # for whoever knows which sample these bytes are of
            vars(error).update(url=redact(read.url), start=read.start, stop=read.stop)
            self._fail(flight.job, error)

    async def _keep(self, flight: Flight) -> None:
        assert self._finish is not None
        self._active -= 1
        flight.holds = False
        self._pump()  # the next request need not wait for the disk
        await self._finish(flight.read)

    def over(self, flight: Flight, *, cancelled: bool) -> None:
        """Give back what a read held, whichever way it ended."""
        job = flight.job
        if cancelled:
            job.failed = job.failed or self._closed or asyncio.CancelledError()
        self._active -= flight.holds
        self._bytes_under_way -= flight.length
        self._flights.discard(flight)
        job.flights.discard(flight)
        self._settle(job)
        if not self._flights:
            self._pace.idle()
        self._pump()

    async def _persist(self, flight: Flight, fault: Exception | None) -> None:
        read, scatter = flight.read, flight.scatter

        async def attempt() -> None:
            nonlocal fault
            if fault is not None:
                made, fault = fault, None
                return await self._attempt(read, scatter, made)
            if (quiet_s := self._quiet_until - self._clock.now()) > 0:
                await self._leave(flight, quiet_s)
            before = scatter.position
            try:
                await self._attempt(read, scatter)
            finally:
                self.counts["bytes"] += max(0, scatter.position - before)
            self._pace.finished(flight.length, waiting=self._held_back(), now=self._clock.now())
            return None

        async def pause(fault: TransientError, wait_s: float) -> None:
            self._note(fault, wait_s)
            await self._leave(flight, wait_s)

        def what() -> str:
            return f"bytes {read.start} to {read.stop} of {redact(read.url)}"

        await persist(
            attempt,
            what=what,
            length=flight.length,
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

    async def _leave(self, flight: Flight, wait_s: float) -> None:
        """Wait without holding up others, then come back before all that are still queued."""
        self._active -= 1
        flight.holds = False
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
        flight.holds = True

    def _fail(self, job: Job, error: BaseException) -> None:
        if job.failed is None:
            job.failed = error
            for flight in list(job.flights):
                if flight.task is None or flight.task is not asyncio.current_task():
                    flight.cancel()

    def _settle(self, job: Job) -> None:
        """Count one read of a job as over; tell its future when all are, and nothing is written any more."""
        job.left -= 1
        if job.failed is not None:
            if job.flights:
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
