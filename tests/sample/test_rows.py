"""Catalog rows: columns, schema over fragments, Parquet, and what GeoParquet tools make of them."""

import datetime as dt
import io
import json

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstac.errors import CatalogError, InvalidArgumentError, InvalidSampleError
from mlstac.sample import (
    Addresses,
    Sample,
    bound_geometry,
    catalog_schema,
    catalog_table,
    footprint,
    merge_summaries,
    parquet_options,
    read_summary,
    rows_table,
    sample_row,
)
from tests.sample.rows import STAC, encoded, make_table, shift, through_parquet

UTC = dt.UTC
PLACED = {"crs": "EPSG:32630", "transform": STAC}
DATED = {"datetime": "2020-01-01T10:00:00Z"}
ITEM = ["type", "stac_version", "stac_extensions", "links", "collection"]
GRID = ["proj:code", "proj:transform", "proj:shape"]


def catalog(*tables):
    schema = catalog_schema([table.schema for table in tables], collection="flood")
    return through_parquet(pa.concat_tables([catalog_table(table, schema) for table in tables]))


def asset_fields(table, name):
    return [field.name for field in table.schema.field("assets").type.field(name).type]


ADDRESS = ["href", "type", "roles", "file:size", "file:checksum", "ml:offset", "ml:length", "ml:checksum"]


def test_rows_without_place_or_time_have_id_and_assets_alone():
    table = catalog(make_table([{}, {}]))
    assert table.column_names == ["id", "assets"]
    assert asset_fields(table, "image") == ADDRESS
    assert b"geo" not in table.schema.metadata
    assert b"stac-geoparquet" not in table.schema.metadata


def test_rows_with_place_are_geoparquet_and_no_items():
    table = catalog(make_table([PLACED, PLACED]))
    assert table.column_names == ["id", "geometry", "bbox", *GRID, "assets"]
    assert b"stac-geoparquet" not in table.schema.metadata


def test_rows_with_place_and_time_are_items():
    table = catalog(make_table([PLACED | DATED | {"properties": {"cloud": 0.5}}]))
    assert table.column_names == ["id", *ITEM, "geometry", "bbox", "datetime", *GRID, "cloud", "assets"]
    row = table.to_pylist()[0]
    assert (row["type"], row["stac_version"], row["collection"]) == ("Feature", "1.1.0", "flood")
    assert row["links"] == [{"rel": "collection", "href": "../collection.json", "type": "application/json"}]
    assert json.loads(table.schema.metadata[b"stac-geoparquet"]) == {"version": "1.0.0"}


def test_one_row_without_a_time_makes_items_of_none():
    table = catalog(make_table([PLACED | DATED]), make_table([PLACED], number=1))
    assert "type" not in table.column_names
    assert table.column("datetime").to_pylist() == [dt.datetime(2020, 1, 1, 10, tzinfo=UTC), None]


def test_one_row_without_a_place_leaves_its_geometry_null():
    table = catalog(make_table([PLACED | DATED, DATED]), make_table([DATED], number=1))
    assert table.column("geometry").is_null().to_pylist() == [False, True, True]
    assert table.column("bbox").is_null().to_pylist() == [False, True, True]
    assert "type" not in table.column_names


def test_one_interval_gives_all_rows_a_start_and_an_end():
    table = catalog(make_table([PLACED | DATED]), make_table([PLACED | {"datetime": "2020-02-01"}], number=1))
    instant = dt.datetime(2020, 1, 1, 10, tzinfo=UTC)
    assert table.column("datetime").to_pylist() == [instant, None]
    assert table.column("start_datetime").to_pylist() == [instant, dt.datetime(2020, 2, 1, tzinfo=UTC)]
    assert table.column("end_datetime").to_pylist() == [instant, dt.datetime(2020, 2, 1, 23, 59, 59, 999_999, UTC)]


def test_tensors_of_different_grids_have_them_on_their_assets():
    coarse = (20.0, 0.0, 500_000.0, 0.0, -20.0, 4_000_000.0)
    fields = {"crs": "EPSG:32630", "transform": {"b10": STAC, "b20": coarse}}
    tensors = {"b10": encoded("U16", (4, 8, 8)), "b20": encoded("U16", (6, 4, 4)), "label": encoded("U8", ())}
    table = catalog(make_table([fields], tensors=tensors, grids={"b10": (8, 8), "b20": (4, 4)}))
    assert not set(GRID) & set(table.column_names)
    row = table.to_pylist()[0]["assets"]
    assert (row["b10"]["proj:transform"], row["b10"]["proj:shape"]) == (list(STAC), [8, 8])
    assert (row["b20"]["proj:transform"], row["b20"]["proj:shape"]) == (list(coarse), [4, 4])
    assert asset_fields(table, "label") == ADDRESS
    # one extent, and so one footprint, though the pixels differ
    assert shapely.from_wkb(table.column("geometry")[0].as_py()).equals(footprint("EPSG:32630", STAC, (8, 8))[0])


