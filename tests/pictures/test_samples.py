"""Grids of samples, judged by what stands on the page."""

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from mlstac.collection import Tensor
from mlstac.errors import InvalidArgumentError
from mlstac.pictures import draw_samples, save
from mlstac.pictures._layers import class_scheme
from mlstac.pictures._palette import EMPTY
from tests.pictures.drawn import outside, overlaps, panels, picture_of, pixels, texts

RNG = np.random.default_rng(0)
IMAGE = Tensor(
    dims="band y x", bands=[{"name": n, "common_name": c} for n, c in (("B4", "red"), ("B3", "green"), ("B2", "blue"))]
)
MASK = Tensor(dims="y x", role="label", classes={0: "land", 1: "water"}, nodata=255)


def chips(count, **others):
    return [
        {
            "image": RNG.integers(0, 3000, (3, 12, 12)).astype(np.uint16),
            "mask": np.tile(np.arange(12, dtype=np.uint8) % 2, (12, 1)),
            **others,
        }
        for _ in range(count)
    ]


def test_each_image_stands_beside_its_target_in_the_colours_of_the_legend():
    figure = draw_samples(chips(3), {"mask": MASK, "image": IMAGE}, ids=["a", "b", "c"], title="Flood")
    assert list(panels(figure)) == [f"{number}/{name}/0" for number in range(3) for name in ("image", "mask")]
    words = texts(figure)
    assert {"Flood", "a", "b", "c", "land", "water"} <= set(words)
    assert "from left to right: image (red, green, blue) | mask" in words
    mask = picture_of(panels(figure)["1/mask/0"])
    swatches = {to_rgb(patch.get_facecolor()) for axes in figure.axes for patch in axes.patches}
    assert {tuple(colour[:3]) for colour in mask.reshape(-1, 4)} == swatches
    assert len(swatches) == 2


def test_the_page_really_shows_the_pixels():
    red = {"image": np.zeros((3, 4, 4), np.uint8)}
    red["image"][0] = 255
    page = pixels(draw_samples([red], {"image": IMAGE}))
    assert (page == [255, 0, 0]).all(axis=-1).mean() > 0.1


def test_no_data_in_a_mask_is_grey_and_named():
    samples = chips(1)
    samples[0]["mask"][0, 0] = 255
    figure = draw_samples(samples, {"image": IMAGE, "mask": MASK})
    assert "no data" in texts(figure)
    assert picture_of(panels(figure)["0/mask/0"])[0, 0, 3] == 0
    assert "no data" not in texts(draw_samples(chips(1), {"image": IMAGE, "mask": MASK}))


def test_a_mask_of_floats_has_its_classes_and_nan_is_no_class():
    mask = np.ones((4, 4), np.float32)
    mask[0] = np.nan
    shown = picture_of(panels(draw_samples([{"mask": mask}], {"mask": MASK}))["0/mask/0"])
    assert (shown[0, :, 3] == 0).all()
    assert (shown[1:, :, 3] == 1).all()


def test_an_author_s_colour_is_kept():
    mask = Tensor(
        dims="y x", role="label", classes=[{"value": 0, "name": "a", "color_hint": "123456"}, {"value": 1, "name": "b"}]
    )
    shown = picture_of(panels(draw_samples(chips(1), {"mask": mask}))["0/mask/0"])
    assert np.allclose(shown[0, 0, :3], to_rgb("#123456"))


def test_a_class_outside_the_mask_s_integers_is_only_in_the_legend():
    mask = Tensor(dims="y x", role="label", classes={0: "land", 1: "water", 70_000: "never", -1: "none"})
    assert {"never", "none"} <= set(texts(draw_samples(chips(1), {"mask": mask})))


def test_a_class_is_in_the_heading_by_its_name():
    tensors = {"image": IMAGE, "class": Tensor(role="label", classes=["forest", "river"])}
    figure = draw_samples(chips(1, **{"class": np.int64(1)}), tensors, ids=["x1"])
    assert "x1 · river" in texts(figure)


def test_several_classes_of_one_image_are_named():
    tensors = {"image": IMAGE, "classes": Tensor(dims="class", role="label", classes=["forest", "river", "road"])}
    figure = draw_samples(chips(1, classes=np.array([1, 0, 1], np.uint8)), tensors)
    assert "forest, road" in texts(figure)


def test_a_caption_is_wrapped_and_a_dollar_sign_stays_one():
    tensors = {"image": IMAGE, "caption": Tensor(role="label", media_type="text/plain")}
    figure = draw_samples(chips(1, caption="A river that cost $5 to cross and $6 to leave " * 9), tensors)
    lines = [text for text in texts(figure) if "$" in text]
    assert lines
    assert lines[0].startswith("A river that cost $5")
    assert texts(figure)[-1].endswith("…")


