"""By what mlstac knows its own files in a dataset's folder: their names, and the marks that they bear."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from mlstac.authoring._target import TEMPORARY, Target, named_errors
from mlstac.collection import Collection
from mlstac.errors import FormatError, MissingFileError, ShardError, StorageError
from mlstac.sample import (
    MAX_HEADER_BYTES,
    SUMMARY_KEY,
    ZSTD,
    Header,
    codec_of,
    described_size,
    import_zstandard,
    read_header,
)

SHARD: Final = re.compile(r"\d{5,6}\.safetensors(\.zst)?")
PART: Final = re.compile(r"catalog-\d{5,6}\.parquet")
_INNER: Final = re.compile(r"\d{2,}")


def split_files(target: Target) -> Iterator[str]:
    """Files of the folder where mlstac writes: beside the collection, in the splits, and in their numbered folders."""
    folders = set(target.folders(""))
    for name in target.names(""):
        if name not in folders:
            yield name
        elif not name.startswith(".") and not target.is_link(name):
            inside_it = set(target.folders(name))
            for inner in target.names(name):
                if inner not in inside_it:
                    yield f"{name}/{inner}"
                elif _INNER.fullmatch(inner):
                    yield from (f"{name}/{inner}/{last}" for last in target.names(f"{name}/{inner}"))


def last_of(name: str) -> str:
    return name.rpartition("/")[2]


def is_temporary(name: str) -> bool:
    return last_of(name).startswith(".") and name.endswith(TEMPORARY)


def is_ours(target: Target, name: str, collection: Collection) -> bool:
    """Whether a file bears the mark that mlstac gives to those that it writes.

    Raises
    ------
    StorageError
        If it cannot be read: nobody can say then whose it is.
    MissingPackageError
        If it is compressed and zstandard is not installed.
    """
    if "/" not in name or target.is_link(name):
        return False
    try:
        with named_errors("reading", target.path(name)):
            try:
                return _bears_mark(target, name, collection)
            except IsADirectoryError:  # called as a shard is
                return False
    except MissingFileError:  # gone since
        return False


def _bears_mark(target: Target, name: str, collection: Collection) -> bool:
    last = last_of(name)
    if SHARD.fullmatch(last):
        with target.open(name) as stored:
            try:
                header = header_of(stored, name)
            except FormatError:
                return False
        return {"ml:version", "ml:n_items", "ml:layouts"} <= set(header.metadata)
    if PART.fullmatch(last):
        with target.open(name) as stored:
            try:
                return SUMMARY_KEY in (pq.read_schema(stored).metadata or {})
            except (OSError, pa.ArrowException) as error:
                if getattr(error, "errno", None) is not None or isinstance(error, StorageError):
                    raise
                return False  # Arrow calls some of what is no Parquet an OSError, which none of the system's is then
    if last == "catalog.json" and name.count("/") == 1:  # of a split that is no more
        try:
            document = json.loads(target.read(name))
            return document.get("id") == f"{collection.id}-{name.partition('/')[0]}" or _has_parts(document)
        except (ValueError, AttributeError):
            return False
    return False


def header_of(stored: Any, name: str, *, size: int | None = None) -> Header:
    """The header of a shard, whose frame is the first of a compressed one; little more of the file is read.

    Raises
    ------
    ShardError
        If it has none.

    Parameters
    ----------
    stored : file
    size : int, optional
        Of the file, where what the header describes is to be held against it; not of a compressed one.
    """
    if codec_of(name) == ZSTD:
        package = import_zstandard(name)
        file = package.ZstdDecompressor().stream_reader(stored, read_across_frames=True)
        try:
            data = _first_bytes(file)
        except package.ZstdError as error:
            raise ShardError(f"{name} is no zstd file ({error}); fetch it again") from error
    else:
        file, data = stored, _first_bytes(stored)
    # The size that the header describes: that of a compressed shard's contents nobody else knows.
    described = described_size(data, name=name) or len(data)
    return read_header(data, file_size=described if size is None or file is not stored else size, name=name)


def _first_bytes(file: Any) -> bytes:
    first: bytes = file.read(8)
    rest: bytes = file.read(min(int.from_bytes(first, "little"), MAX_HEADER_BYTES))
    return first + rest


def _has_parts(document: Mapping[str, Any]) -> bool:
    links = [link for link in document.get("links", []) if link.get("rel") == "items"]
    return bool(links) and all(PART.fullmatch(str(link.get("href")).removeprefix("./")) for link in links)
