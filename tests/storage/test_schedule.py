"""Reads that fail while others of the same job are only just begun: nobody waits for ever, and no place is lost."""

import asyncio
from concurrent.futures import CancelledError, Future

import pytest

from mlstac.errors import MissingFileError, StorageError
from mlstac.storage._pace import Pace
from mlstac.storage._reads import Read
from mlstac.storage._retry import Clock, Retry
from mlstac.storage._schedule import WIRE_BYTES, WIRE_REQUESTS, Job, Schedule


class Stage:
    """A schedule of two requests at a time, whose reads of one byte end when the test says so."""

    def __init__(self, count):
        self.gates = [asyncio.get_running_loop().create_future() for _ in range(count)]
        self.schedule = Schedule(
            self.attempt, None, None, max_bytes=100, retry=Retry(), clock=Clock(), pace=Pace(start=2, cap=2)
        )

    async def attempt(self, read, scatter):
        await self.gates[read.start]
        scatter.feed(memoryview(b"x"))

    def submit(self, numbers):
        future = Future()
        reads = [Read("u", n, n + 1, [(0, memoryview(bytearray(1)))]) for n in numbers]
        job = Job(future, len(reads))
        self.schedule.add(job, reads)
        return future, job


async def steps(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_read_that_fails_in_the_step_in_which_another_begins_leaves_nobody_waiting():
    async def run():
        stage = Stage(4)
        failing, _ = stage.submit([0, 1, 2])
        await steps()
        # both go on in the same turn of the loop: the first makes room for the third, the second ends the job
        stage.gates[0].set_result(None)
        stage.gates[1].set_exception(MissingFileError("gone"))
        await steps()
        assert failing.done()
        assert stage.schedule.active == 0
        after, _ = stage.submit([3])
        stage.gates[3].set_result(None)
        await steps()
        return failing, after

    failing, after = asyncio.run(run())
    with pytest.raises(MissingFileError, match="gone"):
        failing.result(0)
    assert after.result(0) is None


@pytest.mark.parametrize("how", ["drop", "close"])
def test_reads_given_up_before_their_first_step_leave_no_trace(how):
    async def run():
        stage = Stage(2)
        future, job = stage.submit([0, 1])
        if how == "drop":
            future.cancel()
            stage.schedule.drop(job)
        else:
            stage.schedule.close(StorageError("closed"))
            stage.schedule._fail(job, StorageError("closed"))
        await steps()
        assert stage.schedule.active == 0
        assert not job.flights
        return future

    future = asyncio.run(run())
    with pytest.raises(CancelledError if how == "drop" else StorageError):
        future.result(0)


@pytest.mark.parametrize(
    ("length", "most"),
    [(WIRE_BYTES // 20, 20), (WIRE_BYTES // 2, WIRE_REQUESTS), (1000, 24)],
    ids=["as many as share the link well", "no fewer than a few", "all where they are short"],
)
def test_long_reads_wait_for_each_other_and_not_for_their_turn_on_a_crowded_link(length, most):
    async def run():
        loop, seen = asyncio.get_running_loop(), []
        pace = Pace(start=24, cap=256)
        gates = [loop.create_future() for _ in range(60)]

        async def attempt(read, scatter):
            seen.append(schedule.active)
            await gates[read.start // length]
            scatter.advance(length)

        schedule = Schedule(attempt, None, None, max_bytes=1 << 40, retry=Retry(), clock=Clock(), pace=pace)
        future = Future()
        reads = [Read("u", n * length, (n + 1) * length, []) for n in range(60)]
        schedule.add(Job(future, len(reads)), reads)
        for gate in gates:
            await steps(3)
            gate.set_result(None)
        await steps()
        assert future.result(0) is None
        return seen, pace.limit

    seen, limit = asyncio.run(run())
    assert max(seen[:24]) == most
    # what holds long reads back is not the limit of requests: raising that would say nothing
    assert (limit == 24) == (most < 24)
