"""Frameworks by name: known or not, installed or not, broken, or brought by another package."""

import json
import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

from mlstac.errors import MissingFrameworkError, UnknownFrameworkError
from mlstac.frameworks import PACKAGES, Adapter, get_adapter, known_frameworks
from tests.frameworks.patterns import FRAMEWORKS


def run(script: str, *folders: Path, arguments: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, (*folders, os.environ.get("PYTHONPATH", ""))))
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path},
    )


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_every_leaf_offers_the_contract(name):
    adapter = get_adapter(name)
    assert name == adapter.NAME
    assert isinstance(adapter, Adapter)


@pytest.mark.parametrize("name", ["pytorch", "Torch", "", "../torch", "torch.nn", "_dtypes"])
def test_an_unknown_framework_lists_the_known(name):
    with pytest.raises(UnknownFrameworkError, match="choose one of numpy, torch, tensorflow, jax, paddle") as caught:
        get_adapter(name)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize("name", [name for name in FRAMEWORKS if name != "numpy"])
def test_a_framework_that_is_not_installed_says_what_to_install(name):
    ran = run(
        f"""
        import sys
        sys.modules[{name!r}] = None  # what the import system takes for "not there"
        from mlstac.errors import MissingFrameworkError
        from mlstac.frameworks import get_adapter
        try:
            get_adapter({name!r})
        except MissingFrameworkError as error:
            print(isinstance(error, ImportError), error)
        """
    )
    assert ran.stdout == f"True framework '{name}' is not installed; run: pip install {PACKAGES[name]}\n", ran.stderr


def test_a_framework_that_is_broken_shows_its_own_traceback(tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("import libtorch_that_is_gone\n")
    ran = run("from mlstac.frameworks import get_adapter; get_adapter('torch')", tmp_path)
    assert ran.returncode == 1
    assert "ModuleNotFoundError: No module named 'libtorch_that_is_gone'" in ran.stderr
    assert str(tmp_path / "torch" / "__init__.py") in ran.stderr
    assert "MissingFrameworkError" not in ran.stderr


def test_known_frameworks_are_listed_without_importing_any():
    ran = run(
        """
        import json, sys
        from mlstac.frameworks import known_frameworks
        names = known_frameworks()
        print(json.dumps([names, [name for name in ("torch", "tensorflow", "jax", "paddle") if name in sys.modules]]))
        """
    )
    names, imported = json.loads(ran.stdout)
    assert names[:5] == list(FRAMEWORKS)
    assert imported == []


def install_sixth(folder: Path, module: str) -> None:
    """Lay out a package as pip would, with an entry point of ours."""
    (folder / "abacus.py").write_text(
        "from dataclasses import dataclass\n\n"
        "@dataclass\nclass Beads:\n    data: bytes\n    dtype: str\n    shape: tuple\n"
    )
    (folder / "abacus_mlstac.py").write_text(textwrap.dedent(module))
    info = folder / "abacus_mlstac-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: abacus-mlstac\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mlstac.frameworks]\nabacus = abacus_mlstac\n")


SIXTH = """
    import numpy as np
    import abacus
    from mlstac.frameworks import Transfer, allocate, check_known

    NAME = "abacus"

    def check_dtype(dtype, *, narrow=False):
        check_known(dtype, framework=NAME)
        return dtype

    def resolve_device(device=None):
        return "table"

    def shares_memory(dtype):
        return False

    def decode(buffer, dtype, shape, *, device=None, owned, narrow=False):
        return abacus.Beads(buffer.tobytes(), dtype, shape)

    def encode(tensor):
        return tensor.dtype, tensor.shape, np.frombuffer(tensor.data, np.uint8)

    def owns(obj):
        return isinstance(obj, abacus.Beads)

    def begin_transfer(batch, device=None):
        return Transfer(batch)
"""


