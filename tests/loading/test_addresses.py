import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlstac.loading._addresses import MISSING, Rows, find_runs, make_addresses, take_runs


@st.composite
def groups_of_rows(draw):
    """Row groups with some regular stretches and some irregular ones, as writers leave them."""
    groups = []
    for _ in range(draw(st.integers(0, 3))):
        files, offsets, lengths = [], [], []
        for _ in range(draw(st.integers(0, 6))):
            count = draw(st.integers(1, 8))
            start, step = draw(st.integers(0, 500)), draw(st.integers(-40, 40))
            files += [draw(st.integers(-1, 2))] * count
            offsets += [start + 400 + step * row for row in range(count)]
            lengths += [draw(st.integers(0, 3))] * count
        there = np.array(files, np.int64) != MISSING
        groups.append(
            Rows(
                np.array(files, np.int64),
                np.where(there, np.array(offsets, np.int64), 0),
                np.where(there, np.array(lengths, np.int64), 0),
                np.where(there, 10_000, 0),
                None,
            )
        )
    return groups


@given(groups_of_rows(), st.data())
def test_runs_give_back_every_address(groups, data):
    addresses = make_addresses([take_runs(rows, find_runs(rows)) for rows in groups])
    files = np.concatenate([np.zeros(0, np.int64), *(rows.files for rows in groups)])
    offsets = np.concatenate([np.zeros(0, np.int64), *(rows.offsets for rows in groups)])
    lengths = np.concatenate([np.zeros(0, np.int64), *(rows.lengths for rows in groups)])
    assert addresses.rows == len(files)
    if len(files):
        wanted = np.array(data.draw(st.lists(st.integers(0, len(files) - 1), max_size=30)), np.int64)
        found = addresses.locate(wanted)
        assert np.array_equal(found.files, files[wanted])
        assert np.array_equal(found.offsets, offsets[wanted])
        assert np.array_equal(found.lengths, lengths[wanted])
    for file, (start, stop, count, nbytes) in addresses.spans().items():
        mine = files == file
        assert (start, stop) == (offsets[mine].min(), (offsets[mine] + lengths[mine]).max())
        assert (count, nbytes) == (mine.sum(), lengths[mine].sum())
    assert set(addresses.spans()) == set(files.tolist()) - {MISSING}


def test_a_stacked_shard_is_one_run_whatever_its_length():
    count = 100_000
    rows = Rows(
        np.zeros(count, np.int64),
        np.arange(count) * 106_496 + 512,
        np.full(count, 106_496),
        np.full(count, 10**11),
        None,
    )
    addresses = make_addresses([take_runs(rows, find_runs(rows))] * 10)
    assert len(addresses.files) == 10
    assert addresses.nbytes < 1000


def test_rows_of_varying_length_are_kept_one_by_one():
    lengths = np.arange(1, 50)
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    rows = Rows(np.zeros(49, np.int64), offsets, lengths, np.full(49, 10_000), lengths[:, None])
    addresses = make_addresses([take_runs(rows, find_runs(rows))])
    assert addresses.starts is None
    found = addresses.locate(np.array([3, 48]))
    assert found.offsets.tolist() == [6, 1176]
    assert found.shapes.tolist() == [[4], [49]]
