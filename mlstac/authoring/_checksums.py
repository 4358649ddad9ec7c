"""Checksums of single rows, where those of blocks were written before it was known that blocks do not hold."""

import mmap
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlstac.authoring._journal import ShardRecord
from mlstac.authoring._target import Target
from mlstac.sample import checksum, checksum_rows


def own_checksums(target: Target, record: ShardRecord, rows: pa.Table, names: Iterable[str]) -> pa.Table:
    """Give each row of some stacked tensors the checksum of its own bytes.

    Rows under 4 KiB share checksums in blocks while a tensor is stacked. Where a later shard had to be jagged or keyed,
    or the author declared a shape that may vary, the collection says that no rows share any, and the shards are read
    once more. Tensors whose rows are so large that each has its own checksum anyway are passed over.
    """
    assets = rows["assets"].combine_chunks()
    fields = {field.name: assets.field(field.name) for field in assets.type}
    names = [name for name in names if checksum_rows(pc.max(fields[name].field("ml:length")).as_py() or 0) > 1]
    if not names:
        return rows
    with (
        target.local(record.name) as path,
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        view = memoryview(data)
        for name in names:
            asset = fields[name]
            starts, lengths = asset.field("ml:offset"), asset.field("ml:length")
            sums = [
                checksum(view[start.as_py() : start.as_py() + length.as_py()]) if valid.as_py() else 0
                for start, length, valid in zip(starts, lengths, asset.is_valid(), strict=True)
            ]
            fields[name] = _with_checksums(asset, np.array(sums, np.uint32))
        view.release()
    made = pa.StructArray.from_arrays(list(fields.values()), fields=list(assets.type), mask=assets.is_null())
    return rows.set_column(rows.schema.get_field_index("assets"), rows.schema.field("assets"), made)


def _with_checksums(asset: pa.StructArray, sums: NDArray[np.uint32]) -> pa.StructArray:
    arrays = [
        pa.array(sums, field.type) if field.name == "ml:checksum" else asset.field(field.name) for field in asset.type
    ]
    return pa.StructArray.from_arrays(arrays, fields=list(asset.type), mask=asset.is_null())
