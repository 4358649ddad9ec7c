"""What a Sample accepts, and what it says about what it does not."""

import datetime as dt
import json

import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio.crs
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from mlstac.errors import InvalidSampleError
from mlstac.sample import RESERVED_PROPERTIES, Sample, sample_row

UTC = dt.UTC
CHIP = {"image": np.zeros((3, 4, 4), np.uint8)}
STAC = (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_000_000.0)
GDAL = (500_000.0, 10.0, 0.0, 4_000_000.0, 0.0, -10.0)


def refusal(**fields):
    with pytest.raises(InvalidSampleError) as caught:
        Sample(fields.pop("tensors", CHIP), **fields)
    assert len(str(caught.value)) < 600
    return str(caught.value)


@pytest.mark.parametrize(
    "transform",
    [STAC, list(STAC), (*STAC, 0, 0, 1), Affine(*STAC), np.array([*STAC, 0, 0, 1]).reshape(3, 3), np.array(STAC)],
    ids=["six", "list", "nine", "Affine", "matrix", "array"],
)
def test_a_transform_may_be_given_in_many_ways(transform):
    assert Sample(CHIP, transform=transform).transform == STAC


@given(st.lists(st.floats(1, 1e6), min_size=6, max_size=6))
def test_a_geotransform_is_what_affine_makes_of_it(numbers):
    affine = Affine.from_gdal(*numbers)
    if abs(affine.determinant) > 1e-9 * abs(affine.a * affine.e):
        assert Sample(CHIP, geotransform=numbers).transform == tuple(affine)[:6]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"transform": STAC, "geotransform": GDAL}, "transform and geotransform are both given"),
        ({"transform": (10, 0, float("nan"), 0, -10, 0)}, "transform (10.0, 0.0, nan, 0.0, -10.0, 0.0) holds NaN"),
        ({"transform": (0, 0, 5, 0, -10, 5)}, "is singular: its pixels have no area"),
        ({"transform": (2, 4, 5, 1, 2, 5)}, "is singular"),
        ({"transform": (1e-200, 0, 5, 0, 1e-200, 5)}, "is singular"),
        ({"transform": (1, 2, 3, 4)}, "transform has 4 numbers; expected an Affine, or six or nine numbers"),
        ({"transform": (10, 0, 5, 0, -10, 5, 1, 0, 1)}, "ends in [1.0, 0.0, 1.0], expected 0, 0, 1"),
        ({"transform": "EPSG:4326"}, "transform is 'EPSG:4326'; expected an Affine"),
        ({"transform": GDAL}, "looks like GDAL order"),
        ({"geotransform": STAC}, "looks like STAC order"),
        ({"geotransform": Affine(*STAC)}, "give it as transform="),
        ({"geotransform": (1, 2, 3)}, "geotransform has 3 numbers; expected six numbers in GDAL order"),
        ({"transform": {"mask": STAC}}, "transform speaks of 'mask', but the tensors are 'image'"),
        ({"crs": "EPSG:999999"}, "crs 'EPSG:999999' is not known to PROJ; give a code such as 'EPSG:32630'"),
        ({"crs": {"image": "EPSG:1"}}, "crs['image'] 'EPSG:1' is not known to PROJ"),
        ({"bbox": (10, 35, -10, 45)}, "has its west past its east: across the antimeridian it would span 340 degrees"),
        ({"bbox": (-10, 45, 10, 35)}, "has its south above its north"),
        ({"bbox": (500_000, 4_000_000, 500_640, 4_000_640)}, "coordinates in metres belong to crs= and transform="),
        ({"bbox": (0, 0, 1)}, "bbox is [0.0, 0.0, 1.0]; expected four numbers: west, south, east, north"),
        ({"bbox": (0, 0, 1, float("nan"))}, "expected four numbers"),
        ({"bbox": "0,0,1,1"}, "bbox is '0,0,1,1'; expected four numbers"),
        ({"geometry": {"type": "Polygon"}}, "geometry is no GeoJSON"),
        ({"geometry": {"type": "Blob", "coordinates": []}}, "geometry is no GeoJSON"),
        ({"geometry": b"junk"}, "geometry is no GeoJSON"),
        ({"geometry": 5}, "geometry is of type int; expected GeoJSON"),
        ({"geometry": shapely.Polygon()}, "geometry is empty"),
        ({"geometry": shapely.Point(500_000, 4_000_000)}, "outside longitude [-180, 180]"),
        ({"geometry": shapely.box(170, 0, 190, 10)}, "cut it at the antimeridian"),
        ({"geometry": shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])}, "not valid: Self-intersection"),
        ({"geometry": shapely.box(0, 0, 1, 1), "bbox": (5, 5, 6, 6)}, "does not hold the geometry"),
        ({"start_datetime": "2020-01-02", "end_datetime": "2020-01-01"}, "is before start_datetime"),
        ({"start_datetime": "2020-01-02"}, "start_datetime is given without end_datetime"),
        ({"end_datetime": "2020-01-02"}, "end_datetime is given without start_datetime"),
        ({"datetime": "2020-01-01/2020-02-01"}, "is an interval; give start_datetime= and end_datetime="),
        ({"datetime": "2020-13-01"}, "datetime '2020-13-01' is no ISO 8601 time"),
        ({"datetime": "yesterday"}, "datetime 'yesterday' is no ISO 8601 time; give a datetime, a date"),
        ({"datetime": 1_600_000_000}, "datetime is of type int"),
        ({"datetime": pd.NaT}, "datetime is NaT; leave it out"),
        ({"datetime": np.datetime64("NaT")}, "datetime is NaT; leave it out"),
        ({"datetime": np.datetime64("20000-01-01")}, "no ISO 8601 time"),
        (
            {"datetime": "2020-01-01", "start_datetime": "2020-01-01", "end_datetime": "2020-01-02"},
            "is a whole day and",
        ),
        ({"datetimes": []}, "datetimes is empty"),
        ({"datetimes": "2020-01-01"}, "datetimes is of type str; expected one time a step"),
        ({"datetimes": ["2020-01-01", "no"]}, "datetimes[1] 'no' is no ISO 8601 time"),
        ({"id": ""}, "id is empty"),
        ({"id": 7}, "id is of type int"),
        ({"id": "a\nb"}, "holds a control character"),
        ({"id": "a\ud800"}, "holds a control character"),
        ({"id": "x" * 10**7}, "10,000,000 characters; at most 512"),
        ({"tensors": {}}, "there are no tensors"),
        ({"tensors": [1]}, "tensors are of type list; expected a dict"),
        ({"tensors": {"a/b": 1}}, "slash"),
        ({"tensors": {".a": 1}}, "dot"),
        ({"tensors": {"a.splits": 1}}, "ends in '.splits'"),
        ({"tensors": {"a.rows": 1}}, "ends in '.rows'"),
        ({"tensors": {3: 1}}, "not text"),
        ({"properties": {"datetime": "2020"}}, "'datetime' is a column that every catalog keeps for itself"),
        ({"properties": {"ml:offset": 3}}, "starts with 'ml:'"),
        ({"properties": {"a": {"b": 1}}}, "property 'a' is of type dict; give a bool"),
        ({"properties": {"a": [[1]]}}, "property 'a' is of type list"),
        ({"properties": {"a": [1, "b"]}}, "several kinds of values (int, str)"),
        ({"properties": {"a": 2**70}}, "past 64 bits"),
        ({"properties": {"a": b"x"}}, "of type bytes"),
        ({"properties": {"a": 1j}}, "of type complex"),
        ({"properties": {"": 1}}, "no string of 1 to 255 characters"),
        ({"properties": {"a\0": 1}}, "control character"),
        ({"properties": [("a", 1)]}, "properties are of type list"),
        ({"properties": {"a": "\ud800"}}, "surrogate"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(fields, words):
    message = refusal(**fields)
    assert words in message


def test_the_message_names_the_sample():
    assert refusal(id="chip-7", bbox=(0, 0, 1)).startswith("sample 'chip-7': bbox")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2020-06-01T10:30:00Z", dt.datetime(2020, 6, 1, 10, 30, tzinfo=UTC)),
        ("2020-06-01T10:30:00", dt.datetime(2020, 6, 1, 10, 30, tzinfo=UTC)),
        ("2020-06-01T10:30:00.123456789Z", dt.datetime(2020, 6, 1, 10, 30, 0, 123456, tzinfo=UTC)),
        ("2020-06-01T10:30:00+02:00", dt.datetime(2020, 6, 1, 8, 30, tzinfo=UTC)),
        (dt.datetime(2020, 6, 1, 10, 30), dt.datetime(2020, 6, 1, 10, 30, tzinfo=UTC)),  # noqa: DTZ001
        (
            dt.datetime(2020, 6, 1, 10, 30, tzinfo=dt.timezone(dt.timedelta(hours=-5))),
            dt.datetime(2020, 6, 1, 15, 30, tzinfo=UTC),
        ),
        (np.datetime64("2020-06-01T10:30"), dt.datetime(2020, 6, 1, 10, 30, tzinfo=UTC)),
        (np.datetime64("2020-06-01T10:30:00.123456789"), dt.datetime(2020, 6, 1, 10, 30, 0, 123456, tzinfo=UTC)),
        (pd.Timestamp("2020-06-01T10:30:00.000000001"), dt.datetime(2020, 6, 1, 10, 30, tzinfo=UTC)),
        (pd.Timestamp("2020-06-01T10:30", tz="Europe/Madrid"), dt.datetime(2020, 6, 1, 8, 30, tzinfo=UTC)),
    ],
)
def test_an_instant_is_one_in_utc(given, expected):
    made = Sample(CHIP, datetime=given)
    assert made.datetime == expected
    assert type(made.datetime) is dt.datetime
    assert made.datetime.tzinfo is UTC
    assert (made.start_datetime, made.end_datetime) == (None, None)


