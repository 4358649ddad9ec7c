"""One sample of the original ML-STAC: a safetensors file, as it is or under gzip."""

import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import ShardError
from mlstac.sample import Header, described_size, read_header

_GZIP = b"\x1f\x8b"
_STEP_BYTES = 1024 * 1024
_MEND = "fetch the file again, or have its author write it again"

LIMIT_BYTES = 4 * 1024**3
"""No sample's file is larger, stored or unpacked."""


class SampleFile(NamedTuple):
    """A sample's file in memory, unpacked."""

    name: str
    """Its path or URL, for messages."""
    header: Header
    data: NDArray[np.uint8]
    """All of it: the header's entries count from its first byte."""


def open_sample(stored: bytes | memoryview, *, name: str) -> SampleFile:
    """Unpack a sample's file, and read its header.

    Parameters
    ----------
    stored : bytes-like
        The whole file; gzip is known by its first two bytes.
    name : str
        The file, for messages.

    Raises
    ------
    ShardError
        If it is no safetensors file, or its gzip is damaged, cut short, or longer than the header inside it says.
    """
    data = _unpack(stored, name) if bytes(stored[:2]) == _GZIP else stored
    view = memoryview(data)
    header = read_header(view, file_size=len(view), name=name)
    return SampleFile(name, header, np.frombuffer(view, np.uint8))


def open_head(stored: bytes | memoryview, *, name: str, file_size: int) -> Header | None:
    """Header of a sample's file of which the beginning is at hand; None if that does not reach its end.

    Parameters
    ----------
    stored : bytes-like
        The beginning of the file.
    name : str
        The file, for messages.
    file_size : int
        Bytes of the whole file as stored.

    Raises
    ------
    ShardError
        As of `open_sample`; what follows the header is not looked at.
    """
    if bytes(stored[:2]) != _GZIP:
        size = described_size(stored, name=name)
        if size is None:
            if len(stored) >= file_size:
                read_header(stored, file_size=file_size, name=name)  # which says what is wrong
            return None
        return read_header(stored, file_size=file_size, name=name)
    data = bytearray()
    machine = zlib.decompressobj(wbits=31)
    rest: bytes | memoryview = stored
    while True:
        try:
            piece = machine.decompress(rest, _STEP_BYTES)
        except zlib.error as error:
            raise ShardError(f"{name}: its gzip is damaged ({error}); {_MEND}") from None
        data += piece
        size = described_size(memoryview(data), name=name)
        if size is not None:
            return read_header(memoryview(data), file_size=size, name=name)
        rest = machine.unconsumed_tail
        if machine.eof or not piece:
            break
    if machine.eof or len(stored) >= file_size:
        raise ShardError(f"{name}: its gzip ends inside the header of the safetensors file; {_MEND}")
    return None


def _unpack(stored: bytes | memoryview, name: str) -> bytearray:
    """Unpack gzip, no further than the header inside it goes: a small file may be made to unpack to terabytes."""
    data = bytearray()
    limit: int | None = None
    rest: bytes | memoryview = stored
    while len(rest):
        machine = zlib.decompressobj(wbits=31)
        while True:
            try:
                piece = machine.decompress(rest, _STEP_BYTES)
            except zlib.error as error:
                raise ShardError(f"{name}: its gzip is damaged ({error}); {_MEND}") from None
            data += piece
            rest = machine.unconsumed_tail
            if limit is None:
                limit = described_size(memoryview(data), name=name)
            if len(data) > (LIMIT_BYTES if limit is None else limit):
                raise ShardError(
                    f"{name}: it unpacks to more than the {limit or LIMIT_BYTES:,} bytes of a sample; {_MEND}"
                )
            if machine.eof:
                break
            if not piece and not rest:
                raise ShardError(f"{name}: its gzip is cut short; {_MEND}")
        rest = machine.unused_data.lstrip(b"\0")  # gzip allows zeros after its end, and more of it
    return data
