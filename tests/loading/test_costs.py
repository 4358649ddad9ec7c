"""What parts of samples cost over a network: their bytes and little more, and never a wrong one."""

import contextlib

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.windows import Window

import mlstac
from mlstac.errors import InvalidArgumentError, NotFoundError
from tests.datasets import TEN_METRES, TWENTY_METRES, write_grids
from tests.loading.datasets import write_stacked
from tests.servers.fault import FaultServer

BANDS = [f"B{number:02d}" for number in range(1, 9)]
SIDE = 96
COUNT = 6
GAP_BYTES = 64 * 1024


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    """Six chips of eight bands of 18 KiB, with a mask and a number, in two shards."""
    rng = np.random.default_rng(23)
    arrays = {
        "image": rng.integers(0, 60_000, (COUNT, 8, SIDE, SIDE)).astype(np.uint16),
        "mask": rng.integers(0, 5, (COUNT, SIDE, SIDE)).astype(np.uint8),
        "number": np.arange(COUNT, dtype=np.int64),
    }
    folder = write_stacked(
        tmp_path_factory.mktemp("chips"),
        {"train": arrays},
        shard_rows=3,
        image={"dims": "band y x", "bands": BANDS},
        mask={"dims": "y x", "role": "label"},
        number={"role": "label"},
    )
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(FaultServer(folder))
        ds = mlstac.load(server.url, framework="numpy")
        stack.callback(ds.close)
        ds[0]
        yield ds, arrays, server


def asked(server, before):
    """Ranges asked of shards since then, as (start, stop)."""
    return [request.range for request in server.requests[before:] if request.path.endswith(".safetensors")]


WINDOWS = st.integers(0, SIDE - 1).flatmap(lambda start: st.tuples(st.just(start), st.integers(start + 1, SIDE)))
ROWS = st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=3, unique=True)


@settings(max_examples=60)
@given(st.lists(st.sampled_from(BANDS), min_size=1, max_size=8, unique=True), ROWS)
def test_bands_cost_their_bytes_in_their_order(chips, bands, rows):
    ds, arrays, server = chips
    before = len(server.requests)
    batch = ds.select(["image"], bands=bands)[rows]
    numbers = [BANDS.index(band) for band in bands]
    assert np.array_equal(batch["image"], arrays["image"][rows][:, numbers])
    ranges = asked(server, before)
    needed = len(rows) * len(bands) * SIDE * SIDE * 2
    # runs of neighbouring bands are what has to be asked for; between them at most 64 KiB each
    runs = len(rows) * int((np.diff(sorted(numbers)) > 1).sum() + 1)
    assert len(ranges) <= runs
    assert sum(stop - start for start, stop in ranges) <= needed + GAP_BYTES * runs


@settings(max_examples=60)
@given(WINDOWS, WINDOWS, ROWS, st.lists(st.sampled_from(BANDS), min_size=1, max_size=3, unique=True))
def test_windows_cost_their_rows(chips, y, x, rows, bands):
    ds, arrays, server = chips
    before = len(server.requests)
    batch = ds.select(["image", "mask"], bands=bands).window(slice(*y), slice(*x))[rows]
    numbers = [BANDS.index(band) for band in bands]
    assert np.array_equal(batch["image"], arrays["image"][rows][:, numbers][..., slice(*y), slice(*x)])
    assert np.array_equal(batch["mask"], arrays["mask"][rows][..., slice(*y), slice(*x)])
    height, width = y[1] - y[0], x[1] - x[0]
    ranges = asked(server, before)
    needed = len(rows) * height * width * (2 * len(bands) + 1)
    lines = len(rows) * height * (len(bands) + 1)  # each a range of its own, if it is not merged with the next
    assert len(ranges) <= lines
    asked_bytes = sum(stop - start for start, stop in ranges)
    assert asked_bytes <= needed + GAP_BYTES * (lines - len(ranges))
    # never more than the samples and the gaps between the tensors of each
    assert asked_bytes <= len(rows) * (SIDE * SIDE * (2 * 8 + 1) + GAP_BYTES)


@settings(max_examples=30)
@given(WINDOWS, WINDOWS, st.lists(st.sampled_from(BANDS), min_size=1, max_size=4, unique=True))
def test_batches_of_parts_are_the_parts_of_batches(chips, y, x, bands):
    ds, arrays, _ = chips
    chosen = ds.window(slice(*y), slice(*x)).select(["number", "image"], bands=bands)
    numbers = [BANDS.index(band) for band in bands]
    seen = []
    for batch in chosen.batches(2, shuffle=True, prefetch=1):
        wanted = arrays["image"][batch["number"]][:, numbers][..., slice(*y), slice(*x)]
        assert np.array_equal(batch["image"], wanted)
        assert batch["image"].flags["C_CONTIGUOUS"]
        seen += batch["number"].tolist()
    assert sorted(seen) == list(range(COUNT))


