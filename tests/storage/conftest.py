"""What the storage tests share: bytes by chance, and a clock that waits for nobody."""

import asyncio
import sys

import numpy as np
import pytest

from mlstac.storage import Fetcher, Read
from mlstac.storage._retry import Clock


class QuickClock(Clock):
    """Waits no time, and keeps a list of the waits that were asked for."""

    def __init__(self):
        self.waits = []
        self.passed_s = 0.0

    def now(self):
        return self.passed_s

    def wall(self):
        return 1_700_000_000.0 + self.passed_s

    async def sleep(self, seconds):
        self.waits.append(seconds)
        self.passed_s += seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock():
    return QuickClock()


@pytest.fixture(scope="session")
def content():
    """A megabyte of noise."""
    return np.random.default_rng(7).bytes(1_000_000)


@pytest.fixture
def fetcher(clock):
    with Fetcher(clock=clock) as fetcher:
        yield fetcher


@pytest.fixture
def left_open(monkeypatch):
    """What was found open when nothing referred to it any more: it is told where it is, in whichever thread."""
    found = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: found.append(str(told.exc_value)))
    return found


def ranges(url, spans, *, size=None):
    """Return reads of whole spans, each into a buffer of its own, and the buffers."""
    buffers = [bytearray(stop - start) for start, stop in spans]
    reads = [
        Read(url, start, stop, [(0, memoryview(buffer))], size)
        for (start, stop), buffer in zip(spans, buffers, strict=True)
    ]
    return reads, buffers


def assert_fetches(fetcher, url, content, spans, *, size=None):
    """Fetch some spans and hold them against the content."""
    reads, buffers = ranges(url, spans, size=size)
    fetcher.fetch(reads)
    for (start, stop), buffer in zip(spans, buffers, strict=True):
        assert buffer == content[start:stop]
