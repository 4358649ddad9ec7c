"""Which ids have been used: 8 bytes an id, whatever its length."""

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import xxhash

_NUMBERED: Final = re.compile(r"(.+)-(\d{7}|[1-9]\d{7,9})", re.ASCII)
"""Seven digits, or more from the ten-millionth sample on."""
_EMPTY = 0
_FIRST_SIZE = 1 << 12


class Ids:
    """A set of ids that keeps only 64-bit hashes, in an open-addressed table at most half full (16-32 bytes an id).

    Two different ids share a hash with a probability of 3e-8 among a million and 3e-4 among a hundred million.
    """

    def __init__(self) -> None:
        self._table = array("Q", bytes(8 * _FIRST_SIZE))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def find(self, name: str) -> tuple[int, bool]:
        """The hash of an id, for `put`, and whether it is there."""
        key, table = xxhash.xxh3_64_intdigest(name.encode()) or 1, self._table
        mask = len(table) - 1
        slot = key & mask
        while (held := table[slot]) != _EMPTY:
            if held == key:
                return key, True
            slot = (slot + 1) & mask
        return key, False

    def __contains__(self, name: str) -> bool:
        return self.find(name)[1]

    def add(self, name: str) -> bool:
        """Add an id; False where it is there already."""
        return self.put(xxhash.xxh3_64_intdigest(name.encode()) or 1)

    def passing(self, names: Iterable[str]) -> Iterator[str]:
        """Ids one after another, each added as it passes."""
        for name in names:
            self.add(name)
            yield name

    def put(self, key: int) -> bool:
        """Add the hash of an id; False where it is there already."""
        if self._count * 2 >= len(self._table):
            self._grow()
        if not self._insert(self._table, key):
            return False
        self._count += 1
        return True

    @staticmethod
    def _insert(table: "array[int]", key: int) -> bool:
        mask = len(table) - 1
        slot = key & mask
        while (held := table[slot]) != _EMPTY:
            if held == key:
                return False
            slot = (slot + 1) & mask
        table[slot] = key
        return True

    def _grow(self) -> None:
        larger = array("Q", bytes(16 * len(self._table)))
        for key in self._table:
            if key != _EMPTY:
                self._insert(larger, key)
        self._table = larger


def numbers_after(ids: Iterable[str], counts: Mapping[str, int]) -> dict[str, int]:
    """The first number in each split after those that ids are made of (``train-0000042``), and not below its count.

    It is the number of its samples, unless a shard is left out or samples have such ids by their author's choice.
    """
    first = dict(counts)
    for name in ids:
        match = _NUMBERED.fullmatch(name)
        if match is not None and match[1] in first:
            first[match[1]] = max(first[match[1]], int(match[2]) + 1)
    return first
