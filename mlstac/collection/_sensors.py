"""Bands of the usual sensors, for ``Tensor(bands="sentinel-2-l2a")``.

Wavelengths are the middle and the width at half maximum of the published spectral responses, in micrometres; for MODIS
band 36 the limits of its specification (14.085 to 14.385). Metres in the descriptions are those of the sensor, whatever
grid a product was resampled to. Common names are the eo extension's, given where the band lies in the range that the
extension has for the name.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from mlstac.collection._bands import Band
from mlstac.errors import InvalidArgumentError

# name | common name | centre | width at half maximum | description
_TABLES: Final = """
[sentinel-2-l1c]
B01 | coastal | 0.4435 | 0.017 | Coastal aerosol, 60 m
B02 | blue | 0.4965 | 0.053 | Blue, 10 m
B03 | green | 0.56 | 0.034 | Green, 10 m
B04 | red | 0.6645 | 0.029 | Red, 10 m
B05 | rededge071 | 0.7045 | 0.013 | Vegetation red edge 1, 20 m
B06 | rededge075 | 0.7405 | 0.013 | Vegetation red edge 2, 20 m
B07 | rededge078 | 0.783 | 0.018 | Vegetation red edge 3, 20 m
B08 | nir | 0.84 | 0.114 | Near infrared, 10 m
B8A | nir08 | 0.8645 | 0.019 | Narrow near infrared, 20 m
B09 | nir09 | 0.945 | 0.018 | Water vapour, 60 m
B10 | cirrus | 1.3755 | 0.031 | Cirrus, 60 m
B11 | swir16 | 1.6135 | 0.089 | Shortwave infrared 1, 20 m
B12 | swir22 | 2.1995 | 0.173 | Shortwave infrared 2, 20 m

[landsat-1-mss]
B04 | green | 0.553 | 0.098 | Green, 60 m
B05 | red | 0.6525 | 0.095 | Red, 60 m
B06 | - | 0.7475 | 0.105 | Near infrared 1, 60 m
B07 | nir | 0.9 | 0.178 | Near infrared 2, 60 m

[landsat-2-mss]
B04 | green | 0.5495 | 0.101 | Green, 60 m
B05 | red | 0.659 | 0.104 | Red, 60 m
B06 | - | 0.7505 | 0.105 | Near infrared 1, 60 m
B07 | nir | 0.897 | 0.184 | Near infrared 2, 60 m

[landsat-3-mss]
B04 | green | 0.544 | 0.096 | Green, 60 m
B05 | red | 0.6535 | 0.101 | Red, 60 m
B06 | - | 0.743 | 0.1 | Near infrared 1, 60 m
B07 | nir | 0.8965 | 0.167 | Near infrared 2, 60 m

[landsat-4-mss]
B01 | green | 0.5495 | 0.109 | Green, 60 m
B02 | red | 0.6505 | 0.093 | Red, 60 m
B03 | - | 0.7565 | 0.111 | Near infrared 1, 60 m
B04 | nir | 0.914 | 0.216 | Near infrared 2, 60 m

[landsat-5-mss]
B01 | green | 0.5525 | 0.109 | Green, 60 m
B02 | red | 0.6485 | 0.093 | Red, 60 m
B03 | - | 0.76 | 0.11 | Near infrared 1, 60 m
B04 | nir | 0.925 | 0.23 | Near infrared 2, 60 m

[landsat-4-tm]
B01 | blue | 0.4845 | 0.065 | Blue, 30 m
B02 | green | 0.569 | 0.08 | Green, 30 m
B03 | red | 0.659 | 0.068 | Red, 30 m
B04 | nir | 0.841 | 0.128 | Near infrared, 30 m
B05 | swir16 | 1.678 | 0.214 | Shortwave infrared 1, 30 m
B06 | lwir | 11.08 | 1.3 | Thermal infrared, 120 m
B07 | swir22 | 2.2225 | 0.247 | Shortwave infrared 2, 30 m

[landsat-5-tm]
B01 | blue | 0.485 | 0.064 | Blue, 30 m
B02 | green | 0.569 | 0.08 | Green, 30 m
B03 | red | 0.66 | 0.066 | Red, 30 m
B04 | nir | 0.84 | 0.127 | Near infrared, 30 m
B05 | swir16 | 1.676 | 0.214 | Shortwave infrared 1, 30 m
B06 | lwir | 11.435 | 1.97 | Thermal infrared, 120 m
B07 | swir22 | 2.2235 | 0.249 | Shortwave infrared 2, 30 m

