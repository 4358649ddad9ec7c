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
