"""Affine transforms as people give them: Affine, STAC order, GDAL order."""

import math
from typing import Any

import numpy as np

from mlstac.errors import InvalidSampleError

__all__ = ["Transform", "parse_geotransform", "parse_transform"]

Transform = tuple[float, float, float, float, float, float]
"""STAC order: x = a * column + b * row + c, y = d * column + e * row + f."""

_EXPECTED = (
    "expected an Affine, or six or nine numbers in STAC order (a, b, c, d, e, f: x size, skew, x origin, skew, y size, "
    "y origin)"
)


def parse_transform(value: Any, *, what: str = "transform") -> Transform:
    """Read an affine transform.

    Parameters
    ----------
    value : affine.Affine, sequence of 6 or 9 numbers, or array of shape (2, 3) or (3, 3)
        STAC order: a, b, c, d, e, f (and 0, 0, 1).
    what : str
        Where it was found, for messages.

    Raises
    ------
    InvalidSampleError
        If it has another length, is not finite, is singular, or is in GDAL order by all appearance.
    """
    numbers = _numbers(value, what, _EXPECTED)
    if len(numbers) == 9:
        if numbers[6:] != [0.0, 0.0, 1.0]:
            raise InvalidSampleError(f"{what} ends in {numbers[6:]}, expected 0, 0, 1: it is no affine transform")
    elif len(numbers) != 6:
        raise InvalidSampleError(f"{what} has {len(numbers)} numbers; {_EXPECTED}")
    a, b, c, d, e, f = numbers[:6]
    # Read as STAC, north-up GDAL order has no x origin and no y size: a grid on its side that starts at x = 0.
    if c == 0 == e and b > 0 > f:
        raise InvalidSampleError(
            f"{what} {tuple(numbers)} looks like GDAL order (x origin, x size, skew, y origin, skew, y size); "
            "give it as geotransform="
        )
    return _checked((a, b, c, d, e, f), what)


def parse_geotransform(value: Any, *, what: str = "geotransform") -> Transform:
    """Read a GDAL geotransform (x origin, x size, x skew, y origin, y skew, y size) into STAC order.

    Raises
    ------
    InvalidSampleError
        If it has not six numbers, is not finite, is singular, or is in STAC order by all appearance.
    """
    expected = "expected six numbers in GDAL order (x origin, x size, x skew, y origin, y skew, y size)"
    if type(value).__name__ == "Affine":
        raise InvalidSampleError(f"{what} is an Affine, which is in another order; give it as transform=")
    numbers = _numbers(value, what, expected)
    if len(numbers) != 6:
        raise InvalidSampleError(f"{what} has {len(numbers)} numbers; {expected}")
    c, a, b, f, d, e = numbers
    if a == 0 == f and c > 0 > d:
        raise InvalidSampleError(f"{what} {tuple(numbers)} looks like STAC order; give it as transform=")
    return _checked((a, b, c, d, e, f), what)


def _numbers(value: Any, what: str, expected: str) -> list[float]:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidSampleError(f"{what} is {str(value)[:60]!r}; {expected}") from None
    numbers: list[float] = array.ravel().tolist()
    if not all(map(math.isfinite, numbers)):
        raise InvalidSampleError(f"{what} {tuple(numbers)[:9]} holds NaN or infinity; {expected}")
    return numbers


def _checked(transform: Transform, what: str) -> Transform:
    a, b, _, d, e, _ = transform
    scale = (abs(a) + abs(b)) * (abs(d) + abs(e))
    if abs(a * e - b * d) <= 1e-12 * scale or not math.isfinite(scale):
        raise InvalidSampleError(
            f"{what} {transform} is singular: its pixels have no area; give the size of a pixel in x and in y"
        )
    return transform
