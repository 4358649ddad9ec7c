"""Reads without a task, by the way that the last one took: as quick as they may be, and as careful as all others."""

import asyncio
import threading

import pytest

from mlstac.errors import AccessError, ChangedError, MissingFileError, MlstacError, RangeError, StorageError
from mlstac.storage import Cache, Fetcher, Read, Retry, _web
from mlstac.storage._loop import closed_error
from tests.servers.authority import Authority
from tests.storage.conftest import QuickClock, assert_fetches, ranges
from tests.waiting import wait_until

SPANS = [(start, start + 20_000) for start in range(0, 800_000, 100_000)]


@pytest.fixture
def server(fault_server, content):
    return fault_server({"a.bin": content, "b.bin": content[::-1]})


@pytest.fixture
def warm(fetcher, server, content):
    """A fetcher that knows the way to a file, with a connection for each span; and no request counted yet."""
    return warmed(fetcher, server, content)


def warmed(fetcher, server, content):
    server.together = len(SPANS)  # so that no connection is idle before the last is made
    assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
    assert server.connections == len(SPANS)
    server.together = 1
    server.requests.clear()
    return fetcher


def tasks_made(fetcher, work):
    """Do something, and return the number of tasks that the fetcher's loop made for it."""
    loop = fetcher._engine.thread.loop
    made = []

    def factory(loop, coroutine, **keywords):
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **keywords)

    loop.call_soon_threadsafe(loop.set_task_factory, factory)
    work()
    return len(made)


def test_a_read_by_a_known_way_takes_no_task(server, warm, content):
    assert tasks_made(warm, lambda: assert_fetches(warm, server.url + "a.bin", content, SPANS)) == 0
    assert [request.range for request in server.requests] == SPANS
    assert tasks_made(warm, lambda: assert_fetches(warm, server.url + "b.bin", content[::-1], SPANS[:1])) > 0


def test_more_reads_than_connections_take_turns_in_their_order(server, content, clock):
    spans = [(start, start + 100) for start in range(0, 50_000, 100)]
    with Fetcher(clock=clock, max_requests=len(SPANS)) as fetcher:
        warmed(fetcher, server, content)
        assert tasks_made(fetcher, lambda: assert_fetches(fetcher, server.url + "a.bin", content, spans)) == 0
        stats = fetcher.stats()
    asked = [request.range for request in server.requests]
    assert sorted(asked) == spans
    assert max(abs(at - spans.index(span)) for at, span in enumerate(asked)) < 2 * len(SPANS)
    assert stats["in_flight"] == 0
    assert stats["bytes"] == sum(stop - start for start, stop in SPANS + spans)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_failure_is_got_over(server, warm, content, status):
    server.fail("status", status=status, times=3)
    assert_fetches(warm, server.url + "a.bin", content, SPANS)
    assert warm.stats()["retries"] == 3
    assert len(server.requests) == len(SPANS) + 3


def test_a_wait_that_the_server_asks_for_is_made(server, warm, content, clock):
    server.fail("status", status=429, headers={"Retry-After": "7"})
    assert_fetches(warm, server.url + "a.bin", content, SPANS[:1])
    assert clock.waits == [7.0]
    assert len(server.requests) == 2


@pytest.mark.parametrize("said", ["Wed, 21 Oct 2015 07:28:00 +9999999999999", "soon", "Wed, 21 Oct 99999 07:28:00 GMT"])
def test_a_wait_that_nobody_can_read_is_none(server, warm, content, said):
    server.fail("status", status=429, times=2, headers={"Retry-After": said})
    future = warm.submit(ranges(server.url + "a.bin", SPANS[:2])[0])
    future.result(60)
    assert warm.stats()["throttled"] == 2


def test_what_goes_wrong_in_judging_an_answer_is_told(server, warm, monkeypatch):
    def judge(*_, **__):
        raise RuntimeError("no judgement")

    monkeypatch.setattr(_web, "failure_of", judge)
    server.fail("status", status=500)
    with pytest.raises(RuntimeError, match="no judgement"):
        warm.submit(ranges(server.url + "a.bin", SPANS[:1])[0]).result(60)


class HeldClock(QuickClock):
    """Lets nobody sleep to the end before the test says so."""

    def __init__(self):
        super().__init__()
        self.gate = None

    async def sleep(self, seconds):
        self.gate = self.gate or asyncio.Event()
        self.waits.append(seconds)
        await self.gate.wait()
        self.passed_s = max(self.waits)


def test_others_keep_the_wait_that_a_server_asks_for(server, content):
    clock = HeldClock()
    with Fetcher(clock=clock) as fetcher:
        warmed(fetcher, server, content)
        server.fail("status", status=429, headers={"Retry-After": "7"})
        first = fetcher.submit(ranges(server.url + "a.bin", SPANS[:1])[0])
        wait_until(lambda: clock.waits == [7.0], "the refused read waits")
        second = fetcher.submit(ranges(server.url + "a.bin", SPANS[1:2])[0])
        wait_until(lambda: clock.waits == [7.0, 7.0], "so does the next")
        assert len(server.requests) == 1
        fetcher._engine.thread.call(lambda: clock.gate.set())
        first.result(60)
        second.result(60)


