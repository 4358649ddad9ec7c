"""What to read, and where each byte of it goes as it comes in."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mlstac.errors import InvalidArgumentError, RangeError

# Windows smaller than this are filled through a buffer: one receive a window of 100 bytes would cost more than the
# copy.
_SMALL_WINDOW_BYTES = 16_384


class Read(NamedTuple):
    """A range of bytes of one file, and its destinations."""

    url: str
    """The file."""

    start: int
    """First byte."""

    stop: int
    """One past the last byte."""

    into: Sequence[tuple[int, memoryview]]
    """(offset inside the read, writable destination), ascending, not overlapping; bytes outside all of them are
    dropped."""

    size: int | None = None
    """The file's size in bytes as the catalog has it, if known: the server must say the same."""

    mark: str = ""
    """Which file of that URL and size is meant, in words of the caller's: a cache keeps those of two marks apart."""


def check_read(read: Read) -> None:
    """Refuse a read that cannot be meant.

    Raises
    ------
    InvalidArgumentError
        If the range is reversed or leaves the file, or a destination is read-only, overlaps another or leaves the
        range.
    """
    length = read.stop - read.start
    if read.start < 0 or length < 0 or (read.size is not None and read.stop > read.size):
        raise InvalidArgumentError(f"bytes {read.start} to {read.stop} are not a range of a file of {read.size} bytes")
    end = 0
    for offset, view in read.into:
        if view.readonly or not view.c_contiguous:
            raise InvalidArgumentError("a destination must be a writable, contiguous buffer")
        if offset < end or offset + view.nbytes > length:
            raise InvalidArgumentError(
                f"destination at {offset} of {view.nbytes} bytes overlaps another or leaves its read of {length} bytes"
            )
        end = offset + view.nbytes


class Scatter:
    """The place of the next byte of a read: fill `window`, tell it with `advance`.

    Parameters
    ----------
    into : sequence of (int, memoryview)
        As in `Read`.
    length : int
        Bytes of the whole read.
    """

    __slots__ = ("_index", "_pieces", "length", "position")

    def __init__(self, into: Sequence[tuple[int, memoryview]], length: int) -> None:
        self._pieces = [
            (offset, offset + view.nbytes, view if view.format == "B" and view.ndim == 1 else view.cast("B"))
            for offset, view in into
            if view.nbytes
        ]
        self.length = length
        self.position = 0
        self._index = 0

    @property
    def remaining(self) -> int:
        """Bytes still to come."""
        return self.length - self.position

    def rewind(self) -> None:
        """Begin again: the next byte is the read's first."""
        self.position = self._index = 0

    def window(self, gap: memoryview) -> memoryview | None:
        """Return writable memory for the next bytes: a destination, or `gap` for bytes that nobody wants.

        None where the next destination is too small to be worth a receive of its own: use `feed`.
        """
        position = self.position
        while self._index < len(self._pieces) and self._pieces[self._index][1] <= position:
            self._index += 1
        if self._index == len(self._pieces):
            return gap[: self.length - position]
        start, stop, view = self._pieces[self._index]
        if position < start:
            return gap[: start - position] if start - position >= _SMALL_WINDOW_BYTES else None
        if stop - position >= _SMALL_WINDOW_BYTES or stop == self.length:
            return view[position - start :]
        return None

    def advance(self, count: int) -> None:
        """Say that `count` bytes were put into the window."""
        self.position += count

    def feed(self, data: memoryview) -> None:
        """Copy the next bytes to where they belong.

        Raises
        ------
        RangeError
            If there are more of them than the read has; nothing of the excess is kept.
        """
        if len(data) > self.remaining:
            raise RangeError(f"the server sent more than the {self.length} bytes that it announced")
        position, end = self.position, self.position + len(data)
        pieces, index = self._pieces, self._index
        while index < len(pieces) and pieces[index][0] < end:
            start, stop, view = pieces[index]
            first, last = max(start, position), min(stop, end)
            if first < last:
                view[first - start : last - start] = data[first - position : last - position]
            if stop > end:
                break
            index += 1
        self._index = index
        self.position = end


class Gather:
    """A body of unknown length, kept as it comes, up to a limit."""

    def __init__(self, limit: int, refuse: Callable[[], Exception]) -> None:
        self.data = bytearray()
        self._limit = limit
        self._refuse = refuse

    @property
    def position(self) -> int:
        """Bytes that have come."""
        return len(self.data)

    def window(self, gap: memoryview) -> memoryview | None:
        """None: always to be fed."""

    def advance(self, count: int) -> None:
        """Never called, for there is no window."""

    def feed(self, data: memoryview) -> None:
        """Keep the next bytes; raises what `refuse` makes if they are too many."""
        if len(self.data) + len(data) > self._limit:
            raise self._refuse()
        self.data += data
