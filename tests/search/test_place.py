"""Samples by place: as geopandas and shapely find them, over the antimeridian too; none of unknown place."""

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
import shapely.geometry
from hypothesis import given, settings
from hypothesis import strategies as st

import mlstac
from mlstac.errors import InvalidArgumentError, NotFoundError
from tests.search.datasets import COUNTS, ids_of

LONGITUDE = st.floats(-180, 180) | st.sampled_from([-180.0, 0.0, 180.0])
LATITUDE = st.floats(-90, 90)
BOXES = st.tuples(LONGITUDE, LATITUDE, LONGITUDE, LATITUDE).map(
    lambda b: (b[0], min(b[1], b[3]), b[2], max(b[1], b[3]))
)
RINGS = st.lists(st.tuples(st.floats(-180, 180), st.floats(-85, 85)), min_size=3, max_size=8)


def parts_of(folder):
    return [path for split in COUNTS for path in sorted((folder / split).glob("*.parquet"))]


@pytest.fixture(scope="module")
def frame(scattered):
    """All rows as geopandas reads them from the same files."""
    return pd.concat([geopandas.read_parquet(path) for path in parts_of(scattered)], ignore_index=True)


def on_the_globe(box):
    west, south, east, north = box
    if west <= east:
        return shapely.box(*box)
    return shapely.union(shapely.box(west, south, 180, north), shapely.box(-180, south, east, north))


@settings(max_examples=60)
@given(box=BOXES)
def test_a_box_finds_the_rows_whose_box_meets_it_on_the_globe(everything, rows, box):
    wanted = [
        row["id"]
        for row in rows
        if row["bbox"] and on_the_globe(tuple(row["bbox"].values())).intersects(on_the_globe(box))
    ]
    assert ids_of(everything.filter(bbox=box)) == wanted


def test_rows_over_the_antimeridian_are_among_them(rows):
    assert sum(1 for row in rows if row["bbox"] and row["bbox"]["xmin"] > row["bbox"]["xmax"]) > 5


@settings(max_examples=25)
@given(box=BOXES.filter(lambda box: box[0] <= box[2]))
def test_a_box_finds_what_geopandas_finds_by_the_covering_columns(everything, rows, scattered, box):
    read = [geopandas.read_parquet(path, bbox=box) for path in parts_of(scattered)]
    over = {row["id"] for row in rows if row["bbox"] and row["bbox"]["xmin"] > row["bbox"]["xmax"]}
    theirs = [name for part in read for name in part["id"] if name not in over]
    assert [name for name in ids_of(everything.filter(bbox=box)) if name not in over] == theirs


@settings(max_examples=60)
@given(ring=RINGS)
def test_a_region_finds_what_geopandas_finds(everything, frame, ring):
    region = shapely.make_valid(shapely.Polygon(ring))
    theirs = frame[frame.intersects(region)]["id"].tolist()
    assert ids_of(everything.filter(intersects=region)) == theirs
    assert (
        ids_of(
            everything.filter(
                where={"op": "s_intersects", "args": [{"property": "geometry"}, shapely.geometry.mapping(region)]}
            )
        )
        == theirs
    )


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("S_INTERSECTS", "intersects"),
        ("S_DISJOINT", "disjoint"),
        ("S_WITHIN", "within"),
        ("S_CONTAINS", "contains"),
        ("S_OVERLAPS", "overlaps"),
        ("S_TOUCHES", "touches"),
        ("S_CROSSES", "crosses"),
        ("S_EQUALS", "geom_equals"),
    ],
)
def test_every_spatial_predicate_is_geopandas_own(everything, frame, name, method):
    placed = frame[frame.geometry.notna()]
    first = placed.geometry.iloc[0]
    west, south, east, north = first.bounds
    regions = [
        shapely.box(-60, -40, 60, 40),
        first,
        shapely.box(east, south, min(east + 1, 180), north),
        shapely.Point((west + east) / 2, (south + north) / 2),
        shapely.LineString([(-180, -80), (180, 80)]),
    ]
    found = 0
    for region in regions:
        theirs = placed[getattr(placed, method)(region)]["id"].tolist()
        assert ids_of(everything.filter(where=f"{name}(geometry, {region.wkt})")) == theirs
        turned = {"S_WITHIN": "S_CONTAINS", "S_CONTAINS": "S_WITHIN"}.get(name, name)
        assert ids_of(everything.filter(where=f"{turned}({region.wkt}, geometry)")) == theirs
        found += len(theirs)
    assert found, "no region shows that the predicate is ever true"