[landsat-7-etm]
B01 | blue | 0.4775 | 0.071 | Blue, 30 m
B02 | green | 0.56 | 0.08 | Green, 30 m
B03 | red | 0.6615 | 0.061 | Red, 30 m
B04 | nir | 0.835 | 0.126 | Near infrared, 30 m
B05 | swir16 | 1.648 | 0.198 | Shortwave infrared 1, 30 m
B06 | lwir | 11.345 | 2.03 | Thermal infrared, 60 m
B07 | swir22 | 2.205 | 0.278 | Shortwave infrared 2, 30 m
B08 | pan | 0.705 | 0.378 | Panchromatic, 15 m

[landsat-8-oli-tirs]
B01 | coastal | 0.4425 | 0.015 | Coastal aerosol, 30 m
B02 | blue | 0.4825 | 0.059 | Blue, 30 m
B03 | green | 0.5615 | 0.057 | Green, 30 m
B04 | red | 0.6545 | 0.037 | Red, 30 m
B05 | nir08 | 0.8645 | 0.027 | Near infrared, 30 m
B06 | swir16 | 1.609 | 0.084 | Shortwave infrared 1, 30 m
B07 | swir22 | 2.201 | 0.186 | Shortwave infrared 2, 30 m
B08 | pan | 0.5895 | 0.171 | Panchromatic, 15 m
B09 | cirrus | 1.3735 | 0.019 | Cirrus, 30 m
B10 | lwir11 | 10.875 | 0.55 | Thermal infrared 1, 100 m
B11 | lwir12 | 12.025 | 0.95 | Thermal infrared 2, 100 m

[landsat-9-oli-tirs]
B01 | coastal | 0.443 | 0.014 | Coastal aerosol, 30 m
B02 | blue | 0.4815 | 0.059 | Blue, 30 m
B03 | green | 0.561 | 0.056 | Green, 30 m
B04 | red | 0.654 | 0.036 | Red, 30 m
B05 | nir08 | 0.8645 | 0.027 | Near infrared, 30 m
B06 | swir16 | 1.6085 | 0.085 | Shortwave infrared 1, 30 m
B07 | swir22 | 2.2 | 0.188 | Shortwave infrared 2, 30 m
B08 | pan | 0.589 | 0.172 | Panchromatic, 15 m
B09 | cirrus | 1.374 | 0.02 | Cirrus, 30 m
B10 | lwir11 | 10.825 | 0.65 | Thermal infrared 1, 100 m
B11 | lwir12 | 12.025 | 0.85 | Thermal infrared 2, 100 m

[eo1-ali]
B01 | pan | 0.5885 | 0.175 | Panchromatic, 10 m
B02 | coastal | 0.4415 | 0.019 | MS-1', coastal, 30 m
B03 | blue | 0.4825 | 0.061 | MS-1, blue, 30 m
B04 | green | 0.566 | 0.074 | MS-2, green, 30 m
B05 | red | 0.66 | 0.058 | MS-3, red, 30 m
B06 | - | 0.79 | 0.03 | MS-4, near infrared, 30 m
B07 | nir08 | 0.866 | 0.044 | MS-4', near infrared, 30 m
B08 | - | 1.2445 | 0.089 | MS-5', shortwave infrared, 30 m
B09 | swir16 | 1.638 | 0.184 | MS-5, shortwave infrared 1, 30 m
B10 | swir22 | 2.224 | 0.276 | MS-7, shortwave infrared 2, 30 m

[aster]
B01 | green | 0.558 | 0.084 | Green, 15 m
B02 | red | 0.659 | 0.06 | Red, 15 m
B3N | nir08 | 0.806 | 0.1 | Near infrared, nadir view, 15 m
B3B | - | 0.806 | 0.108 | Near infrared, backward view, 15 m
B04 | swir16 | 1.655 | 0.09 | Shortwave infrared, 30 m
B05 | - | 2.165 | 0.035 | Shortwave infrared, 30 m
B06 | - | 2.2085 | 0.0375 | Shortwave infrared, 30 m
B07 | - | 2.2625 | 0.045 | Shortwave infrared, 30 m
B08 | - | 2.3335 | 0.0675 | Shortwave infrared, 30 m
B09 | - | 2.3975 | 0.065 | Shortwave infrared, 30 m
B10 | - | 8.28 | 0.34 | Thermal infrared, 90 m
B11 | - | 8.63 | 0.34 | Thermal infrared, 90 m
B12 | - | 9.075 | 0.35 | Thermal infrared, 90 m
B13 | - | 10.655 | 0.65 | Thermal infrared, 90 m
B14 | - | 11.3 | 0.58 | Thermal infrared, 90 m

