"""Threads, forks, cancellation and the end of the program."""

import contextlib
import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path

import pytest

from mlstac.errors import InvalidArgumentError, StorageError, UnavailableError
from mlstac.storage import Fetcher, Read, Retry, read_bytes
from tests.storage.conftest import assert_fetches, ranges
from tests.waiting import ctrl_c, wait_until

REPOSITORY = Path(__file__).parents[2]
SPANS = [(start, start + 10_000) for start in range(0, 400_000, 10_000)]


@pytest.fixture
def server(fault_server, content):
    return fault_server({"a.bin": content})


def sockets():
    found = set()
    for handle in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{handle}"))
        except OSError:
            continue
    return found


def test_making_one_opens_nothing(our_threads):
    fetcher = Fetcher()
    assert our_threads() == set()
    assert fetcher.stats()["requests"] == 0
    fetcher.close()


def test_closing_frees_threads_and_sockets(server, content, our_threads):
    before = sockets()
    fetcher = Fetcher()
    assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
    assert our_threads() == {"mlstac-fetcher"}
    assert server.connections > 0
    fetcher.close()
    assert our_threads() == set()
    wait_until(lambda: server.connections == 0, "the server sees every connection closed")
    wait_until(lambda: not sockets() - before, "no file or socket is left open")


def test_it_may_be_used_again_after_closing(server, content):
    with Fetcher() as fetcher:
        for _ in range(3):
            assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
            fetcher.close()


def test_one_that_is_forgotten_ends_its_thread(server, content, our_threads):
    fetcher = Fetcher()
    assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
    del fetcher
    gc.collect()
    wait_until(lambda: not our_threads(), "its thread has ended")
    wait_until(lambda: server.connections == 0, "its connections are closed")


def test_several_threads_may_use_one(server, content):
    with Fetcher() as fetcher, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: assert_fetches(fetcher, server.url + "a.bin", content, SPANS), range(16)))


def test_reads_come_in_the_order_in_which_they_were_submitted(server, content):
    with Fetcher(max_requests=1) as fetcher:
        futures = [fetcher.submit(ranges(server.url + "a.bin", [span])[0]) for span in SPANS]
        for future in futures:
            future.result()
    assert [request.range for request in server.requests] == SPANS


def test_bytes_under_way_are_bounded(server, content):
    server.latency_s = 0.002
    with Fetcher(max_in_flight_bytes=35_000) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
        assert fetcher.stats()["bytes_in_flight_peak"] <= 35_000
    assert server.under_way_peak <= 3


def test_a_read_larger_than_the_bound_goes_alone(server, content):
    with Fetcher(max_in_flight_bytes=5_000) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
        assert fetcher.stats()["in_flight_peak"] == 1


def test_nothing_to_read_is_done_at_once(content, our_threads):
    fetcher = Fetcher()
    assert fetcher.submit([]).done()
    assert fetcher.submit([Read("http://127.0.0.1:1/x", 5, 5, [])]).done()
    assert our_threads() == set()


def test_cancelling_drops_what_is_queued_and_closes_what_is_under_way(server, content):
    server.fail("stall", times=4, after=100)
    with Fetcher(max_requests=4, timeout_s=60) as fetcher:
        future = fetcher.submit(ranges(server.url + "a.bin", SPANS)[0])
        wait_until(lambda: server.count == 4, "four requests are out")
        assert future.cancel()
        wait_until(lambda: fetcher.stats()["in_flight"] == 0, "nothing is under way")
        with pytest.raises(CancelledError):
            future.result()
        wait_until(lambda: server.connections == 0, "the stalled connections are closed")
        assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
        assert server.count == 4 + len(SPANS)


def test_closing_breaks_off_what_is_under_way(server):
    server.fail("stall", times=None)
    fetcher = Fetcher(timeout_s=60)
    future = fetcher.submit(ranges(server.url + "a.bin", SPANS)[0])
    wait_until(lambda: server.count > 0, "a request is out")
    fetcher.close()
    with pytest.raises(StorageError, match="closed while"):
        future.result(timeout=60)


