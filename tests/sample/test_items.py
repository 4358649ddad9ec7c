"""Rows as STAC Items, by our own reader and by stac-geoparquet's, judged by STAC's schemas and by pystac."""

import datetime as dt
import importlib.util
import json

import pyarrow as pa
import pystac
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from stac_geoparquet.arrow import stac_table_to_items

from mlstac.sample import catalog_schema, catalog_table, items
from tests.sample.rows import STAC, encoded, make_table, shift, through_parquet

PLACED = {"crs": "EPSG:32630", "transform": STAC}
DATED = {"datetime": "2020-01-01T10:00:00Z"}


def catalog(*tables):
    schema = catalog_schema([table.schema for table in tables], collection="flood")
    return through_parquet(pa.concat_tables([catalog_table(table, schema) for table in tables]))


@pytest.fixture(scope="module")
def validate(shared):
    """Errors of an Item by the JSON Schemas of STAC 1.1 and of every extension that it declares."""
    path = shared / "stac-schemas" / "validate.py"
    if not path.is_file():
        pytest.skip("needs ../shared/stac-schemas beside the repository")
    spec = importlib.util.spec_from_file_location("offline_validator", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.validate


COARSE = (20.0, 0.0, 500_000.0, 0.0, -20.0, 4_000_000.0)
TWO_GRIDS = {
    "tensors": {"b10": encoded("U16", (8, 8)), "b20": encoded("U16", (4, 4))},
    "grids": {"b10": (8, 8), "b20": (4, 4)},
}
TEXT = {"tensors": {"image": encoded("U16", (4, 4)), "text": encoded("U8", (9,))}, "grids": {"image": (4, 4)}}
CASES = {
    "chips": lambda: [
        make_table([PLACED | DATED, PLACED | DATED | {"transform": shift(STAC, 4)}], roles={"mask": "label"})
    ],
    "a day": lambda: [make_table([PLACED | {"datetime": "2020-01-01"}])],
    "instants and days": lambda: [
        make_table([PLACED | DATED]),
        make_table([PLACED | {"datetime": "2020-01-02"}], number=1),
    ],
    "a bbox": lambda: [make_table([{"bbox": (1, 2, 3, 4)} | DATED])],
    "a point": lambda: [make_table([{"geometry": shapely.Point(1, 2)} | DATED])],
    "over the antimeridian": lambda: [make_table([{"bbox": (179, -20, -179, -10)} | DATED])],
    "two grids": lambda: [make_table([DATED | {"crs": 32630, "transform": {"b10": STAC, "b20": COARSE}}], **TWO_GRIDS)],
    "own columns": lambda: [
        make_table([PLACED | DATED | {"properties": {"cloud": 3.5, "tags": ["a"], "n": 3, "ok": True}}])
    ],
    "text": lambda: [make_table([PLACED | DATED], layouts={"image": "stacked", "text": "jagged"}, **TEXT)],
    "an absent tensor": lambda: [make_table([PLACED | DATED, PLACED | DATED | {"lacks": ["mask"]}])],
    "a CRS of one's own": lambda: [
        make_table([DATED | {"crs": "+proj=laea +lat_0=12 +lon_0=34", "transform": (10, 0, 0, 0, -10, 0)}])
    ],
}


@pytest.mark.parametrize("case", CASES)
def test_our_items_pass_every_schema(case, validate):
    found = list(items(catalog(*CASES[case]())))
    assert found
    for item in found:
        assert json.loads(json.dumps(item)) == json.loads(json.dumps(item, allow_nan=False))
        assert validate(json.loads(json.dumps(item))) == []


@pytest.mark.parametrize("case", CASES)
def test_stac_geoparquets_reader_makes_valid_items_of_the_catalog(case, validate):
    table = catalog(*CASES[case]())
    found = list(stac_table_to_items(table))
    for item, ours in zip(found, items(table), strict=True):
        assert validate(json.loads(json.dumps(item))) == []
        assert json.loads(json.dumps(item["geometry"])) == json.loads(json.dumps(ours["geometry"]))
        assert item["bbox"] == ours["bbox"]
        assert item["assets"].keys() == ours["assets"].keys()
        for name, asset in ours["assets"].items():
            assert {key: item["assets"][name][key] for key in asset} == asset


@pytest.mark.parametrize("case", CASES)
def test_pystac_reads_and_keeps_the_items(case):
    for item in items(catalog(*CASES[case]())):
        found = pystac.Item.from_dict(item, preserve_dict=True)
        assert found.collection_id == "flood"
        assert found.to_dict(include_self_link=False, transform_hrefs=False)["assets"] == item["assets"]


def test_an_items_hrefs_are_absolute_where_the_parts_place_is_known():
    table = catalog(make_table([PLACED | DATED]))
    for base, shard, collection in (
        (
            "https://host/flood/train/catalog-00000.parquet",
            "https://host/flood/train/00000.safetensors",
            "https://host/flood/collection.json",
        ),
        (
            "s3://bucket/train/catalog-00000.parquet",
            "s3://bucket/train/00000.safetensors",
            "s3://bucket/collection.json",
        ),
        (
            "/data/flood/train/catalog-00000.parquet",
            "/data/flood/train/00000.safetensors",
            "/data/flood/collection.json",
        ),
    ):
        [item] = items(table, base=base)
        assert item["assets"]["image"]["href"] == shard
        assert item["links"][0]["href"] == collection


def test_extensions_are_declared_where_their_fields_are():
    [with_grid] = items(catalog(make_table([PLACED | DATED])))
    [without] = items(catalog(make_table([{"bbox": (0, 0, 1, 1)} | DATED])))
    assert [uri.split("/")[3] for uri in with_grid["stac_extensions"]] == ["file", "projection"]
    assert [uri.split("/")[3] for uri in without["stac_extensions"]] == ["file"]


def test_what_is_not_known_is_not_made_up():
    first, second = items(catalog(make_table([DATED, {"bbox": (0, 0, 1, 1), "properties": {"x": float("nan")}}])))
    assert first["geometry"] is None
    assert "bbox" not in first
    assert second["properties"] == {"datetime": None}


@settings(max_examples=30, deadline=None)
@given(
    st.floats(-179, 178),
    st.floats(-89, 88),
    st.floats(0.001, 1),
    st.datetimes(timezones=st.just(dt.UTC)),
)
def test_place_and_time_survive_parquet_to_the_last_bit(west, south, size, when):
    bbox = (west, south, west + size, south + size)
    [item] = items(catalog(make_table([{"bbox": bbox, "datetime": when}])))
    assert tuple(item["bbox"]) == bbox
    assert shapely.geometry.shape(item["geometry"]).bounds == bbox
    assert pystac.Item.from_dict(item).datetime == when
