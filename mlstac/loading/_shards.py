"""Numbers for the shards that catalogs name, so that addresses are numbers alone."""

from itertools import count
from typing import NamedTuple

from mlstac.errors import CatalogError


class Shard(NamedTuple):
    """One file of samples."""

    url: str
    size: int
    """Bytes, as the catalog has it."""


class Shards:
    """Every shard that rows have named so far; only grows, and needs no lock: a number is never given twice."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._shards: dict[int, Shard] = {}
        self._next = count()

    def number(self, url: str, size: int) -> int:
        """Number of a shard.

        Raises
        ------
        CatalogError
            If rows disagree about its size.
        """
        number = self._numbers.get(url)
        if number is None:
            fresh = next(self._next)
            self._shards[fresh] = Shard(url, size)  # before its number can be seen
            number = self._numbers.setdefault(url, fresh)
        known = self._shards[number].size
        if known != size:
            raise CatalogError(f"catalog rows disagree about the size of {url}: {known} and {size} bytes")
        return number

    def __getitem__(self, number: int) -> Shard:
        return self._shards[number]
