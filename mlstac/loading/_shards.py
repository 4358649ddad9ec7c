"""Numbers for the shards that catalogs name, so that addresses are numbers alone."""

from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import CatalogError
from mlstac.sample import ZSTD, codec_of, import_zstandard
from mlstac.storage import redact


class Shard(NamedTuple):
    """One file of samples."""

    url: str
    size: int
    """Bytes, as the catalog has it."""
    codec: str | None = None
    """``"zstd"`` or ``"gzip"``, if it is compressed."""
    mark: str = ""
    """Checksum of the catalog part that names it: at one URL, another dataset's shards have another."""


class Shards:
    """Every shard that rows have named so far; only grows, and needs no lock: a number is never given twice."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._shards: dict[int, Shard] = {}
        self._next = count()
        self._compressed: set[int] = set()

    def number(self, url: str, size: int, mark: str = "") -> int:
        """Number of a shard.

        Raises
        ------
        CatalogError
            If rows disagree about its size.
        MissingPackageError
            If what decompresses it is not installed.
        """
        number = self._numbers.get(url)
        if number is None:
            fresh, codec = next(self._next), codec_of(url)
            if codec == ZSTD:
                import_zstandard(f"the shard {redact(url)}")
            self._shards[fresh] = Shard(url, size, codec, mark)  # before its number can be seen
            if codec is not None:
                self._compressed.add(fresh)
            number = self._numbers.setdefault(url, fresh)
        known = self._shards[number].size
        if known != size:
            raise CatalogError(f"catalog rows disagree about the size of {url}: {known} and {size} bytes")
        return number

    def compressed(self, files: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """Which of some shards, by their numbers, are compressed; None if none is."""
        if not self._compressed:
            return None
        found: NDArray[np.bool_] = np.isin(files, list(self._compressed))
        return found if found.any() else None

    def __getitem__(self, number: int) -> Shard:
        return self._shards[number]
