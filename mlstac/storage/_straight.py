"""An attempt at a read without a coroutine: by the way that the last read of that file took.

Where reads are many and small, what a read costs is what Python does for it; a task for each, and the dozen calls in it
that find out where and how to ask, cost more than the bytes.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from mlstac.storage._answers import Head
from mlstac.storage._connection import Connection, Sink
from mlstac.storage._reads import Read, Scatter

if TYPE_CHECKING:
    from mlstac.storage._web import WebSource

Over = Callable[[Exception | None], None]
"""Told once that the bytes are there (None), or what went wrong."""


class Way(NamedTuple):
    """How a range of a file was had: good for the next one, as long as nothing has changed."""

    place: str
    """The URL that answered: the file's own, or where a redirect led."""
    key: tuple[str, str, int]
    """Scheme, host and port of it."""
    request: bytes
    """Up to the number of the first byte."""
    headers_age: int
    home: str | None
    expires: float


class Straight:
    """One attempt at a read; see `WebSource.begin`."""

    __slots__ = ("_over", "_read", "_scatter", "_source", "_way", "connection")

    def __init__(self, source: "WebSource", way: Way, read: Read, scatter: Scatter, over: Over) -> None:
        self._source = source
        self._way = way
        self._read = read
        self._scatter = scatter
        self._over = over
        self.connection: Connection | None = None

    def cancel(self) -> None:
        """Break it off; nothing more is written, and nobody is told."""
        if self.connection is not None:
            self.connection.give_up(self)

    def accept(self, head: Head) -> Sink | None:
        """Check the answer, before its body comes."""
        return self._source.accept_range(head, self._read, self._scatter)

    def over(self, outcome: Head | Exception) -> None:
        """Say how it ended."""
        self.connection = None
        try:
            fault = self._source.settle(self._read.url, self._way, outcome)
        except Exception as error:  # noqa: BLE001 - whoever waits gets it, and else would wait for ever
            fault = error
        self._over(fault)
