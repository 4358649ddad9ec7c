"""Tensors of any framework go in, mixed as they come."""

import numpy as np
import pytest

import mlstac.authoring as authoring
from mlstac.collection import Collection, Tensor
from mlstac.errors import InvalidSampleError
from mlstac.frameworks import get_adapter
from tests.authoring._read import read_collection, read_shards

VALUES = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def make(framework):
    """The same values as a tensor of a framework."""
    if framework == "torch":
        import torch

        # Not contiguous, and it wants a gradient: both are the author's business and not the file's.
        return torch.tensor(VALUES.transpose(2, 1, 0).copy(), requires_grad=True).permute(2, 1, 0)
    if framework == "tensorflow":
        import tensorflow

        return tensorflow.constant(VALUES)
    if framework == "jax":
        import jax.numpy

        return jax.numpy.asarray(VALUES)
    if framework == "paddle":
        get_adapter("paddle")  # which undoes what importing paddle does to the process
        import paddle

        return paddle.to_tensor(VALUES)
    return VALUES


@pytest.mark.parametrize("framework", ["numpy", "torch", "tensorflow", "jax", "paddle"])
def test_tensors_of_every_framework_are_stored_as_their_values(tmp_path, framework):
    authoring.write([{"x": make(framework), "y": VALUES}], tmp_path)
    (shard,) = read_shards(tmp_path, "train")
    assert np.array_equal(shard["x"][0], VALUES)


def test_bfloat16_is_stored_and_measured_as_bfloat16(tmp_path):
    import torch

    values = torch.randn(2, 8, 8).to(torch.bfloat16)
    authoring.write([{"x": values}], tmp_path)
    described = read_collection(tmp_path)
    assert described["ml:tensors"]["x"]["dtype"] == "BF16"
    bands = described["item_assets"]["x"]["bands"]
    exact = values.to(torch.float64).mean(dim=(1, 2))
    assert [band["statistics"]["mean"] for band in bands] == pytest.approx(exact.tolist(), rel=1e-12)


def test_python_numbers_follow_the_declared_dtype(tmp_path):
    collection = Collection(
        id="x", tensors={"label": Tensor(dtype="uint8", role="label"), "score": Tensor(dtype="F32")}
    )
    authoring.write([{"label": n, "score": n / 2} for n in range(3)], tmp_path, collection)
    (shard,) = read_shards(tmp_path, "train")
    assert shard["label"].dtype == np.uint8
    assert shard["label"].tolist() == [0, 1, 2]
    assert shard["score"].tolist() == [0, 0.5, 1]


def test_a_masked_array_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(InvalidSampleError, match="filled"):
        authoring.write([{"x": np.ma.masked_equal(VALUES, 3)}], tmp_path)


@pytest.mark.parametrize("dtype", ["f4", "i1", "u1", "u2"])
def test_a_view_of_numbers_keeps_dtype_and_shape(tmp_path, dtype):
    values = np.arange(6).astype(dtype).reshape(2, 3) - np.ones(1, dtype)
    authoring.write([{"x": memoryview(values)}], tmp_path)
    (shard,) = read_shards(tmp_path, "train")
    assert shard["x"].dtype == values.dtype
    assert np.array_equal(shard["x"][0], values)


def test_a_view_of_bytes_is_bytes(tmp_path):
    authoring.write([{"x": memoryview(b"some bytes")}], tmp_path)
    (shard,) = read_shards(tmp_path, "train")
    assert shard["x"].tobytes() == b"some bytes"