def test_boxes_lie_on_the_image_where_they_say_in_the_colour_of_their_class():
    tensors = {
        "image": IMAGE,
        "boxes": Tensor(dims="box xyxy", role="label"),
        "labels": Tensor(dims="box", role="label", classes=["ship", "pier"]),
    }
    boxes = np.array([[2, 3, 6, 9], [0, 0, 12, 12]], np.float32)
    figure = draw_samples(chips(2, boxes=boxes, labels=np.array([1, 0])), tensors)
    first, halo_first = panels(figure)["0/image/0"].patches[1], panels(figure)["0/image/0"].patches[0]
    # pixel 2 begins half a pixel before its middle
    assert first.get_bbox().bounds == (1.5, 2.5, 4, 6)
    assert halo_first.get_linewidth() > first.get_linewidth()
    legend = {axes.patches[0].get_facecolor() for axes in figure.axes if axes.get_gid() is None}
    assert first.get_edgecolor() in legend
    assert {"ship", "pier"} <= set(texts(figure))


def test_a_series_shows_its_dates_in_order():
    days = np.array(["2020-01-31", "2020-02-10", "2020-03-01"], "datetime64[us]").astype(np.int64)
    samples = [{"s2": RNG.random((3, 3, 8, 8)), "s2_time": days}]
    tensors = {"s2": Tensor(dims="time band y x"), "s2_time": Tensor(dtype="I64", dims="time")}
    figure = draw_samples(samples, tensors)
    assert list(panels(figure)) == ["0/s2/0", "0/s2/1", "0/s2/2"]
    assert [text for text in texts(figure) if text.startswith("2020")] == ["2020-01-31", "2020-02-10", "2020-03-01"]


def test_a_long_series_shows_some_dates_with_the_first_and_the_last():
    figure = draw_samples([{"s2": RNG.random((40, 1, 4, 4))}], {"s2": Tensor(dims="time band y x")})
    frames = [int(gid.split("/")[2]) for gid in panels(figure)]
    assert (frames[0], frames[-1], len(frames)) == (0, 39, 6)
    assert any("6 of 40 dates" in text for text in texts(figure))


def test_numbers_in_place_share_one_scale_that_is_said():
    height = Tensor(dims="y x", role="label", unit="m")
    samples = [{"height": np.linspace(start, start + 10, 64, dtype=np.float32).reshape(8, 8)} for start in (0, 100)]
    figure = draw_samples(samples, {"height": height})
    limits = {axes.get_images()[0].get_clim() for axes in panels(figure).values()}
    low, high = np.percentile(np.stack([sample["height"] for sample in samples]), [2, 98])
    assert len(limits) == 1
    assert np.allclose(limits.pop(), (low, high))
    assert {"height (m)", f"{low:.4g}", f"{high:.4g}"} <= set(texts(figure))


def test_a_profile_is_a_line_a_band():
    tensors = {"ndvi": Tensor(dims="time band", bands=["NDVI", "EVI"])}
    figure = draw_samples([{"ndvi": RNG.random((20, 2)).astype(np.float32)}], tensors)
    lines = panels(figure)["0/ndvi/0"].lines
    assert [len(line.get_ydata()) for line in lines] == [20, 20]
    assert {"NDVI", "EVI"} <= set(texts(figure))


def test_a_profile_with_a_signalling_nan_is_drawn_without_a_warning():
    values = np.array([0x7F800001, 0x3F800000, 0x40000000], np.uint32).view(np.float32)
    figure = draw_samples([{"ndvi": values}], {"ndvi": Tensor(dims="time")})
    assert np.array_equal(np.isnan(panels(figure)["0/ndvi/0"].lines[0].get_ydata()), [True, False, False])


def test_a_tensor_that_a_sample_lacks_leaves_an_empty_place():
    first, second = chips(2)
    del second["mask"]
    figure = draw_samples([first, second], {"image": IMAGE, "mask": MASK})
    assert texts(figure).count("absent") == 1
    assert not panels(figure)["1/mask/0"].get_images()


def test_what_cannot_be_drawn_is_named():
    tensors = {"clip": Tensor(media_type="video/mp4")}
    assert any("video/mp4" in text for text in texts(draw_samples([{"clip": b"123"}], tensors)))


@pytest.mark.parametrize("count", [1, 2, 5, 12, 20])
def test_no_words_lie_on_others_or_leave_the_page(count):
    names = [f"a-very-long-name-of-a-chip-{number:09d}" for number in range(count)]
    classes = {value: f"class_number_{value}_of_many" for value in range(14)}
    tensors = {
        "image": IMAGE,
        "mask": Tensor(dims="y x", role="label", classes=classes),
        "caption": Tensor(media_type="text/plain"),
    }
    samples = chips(count, caption="W" * 70 + " some words of a caption that goes on")
    figure = draw_samples(samples, tensors, ids=names, title="A title that is much too long for a small page " * 3)
    assert overlaps(figure) == []
    assert outside(figure) == []


def test_samples_of_different_sizes_keep_their_proportions():
    samples = [{"image": RNG.random((1, 10, 20))}, {"image": RNG.random((1, 20, 10))}]
    figure = draw_samples(samples, {"image": Tensor(dims="band y x")})
    shapes = [axes.get_window_extent() for axes in panels(figure).values()]
    assert [round(box.width / box.height, 2) for box in shapes] == [2.0, 0.5]


