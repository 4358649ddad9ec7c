"""How samples lie in a shard: stacked, jagged, keyed or single. Pure: columns in, a plan of bytes out.

========  ==========================================  =================================================
layout    of a tensor whose samples                   in the shard
========  ==========================================  =================================================
stacked   all have one shape                          ``<name>``: [m, ...]
jagged    differ in the first axis alone              ``<name>``: [total, ...], ``<name>.splits``: I64 [n + 1]
keyed     are anything                                ``<id>/<name>``, one a sample, samples in order
single    are one a file                              ``<name>``
========  ==========================================  =================================================

Where only some of the ``n`` samples have a stacked tensor, its ``m`` rows are theirs and ``<name>.rows`` (I64 [m]) has
their positions. Tensors follow each other by alignment, the widest first; where a keyed tensor would start unaligned, a
U8 tensor whose name starts with ``.pad`` goes before it, for safetensors allows no holes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from urllib.parse import quote, unquote

import numpy as np
from numpy.typing import NDArray

from mlstac.collection import ML_STAC_VERSION
from mlstac.errors import InvalidArgumentError
from mlstac.sample._addresses import Addresses, address_samples, address_stacked
from mlstac.sample._columns import Bytes, Column, PackedSample, collect_columns, join_small, slice_samples
from mlstac.sample._dtypes import alignment
from mlstac.sample._header import build_header

__all__ = [
    "LAYOUTS",
    "MAX_KEYED_TENSORS",
    "ShardPlan",
    "ShardTensor",
    "keyed_name",
    "max_samples",
    "pack_columns",
    "pack_shard",
    "split_keyed_name",
]

LAYOUTS = ("stacked", "jagged", "keyed", "single")

MAX_KEYED_TENSORS = 20_000
"""Tensors a shard of *keyed* layout holds at most: its header stays near 2 MB, and opens in milliseconds."""


class ShardTensor(NamedTuple):
    """One tensor of the shard's header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """What to write, and where it will lie."""

    header: bytes
    """Goes first."""
    buffers: list[Bytes]
    """Follow it, one after another; views of what was given, except where small ones were joined."""
    size: int
    """Bytes of the whole file."""
    addresses: dict[str, Addresses]
    """Where each tensor of each sample lies, by the tensor's name."""
    tensors: list[ShardTensor]
    """The header's tensors in the order of their data, with the auxiliary ones (``.splits``, ``.rows``, ``.pad``)."""


def keyed_name(sample_id: str, tensor: str) -> str:
    """Name of a sample's tensor in a keyed shard: ``<id>/<name>``, the id percent-encoded.

    Everything but letters, digits, ``-``, ``.``, ``_`` and ``~`` is encoded, and a leading dot too: an id is never
    a path, whatever unpacks the shard into files.
    """
    encoded = quote(sample_id, safe="")
    if encoded.startswith("."):
        encoded = "%2E" + encoded[1:]
    return f"{encoded}/{tensor}"


def split_keyed_name(key: str) -> tuple[str, str]:
    """The sample's id and the tensor's name, of a name in a keyed shard."""
    encoded, _, tensor = key.partition("/")
    return unquote(encoded), tensor


def max_samples(columns: Mapping[str, tuple[str, str]]) -> int | None:
    """How many samples a shard takes at most, or None where only its size in bytes counts.

    Parameters
    ----------
    columns : mapping of str to (dtype, layout)
        The tensors of a sample.
    """
    if any(layout == "single" for _, layout in columns.values()):
        return 1
    keyed = [alignment(dtype) for dtype, layout in columns.values() if layout == "keyed"]
    if not keyed:
        return None
    return MAX_KEYED_TENSORS // (len(keyed) + (max(keyed) > 1))


def pack_shard(
    samples: Sequence[PackedSample], layouts: Mapping[str, str], *, metadata: Mapping[str, str] | None = None
) -> ShardPlan:
    """Plan a shard from samples; :func:`pack_columns` takes whole blocks and is the faster for small samples."""
    return pack_columns(
        collect_columns(samples), layouts=layouts, ids=[sample.id for sample in samples], metadata=metadata
    )


def pack_columns(
    columns: Mapping[str, Column],
    *,
    layouts: Mapping[str, str],
    ids: Sequence[str],
    metadata: Mapping[str, str] | None = None,
) -> ShardPlan:
    """Plan a shard: its header, the buffers to write after it, and where each sample's tensors will lie.

    Parameters
    ----------
    columns : mapping of str to Column
        By the tensor's name.
    layouts : mapping of str to str
        ``stacked``, ``jagged``, ``keyed`` or ``single``, for each of them.
    ids : sequence of str, length n
        The samples' ids in order; only *keyed* shards hold them.
    metadata : mapping of str to str, optional
        For the header's ``__metadata__``, beside ``ml:version``, ``ml:n_items`` and ``ml:layouts``.

    Raises
    ------
    InvalidArgumentError
        If a tensor does not fit its layout, or the shard would hold too many tensors.
    """
    n = len(ids)
    for name, column in columns.items():
        column.check(name, n)
    _check_layouts(columns, layouts, n)
    columns = {
        name: column if layouts[name] == "keyed" else replace(column, chunks=join_small(column.chunks))
        for name, column in columns.items()
    }
    draft = _Draft()
    for name in sorted(columns, key=lambda name: -alignment(columns[name].dtype)):
        _lay_column(draft, name, columns[name], layouts[name], n)
    draft.parts.sort(key=lambda part: -alignment(part.dtype))
    _lay_keyed(draft, {name: columns[name] for name in columns if layouts[name] == "keyed"}, ids)
    stamped = {
        "ml:version": ML_STAC_VERSION,
        "ml:n_items": str(n),
        "ml:layouts": json.dumps({name: layouts[name] for name in columns}, ensure_ascii=False, separators=(",", ":")),
        **(metadata or {}),
    }
    header = build_header([(part.name, part.dtype, part.shape) for part in draft.parts], stamped)
    starts = np.cumsum([len(header), *(part.nbytes for part in draft.parts)], dtype=np.int64)
    start_of = {part.name: int(start) for part, start in zip(draft.parts, starts, strict=False)}
    addresses = {name: _address(name, column, layouts[name], start_of, ids) for name, column in columns.items()}
    buffers = join_small(buffer for part in draft.parts for buffer in part.chunks)
    tensors = [ShardTensor(part.name, part.dtype, part.shape, part.nbytes) for part in draft.parts]
    return ShardPlan(header, buffers, int(starts[-1]), addresses, tensors)


