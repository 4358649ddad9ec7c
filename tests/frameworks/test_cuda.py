"""The contract on CUDA: same bits, on the device, through pinned memory, ahead of the consumer."""

import jax
import numpy as np
import paddle
import pytest
import tensorflow as tf
import torch

import mlstac
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


def on_host(tensor) -> np.ndarray:
    return np.asarray(tensor.cpu() if hasattr(tensor, "cpu") else tensor)


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


@pytest.mark.filterwarnings("ignore::mlstac.frameworks.WidenedWarning")
def test_a_dataset_gives_samples_and_batches_there(framework, tmp_path):
    random = np.random.default_rng(3)
    images = random.integers(0, 2**16, (40, 3, 32, 32), np.uint16)
    boxes = [random.random((index % 3, 4), np.float32) for index in range(40)]
    mlstac.write(
        [{"input": image, "boxes": rows, "text": "a"} for image, rows in zip(images, boxes, strict=True)],
        tmp_path / "cuda",
        id="cuda",
        license="CC0-1.0",
    )
    ds = mlstac.load(tmp_path / "cuda", framework=framework, device="cuda:0")
    plain = ds.with_framework("numpy")
    for got, expected in ((ds[7], plain[7]), (ds[3:9], plain[3:9])):
        assert is_on_gpu(got["input"])
        np.testing.assert_array_equal(on_host(got["input"]), expected["input"])
    epoch = {"shuffle": True, "seed": 1, "epoch": 2}
    kept = list(ds.batches(8, **epoch))  # all at once: no memory is used again under a batch
    for got, expected in zip(kept, plain.batches(8, **epoch), strict=True):
        assert is_on_gpu(got["input"])
        assert all(is_on_gpu(rows) for rows in got["boxes"])
        np.testing.assert_array_equal(on_host(got["input"]), expected["input"])
        for rows, judge in zip(got["boxes"], expected["boxes"], strict=True):
            np.testing.assert_array_equal(on_host(rows), judge)
        assert got["text"] == ["a"] * 8


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
