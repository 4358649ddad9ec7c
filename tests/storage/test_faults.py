"""Servers that fail: what is got over, and what is refused, by which name."""

import re
from email.utils import formatdate

import pytest

from mlstac.errors import (
    AccessError,
    ChangedError,
    MissingFileError,
    RangeError,
    ShardError,
    StorageError,
    UnavailableError,
)
from mlstac.storage import Fetcher, Read, Retry, _web
from tests.storage.conftest import assert_fetches, ranges

SPANS = [(start, start + 20_000) for start in range(0, 800_000, 40_000)]


@pytest.fixture(params=["wire", "aiohttp"])
def engine(request, monkeypatch):
    """Each of the two engines below the same wall."""
    if request.param == "aiohttp":
        monkeypatch.setattr(_web.WebSource, "_is_for_wire", lambda *_: False)
    return request.param


@pytest.fixture
def server(fault_server, content):
    return fault_server({"a.bin": content, "empty.bin": b""})


def test_ranges_arrive_in_their_places(engine, server, fetcher, content):
    assert_fetches(
        fetcher, server.url + "a.bin", content, [*SPANS, (0, 1), (999_999, 1_000_000), (5, 5)], size=len(content)
    )
    assert server.count == len(SPANS) + 2


def test_a_merged_read_is_scattered_and_its_gaps_are_dropped(engine, server, fetcher, content):
    sizes = [1, 40_000, 3, 200_000, 0, 17_000]
    into, buffers, offset = [], [], 5
    for size in sizes:
        buffers.append(bytearray(size))
        into.append((offset, memoryview(buffers[-1])))
        offset += size + 20_000
    fetcher.fetch([Read(server.url + "a.bin", 100, 100 + offset, into, len(content))])
    for (start, _), buffer in zip(into, buffers, strict=True):
        assert buffer == content[100 + start : 100 + start + len(buffer)]


def test_an_unencoded_body_is_asked_for(engine, server, fetcher, content):
    assert_fetches(fetcher, server.url + "a.bin", content, [(0, 10)])
    assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_failure_is_got_over(engine, server, fetcher, content, status):
    server.fail("status", status=status, times=3)
    assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
    assert fetcher.stats()["retries"] == 3


def test_every_20th_request_refused_is_got_over(engine, server, fetcher, content):
    server.fail("status", status=503, times=None, every=20)
    assert_fetches(fetcher, server.url + "a.bin", content, SPANS * 5)
    assert fetcher.stats()["throttled"] >= 5


def test_a_reset_amid_the_body_is_got_over(engine, server, fetcher, content):
    server.fail("reset", times=4, after=5_000)
    assert_fetches(fetcher, server.url + "a.bin", content, SPANS)


def test_a_connection_closed_before_the_answer_is_got_over(engine, server, fetcher, content):
    server.fail("close", times=3)
    assert_fetches(fetcher, server.url + "a.bin", content, SPANS)


def test_a_body_cut_each_time_is_continued_from_the_cut(engine, server, fetcher, content):
    server.fail("cut", times=None, after=30_000)
    assert_fetches(fetcher, server.url + "a.bin", content, [(100, 300_100)])
    asked = [request.range for request in server.requests]
    assert asked == [(100 + done, 300_100) for done in range(0, 300_000, 30_000)]
    assert fetcher.stats()["bytes"] == 300_000


def test_a_body_that_brings_nothing_is_given_up(engine, server, clock, content):
    server.fail("cut", times=None, after=0)
    with (
        Fetcher(clock=clock, retry=Retry(tries=4)) as fetcher,
        pytest.raises(UnavailableError, match=r"a\.bin.*cut.*4 tries"),
    ):
        fetcher.fetch(ranges(server.url + "a.bin", [(0, 1000)])[0])
    assert server.count == 4
    assert len(clock.waits) == 3


# A server on a busy machine is late by itself at times, and is then broken off before anything came: nobody may mind.
PATIENT = Retry(tries=10_000, total_s=1e9)


def test_a_stall_is_broken_off_and_continued(engine, server, content, clock):
    server.fail("stall", after=10_000, times=None)
    with Fetcher(timeout_s=0.2, clock=clock, retry=PATIENT) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, [(0, 20_000)])
    asked = [request.range for request in server.requests]
    assert list(dict.fromkeys(asked)) == [(0, 20_000), (10_000, 20_000)]


def test_a_drip_is_broken_off_and_continued(engine, server, content, clock):
    server.fail("drip", after=10_000, times=None)
    with Fetcher(timeout_s=0.5, clock=clock, retry=PATIENT) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, [(0, 20_000)])
        assert fetcher.stats()["retries"] >= 1
    asked = [request.range for request in server.requests]
    # the rest is asked for from where the drip was broken off, long before it was over
    (going_on,) = {start for start, _ in asked} - {0}
    assert 10_000 < going_on < 12_000


