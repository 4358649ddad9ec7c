"""Work in pieces that two threads take in turn, and the second thread, which stays for a moment."""

import gc
import itertools
import signal
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest

from mlstac.loading import _pieces
from mlstac.loading._pieces import Pieces, in_pieces
from tests.loading.second_threads import end_those_of_others, ended_afterwards
from tests.waiting import PATIENCE_S, wait_until


@pytest.fixture(scope="module", autouse=True)
def none_is_left():
    """No second thread is at work for a test of another file."""
    end_those_of_others()


@pytest.fixture(autouse=True)
def none_waits(monkeypatch):
    """No second thread of a test waits for a later one."""
    with ended_afterwards(monkeypatch):
        yield


def new_meeting():
    """What the first two pieces wait for, each for the other: so they are two threads'."""
    numbers, met = itertools.count(), threading.Barrier(2, timeout=PATIENCE_S)
    return lambda: next(numbers) < 2 and met.wait()


@pytest.fixture
def meet():
    return new_meeting()


def test_two_threads_take_pieces_and_every_row_is_in_one(meet):
    done = []
    in_pieces(5, lambda first, last: (meet(), done.append((first, last, threading.get_ident()))), size=2)
    assert sorted(piece[:2] for piece in done) == [(0, 2), (2, 4), (4, 5)]
    assert len({piece[2] for piece in done}) == 2


@pytest.fixture
def waits(monkeypatch):
    """Grows as the asking thread begins to wait for the other; an event has a lock, amid which a signal may come."""
    mine, waits = threading.get_ident(), []

    class Lock:
        def __init__(self):
            self._lock = threading.Lock()
            self.acquire, self.release, self.locked = self._lock.acquire, self._lock.release, self._lock.locked

        def __enter__(self):
            if threading.get_ident() == mine:
                waits.append(mine)
            self.acquire()

        def __exit__(self, *_):
            self.release()

    monkeypatch.setattr(_pieces._thread, "allocate_lock", Lock)
    return waits


def test_the_piece_of_the_other_thread_is_waited_for(meet, waits):
    mine, done = threading.get_ident(), []

    def work(first, last):
        meet()
        if threading.get_ident() != mine:
            wait_until(lambda: waits, "this thread is waited for")
        done.append(first)

    in_pieces(2, work, size=1)
    assert sorted(done) == [0, 1]


def test_where_the_wait_is_interrupted_the_other_thread_is_done_before_the_error_comes(meet, waits):
    mine, interrupted, order = threading.get_ident(), [], []

    def interrupt(*_):
        if not interrupted:
            interrupted.append(len(waits))
            raise KeyboardInterrupt

    def press():  # again, for a signal just before the wait is heard only after it
        return interrupted or signal.pthread_kill(mine, signal.SIGINT)

    def work(first, last):
        meet()
        if threading.get_ident() != mine:
            wait_until(lambda: waits, "this thread is waited for")
            wait_until(press, "the wait is interrupted")
            wait_until(lambda: len(waits) > interrupted[0], "this thread is waited for again")
            order.append("done")

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            in_pieces(2, work, size=1)
        order.append("raised")
        waits.append(mine)
    finally:
        signal.signal(signal.SIGINT, before)
    assert order == ["done", "raised"]


@pytest.mark.parametrize("wrong", ["mine", "other"])
def test_an_error_of_either_thread_is_raised_and_ends_the_work(wrong, meet, waits, monkeypatch):
    mine, done = threading.get_ident(), []
    monkeypatch.setattr(_pieces, "STAY_S", 60)

    def work(first, last):
        meet()
        is_mine = threading.get_ident() == mine
        if is_mine == (wrong == "mine"):
            raise ValueError(f"rows {first} to {last}")
        # the one that failed has gone on, to wait for what comes now
        wait_until(lambda: _pieces._WAITING if is_mine else waits, "the other thread has ended the work")
        done.append(first)

    with pytest.raises(ValueError, match=r"rows [01] to"):
        in_pieces(9, work, size=1)
    assert len(done) == 1


@pytest.mark.parametrize("wrong", ["mine", "other"])
def test_an_error_holds_no_memory_once_it_is_handled(wrong, meet):
    mine, memory = threading.get_ident(), threading.Event()  # any object that can be referred to weakly
    alive = weakref.ref(memory)

    def work(first, last, memory=memory):
        meet()
        if (threading.get_ident() == mine) == (wrong == "mine"):
            raise ValueError

    gc.disable()  # which would find it late, and on its own time
    try:
        with pytest.raises(ValueError):  # noqa: PT011
            in_pieces(2, work, size=1)
        del work, memory
        assert alive() is None
    finally:
        gc.enable()


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
    done, memory = [], threading.Event()  # any object that can be referred to weakly
    alive = weakref.ref(memory)
    in_pieces(5, lambda first, last, memory=memory: done.append((first, last)), size=3)
    del memory
    assert alive() is None  # though a thread is still to come
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


