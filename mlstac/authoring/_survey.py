"""Rows of a shard from the shard alone: where each sample's tensors lie, and nothing of its place, time and columns."""

import json
import mmap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlstac.authoring._shapes import UNSEEN, OpenShape, Unseen, join_shapes
from mlstac.authoring._target import Target
from mlstac.collection import Tensor
from mlstac.errors import ShardError
from mlstac.sample import (
    Addresses,
    Column,
    Header,
    Row,
    address_samples,
    address_stacked,
    codec_of,
    count_bytes,
    header_length,
    keyed_name,
    read_header,
    rows_table,
    split_keyed_name,
)

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Surveyed:
    """What a shard says of its samples."""

    rows: pa.Table
    tensors: dict[str, Tensor]
    """With dtype, shape and layout as this shard has them."""
    has_ids: bool
    """Whether the samples' ids are their own, and not made of their numbers."""
    doubtful: list[str]
    """Tensors of which the shard does not say which samples lack them."""


def survey(target: Target, split: str, name: str, *, first: int, tensors: Mapping[str, Tensor]) -> Surveyed:
    """Make the rows of a shard from its header and bytes.

    Parameters
    ----------
    first : int
        Number in the split of the shard's first sample.
    tensors : mapping of str to Tensor
        What the collection says of them, as far as it is known: their roles.

    Raises
    ------
    ShardError
        If the shard is damaged or compressed, or does not say how its samples lie.
    """
    if codec_of(name) is not None:
        raise ShardError(
            f"{target.at(name)} is compressed, and only the catalog or the journal knows where its samples lie; fetch"
            " one of them again, or decompress the shards (zstd -d) and rebuild"
        )
    with (
        target.local(name) as path,
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        length = header_length(data[:8], file_size=len(data), name=name)
        header = read_header(data[: 8 + length], file_size=len(data), name=name)
        stored = np.frombuffer(data, np.uint8)
        try:
            digest = sha256(stored.data).hexdigest()
            layouts = _layouts(header, name)
            ids = _keyed_ids(header)
            n = _count(header, layouts, ids, name)
            addresses, found, doubtful = {}, {}, []
            for key, layout in layouts.items():
                addresses[key], found[key], is_doubtful = _tensor(key, layout, header, stored, ids, n)
                if is_doubtful and not (key in tensors and tensors[key].required):
                    doubtful.append(key)
        finally:
            del stored  # the map cannot be closed while an array looks at it
    has_ids = len(ids) == n
    rows = [Row(id_, {}, None, None, None, None, None, {}) for id_ in (ids if has_ids else _numbered(split, first, n))]
    table = rows_table(
        rows,
        addresses,
        href=f"./{name.removeprefix(split + '/')}",
        file_size=header.file_size,
        file_checksum=f"1220{digest}",
        roles={key: tensors[key].role for key in layouts if key in tensors},
    )
    return Surveyed(table, found, has_ids, doubtful)


def _numbered(split: str, first: int, n: int) -> list[str]:
    return [f"{split}-{number:07d}" for number in range(first, first + n)]


def _layouts(header: Header, name: str) -> dict[str, str]:
    """Layout of each tensor, by the shard's own word."""
    try:
        said = json.loads(header.metadata["ml:layouts"])
        return {str(key): str(layout) for key, layout in said.items()}
    except (KeyError, ValueError, AttributeError):
        raise ShardError(
            f"{name} does not say how its samples lie (ml:layouts in its header); it was not written as a shard of a"
            " dataset: take it out of the folder"
        ) from None


def _keyed_ids(header: Header) -> list[str]:
    return list(dict.fromkeys(split_keyed_name(key)[0] for key in header.entries if "/" in key))


def _count(header: Header, layouts: Mapping[str, str], ids: list[str], name: str) -> int:
    said = header.metadata.get("ml:n_items", "")
    n = int(said) if said.isdecimal() else -1
    for key, layout in layouts.items():
        entry = header.entries.get(key)
        fits = True
        if layout == "single":
            fits = n == 1
        elif layout == "stacked" and entry is not None:
            fits = entry.shape[0] == n or (f"{key}.rows" in header.entries and entry.shape[0] < n)
        elif layout == "jagged" and entry is not None:
            splits = header.entries.get(f"{key}.splits")
            fits = splits is not None and splits.shape == (n + 1,)
        elif layout == "keyed":
            fits = len(ids) == n
        if not fits:
            raise ShardError(
                f"{name} says that it holds {said or 'no'} samples, but its tensor {key!r} does not say which bytes are"
                " whose; fetch the catalog again"
            )
    return n


def _integers(header: Header, key: str, data: Bytes) -> NDArray[np.int64]:
    entry = header.entries[key]
    return data[entry.start : entry.stop].view(np.dtype("<i8")).astype(np.int64)


def _tensor(
    key: str, layout: str, header: Header, data: Bytes, ids: list[str], n: int
) -> tuple[Addresses, Tensor, bool]:
    """Addresses of one tensor, what it is, and whether it is unknown which samples lack it."""
    pieces = _pieces(key, layout, header, data, ids, n)
    lengths = np.array([count_bytes(pieces.dtype, one) for one in pieces.shapes], np.int64)
    starts = pieces.starts
    if starts is None:
        starts = header.entries[key].start + np.cumsum(lengths) - lengths
    present = np.zeros(n, np.bool_)
    present[pieces.rows] = True
    column = Column(pieces.dtype, pieces.chunks, lengths, pieces.shapes, None if present.all() else present)
    column.check(key, n)
    if layout == "stacked":
        found = address_stacked(column, starts=starts, rows=pieces.rows, n=n)
    else:
        found = address_samples(column, starts=starts, rows=pieces.rows, n=n, shapes=pieces.shapes)
    shape: OpenShape | Unseen | None = UNSEEN
    for one in set(pieces.shapes):
        shape = join_shapes(shape, one)
    if layout == "jagged":
        shape = (None, *header.entries[key].shape[1:])
    tensor = Tensor(
        dtype=pieces.dtype,
        shape=None if isinstance(shape, Unseen) else shape,
        layout=layout,  # type: ignore[arg-type]  # one of the four: the model checks it
        required=bool(present.all()),
    )
    is_doubtful = layout == "jagged" and any(one[0] == 0 for one in pieces.shapes)
    return replace(found, shapes=pieces.shapes), tensor, is_doubtful


class _Pieces(NamedTuple):
    """One tensor's samples in a shard."""

    dtype: str
    rows: NDArray[np.int64]
    """Positions of the samples that have it."""
    shapes: list[tuple[int, ...]]
    chunks: list[Bytes]
    starts: NDArray[np.int64] | None
    """First byte of each; None where they follow one another."""


def _pieces(key: str, layout: str, header: Header, data: Bytes, ids: list[str], n: int) -> _Pieces:
    if layout == "keyed":
        have = [(at, header.entries.get(keyed_name(id_, key))) for at, id_ in enumerate(ids)]
        found = [(at, entry) for at, entry in have if entry is not None]
        return _Pieces(
            found[0][1].dtype,
            np.array([at for at, _ in found], np.int64),
            [entry.shape for _, entry in found],
            [data[entry.start : entry.stop] for _, entry in found],
            np.array([entry.start for _, entry in found], np.int64),
        )
    entry = header.entries[key]
    rows = np.arange(n, dtype=np.int64)
    if layout == "single":
        shapes = [entry.shape]
    elif layout == "stacked":
        shapes = [entry.shape[1:]] * entry.shape[0]
        if f"{key}.rows" in header.entries:
            rows = _integers(header, f"{key}.rows", data)
    else:
        counts = np.diff(_integers(header, f"{key}.splits", data))
        shapes = [(int(count), *entry.shape[1:]) for count in counts]
    return _Pieces(entry.dtype, rows, shapes, [data[entry.start : entry.stop]], None)