@pytest.mark.parametrize(
    ("given", "first", "last"),
    [
        (dt.date(2020, 2, 29), "2020-02-29T00:00:00+00:00", "2020-02-29T23:59:59.999999+00:00"),
        ("2020-02-29", "2020-02-29T00:00:00+00:00", "2020-02-29T23:59:59.999999+00:00"),
        (np.datetime64("2020-02-29"), "2020-02-29T00:00:00+00:00", "2020-02-29T23:59:59.999999+00:00"),
        ("2020-02", "2020-02-01T00:00:00+00:00", "2020-02-29T23:59:59.999999+00:00"),
        (np.datetime64("2020-12"), "2020-12-01T00:00:00+00:00", "2020-12-31T23:59:59.999999+00:00"),
        ("2019", "2019-01-01T00:00:00+00:00", "2019-12-31T23:59:59.999999+00:00"),
        (np.datetime64("2020-06-04", "W"), "2020-06-04T00:00:00+00:00", "2020-06-10T23:59:59.999999+00:00"),
    ],
)
def test_a_day_a_month_and_a_year_are_the_whole_of_it(given, first, last):
    made = Sample(CHIP, datetime=given)
    assert made.datetime is None
    assert (made.start_datetime.isoformat(), made.end_datetime.isoformat()) == (first, last)


