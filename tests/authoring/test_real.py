"""Datasets of real imagery, judged by the libraries that made or will read them."""

import datetime as dt
import json

import numpy as np
import pyarrow.parquet as pq
import pyproj
import pystac
import pytest
import rasterio
import shapely
import stac_geoparquet.arrow
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from tests import datasets
from tests.authoring._read import read_collection, read_rows, read_shards, read_tensors

# rasterio multiplies transforms in a way that the newest affine will drop.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")


@pytest.fixture(scope="module")
def flood(shared, tmp_path_factory):
    path = tmp_path_factory.mktemp("flood")
    datasets.write_flood(shared, path, shard_size="2MB")
    return path


def test_flood_tensors_are_what_rasterio_reads(shared, flood):
    chips = list(datasets.flood_chips(shared))
    for split, count in (("train", 40), ("validation", 8), ("test", 16)):
        wanted = [chip for chip in chips if chip["split"] == split]
        assert len(wanted) == count
        for name, dtype in (("s2", np.uint16), ("s1", np.float32), ("mask", np.uint8)):
            found = read_tensors(flood, split, name, dtype=dtype)
            assert all(np.array_equal(a, chip[name], equal_nan=True) for a, chip in zip(found, wanted, strict=True))


def test_flood_shards_are_stacked_tensors_for_the_stock_reader(shared, flood):
    chips = [chip for chip in datasets.flood_chips(shared) if chip["split"] == "train"]
    shards = read_shards(flood, "train")
    assert len(shards) > 1
    for name in ("s2", "s1", "mask"):
        stacked = np.concatenate([shard[name] for shard in shards])
        assert np.array_equal(stacked, np.stack([chip[name] for chip in chips]), equal_nan=True)


def test_flood_statistics_are_those_of_numpy_over_the_train_split(shared, flood):
    train = [chip for chip in datasets.flood_chips(shared) if chip["split"] == "train"]
    described = read_collection(flood)["item_assets"]
    for name in ("s2", "s1"):
        values = np.stack([chip[name] for chip in train]).astype(np.longdouble)
        valid = values != 0 if name == "s2" else np.isfinite(values)
        for band, said in enumerate(described[name]["bands"]):
            numbers = values[:, band][valid[:, band]]
            assert said["statistics"]["count"] == numbers.size
            assert said["statistics"]["minimum"] == numbers.min()
            assert said["statistics"]["maximum"] == numbers.max()
            assert said["statistics"]["mean"] == pytest.approx(float(numbers.mean()), rel=1e-14)
            assert said["statistics"]["stddev"] == pytest.approx(float(numbers.std()), rel=1e-12)
    masks = np.stack([chip["mask"] for chip in train])
    other, water = described["mask"]["classification:classes"]
    assert (other["count"], water["count"]) == (np.sum(masks == 0), np.sum(masks == 1))
    assert water["percentage"] == pytest.approx(100 * np.mean(masks[masks != 255] == 1))


def test_flood_footprints_are_rasterios_bounds(shared, flood):
    chips = [chip for chip in datasets.flood_chips(shared) if chip["split"] == "test"]
    rows = read_rows(flood, "test").to_pylist()
    for chip, row in zip(chips, rows, strict=True):
        west, south, east, north = rasterio.transform.array_bounds(64, 64, rasterio.Affine(*chip["transform"]))
        assert tuple(row["bbox"].values()) == pytest.approx((west, south, east, north), abs=1e-9)
        assert shapely.from_wkb(row["geometry"]).equals_exact(shapely.box(west, south, east, north), 1e-9) or (
            shapely.from_wkb(row["geometry"]).symmetric_difference(shapely.box(west, south, east, north)).area < 1e-12
        )
        assert row["proj:code"] == "EPSG:4326"
        assert row["column"] == chip["column"]


def test_flood_extent_holds_every_chip_and_day(shared, flood):
    collection = pystac.Collection.from_file(str(flood / "collection.json"))
    with rasterio.open(shared / "data" / "s2-s1-flood" / "Spain_7370579_S2Hand.tif") as file:
        assert collection.extent.spatial.bboxes[0] == pytest.approx(tuple(file.bounds), abs=1e-9)
    start, end = collection.extent.temporal.intervals[0]
    assert (start.date(), end.date()) == (dt.date(2019, 9, 18), dt.date(2019, 9, 18))
    assert read_collection(flood)["ml:placed"] is True


def test_flood_rows_are_stac_items_to_stac_geoparquet(flood):
    file = flood / "train" / "catalog-00000.parquet"
    assert b"stac-geoparquet" in pq.ParquetFile(file).metadata.metadata
    items = list(stac_geoparquet.arrow.stac_table_to_items(pq.ParquetFile(file).read()))
    assert len(items) == 40
    item = pystac.Item.from_dict(items[0])
    assert item.id == "spain-0-0"
    assert item.collection_id == "flood"
    assert set(item.assets) == {"s2", "s1", "mask"}


def test_series_carries_its_dates_in_order(shared, tmp_path):
    datasets.write_series(shared, tmp_path)
    wanted = [sample for split in datasets.series_samples(shared).values() for sample in split]
    found = [
        array
        for split in ("train", "validation", "test")
        for array in read_tensors(tmp_path, split, "s2", dtype=np.uint16)
    ]
    assert all(np.array_equal(a, sample.tensors["s2"]) for a, sample in zip(found, wanted, strict=True))
    folder = shared / "data" / "s2-timeseries-lulc"
    dates = sorted(json.loads((folder / "reference_scenes_dates.json").read_text())["scenes"])
    (times, *_) = read_tensors(tmp_path, "train", "s2_time", dtype=np.int64)
    assert times.view("datetime64[us]").tolist() == [dt.datetime.fromisoformat(date) for date in dates]
    (row, *_) = read_rows(tmp_path).to_pylist()
    assert row["datetime"] is None
    assert row["start_datetime"].isoformat() == f"{dates[0]}+00:00"
    assert row["end_datetime"].isoformat() == f"{dates[-1]}+00:00"
    assert read_collection(tmp_path)["ml:tensors"]["s2_time"]["dims"] == ["time"]


def test_two_grids_keep_their_own_transforms_and_one_footprint(shared, tmp_path):
    datasets.write_grids(shared, tmp_path)
    rows = read_rows(tmp_path).to_pylist()
    folder = shared / "data" / "s2-majortom"
    for name, band, side in (("m10", "B02", 64), ("m20", "B05", 32)):
        arrays = read_tensors(tmp_path, "train", name, dtype=np.uint16)
        with rasterio.open(folder / f"{band}.tif") as file:
            for number, (array, row) in enumerate(zip(arrays, rows, strict=True)):
                window = Window(number % 4 * side, number // 4 * side, side, side)
                assert np.array_equal(array[0], file.read(1, window=window))
                asset = row["assets"][name]
                assert asset["proj:transform"] == pytest.approx(list(file.window_transform(window))[:6])
                assert asset["proj:shape"] == [side, side]
                assert pyproj.CRS(asset["proj:code"]).to_epsg() == file.crs.to_epsg()
                bounds = transform_bounds(file.crs, "EPSG:4326", *file.window_bounds(window), densify_pts=21)
                assert tuple(row["bbox"].values()) == pytest.approx(bounds, abs=1e-6)
