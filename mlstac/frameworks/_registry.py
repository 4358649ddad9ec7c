"""Which frameworks there are, and their adapters, imported on demand."""

import sys
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from mlstac.errors import MissingFrameworkError, UnknownFrameworkError
from mlstac.frameworks._contract import VERBS, Adapter
from mlstac.frameworks._guard import guarded_import

GROUP = "mlstac.frameworks"
"""Entry point group in which another package names its adapter."""

PACKAGES = {
    "numpy": "numpy",
    "torch": "torch",
    "tensorflow": "tensorflow",
    "jax": "jax",
    "paddle": "paddlepaddle",
}
"""Framework that we adapt -> what to install."""

_ROOTS = {"jaxlib": "jax"}
"""Root package of a tensor's class -> framework, where the two differ."""


def known_frameworks() -> list[str]:
    """Names that `get_adapter` takes, ours first; none is imported."""
    return [*PACKAGES, *(name for name in _third_party() if name not in PACKAGES)]


@cache
def _third_party() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


@cache
def get_adapter(name: str) -> Adapter:
    """Import the adapter of a framework, and with it the framework.

    Parameters
    ----------
    name : str
        One of `known_frameworks`.

    Returns
    -------
    Adapter

    Raises
    ------
    UnknownFrameworkError
        If no adapter has that name (the message lists those that are known), or another package's lacks a verb.
    MissingFrameworkError
        If the framework is not installed. One that is installed but broken raises its own error.
    """
    if name not in PACKAGES and name not in _third_party():
        raise UnknownFrameworkError(f"framework {name!r} is not known; choose one of {', '.join(known_frameworks())}")
    try:
        with guarded_import(name):
            if name in PACKAGES:
                adapter: Any = import_module(f"mlstac.frameworks.{name}")
                return adapter  # type: ignore[no-any-return]  # mypy does not read a module as a protocol
            return _complete(name, _third_party()[name])
    except ModuleNotFoundError as error:
        if error.name != name:  # installed but broken: its own traceback says more than we can
            raise
        package = PACKAGES.get(name, name)
        raise MissingFrameworkError(f"framework {name!r} is not installed; run: pip install {package}") from error


def _complete(name: str, point: EntryPoint) -> Adapter:
    adapter: Any = point.load()
    missing = [verb for verb in ("NAME", *VERBS) if not hasattr(adapter, verb)]
    if missing:
        raise UnknownFrameworkError(
            f"adapter {name!r} ({point.value}) lacks {', '.join(missing)}; it was written for another version of mlstac"
        )
    return adapter  # type: ignore[no-any-return]


def owner_of(obj: object) -> str:
    """Name of the framework that made a tensor, told by its class without importing anything; else ``"numpy"``."""
    roots = [base.__module__.partition(".")[0] for base in type(obj).__mro__]
    for root in roots:
        name = _ROOTS.get(root, root)
        if name in known_frameworks() and name in sys.modules:
            return name
    return "numpy"