@pytest.mark.parametrize(("kind", "after"), [("reset", 5_000), ("cut", 5_000), ("close", 0)])
def test_a_broken_connection_is_got_over(server, warm, content, kind, after):
    server.fail(kind, times=5, after=after)
    assert_fetches(warm, server.url + "a.bin", content, SPANS)


def test_a_cut_body_is_continued_from_the_cut(server, warm, content):
    server.fail("cut", times=None, after=30_000)
    before = warm.stats()["bytes"]
    assert_fetches(warm, server.url + "a.bin", content, [(100, 300_100)])
    assert [request.range for request in server.requests] == [
        (100 + done, 300_100) for done in range(0, 300_000, 30_000)
    ]
    assert warm.stats()["bytes"] - before == 300_000


def test_what_came_of_a_read_that_is_given_up_counts_as_received(server, warm, content):
    before = warm.stats()["bytes"]
    server.fail("stall", after=15_000)
    reads, [buffer] = ranges(server.url + "a.bin", [(0, 20_000)])
    future = warm.submit(reads)
    wait_until(lambda: buffer[:15_000] == content[:15_000], "the part that comes is there")
    future.cancel()
    wait_until(lambda: warm.stats()["in_flight"] == 0, "the read is given up")
    assert warm.stats()["bytes"] - before == 15_000


MANY = "9" * 5_000


@pytest.mark.parametrize("known", [False, True], ids=["the first read", "a read by a known way"])
@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (206, {"Content-Length": MANY, "Content-Range": "bytes 0-19999/1000000"}),
        (206, {"Content-Length": "20000", "Content-Range": f"bytes 0-19999/{MANY}"}),
        (206, {"Content-Length": "20000", "Content-Range": f"bytes 0-{MANY}/1000000"}),
        (416, {"Content-Range": f"bytes */{MANY}"}),
        (200, {"Content-Length": MANY}),
        ("\xb2\xb36", {}),  # digits to some, and no number
    ],
    ids=["length", "size", "last byte", "size of a refusal", "whole file", "status"],
)
def test_numbers_that_no_file_has_are_a_named_error(server, content, clock, known, status, headers):
    with Fetcher(clock=clock, retry=Retry(tries=2), timeout_s=0.2) as fetcher:
        if known:
            warmed(fetcher, server, content)
        server.fail("status", times=None, status=status, headers=headers)
        with pytest.raises(MlstacError, match=r"a\.bin") as found:
            fetcher.fetch(ranges(server.url + "a.bin", SPANS[:1])[0])
        with pytest.raises(MlstacError, match=r"b\.bin"):
            fetcher.file_size(server.url + "b.bin")
        assert len(str(found.value)) < 10_000


def test_what_was_tried_without_a_task_counts_as_tried(server, content, clock):
    with Fetcher(clock=clock, retry=Retry(tries=3)) as fetcher:
        warmed(fetcher, server, content)
        server.fail("status", status=500, times=None)
        with pytest.raises(StorageError, match=r"bytes 0 to 20000 of .*a\.bin.*500.*3 tries"):
            fetcher.fetch(ranges(server.url + "a.bin", SPANS[:1])[0])
    assert len(server.requests) == 3


def test_a_file_that_changed_is_refused(server, warm, content):
    server.replace("a.bin", content[::-1])
    with pytest.raises(ChangedError, match=r"a\.bin is no longer the file"):
        warm.fetch(ranges(server.url + "a.bin", SPANS)[0])


@pytest.mark.parametrize("kind", ["ignore_range", "wrong_range"])
def test_an_answer_that_is_not_the_range_is_refused(server, warm, kind):
    reads, buffers = ranges(server.url + "a.bin", SPANS[1:2])
    server.fail(kind, times=None)
    with pytest.raises(RangeError):
        warm.fetch(reads)
    assert not any(buffers[0])


def test_a_file_that_is_gone_is_named(server, warm):
    server.fail("status", status=404, times=None)
    with pytest.raises(MissingFileError, match=r"a\.bin"):
        warm.fetch(ranges(server.url + "a.bin", SPANS)[0])


def test_a_file_that_moved_is_followed(server, warm, fault_server, content):
    elsewhere = fault_server({"a.bin": content})
    server.fail("redirect", status=302, times=None, headers={"Location": elsewhere.url + "a.bin"})
    assert_fetches(warm, server.url + "a.bin", content, SPANS)
    assert_fetches(warm, server.url + "a.bin", content, SPANS)
    assert elsewhere.count == 2 * len(SPANS)


