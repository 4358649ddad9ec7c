"""What every test shares: quiet frameworks, no network beyond this machine, and the folder of real data."""

import atexit
import importlib
import importlib.util
import ipaddress
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

# No deadline: the first example pays for imports. In CI the same examples each time: no change is blamed by chance.
hypothesis.settings.register_profile("mlstac", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("mlstac")

# Frameworks read these when they are first imported, here and in every process that a test starts.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")


def _own_folder() -> str:
    """Make a folder that goes when this process does."""
    folder, owner = tempfile.mkdtemp(prefix="mlstac-tests-"), os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(folder, ignore_errors=True))
    return folder


# What is kept for the user, of each worker of pytest apart: two that write to one URL would meet in the same folder.
os.environ["XDG_CACHE_HOME"] = _own_folder()
os.environ["MPLCONFIGDIR"] = os.environ["XDG_CACHE_HOME"]  # else matplotlib speaks on stderr where HOME takes no files
# Else gcsfs asks Google over gRPC, for a minute each time, whether a bucket is of a kind that the emulator has not.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

# Torch's CUDA builds bring triton, whose LLVM crashes when it is loaded after TensorFlow's; the other order is sound.
if _triton := importlib.util.find_spec("triton"):
    importlib.import_module(_triton.name)

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would what they start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.servers.plugin"]


def _stay_on_this_machine(event, arguments):
    """Refuse a connection that would leave this machine: a test that needs the internet tests the internet."""
    if event != "socket.connect":
        return
    address = arguments[1]
    if not isinstance(address, tuple):  # a Unix socket's address is a path
        return
    try:
        local = ipaddress.ip_address(address[0]).is_loopback
    except ValueError:
        local = address[0] == "localhost"
    if not local:
        raise PermissionError(f"a test connected to {address[0]}:{address[1]}; tests talk to 127.0.0.1 alone")


sys.addaudithook(_stay_on_this_machine)


@pytest.fixture
def our_threads() -> Callable[[], set[str]]:
    """Called, the names of mlstac's threads that began since the test did: one of another test may still be ending."""
    before = set(threading.enumerate())

    def names() -> set[str]:
        new = set(threading.enumerate()) - before
        return {thread.name for thread in new if thread.name.startswith("mlstac")}

    return names


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds pyproject.toml."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared(repository) -> Path:
    """The folder of real imagery beside the repository, where there is one."""
    folder = repository.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs the folder ../shared beside the repository")
    return folder
