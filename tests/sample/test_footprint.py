"""Footprints against rasterio's own way to WGS 84, and against very dense outlines."""

import numpy as np
import pyproj
import pytest
import rasterio.crs
import rasterio.warp
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mlstac.errors import InvalidSampleError
from mlstac.sample import bound_geometry, footprint, footprints, merge_bboxes
from tests.spending import at_most

CHIP = ("EPSG:32719", (10, 0, 500_000, 0, -10, 7_000_000), (64, 64))


def at(transform, column, row):
    a, b, c, d, e, f = transform
    return a * column + b * row + c, d * column + e * row + f


def metres_between(lon, lat, geometry):
    """How far points are from the outline of a geometry, on the ground."""
    narrow = np.cos(np.radians(np.mean(lat)))
    scale = lambda points: points * [narrow, 1.0]  # noqa: E731
    line = shapely.transform(shapely.boundary(geometry), scale)
    return float(shapely.distance(shapely.points(lon * narrow, lat), line).max() * 111_320)


def dense_outline(crs, transform, shape, n=2000):
    """The outline at 4 n points, by rasterio."""
    height, width = shape
    t = np.linspace(0, 1, n)
    column = np.concatenate([t * 0, t, t * 0 + 1, 1 - t]) * width
    row = np.concatenate([t, t * 0 + 1, 1 - t, t * 0]) * height
    x, y = at(transform, column, row)
    lon, lat = rasterio.warp.transform(crs, "OGC:CRS84", x, y)
    return np.array(lon), np.array(lat)


def random_pixels(crs, transform, shape, n=500):
    """Longitudes and latitudes of pixels, by rasterio; None where one is off the Earth."""
    rng = np.random.default_rng(0)
    x, y = at(transform, rng.uniform(0, shape[1], n), rng.uniform(0, shape[0], n))
    lon, lat = rasterio.warp.transform(crs, "OGC:CRS84", x, y)
    return np.array(lon), np.array(lat)


GRIDS = {
    "a chip": CHIP,
    "a Sentinel-2 tile": ("EPSG:32630", (10, 0, 399_960, 0, -10, 4_600_020), (10_980, 10_980)),
    "a MODIS-like grid": ("EPSG:3035", (1000, 0, 2.5e6, 0, -1000, 5.5e6), (4000, 5000)),
    "a rotated chip": ("EPSG:32633", (7.1, 7.1, 400_000, 7.1, -7.1, 5_000_000), (256, 128)),
    "a chip south up": ("EPSG:32633", (10, 0, 400_000, 0, 10, 5_000_000), (64, 64)),
    "a drone's chip": ("EPSG:32633", (0.05, 0, 400_000, 0, -0.05, 5_000_000), (512, 512)),
    "a map in degrees": ("EPSG:4326", (0.25, 0, -20, 0, -0.25, 60), (100, 200)),
    "another datum": ("EPSG:4267", (0.01, 0, -100, 0, -0.01, 40), (100, 100)),
    "feet": ("EPSG:2263", (3, 0, 980_000, 0, -3, 200_000), (1000, 1000)),
    "latitude first": ("EPSG:3346", (10, 0, 500_000, 0, -10, 6_100_000), (512, 512)),
}


@pytest.mark.parametrize("grid", GRIDS)
def test_a_footprint_has_the_bounds_that_rasterio_finds(grid):
    crs, transform, shape = GRIDS[grid]
    x, y = at(transform, np.array([0, shape[1]]), np.array([0, shape[0]]))
    _, bbox = footprint(*GRIDS[grid])
    if transform[1] == 0:  # rasterio's are those of the box around a rotated grid
        bounds = rasterio.warp.transform_bounds(crs, "OGC:CRS84", x.min(), y.min(), x.max(), y.max(), densify_pts=500)
    else:
        lon, lat = dense_outline(*GRIDS[grid])
        bounds = lon.min(), lat.min(), lon.max(), lat.max()
    pixel_degrees = 0.25 if crs == "EPSG:4326" else abs(transform[0]) / 60_000
    np.testing.assert_allclose(bbox, bounds, atol=max(0.1 * pixel_degrees, 1e-8))