def test_grids_that_differ_in_one_row_alone_stand_on_the_assets_of_all():
    other = {"transform": {"image": STAC, "mask": shift(STAC, 1)}}
    table = catalog(make_table([PLACED]), make_table([PLACED | other], number=1))
    assert not set(GRID) & set(table.column_names)
    masks = [row["mask"]["proj:transform"] for row in table.column("assets").to_pylist()]
    assert masks == [list(STAC), list(shift(STAC, 1))]
    # the second row's footprint holds both of its grids
    both = shapely.from_wkb(table.column("geometry")[1].as_py())
    for transform in (STAC, shift(STAC, 1)):
        assert both.buffer(1e-9).covers(footprint("EPSG:32630", transform, (4, 4))[0])


def test_a_crs_without_a_code_is_kept_as_wkt():
    own = "+proj=laea +lat_0=12 +lon_0=34 +datum=WGS84"
    table = catalog(make_table([PLACED | {"crs": own, "transform": (10, 0, 0, 0, -10, 0)}, PLACED]))
    assert table.column("proj:code").to_pylist() == [None, "EPSG:32630"]
    wkt, none = table.column("proj:wkt2").to_pylist()
    assert wkt.startswith("PROJCRS[")
    assert none is None


def test_an_optional_tensor_that_a_sample_lacks_is_a_null_struct():
    table = catalog(make_table([PLACED, PLACED | {"lacks": ["mask"]}, PLACED]))
    assert [row["mask"] is None for row in table.column("assets").to_pylist()] == [False, True, False]
    assert table.column("proj:code").to_pylist() == ["EPSG:32630"] * 3
    offsets = [row["mask"] and row["mask"]["ml:offset"] for row in table.column("assets").to_pylist()]
    assert offsets[2] - offsets[0] == 16


def test_a_tensor_that_a_whole_fragment_lacks_is_null_there():
    image = {"image": encoded("U16", (3, 4, 4))}
    table = catalog(make_table([{}]), make_table([{}], number=1, tensors=image))
    assert [row["mask"] is None for row in table.column("assets").to_pylist()] == [False, True]


def test_shapes_are_written_where_they_vary_and_not_where_they_do_not():
    def boxes(n):
        return {"boxes": encoded("F32", (n, 4)), "image": encoded("U8", (n, n)), "alike": encoded("U8", (2, 2))}

    layouts = {"boxes": "jagged", "image": "keyed", "alike": "keyed"}
    grids = {"alike": (2, 2)}
    tables = [make_table([{}], number=n, tensors=boxes(n), layouts=layouts, grids=grids) for n in (2, 0, 3)]
    table = catalog(*tables)
    rows = table.column("assets").to_pylist()
    assert [row["boxes"]["ml:shape"] for row in rows] == [[2, 4], [0, 4], [3, 4]]
    assert [row["image"]["ml:shape"] for row in rows] == [[2, 2], [0, 0], [3, 3]]
    assert "ml:shape" not in rows[0]["alike"]
    assert [row["boxes"]["ml:length"] for row in rows] == [32, 0, 48]
    assert "ml:shape" not in asset_fields(catalog(tables[0]), "boxes")
    open_shape = catalog_schema([tables[0].schema], collection="c", varying=["boxes"])
    assert catalog_table(tables[0], open_shape).column("assets")[0].as_py()["boxes"]["ml:shape"] == [2, 4]


# ---------------------------------------------------------------- properties over fragments


@pytest.mark.parametrize(
    ("some", "more", "kind", "values"),
    [
        (1, 2.5, pa.float64(), [1.0, 2.5]),
        (2.5, 1, pa.float64(), [2.5, 1.0]),
        (None, 3, pa.int64(), [None, 3]),
        ("a", None, pa.string(), ["a", None]),
        ([1], [2.5], pa.list_(pa.float64()), [[1.0], [2.5]]),
        ([], ["a"], pa.list_(pa.string()), [None, ["a"]]),
        (True, False, pa.bool_(), [True, False]),
        (dt.date(2020, 1, 1), None, pa.date32(), [dt.date(2020, 1, 1), None]),
    ],
)
def test_a_property_has_one_type_in_all_fragments(some, more, kind, values):
    table = catalog(make_table([{"properties": {"p": some}}]), make_table([{"properties": {"p": more}}], number=1))
    assert table.column("p").to_pylist() == values
    assert table.schema.field("p").type == kind


def test_a_property_that_is_never_known_is_no_column():
    table = catalog(make_table([{"properties": {"p": None, "q": []}}]))
    assert table.column_names == ["id", "assets"]