@pytest.fixture
def meanwhile(monkeypatch):
    """A second thread in the first of two pieces that nobody waits for; what is left of them, and how to let it on."""
    monkeypatch.setattr(_pieces, "STAY_S", 60)
    rest, begun, go_on = Pieces(), threading.Event(), threading.Event()
    rest.add(2, lambda *_: (begun.set(), go_on.wait(PATIENCE_S)), size=1)
    Pieces().finish(rest.help_out)
    assert begun.wait(PATIENCE_S)
    yield rest, go_on
    rest.clear()


def test_a_second_thread_leaves_what_it_does_meanwhile_when_it_is_called(meanwhile):
    rest, go_on = meanwhile
    left, done = [], threading.Event()
    _pieces.begin(lambda: (left.append(len(rest)), done.set())[1])
    go_on.set()
    assert done.wait(PATIENCE_S)
    assert left == [1]
    rest.finish()
    assert not rest


def test_the_end_waits_for_one_piece_that_is_done_meanwhile(meanwhile):
    rest, go_on = meanwhile
    ending = threading.Thread(target=_pieces._end_waiting)
    ending.start()
    wait_until(lambda: not _pieces._WAITING, "the second thread is told to end")
    assert ending.is_alive()
    go_on.set()
    ending.join(PATIENCE_S)
    assert not ending.is_alive()
    assert len(rest) == 1


@linux
def test_the_second_thread_ends_when_nothing_comes(monkeypatch):
    monkeypatch.setattr(_pieces, "STAY_S", 0.01)
    [second] = numbers_of_threads(new_meeting())
    wait_until(lambda: not is_there(second), "the second thread has ended")
    assert not _pieces._WAITING
    assert numbers_of_threads(new_meeting())


class Taken(list):
    """Threads without work, each of which another thread takes just when it gives up."""

    def __init__(self, then):
        self.then = then

    def remove(self, second):
        super().remove(second)
        self.then(second)
        super().remove(second)


def test_a_second_thread_that_is_called_as_it_gives_up_does_the_work(monkeypatch):
    done, mine = [], threading.get_ident()
    calls = iter([lambda second: second.call(lambda: done.append(threading.get_ident()))])
    monkeypatch.setattr(_pieces, "STAY_S", 0.01)
    monkeypatch.setattr(_pieces, "_WAITING", Taken(lambda second: next(calls, bool)(second)))
    in_pieces(2, lambda *_: None, size=1)
    wait_until(lambda: done, "the work is done")
    assert done != [mine]


@linux
def test_a_second_thread_that_is_taken_and_never_called_ends(monkeypatch):
    taken = []
    monkeypatch.setattr(_pieces, "STAY_S", 0.01)
    monkeypatch.setattr(_pieces, "_WAITING", Taken(taken.append))
    [second] = numbers_of_threads(new_meeting())  # as where Ctrl-C comes between the two
    wait_until(lambda: not is_there(second), "the second thread has ended")
    taken.pop().call(lambda: None)  # too late, which is no error
    assert not taken


def test_no_piece_is_lost_where_second_threads_give_up_all_the_time(monkeypatch):
    monkeypatch.setattr(_pieces, "STAY_S", 1e-6)
    for _ in range(3000):
        done = []
        in_pieces(4, lambda first, last, done=done: done.append((first, last)), size=1)
        assert sorted(done) == [(0, 1), (1, 2), (2, 3), (3, 4)]


@linux
def test_none_is_left_where_a_process_is_forked_nor_when_it_ends(repository):
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]  # Python's, of any thread at a fork
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=repository)
    assert (done.returncode, done.stdout, done.stderr) == (0, "child ends well\nparent ends well\n", "")


FORK = """
import atexit
import os


def see_gone():
    wait_until(lambda: not is_there(second), "the second thread has ended")
    seen.append("gone")


# both are called after what is registered later
os.register_at_fork(before=see_gone)
atexit.register(lambda: (see_gone(), print("parent ends well" if process else "child ends well")))

from mlstac.loading import _pieces
from tests.loading.test_pieces import is_there, new_meeting, numbers_of_threads
from tests.waiting import wait_until

_pieces.STAY_S, seen = 600, []


def begin_second():
    [second] = numbers_of_threads(new_meeting())
    wait_until(lambda: _pieces._WAITING, "the second thread waits")
    assert is_there(second)
    return second


second = begin_second()
process = os.fork()
assert seen == ["gone"] and not _pieces._WAITING
second = begin_second()
if process:
    assert os.waitpid(process, 0)[1] == 0
"""
