"""MDS, MosaicML's format: an index.json, and shards of samples behind a table of offsets; read without its library.

A shard is the number n of its samples, n + 1 offsets (both uint32, little-endian, from the file's first byte), a
description that nobody needs, and the samples. A sample is the sizes (uint32) of those of its columns whose size
varies, in the columns' order, and then the columns.
"""

import gzip
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlstac.conversion._fields import Fields, parse_json, refuse_pickle
from mlstac.conversion._peek import describe_first, raster_tensors
from mlstac.conversion._plan import Plan, Samples
from mlstac.conversion._raster import place
from mlstac.conversion._words import field_name, is_label_field, split_of
from mlstac.errors import FormatError, MissingFileError, MissingPackageError
from mlstac.sample import Sample

_SHAPE_DTYPES = ("u1", "<u2", "<u4", "<u8")
_VALUE_DTYPES = {
    8: "u1", 9: "i1", 16: "<u2", 17: "<i2", 18: "<f2", 32: "<u4", 33: "<i4", 34: "<f4", 64: "<u8", 65: "<i8", 66: "<f8",
}  # fmt: skip
_SCALARS = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
_MODES = {"L": 1, "RGB": 3, "RGBA": 4}
_KNOWN = (
    "bytes",
    "str",
    "int",
    "ndarray",
    *_SCALARS,
    "str_int",
    "str_float",
    "str_decimal",
    "jpeg",
    "png",
    "pil",
    "json",
)


class Column(NamedTuple):
    """One column of a shard."""

    name: str
    encoding: str
    size: int | None
    """Bytes of each value; None if they vary."""


class Shard(NamedTuple):
    """One file of samples."""

    folder: Path
    columns: tuple[Column, ...]
    raw: str
    packed: str | None
    compression: str | None
    samples: int


def find_mds(root: Path) -> dict[str, Path]:
    """Folders with an index of MDS shards, by split: the folder itself, or those of the splits in it."""
    if _is_index(root / "index.json"):
        return {split_of(root.name) or "train": root}
    found = {}
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        if _is_index(folder / "index.json"):
            found[split_of(folder.name) or folder.name] = folder
    return found


def plan_mds(folders: Mapping[str, Path]) -> Plan:
    """Plan the conversion of MDS datasets, one a split.

    Raises
    ------
    FormatError
        If an index is not one of MDS, or a column is pickled or of an unknown encoding.
    """
    shards = {split: read_index(folder) for split, folder in folders.items()}
    splits = {split: _reading(some) for split, some in shards.items()}
    rasters: dict[str, Any] = {}
    for some in shards.values():
        for shard in some[:1]:
            for _, fields in zip(range(1), _fields_of(shard), strict=False):
                rasters |= raster_tensors(fields)
    tensors = describe_first(splits, rasters=rasters)
    image = next((name for name, tensor in tensors.items() if tensor.role == "data"), None)
    label = next((name for name, tensor in tensors.items() if tensor.role == "label"), None)
    return Plan("mds", splits, tensors, image=image, label=label)


def read_index(folder: Path) -> list[Shard]:
    """Shards of an index.json, in their order.

    Raises
    ------
    FormatError
        If it is not one of MDS, names a file outside its folder, or has a column that cannot be read.
    """
    path = folder / "index.json"
    try:
        said = parse_json(path.read_bytes(), what=str(path))
        shards = []
        for entry in said["shards"]:
            if entry["format"] != "mds":
                raise FormatError(f"{path} has shards of the format {entry['format']!r}; expected mds")
            columns = tuple(
                Column(str(name), str(encoding), None if size is None else int(size))
                for name, encoding, size in zip(
                    entry["column_names"], entry["column_encodings"], entry["column_sizes"], strict=True
                )
            )
            packed = entry.get("zip_data")
            shards.append(
                Shard(
                    folder,
                    columns,
                    _plain_name(entry["raw_data"]["basename"], path),
                    None if packed is None else _plain_name(packed["basename"], path),
                    entry.get("compression"),
                    int(entry["samples"]),
                )
            )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path} is no index of MDS shards: {type(error).__name__}: {error}") from error
    for column in {column for shard in shards for column in shard.columns}:
        kind = column.encoding.partition(":")[0]
        if kind == "pkl":
            raise refuse_pickle(f"column {column.name!r} of {path}")
        if kind not in _KNOWN:
            raise FormatError(
                f"column {column.name!r} of {path} is encoded as {column.encoding!r}; known are {', '.join(_KNOWN)}"
            )
    return shards


