"""The cache: what it saves, what it survives, and what it leaves alone."""

import errno
import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstac.errors import ChangedError, InvalidArgumentError
from mlstac.storage import Cache, Fetcher, Read
from mlstac.storage._answers import Version
from mlstac.storage._cache import stable_name
from mlstac.storage._entry import Entry, create_entry
from mlstac.storage._journal import RECORD_BYTES, Index, read_records, subtract, write_records
from tests.storage.conftest import QuickClock, assert_fetches, ranges

ROW = 10_000
ROWS = [(start, start + ROW) for start in range(0, 1_000_000, ROW)]


@pytest.fixture
def server(fault_server, content):
    return fault_server({"a.bin": content, "b.bin": content[::-1]})


def open_cached(folder, max_bytes="100MB"):
    return Fetcher(cache=Cache(folder, max_bytes), clock=QuickClock())


def only_entry(folder) -> Path:
    (entry,) = (path.parent for path in Path(folder).glob("mlstac-cache-1/*/journal"))
    return entry


def test_the_second_epoch_makes_no_request(server, content, tmp_path):
    with open_cached(tmp_path) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, ROWS, size=len(content))
        first = server.count
        assert_fetches(fetcher, server.url + "a.bin", content, ROWS[::-1], size=len(content))
        assert fetcher.stats()["cache_bytes"] == len(content)
    with open_cached(tmp_path) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, ROWS, size=len(content))
    assert server.count == first


def test_no_more_is_fetched_than_was_asked(server, content, tmp_path):
    with open_cached(tmp_path) as fetcher:
        url = server.url + "a.bin"
        assert_fetches(fetcher, url, content, [(200_000, 210_000), (500_000, 500_010)], size=len(content))
        assert_fetches(fetcher, url, content, [(0, 1_000_000)], size=len(content))
        assert (
            sorted(request.range for request in server.requests)
            == [
                (0, 200_000),
                (200_000, 210_000),
                (210_000, 500_000),
                (500_000, 500_010),
                (500_010, 1_000_000),
            ]
            or server.bytes_sent <= 1_010_020
        )


def test_gaps_of_a_merged_read_are_not_taken_for_present(server, content, tmp_path):
    into = [(0, memoryview(bytearray(100))), (200, memoryview(bytearray(100)))]
    with open_cached(tmp_path) as fetcher:
        fetcher.fetch([Read(server.url + "a.bin", 1_000, 1_300, into, len(content))])
        assert_fetches(fetcher, server.url + "a.bin", content, [(1_000, 1_300)], size=len(content))
    assert server.count == 2


def test_files_of_one_name_do_not_mix(server, content, tmp_path):
    with open_cached(tmp_path) as fetcher:
        for name, data in {"a.bin": content, "b.bin": content[::-1]}.items():
            assert_fetches(fetcher, server.url + name, data, ROWS[:3], size=len(content))
            assert_fetches(fetcher, server.url + name, data, ROWS[:3], size=len(content))
    assert server.count == 6


def test_a_file_of_unknown_size_is_not_kept(server, content, tmp_path):
    with open_cached(tmp_path) as fetcher:
        for _ in range(2):
            assert_fetches(fetcher, server.url + "a.bin", content, ROWS[:2])
    assert server.count == 4


def test_a_replaced_file_is_refused_then_read_anew(server, content, tmp_path):
    url, other = server.url + "a.bin", content[::-1]
    with open_cached(tmp_path) as fetcher:
        assert_fetches(fetcher, url, content, ROWS[:2], size=len(content))
    server.replace("a.bin", other)
    with open_cached(tmp_path) as fetcher:
        assert_fetches(fetcher, url, content, ROWS[:1], size=len(content))
        with pytest.raises(ChangedError):
            fetcher.fetch(ranges(url, ROWS[5:6], size=len(content))[0])
    with open_cached(tmp_path) as fetcher:
        assert_fetches(fetcher, url, other, ROWS[:7], size=len(content))


def test_damaged_bytes_are_fetched_again(server, content, tmp_path):
    with open_cached(tmp_path) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, ROWS, size=len(content))
    with (only_entry(tmp_path) / "data").open("r+b") as data:
        data.seek(123_456)
        data.write(bytes([content[123_456] ^ 1]))
    with open_cached(tmp_path) as fetcher:
        before = server.count
        assert_fetches(fetcher, server.url + "a.bin", content, ROWS, size=len(content))
        assert server.count == before + 1
        assert_fetches(fetcher, server.url + "a.bin", content, ROWS, size=len(content))
        assert server.count == before + 1


def test_part_of_a_damaged_range_is_fetched_again(server, content, tmp_path):
    with open_cached(tmp_path) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, [(0, 100_000)], size=len(content))
    with (only_entry(tmp_path) / "data").open("r+b") as data:
        data.seek(90_000)
        data.write(bytes(1_000))
    with open_cached(tmp_path) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, [(10, 20)], size=len(content))
    assert server.requests[-1].range == (10, 20)


