"""Headers of all samples: the beginning of each file, and no more of it."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np

from mlstac.errors import MissingFileError, ShardError
from mlstac.loading.original._sample_file import open_head
from mlstac.sample import Header
from mlstac.storage import Fetcher, Read, is_remote, redact

FIRST_BYTES = 16 * 1024
"""What is asked for at first: headers of a sample are a few hundred bytes, packed or not."""

_THREADS = 32
_BAR_FROM = 500

Item = TypeVar("Item")


class Head(NamedTuple):
    """What is known of a sample without its tensors."""

    size: int
    """Bytes of the file as stored."""
    header: Header


def read_heads(urls: Sequence[str], fetcher: Fetcher, *, what: str = "headers") -> list[Head]:
    """Read the headers of files, several at a time over a network; with a bar if there are many and someone looks.

    Raises
    ------
    StorageError, ShardError
        The first that went wrong.
    """
    if not urls:
        return []
    if not is_remote(urls[0]):
        return list(_watched(map(_read_local, urls), len(urls), what))

    def read(url: str) -> Head:
        return _read_remote(url, fetcher)

    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="mlstac-heads")
    try:
        return list(_watched(pool.map(read, urls), len(urls), what))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _read_local(path: str) -> Head:
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            return _read(lambda start, count: _take(file, start, count), size, path)
    except FileNotFoundError as error:
        raise MissingFileError(f"sample {path} is not there; main.json counts it: fetch the dataset again") from error


def _take(file: BinaryIO, start: int, count: int) -> bytes:
    file.seek(start)
    return file.read(count)


def _read_remote(url: str, fetcher: Fetcher) -> Head:
    size = fetcher.file_size(url)

    def take(start: int, count: int) -> bytes:
        buffer = np.empty(count, np.uint8)
        fetcher.fetch([Read(url, start, start + count, [(0, buffer.data)], size)])
        return buffer.tobytes()

    return _read(take, size, redact(url))


def _read(take: Callable[[int, int], bytes], size: int, name: str) -> Head:
    data = b""
    count = min(FIRST_BYTES, size)
    while True:
        data += take(len(data), count - len(data))
        header = open_head(data, name=name, file_size=size)
        if header is not None:
            return Head(size, header)
        if count >= size:
            raise ShardError(f"{name}: the file ends inside its header; fetch it again")
        count = min(size, count * 8)


def _watched(items: Iterator[Item], count: int, what: str) -> Iterator[Item]:
    if count < _BAR_FROM or sys.stderr is None or not sys.stderr.isatty():
        return items
    from tqdm import tqdm

    return iter(tqdm(items, total=count, desc=what, unit="sample", leave=False))
