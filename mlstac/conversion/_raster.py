"""Images as rasterio reads them: values, place, bands, nodata; nothing that the file does not say."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.collection import Tensor
from mlstac.errors import FormatError, InvalidSampleError, MissingPackageError

SUFFIXES = (".tif", ".tiff", ".jp2", ".png", ".jpg", ".jpeg", ".vrt")


@dataclass(frozen=True, eq=False)
class Raster:
    """One image."""

    name: str
    array: NDArray[Any]
    """(band, y, x)."""
    crs: Any
    """None if the file has none."""
    transform: Any
    """Affine, or None where the file has none (or a grid without a place)."""
    bands: tuple[str, ...] | None
    """Names, where every band has one."""
    nodata: float | None
    scale: float | None
    offset: float | None
    unit: str | None
    datetime: str | None


def read_raster(source: Path | bytes, *, name: str) -> Raster:
    """Read an image whole.

    Parameters
    ----------
    source : Path or bytes
        A file, or its bytes.
    name : str
        For messages.

    Raises
    ------
    MissingPackageError
        If rasterio is not installed.
    FormatError
        If it cannot be read.
    InvalidSampleError
        If its bands differ in dtype or nodata, so that one tensor cannot hold them.
    """
    with _opened(source, name) as file:
        return _read(file, name)


def count_bands(path: Path) -> int:
    """How many bands an image has; its values are not read. Raises as ``read_raster`` does."""
    with _opened(path, str(path)) as file:
        return int(file.count)


@contextmanager
def _opened(source: Path | bytes, name: str) -> Iterator[Any]:
    try:
        import rasterio
    except ModuleNotFoundError as error:
        raise MissingPackageError("images are read with rasterio; run: pip install rasterio") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            if isinstance(source, bytes):
                with rasterio.MemoryFile(source) as memory, memory.open() as file:
                    yield file
            else:
                with rasterio.open(source) as file:
                    yield file
    except rasterio.errors.RasterioError as error:
        raise FormatError(f"{name} cannot be read as an image: {error}") from error


def _read(file: Any, name: str) -> Raster:
    if len(set(file.dtypes)) > 1:
        raise InvalidSampleError(
            f"{name}: its bands have the dtypes {', '.join(file.dtypes)}; one tensor holds one dtype"
        )
    nodata = {_plain(value) for value in file.nodatavals}
    if len(nodata) > 1 and not all(value is None or value != value for value in nodata):
        raise InvalidSampleError(f"{name}: its bands have the nodata values {sorted(map(str, nodata))}; expected one")
    identity = file.transform.is_identity or file.transform.almost_equals(type(file.transform)(1, 0, 0, 0, -1, 0))
    names = file.descriptions
    scales, offsets, units = set(file.scales), set(file.offsets), set(file.units)
    scale, offset = (scales.pop(), offsets.pop()) if len(scales) == len(offsets) == 1 else (1.0, 0.0)
    return Raster(
        name=name,
        array=file.read(),
        crs=file.crs or None,
        transform=None if identity and not file.crs else file.transform,
        bands=tuple(names) if all(names) and len(set(names)) == len(names) else None,
        nodata=next(iter(nodata)),
        scale=None if scale == 1 and offset == 0 else scale,
        offset=None if offset == 0 else offset,
        unit=next(iter(units)) if len(units) == 1 else None,
        datetime=_time_of(file),
    )


def _plain(value: Any) -> Any:
    return None if value is None else int(value) if value == value and float(value).is_integer() else float(value)


def _time_of(file: Any) -> str | None:
    """When the image was taken; TIFF's own date is when the file was written, and says nothing of that."""
    taken: str | None = file.tags(ns="IMAGERY").get("ACQUISITIONDATETIME")
    return taken or None


def place(rasters: dict[str, Raster]) -> dict[str, Any]:
    """CRS, transforms and time of the images of one sample, as a Sample takes them."""
    found: dict[str, Any] = {}
    crs = {name: raster.crs for name, raster in rasters.items() if raster.crs is not None}
    transforms = {name: raster.transform for name, raster in rasters.items() if raster.transform is not None}
    if crs:
        found["crs"] = crs
    if transforms:
        found["transform"] = transforms
    times = {raster.datetime for raster in rasters.values() if raster.datetime is not None}
    if len(times) == 1:
        found["datetime"] = times.pop()
    return found


def image_tensor(raster: Raster, **more: Any) -> Tensor:
    """What an image says of its tensor."""
    bands = [{"name": name} for name in raster.bands] if raster.bands else []
    nodata = raster.nodata
    return Tensor(
        dims="band y x", bands=bands, nodata=nodata, scale=raster.scale, offset=raster.offset, unit=raster.unit, **more
    )


def mask_tensor(raster: Raster, **more: Any) -> Tensor:
    """What a mask says of its tensor: a label without a band axis, where it has one band."""
    dims = "y x" if raster.array.shape[0] == 1 else "band y x"
    return Tensor(dims=dims, role="label", nodata=raster.nodata, **more)


def mask_array(raster: Raster) -> NDArray[Any]:
    """A mask's values: (y, x) where it has one band."""
    array: NDArray[Any] = np.ascontiguousarray(raster.array[0]) if raster.array.shape[0] == 1 else raster.array
    return array


def is_raster(path: Path, suffixes: Sequence[str] = SUFFIXES) -> bool:
    """Whether a file's name is that of an image."""
    return path.suffix.lower() in suffixes and not path.name.startswith(".")
