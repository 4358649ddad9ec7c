"""Datasets to break: a sound one, a copy of it on disk or served, and how to change its words and rows."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mlstac
from tests.loading.datasets import write_stacked

PART = "train/catalog-00000.parquet"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """12 small images and their numbers, in three shards."""
    arrays = {
        "image": np.arange(12 * 2 * 8 * 8, dtype=np.uint16).reshape(12, 2, 8, 8),
        "number": np.arange(12, dtype=np.int64),
    }
    folder = tmp_path_factory.mktemp("made") / "set"
    return write_stacked(folder, {"train": arrays}, shard_rows=4, image={"dims": "band y x", "bands": ["B02", "B03"]})


@pytest.fixture
def copy(made, tmp_path):
    """A copy, to break."""
    return shutil.copytree(made, tmp_path / "copy")


@pytest.fixture(params=["local", "remote"])
def source(request, copy):
    """The copy as a local path, and as a URL: called after it was broken."""
    if request.param == "local":
        return lambda: str(copy)
    # beside other files, which its hrefs could reach
    return lambda: request.getfixturevalue("fault_server")(copy.parent).url + copy.name


def edit_collection(folder, change):
    path = folder / "collection.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def write_part(folder, table):
    pq.write_table(table, folder / PART)
    edit_collection(folder, lambda c: c["assets"]["train-00000"].update({"file:size": (folder / PART).stat().st_size}))


def edit_rows(folder, change):
    """Change rows of the catalog, whose columns keep their types."""
    table = pq.read_table(folder / PART)
    rows = table.to_pylist()
    change(rows)
    write_part(folder, pa.Table.from_pylist(rows, schema=table.schema))


def use(url, **options):
    """Load and read everything."""
    ds = mlstac.load(url, framework="numpy", **options)
    return [ds[row] for row in range(len(ds))], list(ds.batches(5))
