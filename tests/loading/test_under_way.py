"""What is asked for and not there yet holds to ``max_in_flight_bytes``, over chunks and whatever they are of."""

import threading

import numpy as np
import pytest

import mlstac
from mlstac.loading import _pipeline
from mlstac.loading._remote import Pending
from mlstac.storage import Fetcher

BOUND = 1_000_000


def plain(rng):
    return [{"x": rng.integers(0, 200, (300, 300)).astype("uint8")} for _ in range(120)], {"x": mlstac.Tensor()}


def windows(rng):
    samples = [{"x": rng.integers(0, 200, (128 + i, 512)).astype("uint8")} for i in range(64)]
    return samples, {"x": mlstac.Tensor(dims="y x")}


def tiny(rng):
    samples = [
        {"x": rng.integers(0, 200, 20_000).astype("uint8"), "label": rng.integers(0, 200, 1000).astype("uint8")}
        for _ in range(1500)
    ]
    return samples, {"x": mlstac.Tensor(), "label": mlstac.Tensor()}


@pytest.mark.parametrize(
    ("make", "batch", "shuffle", "compression"),
    [
        (plain, 4, False, None),
        (plain, 4, True, None),
        (plain, 2, "block", None),
        (plain, 1, False, "zstd"),
        (windows, 1, False, None),
        (windows, 1, True, None),
        (tiny, 8, False, None),
        (tiny, 8, True, None),
    ],
)
def test_no_more_than_the_bound_is_under_way(tmp_path, range_server, monkeypatch, make, batch, shuffle, compression):
    samples, tensors = make(np.random.default_rng(5))
    mlstac.write(samples, tmp_path / "out", id="out", license="CC0-1.0", tensors=tensors, compression=compression)
    under_way, most, held, lock = {}, [], [], threading.Lock()
    submit, wait, make_chunk = Fetcher.submit, Pending.wait, _pipeline.Chunk.__init__

    def note_submit(self, reads):
        reads = list(reads)
        future = submit(self, reads)
        # what lies between the ranges of a read is dropped as it comes
        with lock:
            under_way[future] = sum(len(view) for read in reads for _, view in read.into)
            most.append(sum(under_way.values()))
        return future

    def note_wait(self):
        wait(self)
        with lock:
            under_way.pop(self._future, None)

    def note_chunk(self, *arguments):
        make_chunk(self, *arguments)
        held.append((self.nbytes, len(self.sizes)))

    ds = mlstac.load(range_server(tmp_path / "out").url, framework="numpy")
    if make is windows:
        ds = ds.window(y=slice(0, 128), x=slice(8, 16))
    ds[0]  # what is read once of a dataset or a shard is not the batches'
    monkeypatch.setattr(Fetcher, "submit", note_submit)
    monkeypatch.setattr(Pending, "wait", note_wait)
    monkeypatch.setattr(_pipeline.Chunk, "__init__", note_chunk)
    with ds.batches(batch, shuffle=shuffle, max_in_flight_bytes=BOUND) as batches:
        assert sum(len(values["x"]) for values in batches) == len(samples)
    assert BOUND / 4 < max(most) <= BOUND
    assert max(nbytes for nbytes, steps in held) <= BOUND
    assert max(steps for _, steps in held) > 1
    ds.close()
