"""Maps of footprints, judged by shapely and by the axes' own transform."""

import math

import numpy as np
import pytest
import shapely

from mlstac.collection import Tensor
from mlstac.errors import InvalidArgumentError
from mlstac.pictures import draw_footprints, draw_preview
from tests.pictures.drawn import outside, overlaps, panels, texts


def squares(count, *, west=-67.6, south=-47.8, size=0.002):
    return [shapely.box(west + n * size, south, west + (n + 1) * size, south + size) for n in range(count)]


def the_map(figure):
    (axes,) = [axes for axes in figure.axes if axes.get_gid() == "map"]
    return axes


def drawn(figure):
    return {patches.get_gid(): len(patches.get_paths()) for patches in the_map(figure).collections if patches.get_gid()}


def test_every_footprint_is_drawn_in_its_split_s_colour():
    figure = draw_footprints({"train": squares(5), "test": [square.wkb for square in squares(2, south=-47.7)]})
    assert drawn(figure) == {"footprints/train": 5, "footprints/test": 2}
    assert {"train (5)", "test (2)"} <= set(texts(figure))
    colours = [tuple(patches.get_edgecolor()[0]) for patches in the_map(figure).collections]
    assert len(set(colours)) == 2


def test_all_footprints_lie_within_the_map():
    figure = draw_footprints({"train": squares(9)})
    axes = the_map(figure)
    west, south, east, north = shapely.total_bounds(squares(9))
    assert axes.get_xlim()[0] < west < east < axes.get_xlim()[1]
    assert axes.get_ylim()[0] < south < north < axes.get_ylim()[1]


@pytest.mark.parametrize("latitude", [0.0, -47.8, 70.0])
@pytest.mark.parametrize("shape", [(0.5, 0.1), (0.1, 0.9)])
def test_a_metre_is_as_long_to_the_east_as_to_the_north(latitude, shape):
    width, height = shape
    figure = draw_footprints({"train": [shapely.box(10, latitude - height / 2, 10 + width, latitude + height / 2)]})
    figure.canvas.draw()
    origin, east, north = the_map(figure).transData.transform(
        [(10, latitude), (10.01, latitude), (10, latitude + 0.01)]
    )
    metres_squeezed = math.cos(math.radians(latitude))
    assert (east - origin)[0] / metres_squeezed == pytest.approx((north - origin)[1], rel=0.01)


def test_the_scale_bar_has_the_length_that_it_says():
    figure = draw_footprints({"train": squares(15)})
    figure.canvas.draw()
    (bar,) = [axes for axes in figure.axes if axes.get_gid() == "scale"]
    (said,) = [text for text in texts(figure) if text.endswith((" m", " km"))]
    metres = float(said.split()[0]) * (1000 if said.endswith("km") else 1)
    inverse = the_map(figure).transData.inverted()
    box = bar.get_window_extent()
    degrees = np.ptp(inverse.transform([(box.x0, box.y0), (box.x1, box.y0)])[:, 0])
    # WGS 84 has 111,320 m a degree of longitude at the equator
    assert degrees * 111_320 * math.cos(math.radians(-47.8)) == pytest.approx(metres, rel=0.01)


def test_ticks_of_a_tiny_area_are_told_apart_and_say_their_side():
    figure = draw_footprints({"train": squares(1, size=0.0005)})
    figure.canvas.draw()
    axes = the_map(figure)
    for labels, side in ((axes.get_xticklabels(), "W"), (axes.get_yticklabels(), "S")):
        words = [label.get_text() for label in labels if label.get_text()]
        assert len(words) >= 2
        assert len(set(words)) == len(words)
        assert all(word.endswith(side) for word in words)


def test_footprints_too_small_to_see_are_dots():
    far = [shapely.box(x, 10, x + 0.001, 10.001) for x in (-170, 0, 170)]
    figure = draw_footprints({"train": far})
    dots = [found for found in the_map(figure).collections if found.get_gid() == "dots/train"]
    assert len(dots[0].get_offsets()) == 3


def test_the_world_s_ticks_stay_on_the_world():
    figure = draw_footprints({"train": [shapely.box(-179, -60, 179, 75)]})
    assert the_map(figure).get_xlim() == (-180, 180)


def test_a_footprint_of_two_parts_is_drawn_whole():
    both = shapely.MultiPolygon([shapely.box(160, 0, 180, 9), shapely.box(-180, 0, -170, 9)])
    figure = draw_footprints({"train": [both]})
    assert drawn(figure)["footprints/train"] == 2
    assert "train (1)" in texts(figure)


def test_no_words_lie_on_others_or_leave_the_page():
    splits = {f"fold-number-{number}": squares(1, south=-47 + number / 9, size=0.05) for number in range(12)}
    figure = draw_footprints(splits, title="A title that is too long for the map of its dataset, by far")
    assert overlaps(figure) == []
    assert outside(figure) == []
    assert len({tuple(patches.get_edgecolor()[0]) for patches in the_map(figure).collections}) == 12


def test_a_map_of_nothing_is_refused():
    with pytest.raises(InvalidArgumentError, match="no footprints"):
        draw_footprints({"train": []})


def test_a_preview_has_the_samples_and_the_map():
    samples = [{"image": np.random.default_rng(0).random((3, 8, 8))} for _ in range(4)]
    tensors = {"image": Tensor(dims="band y x")}
    figure = draw_preview(samples, tensors, {"train": squares(4), "validation": []}, ids=list("abcd"), title="All")
    assert len(panels(figure)) == 4
    assert {"All", "a", "d", "train (4)"} <= set(texts(figure))
    assert overlaps(figure) == []
    assert outside(figure) == []


def test_a_preview_of_samples_without_place_has_no_map():
    samples = [{"image": np.random.default_rng(0).random((3, 8, 8))}]
    figure = draw_preview(samples, {"image": Tensor(dims="band y x")}, {})
    assert [axes.get_gid() for axes in figure.axes] == ["0/image/0"]
