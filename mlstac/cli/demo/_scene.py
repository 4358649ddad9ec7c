"""The demo's real input: a Sentinel-2 scene that the package ``xarray-spatial`` carries in its wheel."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlstac.collection import Band
from mlstac.errors import FormatError, MissingFileError, MissingPackageError

INSTALL = "pip install --no-deps xarray-spatial==0.5.3"

# File, the sensor's own name of the band, STAC's common name. The near infrared calls itself "07" in its file; its
# wavelength (0.842 µm) and its 10 m are those of B08.
_BANDS = (
    ("blue", "B02", "blue"),
    ("green", "B03", "green"),
    ("red", "B04", "red"),
    ("nir", "B08", "nir"),
    ("swir1", "B11", "swir16"),
    ("swir2", "B12", "swir22"),
)
_VARIABLE = "__xarray_dataarray_variable__"


class Scene(NamedTuple):
    """Six bands on one grid."""

    image: NDArray[np.uint16]
    """Digital numbers, shape (band, height, width)."""

    bands: list[Band]
    """In the order of the image's first axis."""

    crs: str
    """Of the grid, e.g. ``EPSG:32719``."""

    transform: tuple[float, ...]
    """Affine, six numbers: a, b, c, d, e, f."""


class _Raster(NamedTuple):
    values: NDArray[np.float64]
    crs: str
    transform: tuple[float, ...]
    wavelength: float


def find_scene() -> Path:
    """Find the folder of the scene's files, without importing the package that carries them.

    Raises
    ------
    MissingPackageError
        If the package is not installed; the message has the line that installs it.
    """
    found = find_spec("xrspatial")
    places = [Path(place) for place in found.submodule_search_locations or ()] if found is not None else []
    folder = next((place / "datasets" / "sentinel-2" for place in places), None)
    if folder is None or not folder.is_dir():
        raise MissingPackageError(
            "the demo's Sentinel-2 scene lies in the package xarray-spatial, which is not installed (its data is all "
            f"that is used); run: {INSTALL}"
        )
    return folder


def read_scene(folder: Path) -> Scene:
    """Read the six bands and bring them onto the grid of the finest.

    Four bands have pixels of 10 m, the two short-wave infrared ones of 20 m. Their files have as many pixels all the
    same, and so cover four times the ground: stacked as they lie, band 5 would show another place than band 1. Each
    20 m pixel is repeated over the four 10 m pixels that it covers, and what lies outside the 10 m bands is left out.

    Parameters
    ----------
    folder : Path
        As :func:`find_scene` gives it.

    Raises
    ------
    MissingFileError
        If a file is not there.
    FormatError
        If the grids do not nest, or values are not whole numbers of 16 bits.
    """
    rasters = [_read_raster(folder / f"{name}_band.nc") for name, _, _ in _BANDS]
    finest = min(rasters, key=lambda raster: raster.transform[0])
    planes = [_bring_onto(finest, raster, name) for raster, (name, _, _) in zip(rasters, _BANDS, strict=True)]
    image = np.stack(planes)
    numbers = image.astype(np.uint16)
    if not np.array_equal(numbers, image):
        raise FormatError(f"the scene in {folder} has values that are not whole numbers from 0 to 65535; {_again()}")
    bands = [
        Band(name=name, common_name=common, center_wavelength=raster.wavelength)
        for raster, (_, name, common) in zip(rasters, _BANDS, strict=True)
    ]
    return Scene(numbers, bands, finest.crs, finest.transform)


def _read_raster(path: Path) -> _Raster:
    try:
        from scipy.io import netcdf_file
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "the demo reads its scene with scipy, which is not installed; run: pip install scipy"
        ) from error
    if not path.exists():
        raise MissingFileError(f"{path} is not there; {_again()}")
    with netcdf_file(path, mode="r", mmap=False) as file:
        variable: Any = file.variables[_VARIABLE]
        return _Raster(
            values=np.asarray(variable.data, dtype=np.float64),  # big-endian in the file
            crs=variable.crs.decode().removeprefix("+init=").upper(),
            transform=tuple(float(number) for number in variable.transform),
            wavelength=float(getattr(variable, "Nominal Wavelength (µm)")),
        )


def _bring_onto(finest: _Raster, raster: _Raster, name: str) -> NDArray[np.float64]:
    """Repeat the pixels of a coarser raster, and cut it to the finest's size."""
    step, origin = raster.transform[0] / finest.transform[0], (raster.transform[2], raster.transform[5])
    times = int(step)
    height, width = finest.values.shape
    plane = raster.values.repeat(times, axis=0).repeat(times, axis=1)[:height, :width]
    nests = step == times and raster.transform[4] / finest.transform[4] == step and raster.crs == finest.crs
    if not nests or origin != (finest.transform[2], finest.transform[5]) or plane.shape != (height, width):
        raise FormatError(f"band {name} of the demo's scene has a grid that does not nest in the others'; {_again()}")
    return plane


def _again() -> str:
    return f"install the scene again: {INSTALL.replace('install', 'install --force-reinstall')}"
