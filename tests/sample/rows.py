"""Rows for the tests: samples with small tensors, packed and put in a table."""

import io

import numpy as np
import pyarrow.parquet as pq

from mlstac.sample import PackedSample, Sample, pack_shard, parquet_options, rows_table, sample_row

STAC = (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_000_000.0)
GRIDS = {"image": (4, 4), "mask": (4, 4)}


def encoded(dtype, shape, fill=0):
    bits = {"U8": 8, "U16": 16, "F32": 32}[dtype]
    return dtype, shape, np.full(int(np.prod(shape)) * bits // 8, fill, np.uint8)


def shift(transform, columns):
    a, b, c, d, e, f = transform
    return (a, b, c + a * columns, d, e, f)


def make_table(fields, *, number=0, tensors=None, grids=None, layouts=None, roles=None):
    """A fragment of one sample for each of ``fields``: the arguments of Sample, and the tensors that it ``lacks``."""
    rows, packed = [], []
    for at, own in enumerate(fields):
        own = {"id": f"s{number}-{at}"} | own
        arrays = dict(tensors or {"image": encoded("U16", (3, 4, 4), at), "mask": encoded("U8", (4, 4), at)})
        layouts = layouts or dict.fromkeys(arrays, "stacked")
        for name in own.pop("lacks", ()):
            del arrays[name]
        sample = Sample(dict.fromkeys(arrays), **own)
        rows.append(sample_row(sample, grids=GRIDS if grids is None else grids))
        packed.append(PackedSample(sample.id, arrays))
    plan = pack_shard(packed, layouts)
    return rows_table(
        rows,
        plan.addresses,
        href=f"./{number:05d}.safetensors",
        file_size=plan.size,
        file_checksum="1220" + f"{number:064x}",
        roles=roles,
    )


def through_parquet(table):
    """What a reader gets of a table that was written as a catalog is."""
    file = io.BytesIO()
    pq.write_table(table, file, **parquet_options(table.schema))
    file.seek(0)
    return pq.read_table(file)
