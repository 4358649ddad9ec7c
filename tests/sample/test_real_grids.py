"""Grids of real rasters, given as rasterio reads them."""

import warnings

import numpy as np
import pytest
import rasterio
import rasterio.warp
from rasterio.errors import NotGeoreferencedWarning

from mlstac.sample import Addresses, Sample, footprint, rows_table, sample_row

ADDRESS = Addresses(np.array([64]), np.array([1]), np.array([0], np.uint32))


@pytest.fixture
def rasters(shared):
    found = []
    for path in sorted((shared / "data").glob("*/**/*.tif")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # some have no place: they are left out
            raster = rasterio.open(path)
        with raster:
            if raster.crs is not None and not raster.transform.is_identity:
                found.append((path.name, raster.crs, raster.transform, raster.shape, raster.bounds))
    assert len(found) > 5
    return found


def test_the_bounds_of_a_real_raster_are_those_that_rasterio_finds(rasters):
    for name, crs, transform, shape, bounds in rasters:
        expected = rasterio.warp.transform_bounds(crs, "OGC:CRS84", *bounds, densify_pts=500)
        _, bbox = footprint(crs, transform, shape)
        size = np.hypot(expected[2] - expected[0], expected[3] - expected[1]) / np.hypot(*shape)  # of a pixel, degrees
        np.testing.assert_allclose(bbox, expected, atol=0.1 * size, err_msg=name)


def test_real_rasters_become_rows_with_their_codes_and_transforms(rasters):
    for name, crs, transform, shape, _ in rasters:
        sample = Sample({"image": None}, id=name, crs=crs, transform=transform)
        row = sample_row(sample, grids={"image": shape})
        table = rows_table([row], {"image": ADDRESS}, href="./0.safetensors", file_size=1, file_checksum="1220")
        assert row.grids["image"].crs == crs.to_string()
        assert row.grids["image"].transform == tuple(transform)[:6]
        assert table.column("geometry").null_count == 0
