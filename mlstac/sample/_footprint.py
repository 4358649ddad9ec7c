"""Footprints: where on Earth a grid lies, as geometry of WGS 84.

An edge that is straight in its CRS is a curve in longitude and latitude. It is cut at as many points as keep the
polygon within a twentieth of a pixel of the curve: none at all for a chip, some dozens for a continent.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import InvalidSampleError
from mlstac.sample._crs import Crs, read_crs
from mlstac.sample._sphere import bound_geometry, split_ring
from mlstac.sample._transform import Transform, parse_transform

if TYPE_CHECKING:
    import shapely

__all__ = ["check_grid", "footprint", "footprints"]

Floats = NDArray[np.float64]

TOLERANCE_PIXELS = 0.05
# Below a millimetre PROJ itself is not exact; and a million cuts are no better than a thousand.
_MIN_TOLERANCE_M = 1e-3
_MAX_CUTS = 2048
_M_PER_DEGREE = 111_320.0
# Between zones data lie some degrees outside of theirs; swapped or mistyped coordinates lie farther off.
_AREA_MARGIN_DEGREES = 10.0
_WRAPPED_M = 1000.0
_CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])


def footprint(
    crs: Any, transform: Any, shape: tuple[int, int]
) -> tuple["shapely.Geometry", tuple[float, float, float, float]]:
    """Footprint of one grid.

    Parameters
    ----------
    crs : str, int, or CRS object
        Of the grid.
    transform : Affine or sequence of float
        STAC order: pixel (column, row) to (x, y) of the CRS.
    shape : (int, int)
        Rows and columns (y, x).

    Returns
    -------
    geometry : shapely Polygon or MultiPolygon
        WGS 84 longitude and latitude, counter-clockwise; cut in two where it crosses the antimeridian.
    bbox : (west, south, east, north)
        In degrees; west > east where it crosses the antimeridian (RFC 7946, section 5.2).

    Raises
    ------
    InvalidSampleError
        If the CRS is unknown, the transform singular, or the grid leaves the CRS's domain.
    """
    known = read_crs(crs)
    geometries, bboxes = footprints(known, np.array([parse_transform(transform)]), shape)
    west, south, east, north = bboxes[0].tolist()
    return geometries[0], (west, south, east, north)


def check_grid(crs: Any, transform: Transform, shape: tuple[int, int]) -> None:
    """Refuse a grid whose corners lie outside of where its CRS is meant for; quicker than its footprint.

    Raises
    ------
    InvalidSampleError
        As of `footprint`.
    """
    _project_rings(read_crs(crs), np.array([transform]), shape, 1)


def footprints(crs: Any, transforms: "Floats | Sequence[Transform]", shape: tuple[int, int]) -> tuple[Any, Floats]:
    """Footprints of many grids of one CRS and shape.

    Parameters
    ----------
    transforms : array, shape (n, 6)
        STAC order.

    Returns
    -------
    geometries : numpy.ndarray of shapely geometries, shape (n,)
    bboxes : numpy.ndarray, shape (n, 4), float64
        West, south, east, north.

    Notes
    -----
    A grid's footprint does not depend on those beside it.
    """
    import shapely

    known = read_crs(crs)
    affine = np.asarray(transforms, dtype=np.float64).reshape(-1, 6)
    n = len(affine)
    geometries: NDArray[np.object_] = np.empty(n, dtype=object)
    bboxes = np.empty((n, 4))
    cuts = np.ones(n, dtype=np.int64)
    pending = np.arange(n)
    while len(pending):
        for count in np.unique(cuts[pending]).tolist():
            rows = pending[cuts[pending] == count]
            lon, lat = _project_rings(known, affine[rows], shape, 2 * count)
            excess = _excess(lon, lat, affine[rows], known)
            fine = (excess <= 1) | (count >= _MAX_CUTS)
            if fine.any():
                done = rows[fine]
                geometries[done], bboxes[done] = _build(known, affine[done], shape, lon[fine, ::2], lat[fine, ::2])
            more = rows[~fine]
            # A chord's distance from its curve falls with the square of its length; a little more, to be done with it.
            wanted = np.ceil(1.02 * count * np.sqrt(np.minimum(excess[~fine], 1e6)))
            cuts[more] = np.clip(wanted, count + 1, _MAX_CUTS).astype(np.int64)
            pending = np.setdiff1d(pending, rows[fine], assume_unique=True)
    return shapely.orient_polygons(geometries), bboxes


def _project_rings(crs: Crs, affine: Floats, shape: tuple[int, int], cuts: int) -> tuple[Floats, Floats]:
    """Longitudes (continuous along the ring) and latitudes of the outlines, each edge cut in ``cuts`` parts."""
    steps = np.arange(cuts) / cuts
    edges = _CORNERS[:-1, None] + steps[:, None] * (_CORNERS[1:] - _CORNERS[:-1])[:, None]
    ring = np.concatenate([edges.reshape(-1, 2), _CORNERS[:1]])  # fractions of the grid, closed
    column, row = ring[:, 0] * shape[1], ring[:, 1] * shape[0]
    a, b, c, d, e, f = affine.T[:, :, None]
    x, y = a * column + b * row + c, d * column + e * row + f
    lon, lat = crs.transformer.transform(x, y)
    inside = np.isfinite(lon + lat).all(axis=1)
    if crs.geographic:  # PROJ passes degrees on as they are: half a pixel past a pole is a world map, more is metres
        over = np.abs(d) + np.abs(e)
        inside &= ((np.abs(y) <= 90.0 / crs.degrees + over) & (np.abs(x) <= 540.0 / crs.degrees)).all(axis=1)
    if not inside.all():
        bad = int(np.flatnonzero(~inside)[0])
        raise InvalidSampleError(
            f"the grid of transform {tuple(affine[bad].tolist())} and shape {shape} leaves the domain of "
            f"{crs.name[:80]}; check crs and transform, or give the place as geometry= or bbox="
        )
    _refuse_elsewhere(crs, affine, lon, lat)
    return _continue(lon, x, crs), lat


def _refuse_elsewhere(crs: Crs, affine: Floats, lon: Floats, lat: Floats) -> None:
    """Refuse grids wholly outside of where their CRS is meant for, and those that PROJ winds around the Earth."""
    if crs.geographic:
        return
    _, y = crs.inverse.transform(lon[:, :2], lat[:, :2])  # the first point is the grid's origin; pyproj wants two
    away = ~(np.abs(y[:, 0] - affine[:, 5]) * crs.metres <= _WRAPPED_M)
    if crs.area is not None:
        west, south, east, north = crs.area
        half = (east - west) % 360.0 / 2 if east != west + 360.0 else 180.0
        off = (lon - (west + half) + 180.0) % 360.0 - 180.0
        beyond = (np.abs(off) - half) * np.cos(np.radians(lat)) > _AREA_MARGIN_DEGREES  # of the equator's degrees
        away |= (beyond & (off > 0)).all(axis=1) | (beyond & (off < 0)).all(axis=1)
        away |= (lat > north + _AREA_MARGIN_DEGREES).all(axis=1) | (lat < south - _AREA_MARGIN_DEGREES).all(axis=1)
    if away.any():
        bad = int(np.flatnonzero(away)[0])
        raise InvalidSampleError(
            f"transform {tuple(affine[bad].tolist())} has its origin far from where {crs.name[:80]} is used; look for "
            "a wrong zone, a wrong number or x and y swapped, or give the place as geometry= or bbox="
        )


def _continue(lon: Floats, x: Floats, crs: Crs) -> Floats:
    """Longitudes without jumps at the antimeridian; the whole ring may be 360 degrees off."""
    if crs.geographic:  # x itself says which turn of the Earth is meant: a world map from -180 to 180 is no line
        continuous: Floats = lon + 360.0 * np.round((x * crs.degrees - lon) / 360.0)
        return continuous
    return np.unwrap(lon, period=360.0, axis=1)


def _excess(lon: Floats, lat: Floats, affine: Floats, crs: Crs) -> Floats:
    """Greatest distance of the curve from its chords, in units of what is allowed; shape (n,)."""
    # On the ground around each chord: the chord from its first end, and the curve's middle from there.
    narrow = np.cos(np.radians(lat[:, 1::2]))
    chord_east, chord_north = (lon[:, 2::2] - lon[:, :-1:2]) * narrow, lat[:, 2::2] - lat[:, :-1:2]
    east, north = (lon[:, 1::2] - lon[:, :-1:2]) * narrow, lat[:, 1::2] - lat[:, :-1:2]
    squared = np.maximum(chord_east**2 + chord_north**2, 1e-30)
    along = np.clip((east * chord_east + north * chord_north) / squared, 0.0, 1.0)
    off = np.hypot(east - along * chord_east, north - along * chord_north).max(axis=1) * _M_PER_DEGREE
    a, b, _, d, e, _ = affine.T
    if crs.geographic:
        pixel = np.minimum(np.hypot(a, d) * np.cos(np.radians(np.clip(np.abs(lat).min(axis=1), 0, 89))), np.hypot(b, e))
        pixel = pixel * crs.degrees * _M_PER_DEGREE
    else:
        pixel = np.minimum(np.hypot(a, d), np.hypot(b, e)) * crs.metres
    excess: Floats = off / np.maximum(TOLERANCE_PIXELS * pixel, _MIN_TOLERANCE_M)
    if crs.geographic:
        return excess
    # Steps of more than 60 degrees leave it open which way round the Earth they go.
    return np.where(np.abs(np.diff(lon, axis=1)).max(axis=1) > 60, np.maximum(excess, 4.0), excess)


def _build(crs: Crs, affine: Floats, shape: tuple[int, int], lon: Floats, lat: Floats) -> tuple[Any, Floats]:
    """Polygons and bounding boxes of outlines; those that stay inside -180 to 180 are built all at once."""
    import shapely

    geometries: NDArray[np.object_] = np.empty(len(lon), dtype=object)
    bboxes = np.stack([lon.min(axis=1), lat.min(axis=1), lon.max(axis=1), lat.max(axis=1)], axis=1)
    winds = np.abs(lon[:, -1] - lon[:, 0]) > 180
    plain = ~winds & (bboxes[:, 0] >= -180) & (bboxes[:, 2] <= 180) & (bboxes[:, 1] >= -90) & (bboxes[:, 3] <= 90)
    geometries[plain] = shapely.polygons(np.stack([lon[plain], lat[plain]], axis=2))
    for row in np.flatnonzero(~plain).tolist():
        poles = _poles_inside(crs, affine[row], shape) if winds[row] else (False, False)
        geometries[row] = split_ring(lon[row], lat[row], poles=poles)
        bboxes[row] = bound_geometry(geometries[row])
    return geometries, bboxes


def _poles_inside(crs: Crs, affine: Floats, shape: tuple[int, int]) -> tuple[bool, bool]:
    """Whether the south and the north pole lie in the grid."""
    a, b, c, d, e, f = affine.tolist()
    determinant = a * e - b * d
    found = []
    for pole in (-90.0, 90.0):
        x, y = crs.inverse.transform(0.0, pole)
        column, row = (e * (x - c) - b * (y - f)) / determinant, (a * (y - f) - d * (x - c)) / determinant
        found.append(bool(-1e-6 <= column <= shape[1] + 1e-6 and -1e-6 <= row <= shape[0] + 1e-6))
    return found[0], found[1]
