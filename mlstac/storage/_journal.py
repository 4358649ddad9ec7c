"""Which byte ranges of a shard are there: records in a journal, and an index of them in memory.

A record of 32 bytes is appended after its bytes are in the file, and carries their digest. A journal needs no lock:
appends do not tear each other, a record torn by a crash fails its own check, and bytes that are not what their record
says are as good as absent.
"""

from bisect import bisect_right, insort
from typing import Any

import numpy as np
from numpy.typing import NDArray

RECORD_BYTES = 32
_RECORD = np.dtype([("start", "<u8"), ("stop", "<u8"), ("digest", "<u8"), ("check", "<u8")])
_LATE_RECORDS = 512


def _check_of(records: NDArray[Any]) -> NDArray[np.uint64]:
    """Return what the fourth word of sound records is: the other three, mixed so that zeros or a shift do not pass."""
    mixed = records["start"] * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ records["stop"]) * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed = (mixed ^ records["digest"]) * np.uint64(0x165667B19E3779F9)
    return np.asarray(mixed ^ (mixed >> np.uint64(29)) ^ np.uint64(0x6D6C737461630001), np.uint64)


def write_records(spans: list[tuple[int, int, int]]) -> bytes:
    """Return the records of (start, stop, digest of the bytes)."""
    records = np.array([(*span, 0) for span in spans], _RECORD)
    records["check"] = _check_of(records)
    return records.tobytes()


def read_records(data: bytes) -> NDArray[Any]:
    """Return the sound records among whole ones; a torn tail is left for later."""
    records = np.frombuffer(data, _RECORD, len(data) // RECORD_BYTES)
    sound: NDArray[Any] = records[(_check_of(records) == records["check"]) & (records["start"] < records["stop"])]
    return sound


class Index:
    """Disjoint ranges with their digests, and which of them this process has verified."""

    def __init__(self) -> None:
        self._starts = np.empty(0, np.int64)
        self._stops = np.empty(0, np.int64)
        self._digests = np.empty(0, np.uint64)
        self._verified = np.empty(0, bool)
        # those of late, sorted: an array is not grown by one
        self._late: list[tuple[int, int, int, bool]] = []

    def __len__(self) -> int:
        return len(self._starts) + len(self._late)

    def load(self, records: NDArray[Any]) -> None:
        """Take records of a journal, in its order; where ranges meet, the newest of one range holds, else the first."""
        if len(records) <= _LATE_RECORDS and len(self):
            for start, stop, digest, _ in records.tolist():
                there = self.find(start, stop)
                if len(there) == 1 and there[0][:2] == (start, stop) and there[0][2] != digest:
                    self.drop(start, stop)  # another process took it for bad
                    there = []
                if not there:
                    insort(self._late, (start, stop, digest, False))
            return
        self._merge()
        starts = np.concatenate([self._starts, records["start"].astype(np.int64)])
        stops = np.concatenate([self._stops, records["stop"].astype(np.int64)])
        digests = np.concatenate([self._digests, records["digest"]])
        verified = np.concatenate([self._verified, np.zeros(len(records), bool)])
        order = np.lexsort((-np.arange(len(starts)), stops, starts))
        kept: NDArray[Any] | list[int] = order
        if (starts[order][1:] < stops[order][:-1]).any():
            end, kept = -1, []
            for index in order.tolist():
                if starts[index] >= end:
                    kept.append(index)
                    end = int(stops[index])
        self._starts, self._stops, self._digests, self._verified = (
            starts[kept],
            stops[kept],
            digests[kept],
            verified[kept],
        )

    def add(self, start: int, stop: int, digest: int) -> None:
        """Take a range that was just written, and is not there yet."""
        insort(self._late, (start, stop, digest, True))
        if len(self._late) > _LATE_RECORDS:
            self._merge()

    def find(self, start: int, stop: int) -> list[tuple[int, int, int, bool]]:
        """Return (start, stop, digest, verified) of the ranges that meet [start, stop), in order."""
        first = max(0, int(np.searchsorted(self._starts, start, "right")) - 1)
        last = int(np.searchsorted(self._starts, stop, "left"))
        found = [
            (int(self._starts[i]), int(self._stops[i]), int(self._digests[i]), bool(self._verified[i]))
            for i in range(first, last)
            if self._stops[i] > start
        ]
        if self._late:
            at = max(0, bisect_right(self._late, (start, 1 << 62, 0, False)) - 1)
            late = []
            while at < len(self._late) and self._late[at][0] < stop:
                if self._late[at][1] > start:
                    late.append(self._late[at])
                at += 1
            if late:
                found = sorted(found + late) if found else late
        return found

    def verify(self, start: int) -> None:
        """Say that the bytes of the range that begins here are what its digest says."""
        index = int(np.searchsorted(self._starts, start))
        if index < len(self._starts) and self._starts[index] == start:
            self._verified[index] = True
        at = bisect_right(self._late, (start,))
        if at < len(self._late) and self._late[at][0] == start:
            self._late[at] = (*self._late[at][:3], True)

    def drop(self, start: int, stop: int) -> None:
        """Forget the ranges that meet [start, stop)."""
        self._merge()
        keep = (self._stops <= start) | (self._starts >= stop)
        self._starts, self._stops = self._starts[keep], self._stops[keep]
        self._digests, self._verified = self._digests[keep], self._verified[keep]

    def missing(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Return the parts of [start, stop) that are not there."""
        return subtract(start, stop, [(a, b) for a, b, _, _ in self.find(start, stop)])

    def _merge(self) -> None:
        if not self._late:
            return
        starts, stops, digests, verified = zip(*self._late, strict=True)
        self._late = []
        order = np.argsort(all_starts := np.concatenate([self._starts, np.array(starts, np.int64)]), kind="stable")
        self._starts = all_starts[order]
        self._stops = np.concatenate([self._stops, np.array(stops, np.int64)])[order]
        self._digests = np.concatenate([self._digests, np.array(digests, np.uint64)])[order]
        self._verified = np.concatenate([self._verified, np.array(verified, bool)])[order]


def subtract(start: int, stop: int, present: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return [start, stop) without ranges that are in order and disjoint."""
    missing = []
    for first, last in present:
        if first > start:
            missing.append((start, min(first, stop)))
        start = max(start, last)
    if start < stop:
        missing.append((start, stop))
    return missing
