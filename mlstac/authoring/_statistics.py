"""Statistics of a tensor, taken block by block: exact for integers, one float64 rounding a step for floats."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.authoring import _float_sums as float_sums
from mlstac.authoring import _integer_sums as integer_sums
from mlstac.authoring._float_sums import FloatSums
from mlstac.authoring._integer_sums import IntegerSums
from mlstac.authoring._partial import Partial

_NUMPY_DTYPES: dict[str, str] = {
    "BOOL": "u1",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "BF16": "<u2",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
}
"""Dtypes that are measured, and how numpy reads their bytes. Complex numbers have no order, and 8-bit floats and
smaller are scaled by rules of their own: they get no statistics."""


def is_measurable(dtype: str) -> bool:
    """Whether statistics are taken of tensors of this (safetensors) dtype."""
    return dtype in _NUMPY_DTYPES


def is_countable(dtype: str) -> bool:
    """Whether the values of this dtype can be class numbers."""
    return dtype in _NUMPY_DTYPES and _NUMPY_DTYPES[dtype].lstrip("<")[0] in "iu" and dtype != "BF16"


def view(data: NDArray[np.uint8], dtype: str, shape: Sequence[int]) -> NDArray[Any]:
    """Bytes as numbers; bfloat16 becomes float32, which holds it exactly."""
    values: NDArray[Any] = data.view(_NUMPY_DTYPES[dtype]).reshape(shape)
    if dtype == "BF16":
        return (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return values


Nodata = float | int | None | tuple[float | int | None, ...]
"""A value of all bands, or one a band."""


def measure(values: NDArray[Any], *, band_axis: int | None = None, nodata: Nodata = None) -> list[Partial]:
    """Measure one block of samples.

    Parameters
    ----------
    values : numpy.ndarray, shape (sample, ...)
        C-contiguous numbers.
    band_axis : int, optional
        Axis of the bands in one sample; without it all values are one band.
    nodata : float or int, or tuple of them, optional
        A value to leave out; of a tuple, one a band. NaN and infinities always are.

    Returns
    -------
    list of Partial
        One a band.
    """
    n_bands = 1 if band_axis is None else values.shape[band_axis + 1]
    by_band = _by_band(values, band_axis)
    if not isinstance(nodata, tuple):
        return _measure(by_band, nodata)
    if len(nodata) != n_bands:
        return _measure(by_band, None)
    return [_measure(by_band[:, at : at + 1], value)[0] for at, value in enumerate(nodata)]


def _measure(values: NDArray[Any], nodata: float | int | None) -> list[Partial]:
    n_bands = values.shape[1]
    if not n_bands:
        return []
    tally: IntegerSums | FloatSums
    if values.dtype.kind in "iub":
        tally, pieces = IntegerSums(n_bands, values.dtype, nodata), _short_pieces(values)
    else:
        tally = FloatSums(n_bands, nodata)
        pieces = _pieces(values, at_most=float_sums.PIECE_VALUES, width=float_sums.PIECE_VALUES // n_bands)
    for piece in pieces:
        tally.add(piece)
    return tally.partials()


def _by_band(values: NDArray[Any], band_axis: int | None) -> NDArray[Any]:
    """The same values as (run, band, pixel), with long contiguous pixels."""
    if values.size == 0:
        return values.reshape(0, 1 if band_axis is None else values.shape[band_axis + 1], 0)
    if band_axis is None:
        return values.reshape(1, 1, -1)
    axis = band_axis + 1
    runs = math.prod(values.shape[:axis])
    split = values.reshape(runs, values.shape[axis], -1)
    if split.shape[-1] >= 64:
        return split
    # Channel-last, or bands of a few values: transposed once, for reductions over short rows cost a call each.
    return np.ascontiguousarray(split.transpose(1, 0, 2)).reshape(1, values.shape[axis], -1)


def _pieces(values: NDArray[Any], *, at_most: int, width: int) -> Iterator[NDArray[Any]]:
    """Pieces of shape (run, band, pixel), of rows no longer than ``width``."""
    runs, n_bands, pixels = values.shape
    if values.size == 0:
        return
    width = min(pixels, max(1, width))
    step = max(1, at_most // (n_bands * width))
    for run in range(0, runs, step):
        for pixel in range(0, pixels, width):
            yield values[run : run + step, :, pixel : pixel + width]


def _short_pieces(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Pieces whose rows are short enough for a dot product."""
    _, n_bands, pixels = values.shape
    at_most = integer_sums.PIECE_BYTES // np.dtype(integer_sums.float_of(values.dtype)).itemsize
    row = integer_sums.MOST_PIXELS
    if n_bands == 1 and pixels > row:  # long rows of images: each as many short ones, and what is left of it
        whole = pixels // row * row
        for run in values:
            yield from _pieces(run[:, :whole].reshape(-1, 1, row), at_most=at_most, width=row)
            yield from _pieces(run[None, :, whole:], at_most=at_most, width=row)
        return
    yield from _pieces(values, at_most=at_most, width=min(row, max(64, at_most // n_bands)))
