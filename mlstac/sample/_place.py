"""A sample's place as its author gives it: bounding box and geometry of WGS 84."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlstac.errors import InvalidSampleError
from mlstac.sample._sphere import Bbox, bound_geometry

if TYPE_CHECKING:
    import shapely

__all__ = ["parse_bbox", "parse_geometry"]

_METRES = "coordinates in metres belong to crs= and transform="


def parse_bbox(value: Any) -> Bbox:
    """Read a bounding box: west, south, east, north in degrees of WGS 84.

    West > east crosses the antimeridian, and is refused where it would span more than half the Earth: then the two
    are swapped.

    Raises
    ------
    InvalidSampleError
        If it has not four numbers in range and order.
    """
    expected = "expected four numbers: west, south, east, north, in degrees"
    try:
        numbers = [float(number) for number in value]
    except (TypeError, ValueError):
        raise InvalidSampleError(f"bbox is {str(value)[:60]!r}; {expected}") from None
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise InvalidSampleError(f"bbox is {numbers[:8]}; {expected}")
    west, south, east, north = numbers
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= 90 and -90 <= north <= 90):
        raise InvalidSampleError(f"bbox {numbers} leaves [-180, 180] and [-90, 90]; {expected}; {_METRES}")
    if south > north:
        raise InvalidSampleError(f"bbox {numbers} has its south above its north; {expected}")
    if west > east and east + 360 - west > 180:
        raise InvalidSampleError(
            f"bbox {numbers} has its west past its east: across the antimeridian it would span "
            f"{east + 360 - west:g} degrees; {expected}"
        )
    return west, south, east, north


def parse_geometry(value: Any) -> "shapely.Geometry":
    """Read a geometry in longitude and latitude of WGS 84.

    Parameters
    ----------
    value : GeoJSON dict, shapely geometry, WKB bytes, or object with ``__geo_interface__``

    Raises
    ------
    InvalidSampleError
        If it is none, is empty or invalid, or leaves longitude and latitude.
    """
    import shapely
    import shapely.geometry

    try:
        if isinstance(value, shapely.Geometry):
            geometry = value
        elif isinstance(value, bytes | bytearray | memoryview):
            geometry = shapely.from_wkb(bytes(value))
        elif isinstance(value, Mapping) or hasattr(value, "__geo_interface__"):
            geometry = shapely.geometry.shape(value)
        else:
            raise InvalidSampleError(
                f"geometry is of type {type(value).__name__}; expected GeoJSON, a shapely geometry or WKB"
            )
    except InvalidSampleError:
        raise
    except Exception as error:  # noqa: BLE001  # shapely answers bad GeoJSON with whatever its parts raise
        raise InvalidSampleError(
            f"geometry is no GeoJSON, shapely geometry or WKB ({type(error).__name__}: {str(error)[:80]})"
        ) from None
    if geometry is None or geometry.is_empty:
        raise InvalidSampleError("geometry is empty; leave it out where the place is unknown")
    geometry = shapely.force_2d(geometry)
    west, south, east, north = (float(bound) for bound in shapely.bounds(geometry))
    if not all(map(math.isfinite, (west, south, east, north))):
        raise InvalidSampleError("geometry holds NaN or infinity; give finite longitudes and latitudes")
    if not (west >= -180 and east <= 180 and south >= -90 and north <= 90):
        raise InvalidSampleError(
            f"geometry reaches from ({west:g}, {south:g}) to ({east:g}, {north:g}), outside longitude [-180, 180] and "
            f"latitude [-90, 90]; cut it at the antimeridian; {_METRES}"
        )
    if not shapely.is_valid(geometry):
        raise InvalidSampleError(
            f"geometry is not valid: {shapely.is_valid_reason(geometry)}; shapely.make_valid may mend it"
        )
    return geometry


def check_bbox_holds(bbox: Bbox, geometry: "shapely.Geometry") -> None:
    """Raise InvalidSampleError where a bounding box does not hold the geometry that it is given with."""
    bounds = bound_geometry(geometry)
    crossing = bounds[0] > bounds[2] or bbox[0] > bbox[2]
    slack = 1e-6
    outside = bounds[1] < bbox[1] - slack or bounds[3] > bbox[3] + slack
    if not crossing:
        outside = outside or bounds[0] < bbox[0] - slack or bounds[2] > bbox[2] + slack
    if outside:
        shown = _rounded(bbox), _rounded(bounds)
        raise InvalidSampleError(
            f"bbox {shown[0]} does not hold the geometry, whose own is {shown[1]}; leave the bbox out"
        )


def _rounded(bbox: Sequence[float]) -> list[float]:
    return [round(float(bound), 6) for bound in np.asarray(bbox)]