def test_a_server_that_only_drips_is_given_up(engine, server, clock):
    server.fail("drip", times=None)
    with Fetcher(timeout_s=0.3, clock=clock, retry=Retry(tries=2)) as fetcher:
        for _ in range(20):
            with pytest.raises(UnavailableError, match=r"a\.bin.*2 tries") as given_up:
                fetcher.fetch(ranges(server.url + "a.bin", [(0, 20_000)])[0])
            told = re.search(r"only \d+ bytes came", str(given_up.value))
            if told:  # else the answer itself was late
                break
    assert told


def test_a_lasting_failure_names_file_and_mend(engine, server, clock):
    server.fail("status", status=500, times=None)
    with (
        Fetcher(clock=clock, retry=Retry(tries=3)) as fetcher,
        pytest.raises(UnavailableError, match=r"a\.bin.*500.*3 tries.*server is up"),
    ):
        fetcher.fetch(ranges(server.url + "a.bin", [(0, 10)])[0])


def test_time_bounds_patience(server, clock):
    server.fail("status", status=500, times=None)
    with Fetcher(clock=clock, retry=Retry(tries=1000, total_s=30)) as fetcher, pytest.raises(UnavailableError):
        fetcher.fetch(ranges(server.url + "a.bin", [(0, 10)])[0])
    assert clock.passed_s <= 30


def test_retry_after_in_seconds_is_honoured(engine, server, fetcher, content, clock):
    server.fail("status", status=429, headers={"Retry-After": "7"})
    assert_fetches(fetcher, server.url + "a.bin", content, [(0, 10)])
    assert sum(clock.waits) == pytest.approx(7)


def test_retry_after_as_a_date_is_honoured(server, fetcher, content, clock):
    server.fail("status", status=503, headers={"Retry-After": formatdate(clock.wall() + 11, usegmt=True)})
    assert_fetches(fetcher, server.url + "a.bin", content, [(0, 10)])
    assert sum(clock.waits) == pytest.approx(11, abs=1)


def test_retry_after_beyond_patience_fails_at_once_and_says_so(server, fetcher, clock):
    server.fail("status", status=429, times=None, headers={"Retry-After": "3600"})
    with pytest.raises(UnavailableError, match="left alone for 3600 s"):
        fetcher.fetch(ranges(server.url + "a.bin", [(0, 10)])[0])
    assert server.count == 1
    assert clock.waits == []


def test_a_server_without_ranges_is_refused_before_its_body_is_read(engine, server, fetcher):
    server.fail("ignore_range", times=None)
    with pytest.raises(RangeError, match=r"ignores byte ranges.*mlstac serve"):
        fetcher.fetch(ranges(server.url + "a.bin", [(10, 20)])[0])
    assert fetcher.stats()["bytes"] == 0


def test_a_server_without_ranges_may_send_a_whole_file(engine, server, fetcher, content):
    server.fail("ignore_range", times=None)
    assert_fetches(fetcher, server.url + "a.bin", content, [(0, len(content))], size=len(content))


def test_a_whole_file_cut_by_a_server_without_ranges_begins_again(engine, server, fetcher, content):
    server.fail("cut", after=300_000)
    server.fail("ignore_range", times=None)
    assert_fetches(fetcher, server.url + "a.bin", content, [(0, len(content))], size=len(content))


def test_another_range_than_asked_for_is_refused(engine, server, fetcher):
    server.fail("wrong_range")
    reads, buffers = ranges(server.url + "a.bin", [(10, 5_000)])
    with pytest.raises(RangeError, match="answered with bytes 11 to 5001"):
        fetcher.fetch(reads)
    assert buffers[0] == bytes(4_990)


def test_a_compressed_range_is_refused(engine, server, fetcher):
    server.fail("compressed")
    with pytest.raises(RangeError, match="compresses"):
        fetcher.fetch(ranges(server.url + "a.bin", [(10, 20)])[0])


def test_a_chunked_range_is_read(server, fetcher, content):
    server.fail("chunked", times=None)
    assert_fetches(fetcher, server.url + "a.bin", content, SPANS)


def test_something_that_is_no_web_server_is_an_error(engine, server, clock):
    server.fail("garbage", times=None)
    with Fetcher(clock=clock, retry=Retry(tries=2)) as fetcher, pytest.raises(UnavailableError):
        fetcher.fetch(ranges(server.url + "a.bin", [(10, 20)])[0])


def test_a_file_replaced_between_reads_is_refused(engine, server, fetcher, content):
    url = server.url + "a.bin"
    assert_fetches(fetcher, url, content, [(0, 10)])
    server.replace("a.bin", bytes(reversed(content)))
    with pytest.raises(ChangedError, match=r"a\.bin is no longer the file that was opened.*load the dataset again"):
        fetcher.fetch(ranges(url, [(10, 20)])[0])


def test_a_file_that_shrank_between_reads_is_refused_as_changed(engine, server, fetcher, content):
    url = server.url + "a.bin"
    assert_fetches(fetcher, url, content, [(0, 10)])
    server.replace("a.bin", content[:1000])
    with pytest.raises(ChangedError):
        fetcher.fetch(ranges(url, [(5_000, 5_010)])[0])