def test_not_to_intersect_and_to_be_disjoint_are_one(everything):
    one = ids_of(everything.filter(where="NOT S_INTERSECTS(geometry, BBOX(-60,-40,60,40))"))
    assert one == ids_of(everything.filter(where="S_DISJOINT(geometry, BBOX(-60,-40,60,40))"))
    assert 0 < len(one) < len(everything)


def test_a_sample_of_unknown_place_meets_nothing(everything, rows):
    world = {"bbox": (-180, -90, 180, 90)}
    unplaced = {row["id"] for row in rows if row["geometry"] is None}
    assert len(unplaced) > 20
    for found in (
        everything.filter(**world),
        everything.filter(intersects=shapely.box(-180, -90, 180, 90)),
        everything.filter(where="S_DISJOINT(geometry, BBOX(0,0,1,1)) OR S_INTERSECTS(geometry, BBOX(0,0,1,1))"),
    ):
        assert set(ids_of(found)) == {row["id"] for row in rows} - unplaced
    assert set(ids_of(everything.filter(where="geometry IS NULL"))) == unplaced


def test_a_region_that_runs_on_past_180_degrees_comes_in_at_the_other_side(everything):
    past = {"type": "Polygon", "coordinates": [[[160, -60], [200, -60], [200, 60], [160, 60], [160, -60]]]}
    before = shapely.box(-200, -60, -160, 60)
    cut = shapely.MultiPolygon([shapely.box(160, -60, 180, 60), shapely.box(-180, -60, -160, 60)])
    wanted = ids_of(everything.filter(intersects=cut))
    assert len(wanted) > 10
    assert ids_of(everything.filter(intersects=past)) == wanted
    assert ids_of(everything.filter(intersects=before)) == wanted
    assert ids_of(everything.filter(bbox=(160, -60, -160, 60))) == wanted


@pytest.mark.parametrize(
    "make",
    [
        shapely.geometry.mapping,
        shapely.to_wkb,
        lambda region: {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(region)},
        lambda region: geopandas.GeoSeries([region], crs=4326),
        lambda region: geopandas.GeoDataFrame(
            geometry=list(region.normalize().boundary.envelope.buffer(0).geoms)
            if hasattr(region, "geoms")
            else [region],
            crs=4326,
        ),
    ],
)
def test_a_region_may_come_as_any_of_these(everything, make):
    region = shapely.box(-30, -10, 70, 50)
    assert ids_of(everything.filter(intersects=make(region))) == ids_of(everything.filter(intersects=region))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"bbox": (1, 2, 3)}, "four numbers"),
        ({"bbox": (0, 50, 10, 40)}, "south above its north"),
        ({"bbox": (500_000, 0, 600_000, 10)}, r"leaves \[-180, 180\]"),
        ({"bbox": (float("nan"), 0, 1, 1)}, "four numbers"),
        ({"bbox": "0,0,1,1"}, "four numbers"),
        ({"bbox": shapely.box(0, 0, 1, 1)}, "give intersects="),
        ({"intersects": (0, 0, 1, 1)}, "a box is bbox="),
        ({"intersects": {"type": "Polygon"}}, "no GeoJSON"),
        ({"intersects": shapely.Polygon()}, "empty"),
        ({"intersects": shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])}, "make_valid"),
        ({"intersects": shapely.box(500_000, 0, 600_000, 10)}, "longitude and latitude"),
        ({"intersects": geopandas.GeoSeries([shapely.box(0, 0, 1, 1)], crs=3857)}, r"to_crs\(4326\)"),
        ({"where": "S_INTERSECTS(bbox, BBOX(0,0,1,1))"}, "the place is geometry"),
        ({"where": "S_INTERSECTS(BBOX(0,0,1,1), BBOX(0,0,1,1))"}, "not of geometry and a region"),
    ],
)
def test_what_cannot_be_a_place_is_refused(everything, arguments, words):
    with pytest.raises(InvalidArgumentError, match=words):
        everything.filter(**arguments)


def test_a_dataset_without_places_says_so(tmp_path):
    mlstac.write([{"x": np.zeros(1, np.uint8)}], tmp_path / "plain", id="plain", license="CC0-1.0")
    plain = mlstac.load(tmp_path / "plain", framework="numpy")
    for arguments in ({"bbox": (0, 0, 1, 1)}, {"intersects": shapely.Point(0, 0)}):
        with pytest.raises(NotFoundError, match="the samples of this dataset have none"):
            plain.filter(**arguments)


def test_six_numbers_are_a_box_with_heights(everything):
    assert ids_of(everything.filter(bbox=(-60, -40, 0, 60, 40, 9000))) == ids_of(
        everything.filter(bbox=(-60, -40, 60, 40))
    )