[modis]
B01 | red | 0.64569 | 0.04501 | Land, cloud, aerosols boundaries, 250 m
B02 | nir08 | 0.85688 | 0.037 | Land, cloud, aerosols boundaries, 250 m
B03 | blue | 0.4657 | 0.017979 | Land, cloud, aerosols properties, 500 m
B04 | green | 0.55319 | 0.018989 | Land, cloud, aerosols properties, 500 m
B05 | - | 1.2415 | 0.022 | Land, cloud, aerosols properties, 500 m
B06 | swir16 | 1.629 | 0.0279 | Land, cloud, aerosols properties, 500 m
B07 | swir22 | 2.1132 | 0.045 | Land, cloud, aerosols properties, 500 m
B08 | - | 0.41167 | 0.011 | Ocean colour, phytoplankton, biogeochemistry, 1000 m
B09 | - | 0.44216 | 0.00801 | Ocean colour, phytoplankton, biogeochemistry, 1000 m
B10 | - | 0.48669 | 0.00998 | Ocean colour, phytoplankton, biogeochemistry, 1000 m
B11 | - | 0.529669 | 0.01101 | Ocean colour, phytoplankton, biogeochemistry, 1000 m
B12 | - | 0.54671 | 0.009019 | Ocean colour, phytoplankton, biogeochemistry, 1000 m
B13 | - | 0.66519 | 0.00802 | Ocean colour, phytoplankton, biogeochemistry, 1000 m
B14 | - | 0.677219 | 0.01002 | Ocean colour, phytoplankton, biogeochemistry, 1000 m
B15 | - | 0.746789 | 0.009 | Ocean colour, phytoplankton, biogeochemistry, 1000 m
B16 | - | 0.866809 | 0.015011 | Ocean colour, phytoplankton, biogeochemistry, 1000 m
B17 | - | 0.90375 | 0.033 | Atmospheric water vapour, 1000 m
B18 | - | 0.93575 | 0.01301 | Atmospheric water vapour, 1000 m
B19 | - | 0.93534 | 0.04499 | Atmospheric water vapour, 1000 m
B20 | - | 3.786 | 0.19 | Surface, cloud temperature, 1000 m
B21 | - | 3.991 | 0.08 | Surface, cloud temperature, 1000 m
B22 | - | 3.971 | 0.08 | Surface, cloud temperature, 1000 m
B23 | - | 4.0575 | 0.085 | Atmospheric temperature, 1000 m
B24 | - | 4.4715 | 0.085 | Atmospheric temperature, 1000 m
B25 | - | 4.546 | 0.09 | Atmospheric temperature, 1000 m
B26 | cirrus | 1.3836 | 0.034 | Cirrus clouds, 1000 m
B27 | - | 6.7585 | 0.225 | Water vapour, 1000 m
B28 | - | 7.3345 | 0.316 | Water vapour, 1000 m
B29 | - | 8.526 | 0.3 | Cloud properties, 1000 m
B30 | - | 9.752 | 0.27 | Cloud properties, 1000 m
B31 | lwir11 | 11.013 | 0.5 | Surface, cloud temperature, 1000 m
B32 | lwir12 | 12.0395 | 0.475 | Surface, cloud temperature, 1000 m
B33 | - | 13.362 | 0.299 | Cloud top altitude, 1000 m
B34 | - | 13.6825 | 0.301 | Cloud top altitude, 1000 m
B35 | - | 13.893 | 0.281 | Cloud top altitude, 1000 m
B36 | - | 14.235 | 0.3 | Cloud top altitude, 1000 m

[sentinel-1-grd]
VV | - | - | - | Backscatter, vertical transmitted, vertical received
VH | - | - | - | Backscatter, vertical transmitted, horizontal received

