"""Statistics of blocks against numpy over the whole array."""

import json
import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import mlstac.authoring as authoring
from mlstac.authoring._classes import MOST_CLASSES, count_values, merge_counts, partial_of
from mlstac.authoring._partial import Partial, merge_bands
from mlstac.authoring._statistics import measure, view
from mlstac.collection import Collection, Tensor

INTEGERS = ("u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8")


def judge(values):
    """Exact statistics of integers, in Python's own numbers."""
    numbers = [int(value) for value in values.reshape(-1)]
    total, squares = sum(numbers), sum(number * number for number in numbers)
    variance = Fraction(squares, len(numbers)) - Fraction(total, len(numbers)) ** 2
    return {
        "count": len(numbers),
        "minimum": min(numbers),
        "maximum": max(numbers),
        "mean": float(Fraction(total, len(numbers))),
        "stddev": math.sqrt(float(variance)),
    }


def without_percent(summary):
    return {name: value for name, value in summary.items() if name != "valid_percent"}


@pytest.mark.parametrize("dtype", INTEGERS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_integers_are_exact_whatever_their_size(dtype, data):
    shape = data.draw(hnp.array_shapes(min_dims=4, max_dims=4, max_side=9))
    values = data.draw(hnp.arrays(np.dtype(dtype), shape))
    for band, partial in enumerate(measure(values, band_axis=0)):
        assert without_percent(partial.summary()) == judge(values[:, band])


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_at_their_bounds_are_exact(dtype):
    bounds = np.iinfo(dtype)
    values = np.full((3, 70_000), bounds.max, dtype)
    values[1] = bounds.min
    assert without_percent(measure(values)[0].summary()) == judge(values)


@pytest.mark.parametrize(("dtype", "width"), [("u1", 99_991), ("i1", 2048), ("<u2", 4096), ("<i2", 99_991)])
def test_millions_of_large_integers_are_exact(dtype, width):
    bounds = np.iinfo(dtype)
    values = np.random.default_rng(5).integers(bounds.max - 9, bounds.max, (6_000_000 // width, width), dtype)
    wide = values.astype(np.uint64)  # which holds the sum of their squares
    (partial,) = measure(values)
    assert (partial.total, partial.squares) == (int(wide.sum()), int((wide * wide).sum()))


@given(values=hnp.arrays(np.dtype("<i2"), (7, 3, 5, 6)), cut=st.integers(0, 7), nodata=st.integers(-3, 3))
@settings(deadline=None)
def test_partials_of_two_blocks_merge_into_the_partial_of_both(values, cut, nodata):
    whole = measure(values, band_axis=0, nodata=nodata)
    parts = merge_bands(
        measure(values[:cut], band_axis=0, nodata=nodata), measure(values[cut:], band_axis=0, nodata=nodata)
    )
    assert parts == whole


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<f2"])
@pytest.mark.parametrize(
    ("shape", "axis"), [((40, 3, 70, 60), 0), ((40, 70, 60, 3), 2), ((12, 5, 3, 33, 32), 1), ((999, 4), 0)]
)
def test_floats_agree_with_long_double(dtype, shape, axis):
    values = np.random.default_rng(3).normal(2000, 3, shape).astype(dtype)
    cuts = range(0, len(values), 7)
    bands = None
    for cut in cuts:
        more = measure(values[cut : cut + 7], band_axis=axis)
        bands = more if bands is None else merge_bands(bands, more)
    exact = np.moveaxis(values, axis + 1, 0).reshape(shape[axis + 1], -1).astype(np.longdouble)
    for partial, numbers in zip(bands, exact, strict=True):
        summary = partial.summary()
        assert summary["count"] == numbers.size
        assert (summary["minimum"], summary["maximum"]) == (numbers.min(), numbers.max())
        assert summary["mean"] == pytest.approx(float(numbers.mean()), rel=1e-14)
        assert summary["stddev"] == pytest.approx(float(numbers.std()), rel=1e-12)


@pytest.mark.parametrize("extremes", [(-1.797e308,), (-1e200, 1e200), (1.797e308, -1.797e308)])
def test_finite_numbers_of_any_size_have_finite_statistics_and_can_be_written(tmp_path, extremes):
    values = np.repeat(np.array(extremes), 4)
    parts = measure(values[None])
    for value in values[::-1]:
        parts = merge_bands(parts, measure(np.full((3, 1), value)))
    (summary,) = [part.summary() for part in parts]
    assert all(math.isfinite(value) for value in summary.values())
    exact = Fraction(sum(int(value) for value in values), len(values))
    assert summary["mean"] == pytest.approx(float(exact), abs=1e-12 * max(map(abs, extremes)))
    assert (summary["minimum"], summary["maximum"]) == (min(extremes), max(extremes))
    authoring.write([{"x": values}], tmp_path)
    assert Collection.from_file(tmp_path).tensors["x"].statistics.mean == pytest.approx(float(exact))


def test_small_deviations_on_a_large_offset_survive():
    values = (1e9 + np.random.default_rng(0).normal(0, 1e-3, (50, 2, 64, 64))).astype("<f8")
    bands = None
    for sample in values:
        more = measure(sample[None], band_axis=0)
        bands = more if bands is None else merge_bands(bands, more)
    exact = values.astype(np.longdouble).std(axis=(0, 2, 3))
    assert [band.summary()["stddev"] for band in bands] == pytest.approx([float(std) for std in exact], rel=1e-5)


@pytest.mark.parametrize("nodata", [0, -9999.0, float("nan"), 0.1])
def test_nodata_nan_and_infinities_are_left_out_and_counted(nodata):
    values = np.random.default_rng(1).normal(5, 1, (6, 2, 40, 40)).astype("<f4")
    values[:, :, 0] = nodata
    values[0, 0, 3, 3], values[1, 0, 4, 4], values[2, 1, 5, 5] = np.nan, np.inf, -np.inf
    for band, partial in enumerate(measure(values, band_axis=0, nodata=nodata)):
        numbers = values[:, band, 1:]
        valid = numbers[np.isfinite(numbers)].astype(np.longdouble)
        summary = partial.summary()
        assert partial.left_out == values[:, band].size - valid.size
        assert summary["count"] == valid.size
        assert summary["valid_percent"] == pytest.approx(100 * valid.size / values[:, band].size)
        assert summary["mean"] == pytest.approx(float(valid.mean()), rel=1e-13)
        assert summary["stddev"] == pytest.approx(float(valid.std()), rel=1e-12)
        assert (summary["minimum"], summary["maximum"]) == (valid.min(), valid.max())


@pytest.mark.parametrize("dtype", INTEGERS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_integer_nodata_is_left_out(dtype, data):
    bounds = np.iinfo(dtype)
    few = st.sampled_from([bounds.min, bounds.min + 1, *range(4), bounds.max - 1, bounds.max])
    values = data.draw(hnp.arrays(np.dtype(dtype), (5, 2, 8, 9), elements=few))
    nodata = data.draw(few | st.just(70_000))
    for band, partial in enumerate(measure(values, band_axis=0, nodata=nodata)):
        numbers = values[:, band]
        valid = np.array([number for number in numbers.reshape(-1).tolist() if number != nodata], object)
        assert partial.left_out == numbers.size - valid.size
        summary = partial.summary()
        if valid.size:
            assert without_percent(summary) == judge(valid)
        else:
            assert summary is None


def test_a_band_that_is_all_nodata_has_no_statistics_beside_one_that_has():
    values = np.zeros((4, 2, 10, 10), "<f4")
    values[:, 1] = 3
    empty, full = measure(values, band_axis=0, nodata=0)
    assert empty.summary() is None
    assert empty.left_out == 400
    assert full.summary()["mean"] == 3
    assert full.summary()["stddev"] == 0


def test_no_values_are_no_statistics():
    assert measure(np.empty((3, 0, 4), "<f4"))[0].summary() is None


def test_bfloat16_is_read_exactly():
    numbers = np.array([1.5, -2.25, 3e38], np.float32)
    stored = (numbers.view(np.uint32) >> 16).astype("<u2").view(np.uint8)
    kept = (numbers.view(np.uint32) & 0xFFFF0000).view(np.float32)
    assert np.array_equal(view(stored, "BF16", (3,)), kept)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1))
def test_a_partial_survives_json_to_the_last_bit(numbers):
    (partial,) = measure(np.array(numbers, "<f4")[None])
    assert Partial.from_json(json.loads(json.dumps(partial.to_json()))) == partial


@pytest.mark.parametrize("dtype", INTEGERS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_class_counts_are_those_of_numpy(dtype, data):
    values = data.draw(hnp.arrays(np.dtype(dtype), (3, 50)))
    distinct, counts = np.unique(values, return_counts=True)
    assert count_values(values) == dict(zip(distinct.tolist(), counts.tolist(), strict=True))


@pytest.mark.parametrize("dtype", ["u1", "<f4"])
def test_samples_without_a_band_have_statistics_of_none(dtype):
    assert measure(np.zeros((2, 0, 5, 5), dtype), band_axis=0, nodata=3) == []


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("start", [0, 1])
def test_millions_of_class_numbers_are_counted_as_numpy_counts_them(dtype, start):
    bounds = np.iinfo(dtype)
    few = np.array([bounds.min, bounds.min + 1, 0, 5, bounds.max - 1, bounds.max], dtype)
    stored = few[np.random.default_rng(7).integers(0, 6, 1_200_000)].view(np.uint8)
    # As samples of several shapes lie: at any byte.
    moved = np.concatenate([np.zeros(start, np.uint8), stored])[start:]
    values = moved.view(dtype)[: 1_200_001 - start - 1]
    distinct, counts = np.unique(values, return_counts=True)
    found = count_values(values)
    assert list(found.items()) == list(zip(distinct.tolist(), counts.tolist(), strict=True))


@pytest.mark.parametrize("dtype", INTEGERS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_what_counts_tell_is_what_the_values_tell(dtype, data):
    bounds = np.iinfo(dtype)
    some = st.sampled_from([bounds.min, 0, 3, bounds.max]) | st.integers(bounds.min, bounds.max)
    values = data.draw(hnp.arrays(np.dtype(dtype), (2, 30), elements=some))
    nodata = data.draw(some | st.sampled_from([None, 0.5, 3.0, math.nan, math.inf, 2**70]))
    assert [partial_of(count_values(values), nodata)] == measure(values, nodata=nodata)


def test_too_many_values_are_not_classes():
    many = np.arange(MOST_CLASSES + 1, dtype="<u4")
    assert count_values(many) is None
    assert count_values(many[:-1]) is not None
    assert merge_counts(count_values(many[:-1]), count_values(many[-1:])) is None
    assert merge_counts({0: 1}, None) is None


@pytest.mark.parametrize("shard_size", [2000, "256MB"])
def test_a_number_of_bands_that_varies_has_no_statistics_of_its_last_samples(tmp_path, shard_size):
    samples = [{"x": np.full((n, 16, 16), n, np.uint8)} for n in (2, 2, 3, 3, 3)]
    declared = Collection(id="x", tensors={"x": Tensor(dims="band y x")})
    authoring.write(samples, tmp_path, declared, shard_size=shard_size)
    assert Collection.from_file(tmp_path).tensors["x"].bands == []


@pytest.mark.parametrize("dtype", ["<i2", "<f4"])
@pytest.mark.parametrize("axis", [0, 2])
def test_bands_leave_out_their_own_nodata(tmp_path, dtype, axis):
    image = np.random.default_rng(0).integers(0, 9, (3, 32, 32)).astype(dtype)
    bands = [{"name": "a", "nodata": 0}, {"name": "b"}, {"name": "c", "nodata": 5}]
    dims = ["y", "x"]
    dims.insert(axis, "band")
    declared = Collection(id="x", tensors={"x": Tensor(dims=" ".join(dims), bands=bands, nodata=7)})
    with warnings.catch_warnings(action="ignore"):
        authoring.write([{"x": np.moveaxis(image, 0, axis)}] * 2, tmp_path, declared)
    for values, absent, band in zip(image, (0, 7, 5), Collection.from_file(tmp_path).tensors["x"].bands, strict=True):
        valid = values[values != absent]
        assert band.statistics.count == 2 * valid.size
        assert band.statistics.mean == pytest.approx(valid.mean(dtype=float))
        assert band.statistics.minimum == valid.min()


@pytest.mark.parametrize("nodata", [float("inf"), float("-inf"), float("nan")])
def test_a_nodata_that_no_integer_is_leaves_nothing_out(nodata):
    values = np.arange(6, dtype="u1")
    assert without_percent(measure(values[None], nodata=nodata)[0].summary()) == judge(values)
