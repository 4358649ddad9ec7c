"""Single local samples, which are read without laying out a batch of one: the same samples, errors and refusals."""

import numpy as np
import pytest

import mlstac
from mlstac.errors import ChangedError
from mlstac.loading._single import Single
from tests.loading.datasets import write_stacked

COUNT = 23


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(5)
    return {
        "image": rng.integers(0, 60_000, (COUNT, 3, 16, 16)).astype(np.uint16),
        "mask": rng.integers(0, 2, (COUNT, 16, 16)).astype(bool),
        "number": np.arange(COUNT, dtype=np.int64),
    }


@pytest.fixture
def folder(tmp_path, arrays):
    return write_stacked(tmp_path, {"train": arrays}, shard_rows=5, image={"dims": "band y x", "nodata": 0})


@pytest.fixture
def shortly(monkeypatch):
    """How many samples were read without a batch of one."""
    counted = []
    read = Single.read

    def note(self, row):
        found = read(self, row)
        counted.append(found is not None)
        return found

    monkeypatch.setattr(Single, "read", note)
    return counted


@pytest.mark.parametrize("framework", ["numpy", "torch", "tensorflow", "jax", "paddle"])
@pytest.mark.filterwarnings("ignore::mlstac.frameworks.WidenedWarning")
def test_a_sample_is_the_row_of_its_batch(folder, arrays, framework, shortly):
    ds = mlstac.load(folder, framework=framework, narrow=framework == "jax")
    if framework == "jax":  # int64 as 32 bits is a conversion
        ds = ds.select(tensors=["image", "mask"])
    batch = ds[list(range(COUNT))]
    for row in (0, 4, 5, 22, -1):
        sample = ds[row]
        assert list(sample) == list(batch)
        for name, value in sample.items():
            assert type(value) is type(batch[name])
            assert value.dtype == batch[name].dtype
            assert np.array_equal(np.asarray(value), arrays[name][row])
    assert all(shortly)
    assert len(shortly) == 5


def test_a_sample_is_its_own_and_may_be_written_to(folder, arrays):
    ds = mlstac.load(folder, framework="numpy")
    first = ds[3]
    first["image"][:] = 7
    assert np.array_equal(ds[3]["image"], arrays["image"][3])
    assert first["image"].ctypes.data % 64 == 0


def test_windows_go_the_way_of_batches(folder, arrays, shortly):
    sample = mlstac.load(folder, framework="numpy").window(y=slice(2, 9), x=slice(1, 5))[6]
    assert np.array_equal(sample["image"], arrays["image"][6, :, 2:9, 1:5])
    assert shortly == [False]


@pytest.mark.parametrize("options", [{"verify": True}, {"as_dtype": "float32"}])
def test_what_is_checked_or_converted_goes_the_way_of_batches(folder, arrays, options, shortly):
    sample = mlstac.load(folder, framework="numpy", **options)[6]
    assert np.array_equal(sample["image"], arrays["image"][6])
    assert shortly == [False]


def test_subsets_number_their_own_samples(folder, arrays, shortly):
    ds = mlstac.load(folder, framework="numpy").subset([20, 4, 4])
    assert [int(ds[row]["number"]) for row in range(3)] == [20, 4, 4]
    assert all(shortly)


def test_a_shard_that_was_written_to_is_refused_by_its_next_sample(folder):
    ds = mlstac.load(folder, framework="numpy")
    ds[7]
    path = folder / "train" / "00001.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data + b"\0")
    with pytest.raises(ChangedError, match=r"00001\.safetensors.*while reading sample 7 "):
        ds[7]
