"""The dtype names of safetensors, and the numpy dtypes that hold them."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import DtypeError, FormatError, MissingPackageError

NATIVE = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "F16": "float16",
    "U32": "uint32",
    "I32": "int32",
    "F32": "float32",
    "C64": "complex64",
    "U64": "uint64",
    "I64": "int64",
    "F64": "float64",
}
"""Names that numpy knows by itself."""

EXTENDED = {
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",  # the dialect without infinities, as torch and jax call it
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
}
"""Names that numpy knows through the package ``ml_dtypes``."""

SUB_BYTE = ("F4", "F6_E2M3", "F6_E3M2")
"""Names whose elements are no whole bytes: no framework holds them as they lie in the file."""


def check_known(dtype: str, *, framework: str) -> None:
    """Refuse a name that is no dtype of safetensors, and those that no framework holds.

    Raises
    ------
    DtypeError
        The message says which of the two it is.
    """
    if dtype in SUB_BYTE:
        raise DtypeError(
            f"{framework} cannot hold dtype {dtype}: its elements are packed across bytes, and mlstac does not unpack "
            "them; store the values as F8_E4M3, or the packed bytes as U8"
        )
    if dtype not in NATIVE and dtype not in EXTENDED:
        raise DtypeError(f"{dtype!r} is no dtype of safetensors; it has {', '.join((*NATIVE, *EXTENDED, *SUB_BYTE))}")


def check_truths(buffer: NDArray[np.uint8], dtype: str) -> None:
    """Refuse a BOOL that is neither 0 nor 1: compiled code takes such a byte for true here and for its number there.

    Raises
    ------
    FormatError
        The message names the byte.
    """
    if dtype == "BOOL" and buffer.size and buffer.max() > 1:
        raise FormatError(f"a BOOL is stored as byte {buffer.max()}; it must be 0 or 1. Was the tensor meant to be U8?")


@cache
def numpy_dtype(dtype: str) -> np.dtype[Any]:
    """Numpy dtype, little-endian, of a safetensors name.

    Raises
    ------
    DtypeError
        If numpy holds no such dtype (F4, F6).
    MissingPackageError
        If it needs ``ml_dtypes`` and that is not installed.
    """
    check_known(dtype, framework="numpy")
    if dtype in NATIVE:
        return np.dtype(np.dtype(NATIVE[dtype]).newbyteorder("<").str)  # by its word: "native" where that is the same
    try:
        import ml_dtypes
    except ModuleNotFoundError as error:
        if error.name != "ml_dtypes":
            raise
        raise MissingPackageError(f"numpy holds {dtype} through ml_dtypes; run: pip install ml_dtypes") from error
    return np.dtype(getattr(ml_dtypes, EXTENDED[dtype]))


@cache
def safetensors_name(dtype: np.dtype[Any]) -> str | None:
    """Name that safetensors gives a numpy dtype (of either byte order), or None if it has none."""
    word = dtype.name
    return next((name for name, numpy_word in (NATIVE | EXTENDED).items() if numpy_word == word), None)