@pytest.mark.parametrize("damage", ["torn", "zeros", "noise", "empty"])
def test_a_damaged_journal_costs_fetching_and_nothing_else(server, content, tmp_path, damage):
    with open_cached(tmp_path) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, ROWS, size=len(content))
    journal = only_entry(tmp_path) / "journal"
    records = journal.read_bytes()
    journal.write_bytes(
        {
            "torn": records[: 5 * RECORD_BYTES + 11],
            "zeros": bytes(len(records)),
            "noise": np.random.default_rng(0).bytes(len(records)),
            "empty": b"",
        }[damage]
    )
    for _ in range(2):
        with open_cached(tmp_path) as fetcher:
            assert_fetches(fetcher, server.url + "a.bin", content, ROWS, size=len(content))
    assert server.count == 100 + {"torn": 95}.get(damage, 100)


@pytest.mark.parametrize("name", ["version", "data", "journal"])
def test_an_entry_that_lost_a_file_does_no_harm(server, content, tmp_path, name):
    with open_cached(tmp_path) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, ROWS, size=len(content))
    (only_entry(tmp_path) / name).unlink()
    with open_cached(tmp_path) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, ROWS, size=len(content))


def test_a_forgotten_range_is_fetched_again(server, content, tmp_path):
    url = server.url + "a.bin"
    with open_cached(tmp_path) as fetcher:
        assert_fetches(fetcher, url, content, ROWS, size=len(content))
        fetcher.forget(Read(url, 20_000, 30_000, [], len(content)))
        assert_fetches(fetcher, url, content, ROWS, size=len(content))
    assert server.requests[-1].range == (20_000, 30_000)
    assert server.count == 101


def test_bad_bytes_are_forgotten_on_disk_and_in_other_processes(server, content, tmp_path):
    url, spans = server.url + "a.bin", ROWS[:3]
    server.fail("change_byte", times=3, after=15_000)
    with open_cached(tmp_path) as fetcher, open_cached(tmp_path) as neighbour:
        bad, into = ranges(url, spans, size=len(content))
        fetcher.fetch(bad)
        server.heal()
        assert into[1] != content[10_000:20_000]
        neighbour.fetch(ranges(url, spans, size=len(content))[0])
        assert server.count == 3
        fetcher.forget(Read(url, 12_000, 16_000, [], len(content)))
        with open_cached(tmp_path) as later:
            assert_fetches(later, url, content, spans, size=len(content))
        assert [request.range for request in server.requests[3:]] == [(10_000, 20_000)]
        for one in (fetcher, neighbour):
            assert_fetches(one, url, content, spans, size=len(content))
    with open_cached(tmp_path) as later:
        assert_fetches(later, url, content, spans, size=len(content))
    assert server.count == 4


def test_reading_past_the_cache_mends_it(server, content, tmp_path):
    url = server.url + "a.bin"
    server.fail("change_byte", after=15_000)
    with open_cached(tmp_path) as fetcher:
        reads, buffers = ranges(url, [(10_000, 20_000)], size=len(content))
        fetcher.fetch(reads)
        assert buffers[0] != content[10_000:20_000]
        fetcher.refetch(reads)
        assert buffers[0] == content[10_000:20_000]
    with open_cached(tmp_path) as later:
        assert_fetches(later, url, content, [(10_000, 20_000)], size=len(content))
    assert server.count == 2


def space_of(folder):
    return sum(path.stat().st_blocks * 512 for path in Path(folder).rglob("*") if path.is_file())


def test_the_cap_holds_and_whole_shards_go_oldest_first(fault_server, tmp_path):
    files = {f"{number}.bin": np.random.default_rng(number).bytes(200_000) for number in range(12)}
    server = fault_server(files)
    with open_cached(tmp_path, max_bytes=1_000_000) as fetcher:
        for name, data in files.items():
            spans = [(start, start + 20_000) for start in range(0, 200_000, 20_000)]
            assert_fetches(fetcher, server.url + name, data, spans, size=len(data))
            assert space_of(tmp_path / "mlstac-cache-1") <= 1_000_000
        before = server.count
        assert_fetches(fetcher, server.url + "11.bin", files["11.bin"], [(0, 200_000)], size=200_000)
        assert server.count == before
        assert_fetches(fetcher, server.url + "0.bin", files["0.bin"], [(0, 10)], size=200_000)
        assert server.count == before + 1


