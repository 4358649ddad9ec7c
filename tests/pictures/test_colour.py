"""Colours of arrays, judged by numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlstac.collection import Tensor
from mlstac.pictures import measure_stretch, true_colour

# in an order in which taking the first three bands would be wrong
BGRN = [
    {"name": name, "common_name": common}
    for name, common in (("B02", "blue"), ("B03", "green"), ("B04", "red"), ("B08", "nir"))
]
SCENE = np.random.default_rng(0).integers(500, 3000, (4, 8, 10)).astype(np.uint16)


def test_a_brighter_red_band_brightens_red_and_nothing_else():
    tensor = Tensor(dims="band y x", bands=BGRN)
    stretch = measure_stretch([SCENE], tensor)
    brighter = SCENE.copy()
    brighter[2] += 300
    before, after = (true_colour(array, tensor, stretch=stretch).astype(int) for array in (SCENE, brighter))
    assert (after[..., 0] >= before[..., 0]).all()
    assert after[..., 0].mean() > before[..., 0].mean() + 10
    assert np.array_equal(after[..., 1:], before[..., 1:])


def test_bands_are_found_by_common_name_wherever_they_stand():
    tensor = Tensor(dims="band y x", bands=BGRN)
    turned = Tensor(dims="band y x", bands=BGRN[::-1])
    assert np.array_equal(true_colour(SCENE, tensor), true_colour(SCENE[::-1], turned))


def test_without_blue_the_picture_is_of_near_infrared_red_and_green():
    tensor = Tensor(dims="band y x", bands=BGRN[1:])
    picture = true_colour(SCENE[1:], tensor)
    expected = [np.clip((band - np.percentile(band, 2)) / np.ptp(np.percentile(band, [2, 98])), 0, 1) for band in SCENE]
    assert np.abs(picture[..., :3] / 255 - np.stack([expected[3], expected[2], expected[1]], -1)).max() < 0.01


def test_the_stretch_is_of_all_samples_together():
    tensor = Tensor(dims="y x")
    dark, bright = np.full((4, 4), 100.0), np.full((4, 4), 900.0)
    stretch = measure_stretch([dark, bright], tensor)
    assert true_colour(dark, tensor, stretch=stretch)[0, 0, 0] == 0
    assert true_colour(bright, tensor, stretch=stretch)[0, 0, 0] == 255


def test_one_bright_chip_does_not_leave_the_others_black():
    tensor = Tensor(dims="y x")
    chips = [np.linspace(100, 200, 64).reshape(8, 8) for _ in range(7)] + [np.full((8, 8), 3000.0)]
    stretch = measure_stretch(chips, tensor)
    bright = true_colour(chips[0], tensor, stretch=stretch)[..., 0].astype(int)
    linear = (chips[0] - stretch.low[0]) / (stretch.high[0] - stretch.low[0]) * 255
    assert np.median(bright) > 3 * np.median(linear)
    assert (np.diff(bright.ravel()) >= 0).all()


def test_values_spread_evenly_are_shown_evenly():
    ramp = np.arange(1000.0).reshape(10, 100)
    picture = true_colour(ramp, Tensor(dims="y x"))[..., 0] / 255
    assert np.abs(picture - np.clip((ramp - 19.98) / (979.02 - 19.98), 0, 1)).max() < 0.01


def test_eight_bit_colours_are_shown_as_they_are():
    photo = np.random.default_rng(1).integers(0, 256, (6, 7, 3)).astype(np.uint8)
    picture = true_colour(photo, Tensor(dims="y x band"))
    assert np.array_equal(picture[..., :3], photo)
    assert measure_stretch([photo], Tensor(dims="y x band")) is None


@pytest.mark.parametrize("nodata", [0, float("nan")])
def test_pixels_without_data_are_transparent_and_do_not_move_the_stretch(nodata):
    tensor = Tensor(dims="band y x", bands=BGRN, nodata=nodata)
    holed = SCENE.astype(np.float32)
    holed[:, :2] = nodata
    picture = true_colour(holed, tensor)
    assert (picture[:2, :, 3] == 0).all()
    assert (picture[2:, :, 3] == 255).all()
    whole = measure_stretch([holed[:, 2:]], Tensor(dims="band y x", bands=BGRN))
    found = measure_stretch([holed], tensor)
    assert all(np.array_equal(one, other) for one, other in zip(found, whole, strict=True))


def test_a_band_may_have_a_nodata_value_of_its_own():
    bands = [{**band, "nodata": 7} if band["name"] == "B04" else band for band in BGRN]
    holed = SCENE.copy()
    holed[2, 0, 0] = holed[0, 5, 5] = 7
    alpha = true_colour(holed, Tensor(dims="band y x", bands=bands))[..., 3]
    assert alpha[0, 0] == 0
    assert alpha[5, 5] == 255


def test_one_band_is_grey():
    picture = true_colour(SCENE[:1], Tensor(dims="band y x"))
    assert np.array_equal(picture[..., 0], picture[..., 1])
    assert np.array_equal(picture[..., 0], picture[..., 2])
    assert np.ptp(picture[..., 0]) == 255


def test_two_polarisations_are_red_and_green_and_their_ratio_in_decibels_is_blue():
    power = np.random.default_rng(2).uniform(0.001, 1.0, (2, 16, 16)).astype(np.float32)
    tensor = Tensor(dims="band y x", bands=["VV", "VH"])
    low, high, _ = measure_stretch([power], tensor)
    decibels = 10 * np.log10(power.astype(np.float64))
    assert np.allclose(low[2], np.percentile(decibels[0] - decibels[1], 2))
    assert np.allclose(high[:2], np.percentile(decibels.reshape(2, -1), 98, axis=1))


def test_a_series_has_a_picture_a_date_and_cloudy_dates_leave_the_others_their_colours():
    clear = SCENE[None].repeat(5, axis=0)
    cloudy = clear.copy()
    cloudy[:2] = 12_000
    tensor = Tensor(dims="time band y x", bands=BGRN)
    picture = true_colour(cloudy, tensor)
    assert picture.shape == (5, 8, 10, 4)
    assert (picture[0, ..., :3] == 255).all()
    assert np.array_equal(picture[3], true_colour(SCENE, Tensor(dims="band y x", bands=BGRN)))


@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.uint16, np.int8]),
        st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 5)),
    )
)
def test_any_array_gives_a_picture_of_its_size(array):
    picture = true_colour(array, Tensor(dims="band y x"))
    assert picture.shape == (*array.shape[1:], 4)
    assert picture.dtype == np.uint8


def test_values_at_the_ends_of_float64_are_drawn_without_a_warning():
    most = np.finfo(np.float64).max
    picture = true_colour(np.array([[-most, 0, most]]), Tensor(dims="y x"))
    assert picture[0, :, 0].tolist() == [0, 128, 255]
    assert true_colour(np.full((2, 2), most), Tensor(dims="y x")).shape == (2, 2, 4)


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ("B1 B2 B3 B4 B8 B8A", "B4 B3 B2"),
        ("B8A B04 B03 B02", "B04 B03 B02"),
        ("B01 B02 B03 B04", "B01 B02 B03"),  # of a sensor that nobody named
        ("B8A B11 B12", "B8A B11 B12"),
    ],
)
def test_bands_of_sentinel_2_are_known_by_their_names_alone(names, shown):
    scene = np.random.default_rng(1).integers(500, 3000, (len(names.split()), 8, 10)).astype(np.uint16)
    found = true_colour(scene, Tensor(dims="band y x", bands=names.split()))
    order = [names.split().index(name) for name in shown.split()]
    assert np.array_equal(found, true_colour(scene[order], Tensor(dims="band y x")))
