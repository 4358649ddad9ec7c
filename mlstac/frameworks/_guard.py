"""Importing a framework without what it does to the rest of the process."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def guarded_import(name: str) -> Iterator[None]:
    """Undo, after the first import of paddle, what it did to the rest of the process; other frameworks do nothing.

    Paddle adds a handler to the root logger and lowers its level, after which every library's messages go to stderr;
    and it sets ``OMP_NUM_THREADS=1``, after which torch, and every process started from here, computes on one core.
    Where the user imported it before, both are the user's own.

    Parameters
    ----------
    name : str
        Framework about to be imported.
    """
    if name != "paddle" or name in sys.modules:
        yield
        return
    if _clashes():
        warnings.warn(
            "TensorFlow 2.20 or later was imported before paddle, which by itself ends the process with a segmentation "
            "fault; on Linux mlstac loads paddle with RTLD_DEEPBIND instead. Import paddle first, or install "
            "'tensorflow<2.20', to do without",
            RuntimeWarning,
            stacklevel=4,  # past contextlib and get_adapter, to who asked for the framework
        )
    with warnings.catch_warnings(), _root_logger_kept(), _threads_kept(), _own_symbols(wanted=_clashes()):
        # it concerns extensions that the user would compile
        warnings.filterwarnings("ignore", message="No ccache found", category=UserWarning)
        yield


@contextmanager
def _root_logger_kept() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        for handler in root.handlers[:]:
            if handler not in handlers:
                root.removeHandler(handler)
        root.setLevel(level)


@contextmanager
def _threads_kept() -> Iterator[None]:
    before = os.environ.get("OMP_NUM_THREADS")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("OMP_NUM_THREADS", None)


def _clashes() -> bool:
    """Whether importing paddle now would end the process.

    TensorFlow 2.20 and later exports symbols of its own protobuf, to which paddle's library binds if it comes second.
    """
    tensorflow = sys.modules.get("tensorflow")
    major, _, rest = str(getattr(tensorflow, "__version__", "0.0")).partition(".")
    minor = rest.partition(".")[0]
    return sys.platform == "linux" and (int(major), int(minor)) >= (2, 20)


@contextmanager
def _own_symbols(*, wanted: bool) -> Iterator[None]:
    """Let libraries that load inside prefer their own symbols to those already there; glibc alone can."""
    deep = getattr(os, "RTLD_DEEPBIND", 0)
    if not wanted or not deep:
        yield
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | deep)
    try:
        yield
    finally:
        sys.setdlopenflags(flags)