[naip]
R | red | - | - | Red
G | green | - | - | Green
B | blue | - | - | Blue
NIR | nir | - | - | Near infrared

[rgb]
red | red | - | - | Red
green | green | - | - | Green
blue | blue | - | - | Blue
"""

# products that carry some bands of a sensor: Sentinel-2 level 2A has no cirrus band, Landsat level 2 keeps surface
# reflectance and one thermal band
_PRODUCTS: Final = {
    "sentinel-2-l2a": ("sentinel-2-l1c", "B01 B02 B03 B04 B05 B06 B07 B08 B8A B09 B11 B12"),
    "landsat-4-tm-c2-l2": ("landsat-4-tm", "B01 B02 B03 B04 B05 B06 B07"),
    "landsat-5-tm-c2-l2": ("landsat-5-tm", "B01 B02 B03 B04 B05 B06 B07"),
    "landsat-7-etm-c2-l2": ("landsat-7-etm", "B01 B02 B03 B04 B05 B06 B07"),
    "landsat-8-oli-tirs-c2-l2": ("landsat-8-oli-tirs", "B01 B02 B03 B04 B05 B06 B07 B10"),
    "landsat-9-oli-tirs-c2-l2": ("landsat-9-oli-tirs", "B01 B02 B03 B04 B05 B06 B07 B10"),
}


def _parse(tables: str) -> dict[str, tuple[Band, ...]]:
    sensors: dict[str, tuple[Band, ...]] = {}
    for block in tables.strip().split("\n\n"):
        title, *lines = block.strip().splitlines()
        sensors[title.strip("[]")] = tuple(_parse_band(line) for line in lines)
    return sensors


def _parse_band(line: str) -> Band:
    name, common_name, center, width, description = (None if cell == "-" else cell for cell in line.split(" | "))
    fields = {"eo:common_name": common_name, "eo:center_wavelength": center, "eo:full_width_half_max": width}
    return Band.model_validate({"name": name, "description": description} | fields)


def _with_products(sensors: dict[str, tuple[Band, ...]]) -> dict[str, tuple[Band, ...]]:
    for product, (sensor, names) in _PRODUCTS.items():
        by_name = {band.name: band for band in sensors[sensor]}
        sensors[product] = tuple(by_name[name] for name in names.split())
    return dict(sorted(sensors.items()))


SENSORS: Final[Mapping[str, tuple[Band, ...]]] = MappingProxyType(_with_products(_parse(_TABLES)))
"""Bands by sensor and product, in the order of the sensor. Copy a band before changing it."""


def find_sensor(name: str) -> tuple[Band, ...]:
    """Give a sensor's bands by its name; case, spaces and underscores do not count.

    Raises
    ------
    InvalidArgumentError
        If the name is not among `SENSORS`; the message suggests near ones.
    """
    key = "-".join(name.lower().replace("_", " ").replace("-", " ").split())
    if key in SENSORS:
        return SENSORS[key]
    near = difflib.get_close_matches(key, SENSORS, n=3, cutoff=0.5) or [
        known for known in SENSORS if known.startswith(key[:8])
    ]
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    raise InvalidArgumentError(
        f"no bands are known for {name[:60]!r}; {hint}mlstac.collection.SENSORS lists those that are. "
        'To name some bands of a sensor write bands="sentinel-2-l2a: B04 B03 B02", or a list of names'
    )


def recognise_bands(names: Sequence[Any]) -> tuple[Band, ...] | None:
    """Give the bands that plain names stand for, where no two sensors that have all of them mean different things.

    Sentinel-2's B04 is red and Landsat 7's is near infrared: such names alone say nothing, and nothing is made up.

    Returns
    -------
    tuple of Band or None
        With common names where all sensors agree on them, with wavelengths and descriptions where these agree too;
        None where a name is unknown or the sensors differ.
    """
    if not names or not all(isinstance(name, str) for name in names):
        return None
    tables = [{band.name: band for band in bands} for bands in SENSORS.values()]
    readings = [[table[name] for name in names] for table in tables if all(name in table for name in names)]
    commons = {tuple(band.common_name for band in reading) for reading in readings}
    if len(commons) != 1 or not any(next(iter(commons))):
        return None
    return tuple(
        band if all(other == band for other in others) else Band(name=band.name, common_name=band.common_name)
        for band, *others in zip(*readings, strict=True)
    )