@pytest.mark.parametrize("grid", GRIDS)
def test_the_outline_is_within_a_tenth_of_a_pixel_of_a_very_dense_one(grid):
    crs, transform, _ = GRIDS[grid]
    geometry, _ = footprint(*GRIDS[grid])
    pixel = {"EPSG:4326": 0.25, "EPSG:4267": 0.01}.get(crs)
    pixel = (
        pixel * 111_320 * 0.5 if pixel else np.hypot(transform[0], transform[3]) * (0.3048 if crs == "EPSG:2263" else 1)
    )
    lon, lat = dense_outline(*GRIDS[grid])
    pieces = np.array_split(np.arange(len(lon)), 40)  # the ground is flat enough around each piece
    assert max(metres_between(lon[piece], lat[piece], geometry) for piece in pieces) < 0.1 * pixel


def test_a_chip_is_five_points_and_a_continent_is_not():
    assert shapely.get_num_coordinates(footprint(*CHIP)[0]) == 5
    assert shapely.get_num_coordinates(footprint(*GRIDS["a MODIS-like grid"])[0]) > 100


@st.composite
def grids(draw):
    """Grids anywhere on Earth, in CRSs that are sound there."""
    lon, lat = draw(st.floats(-179.9, 179.9)), draw(st.floats(-89.5, 89.5))
    if lat > 80:
        crs = draw(st.sampled_from(["EPSG:3413", "EPSG:3995"]))
    elif lat < -75:
        crs = "EPSG:3031"
    else:
        crs = draw(
            st.sampled_from(
                [
                    f"EPSG:{32600 if lat > 0 else 32700}".replace("00", f"{int((lon + 180) // 6) + 1:02d}"),
                    f"+proj=laea +lat_0={lat:.3f} +lon_0={lon:.3f} +datum=WGS84 +units=m",
                    "EPSG:4326",
                ]
            )
        )
    size = draw(st.sampled_from([0.5, 10.0, 500.0])) / (111_320 if crs == "EPSG:4326" else 1)
    x, y = pyproj.Transformer.from_crs("OGC:CRS84", crs, always_xy=True).transform(lon, lat)
    angle = draw(st.sampled_from([0.0, 0.3, 2.0])) * (crs != "EPSG:4326")
    a, b = size * np.cos(angle), size * np.sin(angle)
    shape = draw(st.integers(1, 600)), draw(st.integers(1, 600))
    return crs, (a, b, x, b, -a, y), shape


@settings(max_examples=60, deadline=None)
@given(grids())
def test_every_pixel_lies_in_the_footprint_and_the_bbox(grid):
    crs, transform, _ = grid
    lon, lat = random_pixels(*grid)
    assume((np.abs(lat) <= 90).all())  # a grid in degrees may run over a pole
    geometry, (west, south, east, north) = footprint(*grid)
    assert geometry.is_valid
    assert -180 <= west <= 180
    assert -180 <= east <= 180
    lon = (lon + 180) % 360 - 180
    pixel = np.hypot(transform[0], transform[3]) / (1 if crs == "EPSG:4326" else 111_320)
    slack = 0.1 * pixel / max(np.cos(np.radians(np.abs(lat).max())), 1e-4) + 1e-8
    inside = (
        (west - slack <= lon) & (lon <= east + slack) if west <= east else (lon >= west - slack) | (lon <= east + slack)
    )
    inside |= np.abs(np.abs(lon) - 180) < slack  # on the antimeridian, seen from either side
    assert inside.all()
    assert ((south - slack <= lat) & (lat <= north + slack)).all()
    off = shapely.distance(geometry, shapely.points(lon, lat))
    assert (np.minimum(off, np.abs(np.abs(lon) - 180)) < slack).all()