def test_an_interval_of_days_ends_with_the_last_one():
    made = Sample(CHIP, start_datetime="2020-06-01", end_datetime=dt.date(2020, 6, 1))
    assert made.end_datetime - made.start_datetime == dt.timedelta(days=1, microseconds=-1)


def test_time_steps_become_microseconds_and_the_samples_interval():
    made = Sample(CHIP, datetimes=["2020-03-01", "2020-01-01T06:00:00Z", np.datetime64("2020-02-01T00:00")])
    expected = np.array(["2020-03-01", "2020-01-01T06:00", "2020-02-01"], "datetime64[us]").astype(np.int64)
    np.testing.assert_array_equal(made.datetimes, expected, strict=True)
    assert made.start_datetime == dt.datetime(2020, 1, 1, 6, tzinfo=UTC)
    assert made.end_datetime == dt.datetime(2020, 3, 1, 23, 59, 59, 999_999, tzinfo=UTC)
    by_tensor = Sample(
        CHIP | {"s1": 0}, datetimes={"image": pd.date_range("2020-01-01", periods=3), "s1": ["2019-12-31T00:00Z"]}
    )
    assert {name: len(steps) for name, steps in by_tensor.datetimes.items()} == {"image": 3, "s1": 1}
    assert by_tensor.start_datetime == dt.datetime(2019, 12, 31, tzinfo=UTC)


def test_a_given_time_goes_before_that_of_the_steps():
    assert Sample(CHIP, datetime="2021-01-01T00:00Z", datetimes=["2020-01-01"]).start_datetime is None


@pytest.mark.parametrize(
    "crs", ["EPSG:32630", 32630, "epsg:32630", pyproj.CRS(32630), rasterio.crs.CRS.from_epsg(32630)]
)
def test_a_crs_becomes_its_code(crs):
    assert Sample(CHIP, crs=crs).crs == "EPSG:32630"


def test_a_crs_that_no_authority_lists_stays_what_it_is():
    crs = Sample(CHIP, crs="+proj=laea +lat_0=12 +lon_0=34 +datum=WGS84").crs
    assert crs.startswith("PROJCRS[")
    assert pyproj.CRS(crs).equals(pyproj.CRS("+proj=laea +lat_0=12 +lon_0=34 +datum=WGS84"))


POLYGON = shapely.box(1, 2, 3, 4)


