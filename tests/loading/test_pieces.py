"""Work in pieces that two threads take in turn, and the second thread, which stays for a moment."""

import itertools
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mlstac.loading import _pieces
from mlstac.loading._pieces import in_pieces
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def none_waits():
    """No second thread waits from an earlier test, nor for a later one."""
    _pieces._end_waiting()
    yield
    _pieces._end_waiting()


def new_meeting():
    """What the first two pieces wait for, each for the other: so they are two threads'."""
    numbers, met = itertools.count(), threading.Barrier(2, timeout=20)
    return lambda: next(numbers) < 2 and met.wait()


@pytest.fixture
def meet():
    return new_meeting()


def test_two_threads_take_pieces_and_every_row_is_in_one(meet):
    done = []
    in_pieces(5, lambda first, last: (meet(), done.append((first, last, threading.get_ident()))), size=2)
    assert sorted(piece[:2] for piece in done) == [(0, 2), (2, 4), (4, 5)]
    assert len({piece[2] for piece in done}) == 2


def test_the_piece_of_the_other_thread_is_waited_for(meet, monkeypatch):
    mine, waited, done = threading.get_ident(), threading.Event(), []

    class Lock:
        """Tells when the thread that asked waits for the other."""

        def __init__(self):
            self._lock = threading.Lock()

        def __enter__(self):
            if threading.get_ident() == mine:
                waited.set()
            self._lock.acquire()

        def __exit__(self, *_):
            self._lock.release()

        def acquire(self, **how):
            return self._lock.acquire(**how)

        def release(self):
            self._lock.release()

    def work(first, last):
        meet()
        if threading.get_ident() != mine:
            assert waited.wait(20)
        done.append(first)

    monkeypatch.setattr(_pieces._thread, "allocate_lock", Lock)
    in_pieces(2, work, size=1)
    assert sorted(done) == [0, 1]


@pytest.mark.parametrize("wrong", ["mine", "other"])
def test_an_error_of_either_thread_is_raised_and_ends_the_work(wrong, meet):
    mine, done = threading.get_ident(), []

    def work(first, last):
        meet()
        if (threading.get_ident() == mine) == (wrong == "mine"):
            raise ValueError(f"rows {first} to {last}")
        done.append(first)

    with pytest.raises(ValueError, match=r"rows [01] to"):
        in_pieces(1_000_000, work, size=1)
    assert len(done) < 999_999


def test_without_a_second_thread_one_does_all_pieces(monkeypatch):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_pieces._thread, "start_new_thread", refuse)
    done = []
    in_pieces(5, lambda first, last: done.append((first, last)), size=3)
    assert done == [(0, 3), (3, 5)]


def test_a_second_thread_that_comes_late_is_not_waited_for(monkeypatch):
    late = []
    monkeypatch.setattr(_pieces._thread, "start_new_thread", lambda begin, _: late.append(begin))
    done = []
    in_pieces(5, lambda first, last: done.append((first, last)), size=3)
    late.pop()()
    assert done == [(0, 3), (3, 5)]


def numbers_of_threads(meet):
    """Of the threads that do two pieces: the system's, which the thread that asked comes last in."""
    done = []
    in_pieces(2, lambda *_: (meet(), done.append(threading.get_native_id())), size=1)
    mine = threading.get_native_id()
    assert mine in done
    return {*done} - {mine}


def is_there(thread):
    return Path(f"/proc/self/task/{thread}").exists()


linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system does not list threads in /proc")


def test_the_second_thread_stays_for_the_next_work(monkeypatch):
    monkeypatch.setattr(_pieces, "STAY_S", 60)
    first = numbers_of_threads(new_meeting())
    wait_until(lambda: _pieces._WAITING, "the second thread waits")
    assert numbers_of_threads(new_meeting()) == first


@linux
def test_the_second_thread_ends_when_nothing_comes(monkeypatch):
    monkeypatch.setattr(_pieces, "STAY_S", 0.01)
    [second] = numbers_of_threads(new_meeting())
    wait_until(lambda: not is_there(second), "the second thread has ended")
    assert not _pieces._WAITING
    assert numbers_of_threads(new_meeting())


def test_a_second_thread_that_is_called_as_it_gives_up_does_the_work(monkeypatch):
    monkeypatch.setattr(_pieces, "STAY_S", 1e-6)  # it gives up all the time
    for _ in range(3000):
        done = []
        in_pieces(4, lambda first, last, done=done: done.append((first, last)), size=1)
        assert sorted(done) == [(0, 1), (1, 2), (2, 3), (3, 4)]


@linux
def test_none_is_left_where_a_process_is_forked_nor_when_it_ends(repository):
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, timeout=100, check=False, cwd=repository
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "child ends well\nparent ends well\n", "")


FORK = """
import os

os.register_at_fork(before=lambda: see_gone())  # called after those that are registered later

from mlstac.loading import _pieces
from tests.loading.test_pieces import is_there, new_meeting, numbers_of_threads
from tests.waiting import wait_until

_pieces.STAY_S, seen = 60, []
[second] = numbers_of_threads(new_meeting())
wait_until(lambda: _pieces._WAITING, "the second thread waits")
assert is_there(second)


def see_gone():
    wait_until(lambda: not is_there(second), "the second thread has ended")
    seen.append("gone")


process = os.fork()
assert seen == ["gone"] and not _pieces._WAITING
assert numbers_of_threads(new_meeting())
if process:
    assert os.waitpid(process, 0)[1] == 0
print("parent ends well" if process else "child ends well")
"""