@settings(max_examples=40, deadline=None)
@given(grids())
def test_a_footprint_is_as_large_as_the_ground_that_it_covers(grid):
    """On the ellipsoid, against the area that the grid's own outline has there."""
    crs, transform, _ = grid
    lon, lat = dense_outline(*grid, n=400)
    assume((np.abs(lat) < 90).all())
    geometry, _ = footprint(*grid)
    geod = pyproj.Geod(ellps="WGS84")
    outline = shapely.Polygon(np.column_stack([lon, lat]))
    expected = abs(geod.geometry_area_perimeter(outline)[0])
    found = abs(geod.geometry_area_perimeter(shapely.segmentize(geometry, 0.05))[0])
    around_pole = crs in ("EPSG:3413", "EPSG:3995", "EPSG:3031")
    assert found == pytest.approx(
        expected, rel=0.02 if around_pole else 5e-3, abs=(0.2 * np.hypot(*transform[:2])) ** 2
    )


def test_a_footprint_over_the_antimeridian_is_cut_in_two():
    geometry, bbox = footprint("EPSG:32601", (10, 0, 320_000, 0, -10, 7_000_000), (10_980, 10_980))
    assert geometry.geom_type == "MultiPolygon"
    west, east = sorted(geometry.geoms, key=lambda part: -part.bounds[0])
    assert (west.bounds[2], east.bounds[0]) == (180.0, -180.0)
    expected = rasterio.warp.transform_bounds("EPSG:32601", "OGC:CRS84", 320_000, 6_890_200, 429_800, 7_000_000, 500)
    np.testing.assert_allclose(bbox, expected, atol=1e-5)
    assert bbox[0] > bbox[2]


@pytest.mark.parametrize(
    ("crs", "transform", "shape", "pole", "edge"),
    [
        ("EPSG:3031", (500, 0, -3e6, 0, -500, 3e6), (12_000, 12_000), -90, -52.317),
        ("EPSG:3995", (1000, 0, -1e6, 0, -1000, 1e6), (2000, 2000), 90, 77.037),
    ],
)
def test_a_grid_around_a_pole_holds_the_pole_and_all_longitudes(crs, transform, shape, pole, edge):
    geometry, (west, south, east, north) = footprint(crs, transform, shape)
    assert (west, east) == (-180, 180)
    assert pole in (south, north)
    assert min(abs(south), abs(north)) == pytest.approx(abs(edge), abs=1e-3)
    assert geometry.geom_type == "Polygon"
    inside = [geometry.covers(shapely.Point(lon, pole * 0.99)) for lon in range(-179, 180, 7)]
    assert all(inside)
    area = pyproj.Geod(ellps="WGS84").geometry_area_perimeter(shapely.segmentize(geometry, 0.5))[0]
    plane = abs(transform[0] * transform[4]) * shape[0] * shape[1]
    assert abs(area) == pytest.approx(plane, rel=0.12)  # the plane of a polar stereographic map is that much off


def test_a_grid_beside_a_pole_does_not_hold_it():
    geometry, bbox = footprint("EPSG:3413", (10, 0, 1000, 0, -10, -1000), (640, 640))
    assert bbox[3] < 90
    assert not geometry.covers(shapely.Point(0, 90))


@pytest.mark.parametrize(
    ("transform", "shape", "expected"),
    [
        ((0.25, 0, -180.125, 0, -0.25, 90.125), (721, 1440), (-180, -90, 180, 90)),  # half a pixel over the poles
        ((0.25, 0, -0.125, 0, -0.25, 90.125), (721, 1440), (-180, -90, 180, 90)),  # longitudes from 0 to 360
        ((1, 0, -180, 0, -1, 90), (180, 360), (-180, -90, 180, 90)),
        ((0.25, 0, 170, 0, -0.25, 10), (40, 80), (170, 0, -170, 10)),
        ((0.25, 0, 190, 0, -0.25, 10), (40, 40), (-170, 0, -160, 10)),
        ((0.25, 0, -190, 0, -0.25, 10), (40, 80), (170, 0, -170, 10)),
        ((1, 0, 170, 0, -1, 10), (10, 10), (170, 0, 180, 10)),  # up to the antimeridian, not over it
    ],
)
def test_maps_in_degrees_know_how_often_they_went_round(transform, shape, expected):
    geometry, bbox = footprint("EPSG:4326", transform, shape)
    assert bbox == expected
    assert bound_geometry(geometry) == expected


