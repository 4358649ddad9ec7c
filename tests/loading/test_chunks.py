from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from mlstac.loading._chunks import CHUNK_BYTES, Reading, chunk_steps
from mlstac.loading._plan import SMALL_BYTES

READINGS = st.builds(
    Reading,
    steps=st.integers(0, 3000),
    batch_size=st.integers(1, 300),
    stride=st.integers(1, 1200),
    start=st.integers(0, 5000),
    sample_bytes=st.sampled_from([8, 264, 5000, 100_000, 2_000_000]),
    remote=st.booleans(),
    region=st.sampled_from([1, 256, 65_536, 10**7]),
    length=st.integers(1, 10**7),
    max_in_flight_bytes=st.sampled_from([1, 10**6, 256_000_000]),
    scratch_bytes=st.sampled_from([0, 3000, 10**6]),
    shared_bytes=st.sampled_from([0, 4096, 9000]),
    neighbours_bytes=st.sampled_from([10**5, 10**8, 10**10]),
)


@given(READINGS)
def test_chunks_cover_all_steps(reading):
    sizes = list(chunk_steps(reading))
    assert sum(sizes) == reading.steps
    assert all(size >= 1 for size in sizes)


@given(READINGS)
def test_what_a_chunk_holds_on_its_way_is_bounded_or_one_step(reading):
    for size in chunk_steps(reading):
        if size > 1 and reading.remote:
            own = size * reading.batch_size * (reading.sample_bytes + reading.scratch_bytes)
            scattered = reading.length <= reading.region > 1 and reading.sample_bytes < SMALL_BYTES
            apart = size * reading.batch_size * reading.shared_bytes
            shared = min(apart, reading.neighbours_bytes) if scattered else 0
            assert own + shared <= reading.max_in_flight_bytes


def small(**changes):
    facts = {
        "steps": 4000, "batch_size": 256, "stride": 256, "start": 0, "sample_bytes": 264, "remote": True,
        "region": 10**6, "length": 10**6, "max_in_flight_bytes": 256_000_000,
    }  # fmt: skip
    return Reading(**(facts | changes))


def test_an_epoch_begins_with_one_batch():
    for region in (1, 65_536, 10**6):
        assert next(chunk_steps(small(region=region))) == 1


def test_samples_in_order_are_read_in_chunks_of_a_few_megabytes():
    sizes = list(islice(chunk_steps(small(region=1)), 8))
    assert sizes[:4] == [1, 4, 16, 64]
    assert sizes[5] * 256 * 264 <= CHUNK_BYTES < (sizes[5] + 1) * 256 * 264


def test_small_samples_in_random_order_are_read_with_all_between_few_times_or_not_at_all():
    total = 10**6 * 264
    dense = [size for size in chunk_steps(small()) if total / (size * 256) <= 64 * 1024]
    # each of these reads the whole dataset: 256 MB in flight hold half of it
    assert len(dense) <= 3


def test_a_tiny_dataset_is_read_once_and_then_shuffled():
    assert list(chunk_steps(small(length=90, region=90, steps=15, batch_size=6, sample_bytes=5000))) == [15]


def test_a_block_shuffle_reads_group_by_group():
    sizes = list(chunk_steps(small(region=65_536, steps=1000)))
    assert sizes[0] == 1
    edges = [sum(sizes[:count]) * 256 for count in range(1, len(sizes))]
    assert all(edge % 65_536 < 256 for edge in edges[1:])


def test_samples_worth_a_request_each_are_read_batch_by_batch_in_blocks_too():
    facts = {"batch_size": 8, "stride": 8, "region": 256, "length": 400, "steps": 50}
    assert set(chunk_steps(small(**facts, sample_bytes=1_638_400))) == {1}
    assert list(chunk_steps(small(**facts, sample_bytes=106_504)))[:2] == [1, 256 // 8 - 1]