def _is_index(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        said = json.loads(path.read_bytes())
        return isinstance(said, dict) and any(shard.get("format") == "mds" for shard in said.get("shards", []))
    except (ValueError, AttributeError, TypeError, RecursionError):
        return False


def _plain_name(name: Any, path: Path) -> str:
    if not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts or not name:
        raise FormatError(f"{path} names the shard {str(name)[:60]!r}, which leads out of its folder")
    return name


def _reading(shards: Sequence[Shard]) -> Samples:
    def read(skip: int) -> Generator[Sample, None, None]:
        number = 0
        for shard in shards:
            if number + shard.samples <= skip:
                number += shard.samples
                continue
            for fields in _fields_of(shard, first=max(0, skip - number)):
                yield Sample(fields.tensors, properties=fields.properties, **(place(fields.rasters) | fields.place))
            number += shard.samples

    return read


def _fields_of(shard: Shard, *, first: int = 0) -> Iterator[Fields]:
    data = _read_shard(shard)
    path = shard.folder / shard.raw
    head = np.frombuffer(data, "<u4", count=1) if len(data) >= 4 else np.zeros(0, "<u4")
    if not head.size or int(head[0]) != shard.samples or len(data) < 4 * (shard.samples + 2):
        raise FormatError(f"{path} does not hold the {shard.samples} samples that its index says; copy it again")
    offsets = np.frombuffer(data, "<u4", count=shard.samples + 1, offset=4).astype(np.int64)
    if (np.diff(offsets) < 0).any() or offsets[0] < 4 * (shard.samples + 2) or offsets[-1] > len(data):
        raise FormatError(f"{path}: the offsets of its samples leave the file; copy it again")
    for number in range(first, shard.samples):
        name = f"sample {number} of {path}"
        yield _decode(data[int(offsets[number]) : int(offsets[number + 1])], shard.columns, name)


def _read_shard(shard: Shard) -> bytes:
    """Bytes of a shard, unpacked if need be."""
    raw = shard.folder / shard.raw
    if raw.is_file():
        return raw.read_bytes()
    packed = shard.folder / shard.packed if shard.packed else None
    if packed is None or not packed.is_file():
        raise MissingFileError(f"shard {raw} is not there; the index names it: copy the dataset again")
    kind = (shard.compression or packed.suffix.lstrip(".")).partition(":")[0]
    if kind in ("gz", "gzip"):
        return gzip.decompress(packed.read_bytes())
    if kind in ("zstd", "zst"):
        try:
            import zstandard
        except ModuleNotFoundError as error:
            raise MissingPackageError(f"{packed} is packed with zstd; run: pip install zstandard") from error
        with zstandard.ZstdDecompressor().stream_reader(packed.read_bytes(), read_across_frames=True) as reader:
            return bytes(reader.read())
    if kind == "bz2":
        import bz2

        return bz2.decompress(packed.read_bytes())
    raise FormatError(f"{packed} is packed with {kind!r}; unpack it first, known are gz, bz2 and zstd")


def _decode(data: bytes, columns: Sequence[Column], name: str) -> Fields:
    varying = sum(column.size is None for column in columns)
    sizes = iter(np.frombuffer(data, "<u4", count=varying).tolist() if len(data) >= 4 * varying else [])
    fields, at = Fields(name), 4 * varying
    for column in columns:
        size = column.size if column.size is not None else next(sizes, -1)
        if size < 0 or at + size > len(data):
            raise FormatError(f"{name}: column {column.name!r} leaves the sample; copy the shard again")
        try:
            _add(fields, column, data[at : at + size])
        except (ValueError, IndexError, KeyError, UnicodeDecodeError) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(f"{name}: column {column.name!r} is not {column.encoding}: {error}") from error
        at += size
    if not fields.tensors:  # columns alone: the numbers are what there is to learn
        for key, value in list(fields.properties.items()):
            if not isinstance(value, str):
                fields.add(field_name(key), np.asarray(fields.properties.pop(key)))
    return fields


def _add(fields: Fields, column: Column, data: bytes) -> None:
    kind, _, rest = column.encoding.partition(":")
    name = field_name(column.name)
    if kind == "ndarray":
        fields.add(name, _array(data, rest))
    elif kind == "pil":
        fields.add(name, _picture(data))
    elif kind in ("bytes", "jpeg", "png"):
        fields.add(name, data)
    elif kind == "json":
        said = parse_json(data, what=f"column {column.name!r} of {fields.name}")
        if isinstance(said, dict):
            fields.read_words(said)
        else:
            fields.tell(column.name, said)
    elif kind == "str":
        fields.tell(column.name, data.decode()) if _is_word(column.name) else fields.add(name, data.decode())
    elif kind == "int" or kind in _SCALARS:
        value = np.frombuffer(data, "<i8" if kind == "int" else np.dtype(kind).newbyteorder("<"))[0]
        _number(fields, column.name, value)
    else:
        text = data.decode()
        _number(fields, column.name, np.int64(int(text)) if kind == "str_int" else np.float64(float(text)))


def _number(fields: Fields, column: str, value: Any) -> None:
    """A label is a tensor, another number a column of the catalog."""
    if is_label_field(column):
        fields.add(field_name(column), value)
    else:
        fields.tell(column, value)


def _is_word(name: str) -> bool:
    """Whether a text says which sample it is, rather than what it shows."""
    return any(
        word in name.lower().split("_") for word in ("id", "name", "key", "file", "filename", "path", "split", "url")
    )


def _array(data: bytes, said: str) -> NDArray[Any]:
    """An array whose dtype and shape the column says, or each value."""
    words = said.split(":") if said else []
    at = 0
    if words:
        dtype = np.dtype(words[0]).newbyteorder("<")
    else:
        dtype, at = np.dtype(_VALUE_DTYPES[data[0]]), 1
    if len(words) > 1:
        shape = tuple(int(size) for size in words[1].split(","))
    else:
        axes, width = data[at] >> 2, _SHAPE_DTYPES[data[at] % 4]
        at += 1
        shape = tuple(np.frombuffer(data, width, count=axes, offset=at).tolist())
        at += axes * np.dtype(width).itemsize
    return np.frombuffer(data, dtype, offset=at).reshape(shape)


def _picture(data: bytes) -> NDArray[Any]:
    """A picture of Pillow's, channel first."""
    width, height, length = np.frombuffer(data, "<u4", count=3).tolist()
    mode = data[12 : 12 + length].decode()
    if mode not in _MODES:
        raise ValueError(f"it is of mode {mode[:8]!r}; known are {', '.join(_MODES)}")
    pixels = np.frombuffer(data, np.uint8, offset=12 + length).reshape(height, width, _MODES[mode])
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
