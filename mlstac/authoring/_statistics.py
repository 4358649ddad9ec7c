"""Statistics of a tensor, taken block by block: exact for integers, one float64 rounding a step for floats.

A *partial* holds what is known of some of the values of one band, and two partials merge into the partial of their
union.
Partials are merged in a fixed order (blocks within a shard, then shards), so that an authoring that was interrupted
ends with the numbers of one that was not, to the last bit.

References
----------
T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
1979.
"""

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

# Values converted to float64 at a time: they stay in the second-level cache. Floats take several steps in Python for
# each piece, and so larger pieces.
_INTEGERS = 2**16
_FLOATS = 2**18
# Pixels of one dot product: from 10,000 on OpenBLAS spreads it over threads, which costs more than it saves, and many
# times as much where all processors are at work. A sum of as many squares of 16-bit numbers stays below 2**53, so that
# float64 holds it exactly.
_DOT_PIXELS = 2**13
_LIMB_BITS = 16
# What 2**18 numbers can grow by when they are added up.
_SUM_BITS = 18

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


@dataclass(frozen=True)
class Partial:
    """What is known of the values of one band.

    Integers keep ``total`` and ``squares``, exact Python integers; floats keep ``mean`` and ``deviations`` (the sum of
    squared deviations from the mean). The other pair is None.
    """

    count: int = 0
    left_out: int = 0
    """Values that are nodata, NaN or infinite."""
    minimum: float | int | None = None
    maximum: float | int | None = None
    total: int | None = None
    squares: int | None = None
    mean: float | None = None
    deviations: float | None = None

    def merge(self, other: Self) -> "Partial":
        """The partial of the values of both; ``self`` comes first."""
        left_out = self.left_out + other.left_out
        if not self.count or not other.count:
            some = self if self.count else other
            return Partial(**{**some.__dict__, "left_out": left_out})
        count = self.count + other.count
        assert self.minimum is not None
        assert self.maximum is not None
        assert other.minimum is not None
        assert other.maximum is not None
        lowest, highest = min(self.minimum, other.minimum), max(self.maximum, other.maximum)
        if self.total is not None and other.total is not None:
            assert self.squares is not None
            assert other.squares is not None
            total, squares = self.total + other.total, self.squares + other.squares
            return Partial(count, left_out, lowest, highest, total=total, squares=squares)
        assert self.mean is not None
        assert other.mean is not None
        assert self.deviations is not None
        assert other.deviations is not None
        step = other.mean - self.mean
        mean = self.mean + step * (other.count / count)
        if not math.isfinite(step):  # from one end of float64 to the other
            mean = self.mean * (self.count / count) + other.mean * (other.count / count)
        return Partial(
            count,
            left_out,
            lowest,
            highest,
            mean=mean,
            deviations=self.deviations + other.deviations + step * step * (self.count * (other.count / count)),
        )

    def summary(self) -> dict[str, float | int] | None:
        """Count, minimum, maximum, mean, stddev (of the population) and valid percent.

        None where every value was left out. Without stddev where values are so large that float64 does not hold the sum
        of their squares.
        """
        if not self.count:
            return None
        if self.total is not None and self.squares is not None:
            mean = float(Fraction(self.total, self.count))
            variance = float(Fraction(self.squares * self.count - self.total**2, self.count**2))
        else:
            assert self.mean is not None
            assert self.deviations is not None
            mean, variance = self.mean, self.deviations / self.count
        assert self.minimum is not None
        assert self.maximum is not None
        return {
            "count": self.count,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "mean": mean,
            **({"stddev": math.sqrt(variance)} if math.isfinite(variance) else {}),
            "valid_percent": 100 * self.count / (self.count + self.left_out),
        }

    def to_json(self) -> dict[str, Any]:
        """Plain numbers; Python's JSON gives every integer and float back exactly."""
        return {name: value for name, value in self.__dict__.items() if value is not None}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Partial":
        return cls(**data)


