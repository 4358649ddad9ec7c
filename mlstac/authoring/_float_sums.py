"""Means and sums of squared deviations of floats, piece by piece: one float64 rounding a step."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.authoring._partial import Partial
from mlstac.authoring._scratch import converted

PIECE_VALUES = 2**18
"""Values of a piece at most: floats take several steps in Python for each, and so larger pieces than integers."""

# What PIECE_VALUES numbers can grow by when they are added up.
_SUM_BITS = 18


class FloatSums:
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
            numbers = converted(values)
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
