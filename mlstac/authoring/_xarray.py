"""An ``xarray.Dataset`` as a sample: its variables are tensors, and its coordinates say where and when."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlstac.errors import InvalidSampleError
from mlstac.sample import Sample

_SPELLINGS = {"lat": "y", "latitude": "y", "lon": "x", "longitude": "x", "bands": "band"}


class DescribedSample(Sample):
    """A sample that says of its tensors what arrays alone do not: axes, bands, nodata."""

    __slots__ = ("described",)

    def __init__(self, tensors: Mapping[str, Any], *, described: Mapping[str, dict[str, Any]], **fields: Any) -> None:
        super().__init__(tensors, **fields)
        self.described = dict(described)
        """By tensor, fields of a `Tensor`."""


def is_xarray(given: Any) -> bool:
    """Whether something is a ``Dataset`` or ``DataArray`` of xarray; without importing it."""
    return any(
        base.__module__.partition(".")[0] == "xarray" and base.__name__ in ("Dataset", "DataArray")
        for base in type(given).__mro__
    )


def read_xarray(given: Any) -> DescribedSample:
    """Read a sample from an ``xarray.Dataset``, or from a ``DataArray``, which is one tensor.

    Axes and bands have the names of dimensions and of the coordinate ``band``; ``lat`` and ``lon`` are y and x. The CRS
    is that of the grid mapping (rioxarray's ``spatial_ref``), and the transform its ``GeoTransform``, else that of
    evenly spaced coordinates. A coordinate ``time`` is the sample's time, or of its steps.

    Raises
    ------
    InvalidSampleError
        If there is a CRS, but coordinates that are not evenly spaced.
    """
    dataset = given
    if not hasattr(given, "data_vars"):
        dataset = given.to_dataset(name=given.name or "data", promote_attrs=False)
    tensors: dict[str, Any] = {}
    described: dict[str, dict[str, Any]] = {}
    crs: dict[str, Any] = {}
    transforms: dict[str, Any] = {}
    steps: dict[str, Any] = {}
    for key, variable in dataset.data_vars.items():
        name = str(key)
        tensors[name] = variable.item() if variable.dtype == object and not variable.ndim else variable.to_numpy()
        words = {str(dim): _word(str(dim), name) for dim in variable.dims}
        described[name] = _describe(variable, words)
        found = _grid(dataset, variable, words)
        if found is not None:
            crs[name], transforms[name] = found
        time = next((dim for dim, word in words.items() if word == "time"), None)
        if time is not None and time in variable.coords and variable.coords[time].dtype.kind == "M":
            steps[name] = list(variable.coords[time].to_numpy())
    when = dataset.coords["time"].to_numpy() if "time" in dataset.coords and not dataset.coords["time"].ndim else None
    return DescribedSample(
        tensors,
        described=described,
        id=dataset.attrs.get("id") if isinstance(dataset.attrs.get("id"), str) else None,
        crs=crs or None,
        transform=transforms or None,
        datetime=when[()] if when is not None and when.dtype.kind == "M" and not np.isnat(when) else None,
        datetimes=steps or None,
    )


def _word(dim: str, variable: str) -> str:
    """The axis that a dimension is; ``y_mask`` is the y of the variable ``mask``."""
    plain = dim.removesuffix(f"_{variable}")
    return _SPELLINGS.get(plain.lower(), plain)


def _describe(variable: Any, words: Mapping[str, str]) -> dict[str, Any]:
    if variable.dtype == object or not variable.ndim:
        return {}
    said: dict[str, Any] = {"dims": tuple(words.values())}
    band = next((dim for dim, word in words.items() if word == "band"), None)
    if band is not None and band in variable.coords and variable.coords[band].dtype.kind in "UO":
        said["bands"] = [str(name) for name in variable.coords[band].to_numpy()]
    for key in ("nodata", "_FillValue"):
        value = variable.attrs.get(key, variable.encoding.get(key))
        if value is not None and "nodata" not in said:
            said["nodata"] = value.item() if isinstance(value, np.generic) else value
    return said


def _grid(dataset: Any, variable: Any, words: Mapping[str, str]) -> tuple[str, Any] | None:
    """CRS and transform of a variable; None where it has no y and x, or nothing says the CRS."""
    y, x = (next((dim for dim, word in words.items() if word == axis), None) for axis in ("y", "x"))
    key = variable.attrs.get("grid_mapping") or variable.encoding.get("grid_mapping") or "spatial_ref"
    if y is None or x is None or key not in dataset.coords:
        return None
    said = dataset.coords[key].attrs
    crs = said.get("crs_wkt") or said.get("spatial_ref")
    if not crs:
        return None
    if "GeoTransform" in said:
        c, a, b, f, d, e = (float(number) for number in str(said["GeoTransform"]).split())
        return crs, (a, b, c, d, e, f)
    if y not in variable.coords or x not in variable.coords:
        raise InvalidSampleError(f"variable {variable.name!r} has a CRS, but no coordinates {y!r} and {x!r}; give them")
    width, left = _spacing(variable.coords[x], x)
    height, top = _spacing(variable.coords[y], y)
    return crs, (width, 0.0, left, 0.0, height, top)


def _spacing(coordinate: Any, dim: str) -> tuple[float, float]:
    """Size of a pixel, and where the first one begins, from the middles of pixels."""
    middles = coordinate.to_numpy().astype(np.float64)
    steps = np.diff(middles)
    if not len(steps) or not np.allclose(steps, steps.mean(), rtol=1e-3, atol=0):
        raise InvalidSampleError(
            f"coordinate {dim!r} is not evenly spaced, so that no transform follows; give a mlstac.Sample with bbox= or"
            " geometry="
        )
    step = float((middles[-1] - middles[0]) / len(steps))
    return step, float(middles[0] - step / 2)
