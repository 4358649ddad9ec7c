"""Spectral bands: their names, wavelengths and statistics, and how a band is found by name."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema

from mlstac.collection._base import Model, first_twice, shorten
from mlstac.collection._statistics import Statistics
from mlstac.errors import NotFoundError

CommonName = Literal[
    "pan",
    "coastal",
    "blue",
    "green",
    "green05",
    "yellow",
    "red",
    "rededge",
    "rededge071",
    "rededge075",
    "rededge078",
    "nir",
    "nir08",
    "nir09",
    "cirrus",
    "swir16",
    "swir22",
    "lwir",
    "lwir11",
    "lwir12",
]
COMMON_NAMES: Final[tuple[str, ...]] = get_args(CommonName)
"""The eo extension's closed list of common names."""

# words that people use for a common name
_SYNONYMS: Final[dict[str, str]] = {
    "swir1": "swir16",
    "swir2": "swir22",
    "panchromatic": "pan",
    "coastalaerosol": "coastal",
    "nearinfrared": "nir",
    "rededge1": "rededge071",
    "rededge2": "rededge075",
    "rededge3": "rededge078",
    "tir1": "lwir11",
    "tir2": "lwir12",
    "tir": "lwir",
}
_ZEROS = re.compile(r"(?<=[a-z])0+(?=\d)")
_FAMILY = re.compile(r"^(nir|rededge|swir|lwir|green)")


def _plain_number(value: Any) -> Any:
    """Take the number out of a numpy scalar."""
    if isinstance(value, bool):
        raise ValueError(f"expected a number, got {value}; write 0 or 1")
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value


def _read_nodata(value: Any) -> int | float:
    """Read a number, whole ones as whole, or a word that STAC writes where JSON has no number."""
    if isinstance(value, str) and value in ("nan", "inf", "-inf"):
        value = float(value)
    number = _plain_number(value)
    if not isinstance(number, int | float):
        raise ValueError(f"expected a number or one of 'nan', 'inf', '-inf', got {shorten(value)}; change it")
    # every NaN is the same object here, so that models that hold one can be equal
    return math.nan if number != number else number


Number = Annotated[float, BeforeValidator(_plain_number)]
Nodata = Annotated[
    int | float,
    PlainValidator(_read_nodata),
    WithJsonSchema({"oneOf": [{"type": "number"}, {"enum": ["nan", "inf", "-inf"]}]}),
]


def nodata_word(value: int | float) -> int | float | str:
    """Write a nodata value as STAC does: ``"nan"``, ``"inf"``, ``"-inf"`` are words."""
    return value if math.isfinite(value) else str(float(value))


class Band(Model):
    """One band of a tensor.

    References
    ----------
    STAC 1.1, "Common metadata: bands"; eo extension v2.0.0; raster extension v2.0.0.
    """

    name: str | None = Field(default=None, min_length=1)
    """Name of the band, as the sensor's makers write it: ``B04``."""

    description: str | None = None
    """What the band measures."""

    common_name: CommonName | None = Field(
        default=None, validation_alias="eo:common_name", serialization_alias="eo:common_name"
    )
    """Name that bands of several sensors share, from the eo extension's closed list."""

    center_wavelength: float | None = Field(
        default=None, gt=0, validation_alias="eo:center_wavelength", serialization_alias="eo:center_wavelength"
    )
    """Middle of the band in micrometres."""

    full_width_half_max: float | None = Field(
        default=None, gt=0, validation_alias="eo:full_width_half_max", serialization_alias="eo:full_width_half_max"
    )
    """Width of the band at half its maximum response, in micrometres."""

    unit: str | None = None
    """Unit of the values after scale and offset."""

    nodata: Nodata | None = None
    """The value that stands for no data, where bands differ in it."""

    scale: Number | None = Field(default=None, validation_alias="raster:scale", serialization_alias="raster:scale")
    """What to multiply stored values with, where bands differ in it."""

    offset: Number | None = Field(default=None, validation_alias="raster:offset", serialization_alias="raster:offset")
    """What to add after scaling, where bands differ in it."""

    statistics: Statistics | None = None
    """Statistics of the band over the train split."""

    def _to_object(self) -> dict[str, Any]:
        out = super()._to_object()
        if self.nodata is not None:
            out["nodata"] = nodata_word(self.nodata)
        return out


