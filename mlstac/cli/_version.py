"""`mlstac version`: the first thing to put into a report of a fault."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import mlstac
from mlstac.cli._console import OUT, print_json

_PACKAGES = [
    "numpy",
    "pyarrow",
    "fsspec",
    "aiohttp",
    "pydantic",
    "torch",
    "tensorflow",
    "tensorflow-cpu",
    "jax",
    "paddlepaddle",
]


def show_version(*, as_json: bool) -> None:
    """Print the version alone for `$(mlstac version)`; with JSON also those of Python and the packages that matter."""
    if not as_json:
        OUT.print(mlstac.__version__)
        return
    packages = {name: found for name in _PACKAGES if (found := _installed(name))}
    print_json(
        {
            "mlstac": mlstac.__version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "executable": sys.executable,
            "packages": packages,
        }
    )


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
