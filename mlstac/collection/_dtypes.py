"""Element types: safetensors' names, their sizes, and what numpy and STAC call them."""

from __future__ import annotations

import difflib
from typing import Any, Final

from mlstac.errors import InvalidArgumentError

DTYPES: Final[dict[str, int]] = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E5M2FNUZ": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
"""Bits of one element of each dtype, by the name that safetensors gives it."""

_NUMPY_NAMES: Final[dict[str, str]] = {
    "bool": "BOOL",
    "bool_": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "uint32": "U32",
    "int32": "I32",
    "uint64": "U64",
    "int64": "I64",
    "float16": "F16",
    "half": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
    "double": "F64",
    "float": "F64",
    "int": "I64",
    "complex64": "C64",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e8m0fnu": "F8_E8M0",
    "float4_e2m1fn": "F4",
    "float6_e2m3fn": "F6_E2M3",
    "float6_e3m2fn": "F6_E3M2",
}

# STAC 1.1, common metadata, "data types"; what is not there is "other"
_STAC_WORDS: Final[dict[str, str]] = {
    name: word
    for word, name in _NUMPY_NAMES.items()
    if word
    in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64")
} | {"C64": "cfloat32"}

INTEGERS: Final = frozenset({"BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"})


def check_dtype(dtype: Any) -> str:
    """Give safetensors' name of a dtype.

    Parameters
    ----------
    dtype : str, numpy.dtype or type
        ``"U16"``, ``"uint16"``, ``numpy.uint16``, ``numpy.dtype("<u2")``, ``"torch.bfloat16"``.

    Raises
    ------
    InvalidArgumentError
        If safetensors cannot hold it; the message lists the names.
    """
    text = (
        dtype
        if isinstance(dtype, str)
        else getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or str(dtype)
    )
    text = str(text)
    if text.upper() in DTYPES:
        return text.upper()
    plain = text.rpartition(".")[2].lower()
    if plain in _NUMPY_NAMES:
        return _NUMPY_NAMES[plain]
    near = difflib.get_close_matches(plain, [*_NUMPY_NAMES, *map(str.lower, DTYPES)], n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise InvalidArgumentError(
        f"dtype {text[:60]!r} is not one that safetensors holds; {hint}use one of {', '.join(DTYPES)}"
    )


def stac_word(dtype: str) -> str:
    """Give STAC's ``data_type`` of a dtype: ``"uint16"`` for ``"U16"``, ``"other"`` where STAC has no word."""
    return _STAC_WORDS.get(dtype, "other")
