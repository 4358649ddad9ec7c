"""The contract on CUDA: same bits, on the device, through pinned memory, ahead of the consumer."""

import jax
import numpy as np
import paddle
import pytest
import tensorflow as tf
import torch

from mlstac.frameworks import get_adapter
from tests.frameworks.patterns import WIDTHS, raw_bytes
from tests.frameworks.test_memory import HELD


def has_cuda(framework: str) -> bool:
    if framework == "torch":
        return torch.cuda.is_available()
    if framework == "tensorflow":
        return bool(tf.config.list_physical_devices("GPU"))
    if framework == "jax":
        return any(device.platform in ("gpu", "cuda") for device in jax.devices())
    return paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0


@pytest.fixture(params=["torch", "tensorflow", "jax", "paddle"])
def framework(request):
    if not has_cuda(request.param):
        pytest.skip(f"{request.param} sees no CUDA device here")
    return request.param


def is_on_gpu(tensor) -> bool:
    if isinstance(tensor, jax.Array):
        return all(device.platform == "gpu" for device in tensor.devices())
    place = getattr(tensor, "device", None) or getattr(tensor, "place", None)
    return any(word in str(place).lower() for word in ("cuda", "gpu"))


def pattern(nbytes: int) -> np.ndarray:
    return np.random.default_rng(nbytes).integers(0, 256, nbytes, np.uint8)


def test_every_dtype_arrives_exact_to_the_bit(framework):
    adapter = get_adapter(framework)
    for dtype in HELD[framework]:
        if adapter.check_dtype(dtype) != dtype:
            continue
        stored = pattern(64) % 2 if dtype == "BOOL" else pattern(64)
        tensor = adapter.decode(stored, dtype, (64 // WIDTHS[dtype],), device="cuda:0", owned=False)
        assert is_on_gpu(tensor), dtype
        assert raw_bytes(tensor) == stored.tobytes(), dtype
        name, _, data = adapter.encode(tensor)
        assert (name, data.tobytes()) == (dtype, stored.tobytes())


def test_a_batch_is_sent_ahead_from_buffers_of_our_own(framework):
    adapter = get_adapter(framework)
    sent = []
    for step in range(4):
        buffer = adapter.allocate(1 << 20, "cuda")
        buffer[:] = step + 1
        host = {"input": adapter.decode(buffer, "U8", (16, 1 << 16), owned=True), "id": ["a"]}
        sent.append(adapter.begin_transfer(host, "cuda"))
        del buffer, host
    for step, transfer in enumerate(sent):
        batch = transfer.wait()
        assert is_on_gpu(batch["input"])
        assert raw_bytes(batch["input"]) == bytes([step + 1]) * (1 << 20)
        assert batch["id"] == ["a"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")
def test_torch_copies_from_pinned_memory_beside_the_consumers_stream():
    adapter = get_adapter("torch")
    buffer = adapter.allocate(1 << 20, "cuda")
    assert torch.from_numpy(buffer).is_pinned()
    buffer[:] = 3
    consumer = torch.cuda.Stream()
    with torch.cuda.stream(consumer):
        transfer = adapter.begin_transfer({"x": adapter.decode(buffer, "U8", (1 << 20,), owned=True)}, "cuda")
        batch = transfer.wait()
        total = batch["x"].to(torch.int64).sum()
    assert total.item() == 3 << 20