def merge_bands(some: Sequence[Partial] | None, more: Sequence[Partial] | None) -> list[Partial] | None:
    """Band by band; None where the number of bands differs, for then nothing can be said of bands, nor ever again."""
    if some is None or more is None or len(some) != len(more):
        return None
    return [a.merge(b) for a, b in zip(some, more, strict=True)]


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
    tally: _Integers | _Floats
    if values.dtype.kind in "iub":
        tally, pieces = _Integers(n_bands, values.dtype, nodata), _short_pieces(values)
    else:
        tally, pieces = _Floats(n_bands, nodata), _pieces(values, at_most=_FLOATS, width=_FLOATS // n_bands)
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
    if n_bands == 1 and pixels > _DOT_PIXELS:  # long rows of images: each as many short ones, and what is left of it
        whole = pixels // _DOT_PIXELS * _DOT_PIXELS
        for run in values:
            yield from _pieces(run[:, :whole].reshape(-1, 1, _DOT_PIXELS), at_most=_INTEGERS, width=_DOT_PIXELS)
            yield from _pieces(run[None, :, whole:], at_most=_INTEGERS, width=_DOT_PIXELS)
        return
    yield from _pieces(values, at_most=_INTEGERS, width=min(_DOT_PIXELS, max(64, _INTEGERS // n_bands)))


_scratch = threading.local()


def _as_floats(values: NDArray[Any], *, slot: int = 0) -> NDArray[np.float64]:
    """Copy values into this thread's own float64 buffer; it is good until the next call for the same slot.

    A fresh array of some MiB comes from the system page by page, which takes thirty times as long as the conversion.
    """
    buffers: dict[int, NDArray[np.float64]] = _scratch.__dict__.setdefault("buffers", {})
    if slot not in buffers or buffers[slot].size < values.size:
        buffers[slot] = np.empty(max(values.size, _FLOATS))
    numbers = buffers[slot][: values.size].reshape(values.shape)
    np.copyto(numbers, values)
    return numbers


class _Integers:
    """Exact sums of integers.

    Numbers are cut into limbs of 16 bits, the uppermost signed: every product of two limbs is below 2**32 in size and
    float64 adds up 2**20 of them exactly; those sums go into Python's integers, which put the limbs together.
    """

    def __init__(self, n_bands: int, dtype: np.dtype[Any], nodata: float | int | None) -> None:
        bounds = np.iinfo(dtype)
        is_whole = nodata is not None and math.isfinite(nodata) and int(nodata) == nodata
        self._nodata = int(nodata) if nodata is not None and is_whole and bounds.min <= nodata <= bounds.max else None
        self._bounds = bounds
        self._n_limbs = max(1, dtype.itemsize * 8 // _LIMB_BITS)
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
        """Take in a piece, shape (run, band, pixel)."""
        size = values.shape[0] * values.shape[2]
        self._size += size
        lowest, highest = values.min(axis=(0, 2)), values.max(axis=(0, 2))
        if self._nodata is not None and int(lowest.min()) <= self._nodata <= int(highest.max()):
            mask = values == values.dtype.type(self._nodata)
            self._left_out += np.count_nonzero(mask, axis=(0, 2))
            lowest = np.where(mask, values.dtype.type(self._bounds.max), values).min(axis=(0, 2))
            highest = np.where(mask, values.dtype.type(self._bounds.min), values).max(axis=(0, 2))
        np.minimum(self._lowest, lowest, out=self._lowest)
        np.maximum(self._highest, highest, out=self._highest)
        if self._waiting + size > 2**20:
            self._carry()
        self._waiting += size
        limbs = [self._limb(values, at) for at in range(self._n_limbs)]
        for i, first in enumerate(limbs):
            self._sums[i] += first.sum(axis=(0, 2))
            for j, second in enumerate(limbs[i:], start=i):
                self._products[i, j] += np.vecdot(first, second).sum(axis=0)

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

    def _limb(self, values: NDArray[Any], at: int) -> NDArray[np.float64]:
        part = values >> values.dtype.type(_LIMB_BITS * at) if at else values
        if at < self._n_limbs - 1:
            part = part & values.dtype.type(2**_LIMB_BITS - 1)
        return _as_floats(part, slot=at)

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


def _add_shifted(sums: list[int], more: NDArray[np.float64], *, shift: int) -> None:
    for band, exact in enumerate(more.tolist()):
        sums[band] += int(exact) << shift


class _Floats:
    """Means and sums of squared deviations of floats, in float64."""

    def __init__(self, n_bands: int, nodata: float | int | None) -> None:
        # NaN is left out whether or not it is named.
        self._nodata = nodata if nodata == nodata else None
        self._partials = [Partial()] * n_bands

    def add(self, values: NDArray[Any]) -> None:
        """Take in a piece, shape (run, band, pixel)."""
        self._partials = [a.merge(b) for a, b in zip(self._partials, self._measure(values), strict=True)]

    def partials(self) -> list[Partial]:
        """One a band."""
        return self._partials

    def _mask(self, values: NDArray[Any], totals: NDArray[np.float64]) -> NDArray[np.bool_] | None:
        """What is to be left out; None where nothing is, which one sum and two bounds tell."""
        mask = None if np.isfinite(totals).all() else ~np.isfinite(values)
        if self._nodata is not None:
            # As the tensor's own dtype holds it: -9999.1 in float32 is not the Python float.
            absent = values.dtype.type(self._nodata)
            if mask is not None or float(values.min()) <= float(absent) <= float(values.max()):
                mask = values == absent if mask is None else mask | (values == absent)
        return mask if mask is not None and mask.any() else None

    def _measure(self, values: NDArray[Any]) -> list[Partial]:
        with np.errstate(all="ignore"):
            numbers = _as_floats(values)
            totals = numbers.sum(axis=-1)
            mask = self._mask(values, totals)
            if mask is None:
                counts = np.full(totals.shape, values.shape[2], np.int64)
                lowest, highest = values.min(axis=(0, 2)), values.max(axis=(0, 2))
            else:
                counts = values.shape[2] - np.count_nonzero(mask, axis=-1)
                lowest = np.where(mask, np.inf, values).min(axis=(0, 2))
                highest = np.where(mask, -np.inf, values).max(axis=(0, 2))
                numbers[mask] = 0
                totals = numbers.sum(axis=-1)
            means = totals / np.maximum(counts, 1)
            if not np.isfinite(means).all():
                # Finite numbers whose sum is not: scaled by a power of two, which rounds nothing of their size.
                means = np.ldexp(np.ldexp(numbers, -_SUM_BITS).sum(axis=-1) / np.maximum(counts, 1), _SUM_BITS)
            numbers -= means[..., None]
            if mask is not None:
                numbers[mask] = 0
            # numpy's pairwise sum, not a BLAS dot product: its order of additions never depends on the number of
            # threads.
            deviations = np.square(numbers, out=numbers).sum(axis=(0, 2))
        return [
            _partial_of_runs(
                counts[:, band], means[:, band], float(deviations[band]), (lowest[band], highest[band]), values
            )
            for band in range(values.shape[1])
        ]


def _partial_of_runs(
    counts: NDArray[np.int64],
    means: NDArray[np.float64],
    deviations: float,
    bounds: tuple[Any, Any],
    values: NDArray[Any],
) -> Partial:
    """One band's partial of its runs, each of which has a mean of its own."""
    count = int(counts.sum())
    left_out = values.shape[0] * values.shape[2] - count
    if not count:
        return Partial(left_out=left_out)
    mean = float((counts / count * means).sum())
    with np.errstate(over="ignore"):
        spread = float((counts * np.square(np.where(counts, means - mean, 0))).sum())
    return Partial(
        count=count,
        left_out=left_out,
        minimum=float(bounds[0]),
        maximum=float(bounds[1]),
        mean=mean,
        deviations=deviations + spread,
    )