def test_the_cap_counts_the_blocks_that_small_rows_take_on_disk(tmp_path):
    cache = Cache(tmp_path, 1_000_000)
    size, step = 4_096_000, 4_096
    most = 0
    for number in range(2_000):  # 64 bytes each, and a block of the disk
        name, start = f"http://host/{number // 500}.bin", number % 500 * step
        cache.keep(Read(name, start, start + 64, [(0, memoryview(bytes(64)))], size), Version(size, "v1", ""))
        if number % 25 == 0:
            most = max(most, space_of(cache.folder))
    cache.close()
    assert 500_000 < most <= 1_000_000


def test_an_entry_that_another_process_made_of_another_state_takes_nothing_of_this_one(tmp_path, monkeypatch):
    old, new = Version(1_000, "old", ""), Version(1_000, "new", "")

    def make(folder, scratch, version, size):
        # the other process comes first: nobody may see the entry between its being missed and its being made
        create_entry(folder, scratch.with_name("new-1-abc"), old, size)
        create_entry(folder, scratch, version, size)

    monkeypatch.setattr("mlstac.storage._cache.create_entry", make)
    cache = Cache(tmp_path, "1MB")
    cache.keep(Read("http://host/a.bin", 0, 100, [(0, memoryview(b"n" * 100))], 1_000), new)
    cache.close()
    other = Cache(tmp_path, "1MB")
    got = bytearray(100)
    missing, version = other.take(Read("http://host/a.bin", 0, 100, [(0, memoryview(got))], 1_000))
    other.close()
    assert version is None
    assert [(read.start, read.stop) for read in missing] == [(0, 100)]


def test_other_files_in_the_folder_survive(server, content, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    cache = Cache(tmp_path, 300_000)
    with Fetcher(cache=cache) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, ROWS[:5], size=len(content))
        (only_entry(tmp_path) / "notes.txt").write_text("mine too")
        (cache.folder / "old-1-abc").mkdir()
        (cache.folder / "old-1-abc" / "keep.txt").write_text("mine three")
        os.utime(cache.folder / "old-1-abc", (0, 0))
        for name, data in {"b.bin": content[::-1], "a.bin": content}.items():
            assert_fetches(fetcher, server.url + name, data, ROWS, size=len(content))
    kept = {path.name for path in tmp_path.rglob("*.txt")}
    assert kept == {"mine.txt", "notes.txt", "keep.txt"}


def test_a_full_disk_is_told_once_and_reading_goes_on(server, content, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Entry, "_write_at", full)
    with open_cached(tmp_path) as fetcher:
        with pytest.warns(UserWarning, match="takes no more .No space left on device.; reading goes on") as told:
            assert_fetches(fetcher, server.url + "a.bin", content, ROWS, size=len(content))
        assert len(told) == 1
        assert_fetches(fetcher, server.url + "a.bin", content, ROWS, size=len(content))


def test_a_folder_that_cannot_be_made_is_told_and_reading_goes_on(server, content, tmp_path):
    (tmp_path / "mlstac-cache-1").write_text("in the way")
    with open_cached(tmp_path) as fetcher, pytest.warns(UserWarning, match="takes no more"):
        assert_fetches(fetcher, server.url + "a.bin", content, ROWS, size=len(content))


def test_a_file_for_a_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InvalidArgumentError, match="is a file"):
        Cache(tmp_path / "file")


def test_a_cache_travels_as_its_settings(tmp_path):
    cache = pickle.loads(pickle.dumps(Cache(tmp_path, "5MB")))
    assert (cache.folder, cache.max_bytes) == (tmp_path / "mlstac-cache-1", 5_000_000)


def read_all(url, folder, content, seed):
    order = np.random.default_rng(seed).permutation(len(ROWS))
    with open_cached(folder) as fetcher:
        for index in order:
            assert_fetches(fetcher, url, content, [ROWS[index]], size=len(content))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_share_a_folder(server, content, tmp_path, method):
    context = multiprocessing.get_context(method)
    workers = [
        context.Process(target=read_all, args=(server.url + "a.bin", tmp_path, content, seed)) for seed in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    before = server.count
    read_all(server.url + "a.bin", tmp_path, content, 9)
    assert server.count == before


def test_a_cache_used_before_a_fork_works_after_it(server, content, tmp_path, left_open):
    with open_cached(tmp_path) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, ROWS[:50], size=len(content))
        child = os.fork()
        if child == 0:
            code = 1
            try:
                assert_fetches(fetcher, server.url + "a.bin", content, ROWS, size=len(content))
                code = len(left_open)  # of the parent's files, which the child lets go of
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert_fetches(fetcher, server.url + "a.bin", content, ROWS, size=len(content))
    assert server.count == 100


