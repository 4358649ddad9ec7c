"""The frames of a compressed shard, made by several threads and given back in order."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlstac.sample import checksum, compress_frame

AHEAD_BYTES = 32 * 2**20
"""Contents of frames that are handed to the threads ahead of the one that is written."""

GROUP_BYTES = 2**20
"""Contents of the frames that a thread makes in one go: a small one each would cost more to hand over than to make."""

Bytes = NDArray[np.uint8]


class MadeFrame(NamedTuple):
    """A frame as it is to be stored."""

    data: bytes
    checksum: int


def make_frames(contents: Iterable[Bytes], *, level: int, workers: Executor) -> Iterator[MadeFrame]:
    """Compress the contents of frames; what comes out, and in which order, does not depend on the threads.

    Parameters
    ----------
    contents : iterable of numpy.ndarray, shape (n,), uint8
    level : int
        1 to 22.
    workers : Executor
        Threads: zstd lets go of Python's lock while it works.
    """
    begun: deque[tuple[int, Future[list[MadeFrame]]]] = deque()
    ahead = 0
    for group in _groups(contents):
        size = sum(map(len, group))
        begun.append((size, workers.submit(_make, group, level)))
        ahead += size
        while ahead > AHEAD_BYTES:
            size, future = begun.popleft()
            yield from future.result()
            ahead -= size
    for _, future in begun:
        yield from future.result()


def _make(group: list[Bytes], level: int) -> list[MadeFrame]:
    frames = [compress_frame(data, level) for data in group]
    return [MadeFrame(frame, checksum(frame)) for frame in frames]


def _groups(contents: Iterable[Bytes]) -> Iterator[list[Bytes]]:
    group: list[Bytes] = []
    size = 0
    for data in contents:
        group.append(data)
        size += len(data)
        if size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
