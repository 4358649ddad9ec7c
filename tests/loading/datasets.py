"""Tiny datasets by hand: shards by the stock safetensors writer or by bytes, catalogs by pyarrow, collection as
JSON.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from safetensors.numpy import save_file

from mlstac.collection import DTYPES, Tensor

WORDS = {
    "uint16": "U16",
    "int64": "I64",
    "float32": "F32",
    "uint8": "U8",
    "float64": "F64",
    "int32": "I32",
    "bool": "BOOL",
}


def checksums_of(rows, step):
    """One checksum a row, shared by blocks of that many rows."""
    result = []
    for first in range(0, len(rows), step):
        block = b"".join(row.tobytes() for row in rows[first : first + step])
        result += [xxhash.xxh3_64_intdigest(block) & 0xFFFFFFFF] * len(rows[first : first + step])
    return result


def data_start(path):
    """Where a shard's data section begins."""
    with open(path, "rb") as file:
        return 8 + int.from_bytes(file.read(8), "little")


def stacked_addresses(path, tensors):
    """Per tensor of a shard written by the stock library: (offset, length, shape or None, checksum) of each row."""
    raw = Path(path).read_bytes()
    start = data_start(path)
    header = json.loads(raw[8:start])
    result = {}
    for name, array in tensors.items():
        first, _ = header[name]["data_offsets"]
        row = array[0].nbytes if len(array) else 0
        sums = checksums_of(list(array), max(1, 4096 // row) if row else 1)
        result[name] = [(start + first + i * row, row, None, sums[i]) for i in range(len(array))]
    return result


def write_catalog(path, rows, *, tensors, varying=(), row_group_size=131_072, extra=None):
    """rows: list of (id, {tensor: (href, file_size, offset, length, shape, checksum) or None})."""
    fields = []
    for name in tensors:
        leaves = [
            ("href", pa.string()),
            ("type", pa.string()),
            ("roles", pa.list_(pa.string())),
            ("file:size", pa.int64()),
            ("file:checksum", pa.string()),
            ("ml:offset", pa.int64()),
            ("ml:length", pa.int64()),
        ]
        if name in varying:
            leaves.append(("ml:shape", pa.list_(pa.int64())))
        leaves.append(("ml:checksum", pa.uint32()))
        fields.append((name, pa.struct(leaves)))
    assets, digests = [], {}
    for _, addresses in rows:
        asset = {}
        for name in tensors:
            address = addresses.get(name)
            if address is None:
                asset[name] = None
                continue
            href, size, offset, length, shape, checksum = address
            if href not in digests:
                shard = Path(path).parent / href
                digests[href] = hashlib.sha256(shard.read_bytes()).hexdigest() if shard.is_file() else "0" * 64
            asset[name] = {
                "href": href, "type": "application/vnd.safetensors", "roles": ["data"], "file:size": size,
                "file:checksum": "1220" + digests[href], "ml:offset": offset, "ml:length": length,
                "ml:checksum": checksum,
            }  # fmt: skip
            if name in varying:
                asset[name]["ml:shape"] = shape
        assets.append(asset)
    columns = {"id": pa.array([name for name, _ in rows], pa.string()), **(extra or {})}
    columns["assets"] = pa.array(assets, pa.struct(fields))
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size)


def write_collection(folder, splits, tensors, *, name="tiny"):
    """splits: {split: (n_items, [part paths])}; tensors: {name: mlstac Tensor}."""
    assets, words = {}, {}
    for split, (count, parts) in splits.items():
        names = []
        for number, part in enumerate(parts):
            key = f"{split}-{number:05d}"
            names.append(key)
            assets[key] = {
                "href": f"./{part.relative_to(folder)}",
                "type": "application/vnd.apache.parquet",
                "roles": ["collection-mirror"],
                "file:size": part.stat().st_size,
            }
        words[f"ml:{split}"] = {"n_items": count, "assets": names}
    document = {
        "type": "Collection",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": name,
        "description": "A tiny dataset.",
        "license": "CC0-1.0",
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        "links": [],
        "assets": assets,
        "item_assets": {key: tensor.to_item_asset() for key, tensor in tensors.items()},
        "ml:version": "1.0.0",
        "ml:tasks": [],
        "ml:tensors": {key: tensor.to_ml_object() for key, tensor in tensors.items()},
        "ml:placed": False,
        **words,
    }
    (folder / "collection.json").write_text(json.dumps(document))
    return folder


def describe(arrays, **more):
    """Tensors of stacked arrays, shape (sample, …)."""
    result = {}
    for name, array in arrays.items():
        row = array[0].nbytes if len(array) else 0
        facts = {
            "dtype": WORDS[array.dtype.name], "shape": array.shape[1:], "layout": "stacked",
            "checksum_rows": max(1, 4096 // row) if 0 < row < 4096 else 1,
        }  # fmt: skip
        result[name] = Tensor(**(facts | more.get(name, {})))
        assert DTYPES[result[name].dtype] == array.dtype.itemsize * 8
    return result


def write_stacked(folder, splits, *, shard_rows=5, part_shards=None, name="tiny", row_group_size=131_072, **more):
    """A dataset of stacked arrays: splits is {split: {tensor: array}}."""
    listed = {}
    first = next(iter(splits.values()))
    for split, arrays in splits.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        count = len(next(iter(arrays.values())))
        rows_of_parts, rows = [], []
        for number, start in enumerate(range(0, count, shard_rows)):
            path = folder / split / f"{number:05d}.safetensors"
            chunk = {key: np.ascontiguousarray(array[start : start + shard_rows]) for key, array in arrays.items()}
            save_file(chunk, path)
            addresses = stacked_addresses(path, chunk)
            size = path.stat().st_size
            rows += [
                (
                    f"{split}-{start + row:07d}",
                    {key: (f"./{path.name}", size, *addresses[key][row]) for key in chunk},
                )
                for row in range(len(next(iter(chunk.values()))))
            ]
            if part_shards and (number + 1) % part_shards == 0:
                rows_of_parts.append(rows)
                rows = []
        if rows or not rows_of_parts:
            rows_of_parts.append(rows)
        parts = []
        for number, part in enumerate(rows_of_parts):
            path = folder / split / f"catalog-{number:05d}.parquet"
            write_catalog(path, part, tensors=list(first), row_group_size=row_group_size)
            parts.append(path)
        listed[split] = (count, parts)
    return write_collection(folder, listed, describe(first, **more), name=name)
