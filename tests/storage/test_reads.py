"""Where each byte goes, and when to try again: pure functions."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstac.errors import RangeError, UnavailableError
from mlstac.storage._answers import Head, Version, check_range
from mlstac.storage._reads import Scatter
from mlstac.storage._retry import Retry, TransientError, parse_retry_after, persist
from tests.storage.conftest import QuickClock


@st.composite
def layouts(draw):
    """Return (gap, size) pairs, and the sizes in which the bytes come."""
    pieces = draw(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 40_000)), max_size=6))
    chunks = draw(st.lists(st.integers(1, 50_000), min_size=1, max_size=20))
    return pieces, draw(st.integers(0, 20_000)), chunks


@given(layouts(), st.sampled_from(["feed", "window", "both"]))
def test_every_byte_goes_where_it_belongs_however_it_comes(layout, way):
    pieces, tail, chunks = layout
    into, offset = [], 0
    for gap, size in pieces:
        offset += gap
        into.append((offset, memoryview(bytearray(size))))
        offset += size
    length = offset + tail
    data = (bytes(range(256)) * (length // 256 + 1))[:length]
    scatter, scratch, turn = Scatter(into, length), memoryview(bytearray(65_536)), 0
    while scatter.remaining:
        count = min(chunks[turn % len(chunks)], scatter.remaining)
        turn += 1
        part = data[scatter.position : scatter.position + count]
        window = scatter.window(scratch) if way == "window" or (way == "both" and turn % 2) else None
        if window is None:
            scatter.feed(memoryview(part))
        else:
            count = min(count, len(window))
            window[:count] = part[:count]
            scatter.advance(count)
    for start, view in into:
        assert view == data[start : start + len(view)]


def test_more_than_was_announced_is_refused():
    buffer = bytearray(4)
    with pytest.raises(RangeError, match="more than the 4 bytes"):
        Scatter([(0, memoryview(buffer))], 4).feed(memoryview(b"12345"))
    assert buffer == bytes(4)


@given(st.integers(1, 60), st.floats(0, 0.999))
def test_waits_grow_and_are_bounded(failures, chance):
    retry = Retry(first_s=0.25, longest_s=20)
    wait = retry.wait_s(failures, random=lambda: chance)
    assert 0.5 * min(20, 0.25 * 2.0 ** (failures - 1)) <= wait <= 20


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read(value, seconds):
    assert parse_retry_after(value, wall=1_700_000_000) == seconds


def make_persist(outcomes, retry, *, length=100):
    """Run `persist` over a list of outcomes: an exception, or bytes that came (then a failure), or None for success."""
    clock, pauses, position = QuickClock(), [], 0
    outcomes = iter(outcomes)

    async def attempt():
        nonlocal position
        outcome = next(outcomes)
        if isinstance(outcome, int):
            position += outcome
            raise TransientError("cut")
        if outcome is not None:
            raise outcome

    async def pause(fault, wait_s):
        pauses.append(wait_s)
        await clock.sleep(wait_s)

    work = persist(
        attempt,
        what=lambda: "x",
        length=length,
        position=lambda: position,
        retry=retry,
        clock=clock,
        pause=pause,
        random=lambda: 1.0,
    )
    return work, pauses


def test_waits_double():
    fault = TransientError("down")
    work, pauses = make_persist([fault] * 5 + [None], Retry(first_s=1, longest_s=6))
    asyncio.run(work)
    assert pauses == [1, 2, 4, 6, 6]


def test_progress_renews_patience():
    work, pauses = make_persist([70] * 20 + [None], Retry(tries=2), length=1_000)
    asyncio.run(work)
    assert pauses == [0] * 20


def test_progress_renews_the_time_too():
    fault = TransientError("down")
    retry = Retry(first_s=10, longest_s=10, total_s=25)
    work, pauses = make_persist([fault, fault, 500, fault, fault, None], retry, length=1_000)
    asyncio.run(work)
    assert pauses == [10, 10, 0, 10, 10]
    work, pauses = make_persist([500, *[fault] * 3], retry, length=1_000)
    with pytest.raises(UnavailableError, match="4 tries in 20 s"):
        asyncio.run(work)


def test_what_came_before_and_comes_again_is_no_progress():
    # a server without ranges begins again each time
    work, _ = make_persist([500, *[-400, 400] * 10], Retry(tries=4), length=1_000)
    with pytest.raises(UnavailableError, match="4 tries"):
        asyncio.run(work)


def test_a_drop_at_a_time_is_no_progress():
    work, _ = make_persist([1] * 10, Retry(tries=4), length=1_000_000)
    with pytest.raises(UnavailableError, match="4 tries"):
        asyncio.run(work)


def test_a_stale_connection_is_spared_once():
    stale = TransientError("stale", free=True)
    work, pauses = make_persist([stale, None], Retry(tries=1))
    asyncio.run(work)
    assert pauses == []
    work, _ = make_persist([stale] * 3, Retry(tries=1))
    with pytest.raises(UnavailableError):
        asyncio.run(work)


def answer(status=206, **headers):
    return Head(status, {name.replace("_", "-"): value for name, value in headers.items()})


def test_a_server_that_does_not_tell_the_size_is_believed():
    head = answer(content_range="bytes 10-19/*", content_length="10", etag='"x"')
    assert check_range(head, "http://h/x", 10, 20, size=50, seen=None) == Version(None, '"x"', "")
    assert check_range(head, "http://h/x", 10, 20, size=None, seen=Version(50, '"x"', "")).size is None


@pytest.mark.parametrize(
    "value", ["", "bytes 10-19", "bytes */50", "bytes 10-18/50", "bytes 9-19/50", "items 10-19/50", "bytes 10-19/50, x"]
)
def test_a_content_range_that_is_not_the_one_asked_for_is_refused(value):
    with pytest.raises(RangeError):
        check_range(answer(content_range=value, content_length="10"), "http://h/x", 10, 20, size=50, seen=None)


def test_weak_and_strong_etags_are_compared_as_one_and_dates_only_without_them():
    first = Version(5, '"a"', "Mon")
    assert first.agrees(Version(5, '"a"', "Tue"))
    assert not first.agrees(Version(5, '"b"', "Mon"))
    assert first.agrees(Version(5, "", "Mon"))
    assert not Version(5, "", "Mon").agrees(Version(5, "", "Tue"))
    assert not first.agrees(Version(6, '"a"', "Mon"))
