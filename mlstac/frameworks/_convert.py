"""Values of one dtype as values of another, in numpy, for every framework alike."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import DtypeError
from mlstac.frameworks._dtypes import NATIVE, check_known, check_truths, numpy_dtype

TARGETS = ("U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64", "F16", "BF16", "F32", "F64", "C64")
"""Dtypes that values may be converted to."""

_INTEGERS = TARGETS[:8]
_LIMITS = {name: (int(np.iinfo(NATIVE[name]).min), int(np.iinfo(NATIVE[name]).max)) for name in _INTEGERS}
_LIMITS["F16"] = (-65519, 65519)  # 65520 is the first integer that rounds past the largest half, to infinity
_INEXACT_IN_FLOAT32 = ("I32", "U32", "I64", "U64", "F64")


def check_conversion(source: str, target: str) -> None:
    """Refuse what `convert` will not do for any value: to floats from complex, to integers from floats, to BOOL or F8.

    Raises
    ------
    DtypeError
        The message says why, and what can be had.
    """
    for dtype in (source, target):
        check_known(dtype, framework="numpy")
    if source == target:
        return
    if target not in TARGETS:
        raise DtypeError(f"cannot convert {source} to {target}; convert to one of {', '.join(TARGETS)}")
    if source == "C64":
        raise DtypeError(f"cannot convert C64 to {target}: the imaginary part would be lost; load C64 and take .real")
    if target in _INTEGERS and source not in (*_INTEGERS, "BOOL"):
        raise DtypeError(f"cannot convert {source} to {target}: fractions would be lost; convert to F32, then round")


def convert(source: NDArray[Any], source_dtype: str, target_dtype: str, out: NDArray[Any]) -> None:
    """Write values of one dtype as another into a buffer.

    Floats are rounded once, to the nearest, ties to even, and overflow to infinity as IEEE 754 has it; NaN stays NaN.
    Integers never wrap, and never become infinite: what does not fit is an error.

    Parameters
    ----------
    source : numpy.ndarray, shape (n * source itemsize,), uint8
    source_dtype, target_dtype : str
        Safetensors names.
    out : numpy.ndarray, shape (n * target itemsize,), uint8
        Written whole. Does not overlap the source.

    Raises
    ------
    DtypeError
        If the pair is refused (`check_conversion`), or an integer does not fit; the message names the value.
    FormatError
        If a BOOL is neither 0 nor 1.
    """
    check_conversion(source_dtype, target_dtype)
    check_truths(source, source_dtype)
    values, result = source.view(numpy_dtype(source_dtype)), out.view(numpy_dtype(target_dtype))
    if source_dtype in _INTEGERS and target_dtype in _LIMITS:
        _check_bounds(values, source_dtype, target_dtype)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        if source_dtype in _INEXACT_IN_FLOAT32:
            # ml_dtypes to BF16, and numpy from integers to F16, go through float32, which would round twice
            if target_dtype == "BF16":
                values = _odd_float32(_odd_float64(values))
            elif target_dtype == "F16":
                values = values.astype(np.float64)  # exact, since integers lie within the limits of F16
        np.copyto(result, values, casting="unsafe")


def _check_bounds(values: NDArray[Any], source: str, target: str) -> None:
    (lowest, highest), (least, most) = _LIMITS[target], _LIMITS[source]
    if values.size == 0 or (lowest <= least and most <= highest):
        return
    for extreme in (int(values.min()), int(values.max())):
        if not lowest <= extreme <= highest:
            raise DtypeError(
                f"value {extreme} of dtype {source} does not fit {target} ({lowest} to {highest}); "
                "ask for a wider dtype, or for floats, which are rounded: as_dtype='float32'"
            )


def _odd_float64(values: NDArray[Any]) -> NDArray[Any]:
    """As float64, inexact 64-bit integers rounded to odd, so that a later rounding to nearest is the only one."""
    if values.dtype.kind not in "iu" or values.dtype.itemsize < 8:
        return values.astype(np.float64)
    coarse = (values >> 11) | ((values & 2047) != 0).astype(values.dtype)
    large = (values > 2**53) | (values < -(2**53)) if values.dtype.kind == "i" else values > 2**53
    return np.where(large, coarse.astype(np.float64) * 2048.0, values.astype(np.float64))


def _odd_float32(values: NDArray[Any]) -> NDArray[Any]:
    """As float32, inexact values rounded to odd.

    References
    ----------
    S. Boldo and G. Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd",
    IEEE Transactions on Computers 57(4), 2008.
    """
    rounded = values.astype(np.float32)
    back = rounded.astype(np.float64)
    bits = rounded.view(np.uint32)
    even = (bits & 1) == 0
    step = np.where(np.abs(back) < np.abs(values), 1, -1).astype(np.int64)
    inexact = (back != values) & ~np.isnan(values) & even
    return np.where(inexact, bits.astype(np.int64) + step, bits).astype(np.uint32).view(np.float32)
