"""Coordinate reference systems as people name them, and the way from each to WGS 84."""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mlstac.errors import InvalidSampleError

if TYPE_CHECKING:
    import pyproj

__all__ = ["Crs", "read_crs"]

_EXPECTED = "give a code such as 'EPSG:32630', an EPSG number, WKT, a PROJ string, or a CRS of pyproj or rasterio"


@dataclass(frozen=True, eq=False)
class Crs:
    """A horizontal coordinate reference system and its transformer to WGS 84 longitude, latitude."""

    name: str
    """``EPSG:32630`` where an authority lists it, else WKT 2 (ISO 19162:2019)."""
    code: str | None
    """``EPSG:32630``, or None where no authority lists exactly this one."""
    geographic: bool
    degrees: float
    """Degrees of longitude in one unit of x; 0 where x is a length."""
    metres: float
    """Metres in one unit of x; 0 where x is an angle."""
    area: tuple[float, float, float, float] | None
    """West, south, east, north in degrees of where a projected one is meant for; None where nothing says so."""
    transformer: "pyproj.Transformer" = field(repr=False)
    inverse: "pyproj.Transformer" = field(repr=False)


def read_crs(value: Any, *, what: str = "crs") -> Crs:
    """Read a CRS; the same value costs a lookup the second time.

    Parameters
    ----------
    value : str, int, or object with ``to_wkt``
        ``"EPSG:32630"``, 32630, WKT, a PROJ string, a ``pyproj.CRS``, a ``rasterio.crs.CRS``.
    what : str
        Where it was found, for messages.

    Raises
    ------
    InvalidSampleError
        If PROJ does not know it, or it has no horizontal axes on Earth.
    """
    if isinstance(value, Crs):
        return value
    if isinstance(value, bool) or not (isinstance(value, str | int) or hasattr(value, "to_wkt")):
        raise InvalidSampleError(f"{what} is of type {type(value).__name__}; {_EXPECTED}")
    key = value if isinstance(value, str | int) else str(value.to_wkt())
    found = _read_crs(key)
    if isinstance(found, str):
        raise InvalidSampleError(f"{what} {str(key)[:80]!r} {found}; {_EXPECTED}")
    return found


# A failure is cached as its message: a wrong code on every sample of a million is looked up once.
@lru_cache(maxsize=512)
def _read_crs(key: str | int) -> "Crs | str":
    import pyproj
    from pyproj.exceptions import CRSError, ProjError

    try:
        crs = pyproj.CRS.from_user_input(key)
    except CRSError:
        return "is not known to PROJ"
    if not (crs.is_geographic or crs.is_projected) or crs.is_geocentric:
        return f"({crs.type_name}) has no horizontal axes"
    code = _find_code(crs)
    try:
        # CRS84 is WGS 84 in GeoJSON's order: longitude, latitude.
        transformer = pyproj.Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)
        inverse = pyproj.Transformer.from_crs("OGC:CRS84", crs, always_xy=True)
    except ProjError:
        return "has no known way to WGS 84"
    x_axis = next((axis for axis in crs.axis_info if axis.direction in ("east", "west")), None)
    unit = (x_axis or crs.axis_info[0]).unit_conversion_factor  # to radians or metres
    degrees, metres = (math.degrees(unit), 0.0) if crs.is_geographic else (0.0, unit)
    name = code or crs.to_wkt("WKT2_2019")
    return Crs(name, code, crs.is_geographic, degrees, metres, _find_area(crs), transformer, inverse)


def _find_area(crs: "pyproj.CRS") -> tuple[float, float, float, float] | None:
    area = crs.area_of_use
    if area is None or crs.is_geographic:
        return None
    if crs.utm_zone is not None:  # a northern zone serves the south too, with negative northings: Landsat's scenes do
        return area.west, -90.0, area.east, 90.0
    return area.west, area.south, area.east, area.north


def _find_code(crs: "pyproj.CRS") -> str | None:
    """The authority's code, where it is exactly this CRS: a look-alike would move the data."""
    import pyproj

    found = crs.to_authority(min_confidence=70)
    if found is None:
        return None
    code = ":".join(found)
    # WKT of GDAL may give the axes in another order than the authority; coordinates here are x, y in any case.
    return code if pyproj.CRS.from_user_input(code).equals(crs, ignore_axis_order=True) else None
