"""One spelling of devices; none that is absent is taken, and none is quietly replaced by the CPU."""

import os
import subprocess
import sys
import textwrap

import jax
import numpy as np
import paddle
import pytest
import tensorflow as tf
import torch

from mlstac.errors import DeviceError, DtypeError
from mlstac.frameworks import get_adapter
from tests.frameworks.patterns import FRAMEWORKS, raw_bytes

CPUS = {
    "numpy": [],
    "torch": [torch.device("cpu")],
    "tensorflow": [
        "/CPU:0",
        "/device:CPU:0",
        "/job:localhost/replica:0/task:0/device:CPU:0",
        tf.DeviceSpec.from_string("/CPU:0"),
        "/cpu:0",
        "/device:cpu:0",
        tf.DeviceSpec(device_type="CPU"),  # "/device:CPU:*"
    ],
    "jax": [jax.devices("cpu")[0], jax.sharding.SingleDeviceSharding(jax.devices("cpu")[0])],
    "paddle": [paddle.CPUPlace(), paddle.zeros([1]).place],
}
CPUS["tensorflow"].append(tf.config.list_logical_devices("CPU")[0])
OWN_OBJECTS = {
    "torch": torch.device("cpu"),
    "tensorflow": tf.config.list_logical_devices("CPU")[0],
    "jax": jax.devices("cpu")[0],
    "paddle": paddle.CPUPlace(),
}


def is_on_cpu(tensor) -> bool:
    if isinstance(tensor, jax.Array):
        return {device.platform for device in tensor.devices()} == {"cpu"}
    place = getattr(tensor, "device", None) or getattr(tensor, "place", None)
    return "cpu" in str(place).lower()


