"""Bands and windows: fewer bytes, the same values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlstac
from mlstac.errors import InvalidArgumentError, NotFoundError
from mlstac.loading._layout import TensorLayout
from mlstac.loading._view import TensorView, merge_pieces
from tests.loading.datasets import write_stacked

SHAPES = st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple)


def layout(shape, dtype="U16"):
    return TensorLayout("x", dtype, shape, 1, True, "stacked", None)


@given(SHAPES, st.data())
def test_pieces_are_what_numpy_takes(shape, data):
    array = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    view, taken = TensorView(layout(shape)), array
    axes = data.draw(st.lists(st.sampled_from(range(len(shape))), max_size=2, unique=True))
    for number, axis in enumerate(axes):
        if number:
            start = data.draw(st.integers(0, shape[axis] - 1))
            stop = data.draw(st.integers(start + 1, shape[axis]))
            view, taken = view.cut(axis, start, stop), np.take(taken, range(start, stop), axis)
        else:
            positions = data.draw(st.lists(st.integers(0, shape[axis] - 1), min_size=1, max_size=4))
            view, taken = view.pick(axis, tuple(positions)), np.take(taken, positions, axis)
    pieces = view.pieces(shape)
    raw = array.tobytes()
    found = b"".join(raw[start : start + pieces.length] for start in pieces.starts.tolist())
    assert np.array_equal(np.frombuffer(found, np.uint16).reshape(view.shape), taken)
    assert view.row_bytes == taken.nbytes
    starts, stops, owners = merge_pieces(pieces, gap_bytes=data.draw(st.integers(0, 100)))
    assert (pieces.starts >= starts[owners]).all()
    assert (pieces.starts + pieces.length <= stops[owners]).all()


def test_neighbouring_bands_are_one_run_of_bytes():
    pieces = TensorView(layout((13, 64, 64))).pick(0, (2, 3, 4)).pieces((13, 64, 64))
    assert (pieces.starts.tolist(), pieces.length) == ([2 * 8192], 3 * 8192)


def test_picking_every_band_in_order_reads_the_sample_whole():
    assert TensorView(layout((3, 4))).pick(0, (0, 1, 2)).whole
    assert TensorView(layout((3, 4))).cut(1, 0, 4).whole


@pytest.fixture(scope="module")
def grids(tmp_path_factory):
    """Two grids, of 10 and 20 m, an image with bands last, and a mask; each sample counts upwards from its number."""
    count = 6
    arrays = {
        "fine": np.arange(count * 2 * 24 * 24, dtype=np.uint16).reshape(count, 2, 24, 24),
        "coarse": np.arange(count * 3 * 12 * 12, dtype=np.uint16).reshape(count, 3, 12, 12),
        "mask": np.arange(count * 24 * 24, dtype=np.int32).reshape(count, 24, 24),
        "number": np.arange(count, dtype=np.int64),
    }
    folder = tmp_path_factory.mktemp("grids")
    write_stacked(
        folder,
        {"train": arrays},
        fine={"dims": "band y x", "bands": ["B02", "B08"]},
        coarse={"dims": "band y x", "bands": ["B05", "B11", "B12"]},
        mask={"dims": "y x", "role": "label"},
        number={"role": "label"},
    )
    return folder, arrays


def test_bands_come_in_the_order_asked_for(grids):
    folder, arrays = grids
    ds = mlstac.load(folder, framework="numpy").select(bands=["B08", "B12", "B05"])
    sample = ds[3]
    assert list(sample) == ["fine", "coarse", "mask", "number"]
    assert np.array_equal(sample["fine"], arrays["fine"][3, [1]])
    assert np.array_equal(sample["coarse"], arrays["coarse"][3, [2, 0]])
    assert [band.name for band in ds.tensors["coarse"].bands] == ["B12", "B05"]
    assert ds.tensors["coarse"].shape == (2, 12, 12)
    again = ds.select(bands=["B05"])
    assert list(again[3]) == ["coarse", "mask", "number"]
    assert np.array_equal(again[3]["coarse"], arrays["coarse"][3, [0]])


def test_tensors_and_their_bands_are_chosen_together(grids):
    folder, arrays = grids
    ds = mlstac.load(folder, framework="numpy").select(["number", "coarse"], bands="B11")
    batch = ds[[4, 1]]
    assert list(batch) == ["number", "coarse"]
    assert np.array_equal(batch["coarse"], arrays["coarse"][[4, 1]][:, [1]])


def test_names_that_are_not_there_list_those_that_are(grids):
    ds = mlstac.load(grids[0], framework="numpy")
    with pytest.raises(NotFoundError, match="no tensor 'image'; it has fine, coarse, mask, number"):
        ds.select(["image"])
    with pytest.raises(NotFoundError, match="no tensor has a band 'B99'; they have fine: B02, B08; coarse: B05"):
        ds.select(bands=["B02", "B99"])
    with pytest.raises(NotFoundError, match="'coarse' has none of the bands B02"):
        ds.select(["fine", "coarse"], bands=["B02"])
    with pytest.raises(InvalidArgumentError):
        ds.select([])
    with pytest.raises(InvalidArgumentError):
        ds.select(bands=[])


def test_a_window_is_scaled_to_the_grid_of_each_tensor(grids):
    folder, arrays = grids
    ds = mlstac.load(folder, framework="numpy")
    for window, fine_window in [
        (ds.window(slice(4, 10), slice(-6, None), tensor="fine"), (slice(4, 10), slice(18, 24))),
        (ds.window(slice(2, 5), slice(9, 12), tensor="coarse"), (slice(4, 10), slice(18, 24))),
    ]:
        batch = window[1:4]
        assert np.array_equal(batch["fine"], arrays["fine"][1:4, :, *fine_window])
        assert np.array_equal(batch["mask"], arrays["mask"][1:4, *fine_window])
        assert np.array_equal(batch["coarse"], arrays["coarse"][1:4, :, 2:5, 9:12])
        assert window.tensors["coarse"].shape == (3, 3, 3)


def test_windows_of_windows_count_from_the_window(grids):
    folder, arrays = grids
    ds = mlstac.load(folder, framework="numpy").select(["mask"])
    twice = ds.window(slice(4, 20), slice(3, 23)).window(slice(1, 5), slice(-5, None))
    assert np.array_equal(twice[2]["mask"], arrays["mask"][2, 5:9, 18:23])


def test_windows_that_cannot_be_cut_exactly_are_refused(grids):
    ds = mlstac.load(grids[0], framework="numpy")
    with pytest.raises(InvalidArgumentError, match=r"different grids .* say in whose pixels"):
        ds.window(slice(0, 4), slice(0, 4))
    with pytest.raises(InvalidArgumentError, match="no whole pixels; choose multiples of 2"):
        ds.window(slice(1, 4), slice(0, 4), tensor="fine")
    with pytest.raises(InvalidArgumentError, match="leaves the image, which has 24 pixels along x"):
        ds.window(slice(0, 4), slice(0, 26), tensor="fine")
    for window in (slice(4, 4), slice(0, 4, 2), 3):
        with pytest.raises(InvalidArgumentError):
            ds.window(window, slice(0, 4), tensor="fine")
    with pytest.raises(NotFoundError, match="'number' has no axes y and x"):
        ds.window(slice(0, 4), slice(0, 4), tensor="number")


def test_bands_and_windows_over_the_network_cost_little_more_than_themselves(range_server, tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"input": rng.integers(0, 60_000, (4, 12, 256, 256)).astype(np.uint16)}
    write_stacked(tmp_path, {"train": arrays}, input={"dims": "band y x", "bands": [f"B{n:02d}" for n in range(12)]})
    server = range_server(tmp_path)
    ds = mlstac.load(server.url, framework="numpy")
    ds[0]
    band = 256 * 256 * 2

    def cost(view, wanted):
        before = ds.stats()["bytes"]
        batch = view[[3, 1]]["input"]
        assert np.array_equal(batch, wanted)
        return ds.stats()["bytes"] - before

    assert cost(ds.select(bands=["B03", "B04"]), arrays["input"][[3, 1]][:, [3, 4]]) == 2 * 2 * band
    assert cost(ds.select(bands=["B07", "B01"]), arrays["input"][[3, 1]][:, [7, 1]]) == 2 * 2 * band
    window = ds.window(slice(100, 132), slice(8, 40))
    exact = 2 * 12 * 32 * 32 * 2
    assert cost(window, arrays["input"][[3, 1], :, 100:132, 8:40]) <= exact + 2 * 12 * 64 * 1024
    small = window.select(bands=["B05"])
    assert cost(small, arrays["input"][[3, 1], 5:6, 100:132, 8:40]) <= 2 * 32 * 256 * 2
