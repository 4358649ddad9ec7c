"""A sound dataset of every layout, and copies of it to break."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mlstac
from tests.schemas import copy_schemas

PART = "train/catalog-00000.parquet"


def samples(n, *, start=0):
    """Images stacked, points jagged, crops keyed, and a text, in a row of places and days."""
    rng = np.random.default_rng(start)
    for i in range(start, start + n):
        image = rng.integers(1, 1000, (3, 8, 8)).astype(np.uint16)
        image[0, 0, : i % 3] = 0  # nodata
        yield mlstac.Sample(
            tensors={
                "image": image,
                "points": rng.random((i % 4, 2)).astype(np.float32),
                "crop": rng.integers(0, 255, (2 + i % 3, 3 + i % 2)).astype(np.uint8),
                "mask": rng.integers(0, 3, (8, 8)).astype(np.uint8),
                "text": f"sample {i}",
            },
            crs="EPSG:32630",
            transform={
                "image": (10, 0, 500_000 + 80 * i, 0, -10, 4_000_000),
                "mask": (10, 0, 500_000 + 80 * i, 0, -10, 4_000_000),
            },
            datetime=f"2020-01-{i % 28 + 1:02d}",
            properties={"cloud": float(i)},
        )


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """20 + 3 samples in several shards."""
    folder = tmp_path_factory.mktemp("made") / "set"
    collection = mlstac.Collection(
        id="made",
        license="CC-BY-4.0",
        description="To be broken.",
        tasks=["semantic-segmentation"],
        tensors={
            "image": mlstac.Tensor(dims="band y x", bands=["a", "b", "c"], nodata=0),
            "points": mlstac.Tensor(dims="point axis"),
            "crop": mlstac.Tensor(),
            "mask": mlstac.Tensor(dims="y x", role="label", classes={0: "none", 1: "some", 2: "much"}),
            "text": mlstac.Tensor(media_type="text/plain"),
        },
    )
    splits = {"train": samples(20), "validation": samples(3, start=100)}
    mlstac.write(splits, folder, collection, shard_size="6kB")
    assert len(list((folder / "train").glob("*.safetensors"))) > 1
    return folder


@pytest.fixture
def copy(made, tmp_path):
    """A copy, to break."""
    return shutil.copytree(made, tmp_path / "copy")


@pytest.fixture(scope="session")
def schemas(shared, tmp_path_factory):
    """JSON Schemas by host and path."""
    return copy_schemas(shared, tmp_path_factory.mktemp("schemas") / "stac")


def edit_json(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def edit_collection(folder, change):
    edit_json(folder / "collection.json", change)


def write_part(folder, table, part=PART):
    """Put a table in the place of a part, whose size and rows the collection then tells."""
    pq.write_table(table, folder / part)

    def tell(document):
        for asset in document["assets"].values():
            if asset["href"] == f"./{part}":
                asset["file:size"] = (folder / part).stat().st_size
                asset["table:row_count"] = len(table)

    edit_collection(folder, tell)


def edit_rows(folder, change, part=PART):
    """Change rows of a part, whose columns keep their types."""
    table = pq.read_table(folder / part)
    rows = table.to_pylist()
    rows = change(rows) or rows
    write_part(folder, pa.Table.from_pylist(rows, schema=table.schema), part)


def edit_columns(folder, change, part=PART):
    """Change a part as a table."""
    write_part(folder, change(pq.read_table(folder / part)), part)
