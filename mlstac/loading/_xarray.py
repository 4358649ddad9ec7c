"""One sample as an ``xarray.Dataset``: axes with their names, bands, places and times."""

from collections.abc import Container, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.collection import Tensor
from mlstac.errors import MissingPackageError
from mlstac.loading._fields import Field

_TIME = "_time"
_GRID = ("proj:code", "proj:wkt2", "proj:transform", "proj:shape")


def make_xarray(
    sample: Mapping[str, Any], fields: Mapping[str, Field], row: Mapping[str, Any], *, scaled: Mapping[str, Any]
) -> Any:
    """Build the dataset of one sample.

    Parameters
    ----------
    sample : mapping of str to numpy.ndarray, str or JSON value
    fields : mapping of str to Field
    row : mapping
        The sample's row of the catalog, with its column ``assets``.
    scaled : mapping
        Has the names of the tensors that are scaled or normalized: what is said of stored values is not true of them.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    MissingPackageError
        If xarray is not installed.
    """
    try:
        import xarray
    except ModuleNotFoundError as error:
        raise MissingPackageError("to_xarray needs xarray; run: pip install xarray") from error
    times = {name + _TIME for name in sample if name + _TIME in sample}
    coordinates: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    variables: dict[str, Any] = {}
    for name, value in sample.items():
        if name in times:
            continue
        tensor, view = fields[name].tensor, fields[name].view
        if not isinstance(value, np.ndarray):
            variables[name] = ((), _boxed(value), _attributes(tensor, stored=False))
            continue
        words = _words(name, tensor, value.ndim)
        grid = _grid_of(name, row, view.layout.shape, tensor)
        origin = {words[axis]: start for axis, start, _ in view.spans}
        along = _coordinates(tensor, grid, dict(zip(words, value.shape, strict=True)), origin)
        if name + _TIME in sample and "time" in words:
            along["time"] = np.asarray(sample[name + _TIME]).astype("datetime64[us]").astype("datetime64[ns]")
        dims = []
        for word, size in zip(words, value.shape, strict=True):
            shared = _free(word, sample)
            # tensors share an axis where it is the same; else the later one has its own
            dim = shared if _agrees(shared, size, along.get(word), sizes, coordinates) else f"{shared}_{name}"
            sizes[dim] = size
            if word in along:
                coordinates[dim] = (dim, along[word])
            dims.append(dim)
        attributes = _attributes(tensor, stored=name not in scaled)
        if reference := _reference(grid, origin):
            key = "spatial_ref"
            if key in coordinates and coordinates[key][2] != reference:
                key = f"spatial_ref_{name}"
            coordinates[key] = ((), np.int64(0), reference)
            attributes["grid_mapping"] = key
        variables[name] = (tuple(dims), value, attributes)
    plain = {key: value for key, value in row.items() if isinstance(value, str | int | float) and key not in _GRID}
    return xarray.Dataset(variables, coordinates, plain)


def _words(name: str, tensor: Tensor, rank: int) -> tuple[str, ...]:
    if tensor.dims is not None and len(tensor.dims) == rank and tensor.media_type is None:
        return tensor.dims
    return tuple(f"{name}_{axis}" for axis in range(rank))


def _free(word: str, taken: Container[str]) -> str:
    """An axis's name that no tensor has: xarray takes a variable of an axis's name for its coordinates."""
    while word in taken:
        word += "_axis"
    return word


def _agrees(word: str, size: int, values: Any, sizes: Mapping[str, int], coordinates: Mapping[str, Any]) -> bool:
    """Whether an axis is that of the same name which is there already."""
    if word not in sizes:
        return True
    known = coordinates[word][1] if word in coordinates else None
    if sizes[word] != size or (known is None) != (values is None):
        return False
    return known is None or np.array_equal(known, values)


def _coordinates(
    tensor: Tensor, grid: Mapping[str, Any], sizes: Mapping[str, int], origin: Mapping[str, int]
) -> dict[str, NDArray[Any]]:
    """Coordinates along axes: names of bands, and middles of pixels where the grid is not turned."""
    found: dict[str, NDArray[Any]] = {}
    if tensor.bands and sizes.get("band") == len(tensor.bands):
        found["band"] = np.array([band.name for band in tensor.bands])
    transform = grid.get("proj:transform")
    if transform and {"y", "x"} <= set(sizes):
        a, b, c, d, e, f = transform[:6]
        if b == d == 0:
            found["x"] = c + (np.arange(sizes["x"]) + origin.get("x", 0) + 0.5) * a
            found["y"] = f + (np.arange(sizes["y"]) + origin.get("y", 0) + 0.5) * e
    return found


def _grid_of(name: str, row: Mapping[str, Any], shape: tuple[int | None, ...], tensor: Tensor) -> dict[str, Any]:
    """The tensor's own grid, or the sample's where it has the tensor's height and width."""
    if tensor.y_axis is None or tensor.x_axis is None:
        return {}
    own = (row.get("assets") or {}).get(name) or {}
    if own.get("proj:transform"):
        return {key: own.get(key) for key in _GRID}
    stored = (own.get("ml:shape") or shape)[tensor.y_axis], (own.get("ml:shape") or shape)[tensor.x_axis]
    if list(row.get("proj:shape") or stored) != list(stored):
        return {}
    return {key: row.get(key) for key in _GRID}


def _reference(grid: Mapping[str, Any], origin: Mapping[str, int]) -> dict[str, str]:
    """Attributes of CF's grid mapping variable, with GDAL's transform, as rioxarray reads and writes them."""
    code, transform = grid.get("proj:wkt2") or grid.get("proj:code"), grid.get("proj:transform")
    said: dict[str, str] = {}
    if code:
        from pyproj import CRS

        said["crs_wkt"] = said["spatial_ref"] = CRS.from_user_input(code).to_wkt()
    if transform:
        a, b, c, d, e, f = transform[:6]
        x, y = origin.get("x", 0), origin.get("y", 0)
        said["GeoTransform"] = " ".join(map(repr, (c + x * a + y * b, a, b, f + x * d + y * e, d, e)))
    return said


def _attributes(tensor: Tensor, *, stored: bool) -> dict[str, Any]:
    """What the collection says of a tensor, in CF's words where it has them."""
    said: dict[str, Any] = {"role": tensor.role, "long_name": tensor.description, "units": tensor.unit}
    if stored:
        said |= {"nodata": tensor.nodata, "scale_factor": tensor.scale, "add_offset": tensor.offset}
    if tensor.classes:
        said["flag_values"] = [item.value for item in tensor.classes]
        said["flag_meanings"] = " ".join(item.name for item in tensor.classes)
    return {key: value for key, value in said.items() if value is not None}


def _boxed(value: Any) -> NDArray[Any]:
    box = np.empty((), object)
    box[()] = value
    return box
