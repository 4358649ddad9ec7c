"""Filter a catalog of many rows by place, time and attribute: ``python -m benchmarks.searching [--rows 1000000]``.

A catalog of chips all over the Earth, by the library's own schema, is written to a temporary folder; no shard is, for a
filter reads none. Every answer is first compared with geopandas' or DuckDB's over the same file. Then each filter is
timed in a process that has imported everything: the best and the median of some rounds, in which nothing is kept but
the operating system's page cache.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

import mlstac
from mlstac.sample import parquet_options

POLYGON = shapely.Point(10.0, 48.0).buffer(20.0)
HALF_EARTH = shapely.box(-179.5, -60.0, 0.0, 60.0).difference(shapely.Point(-90.0, 0.0).buffer(15.0))
FILTERS: dict[str, dict[str, Any]] = {
    "bbox of Europe": {"bbox": (-10.0, 35.0, 30.0, 60.0)},
    "bbox over the antimeridian": {"bbox": (170.0, -30.0, -170.0, 30.0)},
    "polygon, 260 vertices, 1.8 % of rows": {"intersects": POLYGON},
    "polygon of half the Earth": {"intersects": HALF_EARTH},
    "datetime, a summer": {"datetime": "2020-06/2020-08"},
    "where, a number and a class": {"where": "cloud_cover < 10 AND class IN ('Forest', 'River')"},
    "where, text LIKE": {"where": "CASEI(tile) LIKE CASEI('t3%')"},
    "1,000 ids": {"ids": [f"train-{number:07d}" for number in range(0, 1_000_000, 1_000)]},
    "all of these at once": {
        "bbox": (-10.0, 35.0, 30.0, 60.0),
        "intersects": POLYGON,
        "datetime": "2020-06/2020-08",
        "where": "cloud_cover < 10 AND class IN ('Forest', 'River')",
    },
}
CLASSES = ("Forest", "River", "City", "Field", "Ice")


def write_catalog(folder: Path, rows: int) -> Path:
    """Write a dataset's collection and its one catalog part; gives the part."""
    rng = np.random.default_rng(5)
    west, south = rng.uniform(-180, 179.9, rows), rng.uniform(-75, 75, rows)
    boxes = np.column_stack([west, south, west + 0.05, south + 0.05])
    geometry = shapely.to_wkb(shapely.box(*boxes.T))
    first = np.datetime64("2018-01-01T10:00:00", "us")
    times = first + rng.integers(0, 4 * 365 * 86_400, rows).astype("timedelta64[s]")
    asset = {
        "href": pa.repeat(pa.scalar("./00000.safetensors"), rows),
        "file:size": pa.repeat(pa.scalar(rows * 128 + 1024, pa.int64()), rows),
        "ml:offset": pa.array(np.arange(rows) * 128 + 1024),
        "ml:length": pa.repeat(pa.scalar(128, pa.int64()), rows),
    }
    image = pa.StructArray.from_arrays(list(asset.values()), names=list(asset))
    table = pa.table(
        {
            "id": pa.array([f"train-{number:07d}" for number in range(rows)]),
            "geometry": pa.array(geometry, pa.binary()),
            "bbox": pa.StructArray.from_arrays(
                [pa.array(np.ascontiguousarray(column)) for column in boxes.T], names=["xmin", "ymin", "xmax", "ymax"]
            ),
            "datetime": pa.array(times).cast(pa.timestamp("us", "UTC")),
            "cloud_cover": pa.array(rng.uniform(0, 100, rows)),
            "class": pa.array(np.array(CLASSES)[rng.integers(0, len(CLASSES), rows)]),
            "tile": pa.array([f"T{number % 60:02d}" for number in rng.integers(0, 10_000, rows)]),
            "assets": pa.StructArray.from_arrays([image], names=["image"]),
        }
    )
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": ["Polygon"],
                "covering": {"bbox": {axis: ["bbox", axis] for axis in ("xmin", "ymin", "xmax", "ymax")}},
            }
        },
    }
    table = table.replace_schema_metadata({b"geo": json.dumps(geo).encode()})
    part = folder / "train" / "catalog-00000.parquet"
    part.parent.mkdir(parents=True)
    pq.write_table(table, part, **parquet_options(table.schema))
    collection = mlstac.Collection(
        id="searching",
        description="Rows alone.",
        license="CC0-1.0",
        tensors={"image": mlstac.Tensor(dtype="U16", shape=(64,), layout="stacked")},
        splits={"train": {"n_items": rows, "assets": ["train-00000"]}},
        assets={"train-00000": {"href": "./train/catalog-00000.parquet", "file:size": part.stat().st_size}},
    )
    collection.save(folder)
    return part


def expected_ids(part: Path) -> dict[str, set[str]]:
    """Ids that geopandas and DuckDB find, for the filters that they can be asked."""
    import duckdb
    import geopandas

    box, plain = FILTERS["bbox of Europe"]["bbox"], FILTERS["where, a number and a class"]["where"]
    polygons = geopandas.read_parquet(part, columns=["id", "geometry"], bbox=POLYGON.bounds)
    halves = geopandas.read_parquet(part, columns=["id", "geometry"], bbox=HALF_EARTH.bounds)
    rows = duckdb.sql(f"SELECT id FROM '{part}' WHERE {plain}").fetchall()
    summer = "datetime >= TIMESTAMPTZ '2020-06-01 00:00:00+00' AND datetime < TIMESTAMPTZ '2020-09-01 00:00:00+00'"
    return {
        "bbox of Europe": set(geopandas.read_parquet(part, columns=["id", "geometry"], bbox=box)["id"]),
        "polygon, 260 vertices, 1.8 % of rows": set(polygons[polygons.intersects(POLYGON)]["id"]),
        "polygon of half the Earth": set(halves[halves.intersects(HALF_EARTH)]["id"]),
        "where, a number and a class": {name for (name,) in rows},
        "datetime, a summer": {name for (name,) in duckdb.sql(f"SELECT id FROM '{part}' WHERE {summer}").fetchall()},
    }


def time_filters(folder: Path, rounds: int) -> dict[str, tuple[int, float, float]]:
    """Rows found, best and median seconds of each filter, each of a dataset loaded anew."""
    found = {}
    for name, arguments in FILTERS.items():
        seconds = []
        for _ in range(rounds):
            dataset = mlstac.load(folder, framework="numpy")
            begun = time.perf_counter()
            count = len(dataset.filter(**arguments))
            seconds.append(time.perf_counter() - begun)
        found[name] = (count, min(seconds), statistics.median(seconds))
    return found


def main() -> None:
    """Write, compare, time, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        part = write_catalog(folder, options.rows)
        print(f"{options.rows:,} rows, {part.stat().st_size / 1e6:.0f} MB of catalog\n")
        dataset = mlstac.load(folder, framework="numpy")
        for asked, ids in expected_ids(part).items():
            chosen = dataset.filter(**FILTERS[asked]).metadata.to_table(["id"])["id"].to_pylist()
            assert len(chosen) == len(ids), asked
            assert set(chosen) == ids, asked
        print("| filter | rows found | best, s | median, s |\n| --- | ---: | ---: | ---: |")
        for asked, (count, best, median) in time_filters(folder, options.rounds).items():
            print(f"| {asked} | {count:,} | {best:.3f} | {median:.3f} |")


if __name__ == "__main__":
    main()
