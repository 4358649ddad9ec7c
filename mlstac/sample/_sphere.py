"""Longitudes are a circle: outlines over the antimeridian and the poles, and boxes around geometry."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import InvalidSampleError

if TYPE_CHECKING:
    import shapely

__all__ = ["bound_geometry", "box_geometry", "merge_bboxes", "split_ring"]

Floats = NDArray[np.float64]
_GRID_DEGREES = 1e-9
"""A tenth of a millimetre."""

Bbox = tuple[float, float, float, float]


def split_ring(lon: Floats, lat: Floats, *, poles: tuple[bool, bool] = (False, False)) -> "shapely.Geometry":
    """Polygon of an outline whose longitudes run on past 180 degrees, cut at the antimeridian.

    Parameters
    ----------
    lon, lat : numpy.ndarray, shape (k,)
        The closed outline; its last longitude differs from the first by 360 where it goes around a pole.
    poles : (bool, bool)
        Whether it holds the south and the north pole.
    """
    import shapely

    lat = np.clip(lat, -90.0, 90.0)
    if abs(lon[-1] - lon[0]) > 180:
        pole = -90.0 if poles[0] and not poles[1] else 90.0 if poles[1] or lat.mean() > 0 else -90.0
        # The outline is a line once around the Earth; the pole is the other edge of the polygon.
        lon, lat = np.append(lon, [lon[-1], lon[0]]), np.append(lat, [pole, pole])
    elif np.ptp(lon) >= 360.0:  # a world map, perhaps half a pixel wider than the world
        return shapely.box(-180.0, lat.min(), 180.0, lat.max())
    polygon = shapely.make_valid(shapely.Polygon(np.column_stack([lon, lat])))
    first, last = int(np.floor((lon.min() + 180.0) / 360.0)), int(np.ceil((lon.max() + 180.0) / 360.0))
    parts = []
    for turn in range(first, max(last, first + 1)):
        world = shapely.box(360.0 * turn - 180.0, -90.0, 360.0 * turn + 180.0, 90.0)
        part = shapely.transform(polygon.intersection(world), _turn_back(360.0 * turn))
        parts += [piece for piece in shapely.get_parts(part) if piece.area > 0]
    if not parts:
        raise InvalidSampleError("the footprint has no area on Earth; check crs and transform")
    # Parts that meet where the outline began do so but for rounding, which the grid takes away.
    return shapely.union_all(parts, grid_size=_GRID_DEGREES)


def _turn_back(degrees: float) -> Callable[[Floats], Floats]:
    return lambda points: points - [degrees, 0.0]


def bound_geometry(geometry: "shapely.Geometry") -> Bbox:
    """Bounding box as GeoJSON wants it: west > east where the parts meet at the antimeridian.

    It is never more than half of the Earth that lies over the antimeridian: what is wider has all longitudes,
    so that a search knows which rows may lie over it.
    """
    import shapely

    parts = shapely.get_parts(geometry)
    bounds = shapely.bounds(parts)
    west, south, east, north = shapely.bounds(geometry).tolist()
    if west <= -180 and east >= 180 and len(parts) > 1 and not (np.ptp(bounds[:, [0, 2]], axis=1) >= 360).any():
        first, last = _merge_longitudes(bounds[:, 0], bounds[:, 2])
        if first <= last or last + 360.0 - first <= 180.0:
            west, east = first, last
    return west, south, east, north


def box_geometry(bbox: Bbox) -> "shapely.Geometry":
    """Polygon of a bounding box; two of them where it crosses the antimeridian."""
    import shapely

    west, south, east, north = bbox
    if west <= east:
        return shapely.box(west, south, east, north)
    return shapely.MultiPolygon([shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)])


def merge_bboxes(bboxes: Any) -> Bbox | None:
    """Bounding box of bounding boxes, or None of none.

    Parameters
    ----------
    bboxes : array, shape (n, 4)
        West, south, east, north; west > east crosses the antimeridian, and then the result may. Rows of NaN are
        left out.
    """
    boxes = np.asarray(bboxes, dtype=np.float64).reshape(-1, 4)
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    if not len(boxes):
        return None
    west, east = float(boxes[:, 0].min()), float(boxes[:, 2].max())
    if (boxes[:, 0] > boxes[:, 2]).any():
        west, east = _merge_longitudes(boxes[:, 0], boxes[:, 2])
    return west, float(boxes[:, 1].min()), east, float(boxes[:, 3].max())


def _merge_longitudes(west: Floats, east: Floats) -> tuple[float, float]:
    """The shortest arc that covers all arcs: the circle without the widest gap between them."""
    order = np.argsort(west)
    starts = west[order]
    ends = np.where(east < west, east + 360.0, east)[order]
    reach = np.maximum.accumulate(ends)
    # Arcs that pass 180 degrees cover the beginning of the circle as well.
    gaps = np.append(starts[1:] - reach[:-1], starts[0] + 360.0 - reach[-1])
    covered = reach[-1] - 360.0
    gaps[:-1] = np.minimum(gaps[:-1], starts[1:] - np.maximum(reach[:-1], covered))
    # Parts that meet exactly at the antimeridian leave a gap of 0 there, which is none.
    widest = int(np.argmax(gaps))
    if gaps[widest] <= 0:
        return -180.0, 180.0
    new_west = starts[(widest + 1) % len(starts)]
    new_east = max(reach[widest], covered) if widest < len(starts) - 1 else reach[-1]
    return float(new_west), float(new_east - 360.0 if new_east > 180.0 else new_east)
