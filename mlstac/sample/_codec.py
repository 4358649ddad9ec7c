"""One frame of a compressed file: made, and undone into memory that its reader gives.

A frame says in its own header how long its contents are. That is checked against what the catalog promises before any
memory is asked for, so that a frame of a few bytes cannot become gigabytes.
"""

import threading
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import ShardError
from mlstac.sample._compression import GZIP, import_zstandard
from mlstac.sample._header import MAX_HEADER_BYTES, header_length

__all__ = [
    "MAX_EXPANSION",
    "SHARED_FRAME_BYTES",
    "Frame",
    "compress_frame",
    "decompress_frame",
    "frame_contents",
    "undo_file",
    "undo_gzip_file",
    "undo_header",
    "undo_shared",
    "walk_frames",
]

Bytes = NDArray[np.uint8]

SHARED_FRAME_BYTES = 256 * 1024
"""Contents of a frame that several tensors share, at most: what it costs to read the smallest of them."""

MAX_EXPANSION = 1 << 15
"""A frame's contents are less than this many times its bytes: a zstd block holds 128 KiB at most, and takes 4 bytes at
least; deflate reaches 1,032."""

_WINDOW_BYTES = 128 * 2**20  # zstd's own default limit; the library's writers need no more than a frame's contents
_HEAD_BYTES = 18  # of the longest header of a frame
_REPEATED, _RESERVED = 1, 3  # kinds of blocks
_UNKNOWN = 2**64 - 2  # zstd's words for "not said" and "no frame" are the two largest numbers

_local = threading.local()


class Frame(NamedTuple):
    """Where a frame lies, and how much is in it."""

    start: int
    """First byte in the file."""
    length: int
    """Stored bytes."""
    contents: int
    """Bytes that it decompresses to."""


def compress_frame(data: Bytes, level: int) -> bytes:
    """Make one zstd frame, with the length of its contents and their checksum.

    The same bytes for the same contents, level and version of zstd, whatever the thread.
    """
    known: dict[int, Any] = _local.__dict__.setdefault("compressors", {})
    if level not in known:
        package = import_zstandard("writing compressed shards")
        known[level] = package.ZstdCompressor(level=level, write_checksum=True, write_content_size=True)
    frame: bytes = known[level].compress(data)
    return frame


def frame_contents(stored: Bytes) -> int:
    """Bytes that a zstd frame says it decompresses to, from its header alone.

    Raises
    ------
    ShardError
        If there is no zstd frame, or it does not say.
    """
    return _read_head(stored.data, 0).contents


class _Head(NamedTuple):
    length: int
    contents: int
    has_checksum: bool


def _read_head(view: memoryview, at: int) -> _Head:
    """The header of the frame that begins there."""
    package = import_zstandard("reading compressed shards")
    head = view[at : at + _HEAD_BYTES]
    try:
        found = package.get_frame_parameters(head)
        length = int(package.frame_header_size(head))
    except (package.ZstdError, ValueError) as error:
        raise ShardError(f"there is no zstd frame ({error})") from None
    if found.content_size >= _UNKNOWN:
        raise ShardError("the zstd frame does not say how long its contents are")
    return _Head(length, int(found.content_size), bool(found.has_checksum))


def _frame_end(view: memoryview, at: int, head: _Head) -> int:
    """Where a frame ends, by the lengths of its blocks."""
    stop, last = at + head.length, False
    while not last:
        block = int.from_bytes(view[stop : stop + 3], "little")
        last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
        stop += 3 + (1 if kind == _REPEATED else size)  # a block of one byte repeated stores that byte alone
        if kind == _RESERVED or stop > len(view):
            raise ShardError("the zstd frame is damaged or broken off")
    stop += 4 if head.has_checksum else 0
    if stop > len(view):
        raise ShardError("the zstd frame is broken off")
    return stop


def decompress_frame(stored: Bytes, out: Bytes) -> None:
    """Undo a zstd frame straight into ``out``, which it must fill exactly. Lets other threads run meanwhile.

    What follows the frame in ``stored`` is left alone.

    Raises
    ------
    ShardError
        If it is damaged, broken off, or of another length.
    """
    head = _read_head(stored.data, 0)
    if head.contents != len(out):
        raise ShardError(f"the zstd frame holds {head.contents:,} bytes; expected {len(out):,}")
    end = _frame_end(stored.data, 0, head)
    if not len(out):
        return
    package = import_zstandard("reading compressed shards")
    decompressor = _local.__dict__.get("decompressor")
    if decompressor is None:
        decompressor = _local.decompressor = package.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
    try:
        filled = 0
        # a frame that is whole, and room for all of it: so zstd needs no window of its own, and checks its checksum
        with decompressor.stream_reader(stored[:end].data, closefd=False) as reader:
            while filled < len(out):
                count = reader.readinto(out[filled:].data)
                if not count:
                    raise ShardError(f"the zstd frame is broken off: {filled:,} of its {len(out):,} bytes are there")
                filled += count
    except package.ZstdError as error:
        raise ShardError(f"the zstd frame is damaged ({error})") from None


