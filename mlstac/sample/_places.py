"""Footprints of the rows of a shard, computed grid by grid and not row by row."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from mlstac.errors import InvalidSampleError
from mlstac.sample._footprint import footprint, footprints
from mlstac.sample._row import Grid, Row
from mlstac.sample._sphere import bound_geometry, box_geometry

__all__ = ["Places", "find_places"]


class Places(NamedTuple):
    """Where rows lie."""

    geometries: NDArray[np.object_]
    """shapely geometries, None where the place is unknown, shape (n,)."""
    bboxes: NDArray[np.float64]
    """West, south, east, north, NaN where the place is unknown, shape (n, 4)."""


def find_places(rows: Sequence[Row]) -> Places:
    """Place rows: by the geometry given, else by their grids, else by their bounding box.

    Raises
    ------
    InvalidSampleError
        If a grid leaves the domain of its CRS; names the sample.
    """
    n = len(rows)
    geometries: NDArray[np.object_] = np.empty(n, dtype=object)
    bboxes = np.full((n, 4), np.nan)
    on_grid: dict[tuple[str, tuple[int, int]], tuple[list[int], list[Any]]] = {}
    several: list[tuple[int, list[Grid]]] = []
    for at, row in enumerate(rows):
        grids = [] if row.geometry is not None else _distinct(row.grids)
        if len(grids) == 1:
            grid = grids[0]
            ats, transforms = on_grid.setdefault((str(grid.crs), grid.shape), ([], []))
            ats.append(at)
            transforms.append(grid.transform)
        elif grids:
            several.append((at, grids))
        elif row.geometry is not None:
            geometries[at] = shapely.from_wkb(row.geometry)
            bboxes[at] = row.bbox or bound_geometry(geometries[at])
        elif row.bbox is not None:
            geometries[at], bboxes[at] = box_geometry(row.bbox), row.bbox
    for (crs, shape), (ats, transforms) in on_grid.items():
        try:
            geometries[ats], bboxes[ats] = footprints(crs, transforms, shape)
        except InvalidSampleError:
            for at in ats:  # again one by one, to name the sample
                _place_alone(rows[at], _distinct(rows[at].grids))
            raise
    for at, grids in several:
        geometries[at] = _place_alone(rows[at], grids)
        bboxes[at] = bound_geometry(geometries[at])
    return Places(geometries, bboxes)


def _place_alone(row: Row, grids: Sequence[Grid]) -> shapely.Geometry:
    """Footprint of one row: of its largest grid, or of all where that one does not hold the others."""
    try:
        found = [footprint(grid.crs, grid.transform, grid.shape)[0] for grid in grids]
    except InvalidSampleError as error:
        raise InvalidSampleError(f"sample {row.id!r}: {error}") from None
    found.sort(key=lambda geometry: -geometry.area)
    # Rounding alone may put one grid's corner past the other's edge, by far less than a pixel.
    slack = 1e-4 * float(np.sqrt(found[-1].area))
    if all(found[0].buffer(slack).covers(geometry) for geometry in found[1:]):
        return found[0]
    return shapely.orient_polygons(shapely.union_all(found))


def _distinct(grids: dict[str, Grid]) -> list[Grid]:
    """Grids of known place, one of those that cover the same ground: 10 m and 20 m bands of one chip."""
    found: dict[tuple[object, ...], Grid] = {}
    for grid in grids.values():
        if grid.crs is not None and grid.transform is not None:
            a, b, c, d, e, f = grid.transform
            height, width = grid.shape
            sides = (a * width, d * width, b * height, e * height)
            unit = 1e-6 * max(map(abs, sides)) or 1.0
            key = (grid.crs, *(round(number / unit) for number in (c, f, *sides)))
            found.setdefault(key, grid)
    return list(found.values())
