"""Batches before one that cannot be made come first, though they are read and assembled together; then the error."""

import itertools
import json

import numpy as np
import pytest
from torch.utils.data import DataLoader

import mlstac
from mlstac.errors import ChecksumError, FormatError, InvalidArgumentError, MissingFileError
from mlstac.loading import _careful

COUNT = 40
BAD = 25


def write(folder, *, size=4, shard_size="1GB", **options):
    samples = [
        {"image": np.full((size, size), number, np.uint16), "word": f"w{number:03}", "number": np.int32(number)}
        for number in range(COUNT)
    ]
    mlstac.write(samples, folder, id="ds", license="CC0-1.0", shard_size=shard_size, card=False, **options)
    return folder


def spoil(folder, tensor, *, shard=0):
    """Make the bytes of one sample of a shard wrong; those of a word are UTF-8 no more."""
    path = sorted((folder / "train").glob("*.safetensors"))[shard]
    stored = bytearray(path.read_bytes())
    begin = 8 + int.from_bytes(stored[:8], "little")
    entry = json.loads(stored[8:begin])[tensor]
    first, last = entry["data_offsets"]
    rows = COUNT if tensor == "word" else entry["shape"][0]
    stored[begin + first + (last - first) // rows * (BAD % rows)] ^= 0x80
    path.write_bytes(stored)


def until_error(batches, error):
    """Numbers of the batches that come before the error, and what it says."""
    seen = []
    with pytest.raises(error) as raised:  # noqa: PT012
        for batch in batches:
            seen += np.asarray(batch["number"]).tolist()
    return seen, str(raised.value)


@pytest.fixture
def torn(tmp_path):
    """A dataset one of whose words is no text."""
    folder = write(tmp_path / "ds")
    spoil(folder, "word")
    return folder


@pytest.mark.parametrize("framework", ["numpy", "torch", "tensorflow"])
@pytest.mark.parametrize("prefetch", [0, 1, 4])
@pytest.mark.parametrize("batch_size", [1, 3, 40])
def test_batches_before_a_bad_sample_come_first(torn, framework, prefetch, batch_size):
    ds = mlstac.load(torn, framework=framework)
    batches = ds.batches(batch_size, prefetch=prefetch)
    seen, said = until_error(batches, FormatError)
    assert seen == list(range(BAD // batch_size * batch_size))
    assert f"'train-{BAD:07}'" in said
    assert batches.state_dict()["consumed"] == len(seen)
    assert batches.stats()["batches"] == len(seen) // batch_size
    again = ds.select(["number"]).batches(batch_size)  # without the words all is well
    assert [number for batch in again for number in np.asarray(batch["number"]).tolist()] == list(range(COUNT))


def test_shuffled_batches_before_a_bad_sample_come_first(torn):
    ds = mlstac.load(torn, framework="numpy")
    order = [batch["number"].tolist() for batch in ds.select(["number"]).batches(3, shuffle=True, seed=4)]
    good = list(itertools.takewhile(lambda numbers: BAD not in numbers, order))
    assert 0 < len(good) < len(order) - 1
    assert until_error(ds.batches(3, shuffle=True, seed=4), FormatError)[0] == list(itertools.chain(*good))


def test_a_loop_that_resumes_amid_meets_the_same(torn):
    ds = mlstac.load(torn, framework="numpy")
    first = ds.batches(3)
    running = iter(first)
    for _ in range(5):
        next(running)
    resumed = ds.batches(2)
    resumed.load_state_dict(first.state_dict())
    assert until_error(resumed, FormatError)[0] == list(range(15, BAD))


@pytest.mark.filterwarnings("ignore:os.fork.*:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_gives_the_good_ones_first(torn, workers):
    loader = DataLoader(mlstac.load(torn).iterable(2), batch_size=None, num_workers=workers)
    assert until_error(loader, FormatError)[0] == list(range(BAD - 1))


def test_tensorflow_gets_the_good_ones_first(torn):
    import tensorflow as tf

    seen, said = until_error(mlstac.load(torn).to_tf(4), tf.errors.OpError)
    assert seen == list(range(BAD // 4 * 4))
    assert f"'train-{BAD:07}'" in said


@pytest.mark.parametrize("tensor", ["image", "number"])
@pytest.mark.parametrize("where", ["local", "remote"])
@pytest.mark.parametrize("prefetch", [0, 2])
def test_batches_before_a_changed_byte_come_first(tmp_path, range_server, where, prefetch, tensor):
    folder = write(tmp_path / "ds", size=64)  # 8 KiB: not of those that share a checksum; of numbers many do
    spoil(folder, tensor)
    ds = mlstac.load(folder if where == "local" else range_server(folder).url, framework="numpy", verify=True)
    seen, said = until_error(ds.batches(3, prefetch=prefetch), ChecksumError)
    assert f"tensor '{tensor}' of sample" in said
    assert seen == (list(range(24)) if tensor == "image" else [])


def test_two_threads_give_the_good_ones_first(tmp_path):
    folder = write(tmp_path / "ds", size=512)
    spoil(folder, "image")
    ds = mlstac.load(folder, framework="numpy", verify=True)
    seen, _ = until_error(ds.batches(3), ChecksumError)
    assert seen == list(range(24))


def test_batches_before_a_shard_that_is_gone_come_first(tmp_path):
    folder = write(tmp_path / "ds", size=64, shard_size="90KB")
    shards = sorted((folder / "train").glob("*.safetensors"))
    assert len(shards) == 4
    shards[2].unlink()
    seen, said = until_error(mlstac.load(folder, framework="numpy").batches(4), MissingFileError)
    assert seen == list(range(20))
    assert shards[2].name in said


def test_batches_before_a_sample_without_the_tensor_come_first(tmp_path):
    samples = [{"x": np.int32(number)} | ({} if number == 7 else {"y": np.int32(number)}) for number in range(10)]
    tensors = {"x": mlstac.Tensor(), "y": mlstac.Tensor(required=False)}
    mlstac.write(samples, tmp_path / "ds", id="ds", license="CC0-1.0", tensors=tensors)
    seen = []
    with pytest.raises(InvalidArgumentError, match=r"lacks tensor 'y'.*train-0000007"):  # noqa: PT012
        for batch in mlstac.load(tmp_path / "ds", framework="numpy").batches(2):
            seen += batch["x"].tolist()
    assert seen == list(range(6))


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("error", [ZeroDivisionError, FormatError])
@pytest.mark.parametrize("bad", [0, BAD])
def test_batches_before_a_transform_that_fails_come_first_and_it_is_not_asked_twice(tmp_path, prefetch, error, bad):
    asked = []

    def transform(batch):
        asked.append(batch["number"].tolist())
        if bad in batch["number"]:
            raise error("mine")
        return batch

    ds = mlstac.load(write(tmp_path / "ds"), framework="numpy")
    batches = ds.batches(2, transform=transform, prefetch=prefetch)
    good = bad // 2 * 2
    assert until_error(batches, error) == (list(range(good)), "mine")
    assert batches.state_dict()["consumed"] == good
    assert len(asked) == len({tuple(numbers) for numbers in asked})


@pytest.mark.parametrize("prefetch", [0, 2])
def test_where_the_error_does_not_come_again_the_epoch_goes_on_as_before(tmp_path, fault_server, monkeypatch, prefetch):
    folder = write(tmp_path / "ds", size=64)
    server, shard = fault_server(folder), "train/00000.safetensors"
    right = (folder / shard).read_bytes()
    spoil(folder, "image")
    server.files[shard] = (folder / shard).read_bytes()
    changes = []

    class Watched(_careful.Careful):
        def _change(self):
            changes.append(self._taken)
            server.files[shard] = right
            super()._change()

    monkeypatch.setattr("mlstac.loading._batches.Careful", Watched)
    monkeypatch.setattr(_careful, "FIRST_ALONE", 3)
    ds = mlstac.load(server.url, framework="numpy")
    seen = [number for batch in ds.batches(2, prefetch=prefetch) for number in batch["number"].tolist()]
    assert seen == list(range(COUNT))
    first, second = changes
    assert second == first + 3