@pytest.mark.parametrize(
    ("framework", "device"),
    [(name, device) for name in FRAMEWORKS for device in (None, "cpu", "CPU", "cpu:0", *CPUS[name])],
    ids=str,
)
def test_the_cpu_has_many_names(framework, device):
    adapter = get_adapter(framework)
    adapter.resolve_device(device)
    tensor = adapter.decode(np.arange(8, dtype=np.uint8), "U8", (8,), device=device, owned=False)
    assert is_on_cpu(tensor)
    assert raw_bytes(tensor) == bytes(range(8))


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("device", ["cpu:7", "cuda:99", "gpu:99", "mps:99", "tpu:99", "xpu:99"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(framework, device):
    with pytest.raises(DeviceError, match=rf"{framework} has no device '{device}' here; it has .*(cpu|CPU)"):
        get_adapter(framework).resolve_device(device)


@pytest.mark.parametrize(
    ("framework", "device"),
    [
        ("torch", torch.device("cuda", 99)),
        ("torch", torch.device("cpu", 3)),
        ("tensorflow", "/GPU:99"),
        ("tensorflow", "/gpu:99"),
        ("tensorflow", "/CPU:1"),  # TensorFlow itself would take CPU:0 and say nothing
        ("tensorflow", "/device:TPU:9"),
        ("jax", "cpu:9"),
    ],
    ids=str,
)
def test_an_own_spelling_of_an_absent_device_is_refused(framework, device):
    with pytest.raises(DeviceError, match="has no device"):
        get_adapter(framework).resolve_device(device)


@pytest.mark.parametrize("device", ["mps", "mps:0"])
def test_torch_holds_no_float64_on_apples_gpus(device):
    adapter = get_adapter("torch")
    with pytest.raises(DtypeError, match=r"'mps(:0)?' cannot hold dtype F64; load it with as_dtype='float32'"):
        adapter.check_placed("F64", torch.device(device))
    for dtype in ("F32", "F16", "I64", "U8", "BOOL"):
        adapter.check_placed(dtype, torch.device(device))
    for other in ("cpu", "cuda:0"):
        adapter.check_placed("F64", torch.device(other))


def test_torch_has_no_values_on_meta():
    with pytest.raises(DeviceError, match="holds no values"):
        get_adapter("torch").resolve_device(torch.device("meta"))


@pytest.mark.parametrize(
    ("framework", "other"), [(name, other) for name in FRAMEWORKS for other in OWN_OBJECTS if other != name]
)
def test_a_device_object_of_another_framework_is_refused(framework, other):
    with pytest.raises(DeviceError, match=rf"no device of {framework}; give one of its own"):
        get_adapter(framework).resolve_device(OWN_OBJECTS[other])


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("device", ["", "GPU 0", "cuda:", "cuda:-1", "cuda:x", "abacus", 0, b"cpu", ["cpu"]], ids=repr)
def test_what_is_no_device_is_refused(framework, device):
    with pytest.raises(DeviceError, match=f"{framework}"):
        get_adapter(framework).resolve_device(device)


@pytest.mark.parametrize("framework", [name for name in FRAMEWORKS if name != "tensorflow"])
def test_the_spelling_of_tensorflow_is_tensorflows(framework):
    with pytest.raises(DeviceError, match="'/CPU:0' is not understood"):
        get_adapter(framework).resolve_device("/CPU:0")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_transfer_to_the_cpu_hands_the_batch_on(framework):
    adapter = get_adapter(framework)
    tensor = adapter.decode(np.arange(8, dtype=np.uint8), "U8", (2, 4), owned=False)
    batch = {"input": tensor, "boxes": [tensor, tensor], "caption": ["a", "b"], "meta": [{"n": 1}, {"n": 2}]}
    transfer = adapter.begin_transfer(batch, "cpu")
    arrived = transfer.wait()
    assert raw_bytes(arrived["input"]) == bytes(range(8))
    assert [raw_bytes(item) for item in arrived["boxes"]] == [bytes(range(8))] * 2
    assert (arrived["caption"], arrived["meta"]) == (["a", "b"], [{"n": 1}, {"n": 2}])
    assert transfer.wait() is arrived


def run(script: str, **environment: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_jax_spreads_a_batch_over_devices_by_its_sharding():
    out = run(
        """
        import jax, numpy as np
        from jax.sharding import Mesh, NamedSharding, PartitionSpec
        from mlstac.frameworks import get_adapter

        adapter = get_adapter("jax")
        sharding = NamedSharding(Mesh(np.array(jax.devices()), ("data",)), PartitionSpec("data"))
        stored = np.arange(8 * 3 * 2, dtype=np.uint8)
        assert adapter.resolve_device(sharding) is sharding

        direct = adapter.decode(stored, "U16", (8, 3), device=sharding, owned=False)
        host = {"input": adapter.decode(stored, "U16", (8, 3), owned=False), "id": ["a"] * 8}
        sent = adapter.begin_transfer(host, sharding).wait()
        assert sent["id"] == ["a"] * 8
        for array in (direct, sent["input"]):
            assert array.sharding == sharding and array.shape == (8, 3)
            assert sorted(shard.data.shape for shard in array.addressable_shards) == [(2, 3)] * 4
            assert np.asarray(array).tobytes() == stored.tobytes()

        third = adapter.decode(stored, "U8", (48,), device="cpu:3", owned=False)
        assert third.devices() == {jax.devices()[3]} and third.committed
        moved = adapter.begin_transfer({"x": adapter.decode(stored, "U8", (48,), owned=False)}, "cpu:2").wait()["x"]
        assert moved.devices() == {jax.devices()[2]}
        print("ok", len(jax.devices()))
        """,
        XLA_FLAGS="--xla_force_host_platform_device_count=4",
        JAX_PLATFORMS="cpu",
    )
    assert out == "ok 4\n"


def test_a_jax_array_on_the_cpu_is_free_to_follow_a_step_elsewhere():
    adapter = get_adapter("jax")
    data = np.zeros(4, np.uint8)
    for device in (None, "cpu", "cpu:0"):
        assert not adapter.decode(data, "U8", (4,), device=device, owned=False).committed


def test_tensorflow_puts_tensors_on_the_device_that_was_asked_for():
    out = run(
        """
        import numpy as np, tensorflow as tf
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        from mlstac.frameworks import get_adapter

        adapter = get_adapter("tensorflow")
        for device in ("cpu:1", "/CPU:1", "/device:CPU:1", tf.config.list_logical_devices()[1]):
            for dtype in ("U8", "U16", "BF16", "F8_E5M2", "BOOL", "C64"):
                tensor = adapter.decode(np.zeros(16, np.uint8), dtype, (-1,), device=device, owned=False)
                assert tensor.device.endswith("CPU:1"), (dtype, tensor.device)
        host = {"x": adapter.decode(np.zeros(16, np.uint8), "F32", (4,), owned=False), "y": ["text"]}
        sent = adapter.begin_transfer(host, "cpu:1").wait()
        assert sent["x"].device.endswith("CPU:1") and sent["y"] == ["text"]
        print("ok")
        """
    )
    assert out == "ok\n"


def test_a_place_of_paddle_that_is_nowhere_is_refused():
    with pytest.raises(DeviceError, match="undefined"):
        get_adapter("paddle").resolve_device(paddle.base.libpaddle.Place())
