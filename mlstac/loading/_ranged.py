"""A remote Parquet file as pyarrow wants files, read by ranges: its footer, then whole columns at once."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mlstac.loading._plan import plan_reads
from mlstac.storage import Fetcher, Read

FOOTER_BYTES = 256 * 1024
"""Read from the end at once: the footer of most files, and so one request for it."""


class RangedFile(io.RawIOBase):
    """Bytes of a remote file; what was fetched is kept until `forget`.

    Parameters
    ----------
    url : str
    size : int
        Bytes, as the collection has it.
    fetcher : Fetcher
    mark : str
        Its checksum or version: which file a cache may have it from.
    """

    def __init__(self, url: str, size: int, fetcher: Fetcher, *, mark: str = "") -> None:
        self._url = url
        self._size = size
        self._fetcher = fetcher
        self._mark = mark
        self._held: list[tuple[int, NDArray[np.uint8]]] = []
        self._position = 0
        self.fetch([(max(0, size - FOOTER_BYTES), size)])

    def fetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Fetch ranges, merged into few requests, all at once."""
        wanted = [(start, stop) for start, stop in ranges if self._find(start, stop - start) is None]
        if not wanted:
            return
        edges = np.array(wanted, np.int64).reshape(-1, 2)
        plan = plan_reads(np.zeros(len(edges), np.int64), edges[:, 0], edges[:, 1])
        reads = []
        for read in plan.reads:
            buffer = np.empty(read.stop - read.start, np.uint8)
            reads.append(Read(self._url, read.start, read.stop, [(0, buffer.data)], self._size, self._mark))
            self._held.append((read.start, buffer))
        self._fetcher.fetch(reads)

    def forget(self) -> None:
        """Let go of all but the footer."""
        del self._held[1:]

    def readinto(self, target: object) -> int:
        """Copy the next bytes; fetches those that were not."""
        view = memoryview(target).cast("B")  # type: ignore[arg-type]
        count = min(len(view), self._size - self._position)
        if count <= 0:
            return 0
        held = self._find(self._position, count)
        if held is None:
            self.fetch([(self._position, self._position + count)])
            held = self._find(self._position, count)
        assert held is not None
        view[:count] = held
        self._position += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Position of the next byte."""
        return self._position

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def _find(self, start: int, count: int) -> memoryview | None:
        for first, buffer in self._held:
            if first <= start and start + count <= first + len(buffer):
                return buffer.data[start - first : start - first + count]
        return None


class OpenFile(NamedTuple):
    """A Parquet file that can be read."""

    parquet: pq.ParquetFile
    ranged: RangedFile | None = None
    """Its bytes, where it is remote and read by columns."""
    mark: str = ""
    """Its checksum or version, where it is remote and one is known."""


def column_ranges(
    metadata: pq.FileMetaData, columns: Sequence[str], groups: Sequence[int] | None = None
) -> list[tuple[int, int]]:
    """Bytes of some columns, by their dotted paths or a beginning of those, in some row groups or all."""
    ranges = []
    paths = [metadata.schema.column(number).path for number in range(metadata.num_columns)]
    wanted = [
        number
        for number, path in enumerate(paths)
        if any(path == column or path.startswith(column + ".") for column in columns)
    ]
    for group in range(metadata.num_row_groups) if groups is None else groups:
        row_group = metadata.row_group(group)
        for number in wanted:
            chunk = row_group.column(number)
            first = chunk.data_page_offset
            if chunk.has_dictionary_page and chunk.dictionary_page_offset:
                first = min(first, chunk.dictionary_page_offset)
            ranges.append((first, first + chunk.total_compressed_size))
    return ranges
