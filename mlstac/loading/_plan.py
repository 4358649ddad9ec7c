"""Byte ranges that rows need, merged into few reads: pure, and the same for every store.

Two ranges of one shard become one read where what lies between them is cheaper than another request: at most 64 KiB,
and at most 2 % of what the read then carries (ranges under 16 KiB, of which a request is the larger part of the cost,
up to 64 KiB, as long as all reads together carry at most twice what is needed; else half of that, or a quarter …).
A read carries at most 16 MiB. Reads come in the order in which their first byte is used.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

GAP_BYTES = 64 * 1024
"""Most bytes that are read and dropped between two ranges."""

GAP_SHARE = 0.02
"""Most bytes that are read and dropped, as a share of the read, for ranges that are not small."""

SMALL_BYTES = 16 * 1024
"""Ranges below this are small."""

MOST_FOR_SMALL = 2
"""Most bytes that are read of small ranges, as a multiple of what is needed: else samples that lie widely scattered
over a set much larger than memory, some thousand at a time, would have nearly all of it read every time."""

REQUEST_BYTES = 4 * 1024
"""What a range counts for in that, at the least: no link carries fewer in the time of a request."""

LONG_BYTES = 1024 * 1024
"""Reads from here on are long."""

SEVERAL = 4
"""Long reads that are cut if there are so many."""

_GOLDEN = (5**0.5 - 1) / 2  # multiples of it, less their whole part, are spread evenly however many there are

READ_BYTES = 16 * 1024 * 1024
"""Most bytes of a merged read; a single range may be longer."""

Integers = NDArray[np.int64]


class MergedRead(NamedTuple):
    """One request."""

    file: int
    start: int
    stop: int
    members: list[int]
    """Numbers of the ranges in it, ascending by position, none overlapping another."""


class ReadPlan(NamedTuple):
    """What to request, and which ranges are had for nothing."""

    reads: list[MergedRead]
    """In order of first use."""
    copies: list[tuple[int, int]]
    """(range, earlier range of the very same bytes)."""


def plan_reads(
    files: Integers,
    starts: Integers,
    stops: Integers,
    *,
    gap_bytes: int = GAP_BYTES,
    gap_share: float = GAP_SHARE,
    small_bytes: int = SMALL_BYTES,
    read_bytes: int = READ_BYTES,
) -> ReadPlan:
    """Merge byte ranges into reads.

    Parameters
    ----------
    files, starts, stops : numpy.ndarray, shape (range,), int64
        In order of use. Ranges without bytes need no read and are left out.
    gap_bytes, gap_share, small_bytes, read_bytes : optional
        The rule above; `gap_bytes` before it is halved.

    Returns
    -------
    ReadPlan
    """
    order = np.lexsort((stops, starts, files))
    reads: list[MergedRead] = []
    copies: list[tuple[int, int]] = []
    current: list[int] = []
    file = begin = end = -1
    small_gap_bytes = _small_gap(files[order], starts[order], stops[order], gap_bytes, small_bytes)
    columns = (order.tolist(), files[order].tolist(), starts[order].tolist(), stops[order].tolist())
    for number, its_file, start, stop in zip(*columns, strict=True):
        if start >= stop:
            continue
        if current and its_file == file:
            if start >= end:
                gap, merged = start - end, stop - begin
                small = min(stop - start, end - begin) < small_bytes
                allowed = small_gap_bytes if small else min(gap_bytes, gap_share * merged)
                if gap <= allowed and merged <= read_bytes:
                    current.append(number)
                    end = stop
                    continue
            elif start == int(starts[current[-1]]) and stop == end:
                copies.append((number, current[-1]))
                continue
        if current:
            reads.append(MergedRead(file, begin, end, current))
        current, file, begin, end = [number], its_file, start, stop
    if current:
        reads.append(MergedRead(file, begin, end, current))
    reads.sort(key=lambda read: min(read.members))
    return ReadPlan(reads, copies)


def _small_gap(files: Integers, starts: Integers, stops: Integers, gap_bytes: int, small_bytes: int) -> int:
    """Most bytes to read and drop between two small ranges of many, which ascend by position."""
    some = stops > starts
    files, starts, stops = files[some], starts[some], stops[some]
    sizes = stops - starts
    gaps = np.where(files[1:] == files[:-1], starts[1:] - stops[:-1], -1)
    gaps = gaps[(gaps > 0) & (gaps <= gap_bytes) & (np.minimum(sizes[1:], sizes[:-1]) < small_bytes)]
    spare = (MOST_FOR_SMALL - 1) * int(np.maximum(sizes[sizes < small_bytes], REQUEST_BYTES).sum())
    if not gaps.size or int(gaps.sum()) <= max(spare, GAP_BYTES):
        return gap_bytes
    while int(gaps.sum()) > spare and gap_bytes > 0:
        gap_bytes //= 2
        gaps = gaps[gaps <= gap_bytes]
    return gap_bytes


def stagger(reads: list[MergedRead], starts: Integers, stops: Integers) -> list[MergedRead]:
    """Cut each of several long reads in two, at another share of its length.

    Reads of one length that begin together share the link and end together, and it lies idle until the next are asked
    for, a round trip every time.

    Parameters
    ----------
    reads : list of MergedRead
    starts, stops : numpy.ndarray, shape (range,), int64
        As `plan_reads` had them.

    Returns
    -------
    list of MergedRead
        In order of first use, with every range in one of them.
    """
    if sum(_is_long(read) for read in reads) < SEVERAL:
        return reads
    made: list[MergedRead] = []
    cuts = 0
    for read in reads:
        if not _is_long(read):
            made.append(read)
            continue
        cuts += 1
        at = 1 + int(cuts * _GOLDEN % 1 * (len(read.members) - 1))
        before, after = read.members[:at], read.members[at:]
        made.append(MergedRead(read.file, read.start, int(stops[before[-1]]), before))
        made.append(MergedRead(read.file, int(starts[after[0]]), read.stop, after))
    made.sort(key=lambda read: min(read.members))  # a second half is often used later than the next read
    return made


def _is_long(read: MergedRead) -> bool:
    return read.stop - read.start >= LONG_BYTES and len(read.members) > 1