def test_another_package_brings_a_sixth(tmp_path):
    install_sixth(tmp_path, SIXTH)
    ran = run(
        """
        import numpy as np, sys
        from mlstac.frameworks import check_dtypes, encode, get_adapter, known_frameworks
        assert known_frameworks()[-1] == "abacus" and "abacus" not in sys.modules
        adapter = get_adapter("abacus")
        assert check_dtypes(adapter, {"x": "U16"}) == {"x": "U16"}
        buffer = adapter.allocate(4)
        buffer[:] = [1, 0, 2, 0]
        tensor = adapter.decode(buffer, "U16", (2,), owned=True)
        assert type(tensor).__name__ == "Beads"
        name, shape, data = encode(tensor)
        assert (name, shape, data.tolist()) == ("U16", (2,), [1, 0, 2, 0])

        import mlstac
        mlstac.write([{"x": tensor}] * 3, sys.argv[1], id="beads", license="CC0-1.0")
        ds = mlstac.load(sys.argv[1], framework="abacus")
        assert ds[2]["x"] == tensor
        (batch,) = ds.batches(3)
        assert (batch["x"].shape, batch["x"].data) == ((3, 2), tensor.data * 3)
        print("ok")
        """,
        tmp_path,
        arguments=[str(tmp_path / "beads")],
    )
    assert ran.stdout == "ok\n", ran.stderr


def test_what_a_device_does_not_hold_is_refused_at_load(tmp_path):
    install_sixth(
        tmp_path,
        SIXTH
        + """
    from mlstac.errors import DtypeError

    def check_placed(dtype, device):
        if dtype == "F64":
            raise DtypeError(f"the {device} is too small for {dtype}")
""",
    )
    ran = run(
        """
        import numpy as np, sys
        import mlstac
        mlstac.write([{"x": np.ones(2), "n": np.ones(2, "uint8")}], sys.argv[1], id="beads", license="CC0-1.0")
        for options in ({}, {"as_dtype": {"x": "float32"}}):
            try:
                ds = mlstac.load(sys.argv[1], framework="abacus", **options)
                print(ds[0]["x"].dtype, len(ds.select(tensors=["n"])))
            except mlstac.errors.DtypeError as error:
                print(error)
        """,
        tmp_path,
        arguments=[str(tmp_path / "beads")],
    )
    assert ran.stdout == "tensor 'x': the table is too small for F64\nF32 1\n", ran.stderr


def test_a_sixth_whose_framework_is_missing_says_so(tmp_path):
    install_sixth(tmp_path, SIXTH)
    (tmp_path / "abacus.py").unlink()
    ran = run("from mlstac.frameworks import get_adapter; get_adapter('abacus')", tmp_path)
    assert "MissingFrameworkError: framework 'abacus' is not installed; run: pip install abacus" in ran.stderr


def test_a_sixth_may_not_take_the_place_of_one_of_ours(tmp_path):
    install_sixth(tmp_path, SIXTH)
    points = tmp_path / "abacus_mlstac-1.0.dist-info" / "entry_points.txt"
    points.write_text("[mlstac.frameworks]\nnumpy = abacus_mlstac\n")
    ran = run("from mlstac.frameworks import get_adapter; print(get_adapter('numpy').__name__)", tmp_path)
    assert ran.stdout == "mlstac.frameworks.numpy\n", ran.stderr


def test_a_sixth_that_lacks_a_verb_is_refused_when_it_is_asked_for(tmp_path):
    install_sixth(tmp_path, SIXTH.replace("def shares_memory", "def _shares_memory"))
    ran = run("from mlstac.frameworks import get_adapter; get_adapter('abacus')", tmp_path)
    assert "adapter 'abacus' (abacus_mlstac) lacks shares_memory" in ran.stderr


def test_the_error_of_a_missing_framework_is_an_import_error():
    assert issubclass(MissingFrameworkError, ImportError)
    assert set(PACKAGES) <= set(known_frameworks())