class _Part(NamedTuple):
    name: str
    dtype: str
    shape: tuple[int, ...]
    chunks: Sequence[Bytes]
    nbytes: int


@dataclass(slots=True)
class _Draft:
    parts: list[_Part] = field(default_factory=list)

    def add(self, name: str, dtype: str, shape: tuple[int, ...], chunks: Sequence[Bytes], nbytes: int) -> None:
        self.parts.append(_Part(name, dtype, shape, chunks, nbytes))

    def add_integers(self, name: str, values: NDArray[np.int64]) -> None:
        data = values.astype("<i8").view(np.uint8)
        self.add(name, "I64", (len(values),), [data], len(data))


def _check_layouts(columns: Mapping[str, Column], layouts: Mapping[str, str], n: int) -> None:
    for name, column in columns.items():
        layout = layouts.get(name)
        if layout not in LAYOUTS:
            raise InvalidArgumentError(f"tensor {name!r} has layout {layout!r}; choose one of {', '.join(LAYOUTS)}")
        if layout == "single" and n != 1:
            raise InvalidArgumentError(f"tensor {name!r} has layout 'single', one sample a shard, but there are {n}")
        if layout == "stacked" and column.shapes and column.common_shape() is None:
            first, other = list(dict.fromkeys(column.shapes))[:2]
            raise InvalidArgumentError(
                f"tensor {name!r} is stacked, but has samples of shapes {first} and {other}; use 'jagged' or 'keyed'"
            )
        if layout == "jagged" and () in column.shapes:
            raise InvalidArgumentError(f"tensor {name!r} is jagged, but a sample is a scalar; use 'stacked' or 'keyed'")
        if layout == "jagged" and len({shape[1:] for shape in column.shapes}) > 1:
            raise InvalidArgumentError(
                f"tensor {name!r} is jagged, but differs in more than its first axis; use 'keyed'"
            )
    if len({layouts[name] == "single" for name in columns}) > 1:
        raise InvalidArgumentError("layout 'single' holds for all tensors of a dataset or for none")


def _lay_column(draft: _Draft, name: str, column: Column, layout: str, n: int) -> None:
    m, nbytes = len(column.shapes), int(column.lengths.sum())
    if not m or layout == "keyed":
        return
    if layout == "single":
        draft.add(name, column.dtype, column.shapes[0], column.chunks, nbytes)
    elif layout == "stacked":
        draft.add(name, column.dtype, (m, *column.shapes[0]), column.chunks, nbytes)
        if m < n:
            draft.add_integers(f"{name}.rows", column.rows())
    else:
        counts = np.zeros(n + 1, dtype=np.int64)
        counts[column.rows() + 1] = [shape[0] for shape in column.shapes]
        splits = np.cumsum(counts)
        draft.add(name, column.dtype, (int(splits[-1]), *column.shapes[0][1:]), column.chunks, nbytes)
        draft.add_integers(f"{name}.splits", splits)


def _lay_keyed(draft: _Draft, columns: Mapping[str, Column], ids: Sequence[str]) -> None:
    if not columns:
        return
    at = sum(part.nbytes for part in draft.parts)
    ordered = sorted(columns, key=lambda name: -alignment(columns[name].dtype))
    streams = {name: zip(slice_samples(columns[name]), columns[name].shapes, strict=True) for name in ordered}
    count = 0
    for row, sample_id in enumerate(ids):
        for name in ordered:
            column = columns[name]
            if column.present is not None and not column.present[row]:
                continue
            gap = -at % alignment(column.dtype)
            if gap:
                draft.add(keyed_name(sample_id, f".pad-{name}"), "U8", (gap,), [np.zeros(gap, np.uint8)], gap)
            data, shape = next(streams[name])
            draft.add(keyed_name(sample_id, name), column.dtype, shape, [data], len(data))
            at += gap + len(data)
            count += 1 + (gap > 0)
    if count > MAX_KEYED_TENSORS:
        raise InvalidArgumentError(
            f"{len(ids):,} samples make {count:,} keyed tensors; a shard holds {MAX_KEYED_TENSORS:,}: close it earlier"
        )


def _address(name: str, column: Column, layout: str, start_of: Mapping[str, int], ids: Sequence[str]) -> Addresses:
    rows, varies = column.rows(), column.common_shape() is None
    if layout == "keyed":
        starts = np.array([start_of[keyed_name(ids[row], name)] for row in rows.tolist()], dtype=np.int64)
    else:
        before = np.cumsum(column.lengths) - column.lengths
        starts = before + start_of.get(name, 0)
    shapes = list(column.shapes) if varies or layout in ("jagged", "keyed") else None
    if layout == "stacked":
        return address_stacked(column, starts=starts, rows=rows, n=len(ids))
    return address_samples(column, starts=starts, rows=rows, n=len(ids), shapes=shapes)
