"""A local shard's own header, looked at once when it is mapped: what stock safetensors refuses, this reader refuses."""

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import ShardError
from mlstac.sample import ZSTD, header_length, read_header, undo_header, walk_frames

PROMPT_BYTES = 64 * 1024
"""Headers up to this length cost a few milliseconds to read; one of 20,000 keyed tensors half a second."""


def check_header(data: NDArray[np.uint8], *, name: str, whole: bool, codec: str | None = None) -> None:
    """Check that a shard begins with a sound safetensors header.

    Samples are read by the catalog's addresses alone, so a damaged header would go unnoticed here and stop every other
    reader of the file.

    Parameters
    ----------
    data : numpy.ndarray, shape (n,), uint8
        The whole file.
    name : str
        The file, for messages.
    whole : bool
        Read headers of any length; otherwise only the length of one past `PROMPT_BYTES` is checked. Of a zstd file
        all frames are then looked for too.
    codec : {"zstd", "gzip"}, optional
        How the file is compressed.

    Raises
    ------
    ShardError
        If the header is longer than the file, is not JSON, has a key twice, or its tensors overlap, leave holes or
        leave the file.
    """
    if codec is not None:
        _check_compressed(data, name=name, whole=whole, codec=codec)
        return
    length = header_length(data[:8].tobytes(), file_size=len(data), name=name)
    if whole or length <= PROMPT_BYTES:
        read_header(data.data[: 8 + length], file_size=len(data), name=name)


def _check_compressed(data: NDArray[np.uint8], *, name: str, whole: bool, codec: str) -> None:
    size = sum(frame.contents for frame in walk_frames(data, name=name)) if whole and codec == ZSTD else None
    try:
        header = undo_header(data, codec, limit=None if whole else PROMPT_BYTES)
    except ShardError as error:
        raise ShardError(f"{name}: {error}; fetch the file again") from None
    if header is not None:
        read_header(header, file_size=size, name=name)