@pytest.mark.parametrize(
    ("some", "more", "words"),
    [
        (1, "a", "is an integer in some samples and a string in others"),
        (True, 1, "is a bool in some samples and an integer in others"),
        ([1], 1, "is a list of an integer in some samples and an integer in others"),
        (
            dt.date(2020, 1, 1),
            dt.datetime(2020, 1, 1, tzinfo=UTC),
            "is a date in some samples and a datetime in others",
        ),
        (2**60 + 1, 0.5, "an integer of more than 53 bits"),
    ],
)
def test_properties_of_two_kinds_are_refused_by_name(some, more, words):
    tables = [make_table([{"properties": {"p": value}}], number=n) for n, value in enumerate((some, more))]
    with pytest.raises(InvalidSampleError, match=f"property 'p' .*{words}"):
        catalog(*tables)


@pytest.mark.parametrize(("some", "more"), [(1, "a"), (True, 1), ([1], 1), (2**60 + 1, 0.5)])
def test_properties_of_two_kinds_are_refused_within_one_shard(some, more):
    with pytest.raises(InvalidSampleError, match=r"property 'p' .*give it one kind"):
        make_table([{"properties": {"p": some}}, {"properties": {"p": more}}])


VALUES = {
    "int": st.integers(-(2**53), 2**53),
    "float": st.floats(allow_nan=False),
    "text": st.text(st.characters(exclude_categories=["Cs"])),
    "bool": st.booleans(),
    "day": st.dates(),
    "when": st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
}


@settings(max_examples=40)
@given(st.lists(st.fixed_dictionaries({}, optional=VALUES), min_size=1, max_size=6), st.integers(1, 3))
def test_properties_come_back_from_parquet_as_they_went_in(properties, per_fragment):
    pieces = [properties[at : at + per_fragment] for at in range(0, len(properties), per_fragment)]
    tables = [make_table([{"properties": own} for own in piece], number=n) for n, piece in enumerate(pieces)]
    table = catalog(*tables)
    assert not any(pa.types.is_null(field.type) for field in table.schema)
    for row, own in zip(table.to_pylist(), properties, strict=True):
        assert {name: row.get(name) for name in own} == own


# ---------------------------------------------------------------- place


def test_the_place_is_the_geometry_else_the_grid_else_the_bbox():
    given_geometry = shapely.box(1, 2, 3, 4)
    table = catalog(
        make_table([PLACED | {"geometry": given_geometry}, PLACED | {"bbox": (0, 0, 1, 1)}, {"bbox": (0, 0, 1, 1)}])
    )
    first, second, third = shapely.from_wkb([value.as_py() for value in table.column("geometry")])
    assert first.equals(given_geometry)
    assert second.equals(footprint("EPSG:32630", STAC, (4, 4))[0])
    assert third.equals(shapely.box(0, 0, 1, 1))


def test_a_bbox_over_the_antimeridian_is_two_boxes_on_the_map():
    table = catalog(make_table([{"bbox": (179, -20, -179, -10)}]))
    geometry = shapely.from_wkb(table.column("geometry")[0].as_py())
    assert geometry.geom_type == "MultiPolygon"
    assert bound_geometry(geometry) == (179, -20, -179, -10)
    assert table.column("bbox")[0].as_py() == {"xmin": 179, "ymin": -20, "xmax": -179, "ymax": -10}
    assert json.loads(table.schema.metadata[b"geo"])["columns"]["geometry"]["bbox"] == [179, -20, -179, -10]


def test_a_grid_off_the_earth_names_its_sample():
    off = {"crs": "EPSG:32630", "transform": shift(STAC, 1e9)}
    with pytest.raises(InvalidSampleError, match=r"sample 's0-1': the grid .* leaves the domain of EPSG:32630"):
        make_table([PLACED, off])


def test_a_summary_says_what_the_rows_have_in_common():
    some = make_table([PLACED | DATED, {}])
    more = make_table([{"bbox": (0, 0, 1, 1), "datetime": "2021-01-01"}], number=1)
    summary = merge_summaries(read_summary(table.schema) for table in (some, more))
    assert (summary.n, summary.n_placed, summary.n_dated, summary.n_intervals) == (3, 2, 2, 1)
    west, _, _, north = footprint("EPSG:32630", STAC, (4, 4))[1]
    assert summary.bbox == (west, 0, 1, north)
    first = dt.datetime(2020, 1, 1, 10, tzinfo=UTC).timestamp() * 1e6
    last = dt.datetime(2021, 1, 1, 23, 59, 59, 999_999, UTC).timestamp() * 1e6
    assert summary.interval == (first, pytest.approx(last, abs=1))
    assert summary.geometry_types == ("Polygon",)
    assert summary.tensors == ("image", "mask")
    # it survives the journal's Parquet file
    assert read_summary(through_parquet(some).schema) == read_summary(some.schema)


