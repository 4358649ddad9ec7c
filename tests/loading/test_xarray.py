"""A sample as an xarray.Dataset; rasterio is the judge of its coordinates, rioxarray of its CRS."""

import sys

import numpy as np
import pytest
import rasterio
from rasterio.transform import xy

import mlstac
from mlstac.errors import MissingPackageError
from tests.datasets import SERIES_SIDE, write_grids, write_series

TRANSFORM = (10.0, 0.0, 600_000.0, 0.0, -20.0, 4_700_000.0)


@pytest.fixture
def ds(tmp_path):
    sample = mlstac.Sample(
        tensors={"image": np.arange(2 * 6 * 8, dtype=np.uint16).reshape(2, 6, 8), "mask": np.ones((6, 8), np.uint8),
                 "caption": "a field"},
        id="field", crs="EPSG:32719", transform=TRANSFORM, properties={"crop": "maize"},
    )  # fmt: skip
    tensors = {
        "image": mlstac.Tensor(dims="band y x", bands=["B03", "B04"], nodata=0, scale=1e-4, offset=-0.1),
        "mask": mlstac.Tensor(dims="y x", role="label", classes={0: "other", 1: "maize"}),
        "caption": mlstac.Tensor(media_type="text/plain"),
    }
    mlstac.write([sample], tmp_path / "ds", id="x", license="CC0-1.0", tensors=tensors)
    return mlstac.load(tmp_path / "ds", framework="torch")


def check_places(array, transform):
    height, width = array.sizes["y"], array.sizes["x"]
    xs, _ = xy(rasterio.Affine(*transform), np.zeros(width), np.arange(width))
    _, ys = xy(rasterio.Affine(*transform), np.arange(height), np.zeros(height))
    assert np.allclose(array.x, xs, rtol=0, atol=1e-6)
    assert np.allclose(array.y, ys, rtol=0, atol=1e-6)


def test_axes_places_and_words_are_there(ds):
    cube = ds.to_xarray(0)
    assert cube.image.dims == ("band", "y", "x")
    assert cube.mask.dims == ("y", "x")
    assert np.array_equal(cube.image, ds[0]["image"])
    assert list(cube.band.values) == ["B03", "B04"]
    check_places(cube, TRANSFORM)
    assert (cube.attrs["id"], cube.attrs["crop"]) == ("field", "maize")
    assert cube.caption.item() == "a field"
    assert (cube.image.nodata, cube.image.scale_factor, cube.image.add_offset) == (0, 1e-4, -0.1)
    assert cube.mask.flag_meanings == "other maize"
    assert "scale_factor" not in ds.scaled().to_xarray(0).image.attrs


@pytest.mark.filterwarnings("ignore:Use .@. matmul:PendingDeprecationWarning")  # rioxarray with a new affine
def test_rioxarray_reads_crs_and_transform(ds):
    import rioxarray  # noqa: F401  (it adds .rio)

    cube = ds.to_xarray(-1)
    assert cube.image.rio.crs.to_epsg() == 32719
    assert tuple(cube.image.rio.transform())[:6] == TRANSFORM
    assert cube.mask.rio.bounds() == (600_000.0, 4_699_880.0, 600_080.0, 4_700_000.0)


def test_a_window_has_its_own_places(ds):
    part = ds.window(y=slice(2, 5), x=slice(3, 8)).select(bands=["B04"]).to_xarray(0)
    assert list(part.band.values) == ["B04"]
    check_places(part, (10.0, 0.0, 600_030.0, 0.0, -20.0, 4_699_960.0))
    assert part.spatial_ref.GeoTransform == "600030.0 10.0 0.0 4699960.0 0.0 -20.0"


def test_times_are_a_coordinate(shared, tmp_path):
    write_series(shared, tmp_path / "series")
    ds = mlstac.load(tmp_path / "series", framework="numpy")
    cube = ds.to_xarray(0)
    assert cube.s2.dims == ("time", "band", "y", "x")
    assert cube.sizes["time"] == 5
    assert cube.sizes["y"] == SERIES_SIDE
    assert "s2_time" not in cube
    first = ds.metadata[0]["start_datetime"]
    assert cube.time.values[0] == np.datetime64(first.replace(tzinfo=None), "ns")


def test_tensors_of_two_grids_have_each_its_own_axes(shared, tmp_path):
    write_grids(shared, tmp_path / "grids")
    cube = mlstac.load(tmp_path / "grids", framework="numpy").to_xarray(5)
    assert cube.m10.dims == ("band", "y", "x")
    assert cube.m20.dims == ("band_m20", "y_m20", "x_m20")
    assert float(cube.x_m20[1] - cube.x_m20[0]) == 2 * float(cube.x[1] - cube.x[0])
    assert {cube.m10.grid_mapping, cube.m20.grid_mapping} == {"spatial_ref", "spatial_ref_m20"}


def test_tensors_that_are_called_as_an_axis_are_not_taken_for_its_coordinates(tmp_path):
    image = np.arange(2 * 3 * 4, dtype=np.uint16).reshape(2, 3, 4)
    sample = mlstac.Sample(
        tensors={"x": image, "y": np.int64(7), "mask": np.ones((3, 4), np.uint8)}, crs="EPSG:32719", transform=TRANSFORM
    )
    tensors = {"x": mlstac.Tensor(dims="band y x"), "y": mlstac.Tensor(role="label"), "mask": mlstac.Tensor(dims="y x")}
    mlstac.write([sample], tmp_path / "xy", id="xy", license="CC0-1.0", tensors=tensors)
    cube = mlstac.load(tmp_path / "xy", framework="numpy").to_xarray(0)
    assert cube.x.dims == ("band", "y_axis", "x_axis")
    assert cube.mask.dims == ("y_axis", "x_axis")
    assert np.array_equal(cube.x, image)
    assert cube.y.item() == 7
    check_places(cube.x.rename(y_axis="y", x_axis="x"), TRANSFORM)


def test_without_xarray_it_says_what_to_install(ds, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(MissingPackageError, match="pip install xarray"):
        ds.to_xarray(0)