def test_closing_tells_all_who_wait(server, content):
    server.fail("stall", times=None)
    fetcher = Fetcher(timeout_s=60, max_requests=2)
    with ThreadPoolExecutor(1) as pool:
        futures = [fetcher.submit(ranges(server.url + "a.bin", [span, span])[0]) for span in SPANS[:20]]
        wait_until(lambda: server.count == 2, "two requests are out, the others queued")
        small = pool.submit(fetcher.read_bytes, server.url + "a.bin")
        wait_until(lambda: server.count == 3, "and one out of turn")
        fetcher.close()
        for future in [*futures, small]:
            with pytest.raises(StorageError, match="closed while"):
                future.result(timeout=60)
    server.heal()
    assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
    fetcher.close()


def test_a_thread_that_reads_while_another_closes_never_hangs(server):
    fetcher = Fetcher()
    ended = threading.Event()

    def close():
        while not ended.is_set():
            fetcher.close()

    closer = threading.Thread(target=close)
    closer.start()
    try:
        for span in SPANS * 5:
            for call in (
                lambda span=span: fetcher.submit(ranges(server.url + "a.bin", [span])[0]).result(timeout=60),
                lambda: fetcher.file_size(server.url + "a.bin"),
            ):
                with contextlib.suppress(StorageError):
                    call()
    finally:
        ended.set()
        closer.join()
        fetcher.close()


def test_a_destination_must_take_what_comes(server):
    with Fetcher() as fetcher:
        for read in [
            Read("http://h/x", 0, 10, [(0, memoryview(bytes(10)))]),
            Read("http://h/x", 0, 10, [(5, memoryview(bytearray(10)))]),
            Read("http://h/x", 0, 10, [(0, memoryview(bytearray(6))), (5, memoryview(bytearray(2)))]),
            Read("http://h/x", 10, 5, []),
            Read("http://h/x", -1, 5, []),
            Read("http://h/x", 0, 20, [], 10),
        ]:
            with pytest.raises(InvalidArgumentError):
                fetcher.submit([read])


def test_settings_that_cannot_be_meant_are_refused():
    for settings in [{"timeout_s": 0}, {"max_requests": 0}, {"max_in_flight_bytes": "x"}, {"max_in_flight_bytes": -1}]:
        with pytest.raises(InvalidArgumentError):
            Fetcher(**settings)
    with pytest.raises(InvalidArgumentError):
        Retry(tries=0)


def test_only_settings_are_pickled(server, content):
    with Fetcher(storage_options={"headers": {"X": "1"}}, max_requests=3) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
        with pickle.loads(pickle.dumps(fetcher)) as copy:
            assert copy.stats()["requests"] == 0
            assert_fetches(copy, server.url + "a.bin", content, SPANS)
            assert copy.stats()["in_flight_peak"] == 3
    assert server.requests[-1].headers["x"] == "1"


def fetch_in_child(fetcher, url, content):
    assert_fetches(fetcher, url, content, SPANS)
    fetcher.close()


@pytest.mark.parametrize("used", [True, False])
def test_it_works_on_both_sides_of_a_fork(server, content, used):
    url = server.url + "a.bin"
    with Fetcher() as fetcher:
        if used:
            assert_fetches(fetcher, url, content, SPANS)
        for _ in range(2):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    fetch_in_child(fetcher, url, content)
                    code = 0
                finally:
                    os._exit(code)
            assert_fetches(fetcher, url, content, SPANS)
            assert os.waitpid(child, 0)[1] == 0
        assert_fetches(fetcher, url, content, SPANS)


