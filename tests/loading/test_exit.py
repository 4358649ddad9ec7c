"""A program ends well whatever its threads are at: none is left in a framework's code when the interpreter goes."""

import subprocess
import sys

import numpy as np
import pytest

from tests.loading.datasets import write_stacked


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """60 images in six shards."""
    arrays = {"image": np.arange(60 * 4096, dtype=np.float32).reshape(60, 64, 64)}
    return write_stacked(tmp_path_factory.mktemp("exit"), {"train": arrays}, shard_rows=10)


DROP = """
import sys, mlstac
ds = mlstac.load(sys.argv[1], framework="torch", as_dtype={"image": "float64"})
for _ in range(6):
    next(iter(ds.batches(10, shuffle=True)))
"""


def test_a_program_that_dropped_iterators_ends_well(folder, repository):
    for _ in range(4):
        done = subprocess.run(
            [sys.executable, "-c", DROP, str(folder)],
            capture_output=True, text=True, timeout=100, check=False, cwd=repository,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")


BUSY = """
import atexit, sys, threading, mlstac
entered, leave, left, made = threading.Event(), threading.Event(), [], []
def slow(batch):
    made.append(1)
    if len(made) > 2:
        entered.set()
        leave.wait(60)
        sum(range(3_000_000))  # amid this the interpreter must not go
        left.append(1)
    return batch
ds = mlstac.load(sys.argv[1], framework="numpy")
batches = iter(ds.batches(5, transform=slow, prefetch=4))
next(batches)
entered.wait(60)
del batches
# what is registered last runs first: the thread is let go before it is waited for
import mlstac.loading._ahead as ahead
ahead.EXIT_S = 60
atexit.unregister(ahead._stop_all)
atexit.register(lambda: print("left", bool(left)))
atexit.register(ahead._stop_all)
atexit.register(leave.set)
"""


def test_exit_waits_for_the_thread_of_an_iterator_that_was_dropped(folder, repository):
    done = subprocess.run(
        [sys.executable, "-c", BUSY, str(folder)],
        capture_output=True, text=True, timeout=100, check=False, cwd=repository,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "left True\n", "")
