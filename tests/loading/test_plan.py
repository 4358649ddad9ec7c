from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlstac.loading._plan import GAP_BYTES, MOST_FOR_SMALL, READ_BYTES, REQUEST_BYTES, plan_reads, stagger

RANGES = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 400_000), st.integers(0, 90_000)).map(
        lambda r: (r[0], r[1], r[1] + r[2])
    ),
    max_size=30,
)


def plan(ranges, **rule):
    columns = np.array(ranges, np.int64).reshape(-1, 3)
    return plan_reads(columns[:, 0], columns[:, 1], columns[:, 2], **rule)


def all_members(found):
    return [member for read in found.reads for member in read.members] + [member for member, _ in found.copies]


@given(RANGES)
def test_every_range_is_in_exactly_one_read_or_a_copy_of_one_that_is(ranges):
    found = plan(ranges)
    wanted = [number for number, (_, start, stop) in enumerate(ranges) if stop > start]
    assert sorted(all_members(found)) == wanted
    for read in found.reads:
        for member in read.members:
            file, start, stop = ranges[member]
            assert file == read.file
            assert read.start <= start
            assert stop <= read.stop
    sources = {member for read in found.reads for member in read.members}
    for target, source in found.copies:
        assert ranges[target] == ranges[source]
        assert source in sources


@given(RANGES)
def test_ranges_of_a_read_ascend_and_do_not_overlap(ranges):
    for read in plan(ranges).reads:
        ends = [ranges[member][1:] for member in read.members]
        assert all(stop <= start for (_, stop), (start, _) in pairwise(ends))
        assert read.start == ends[0][0]
        assert read.stop == ends[-1][1]


@given(RANGES)
def test_no_more_is_read_between_ranges_than_the_rule_allows(ranges):
    for read in plan(ranges).reads:
        members = [ranges[member] for member in read.members]
        end = members[0][2]
        for _, start, stop in members[1:]:
            gap = start - end
            small = min(stop - start, end - read.start) < 16 * 1024
            assert gap <= (GAP_BYTES if small else min(GAP_BYTES, 0.02 * (stop - read.start)))
            end = stop


@given(RANGES)
def test_reads_come_in_the_order_of_first_use(ranges):
    firsts = [min(read.members) for read in plan(ranges).reads]
    assert firsts == sorted(firsts)


@given(RANGES, st.integers(1, 200_000))
def test_a_merged_read_keeps_its_bound(ranges, bound):
    for read in plan(ranges, read_bytes=bound).reads:
        assert read.stop - read.start <= bound or len(read.members) == 1


def test_large_neighbours_merge_only_over_a_small_gap():
    size = 100_000
    near = plan([(0, 0, size), (0, size + 1000, 2 * size + 1000)])
    far = plan([(0, 0, size), (0, size + 10_000, 2 * size + 10_000)])
    assert [len(read.members) for read in near.reads] == [2]
    assert [len(read.members) for read in far.reads] == [1, 1]


def test_small_ranges_merge_over_up_to_64_kib():
    assert len(plan([(0, 0, 8), (0, 8 + GAP_BYTES, 16 + GAP_BYTES)]).reads) == 1
    assert len(plan([(0, 0, 8), (0, 9 + GAP_BYTES, 17 + GAP_BYTES)]).reads) == 2


SCATTERED = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 5_000_000), st.integers(0, 12_000)).map(
        lambda r: (r[0], r[1], r[1] + r[2])
    ),
    max_size=80,
)


@given(SCATTERED)
def test_small_ranges_have_at_most_twice_their_bytes_read(ranges):
    needed = sum(max(stop - start, REQUEST_BYTES) for _, start, stop in ranges if stop > start)
    dropped = 0
    for read in plan(ranges).reads:
        ends = [ranges[member] for member in read.members]
        dropped += sum(start - stop for (_, _, stop), (_, start, _) in pairwise(ends))
    assert dropped <= max(GAP_BYTES, (MOST_FOR_SMALL - 1) * needed)


def test_dense_small_ranges_are_still_read_with_all_between_them():
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(6_000, 2_000, replace=False)) * 1000
    assert max(len(read.members) for read in plan([(0, row, row + 264) for row in rows.tolist()]).reads) > 1000


def test_far_scattered_small_ranges_are_read_alone_and_the_nearest_together():
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(1_000_000, 4_000, replace=False)) * 264  # 66 KB from one to the next
    found = plan([(0, row, row + 264) for row in rows.tolist()])
    assert 1000 < len(found.reads) < 4000
    assert sum(read.stop - read.start for read in found.reads) <= 2 * 4000 * REQUEST_BYTES


def test_a_whole_shard_of_neighbours_is_reads_of_16_mib():
    rows = [(0, start, start + 2**20) for start in range(0, 64 * 2**20, 2**20)]
    assert [read.stop - read.start for read in plan(rows).reads] == [READ_BYTES] * 4


def test_a_thousand_scattered_labels_of_one_shard_are_one_read():
    rows = np.random.default_rng(0).permutation(1000) * 8
    assert len(plan([(0, row, row + 8) for row in rows.tolist()]).reads) == 1


def test_files_are_never_merged():
    assert len(plan([(0, 0, 10), (1, 10, 20)]).reads) == 2


def test_long_reads_of_one_length_are_cut_into_many_lengths():
    # sixteen blocks of twenty samples, far from each other: as a block shuffle reads them
    starts = (np.arange(320) // 20 * 50_000_000 + np.arange(320) % 20 * 100_000).astype(np.int64)
    stops = starts + 100_000
    reads = stagger(plan_reads(np.zeros(320, np.int64), starts, stops).reads, starts, stops)
    lengths = [read.stop - read.start for read in reads]
    assert len(reads) == 32
    assert sum(lengths) == 320 * 100_000
    assert max(Counter(lengths).values()) <= 4
    few = plan_reads(np.zeros(60, np.int64), starts[:60], stops[:60]).reads
    assert stagger(few, starts, stops) == few


def test_halves_of_long_reads_come_in_the_order_of_their_first_use():
    # eight blocks that are drawn from one after another, each from its last sample to its first
    starts = (np.arange(160) // 20 * 50_000_000 + (19 - np.arange(160) % 20) * 100_000).astype(np.int64)
    stops = starts + 100_000
    reads = stagger(plan_reads(np.zeros(160, np.int64), starts, stops).reads, starts, stops)
    assert len(reads) == 16
    firsts = [min(read.members) for read in reads]
    assert firsts == sorted(firsts)


@given(RANGES.map(lambda ranges: [(file, start * 100, stop * 100) for file, start, stop in ranges]))
def test_cutting_long_reads_loses_no_range(ranges):
    columns = np.array(ranges, np.int64).reshape(-1, 3)
    before = plan(ranges).reads
    after = stagger(before, columns[:, 1], columns[:, 2])
    assert sorted(m for read in after for m in read.members) == sorted(m for read in before for m in read.members)
    firsts = [min(read.members) for read in after]
    assert firsts == sorted(firsts)
    for read in after:
        assert all(read.file == ranges[m][0] for m in read.members)
        assert read.start == min(ranges[m][1] for m in read.members)
        assert read.stop == max(ranges[m][2] for m in read.members)
