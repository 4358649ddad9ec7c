"""Datasets to search: samples all over the Earth and the years, some of unknown place, time or class."""

import datetime as dt
import hashlib
import json

import numpy as np
import pyarrow.parquet as pq

import mlstac

CLASSES = ("Forest", "River", "City", "forêt", "50% field_", "O'Brien")
COUNTS = {"train": 150, "validation": 0, "test": 60}


def make_samples(seed, count, *, split):
    """Samples whose only pixel is their number; every seventh lacks its place, every ninth its time."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        west, south = rng.uniform(-180, 180), rng.uniform(-80, 70)
        width = rng.uniform(0.5, 40)
        east = west + width if west + width <= 180 else west + width - 360
        place = {} if number % 7 == 3 else {"bbox": (west, south, east, south + rng.uniform(0.5, 10))}
        start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=float(rng.uniform(0, 700)))
        time = {} if number % 9 == 4 else {"datetime": start}
        if number % 9 == 5:
            time = {"start_datetime": start, "end_datetime": start + dt.timedelta(days=float(rng.uniform(0, 60)))}
        if number % 9 == 6:
            time = {"datetime": start.date()}
        yield mlstac.Sample(
            {"x": np.full((1, 1), number + (1000 if split == "test" else 0), np.uint16)},
            id=f"{split}-{number}",
            properties={
                "cloud_cover": None if number % 5 == 1 else round(float(rng.uniform(-20, 100)), 1),
                "count": int(rng.integers(-5, 6)),
                "class": None if number % 11 == 2 else str(rng.choice(CLASSES)),
                "good": None if number % 13 == 7 else bool(rng.integers(2)),
                "seen": start,
                "day": start.date(),
                "tags": None
                if number % 6 == 5
                else [str(tag) for tag in rng.choice(["a", "b", "c"], rng.integers(0, 4))],
                "levels": [int(level) for level in rng.integers(0, 4, rng.integers(0, 3))],
                "fold": number % 5,
            },
            **place,
            **time,
        )


def write_scattered(folder):
    """A dataset whose train catalog has two parts, of many small row groups."""
    samples = {
        split: list(make_samples(seed, count, split=split)) for seed, (split, count) in enumerate(COUNTS.items())
    }
    mlstac.write(samples, folder, id="scattered", license="CC0-1.0")
    return cut_parts(folder, sizes={"train": [90, 60]}, group_rows=16)


def cut_parts(folder, *, sizes=None, group_rows=16):
    """Write the catalog again in parts of some sizes and row groups of few rows."""
    document = json.loads((folder / "collection.json").read_text())
    for split in COUNTS:
        old = document["assets"].pop(f"{split}-00000")
        table = pq.read_table(folder / split / "catalog-00000.parquet")
        names, first = [], 0
        for number, size in enumerate((sizes or {}).get(split, [len(table)])):
            path = folder / split / f"catalog-{number:05d}.parquet"
            pq.write_table(table.slice(first, size), path, row_group_size=group_rows)
            first += size
            names.append(f"{split}-{number:05d}")
            document["assets"][names[-1]] = old | {
                "href": f"./{split}/{path.name}",
                "file:size": path.stat().st_size,
                "file:checksum": "1220" + hashlib.sha256(path.read_bytes()).hexdigest(),
                "table:row_count": size,
            }
        document[f"ml:{split}"]["assets"] = names
    (folder / "collection.json").write_text(json.dumps(document))
    return folder


def numbers_of(dataset):
    """What tells the samples of a dataset apart, in their order, read from their tensors."""
    return [int(dataset[row]["x"][0, 0]) for row in range(len(dataset))]


def ids_of(dataset):
    """Ids of a dataset's samples, in their order."""
    return dataset.metadata.to_table(["id"])["id"].to_pylist()
