"""`import mlstac` is light: asked in a fresh process, since the tests' own has long loaded everything."""

import subprocess
import sys

import pytest

HEAVY = [
    "torch", "tensorflow", "jax", "paddle",
    "matplotlib", "PIL", "av",
    "s3fs", "gcsfs", "adlfs", "huggingface_hub", "botocore",
    "pandas", "geopandas", "scipy", "xarray", "dask", "rasterio",
]  # fmt: skip


def loaded_after(code):
    """Which heavy packages a fresh interpreter holds after running some code."""
    program = f"{code}\nimport sys\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()


def test_a_heavy_package_is_seen():
    assert "PIL" in loaded_after("import PIL")


@pytest.mark.parametrize(
    "code",
    [
        "import mlstac",
        "import mlstac; [getattr(mlstac, name) for name in mlstac.__all__]",
        "import mlstac.cli",
        "import mlstac; mlstac.Tensor(dims='band y x', bands='sentinel-2-l2a')",
    ],
)
def test_no_framework_no_cloud_and_no_picture_library_is_loaded(code):
    assert loaded_after(code) == []
