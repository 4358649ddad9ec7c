"""Where a sample is, as one point: cheap enough to ask of each before it is written."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mlstac.errors import InvalidSampleError
from mlstac.sample._crs import read_crs
from mlstac.sample._sphere import bound_geometry

if TYPE_CHECKING:
    from mlstac.sample._sample import Sample

__all__ = ["sample_centre"]


def sample_centre(sample: "Sample", *, grids: Mapping[str, tuple[int, int]]) -> tuple[float, float] | None:
    """Longitude and latitude of a sample's middle; None where it has no place.

    The middle is that of its geometry's bounding box, of its bounding box, or of its first grid.

    Parameters
    ----------
    grids : mapping of str to (int, int)
        Rows and columns of each tensor that has axes y and x.

    Raises
    ------
    InvalidSampleError
        If a grid leaves the domain of its CRS.
    """
    bbox = sample.bbox
    if sample.geometry is not None:
        bbox = bound_geometry(sample.geometry)
    if bbox is not None:
        west, south, east, north = bbox
        middle = (west + (east if west <= east else east + 360.0)) / 2
        return (middle + 180.0) % 360.0 - 180.0, (south + north) / 2
    for name, (height, width) in grids.items():
        crs = sample.crs.get(name) if isinstance(sample.crs, dict) else sample.crs
        transform = sample.transform.get(name) if isinstance(sample.transform, dict) else sample.transform
        if crs is None or transform is None:
            continue
        a, b, c, d, e, f = transform
        x, y = a * width / 2 + b * height / 2 + c, d * width / 2 + e * height / 2 + f
        lon, lat = read_crs(crs).transformer.transform(x, y)
        if not np.isfinite(lon + lat):
            raise InvalidSampleError(f"the grid of transform {transform} leaves the domain of {crs[:80]}; check both")
        return (lon + 180.0) % 360.0 - 180.0, float(lat)
    return None
