"""Exact sums of integers and of their squares, piece by piece.

Numbers are cut into limbs of 16 bits, the uppermost signed, and each limb is converted to floats, for which numpy has
the dot products of BLAS. No sum of products that is formed in floats is ever rounded: a product of two limbs is below
2**32 in size, and float64 adds up 2**20 of them exactly; one of two 8-bit numbers is at most 2**16 - 2**9 + 1, and
float32, half as long to convert and to read again, adds up 256 of them. Those sums go into Python's integers, which put
the limbs together.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.authoring._partial import Partial
from mlstac.authoring._scratch import converted

PIECE_BYTES = 2**20
"""Floats of a piece at most: they are read twice, and stay in the second-level cache meanwhile."""

MOST_PIXELS = 2**13
"""Pixels of one dot product: from 10,000 on OpenBLAS spreads it over threads, which costs more than it saves, and many
times as much where all processors are at work."""

_LIMB_BITS = 16
_MOST_WAITING = 2**20
_SHORT_PIXELS = 256
_ONES = {dtype: np.ones(MOST_PIXELS, dtype) for dtype in (np.float32, np.float64)}


class IntegerSums:
    """Count, bounds, sum and sum of squares of each band.

    Parameters
    ----------
    n_bands : int
    dtype : numpy.dtype
        Of integers.
    nodata : float or int, optional
        A value to leave out.
    """

    def __init__(self, n_bands: int, dtype: np.dtype[Any], nodata: float | int | None) -> None:
        bounds = np.iinfo(dtype)
        is_whole = nodata is not None and math.isfinite(nodata) and int(nodata) == nodata
        self._nodata = int(nodata) if nodata is not None and is_whole and bounds.min <= nodata <= bounds.max else None
        self._bounds = bounds
        self._n_limbs = max(1, dtype.itemsize * 8 // _LIMB_BITS)
        self._float = float_of(dtype)
        self._size = 0
        self._left_out = np.zeros(n_bands, np.int64)
        self._lowest = np.full(n_bands, bounds.max, dtype)
        self._highest = np.full(n_bands, bounds.min, dtype)
        self._totals = [0] * n_bands
        self._squares = [0] * n_bands
        self._sums = np.zeros((self._n_limbs, n_bands))
        self._products = np.zeros((self._n_limbs, self._n_limbs, n_bands))
        self._waiting = 0
        """Values a band in the float64 sums."""

    def add(self, values: NDArray[Any]) -> None:
        """Take in a piece, shape (run, band, pixel), of MOST_PIXELS pixels at most."""
        size = values.shape[0] * values.shape[2]
        self._size += size
        lowest, highest = values.min(axis=(0, 2)), values.max(axis=(0, 2))
        if self._nodata is not None and int(lowest.min()) <= self._nodata <= int(highest.max()):
            lowest, highest = self._leave_out(values, lowest, highest)
        np.minimum(self._lowest, lowest, out=self._lowest)
        np.maximum(self._highest, highest, out=self._highest)
        if self._waiting + size > _MOST_WAITING:
            self._carry()
        self._waiting += size
        limbs = [self._limb(values, at) for at in range(self._n_limbs)]
        for i, first in enumerate(limbs):
            self._sums[i] += _dot(first, None)
            for j, second in enumerate(limbs[i:], start=i):
                self._products[i, j] += _dot(first, second)

    def _leave_out(
        self, values: NDArray[Any], lowest: NDArray[Any], highest: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Count what is nodata; the bounds of the other values, band by band."""
        assert self._nodata is not None
        absent, one = values.dtype.type(self._nodata), values.dtype.type(1)
        found = _count(values == absent)
        self._left_out += found
        size = values.shape[0] * values.shape[2]
        # A bound that is another value stays. Distances from nodata, less one, wrap around for nodata itself.
        unsigned = np.dtype(f"u{values.dtype.itemsize}")
        with np.errstate(over="ignore"):
            if (lowest == absent).any():
                nearest = (values - (absent + one)).view(unsigned).min(axis=(0, 2)).view(values.dtype) + one
                lowest = np.where(lowest == absent, absent + nearest, lowest)
            if (highest == absent).any():
                nearest = ((absent - one) - values).view(unsigned).min(axis=(0, 2)).view(values.dtype) + one
                highest = np.where(highest == absent, absent - nearest, highest)
        lowest[found == size], highest[found == size] = self._bounds.max, self._bounds.min
        return lowest, highest

    def partials(self) -> list[Partial]:
        """One a band."""
        self._carry()
        return [self._partial(band) for band in range(len(self._totals))]

    def _carry(self) -> None:
        """Move the float64 sums into Python's integers."""
        for i in range(self._n_limbs):
            _add_shifted(self._totals, self._sums[i], shift=_LIMB_BITS * i)
            for j in range(i, self._n_limbs):
                _add_shifted(self._squares, self._products[i, j], shift=_LIMB_BITS * (i + j) + (i != j))
        self._sums[:] = 0
        self._products[:] = 0
        self._waiting = 0

    def _limb(self, values: NDArray[Any], at: int) -> NDArray[Any]:
        part = values >> values.dtype.type(_LIMB_BITS * at) if at else values
        if at < self._n_limbs - 1:
            part = part & values.dtype.type(2**_LIMB_BITS - 1)
        return converted(part, slot=at, dtype=self._float)

    def _partial(self, band: int) -> Partial:
        gone = int(self._left_out[band])
        if gone == self._size:
            return Partial(left_out=gone)
        absent = self._nodata or 0
        return Partial(
            count=self._size - gone,
            left_out=gone,
            minimum=int(self._lowest[band]),
            maximum=int(self._highest[band]),
            total=self._totals[band] - gone * absent,
            squares=self._squares[band] - gone * absent * absent,
        )


def float_of(dtype: np.dtype[Any]) -> type[np.floating[Any]]:
    """The floats that integers of a dtype are converted to."""
    return np.float32 if dtype.itemsize == 1 else np.float64


def _dot(first: NDArray[Any], second: NDArray[Any] | None) -> NDArray[np.float64]:
    """Sum over runs and pixels of the products of two limbs, or of one limb itself, one a band."""
    if first.dtype == np.float64:
        exact: NDArray[np.float64] = _dot_rows(first, second).sum(axis=0)
        return exact
    runs, n_bands, pixels = first.shape
    whole = pixels // _SHORT_PIXELS * _SHORT_PIXELS
    found = np.zeros(n_bands)
    for part in (slice(0, whole), slice(whole, pixels)):
        if part.start < part.stop:
            shape = (runs, n_bands, -1, min(_SHORT_PIXELS, part.stop - part.start))
            rows = [None if one is None else one[..., part].reshape(shape) for one in (first, second)]
            found += _dot_rows(rows[0], rows[1]).sum(axis=(0, 2), dtype=np.float64)
    return found


def _dot_rows(first: Any, second: Any) -> Any:
    return np.vecdot(first, _ONES[first.dtype.type][: first.shape[-1]] if second is None else second)


def _count(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many are true, shape (run, band, pixel), in each band."""
    ones = mask.view(np.uint8)
    if mask.shape[-1] % 8 == 0:  # eight bytes at once
        ones = np.bitwise_count(mask.view(np.uint64))
    counts: NDArray[np.int64] = ones.sum(axis=-1, dtype=np.uint32).sum(axis=0, dtype=np.int64)
    return counts


def _add_shifted(sums: list[int], more: NDArray[np.float64], *, shift: int) -> None:
    for band, exact in enumerate(more.tolist()):
        sums[band] += int(exact) << shift