def test_a_tensor_that_is_not_selected_costs_nothing(chips):
    ds, arrays, server = chips
    before = len(server.requests)
    assert np.array_equal(ds.select(["mask"])[4]["mask"], arrays["mask"][4])
    ((start, stop),) = asked(server, before)
    assert stop - start == SIDE * SIDE


def test_a_dataset_of_labels_alone_is_a_span_a_shard(chips):
    ds, arrays, server = chips
    before = len(server.requests)
    batches = list(ds.select(["number"]).batches(COUNT, shuffle=True))
    assert sorted(batches[0]["number"].tolist()) == arrays["number"].tolist()
    assert sorted(stop - start for start, stop in asked(server, before)) == [3 * 8, 3 * 8]


def test_small_samples_far_from_each_other_cost_at_most_twice_their_blocks(tmp_path):
    rng = np.random.default_rng(4)
    x = rng.random((60_000, 66), np.float32)
    rows = rng.choice(len(x), 230, replace=False)  # 69 KB from one to the next
    folder = write_stacked(tmp_path / "small", {"train": {"x": x}}, shard_rows=len(x))
    with FaultServer(folder) as server:
        ds = mlstac.load(server.url, framework="numpy")
        ds[0]
        before = len(server.requests)
        assert np.array_equal(ds[rows.tolist()]["x"], x[rows])
        ds.close()
        ranges = asked(server, before)
    assert sum(stop - start for start, stop in ranges) <= 2 * 4096 * len(rows)
    assert len(ranges) < len(rows)  # neighbours still share a request


def test_choosing_reads_nothing(chips):
    ds, _, server = chips
    before = server.count
    chosen = ds.select(bands=["B03"]).window(slice(0, 8), slice(0, 8)).subset([1, 4]).select(["image"])
    assert chosen.tensors["image"].shape == (1, 8, 8)
    assert len(chosen.batches(2)) == 1
    repr(chosen)
    for wrong in (COUNT, -COUNT - 1, [0, COUNT], np.array([-COUNT - 1])):
        with pytest.raises(IndexError):
            ds[wrong]
    assert server.count == before


def test_a_window_without_image_tensors_is_refused(chips):
    ds, _, _ = chips
    with pytest.raises(NotFoundError, match="axes y and x"):
        ds.select(["number"]).window(slice(0, 4), slice(0, 4))


@pytest.fixture(scope="module")
def scene(shared, tmp_path_factory):
    """A real scene of 10 m and 20 m bands as two tensors, served; and its folder of rasters."""
    folder = tmp_path_factory.mktemp("scene") / "mekong"
    write_grids(shared, folder)
    with FaultServer(folder) as server:
        ds = mlstac.load(server.url, framework="numpy")
        yield ds, shared / "data" / "s2-majortom"
        ds.close()


def raster(folder, band, column, row, width, height):
    with rasterio.open(folder / f"{band}.tif") as file:
        return file.read(1, window=Window(column, row, width, height))


@pytest.mark.parametrize(("tensor", "y", "x"), [("m10", (8, 24), (40, 64)), ("m20", (4, 12), (20, 32))])
def test_windows_of_two_grids_are_what_rasterio_reads(scene, tensor, y, x):
    ds, folder = scene
    window = ds.window(slice(*y), slice(*x), tensor=tensor).select(bands=["B8A", "B04", "B02", "B12"])
    assert window.tensors["m10"].shape == (2, 16, 24)
    assert window.tensors["m20"].shape == (2, 8, 12)
    for number, row, column in ((0, 0, 0), (6, 1, 2), (15, 3, 3)):
        sample = window[number]
        for name, bands, scale in (("m10", ["B04", "B02"], 1), ("m20", ["B8A", "B12"], 2)):
            assert set(bands) <= set(TEN_METRES if scale == 1 else TWENTY_METRES)
            left, top = (column * 64 + 40) // scale, (row * 64 + 8) // scale
            wanted = [raster(folder, band, left, top, 24 // scale, 16 // scale) for band in bands]
            assert np.array_equal(sample[name], wanted)


def test_windows_between_the_pixels_of_the_other_grid_are_refused(scene):
    ds, _ = scene
    with pytest.raises(InvalidArgumentError, match="whole pixels"):
        ds.window(slice(1, 3), slice(0, 2), tensor="m10")
    with pytest.raises(InvalidArgumentError, match="different grids"):
        ds.window(slice(0, 2), slice(0, 2))
    assert ds.select(["m10"]).window(slice(1, 3), slice(0, 2))[0]["m10"].shape == (4, 2, 2)