@pytest.mark.parametrize(
    "geometry",
    [POLYGON, shapely.to_wkb(POLYGON), json.loads(shapely.to_geojson(POLYGON)), shapely.force_3d(POLYGON, 7)],
)
def test_a_geometry_may_be_given_in_many_ways(geometry):
    assert Sample(CHIP, geometry=geometry).geometry.equals(POLYGON)


def test_a_bbox_over_the_antimeridian_is_one():
    assert Sample(CHIP, bbox=(179, -20, -179, -10)).bbox == (179, -20, -179, -10)


def test_properties_become_plain_values():
    made = Sample(
        CHIP,
        properties={
            "cloud": np.float32(0.5),
            "count": np.int16(3),
            "ok": np.bool_(True),
            "name": np.str_("é"),
            "none": None,
            "tags": ("a", "b"),
            "numbers": np.array([1, 2]),
            "mixed": [1, 2.5],
            "day": dt.date(2020, 1, 2),
            "when": pd.Timestamp("2020-01-02T03:00+01:00"),
            "np_day": np.datetime64("2020-01-02"),
            "np_when": np.datetime64("2020-01-02T03:04"),
        },
    ).properties
    assert made == {
        "cloud": 0.5,
        "count": 3,
        "ok": True,
        "name": "é",
        "none": None,
        "tags": ["a", "b"],
        "numbers": [1, 2],
        "mixed": [1, 2.5],
        "day": dt.date(2020, 1, 2),
        "when": dt.datetime(2020, 1, 2, 2, tzinfo=UTC),
        "np_day": dt.date(2020, 1, 2),
        "np_when": dt.datetime(2020, 1, 2, 3, 4, tzinfo=UTC),
    }
    assert {type(made[name]) for name in ("count", "numbers")} == {int, list}


@pytest.mark.parametrize("name", sorted(RESERVED_PROPERTIES))
def test_a_property_never_takes_the_place_of_a_column(name):
    assert "keeps for itself" in refusal(properties={name: 1})


def test_the_tensors_that_were_given_are_not_touched():
    tensors = dict(CHIP)
    made = Sample(tensors)
    made.tensors["more"] = 1
    assert list(tensors) == ["image"]
    assert repr(Sample(CHIP, id="a", datetime="2020-01-01T00:00Z")) == (
        "Sample(tensors={'image'}, id='a', datetime='2020-01-01T00:00:00+00:00')"
    )


# ---------------------------------------------------------------- a sample's row


def test_one_transform_holds_for_tensors_of_one_size():
    made = Sample({"s2": 0, "mask": 0, "label": 0}, id="a", crs=32630, transform=STAC)
    row = sample_row(made, grids={"s2": (4, 6), "mask": (4, 6)})
    assert {name: grid.shape for name, grid in row.grids.items()} == {"s2": (4, 6), "mask": (4, 6)}
    assert {(grid.crs, grid.transform) for grid in row.grids.values()} == {("EPSG:32630", STAC)}


def test_a_transform_by_tensor_leaves_the_others_off_the_grid():
    made = Sample({"s2": 0, "pan": 0}, id="a", crs=32630, transform={"s2": STAC})
    assert list(sample_row(made, grids={"s2": (4, 6), "pan": (8, 12)}).grids) == ["s2"]


@pytest.mark.parametrize(
    ("fields", "grids", "words"),
    [
        ({"transform": STAC}, {"a": (4, 4), "b": (2, 2)}, "several sizes ('a' 4 x 4, 'b' 2 x 2); give a dict"),
        ({"transform": STAC}, {}, "no tensor has axes y and x; name them in the collection"),
        ({"crs": 4326}, {}, "crs is given, but no tensor has axes y and x"),
        ({"transform": {"b": STAC}}, {"a": (4, 4)}, "transform speaks of 'b', which has no axes y and x"),
        ({"crs": {"b": 4326}}, {"a": (4, 4)}, "crs speaks of 'b', which has no axes y and x"),
    ],
)
def test_a_grid_that_fits_no_tensor_is_refused(fields, grids, words):
    with pytest.raises(InvalidSampleError) as caught:
        sample_row(Sample({"a": 0, "b": 0}, id="chip", **fields), grids=grids)
    assert words in str(caught.value)
    assert str(caught.value).startswith("sample 'chip': ")


def test_a_row_takes_the_id_that_it_is_given_where_the_sample_has_none():
    assert sample_row(Sample(CHIP), grids={}, id="train-0000042").id == "train-0000042"
    assert sample_row(Sample(CHIP, id="own"), grids={}, id="train-0000042").id == "own"
