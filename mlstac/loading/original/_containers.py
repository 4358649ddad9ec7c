"""Containers of 0.1.x: files one after another behind an index, and a table of their places.

A container is ``#y``, the length N of its index (uint64, little-endian), N bytes of JSON ``{stem: [begin, length]}``,
and the members; a member begins at byte 10 + N + begin.
"""

import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlstac.collection import Tensor
from mlstac.errors import CatalogError, MissingFileError, ShardError
from mlstac.loading.original._document import SPLITS, ContainerSplit
from mlstac.loading.original._files import follow
from mlstac.sample import RESERVED_PREFIXES, RESERVED_PROPERTIES, infer_media_type
from mlstac.storage import Fetcher, Read, file_size, is_remote, local_path, parent, read_bytes, redact

FIELD = "data"
"""The one field of such a sample: a file, as bytes."""

_MAGIC = b"#y"
_HEAD_BYTES = 10
_MOST_INDEX_BYTES = 1024**3
_MOST_TABLE_BYTES = 4 * 1024**3
_ADDRESSES = ("begin", "length", "metadata_length", "url", "file_path")
_KINDS = {
    b"II*\x00": "image/tiff",
    b"MM\x00*": "image/tiff",
    b"II+\x00": "image/tiff",
    b"MM\x00+": "image/tiff",
    b"\x89HDF": "application/x-hdf5",
}


class ContainerRows(NamedTuple):
    """The members of a split's containers, as rows of a catalog."""

    name: str
    table: pa.Table


def container_rows(
    split: ContainerSplit, base: str, *, fetcher: Fetcher, allow_hosts: Sequence[str] = ()
) -> ContainerRows:
    """Rows of a split: of its table where it has one, else of the indexes of its containers.

    Raises
    ------
    MissingFileError, AccessError
        If table or containers cannot be had.
    CatalogError
        If the table lacks a column that says where samples are.
    ShardError
        If a container is none.
    """
    folder = _local_folder(split, base)

    def find(href: str) -> str:
        if folder is not None:
            return os.path.join(folder, os.path.basename(href.partition("?")[0]))
        return follow(base, href, allow_hosts=allow_hosts)

    source = None
    if split.table is not None or folder is not None:
        source = find(split.table or "metadata.parquet")
        if not is_remote(source) and not os.path.exists(source):
            source = None
    if source is None:
        table = _rows_of_indexes([find(href) for href in split.hrefs], fetcher)
    else:
        table = _rows_of_table(_read_table(source, fetcher), source, find)
    return ContainerRows(split.name, _as_catalog(table, split.name, fetcher))


def media_type_of(rows: Sequence[ContainerRows], fetcher: Fetcher) -> str:
    """Media type of the members, by the first bytes of the first."""
    for part in rows:
        if len(part.table):
            asset = part.table.slice(0, 1).to_pylist()[0]["assets"][FIELD]
            start, stop = asset["ml:offset"], asset["ml:offset"] + min(16, asset["ml:length"])
            head = _read_range(asset["href"], start, stop, asset["file:size"], fetcher)
            return _KINDS.get(head[:4]) or infer_media_type(head) or "application/octet-stream"
    return "application/octet-stream"


def container_tensor(media_type: str) -> Tensor:
    """What is said of the one field of such samples."""
    return Tensor(dtype="U8", shape=(None,), media_type=media_type, layout="jagged")


def _local_folder(split: ContainerSplit, base: str) -> str | None:
    """Where a local dataset keeps a split's containers."""
    if is_remote(base):
        return None
    root = local_path(parent(base))
    for word in SPLITS.get(split.name, (split.name,)):
        for below in (f"{word}/mls", word):
            if os.path.isdir(os.path.join(root, below)):
                return os.path.join(root, below)
    return None


def _read_table(source: str, fetcher: Fetcher) -> pa.Table:
    data = read_bytes(source, fetcher=fetcher, limit_bytes=_MOST_TABLE_BYTES)
    try:
        return pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CatalogError(f"{redact(source)} is not a readable Parquet file: {error}") from error


def _rows_of_table(table: pa.Table, source: str, find: Any) -> pa.Table:
    needed = ("begin", "length", "metadata_length")
    absent = [name for name in needed if name not in table.column_names]
    where = "url" if "url" in table.column_names else "file_path"
    if where not in table.column_names:
        absent.append("url")
    if absent:
        raise CatalogError(f"{redact(source)} lacks the column {absent[0]}; it cannot say where samples are")
    if any(column.null_count for column in (table.column(name) for name in (*needed, where))):
        raise CatalogError(f"{redact(source)}: an address of a sample is null")
    try:
        begin, length, index = (
            table.column(name).cast(pa.int64()).to_numpy(zero_copy_only=False).astype(np.int64) for name in needed
        )
        hrefs = table.column(where).cast(pa.string()).to_pylist()
    except (pa.ArrowException, ValueError) as error:
        raise CatalogError(f"{redact(source)}: addresses of samples are no whole numbers: {error}") from error
    urls = {href: find(href) for href in dict.fromkeys(hrefs)}
    names = "datapoint_id" if "datapoint_id" in table.column_names else None
    ids = [str(value) for value in table.column(names).to_pylist()] if names else None
    kept = [name for name in table.column_names if name not in (*_ADDRESSES, names)]
    own = {_column_name(name): table.column(name) for name in kept}
    return pa.table(
        {
            "id": pa.array(ids if ids is not None else [str(number) for number in range(len(table))], pa.string()),
            "href": pa.array([urls[href] for href in hrefs], pa.string()),
            "offset": pa.array(_HEAD_BYTES + index + begin, pa.int64()),
            "length": pa.array(length, pa.int64()),
            **{name: column for name, column in own.items() if not pa.types.is_null(column.type)},
        }
    )


