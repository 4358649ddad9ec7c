"""A reader of ML-STAC 1.0 made from docs/format.md alone: nothing of mlstac is imported here."""

import hashlib
import json
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

NUMPY = {"BOOL": "?", "F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8", "BF16": "V2"}
NUMPY |= {f"{kind}{bits}": f"<{kind.lower()}{bits // 8}" for kind in "UI" for bits in (8, 16, 32, 64)}
NUMPY |= dict.fromkeys(["F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"], "V1")


def count_bytes(dtype, shape):
    bits = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}.get(dtype) or 8 * np.dtype(NUMPY[dtype]).itemsize
    return int(np.prod(shape, dtype=np.int64)) * bits // 8


def to_array(data, dtype, shape, media_type=None):
    """Stored bytes as a value."""
    assert len(data) == count_bytes(dtype, shape)
    if media_type in ("text/plain", "application/json"):
        return data.decode() if media_type == "text/plain" else json.loads(data)
    return np.frombuffer(data, NUMPY[dtype]).reshape(shape) if dtype in NUMPY else data


def inflate(data, name):
    """A frame of a compressed shard, or plain bytes as they are."""
    return pa.CompressedInputStream(pa.BufferReader(data), "zstd").read() if name.endswith(".zst") else data


class Reader:
    """Samples of a dataset by split, from the catalogs' addresses; every checksum on the way is checked."""

    def __init__(self, root):
        self.root = Path(root)
        self.collection = json.loads((self.root / "collection.json").read_text())
        assert self.collection["ml:version"].split(".")[0] == "1"
        self.tensors = self.collection["ml:tensors"]
        self.files = {}

    def rows(self, split):
        """(id, {tensor: value}) of every row of a split."""
        count = 0
        for name in self.collection[f"ml:{split}"]["assets"]:
            asset = self.collection["assets"][name]
            part = self.root / asset["href"]
            self.check_file(part, asset["file:size"], asset["file:checksum"])
            rows = pq.ParquetFile(part).read().select(["id", "assets"]).to_pylist()
            assert len(rows) == asset["table:row_count"]
            blocks = {tensor: self.blocks(rows, tensor) for tensor in self.tensors}
            for number, row in enumerate(rows):
                stored = {tensor: address for tensor, address in row["assets"].items() if address is not None}
                yield row["id"], {t: self.value(part, t, stored[t], blocks[t].get(number)) for t in stored}
            count += len(rows)
        assert count == self.collection[f"ml:{split}"]["n_items"]

    def check_file(self, path, size, checksum):
        data = path.read_bytes()
        assert (len(data), "1220" + hashlib.sha256(data).hexdigest()) == (size, checksum)
        return data

    def blocks(self, rows, tensor):
        """First and last byte of what each row's checksum is of, where rows share one."""
        share, found, held = self.tensors[tensor].get("checksum_rows", 1), {}, {}
        for number, row in enumerate(rows):
            if (address := row["assets"][tensor]) is not None and share > 1 and not address["href"].endswith(".zst"):
                held.setdefault(address["href"], []).append((number, address))
        for rows_of_shard in held.values():
            for start in range(0, len(rows_of_shard), share):
                block = rows_of_shard[start : start + share]
                (_, first), (_, last) = block[0], block[-1]
                found |= {number: (first["ml:offset"], last["ml:offset"] + last["ml:length"]) for number, _ in block}
        return found

    def value(self, part, tensor, address, block):
        path = part.parent / unquote(address["href"])
        if path not in self.files:
            self.files[path] = self.check_file(path, address["file:size"], address["file:checksum"])
        start, stop = address["ml:offset"], address["ml:offset"] + address["ml:length"]
        first, last = block or (start, stop)
        assert address["ml:checksum"] == xxhash.xxh3_64_intdigest(self.files[path][first:last]) & 0xFFFFFFFF
        facts = self.tensors[tensor]
        shape = address.get("ml:shape") or facts["shape"]
        data = inflate(self.files[path][start:stop], path.name) if stop > start else b""
        inside = address.get("ml:frame_offset") or 0
        data = data[inside : inside + count_bytes(facts["dtype"], shape)]
        return to_array(data, facts["dtype"], shape, facts.get("media_type"))


def read_shard(path, ids):
    """The tensors of a shard's samples by the shard alone, with no catalog: {tensor: {position: array}}."""
    raw = inflate(path.read_bytes(), path.name)
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    metadata = header.pop("__metadata__")
    assert ((8 + length) % 64, int(metadata["ml:n_items"])) == (0, len(ids))
    data = raw[8 + length :]
    arrays = {key: to_array(data[slice(*e["data_offsets"])], e["dtype"], e["shape"]) for key, e in header.items()}
    found = {}
    for name, layout in json.loads(metadata["ml:layouts"]).items():
        keys = [quote(one, safe="") for one in ids]
        keys = [("%2E" + key[1:] if key[0] == "." else key) + f"/{name}" for key in keys]
        if layout == "keyed":
            found[name] = {i: arrays[key] for i, key in enumerate(keys) if key in arrays}
        elif name not in arrays:
            found[name] = {}
        elif layout == "single":
            found[name] = {0: arrays[name]}
        elif layout == "jagged":
            splits = arrays[f"{name}.splits"]
            found[name] = {i: arrays[name][splits[i] : splits[i + 1]] for i in range(len(ids))}
        else:
            rows = arrays.get(f"{name}.rows", np.arange(len(arrays[name])))
            found[name] = dict(zip(rows.tolist(), arrays[name], strict=True))
    return found
