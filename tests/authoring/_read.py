"""Reading back what was authored, with other people's libraries alone."""

import hashlib
import json
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy


def read_collection(path):
    return json.loads((path / "collection.json").read_text())


def read_rows(path, split="train"):
    """The rows of a split, all parts, as the collection names them."""
    document = read_collection(path)
    tables = []
    for name in document[f"ml:{split}"]["assets"]:
        file = path / document["assets"][name]["href"]
        tables.append(pq.ParquetFile(file).read())
    table = pa.concat_tables(tables)
    assert len(table) == document[f"ml:{split}"]["n_items"]
    return table


def read_tensors(path, split, name, *, dtype):
    """Each sample's array of one tensor, by the catalog's addresses and nothing else; None where a sample lacks it."""
    document = read_collection(path)
    shape = document["ml:tensors"][name].get("shape")
    arrays = []
    for row in read_rows(path, split)["assets"].to_pylist():
        asset = row[name]
        if asset is None:
            arrays.append(None)
            continue
        data = (path / split / asset["href"]).read_bytes()
        assert len(data) == asset["file:size"]
        assert asset["file:checksum"] == "1220" + hashlib.sha256(data).hexdigest()
        stored = data[asset["ml:offset"] : asset["ml:offset"] + asset["ml:length"]]
        arrays.append(np.frombuffer(stored, dtype).reshape(asset.get("ml:shape") or shape))
    return arrays


def read_shards(path, split):
    """All shards of a split in order, by the stock safetensors reader."""
    names = dict.fromkeys(
        row[name]["href"] for row in read_rows(path, split)["assets"].to_pylist() for name in row if row[name]
    )
    return [safetensors.numpy.load_file(path / split / name) for name in names]


def keyed(sample_id, name):
    return f"{quote(sample_id, safe='')}/{name}"
