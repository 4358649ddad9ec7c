"""No more than two shards are in memory: one filling, one being written."""

import threading
import tracemalloc

import numpy as np
import pytest

import mlstac.authoring as authoring
from mlstac.authoring._pool import Loan, Pool

SHARD_BYTES = 32_000_000
HUGE_PAGE = 2 * 2**20


def test_memory_holds_two_shards_however_long_the_dataset(tmp_path):
    chip = np.random.default_rng(0).integers(0, 9000, (4, 256, 256), dtype=np.uint16)
    authoring.write([{"x": chip}], tmp_path / "first")  # what is loaded on first use is not counted
    tracemalloc.start()
    try:
        authoring.write(
            ({"x": chip} for _ in range(5 * SHARD_BYTES // chip.nbytes)), tmp_path / "a", shard_size=SHARD_BYTES
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(list((tmp_path / "a" / "train").glob("*.safetensors"))) == 5
    # Two shards, their last buffers not quite full, and what statistics and Parquet need on the way.
    assert peak < 2 * SHARD_BYTES + 30_000_000


@pytest.mark.parametrize("nbytes", [2 * HUGE_PAGE, 8_306_688, 8 * 2**20, 50_000_001])
def test_a_large_buffer_begins_on_a_huge_page_and_is_lent_again(nbytes):
    pool = Pool(2 * nbytes)
    buffer = pool.take(nbytes)
    assert len(buffer) == nbytes
    assert buffer.ctypes.data % HUGE_PAGE == 0
    buffer[:] = 1
    pool.expect(1)
    pool.give(buffer)
    assert pool.take(nbytes) is buffer
    other = pool.take(nbytes)
    assert other.ctypes.data % HUGE_PAGE == 0
    assert not np.shares_memory(other, buffer)


def test_who_asks_for_more_than_the_bound_waits_for_what_is_on_its_way_back():
    pool = Pool(200)
    first, second = pool.take(100), pool.take(100)
    assert pool.take(100) is not None  # nothing is on its way: more than the bound, rather than for ever
    pool.expect(2)
    taken = []
    thread = threading.Thread(target=lambda: taken.append(pool.take(100)))
    thread.start()
    pool.give(first)
    assert thread.is_alive()
    pool.give(second)
    thread.join(60)
    assert taken[0] is second


def test_a_buffer_goes_back_when_all_its_bytes_were_used_as_often_as_said():
    pool = Pool(1000)
    buffer = pool.take(60)
    loan = Loan(pool)
    loan.add(buffer, 2 * 40)
    loan.begin()
    for part in (buffer[:30], buffer[:40], buffer[30:39], buffer[:40].copy()):
        loan.used(part)
    assert pool.take(60) is not buffer
    loan.used(buffer[39:40])
    assert pool.take(60) is buffer
    loan.end()  # which gives nothing back twice
    assert pool.take(60) is not buffer


def test_rows_in_memory_are_bounded_over_all_splits_however_small_their_samples(tmp_path, monkeypatch):
    monkeypatch.setattr("mlstac.authoring._filling.MAX_ROWS", 100)
    samples = [{"x": np.uint8(1)}] * 150
    authoring.write({"train": samples, "test": samples}, tmp_path)
    assert [len(list((tmp_path / split).glob("*.safetensors"))) for split in ("train", "test")] == [2, 2]
