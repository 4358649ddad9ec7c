"""How many bytes a tensor takes: the 22 dtypes of safetensors, their bits and their alignment."""

from collections.abc import Sequence

from mlstac.collection import DTYPES

__all__ = ["alignment", "count_bits", "count_bytes"]

# The header's own arithmetic is done in unbounded integers; this bounds the answer, so that a hostile shape cannot
# make a number of a million digits. No file system holds more than 2**63 bytes.
MAX_BITS = 2**66


def count_bits(dtype: str, shape: Sequence[int]) -> int:
    """Bits that a tensor takes; exact for sub-byte dtypes, and never overflows.

    Parameters
    ----------
    dtype : str
        A safetensors name, e.g. ``"U16"``.
    shape : sequence of int
        Lengths of the axes, each at least 0; ``()`` is a scalar.

    Raises
    ------
    KeyError
        If the dtype is not one of safetensors' 22.
    OverflowError
        If the product passes 2**66 bits.
    """
    if 0 in shape:
        return 0
    bits = DTYPES[dtype]
    for length in shape:
        bits *= length
        if bits > MAX_BITS:
            raise OverflowError(f"shape {list(shape)} of {dtype} is larger than any file")
    return bits


def count_bytes(dtype: str, shape: Sequence[int]) -> int:
    """Bytes that a tensor takes.

    Raises
    ------
    ValueError
        If a sub-byte dtype does not fill whole bytes, e.g. three ``F4`` values (12 bits).
    """
    bits = count_bits(dtype, shape)
    if bits % 8:
        raise ValueError(f"{dtype} of shape {list(shape)} takes {bits} bits, which is not a whole number of bytes")
    return bits // 8


def alignment(dtype: str) -> int:
    """Bytes to which the first byte of a tensor is aligned: its itemsize, and 1 for sub-byte dtypes."""
    return max(1, DTYPES[dtype] // 8)
