"""Bit patterns of every dtype, the awkward ones above all, and what each framework is to make of a dtype."""

import math

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

FRAMEWORKS = ("numpy", "torch", "tensorflow", "jax", "paddle")

WIDTHS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 1),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 2),
    **dict.fromkeys(("I32", "U32", "F32"), 4),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 8),
}
"""Bytes of an element; F4 and F6, which no framework is to hold, have none."""

SUB_BYTE = ("F4", "F6_E2M3", "F6_E3M2")

NUMPY_DTYPES = {
    "BOOL": "?",
    **{f"{kind.upper()}{8 * width}": f"<{kind}{width}" for kind in "ui" for width in (1, 2, 4, 8)},
    **{f"F{8 * width}": f"<f{width}" for width in (2, 4, 8)},
    "C64": "<c8",
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E8M0": ml_dtypes.float8_e8m0fnu,
    "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
}
NUMPY_DTYPES = {name: np.dtype(dtype) for name, dtype in NUMPY_DTYPES.items()}

# Elements, as unsigned integers of the dtype's width, that conversions by value are prone to lose.
_FLOAT_PATTERNS = {
    # zeros of both signs, smallest and largest subnormal, largest finite, infinities, NaNs: quiet, signalling, payloads
    "F16": (0, 0x8000, 1, 0x83FF, 0x7BFF, 0x7C00, 0xFC00, 0x7E00, 0x7C01, 0xFDFF, 0x7FFF),
    "BF16": (0, 0x8000, 1, 0x807F, 0x7F7F, 0x7F80, 0xFF80, 0x7FC0, 0x7F81, 0xFFBF, 0x7FFF),
    "F32": (
        0,
        1 << 31,
        1,
        0x807FFFFF,
        0x7F7FFFFF,
        0x7F800000,
        0xFF800000,
        0x7FC00000,
        0x7F800001,
        0xFFBFFFFF,
        0x7FD1CE55,
    ),
    "F64": (
        0,
        1 << 63,
        1,
        0x800FFFFFFFFFFFFF,
        0x7FEFFFFFFFFFFFFF,
        0x7FF << 52,
        0xFFF << 52,
        0x7FF8 << 48,
        (0x7FF << 52) + 1,
    ),
    "C64": (0, (1 << 63) | (1 << 31), 1, (0x7F800001 << 32) | 0xFFBFFFFF, (0x7FC00000 << 32) | 0x7F800000),
}


def elements(dtype: str) -> st.SearchStrategy[int]:
    """Unsigned integers that are the bits of one element."""
    if dtype == "BOOL":
        return st.integers(0, 1)
    bits = 8 * WIDTHS[dtype]
    awkward = _FLOAT_PATTERNS.get(dtype, (0, 1, (1 << bits) - 1, 1 << (bits - 1), (1 << (bits - 1)) - 1))
    return st.sampled_from(awkward) | st.integers(0, (1 << bits) - 1)


@st.composite
def tensors(draw, dtype: str) -> tuple[tuple[int, ...], np.ndarray]:
    """A shape, of no, one or several axes, empty ones among them, and little-endian bytes that fill it."""
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    count = math.prod(shape)
    values = draw(st.lists(elements(dtype), min_size=count, max_size=count))
    data = b"".join(value.to_bytes(WIDTHS[dtype], "little") for value in values)
    return shape, np.frombuffer(data, np.uint8)


def raw_bytes(tensor) -> bytes:
    """The bytes of a tensor of any framework, by that framework's own way out, none of ours."""
    origin = type(tensor).__module__.partition(".")[0]
    if origin == "torch":
        import torch

        flat = tensor.detach().cpu().contiguous().reshape(-1)
        return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return np.asarray(tensor.numpy() if hasattr(tensor, "numpy") else tensor).tobytes()