def test_the_same_samples_give_the_same_file(tmp_path):
    samples = chips(2)
    files = [save(draw_samples(samples, {"image": IMAGE, "mask": MASK}), tmp_path / f"deep/{n}.png") for n in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_notebook_gets_a_png():
    assert draw_samples(chips(1), {"image": IMAGE})._repr_png_().startswith(b"\x89PNG")


def test_the_caller_s_settings_and_pyplot_are_left_alone():
    before = dict(matplotlib.rcParams)
    draw_samples(chips(1), {"image": IMAGE, "mask": MASK})
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        ([], {}, "no samples"),
        (chips(2), {"ids": ["a"]}, "1 ids are given for 2"),
        (chips(1), {"columns": 0}, "columns is 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(samples, options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        draw_samples(samples, {"image": IMAGE}, **options)


def test_a_class_beside_a_long_id_is_on_a_line_of_its_own():
    tensors = {"image": IMAGE, "label": Tensor(role="label", classes={0: "industrial area", 1: "lake"})}
    samples = chips(4, label=np.int64(0))
    for sample in samples:
        del sample["mask"]
    words = texts(draw_samples(samples, tensors, ids=[f"train-000001{number}" for number in range(4)]))
    assert words.count("industrial area") == 4
    assert {"train-0000010", "train-0000013"} <= set(words)


@pytest.mark.parametrize("count", [24, 64])
def test_many_samples_make_no_endless_column(count):
    width, height = draw_samples(chips(count), {"image": IMAGE, "mask": MASK}).get_size_inches()
    assert 0.7 < width / height < 2


def test_eight_samples_leave_no_hole():
    figure = draw_samples(chips(8), {"image": IMAGE, "mask": MASK})
    lefts = [round(float(axes.get_position().x0), 3) for gid, axes in panels(figure).items() if "image" in gid]
    assert {lefts.count(left) for left in lefts} in ({4}, {2})


def test_a_class_called_no_data_is_grey_unless_its_author_has_a_colour_for_it():
    colours = class_scheme(Tensor(classes={0: "No data", 1: "forest", 2: "water"}), set())[1]
    assert colours[0] == EMPTY
    assert EMPTY not in (colours[1], colours[2])
    own = Tensor(classes=[{"value": 0, "name": "no_data", "color_hint": "FF0000"}, {"value": 1, "name": "forest"}])
    assert class_scheme(own, set())[1][0] == "#FF0000"


@pytest.mark.parametrize(
    "values",
    [[0.0, 1.7e308, -1.7e308], [1e300, 1e300 * (1 + 1e-15)], [5.0, 5.0], [np.nan, np.nan], []],
    ids=["ends", "last digits", "constant", "nan", "empty"],
)
def test_a_line_of_any_numbers_can_be_drawn(values):
    picture = draw_samples([{"x": np.array(values)}], {"x": Tensor()})
    picture.canvas.draw()
    [axes] = picture.axes
    heights = [height for line in axes.lines for height in line.get_ydata() if np.isfinite(height)]
    assert len(heights) == np.isfinite(np.array(values)).sum()
    assert all(0 <= height <= 1 for height in heights)


@pytest.mark.parametrize("shape", [(3, 8, 8), (8, 8), (2, 8)])
def test_signalling_nans_are_drawn_as_any_others(shape):
    values = np.full(shape, 0x7FA00000, np.uint32).view(np.float32)
    values[..., 0] = 1.5
    draw_samples([{"x": values}], {"x": Tensor()}).canvas.draw()


def test_what_has_no_pixels_is_called_empty():
    picture = draw_samples([{"points": np.zeros((n, 2), np.float32)} for n in range(3)], {"points": Tensor()})
    picture.canvas.draw()
    assert [[text.get_text() for text in axes.texts] for axes in picture.axes] == [["empty"], [], []]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_images_of_different_numbers_of_bands_are_drawn(dtype):
    rng = np.random.default_rng(0)
    samples = [{"image": rng.integers(0, 255, (bands, 16, 16)).astype(dtype)} for bands in (3, 1, 4, 2, 13, 3)]
    alone = [draw_samples([sample], {"image": Tensor(dims="band y x")}) for sample in samples]
    together = draw_samples(samples, {"image": Tensor(dims="band y x")})
    assert len(panels(together)) == len(samples)
    for number in range(1, 5):  # each the only one of its kind
        (one,) = panels(alone[number]).values()
        np.testing.assert_array_equal(picture_of(panels(together)[f"{number}/image/0"]), picture_of(one))


def test_long_names_that_differ_at_their_ends_stay_apart():
    ids = [f"LC08_L2SP_008059_20191201_20200825_02_T1_SR_B{band}" for band in (4, 5)]
    shown = [text for text in texts(draw_samples(chips(2), {"image": IMAGE}, ids=ids)) if text.startswith("LC08")]
    assert len(set(shown)) == 2
    assert all("…" in text for text in shown)
    assert [text[-5:] for text in shown] == ["SR_B4", "SR_B5"]