def _rows_of_indexes(urls: Sequence[str], fetcher: Fetcher) -> pa.Table:
    columns: dict[str, list[Any]] = {"id": [], "href": [], "offset": [], "length": []}
    for url in urls:
        size = _size_of(url, fetcher)
        start, members = read_index(url, size, fetcher)
        for stem, (begin, length) in members.items():
            for name, value in zip(columns, (stem, url, start + begin, length), strict=True):
                columns[name].append(value)
    kinds = {"id": pa.string(), "href": pa.string(), "offset": pa.int64(), "length": pa.int64()}
    return pa.table({name: pa.array(values, kinds[name]) for name, values in columns.items()})


def read_index(url: str, size: int, fetcher: Fetcher) -> tuple[int, dict[str, tuple[int, int]]]:
    """Index of a container: the byte that its members are counted from, and (begin, length) of each.

    Raises
    ------
    ShardError
        If it is no container, or a member leaves it.
    """
    name = redact(url)
    head = _read_range(url, 0, min(_HEAD_BYTES, size), size, fetcher)
    if len(head) < _HEAD_BYTES or head[:2] != _MAGIC:
        raise ShardError(f"{name} is no container of the original ML-STAC, which begins with '#y'; check the path")
    length = int.from_bytes(head[2:], "little")
    if length > min(size - _HEAD_BYTES, _MOST_INDEX_BYTES):
        raise ShardError(f"{name}: its index is said to take {length:,} bytes of {size:,}; fetch the file again")
    start = _HEAD_BYTES + length
    try:
        members = json.loads(_read_range(url, _HEAD_BYTES, start, size, fetcher))
        found = {str(stem): (int(begin), int(count)) for stem, (begin, count) in members.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ShardError(
            f"{name}: its index is not {{name: [begin, length]}} ({error}); fetch the file again"
        ) from None
    for stem, (begin, count) in found.items():
        if begin < 0 or count < 0 or start + begin + count > size:
            raise ShardError(f"{name}: member {stem[:60]!r} leaves the file of {size:,} bytes; fetch it again")
    return start, found


def _as_catalog(table: pa.Table, split: str, fetcher: Fetcher) -> pa.Table:
    """The table with its addresses as assets, ids that are unique, and the sizes of the containers."""
    hrefs = table.column("href").to_pylist()
    sizes = {href: _size_of(href, fetcher) for href in dict.fromkeys(hrefs)}
    ids = table.column("id").to_pylist()
    seen: dict[str, int] = {}
    for number, stem in enumerate(ids):
        again = seen[stem] = seen.get(stem, 0) + 1
        ids[number] = f"{split}-{stem}" if again == 1 else f"{split}-{stem}-{again}"
    count = len(table)
    asset = pa.StructArray.from_arrays(
        [
            pa.array(hrefs, pa.string()),
            pa.array([sizes[href] for href in hrefs], pa.int64()),
            table.column("offset").combine_chunks() if count else pa.array([], pa.int64()),
            table.column("length").combine_chunks() if count else pa.array([], pa.int64()),
        ],
        names=["href", "file:size", "ml:offset", "ml:length"],
    )
    own = table.drop_columns(["id", "href", "offset", "length"])
    return pa.table(
        {
            "id": pa.array(ids, pa.string()),
            **{name: own.column(name) for name in own.column_names},
            "assets": pa.StructArray.from_arrays([asset], names=[FIELD]),
        }
    )


def _size_of(url: str, fetcher: Fetcher) -> int:
    try:
        return file_size(url, fetcher=fetcher)
    except MissingFileError as error:
        raise MissingFileError(f"container {redact(url)} is not there; fetch the dataset again") from error


def _read_range(url: str, start: int, stop: int, size: int, fetcher: Fetcher) -> bytes:
    if not is_remote(url):
        with open(local_path(url), "rb") as file:
            file.seek(start)
            return file.read(stop - start)
    buffer = np.empty(stop - start, np.uint8)
    fetcher.fetch([Read(url, start, stop, [(0, buffer.data)], size)])
    return buffer.tobytes()


def _column_name(name: str) -> str:
    """A column that catalogs have not for themselves."""
    return (
        f"original_{name.replace(':', '_')}"
        if name in RESERVED_PROPERTIES or name.startswith(RESERVED_PREFIXES)
        else name
    )