def parse_bands(value: Any) -> Any:
    """Read the ways in which bands may be given: a sensor's name, with some of its bands or none, or a list."""
    from mlstac.collection._sensors import find_sensor, recognise_bands  # the sensors are made of bands

    if isinstance(value, str):
        sensor, _, chosen = value.partition(":")
        bands = find_sensor(sensor)
        if ":" in value:
            bands = _choose(sensor.strip(), bands, chosen.replace(",", " ").split())
        return [band.model_copy(deep=True) for band in bands]
    if isinstance(value, Sequence):
        if known := recognise_bands(value):
            return [band.model_copy(deep=True) for band in known]
        return [{"name": item} if isinstance(item, str) else item for item in value]
    if isinstance(value, Mapping):
        raise ValueError('bands are an ordered list, got a mapping; write ["B04", "B03", …] in the order of the axis')
    return value


def _choose(sensor: str, bands: Sequence[Band], names: Sequence[str]) -> tuple[Band, ...]:
    """Some of a sensor's bands, in the order wanted."""
    if not names:
        raise ValueError(f"no band is named after {sensor + ':'!r}; write for example '{sensor}: {bands[0].name}'")
    try:
        return tuple(bands[find_band(bands, name)] for name in names)
    except NotFoundError as error:
        raise ValueError(f"of {sensor}, {error}") from None


def check_bands(bands: list[Band]) -> list[Band]:
    """Refuse a name that stands for two bands."""
    twice = first_twice(band.name for band in bands if band.name is not None)
    if twice is not None:
        raise ValueError(f"band name {twice!r} is used more than once; give each band its own")
    return bands


def find_band(bands: Sequence[Band], name: str) -> int:
    """Find a band's position by name.

    The exact name wins, then the exact common name, then spellings (``b4``, ``B4`` for ``B04``; ``swir1`` for
    ``swir16``), then the family (``nir`` for a lone ``nir08``). Each counts only where it is unique.

    Raises
    ------
    NotFoundError
        If no band or more than one answers to the name.
    """
    wanted = _plain(name)
    common = _SYNONYMS.get(wanted, wanted)
    tests = (
        lambda band: band.name == name,
        lambda band: band.common_name == name,
        lambda band: band.name is not None and _plain(band.name) == wanted,
        lambda band: band.common_name == common,
        lambda band: band.common_name is not None and _family(band.common_name) == common,
    )
    for test in tests:
        found = [index for index, band in enumerate(bands) if test(band)]
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(bands[index].name or f"#{index}" for index in found)
            raise NotFoundError(f"band {name!r} could be any of {several}; use one of these names")
    hint = ""
    if common in COMMON_NAMES and bands and not any(band.common_name for band in bands):
        names = " ".join(band.name or "?" for band in bands[:4]) + (" …" if len(bands) > 4 else "")
        hint = f"; to say what they see, describe them with their sensor, for example bands='sentinel-2-l2a: {names}'"
    raise NotFoundError(
        f"there is no band {name!r}; the bands are {', '.join(map(_shown, bands)) or 'not named'}{hint}"
    )


def _plain(name: str) -> str:
    return _ZEROS.sub("", re.sub(r"[\s_-]", "", name).lower())


def _family(common_name: str) -> str:
    match = _FAMILY.match(common_name)
    return match.group(1) if match else common_name


def _shown(band: Band) -> str:
    name = band.name or "(no name)"
    return f"{name} ({band.common_name})" if band.common_name and band.common_name != band.name else name