def test_a_cache_that_is_used_once_more_after_closing_leaves_no_file_open(content, tmp_path, left_open):
    """As where the thread that writes has some reads to keep yet."""
    cache, read = Cache(tmp_path), Read("http://h/a.bin", 0, 1000, [(0, memoryview(bytearray(1000)))], len(content))
    cache.keep(read, None)
    cache.close()
    cache.keep(read, None)
    del cache
    gc.collect()
    assert left_open == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_another_thread_is_in_the_cache_does_not_lock_the_child(server, content, tmp_path):
    url = server.url + "a.bin"
    with open_cached(tmp_path) as fetcher:
        assert_fetches(fetcher, url, content, ROWS[:3], size=len(content))
        cache = fetcher._config.cache
        inside, leave = threading.Event(), threading.Event()

        def stay():
            with cache._lock, cache._entry(url, len(content), ""):
                inside.set()
                leave.wait(60)

        thread = threading.Thread(target=stay)
        thread.start()
        inside.wait(60)
        child = os.fork()
        if child == 0:
            signal.alarm(100)
            try:
                assert_fetches(fetcher, url, content, ROWS[:5], size=len(content))
                os._exit(0)
            finally:
                os._exit(1)
        leave.set()
        thread.join()
        assert os.waitpid(child, 0)[1] == 0


def test_entries_evicted_by_another_process_are_made_anew(server, content, tmp_path):
    url = server.url + "a.bin"
    with open_cached(tmp_path) as fetcher, open_cached(tmp_path) as other:
        assert_fetches(fetcher, url, content, ROWS[:50], size=len(content))
        other._config.cache.forget(url, len(content))
        assert_fetches(fetcher, url, content, ROWS, size=len(content))
    before = server.count
    with open_cached(tmp_path) as fetcher:
        assert_fetches(fetcher, url, content, ROWS[50:], size=len(content))
    assert server.count == before


KILLED = """
import sys, os, signal
from mlstac.storage import Cache, Fetcher, Read
from mlstac.storage._entry import Entry
url, folder, size, calls, where = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
original = getattr(Entry, where)
def dying(self, *arguments):
    global calls
    calls -= 1
    if calls == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self, *arguments)
setattr(Entry, where, dying)
fetcher = Fetcher(cache=Cache(folder))
for start in range(0, size, 10_000):
    fetcher.fetch([Read(url, start, start + 10_000, [(0, memoryview(bytearray(10_000)))], size)])
"""


@pytest.mark.parametrize("where", ["_write_at", "_append", "open"])
def test_a_process_killed_while_it_writes_leaves_a_sound_cache(server, content, tmp_path, where):
    arguments = [server.url + "a.bin", str(tmp_path), str(len(content)), "1" if where == "open" else "40", where]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL
    with open_cached(tmp_path) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, ROWS, size=len(content))


def test_what_signs_a_url_is_none_of_its_name():
    assert stable_name("https://u:p@h/a.bin?sig=x&se=2026&part=3&X-Amz-Date=1") == "https://h/a.bin?part=3"


SPANS = st.tuples(st.integers(0, 200), st.integers(1, 60)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["load", "add", "drop"]), SPANS), max_size=30), SPANS)
def test_the_index_never_claims_what_is_absent(steps, asked):
    index, present = Index(), set()
    for verb, (start, stop) in steps:
        if verb == "drop":
            gone = {byte for a, b, _, _ in index.find(start, stop) for byte in range(a, b)}
            index.drop(start, stop)
            present -= gone
        elif verb == "load":
            index.load(read_records(write_records([(start, stop, 1)])))
            present |= set(range(start, stop))
        else:
            for a, b in index.missing(start, stop):
                index.add(a, b, 1)
            present |= set(range(start, stop))
    found = index.find(*asked)
    assert all(a[1] <= b[0] for a, b in pairwise(found))
    claimed = {byte for a, b, _, _ in found for byte in range(max(a, asked[0]), min(b, asked[1]))}
    assert claimed <= present
    missing = {byte for a, b in index.missing(*asked) for byte in range(a, b)}
    assert missing == set(range(*asked)) - claimed


@given(SPANS, st.lists(SPANS, max_size=5))
def test_subtract_is_set_difference(whole, parts):
    disjoint, end = [], 0
    for start, stop in sorted(parts):
        if start >= end:
            disjoint.append((start, stop))
            end = stop
    expected = set(range(*whole)) - {byte for part in disjoint for byte in range(*part)}
    disjoint = [part for part in disjoint if part[0] < whole[1] and part[1] > whole[0]]
    assert {byte for a, b in subtract(*whole, disjoint) for byte in range(a, b)} == expected


def test_a_big_journal_is_read_at_once():
    spans = [(start, start + 4_096, start) for start in range(0, 4_096 * 65_536, 4_096)]
    index = Index()
    index.load(read_records(write_records(spans[::-1])))
    assert len(index) == 65_536
    assert index.find(4_096 * 100 + 5, 4_096 * 100 + 6) == [(4_096 * 100, 4_096 * 101, 4_096 * 100, False)]
