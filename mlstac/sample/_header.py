"""The header of a safetensors file: read with suspicion, written aligned.

A safetensors file is a little-endian u64 ``N``, ``N`` bytes of JSON, and the data. The stock reader accepts duplicate
keys (the last one wins); a file that two readers read differently is no archive, so this one refuses them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mlstac.collection import DTYPES
from mlstac.errors import InvalidArgumentError, ShardError
from mlstac.sample._dtypes import count_bits
from mlstac.sample._header_json import HeaderSyntaxError, parse_header

__all__ = [
    "DATA_ALIGNMENT",
    "MAX_HEADER_BYTES",
    "Entry",
    "Header",
    "build_header",
    "described_size",
    "header_length",
    "read_header",
]

MAX_HEADER_BYTES = 100_000_000
"""The stock library's own limit on ``N``."""

DATA_ALIGNMENT = 64
"""The data section of our own files starts at a multiple of this."""

_MEND = "fetch the file again, or have its author write it again"


class Entry(NamedTuple):
    """Where one tensor lies in its file."""

    dtype: str
    """A safetensors name, e.g. ``"U16"``."""
    shape: tuple[int, ...]
    start: int
    """First byte, counted from the beginning of the *file*."""
    stop: int
    """One past the last byte."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a safetensors header says, checked against the file's size."""

    entries: dict[str, Entry]
    """Tensors in the order of their data."""
    metadata: dict[str, str]
    """``__metadata__``; empty where the file has none."""
    data_start: int
    """Bytes before the data section: 8 + N."""
    file_size: int


def header_length(first8: bytes | memoryview, *, file_size: int | None, name: str) -> int:
    """Length N of the JSON header, from the first 8 bytes of the file.

    Parameters
    ----------
    first8 : bytes-like
        The first 8 bytes of the file, or more.
    file_size : int, optional
        Size of the whole file in bytes; None where it is not known, as of a compressed one.
    name : str
        The file's path or URL, for messages.

    Raises
    ------
    ShardError
        If the file is shorter than 8 bytes, or N passes its end or the format's limit of 100 MB.
    """
    file_size = MAX_HEADER_BYTES + 8 if file_size is None and len(first8) >= 8 else file_size or 0
    if file_size < 8 or len(first8) < 8:
        size = min(file_size, len(first8)) if len(first8) < 8 else file_size
        raise ShardError(
            f"{name}: {size} bytes are no safetensors file, whose first 8 bytes are the length of its header; {_MEND}"
        )
    length = int.from_bytes(bytes(first8[:8]), "little")
    if length > file_size - 8:
        raise ShardError(
            f"{name}: the header is said to take {length:,} bytes, but the file has {file_size - 8:,} after the length "
            f"itself; the file is truncated or no safetensors file; {_MEND}"
        )
    if length > MAX_HEADER_BYTES:
        raise ShardError(
            f"{name}: the header is said to take {length:,} bytes; safetensors allows {MAX_HEADER_BYTES:,}; {_MEND}"
        )
    return length


def read_header(prefix: bytes | memoryview, *, file_size: int | None, name: str) -> Header:
    """Read and check the header of a safetensors file.

    Parameters
    ----------
    prefix : bytes-like
        The file's first ``8 + N`` bytes or more; :func:`header_length` gives N.
    file_size : int, optional
        Size of the whole file in bytes; None where it is not known, as of a compressed one: then it is taken to end
        where the last tensor does.
    name : str
        The file's path or URL, for messages.

    Returns
    -------
    Header
        With byte offsets counted from the beginning of the file. Tensors cover the data section exactly.

    Raises
    ------
    ShardError
        If the header is not JSON of the format's form, names a tensor twice, has an unknown dtype, or if tensors
        overlap, leave a hole, leave the file or do not have the bytes that their shape takes.
    InvalidArgumentError
        If `prefix` is shorter than the header, though the file is not.

    References
    ----------
    https://github.com/huggingface/safetensors#format
    """
    length = header_length(prefix, file_size=file_size, name=name)
    if len(prefix) < 8 + length:
        raise InvalidArgumentError(f"{name}: pass the first {8 + length:,} bytes, header included; got {len(prefix):,}")
    try:
        raw, metadata = parse_header(bytes(prefix[8 : 8 + length]))
    except HeaderSyntaxError as error:
        raise ShardError(f"{name}: the header is not that of a safetensors file: {error}; {_MEND}") from None
    data_start = 8 + length
    entries = {key: _check_entry(name, key, *value, data_start=data_start) for key, value in raw.items()}
    if file_size is None:
        file_size = max((entry.stop for entry in entries.values()), default=data_start)
    return Header(_check_cover(name, entries, data_start, file_size), metadata, data_start, file_size)