def test_a_schema_without_a_summary_is_no_fragment():
    with pytest.raises(CatalogError, match="lacks its summary"):
        catalog_schema([pa.schema([("id", pa.string())])], collection="c")


def test_addresses_of_another_number_of_rows_are_refused():
    address = Addresses(np.zeros(2, np.int64), np.zeros(2, np.int64), np.zeros(2, np.uint32))
    row = sample_row(Sample({"a": 0}, id="a"), grids={})
    with pytest.raises(InvalidArgumentError, match="tensor 'a' has 2 addresses for 1 rows"):
        rows_table([row], {"a": address}, href="./0.safetensors", file_size=1, file_checksum="1220")


def test_no_rows_have_the_schema_of_the_others():
    schema = catalog_schema([make_table([PLACED | DATED]).schema], collection="flood")
    empty = through_parquet(schema.empty_table())
    assert empty.num_rows == 0
    assert empty.schema.names == schema.names
    assert catalog_schema([], collection="c").names == ["id", "assets"]


# ---------------------------------------------------------------- other people's readers


def test_geopandas_reads_the_catalog_and_filters_it_by_the_covering():
    table = catalog(make_table([PLACED | {"transform": shift(STAC, 1000 * n)} for n in range(5)]))
    file = io.BytesIO()
    pq.write_table(table, file, **parquet_options(table.schema))
    frame = geopandas.read_parquet(file)
    assert frame.crs.to_string() == "OGC:CRS84"
    assert frame.geometry.is_valid.all()
    bounds = table.column("bbox").to_pylist()
    np.testing.assert_allclose(frame.bounds.to_numpy(), [list(bound.values()) for bound in bounds])
    second = tuple(frame.bounds.iloc[1])
    found = geopandas.read_parquet(file, bbox=second)
    assert found["id"].tolist() == ["s0-1"]


def test_the_geo_metadata_is_geoparquet_1_1():
    table = catalog(make_table([PLACED]))
    geo = json.loads(table.schema.metadata[b"geo"])
    column = geo["columns"]["geometry"]
    assert (geo["version"], geo["primary_column"], column["encoding"]) == ("1.1.0", "geometry", "WKB")
    assert (column["geometry_types"], column["orientation"]) == (["Polygon"], "counterclockwise")
    assert column["crs"]["id"] == {"authority": "OGC", "code": "CRS84"}
    assert column["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
    np.testing.assert_allclose(column["bbox"], list(table.column("bbox")[0].as_py().values()))


def test_addresses_take_a_tenth_of_a_byte_a_row():
    n = 2 * 131_072  # of a million rows: 0.035 MB, and 8.0 MB of checksums
    rng = np.random.default_rng(0)
    row = sample_row(Sample({"input": 0, "target": 0}, id="x"), grids={})
    addresses = {
        name: Addresses(first + length * np.arange(n), np.full(n, length), rng.integers(0, 2**32, n, np.uint32))
        for name, first, length in (("input", 64, 106_496), ("target", 64 + 106_496 * n, 4096))
    }
    rows = [row._replace(id=f"train-{number:07d}") for number in range(n)]
    table = rows_table(
        rows, addresses, href="./00000.safetensors", file_size=110_592 * n, file_checksum="1220" + "0" * 64
    )
    schema = catalog_schema([table.schema], collection="c")
    file = io.BytesIO()
    pq.write_table(catalog_table(table, schema), file, **parquet_options(schema))
    written = pq.ParquetFile(file).metadata
    sizes = {}
    for group in range(written.num_row_groups):
        for at in range(written.num_columns):
            column = written.row_group(group).column(at)
            sizes[column.path_in_schema] = sizes.get(column.path_in_schema, 0) + column.total_compressed_size
    checksums = sum(size for path, size in sizes.items() if path.endswith("ml:checksum"))
    addresses_size = sum(size for path, size in sizes.items() if path.startswith("assets.")) - checksums
    assert addresses_size < 0.1 * n
    assert checksums < 2 * 4.1 * n  # four random bytes a row
    assert sizes["id"] < 0.2 * n
    assert written.num_row_groups == 2


@pytest.mark.parametrize("name", ["bbox", "datetime", "geometry", "ml:offset", "a.b", "id", "é ü"])
def test_a_tensor_may_have_the_name_of_a_column(name):
    tensors = {name: encoded("U8", (2,))}
    table = catalog(make_table([DATED | {"bbox": (0, 0, 1, 1)}], tensors=tensors, grids={}))
    assert table.column("assets")[0].as_py()[name]["ml:length"] == 2
    assert table.column("datetime")[0].as_py() == dt.datetime(2020, 1, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("name", ["assets.image.ml:offset", "bbox.xmin", "x.y", "n é", "ID"])
def test_a_property_may_have_a_name_with_dots(name):
    assert catalog(make_table([{"properties": {name: "v"}}])).column(name).to_pylist() == ["v"]
