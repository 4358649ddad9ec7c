"""Where: boxes and regions of a query, on a globe whose longitudes are a circle."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from mlstac.errors import InvalidArgumentError
from mlstac.search._words import plain

if TYPE_CHECKING:
    import shapely

Bbox = tuple[float, float, float, float]

_MOST_BOXES = 16
_DEGREES = "longitude and latitude of WGS 84, in degrees"


def parse_bbox(value: Any, *, what: str) -> Bbox:
    """Read a box: west, south, east, north; of six numbers (with heights) the four. West > east crosses 180 degrees.

    Raises
    ------
    InvalidArgumentError
        If it is none.
    """
    expected = f"expected four numbers: west, south, east, north, {_DEGREES}"
    if hasattr(value, "bounds") and hasattr(value, "geom_type"):
        raise InvalidArgumentError(f"{what}= is a geometry; give intersects={what}, or {what}=geometry.bounds")
    try:
        numbers = [float(number) for number in value]
    except (TypeError, ValueError):
        raise InvalidArgumentError(f"{what}={plain(value)}; {expected}") from None
    if len(numbers) == 6:
        numbers = [numbers[0], numbers[1], numbers[3], numbers[4]]
    if len(numbers) != 4 or not np.isfinite(numbers).all():
        raise InvalidArgumentError(f"{what}={plain(value)}; {expected}")
    west, south, east, north = numbers
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= 90 and -90 <= north <= 90):
        raise InvalidArgumentError(f"{what}={numbers} leaves [-180, 180] and [-90, 90]; {expected}")
    if south > north:
        raise InvalidArgumentError(f"{what}={numbers} has its south above its north; {expected}")
    return west, south, east, north


def parse_region(value: Any, *, what: str) -> "shapely.Geometry":
    """Read a geometry; parts past 180 degrees come back in at the other side.

    Parameters
    ----------
    value : GeoJSON dict (a geometry, Feature or FeatureCollection), shapely geometry, WKB, or object with
        ``__geo_interface__``

    Raises
    ------
    InvalidArgumentError
        If it is none, is empty or invalid, or is not in degrees.
    """
    import shapely

    if str(getattr(value, "crs", None) or "EPSG:4326").upper() not in ("EPSG:4326", "OGC:CRS84"):
        raise InvalidArgumentError(f"{what}= is in {value.crs}; give it in {_DEGREES}: {what}=….to_crs(4326)")
    try:
        region = shapely.force_2d(_read(value))
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{what}= {error}") from None
    except Exception as error:  # noqa: BLE001  # shapely answers bad GeoJSON with whatever its parts raise
        raise InvalidArgumentError(
            f"{what}= is no GeoJSON, shapely geometry or WKB ({type(error).__name__}: {str(error)[:80]})"
        ) from None
    if region.is_empty:
        raise InvalidArgumentError(f"{what}= is an empty geometry; nothing can meet it")
    west, south, east, north = (float(bound) for bound in shapely.bounds(region))
    if not (-540 <= west <= east <= 540 and -90 <= south <= north <= 90):
        raise InvalidArgumentError(
            f"{what}= reaches from ({west:g}, {south:g}) to ({east:g}, {north:g}); expected {_DEGREES}"
        )
    if not shapely.is_valid(region):
        raise InvalidArgumentError(
            f"{what}= is not valid: {shapely.is_valid_reason(region)}; shapely.make_valid may mend it"
        )
    return region if west >= -180 and east <= 180 else _turn_in(region)


def _read(value: Any) -> "shapely.Geometry":
    import shapely
    import shapely.geometry

    if isinstance(value, shapely.Geometry):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return shapely.from_wkb(bytes(value))
    document = value if isinstance(value, Mapping) else getattr(value, "__geo_interface__", None)
    if not isinstance(document, Mapping):
        raise InvalidArgumentError(
            f"is of type {type(value).__name__}; give GeoJSON as a dict, a shapely geometry or WKB (a box is bbox=)"
        )
    if document.get("type") == "Feature":
        return _read(document["geometry"])
    if document.get("type") == "FeatureCollection":
        return shapely.union_all([_read(feature) for feature in document["features"]])
    return shapely.geometry.shape(document)


def _turn_in(region: "shapely.Geometry") -> "shapely.Geometry":
    import shapely

    parts = []
    for turn in (-360.0, 0.0, 360.0):
        world = shapely.box(turn - 180.0, -90.0, turn + 180.0, 90.0)
        inside = shapely.intersection(region, world)
        parts.append(shapely.transform(inside, lambda points, turn=turn: points - [turn, 0.0]))
    return shapely.union_all([part for part in parts if not part.is_empty])


def box_region(bbox: Bbox) -> "shapely.Geometry":
    """Polygon of a box; two of them where it crosses the antimeridian."""
    import shapely

    west, south, east, north = bbox
    if west <= east:
        return shapely.box(west, south, east, north)
    return shapely.MultiPolygon([shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)])


def meets_box(bbox: Bbox) -> pc.Expression:
    """Whether a row's bounding box meets a box; null where the row has none.

    A row with ``xmin`` > ``xmax`` lies over the antimeridian, from ``xmin`` >= 0 to ``xmax`` <= 0: so says the format,
    and so the statistics of a row group on one side of it rule such rows out.
    """
    west, south, east, north = bbox
    xmin, ymin, xmax, ymax = (pc.field("bbox", name) for name in ("xmin", "ymin", "xmax", "ymax"))
    arcs = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    plain, over = None, None
    for first, last in arcs:
        inside = (xmin <= last) & (xmax >= first)
        reached = (xmin <= last) | (xmax >= first)
        plain = inside if plain is None else plain | inside
        over = reached if over is None else over | reached
    crosses = (xmin >= 0.0) & (xmax <= 0.0) & (xmin > xmax)
    return (ymin <= north) & (ymax >= south) & (plain | (crosses & over))


def meets_bounds(region: "shapely.Geometry") -> pc.Expression:
    """Whether a row's bounding box meets that of a region, part by part where these are few."""
    import shapely

    parts = shapely.get_parts(region)
    boxes = shapely.bounds(parts if len(parts) <= _MOST_BOXES else [region]).tolist()
    found = None
    for box in boxes:
        one = meets_box(tuple(box))
        found = one if found is None else found | one
    return found
