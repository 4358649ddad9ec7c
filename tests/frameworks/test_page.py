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
    import contextlib
    import numpy

    class ndarray(numpy.ndarray):
        pass

    class cuda:
        class runtime:
            @staticmethod
            def getDeviceCount():
                return 1

        class Device(contextlib.nullcontext):
            pass

    def asarray(array, *, blocking):
        return array.copy().view(ndarray)

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
        print("ok")
    """
    path = os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert ran.stdout == "ok\n", ran.stderr