@pytest.mark.parametrize(
    ("span", "size"),
    [
        ((0, 10), 2_000_000),
        ((999_990, 1_000_010), 2_000_000),
        ((1_500_000, 1_500_010), 2_000_000),
        ((999_990, 1_000_010), None),
    ],
)
def test_a_truncated_shard_is_named(engine, server, fetcher, span, size):
    with pytest.raises(ShardError, match=r"a\.bin holds 1000000 bytes.*cut short"):
        fetcher.fetch(ranges(server.url + "a.bin", [span], size=size)[0])


def test_a_missing_shard_is_named(engine, server, fetcher):
    with pytest.raises(MissingFileError, match=r"b\.bin: no such file \(404\)"):
        fetcher.fetch(ranges(server.url + "b.bin", [(0, 10)])[0])
    assert server.count == 1


@pytest.mark.parametrize("status", [401, 403])
def test_refused_access_is_named(engine, server, fetcher, status):
    server.fail("status", status=status)
    with pytest.raises(AccessError, match="storage_options"):
        fetcher.fetch(ranges(server.url + "a.bin", [(0, 10)])[0])
    assert server.count == 1


def test_a_refused_connection_is_named(clock):
    with (
        Fetcher(clock=clock, retry=Retry(tries=2)) as fetcher,
        pytest.raises(UnavailableError, match=r"connection failed.*2 tries"),
    ):
        fetcher.fetch(ranges("http://127.0.0.1:1/a.bin", [(0, 10)])[0])


def test_a_host_that_never_answered_is_soon_given_up(engine, clock):
    with Fetcher(clock=clock) as fetcher, pytest.raises(UnavailableError, match=r"3 tries.*check host and port"):
        fetcher.fetch(ranges("http://127.0.0.1:1/a.bin", [(0, 10)])[0])
    assert clock.passed_s < 2


def test_a_host_that_answered_before_is_waited_for(engine, server, content, clock):
    with Fetcher(clock=clock) as fetcher:
        assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
        server.stop()
        with pytest.raises(UnavailableError, match="8 tries"):
            fetcher.fetch(ranges(server.url + "a.bin", [(0, 10)])[0])


def test_an_error_tells_which_read_failed(server, fetcher):
    with pytest.raises(MissingFileError) as failed:
        fetcher.fetch(ranges(server.url + "b.bin", [(3, 10)])[0])
    assert (failed.value.url, failed.value.start, failed.value.stop) == (server.url + "b.bin", 3, 10)


def test_nothing_is_written_after_an_error(server, content):
    server.fail("status", status=404, path="b.bin", times=None)
    good, buffers = ranges(server.url + "a.bin", SPANS)
    bad, _ = ranges(server.url + "b.bin", [(0, 10)])
    with Fetcher() as fetcher:
        with pytest.raises(MissingFileError):
            fetcher.fetch([*bad, *good])
        before = [bytes(buffer) for buffer in buffers]
        assert_fetches(fetcher, server.url + "a.bin", content, SPANS)
        assert [bytes(buffer) for buffer in buffers] == before


def test_the_first_error_ends_the_rest(server, clock):
    with Fetcher(max_requests=1, clock=clock) as fetcher, pytest.raises(MissingFileError):
        fetcher.fetch([*ranges(server.url + "b.bin", [(0, 10)])[0], *ranges(server.url + "a.bin", SPANS)[0]])
    assert server.count == 1


def test_redirects_are_followed_and_remembered(engine, server, fault_server, fetcher, content):
    front = fault_server({})
    front.fail("redirect", status=302, times=None, headers={"Location": server.url + "a.bin?signature=x"})
    assert_fetches(fetcher, front.url + "ds/a.bin", content, [(0, 10)])
    assert_fetches(fetcher, front.url + "ds/a.bin", content, SPANS)
    assert front.count == 1
    assert server.requests[0].query == "signature=x"


def test_a_signed_redirect_that_expired_is_asked_for_anew(engine, server, fault_server, fetcher, content):
    front = fault_server({})
    front.fail("redirect", status=302, times=None, headers={"Location": server.url + "a.bin"})
    assert_fetches(fetcher, front.url + "a.bin", content, [(0, 10)])
    server.fail("status", status=403)
    assert_fetches(fetcher, front.url + "a.bin", content, [(10, 20)])
    assert front.count == 2


def test_redirects_without_end_are_refused(engine, server, fetcher):
    server.fail("redirect", status=301, times=None, headers={"Location": "/a.bin"})
    with pytest.raises(StorageError, match="more than 5 redirects"):
        fetcher.fetch(ranges(server.url + "a.bin", [(0, 10)])[0])
    assert server.count == 6


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/a"])
def test_redirects_to_other_schemes_are_refused(engine, server, fetcher, location):
    server.fail("redirect", status=302, headers={"Location": location})
    with pytest.raises(AccessError, match="redirect"):
        fetcher.fetch(ranges(server.url + "a.bin", [(0, 10)])[0])
