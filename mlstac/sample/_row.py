"""One sample's row of the catalog, before the addresses are known: light, without tensors."""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from mlstac.errors import InvalidSampleError
from mlstac.sample._origins import Origin
from mlstac.sample._properties import Value, check_id
from mlstac.sample._sphere import Bbox
from mlstac.sample._transform import Transform

if TYPE_CHECKING:
    from mlstac.sample._sample import Sample

__all__ = ["Grid", "Row", "sample_row"]


class Grid(NamedTuple):
    """The raster that a tensor's y and x axes are."""

    crs: str | None
    """A code, or WKT 2 where no authority lists it."""
    transform: Transform | None
    shape: tuple[int, int]
    """Rows and columns."""


class Row(NamedTuple):
    """What a catalog says of a sample, its addresses apart."""

    id: str
    grids: dict[str, Grid]
    """By tensor, of those that are on a grid of known CRS or transform."""
    bbox: Bbox | None
    geometry: bytes | None
    """WKB, as the author gave it."""
    datetime: dt.datetime | None
    start_datetime: dt.datetime | None
    end_datetime: dt.datetime | None
    properties: dict[str, Value]
    derived_from: tuple[Origin, ...] = ()


def sample_row(sample: "Sample", *, grids: Mapping[str, tuple[int, int]], id: str | None = None) -> Row:
    """Make a sample's row.

    Parameters
    ----------
    sample : Sample
    grids : mapping of str to (int, int)
        Rows and columns of each tensor that has axes y and x.
    id : str, optional
        For a sample that has none.

    Raises
    ------
    InvalidSampleError
        If crs or transform do not fit the tensors, or there is no id.
    """
    sample_id = check_id(sample.id if sample.id is not None else id)
    try:
        found = _find_grids(sample, grids)
    except InvalidSampleError as error:
        raise InvalidSampleError(f"sample {sample_id!r}: {error}") from None
    geometry = None
    if sample.geometry is not None:
        import shapely

        geometry = shapely.to_wkb(shapely.orient_polygons(sample.geometry))
    return Row(
        sample_id,
        found,
        sample.bbox,
        geometry,
        sample.datetime,
        sample.start_datetime,
        sample.end_datetime,
        sample.properties,
        sample.derived_from,
    )


def _find_grids(sample: "Sample", shapes: Mapping[str, tuple[int, int]]) -> dict[str, Grid]:
    crs, transform = sample.crs, sample.transform
    if crs is None and transform is None:
        return {}
    what = "transform" if transform is not None else "crs"
    if not shapes:
        raise InvalidSampleError(
            f"{what} is given, but no tensor has axes y and x; name them in the collection, e.g. "
            "Tensor(dims='band y x'), or give the place as bbox= or geometry="
        )
    for what, given in (("transform", transform), ("crs", crs)):
        for name in given if isinstance(given, dict) else ():
            if name not in shapes:
                raise InvalidSampleError(
                    f"{what} speaks of {name!r}, which has no axes y and x; name them in the collection, e.g. "
                    "Tensor(dims='band y x')"
                )
    if transform is None and sample.bbox is None and sample.geometry is None:
        raise InvalidSampleError(
            "crs is given without transform, which says no place; give transform= (or geotransform=) too, or the place"
            " as bbox= or geometry="
        )
    if transform is not None and not isinstance(transform, dict) and len(set(shapes.values())) > 1:
        sizes = ", ".join(f"{name!r} {height} x {width}" for name, (height, width) in shapes.items())
        raise InvalidSampleError(
            f"one transform is given for tensors of several sizes ({sizes}); give a dict of transforms by tensor"
        )
    grids = {}
    for name, (height, width) in shapes.items():
        own_crs = crs.get(name) if isinstance(crs, dict) else crs
        own_transform = transform.get(name) if isinstance(transform, dict) else transform
        # Where transforms are given by tensor, one that has none is on no known grid.
        if own_transform is not None or (transform is None and own_crs is not None):
            grids[name] = Grid(own_crs, own_transform, (height, width))
    return grids
