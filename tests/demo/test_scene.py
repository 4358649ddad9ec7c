"""The demo's scene and its chips, judged by scipy, numpy and pyproj."""

import numpy as np
import pytest
from pyproj import Transformer
from scipy.io import netcdf_file

from mlstac.cli.demo import find_scene, read_scene
from mlstac.cli.demo._chips import CHIP, clay_ratio, cut_chips, train_threshold
from mlstac.cli.demo._scene import INSTALL
from mlstac.errors import FormatError, MissingFileError, MissingPackageError


@pytest.fixture(scope="module")
def scene():
    return read_scene(find_scene())


def stored(name):
    with netcdf_file(find_scene() / f"{name}_band.nc", mmap=False) as file:
        return np.array(file.variables["__xarray_dataarray_variable__"].data, dtype=float)


def test_bands_of_ten_metres_are_as_the_file_has_them(scene):
    assert scene.image.shape == (6, 200, 300)
    assert scene.image.dtype == np.uint16
    assert np.array_equal(scene.image[2], stored("red"))
    assert (scene.crs, scene.transform) == ("EPSG:32719", (10.0, 0.0, 600000.0, 0.0, -10.0, 4700020.0))
    assert [band.name for band in scene.bands] == ["B02", "B03", "B04", "B08", "B11", "B12"]


def test_each_pixel_of_twenty_metres_lies_over_the_four_that_it_covers(scene):
    swir = stored("swir1")
    for row, column in [(0, 0), (1, 1), (150, 220), (199, 299)]:
        assert scene.image[4, row, column] == swir[row // 2, column // 2]


def test_bands_show_the_same_place(scene):
    """Stacked as the files lie, red and short-wave infrared have nothing in common: the latter cover 6 by 4 km."""
    alike = np.corrcoef(scene.image[2].ravel(), scene.image[4].ravel())[0, 1]
    as_they_lie = np.corrcoef(stored("red").ravel(), stored("swir1").ravel())[0, 1]
    assert alike > 0.7
    assert abs(as_they_lie) < 0.1


def test_the_threshold_is_of_the_train_columns_alone(scene):
    changed = scene._replace(image=scene.image.copy())
    changed.image[4, :, 9 * CHIP :] = 9_999
    assert train_threshold(changed) == train_threshold(scene)
    assert (clay_ratio(scene.image[:, :, : 9 * CHIP]) > train_threshold(scene)).mean() == pytest.approx(0.5, abs=0.01)


def test_chips_cover_the_scene_once_and_lie_where_their_pixels_are(scene):
    chips = list(cut_chips(scene))
    assert len(chips) == 150
    assert len({chip.sample.id for chip in chips}) == 150
    rebuilt = np.zeros_like(scene.image)
    for chip in chips:
        a, _, west, _, e, north, *_ = chip.sample.transform
        column, row = round((west - 600000) / a), round((north - 4700020) / e)
        rebuilt[:, row : row + CHIP, column : column + CHIP] = chip.sample.tensors["input"]
    assert np.array_equal(rebuilt, scene.image)


def test_splits_are_apart_from_west_to_east(scene):
    columns = {}
    for chip in cut_chips(scene):
        columns.setdefault(chip.split, set()).add(chip.sample.properties["column"])
    assert columns == {"train": set(range(9)), "validation": {9, 10, 11}, "test": {12, 13, 14}}


def test_the_scene_is_where_the_collection_says(scene):
    west, north = Transformer.from_crs(scene.crs, 4326, always_xy=True).transform(*scene.transform[2::3])
    # Santa Cruz, Argentina
    assert -73.6 < west < -65.7
    assert -52.4 < north < -46.0


def test_a_missing_package_is_named_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setattr("mlstac.cli.demo._scene.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=INSTALL):
        find_scene()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"blue_band\.nc"):
        read_scene(tmp_path)


def test_bands_whose_grids_do_not_nest_are_refused(tmp_path):
    for path in find_scene().glob("*.nc"):
        content = path.read_bytes()
        if path.name.startswith("swir2"):
            # netCDF-3 is big-endian: the pixel of 20 m in the attribute `transform` becomes one of 15 m
            content = content.replace(np.array([20.0, 0.0], ">f8").tobytes(), np.array([15.0, 0.0], ">f8").tobytes())
        (tmp_path / path.name).write_bytes(content)
    with pytest.raises(FormatError, match="swir2"):
        read_scene(tmp_path)