def test_a_fork_amid_reads_disturbs_neither_side(server, content):
    url = server.url + "a.bin"
    server.latency_s = 0.01
    with Fetcher() as fetcher:
        reads, buffers = ranges(url, SPANS * 4)
        future = fetcher.submit(reads)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                fetch_in_child(fetcher, url, content)
                code = 0
            finally:
                os._exit(code)
        future.result(timeout=60)
        assert os.waitpid(child, 0)[1] == 0
        for (start, stop), buffer in zip(SPANS * 4, buffers, strict=True):
            assert buffer == content[start:stop]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_it_travels_to_processes_however_they_start(server, content, method):
    with Fetcher() as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
        context = multiprocessing.get_context(method)
        processes = [
            context.Process(target=fetch_in_child, args=(fetcher, server.url + "a.bin", content)) for _ in range(2)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(100)
            assert process.exitcode == 0


ENDS = {
    "after use": "fetcher.fetch(reads)",
    "with reads under way": "fetcher.submit(reads)",
    "in another thread": "t = threading.Thread(target=fetcher.fetch, args=[reads]); t.start(); t.join()",
    "after a fork": "fetcher.fetch(reads); pid = os.fork(); fetcher.fetch(reads); pid and os.waitpid(pid, 0)",
    "by an exception": "fetcher.fetch(reads); raise SystemExit(0)",
    "with a name that nobody knows": "fetcher.submit([Read('http://name.invalid/x', 0, 1, [])])",
}


@pytest.mark.parametrize("what", ENDS)
def test_the_program_always_ends_and_says_nothing(server, what):
    code = f"""
import os, sys, threading
from mlstac.storage import Fetcher, Read
fetcher = Fetcher()
reads = [Read(sys.argv[1], n, n + 1000, [(0, memoryview(bytearray(1000)))]) for n in range(0, 100000, 1000)]
{ENDS[what]}
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, server.url + "a.bin"],
        capture_output=True,
        timeout=100,
        check=False,
        cwd=REPOSITORY,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("unnoticed", [False, True])
def test_ctrl_c_ends_a_fetch_and_the_next_works(server, content, unnoticed):
    server.fail("stall", times=None)
    with Fetcher(timeout_s=60) as fetcher, ctrl_c(unnoticed=unnoticed) as press:

        def wait_and_press():
            wait_until(lambda: server.count > 0, "a request is out")
            press()

        interrupt = threading.Thread(target=wait_and_press)
        interrupt.start()
        with pytest.raises(KeyboardInterrupt):
            fetcher.fetch(ranges(server.url + "a.bin", SPANS)[0])
        interrupt.join()
        server.heal()
        assert_fetches(fetcher, server.url + "a.bin", content, SPANS)


def test_a_killed_child_leaves_the_parent_well(server, content):
    with Fetcher() as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
        child = os.fork()
        if child == 0:
            fetcher.submit(ranges(server.url + "a.bin", SPANS)[0])
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
        assert fetcher.stats()["retries"] == 0


def test_closing_ends_connections_that_a_child_has_copies_of(server, content):
    with Fetcher() as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
        hold, release = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(release)
            os.read(hold, 1)
            os._exit(0)
        fetcher.close()
        wait_until(lambda: server.connections == 0, "the server sees every connection closed")
        os.close(release)
        os.close(hold)
        os.waitpid(child, 0)


def test_importing_storage_loads_no_client():
    code = "import sys, mlstac.storage; print(*{'aiohttp', 'fsspec', 's3fs', 'pyarrow', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=REPOSITORY, text=True)
    assert done.stdout == "\n"


def test_a_name_that_nobody_knows_is_told(clock):
    with Fetcher(clock=clock, retry=Retry(tries=1)) as fetcher, pytest.raises(UnavailableError, match="not known"):
        fetcher.fetch([Read("http://name.invalid/x", 0, 1, [(0, memoryview(bytearray(1)))])])


def test_small_files_are_read_by_an_open_fetcher(server, content):
    with Fetcher() as fetcher:
        assert read_bytes(server.url + "a.bin", fetcher=fetcher) == content
        assert read_bytes(server.url + "a.bin", fetcher=fetcher) == content
        assert server.connections_peak == 1
