"""Blocks of small rows: the rows of a stacked tensor that share one checksum, and so are read together.

Rows under 4 KiB have one ``ml:checksum`` for each ``checksum_rows`` of them, counted from the tensor's first row in
the shard. To check one row its block is read, at most 4 KiB.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlstac.loading._addresses import Located
from mlstac.loading._layout import TensorLayout

Integers = NDArray[np.int64]
Spans = dict[int, tuple[int, int, int, int]]
"""Shard -> first byte, end, number of rows, their bytes together: all rows of one tensor in it."""


class Blocks(NamedTuple):
    """The block of each of some rows."""

    starts: Integers
    stops: Integers

    def distinct(self, files: Integers) -> Integers:
        """Numbers of rows, one for each block."""
        _, first = np.unique(np.stack([files, self.starts]), axis=1, return_index=True)
        return np.sort(first)


def has_blocks(layout: TensorLayout) -> bool:
    """Whether rows of the tensor share checksums."""
    return layout.layout in (None, "stacked") and layout.checksum_rows > 1 and layout.row_bytes is not None


def blocks_of(layout: TensorLayout, located: Located, spans: Spans) -> Blocks:
    """Blocks of rows that are all there."""
    files, place = np.unique(located.files, return_inverse=True)
    begin = np.array([spans[file][0] for file in files.tolist()], np.int64)[place]
    end = np.array([spans[file][1] for file in files.tolist()], np.int64)[place]
    size = (layout.row_bytes or 1) * layout.checksum_rows
    starts = begin + (located.offsets - begin) // size * size
    return Blocks(starts, np.minimum(starts + size, end))
