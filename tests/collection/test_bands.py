"""Bands are found by the names that people use, where these are unique; the presets are true."""

import json
import re

import pytest

from mlstac.collection import COMMON_NAMES, SENSORS, Band, Tensor
from mlstac.errors import InvalidArgumentError, NotFoundError

# range of each common name in micrometres, from the eo extension's table
RANGES = {
    "pan": (0.4, 1.0), "coastal": (0.40, 0.45), "blue": (0.45, 0.5), "green": (0.5, 0.6), "green05": (0.51, 0.55),
    "yellow": (0.58, 0.62), "red": (0.6, 0.7), "rededge": (0.7, 0.79), "rededge071": (0.69, 0.73),
    "rededge075": (0.73, 0.76), "rededge078": (0.76, 0.8), "nir": (0.75, 1.0), "nir08": (0.75, 0.9),
    "nir09": (0.85, 1.05),
    "cirrus": (1.35, 1.4), "swir16": (1.55, 1.75), "swir22": (2.08, 2.3), "lwir": (10.4, 12.5), "lwir11": (10.5, 11.5),
    "lwir12": (11.5, 12.5),
}  # fmt: skip


@pytest.mark.parametrize(
    ("sensor", "name", "band"),
    [
        ("sentinel-2-l2a", "B04", "B04"),
        ("sentinel-2-l2a", "B4", "B04"),
        ("sentinel-2-l2a", "b4", "B04"),
        ("sentinel-2-l2a", "B004", "B04"),
        ("sentinel-2-l2a", "b8a", "B8A"),
        ("sentinel-2-l2a", "B8", "B08"),
        ("sentinel-2-l2a", "red", "B04"),
        ("sentinel-2-l2a", "nir", "B08"),
        ("sentinel-2-l2a", "swir1", "B11"),
        ("sentinel-2-l2a", "SWIR 2", "B12"),
        ("sentinel-2-l1c", "B10", "B10"),
        ("sentinel-2-l1c", "B1", "B01"),
        ("landsat-8-oli-tirs", "nir", "B05"),
        ("landsat-8-oli-tirs", "panchromatic", "B08"),
        ("landsat-7-etm", "lwir", "B06"),
        ("sentinel-1-grd", "vh", "VH"),
        ("naip", "nir", "NIR"),
        ("rgb", "blue", "blue"),
    ],
)
def test_a_band_is_found_by_the_names_that_people_use(sensor, name, band):
    tensor = Tensor(bands=sensor)
    assert tensor.bands[tensor.band_index(name)].name == band


def test_a_name_that_fits_several_bands_is_refused_with_the_choice():
    with pytest.raises(NotFoundError, match=r"band 'rededge' could be any of B05, B06, B07; use one of these names"):
        Tensor(bands="sentinel-2-l2a").band_index("rededge")


def test_an_unknown_name_lists_the_bands():
    with pytest.raises(
        NotFoundError, match=re.escape("there is no band 'B10'; the bands are B01 (coastal), B02 (blue)")
    ):
        Tensor(bands="sentinel-2-l2a").band_index("B10")
    with pytest.raises(NotFoundError, match="the bands are not named"):
        Tensor().band_index("B10")


def test_the_exact_name_wins_over_every_alias():
    tensor = Tensor(bands=[{"name": "B04", "common_name": "red"}, {"name": "red"}, {"name": "B4"}])
    assert tensor.band_index("red") == 1
    assert tensor.band_index("B4") == 2
    with pytest.raises(NotFoundError, match="could be any of B04, B4"):
        tensor.band_index("b04")


@pytest.mark.parametrize("sensor", sorted(SENSORS))
def test_every_band_is_within_the_range_of_its_common_name(sensor):
    names = [band.name for band in SENSORS[sensor]]
    assert len(set(names)) == len(names)
    for band in SENSORS[sensor]:
        assert band.description
        if band.common_name is not None and band.center_wavelength is not None:
            low, high = RANGES[band.common_name]
            assert low <= band.center_wavelength <= high, (sensor, band.name)
    common = [band.common_name for band in SENSORS[sensor] if band.common_name]
    assert len(set(common)) == len(common)
    assert set(common) <= set(COMMON_NAMES)


@pytest.mark.parametrize(
    ("sensor", "count"),
    [
        ("sentinel-2-l1c", 13), ("sentinel-2-l2a", 12), ("sentinel-1-grd", 2), ("landsat-1-mss", 4),
        ("landsat-5-tm", 7), ("landsat-7-etm", 8), ("landsat-8-oli-tirs", 11), ("landsat-9-oli-tirs-c2-l2", 8),
        ("landsat-5-tm-c2-l2", 7), ("modis", 36), ("aster", 15), ("eo1-ali", 10), ("naip", 4), ("rgb", 3),
    ],
)  # fmt: skip
def test_every_sensor_has_its_bands(sensor, count):
    assert len(SENSORS[sensor]) == count


