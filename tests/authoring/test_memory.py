"""No more than two shards are in memory: one filling, one being written."""

import tracemalloc

import numpy as np

import mlstac.authoring as authoring

SHARD_BYTES = 32_000_000


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


def test_rows_in_memory_are_bounded_over_all_splits_however_small_their_samples(tmp_path, monkeypatch):
    monkeypatch.setattr("mlstac.authoring._writer.MAX_ROWS", 100)
    samples = [{"x": np.uint8(1)}] * 150
    authoring.write({"train": samples, "test": samples}, tmp_path)
    assert [len(list((tmp_path / split).glob("*.safetensors"))) for split in ("train", "test")] == [2, 2]
