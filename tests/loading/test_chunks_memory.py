"""What is read at once holds to its bound also where samples differ in size."""

import numpy as np
import pytest

import mlstac
from mlstac.loading import _pipeline

SIDE = 700  # 2 MB or more a sample


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large") / "large"
    samples = ({"image": np.full((4, SIDE + i, SIDE), i, "uint8")} for i in range(24))
    mlstac.write(samples, folder, id="large", license="CC0-1.0", shard_size="16MB")
    return folder


def test_a_chunk_of_large_samples_of_many_shapes_holds_one_batch(large, monkeypatch):
    held = []
    begin = _pipeline.Chunk.__init__

    def note(self, *arguments):
        begin(self, *arguments)
        held.append((self.nbytes, len(self.sizes)))

    monkeypatch.setattr(_pipeline.Chunk, "__init__", note)
    ds = mlstac.load(large, framework="numpy")
    with ds.batches(1, prefetch=1, max_in_flight_bytes="5MB") as batches:
        seen = [int(image[0][0, 0, 0]) for image in (batch["image"] for batch in batches)]
    assert seen == list(range(24))
    assert sum(count for _, count in held) == 24
    assert max(nbytes for nbytes, _ in held) <= 5_000_000


def test_small_samples_of_many_shapes_are_still_read_together(tmp_path, monkeypatch):
    samples = ({"boxes": np.full((i % 5, 4), i, "float32")} for i in range(400))
    mlstac.write(samples, tmp_path / "boxes", id="boxes", license="CC0-1.0")
    made = []
    begin = _pipeline.Chunk.__init__

    def note(self, *arguments):
        begin(self, *arguments)
        made.append(len(self.sizes))

    monkeypatch.setattr(_pipeline.Chunk, "__init__", note)
    with mlstac.load(tmp_path / "boxes", framework="numpy").batches(4) as batches:
        assert sum(len(batch["boxes"]) for batch in batches) == 400
    assert sum(made) == 100
    assert len(made) < 20


@pytest.mark.parametrize("case", ["blocks of small rows", "some of them", "windows", "a group of large samples"])
def test_what_is_asked_for_holds_to_its_bound_with_all_that_is_dropped_again(tmp_path, range_server, monkeypatch, case):
    """Blocks that share a checksum, the ground between the rows of a window, and a group of a block shuffle."""
    rng = np.random.default_rng(3)
    count, shape, batch, shuffle = {
        "blocks of small rows": (40_000, (64,), 16, True),
        "some of them": (40_000, (64,), 16, True),
        "windows": (64, (128, 512), 2, False),
        "a group of large samples": (600, (256, 256), 2, "block"),
    }[case]
    arrays = rng.integers(0, 200, (count, *shape)).astype("uint8")
    tensors = {"x": mlstac.Tensor(dims="y x")} if len(shape) == 2 else {"x": mlstac.Tensor()}
    mlstac.write(({"x": row} for row in arrays), tmp_path / "out", id="out", license="CC0-1.0", tensors=tensors)
    held = []
    begin = _pipeline.Chunk.__init__

    def note(self, *arguments):
        begin(self, *arguments)
        ranges = sum(wanted.stop - wanted.start for wanted in self.pending._requests.ranges)
        held.append((ranges, len(self.sizes)))

    monkeypatch.setattr(_pipeline.Chunk, "__init__", note)
    ds = mlstac.load(range_server(tmp_path / "out").url, framework="numpy")
    if case == "windows":
        ds, arrays = ds.window(y=slice(0, 128), x=slice(8, 16)), arrays[:, :, 8:16]
    if case == "some of them":  # of each block a sample or two: what comes with them is far more than they are
        ds, count = ds.subset(slice(None, None, 32)), 1250
    ranks = 1
    if case == "blocks of small rows":  # a fifth of the epoch, from all over the file: each row costs a block
        ranks, count = 5, count // 5
    seen = 0
    with ds.batches(batch, shuffle=shuffle, seed=1, max_in_flight_bytes="1MB", rank=0, world_size=ranks) as batches:
        for values in batches:
            seen += len(values["x"])
    assert seen == count
    assert max(nbytes for nbytes, _ in held) <= 1_000_000
    assert max(steps for _, steps in held) > 1