def described_size(prefix: bytes | memoryview, *, name: str) -> int | None:
    """Size in bytes of the file that a header describes; None while `prefix` is shorter than the header.

    For a file that is still compressed, whose size nobody says.

    Raises
    ------
    ShardError
        As of `header_length` and `read_header`.
    """
    if len(prefix) < 8:
        return None
    end = 8 + header_length(prefix, file_size=MAX_HEADER_BYTES + 9, name=name)
    if len(prefix) < end:
        return None
    try:
        raw, _ = parse_header(bytes(prefix[8:end]))
    except HeaderSyntaxError as error:
        raise ShardError(f"{name}: the header is not that of a safetensors file: {error}; {_MEND}") from None
    return end + max((entry[3] for entry in raw.values()), default=0)


def build_header(entries: Sequence[tuple[str, str, Sequence[int]]], metadata: Mapping[str, str] | None = None) -> bytes:
    """Build the header of a safetensors file, its length included.

    Parameters
    ----------
    entries : sequence of (name, dtype, shape)
        In the order of the data, which follows without a gap.
    metadata : mapping of str to str, optional
        Written as ``__metadata__``.

    Returns
    -------
    bytes
        The 8 bytes of length and the JSON, padded with spaces so that the data section starts 64-byte aligned.

    Raises
    ------
    InvalidArgumentError
        If a name is given twice or is ``__metadata__``, a dtype is unknown, a tensor does not fill whole bytes, or the
        header would pass 100 MB.
    """
    parts: list[str] = []
    if metadata:
        parts.append(f'"__metadata__":{json.dumps(dict(metadata), ensure_ascii=False, separators=(",", ":"))}')
    names = {"__metadata__"}
    at = 0
    for name, dtype, shape in entries:
        if name in names:
            raise InvalidArgumentError(f"tensor {name!r} is given twice, or its name is reserved; rename it")
        names.add(name)
        stop = at + _whole_bytes(name, dtype, shape)
        key, lengths = json.dumps(name, ensure_ascii=False), ",".join(str(int(length)) for length in shape)
        parts.append(f'{key}:{{"dtype":"{dtype}","shape":[{lengths}],"data_offsets":[{at},{stop}]}}')
        at = stop
    text = ("{" + ",".join(parts) + "}").encode()
    # The format lets the JSON end in spaces; a header must not start with them.
    text += b" " * (-(8 + len(text)) % DATA_ALIGNMENT)
    if len(text) > MAX_HEADER_BYTES:
        raise InvalidArgumentError(
            f"{len(names) - 1:,} tensors need a header of {len(text):,} bytes; safetensors allows "
            f"{MAX_HEADER_BYTES:,}: put fewer tensors in a shard"
        )
    return len(text).to_bytes(8, "little") + text


def _whole_bytes(name: str, dtype: str, shape: Sequence[int]) -> int:
    if dtype not in DTYPES:
        raise InvalidArgumentError(f"tensor {name!r} has dtype {dtype!r}; safetensors has {', '.join(DTYPES)}")
    bits = count_bits(dtype, shape)
    if bits % 8:
        raise InvalidArgumentError(
            f"tensor {name!r} of {dtype} and shape {list(shape)} takes {bits} bits, not whole bytes; pad its last axis"
        )
    return bits // 8


def _check_entry(
    name: str, key: str, dtype: str, shape: tuple[int, ...], begin: int, end: int, *, data_start: int
) -> Entry:
    if dtype not in DTYPES:
        raise ShardError(
            f"{name}: tensor {key!r} has dtype {dtype[:40]!r}; safetensors has {', '.join(DTYPES)}; {_MEND}"
        )
    if begin > end:
        raise ShardError(f"{name}: tensor {key!r} ends at byte {end}, before it begins at {begin}; {_MEND}")
    try:
        bits = count_bits(dtype, shape)
    except OverflowError as error:
        raise ShardError(f"{name}: tensor {key!r}: {error}; {_MEND}") from None
    if bits % 8:
        raise ShardError(f"{name}: tensor {key!r} of {dtype} takes {bits} bits, which are not whole bytes; {_MEND}")
    if bits // 8 != end - begin:
        raise ShardError(
            f"{name}: tensor {key!r} of {dtype} and shape {list(shape)} takes {bits // 8:,} bytes, but is given "
            f"{end - begin:,}; {_MEND}"
        )
    return Entry(dtype, shape, data_start + begin, data_start + end)


def _check_cover(name: str, entries: dict[str, Entry], data_start: int, file_size: int) -> dict[str, Entry]:
    """Entries in the order of their data, which must follow each other from the header to the end of the file."""
    ordered = sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop))
    at, last = data_start, "the header"
    for key, entry in ordered:
        if entry.stop > file_size:
            raise ShardError(
                f"{name}: tensor {key!r} ends at byte {entry.stop:,}, but the file has {file_size:,}; the file is "
                f"truncated or its header wrong; {_MEND}"
            )
        if entry.start != at:
            what = "overlaps" if entry.start < at else f"leaves a hole of {entry.start - at:,} bytes after"
            raise ShardError(
                f"{name}: tensor {key!r} {what} {last}: it starts at byte {entry.start:,}, expected {at:,}; {_MEND}"
            )
        at, last = entry.stop, repr(key)
    if at != file_size:
        raise ShardError(
            f"{name}: {file_size - at:,} bytes follow the last tensor, where the file should end ({at:,}); {_MEND}"
        )
    return dict(ordered)