@pytest.mark.parametrize(
    ("crs", "transform", "shape"),
    [
        (
            "EPSG:3857",
            (40_075.016685578488, 0, -20_037_508.342789244, 0, -40_075.016685578488, 20_037_508.342789244),
            (1000, 1000),
        ),
        ("EPSG:6933", (36_032.22, 0, -17_367_530.44, 0, -36_032.22, 7_314_540.83), (406, 964)),
    ],
)
def test_a_world_map_in_metres_goes_around_the_world(crs, transform, shape):
    geometry, (west, _, east, _) = footprint(crs, transform, shape)
    assert (west, east) == (pytest.approx(-180, abs=1e-3), pytest.approx(180, abs=1e-3))
    assert geometry.covers(shapely.MultiPoint([(-179, 0), (0, 80), (179, -80), (90, 0)]))


def test_many_footprints_are_those_of_each():
    rng = np.random.default_rng(0)
    transforms = np.column_stack(
        [
            *(np.full(200, value) for value in (10.0, 0.0)),
            rng.uniform(2e5, 8e5, 200),
            *(np.full(200, value) for value in (0.0, -10.0)),
            rng.uniform(0, 9e6, 200),
        ]
    )
    for shape in ((64, 64), (5000, 3000)):
        geometries, bboxes = footprints("EPSG:32601", transforms, shape)
        for geometry, bbox, transform in zip(geometries, bboxes, transforms, strict=True):
            alone, bounds = footprint("EPSG:32601", transform, shape)
            assert geometry.equals_exact(alone, 0.0)
            assert tuple(bbox) == bounds


def test_ten_thousand_chips_take_well_under_a_second():
    places = [(i % 100, i // 100) for i in range(10_000)]
    transforms = np.array([(10, 0, 5e5 + 640 * x, 0, -10, 7e6 - 640 * y) for x, y in places], dtype=float)
    footprint(*CHIP)
    with at_most(1):  # 0.06 s where this was written
        footprints("EPSG:32719", transforms, (64, 64))


def test_outlines_run_counter_clockwise():
    for grid in ("a chip", "a chip south up", "a rotated chip"):
        assert footprint(*GRIDS[grid])[0].exterior.is_ccw


@pytest.mark.parametrize(
    "crs",
    [
        32719,
        "epsg:32719",
        "+proj=utm +zone=19 +south +datum=WGS84",
        pyproj.CRS(32719),
        pyproj.CRS(32719).to_wkt(),
        rasterio.crs.CRS.from_epsg(32719),
    ],
)
def test_a_crs_may_be_given_in_many_ways(crs):
    expected = footprint(*CHIP)[1]
    np.testing.assert_allclose(footprint(crs, *CHIP[1:])[1], expected, atol=1e-9)


@pytest.mark.parametrize(
    ("crs", "words"),
    [
        ("EPSG:999999", "'EPSG:999999' is not known to PROJ; give a code such as"),
        ("garbage", "is not known to PROJ"),
        ("", "is not known to PROJ"),
        (4326.0, "of type float"),
        (True, "of type bool"),
        ("EPSG:4978", "has no horizontal axes"),
        ("EPSG:5703", "has no horizontal axes"),
    ],
)
def test_a_crs_that_places_nothing_is_refused(crs, words):
    with pytest.raises(InvalidSampleError, match=words):
        footprint(crs, *CHIP[1:])


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32719", (10, 0, 1e9, 0, -10, 7e6)),
        ("EPSG:4326", (10, 0, 500_000, 0, -10, 7e6)),  # metres called degrees
        ("EPSG:4326", (1, 0, 0, 0, -1, 200)),
    ],
)
def test_a_grid_off_the_earth_is_refused(crs, transform):
    with pytest.raises(InvalidSampleError, match=r"leaves the domain of EPSG:\d+; check crs and transform"):
        footprint(crs, transform, (64, 64))


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([(0, 0, 10, 10), (20, -5, 30, 5)], (0, -5, 30, 10)),
        ([(-170, 0, -160, 1), (160, 0, 170, 1)], (-170, 0, 170, 1)),  # nothing crosses
        ([(170, 0, -170, 1)], (170, 0, -170, 1)),
        ([(170, 0, -170, 1), (160, 0, 165, 1)], (160, 0, -170, 1)),
        ([(170, 0, -170, 1), (-160, 0, -150, 1)], (170, 0, -150, 1)),
        ([(170, 0, -170, 1), (-180, -1, 180, 0)], (-180, -1, 180, 1)),
        ([(170, 0, -170, 1), (-175, 0, 175, 1)], (-180, 0, 180, 1)),
        ([(np.nan,) * 4, (1, 2, 3, 4)], (1, 2, 3, 4)),
        ([(np.nan,) * 4], None),
    ],
)
def test_bounding_boxes_are_joined_on_a_circle(boxes, expected):
    assert merge_bboxes(boxes) == expected


