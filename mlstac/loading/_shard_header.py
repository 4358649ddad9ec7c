"""A local shard's own header, looked at once when it is mapped: what stock safetensors refuses, this reader refuses."""

import numpy as np
from numpy.typing import NDArray

from mlstac.sample import header_length, read_header

PROMPT_BYTES = 64 * 1024
"""Headers up to this length cost a few milliseconds to read; one of 20,000 keyed tensors half a second."""


def check_header(data: NDArray[np.uint8], *, name: str, whole: bool) -> None:
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
        Read headers of any length; otherwise only the length of one past `PROMPT_BYTES` is checked.

    Raises
    ------
    ShardError
        If the header is longer than the file, is not JSON, has a key twice, or its tensors overlap, leave holes or
        leave the file.
    """
    length = header_length(data[:8].tobytes(), file_size=len(data), name=name)
    if whole or length <= PROMPT_BYTES:
        read_header(data.data[: 8 + length], file_size=len(data), name=name)