def test_a_place_that_was_forgotten_meanwhile_is_no_way(server, fault_server, fetcher, content):
    elsewhere = fault_server({"a.bin": content})
    url, place = server.url + "a.bin", elsewhere.url + "a.bin"
    server.fail("redirect", status=302, times=None, headers={"Location": place})
    assert_fetches(fetcher, url, content, SPANS[:1])
    web = fetcher._engine.web
    web._ways.clear()  # so that the next read goes to the place by a task
    asked, answer = threading.Event(), threading.Event()

    def hold(request):
        asked.set()
        return answer.wait(60)

    elsewhere.allow = hold
    future = fetcher.submit(ranges(url, SPANS[:1])[0])
    assert asked.wait(60)
    fetcher._engine.thread.call(web._places.forget, url, place)
    fetcher._engine.thread.call(answer.set)
    future.result(60)
    assert all(way.expires < float("inf") for way in web._ways.values())


def test_headers_that_expired_are_renewed(fault_server, content, clock):
    good = ["one"]
    server = fault_server(
        {"a.bin": content}, allow=lambda request: request.headers.get("authorization") == f"Bearer {good[-1]}"
    )
    options = {"headers": lambda: {"Authorization": f"Bearer {good[-1]}"}}
    with Fetcher(clock=clock, storage_options=options) as fetcher:
        warmed(fetcher, server, content)
        good.append("two")
        assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
        server.requests.clear()
        assert tasks_made(fetcher, lambda: assert_fetches(fetcher, server.url + "a.bin", content, SPANS[:4])) == 0
        assert {request.headers["authorization"] for request in server.requests} == {"Bearer two"}
    with Fetcher(clock=clock, storage_options={"headers": {"Authorization": "Bearer two"}}) as fetcher:
        warmed(fetcher, server, content)
        good.append("three")
        with pytest.raises(AccessError):
            fetcher.fetch(ranges(server.url + "a.bin", SPANS)[0])


def test_an_answer_for_the_other_engine_goes_there(server, warm, content):
    server.fail("chunked", times=None)
    assert_fetches(warm, server.url + "a.bin", content, SPANS)
    assert warm.stats()["in_flight"] == 0


def test_a_read_that_is_given_up_writes_nothing_more(server, warm, content):
    server.fail("stall", times=4, after=1_000)
    reads, buffers = ranges(server.url + "a.bin", SPANS[:4])
    future = warm.submit(reads)
    wait_until(lambda: len(server.requests) == 4, "all are asked for")
    future.cancel()
    wait_until(lambda: warm.stats()["in_flight"] == 0, "nothing is under way")
    wait_until(lambda: server.connections == len(SPANS) - 4, "its connections are closed")
    assert not any(any(buffer[1_000:]) for buffer in buffers)
    assert_fetches(warm, server.url + "a.bin", content, SPANS)


def test_one_failure_ends_the_others_of_its_job_and_none_besides(server, warm, content):
    server.fail("stall", times=2, after=1_000)
    first, _ = ranges(server.url + "a.bin", SPANS[:2])
    failing = warm.submit([*first, Read(server.url + "none.bin", 0, 10, [(0, memoryview(bytearray(10)))])])
    reads, buffers = ranges(server.url + "a.bin", SPANS[2:])
    warm.submit(reads).result(60)
    assert [bytes(buffer) for buffer in buffers] == [content[start:stop] for start, stop in SPANS[2:]]
    with pytest.raises(MissingFileError):
        failing.result(60)
    wait_until(lambda: warm.stats()["in_flight"] == 0, "nothing is under way")


def test_closing_tells_those_who_wait(server, warm):
    server.fail("stall", times=None, after=1_000)
    future = warm.submit(ranges(server.url + "a.bin", SPANS)[0])
    wait_until(lambda: len(server.requests) == len(SPANS), "all are asked for")
    warm.close()
    with pytest.raises(StorageError, match="closed while this was being read"):
        future.result(60)
    wait_until(lambda: server.connections == 0, "connections are closed")


def test_closing_tells_those_whose_secure_connection_was_just_lost(fault_server, content, clock, tmp_path):
    authority = Authority(tmp_path)
    server = fault_server({"a.bin": content}, tls=authority.server_context())
    with Fetcher(clock=clock, storage_options={"ssl": authority.ca}) as fetcher:
        warmed(fetcher, server, content)
        server.fail("stall", times=None)
        future = fetcher.submit(ranges(server.url + "a.bin", SPANS)[0])
        wait_until(lambda: len(server.requests) == len(SPANS), "all are asked for")
        engine = fetcher._engine

        def lose():
            for connection in engine.web._wire._open:  # as asyncio does; the word of it comes a step later
                secure = connection._transport._ssl_protocol
                plain = secure._transport
                secure.connection_lost(None)
                plain.abort()
            engine.schedule.close(closed_error())

        engine.thread.call(lose)
        with pytest.raises(StorageError, match="closed while this was being read"):
            future.result(60)


def test_what_came_without_a_task_is_kept_in_the_cache(server, content, clock, tmp_path):
    more = [(start + 50_000, stop + 50_000) for start, stop in SPANS]
    with Fetcher(clock=clock, cache=Cache(tmp_path)) as fetcher:
        warmed(fetcher, server, content)
        assert_fetches(fetcher, server.url + "a.bin", content, more, size=len(content))
    server.requests.clear()
    with Fetcher(clock=clock, cache=Cache(tmp_path)) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, more, size=len(content))
        assert not server.requests
