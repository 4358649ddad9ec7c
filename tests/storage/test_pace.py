"""The number of requests under way, against a link that is arithmetic."""

import heapq
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from mlstac.storage._pace import Pace


def run(pace, *, latency_s, bytes_per_s, reads, length=100_000, refuse=lambda active, number: False):
    """Simulate reads over a link; return (seconds, limits seen)."""
    now = free_at = 0.0
    under_way, waiting, limits, number = [], reads, [], 0
    while waiting or under_way:
        while waiting and len(under_way) < pace.limit:
            pace.started(now)
            free_at = max(free_at, now + latency_s) + length / bytes_per_s
            heapq.heappush(under_way, (free_at, number))
            waiting -= 1
            number += 1
        now, which = heapq.heappop(under_way)
        if refuse(len(under_way) + 1, which):
            pace.refused(now)
            waiting += 1
        else:
            pace.finished(length, waiting=waiting > 0, now=now)
        limits.append(pace.limit)
    return now, limits


def test_it_grows_to_the_cap_where_latency_is_all():
    _, limits = run(Pace(), latency_s=0.025, bytes_per_s=1e12, reads=3_000)
    assert limits[0] == 16
    assert limits[16 + 32 + 64 + 128 + 1] == 256
    assert max(limits) == 256


@settings(max_examples=60, deadline=None)
@given(latency_s=st.floats(0.001, 0.3), megabytes_per_s=st.floats(1, 2_000))
def test_it_fills_any_link_that_256_requests_can_fill(latency_s, megabytes_per_s):
    rate = megabytes_per_s * 1e6
    seconds, _ = run(Pace(), latency_s=latency_s, bytes_per_s=rate, reads=12_000)
    best = min(rate, 256 * 100_000 / (latency_s + 100_000 / rate))
    assert 12_000 * 100_000 / seconds > 0.8 * best


def test_it_stays_low_on_a_slow_link():
    _, limits = run(Pace(), latency_s=0.025, bytes_per_s=20e6, reads=4_000)
    assert sorted(limits)[len(limits) * 3 // 4] <= 32
    assert max(limits) <= 64  # tried, and taken back


@settings(max_examples=40, deadline=None)
@given(latency_s=st.floats(0.001, 0.1), megabytes_per_s=st.floats(1, 100))
def test_it_settles_near_what_fills_the_link(latency_s, megabytes_per_s):
    rate = megabytes_per_s * 1e6
    _, limits = run(Pace(), latency_s=latency_s, bytes_per_s=rate, reads=4_000)
    enough = latency_s / (100_000 / rate) + 1  # reads under way that fill it
    assert sorted(limits)[len(limits) // 2] <= max(32, 4 * enough)


def test_it_stays_where_more_brings_nothing():
    pace = Pace(start=4)
    _, limits = run(pace, latency_s=0.0, bytes_per_s=1e6, reads=2_000)
    assert sorted(limits)[len(limits) // 2] <= 8


def test_a_refusal_halves_once_a_round():
    pace = Pace(start=64)
    for number in range(10):
        pace.refused(float(number))
    assert pace.limit == 32
    for _ in range(32):
        pace.finished(1, waiting=True, now=20.0)
    pace.refused(21.0)
    assert pace.limit == 16


def test_it_never_falls_below_one():
    pace = Pace(start=2)
    for _ in range(10):
        pace.refused(0.0)
        pace.finished(1, waiting=True, now=1.0)
    assert pace.limit == 1


def test_it_comes_back_after_a_refusal_but_slowly():
    pace = Pace(start=64)
    pace.refused(0.0)
    limits = [pace.limit]
    while pace.limit < 64:
        pace.finished(1, waiting=True, now=float(len(limits)))
        limits.append(pace.limit)
    assert limits[:33] == [32] * 33  # a round to see that the refusals are over
    assert all(after - before <= before // 8 for before, after in pairwise(limits))
    assert len(limits) > 8 * 32


def test_it_settles_near_what_a_server_allows():
    _, limits = run(Pace(), latency_s=0.02, bytes_per_s=1e12, reads=20_000, refuse=lambda active, _: active > 40)
    late = limits[len(limits) // 2 :]
    assert 10 < sum(late) / len(late) < 80


def test_reads_that_do_not_wait_say_nothing():
    pace = Pace(start=4)
    for number in range(100):
        pace.started(float(number))
        pace.finished(100, waiting=False, now=number + 0.1)
    assert pace.limit == 4


@given(st.lists(st.sampled_from(["refused", "finished", "idle"]), max_size=300), st.integers(1, 64))
def test_the_limit_keeps_its_bounds(steps, cap):
    pace, now = Pace(cap=cap), 0.0
    for step in steps:
        now += 0.01
        if step == "finished":
            pace.finished(1_000, waiting=True, now=now)
        else:
            getattr(pace, step)(*([now] if step == "refused" else []))
        assert 1 <= pace.limit <= cap


def test_a_cap_below_the_start_holds():
    assert Pace(start=16, cap=3).limit == 3
