"""How many steps of an epoch are read together: pure, from sizes and the kind of order alone.

Small samples are read for many steps at once, for a request each would cost more than their bytes. Samples in random
order are read together with what lies between them once that is cheaper than leaving it out, so it is done for as many
steps at once as memory allows, or not at all: sizes between would read the same bytes again and again.
"""

from collections.abc import Iterator
from typing import NamedTuple

from mlstac.loading._plan import GAP_BYTES, SMALL_BYTES

CHUNK_BYTES = 8 * 1024 * 1024
"""Bytes of a chunk of samples in order; and of a dataset that is read whole before it is shuffled."""

ALONE_BYTES = 512 * 1024
"""Samples from this size on are worth a request each: reading blocks of them whole saves nothing, and takes memory."""

GROWTH = 4
"""How much longer each of an epoch's first chunks is than the one before, so that it begins soon."""


class Reading(NamedTuple):
    """What decides how steps are read."""

    steps: int
    """Steps to make."""
    batch_size: int
    """Samples of a step, of this rank."""
    stride: int
    """Positions of the epoch from one step to the next: those of all ranks, and of the worker processes between."""
    start: int
    """Position of the first step."""
    sample_bytes: int
    remote: bool
    region: int
    """Positions whose samples are mixed with each other: 1 in order, a group of blocks, or the whole epoch."""
    length: int
    """Positions of the epoch."""
    max_in_flight_bytes: int
    scratch_bytes: int = 0
    """Bytes that each sample takes on its way besides: of windows, what is read and dropped."""
    shared_bytes: int = 0
    """The same of a sample whose neighbours are read with it, for their checksum; many samples share them."""
    neighbours_bytes: int = 0
    """Bytes of all samples that may be such neighbours: also of those that are not of the epoch."""

    @property
    def held_bytes(self) -> int:
        """Bytes of memory that a step takes until it is assembled, neighbours apart."""
        return (self.sample_bytes + self.scratch_bytes) * self.batch_size


def chunk_steps(reading: Reading) -> Iterator[int]:
    """Steps of each chunk, one after another; together all of them."""
    left = reading.steps
    sizes = _sizes(reading)
    while left > 0:
        size = max(1, min(next(sizes), left))
        yield size
        left -= size


def _sizes(reading: Reading) -> Iterator[int]:
    # samples in random order have no neighbours with which they share checksums
    alone = reading.shared_bytes * reading.batch_size if reading.region > 1 else 0
    on_way = reading.held_bytes + alone
    most = max(1, min(CHUNK_BYTES // reading.held_bytes, reading.max_in_flight_bytes // on_way))
    in_blocks = reading.region < reading.length
    together = reading.sample_bytes < (ALONE_BYTES if in_blocks else SMALL_BYTES)
    if not reading.remote or reading.region <= 1 or not together:
        yield from _growing(most)
    elif in_blocks:
        yield from _by_regions(reading)
    else:
        yield from _scattered(reading)


def _growing(most: int) -> Iterator[int]:
    size = 1
    while True:
        yield size
        size = min(size * GROWTH, most)


def _by_regions(reading: Reading) -> Iterator[int]:
    """One step, then the rest of the first group, then group by group: each is read once, in long ranges.

    Of large samples a group may be more than memory should hold; then it is read in parts.
    """
    most = max(1, reading.max_in_flight_bytes // 2 // reading.held_bytes)
    position = reading.start
    yield 1
    position += reading.stride
    while True:
        end = (position // reading.region + 1) * reading.region
        size = max(1, min(most, -(-(end - position) // reading.stride)))
        yield size
        position += size * reading.stride


def _scattered(reading: Reading) -> Iterator[int]:
    """Few samples by a request each, then as many as memory holds with all that lies between them."""
    total = reading.length * reading.sample_bytes
    neighbours = min(reading.neighbours_bytes, reading.length * reading.shared_bytes)
    budget = reading.max_in_flight_bytes // 2
    # so many that each has neighbours of its own; or more, where all neighbours there are take less
    alone = budget // (reading.held_bytes + reading.shared_bytes * reading.batch_size)
    together = (budget - neighbours) // reading.held_bytes
    most = max(1, alone, together)
    if total > min(CHUNK_BYTES, reading.max_in_flight_bytes):
        # fewer samples than this lie further apart than what is read between two
        apart = total // (GAP_BYTES + reading.sample_bytes) // reading.batch_size // 2
        size = 1
        while size <= min(apart, most, GROWTH * GROWTH):
            yield size
            size *= GROWTH
    while True:
        yield most