def test_a_sensor_is_found_whatever_the_spelling():
    assert [band.name for band in Tensor(bands="Sentinel 2_L2A").bands] == [
        band.name for band in SENSORS["sentinel-2-l2a"]
    ]


def test_level_2a_has_no_cirrus_band():
    assert "B10" not in [band.name for band in SENSORS["sentinel-2-l2a"]]


# (sensor of ours, sensor of the facts, bands that the facts have wrong)
FACTS = [
    ("sentinel-2-l1c", "sentinel2", ()),
    ("landsat-1-mss", "landsat1", ()),
    ("landsat-5-tm", "landsat5_tm", ()),
    ("landsat-7-etm", "landsat7", ()),
    ("landsat-8-oli-tirs", "landsat8", ()),
    ("landsat-9-oli-tirs", "landsat9", ()),
    ("aster", "aster", ()),
    # MS-1 and MS-2, and MS-5 and MS-5', stand in each other's place in the facts
    ("eo1-ali", "eo1_ali", ("B03", "B04", "B08", "B09")),
    # the facts' band 36 is half as wide as the specification's 14.085 to 14.385
    ("modis", "modis", ("B36",)),
]


@pytest.mark.parametrize(("ours", "theirs", "wrong"), FACTS)
def test_wavelengths_are_those_of_the_facts_in_micrometres(shared, ours, theirs, wrong):
    facts = json.loads((shared / "sensors.json").read_text(encoding="utf-8"))[theirs]["bands"]
    assert [band.name for band in SENSORS[ours]] == [band["name"] for band in facts]
    for band, fact in zip(SENSORS[ours], facts, strict=True):
        if band.name not in wrong:
            assert band.center_wavelength == pytest.approx(fact["center_wavelength"] / 1000, rel=1e-5)
            assert band.full_width_half_max == pytest.approx(fact["full_width_half_max"] / 1000, rel=1e-5)


def test_the_advanced_land_imager_has_its_colours_in_order():
    centers = {band.common_name: band.center_wavelength for band in SENSORS["eo1-ali"]}
    assert centers["coastal"] < centers["blue"] < centers["green"] < centers["red"]


def test_some_bands_of_a_sensor_are_given_in_one_line():
    image = Tensor(dims="band y x", bands="Sentinel 2 L2A: B04 B3, blue")
    assert [(band.name, band.common_name) for band in image.bands] == [
        ("B04", "red"),
        ("B03", "green"),
        ("B02", "blue"),
    ]
    assert image.bands[0] == SENSORS["sentinel-2-l2a"][3]
    assert image.band_index("red") == 0


@pytest.mark.parametrize(
    ("bands", "said"),
    [
        ("sentinel-2-l2a: B04 B10", "of sentinel-2-l2a, there is no band 'B10'; the bands are B01"),
        ("sentinel-2-l2a:", "no band is named after 'sentinel-2-l2a:'; write for example 'sentinel-2-l2a: B01'"),
        ("sentinel-2-l2a: B04 red", "band name 'B04' is used more than once"),
        ("sentinel-9: B04", "no bands are known for 'sentinel-9'"),
    ],
)
def test_a_wrong_choice_of_a_sensors_bands_is_refused_with_the_mend(bands, said):
    with pytest.raises(InvalidArgumentError, match=re.escape(said)):
        Tensor(bands=bands)


def test_names_that_only_one_sensor_has_bring_its_facts():
    image = Tensor(bands=["B8A", "B04", "B03"])
    known = {band.name: band for band in SENSORS["sentinel-2-l2a"]}
    assert image.bands == [known["B8A"], known["B04"], known["B03"]]
    assert image.band_index("red") == 1


def test_names_on_which_sensors_differ_bring_no_facts():
    # B04 is red to Sentinel-2 and near infrared to Landsat 7
    for names in (["B04", "B03", "B02"], ["B04", "mine"], ["mine"]):
        bands = Tensor(bands=names).bands
        assert bands == [Band(name=name) for name in names]


def test_naming_no_band_by_colour_says_how_to_say_what_the_names_mean():
    with pytest.raises(
        NotFoundError, match=r"no band 'red'; the bands are B04, B03, B02.*bands='sentinel-2-l2a: B04 B03 B02'"
    ):
        Tensor(bands=["B04", "B03", "B02"]).band_index("red")
