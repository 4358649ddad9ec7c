"""The page's example of a sixth framework, run as it stands there."""

import os
import re
import subprocess
import sys
import textwrap
import tomllib

import pytest

# cupy needs a GPU to be imported, so what the example asks of it is played by numpy here.
CUPY = """
    import numpy

    class ndarray(numpy.ndarray):
        device = None

    class cuda:
        class runtime:
            @staticmethod
            def getDeviceCount():
                return 2

        class Device:
            entered = [0]

            def __init__(self, number):
                self.number = number

            def __enter__(self):
                self.entered.append(self.number)

            def __exit__(self, *_):
                self.entered.pop()

    def asarray(array, *, blocking=False):
        current = cuda.Device.entered[-1]
        if isinstance(array, ndarray) and array.device == current:
            return array
        moved = array.copy().view(ndarray)
        moved.device = current
        return moved

    def asnumpy(array):
        return numpy.asarray(array)
"""


@pytest.fixture
def installed(tmp_path, repository):
    page = (repository / "docs" / "frameworks.md").read_text()
    example = page[page.index("## A sixth framework") :]
    module, project = (re.search(rf"```{kind}\n(.*?)```", example, re.DOTALL)[1] for kind in ("python norun", "toml"))
    points = tomllib.loads(project)["project"]["entry-points"]["mlstac.frameworks"]
    (tmp_path / "mlstac_cupy.py").write_text(module)
    (tmp_path / "cupy.py").write_text(textwrap.dedent(CUPY))
    info = tmp_path / "mlstac_cupy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mlstac-cupy\nVersion: 1.0\n")
    lines = [f"{name} = {target}" for name, target in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[mlstac.frameworks]", *lines, ""]))
    return tmp_path


def test_the_sixth_framework_of_the_page_works(installed):
    script = """
        import numpy as np
        from mlstac.errors import DeviceError, DtypeError
        from mlstac.frameworks import check_dtypes, encode, get_adapter
        adapter = get_adapter("cupy")
        assert check_dtypes(adapter, {"x": "U16"}) == {"x": "U16"}
        for verb, value, error in (("check_dtype", "BF16", DtypeError), ("resolve_device", "cuda:4", DeviceError)):
            try:
                getattr(adapter, verb)(value)
            except error as message:
                assert "cupy" in str(message)
            else:
                raise SystemExit(f"{value} was not refused")
        buffer = adapter.allocate(8)
        buffer[:] = range(8)
        tensor = adapter.decode(buffer, "U16", (2, 2), device="cuda:0", owned=True)
        assert adapter.owns(tensor) and tensor.shape == (2, 2)
        name, shape, data = encode(tensor)
        assert (name, shape, data.tolist()) == ("U16", (2, 2), list(range(8)))
        assert adapter.begin_transfer({"x": tensor}, "cuda").wait()["x"] is tensor

        import sys, cupy, mlstac
        images = [cupy.asarray(np.full((3, 4, 4), index, np.uint16)) for index in range(5)]
        mlstac.write([{"input": image} for image in images], sys.argv[1], id="six", license="CC0-1.0")
        ds = mlstac.load(sys.argv[1], framework="cupy", device="cuda:1")
        first, last = ds.batches(4)
        got = (ds[3], images[3]), (ds[1:3], images[1:3]), (first, images[:4]), (last, images[4:])
        for array, expected in ((tensors["input"], expected) for tensors, expected in got):
            assert type(array) is cupy.ndarray and array.device == 1
            assert array.dtype == np.uint16 and np.array_equal(array, expected)
        try:
            mlstac.load(sys.argv[1], framework="cupy")
        except DeviceError as message:
            assert "cupy has no device 'cpu' here; it has cuda:0, cuda:1" in str(message)
            print("ok")
    """
    path = os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(installed / "six")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert ran.stdout == "ok\n", ran.stderr
