"""Scaling is exact to float32 whatever the stored dtype; numpy in float64 is the judge."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

import mlstac

STORED = {
    "int32": np.array([2**24 + 1, 2**31 - 1, -(2**31)], np.int32),
    "uint32": np.array([2**24 + 1, 2**32 - 1, 0], np.uint32),
    "int64": np.array([2**24 + 1, 2**40 + 1, -(2**40) - 1], np.int64),
    "float64": np.array([2**24 + 1, 0.1, -1e-9], np.float64),
    "uint16": np.array([0, 1, 65_535], np.uint16),
}


@pytest.fixture
def ds(tmp_path):
    tensors = {name: mlstac.Tensor(scale=1.0, offset=-float(2**24)) for name in STORED}
    mlstac.write([STORED] * 2, tmp_path / "ds", id="wide", license="CC0-1.0", tensors=tensors)
    return mlstac.load(tmp_path / "ds", framework="numpy").scaled()


@pytest.mark.parametrize("name", STORED)
def test_wide_values_are_scaled_before_they_are_rounded(ds, name):
    exact = (STORED[name].astype(np.float64) - 2**24).astype(np.float32)
    for given in (ds[0][name], ds[:][name][1], next(iter(ds.batches(2)))[name][0]):
        assert given.dtype == np.float32
        assert np.array_equal(given, exact)


SHARDED = """
    import os
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
    import jax, numpy as np, pytest, mlstac
    from jax.sharding import Mesh, NamedSharding, PartitionSpec
    from mlstac.errors import DeviceError

    mlstac.write([{"x": np.full((4, 2), i, np.float32)} for i in range(6)], "ds", id="x", license="CC0-1.0")
    mesh = Mesh(np.array(jax.devices()), ("data",))
    ds = mlstac.load("ds", framework="jax", device=NamedSharding(mesh, PartitionSpec("data")))
    assert len(ds[0:4]["x"].sharding.device_set) == 4
    with pytest.raises(DeviceError, match="no batch.*ds\\\\[3:4\\\\]"):
        ds[3]
    with pytest.raises(DeviceError, match=r"\\(2, 4, 2\\).*drop_last=True"):
        list(ds.batches(4))
    everywhere = mlstac.load("ds", framework="jax", device=NamedSharding(mesh, PartitionSpec()))
    assert np.array_equal(everywhere[3]["x"], np.full((4, 2), 3))
"""


def test_one_sample_over_several_devices_is_refused_by_name(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SHARDED)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