ARCS = st.lists(st.tuples(st.integers(-180, 180), st.integers(-180, 180)), min_size=1, max_size=6)


@given(ARCS)
def test_joined_boxes_hold_each_of_them(arcs):
    west, _, east, _ = merge_bboxes([(w, 0, e, 1) for w, e in arcs])
    holds = lambda w, e, lon: w <= lon <= e if w <= e else lon >= w or lon <= e  # noqa: E731
    for w, e in arcs:
        for lon in np.arange(-179.5, 180):
            assert not holds(w, e, lon) or holds(west, east, lon)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32630", (10, 0, 3e5, 0, -10, 4e9)),
        ("EPSG:32630", (10, 0, 3e5, 0, -10, 4e7)),  # once around the Earth
        ("EPSG:32630", (10, 0, 4e6, 0, -10, 3e5)),  # swapped
        ("EPSG:3035", (10, 0, -9e6, 0, -10, 3e6)),
        ("EPSG:2154", (10, 0, 6_800_000, 0, -10, 700_000)),  # swapped
    ],
)
def test_a_grid_far_from_where_its_crs_is_used_is_refused_with_the_mend(crs, transform):
    with pytest.raises(
        InvalidSampleError, match=r"x and y swapped, or give the place as geometry= or bbox=|leaves the domain"
    ):
        footprint(crs, transform, (64, 64))


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32619", (30, 0, 4e5, 0, -30, -3_500_000)),  # Landsat's northern zone in the south
        ("EPSG:32630", (10, 0, -2e5, 0, -10, 4.5e6)),  # some degrees into the next zone
        ("EPSG:32601", (10, 0, 2e5, 0, -10, 7e6)),  # across the antimeridian
        ("EPSG:3832", (1000, 0, -2e6, 0, -1000, 1e6)),  # an area of use that crosses it
        ("EPSG:3857", (1000, 0, -20_037_508, 0, -1000, 1e7)),
        ("EPSG:6933", (25_000, 0, -17_367_530, 0, -25_000, 7_314_540)),
        ("EPSG:3413", (1000, 0, -3e6, 0, -1000, 3e6)),
        ("EPSG:31467", (10, 0, 3_500_000, 0, -10, 5_500_000)),
    ],
)
def test_a_grid_near_where_its_crs_is_used_is_placed(crs, transform):
    geometry, _ = footprint(crs, transform, (64, 64))
    assert geometry.is_valid


@given(st.lists(st.tuples(st.floats(-180, 180), st.floats(0, 170)), min_size=1, max_size=5))
def test_a_box_over_the_antimeridian_lies_over_at_most_half_the_earth(arcs):
    """So that a search may leave out what lies on one side of it."""
    parts = [shapely.box(west, 0, min(west + width, 180), 1) for west, width in arcs]
    region = shapely.union_all([*parts, shapely.box(170, 2, 180, 3), shapely.box(-180, 2, -175, 3)])
    west, _, east, _ = bound_geometry(region)
    if west > east:
        assert west >= 0 >= east
        assert east + 360 - west <= 180
    else:
        assert (west, east) == (-180, 180)