def undo_header(data: Bytes, codec: str, *, limit: int | None = None) -> bytes | None:
    """The safetensors header at the beginning of a compressed file, its length included.

    Parameters
    ----------
    data : numpy.ndarray, shape (n,), uint8
        The file, or as much of it as holds the first frame.
    codec : {"zstd", "gzip"}
    limit : int, optional
        Longest header that is undone; the format's own limit of 100 MB by default.

    Returns
    -------
    bytes or None
        None where it is longer than ``limit``.

    Raises
    ------
    ShardError
        If there is no such frame, it is damaged, or it is shorter than the header says.
    """
    if codec == GZIP:
        length = header_length(_undo_gzip(data, 8).data, file_size=None, name="the header")
        if limit is not None and length > limit:
            return None
        return _undo_gzip(data, 8 + length).tobytes()
    contents = frame_contents(data)
    if limit is not None and contents > limit + 8:
        return None
    if contents > MAX_HEADER_BYTES + 8:
        raise ShardError(f"the first frame holds {contents:,} bytes, more than any safetensors header")
    found = np.empty(contents, np.uint8)
    decompress_frame(data, found)
    length = header_length(found[:8].data, file_size=None, name="the header")
    if length + 8 > contents:
        raise ShardError(f"the first frame holds {contents:,} bytes; the header is said to take {8 + length:,}")
    return found[: 8 + length].tobytes()


def _undo_gzip(stored: Bytes, length: int) -> Bytes:
    """The first bytes of a gzip file's contents; no more of it is undone than that.

    Raises
    ------
    ShardError
        If it is damaged, or has fewer.
    """
    undoing = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        found = undoing.decompress(stored.data, length) if length else b""
    except zlib.error as error:
        raise ShardError(f"the gzip file is damaged ({error})") from None
    if len(found) < length:
        raise ShardError(f"the gzip file is broken off: it holds {len(found):,} bytes; expected at least {length:,}")
    return np.frombuffer(found, np.uint8)


def undo_gzip_file(data: Bytes, *, at_most: int, name: str) -> Bytes:
    """The plain file of a gzip file, all of it in memory, and held against the file's own checksum.

    Parameters
    ----------
    data : numpy.ndarray, shape (n,), uint8
        The whole file.
    at_most : int
        Longest plain file that is undone, in bytes.
    name : str
        Its path or URL, for messages.

    Raises
    ------
    ShardError
        If it is damaged or broken off, more follows it, or it holds more than ``at_most``.
    """
    undoing = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        found = undoing.decompress(data.data, at_most + 1)
    except zlib.error as error:
        raise ShardError(f"{name}: the gzip file is damaged ({error}); fetch the file again") from None
    if len(found) > at_most:
        raise ShardError(f"{name} holds more than the {at_most:,} bytes that are undone; write smaller shards")
    if not undoing.eof:
        raise ShardError(f"{name}: the gzip file is broken off; fetch the file again")
    if undoing.unused_data:
        raise ShardError(
            f"{name}: {len(undoing.unused_data):,} bytes follow the gzip file's end; compress the shard as one"
        )
    return np.frombuffer(found, np.uint8)


def undo_shared(stored: Bytes, codec: str, *, at_least: int, at_most: int = SHARED_FRAME_BYTES) -> Bytes:
    """Contents of a frame that several tensors may share: as far as they are needed, or all of a zstd frame.

    Parameters
    ----------
    stored : numpy.ndarray, shape (n,), uint8
    codec : {"zstd", "gzip"}
    at_least : int
        Bytes of the contents that are needed.
    at_most : int
        Longest contents of a zstd frame that are undone.

    Raises
    ------
    ShardError
        If there are fewer than that, or a zstd frame holds more.
    """
    if codec == GZIP:
        return _undo_gzip(stored, at_least)
    contents = frame_contents(stored)
    if not at_least <= contents <= at_most:
        raise ShardError(
            f"the zstd frame holds {contents:,} bytes; expected at least {at_least:,}, and at most {at_most:,}"
        )
    scratch = np.empty(contents, np.uint8)
    decompress_frame(stored, scratch)
    return scratch


def walk_frames(data: Bytes, *, name: str) -> Iterator[Frame]:
    """Yield every frame of a zstd file, without undoing any.

    Parameters
    ----------
    data : numpy.ndarray, shape (n,), uint8
        The whole file.
    name : str
        Its path or URL, for messages.

    Raises
    ------
    ShardError
        If the bytes are not frames from end to end, or one does not say how long its contents are.

    References
    ----------
    RFC 8878, sections 3.1.1 (frames) and 3.1.1.2 (blocks).
    """
    at, view = 0, data.data
    while at < len(view):
        try:
            head = _read_head(view, at)
            stop = _frame_end(view, at, head)
        except ShardError as error:
            raise ShardError(f"{name}, byte {at:,}: {error}; fetch the file again") from None
        yield Frame(at, stop - at, head.contents)
        at = stop


def undo_file(data: Bytes, *, name: str) -> tuple[Bytes, dict[int, int]]:
    """The plain file of a zstd file, all of it in memory.

    Parameters
    ----------
    data : numpy.ndarray, shape (n,), uint8
        The whole file.
    name : str
        Its path or URL, for messages.

    Returns
    -------
    plain : numpy.ndarray, shape (m,), uint8
    begins : dict of int to int
        First byte of each frame -> that of its contents in the plain file.

    Raises
    ------
    ShardError
        If a frame is damaged, or is of a size that no frame of its length can have.
    """
    frames = list(walk_frames(data, name=name))
    for frame in frames:
        if frame.contents > frame.length * MAX_EXPANSION:
            raise ShardError(
                f"{name}, byte {frame.start:,}: no frame of {frame.length:,} bytes holds {frame.contents:,}"
            )
    plain = np.empty(sum(frame.contents for frame in frames), np.uint8)
    begins, at = {}, 0
    for frame in frames:
        begins[frame.start] = at
        try:
            decompress_frame(data[frame.start : frame.start + frame.length], plain[at : at + frame.contents])
        except ShardError as error:
            raise ShardError(f"{name}, byte {frame.start:,}: {error}; fetch the file again") from None
        at += frame.contents
    return plain, begins
