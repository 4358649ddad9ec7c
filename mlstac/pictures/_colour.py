"""Arrays of bands -> arrays of colours. numpy alone, so that it can be tested without drawing anything."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlstac.collection import Tensor

# What people expect of a picture, best first: natural colours, then the usual infrared and short-wave composites.
_COMPOSITES = (
    ("red", "green", "blue"),
    ("nir", "red", "green"),
    ("swir16", "nir", "red"),
)
# No other sensor has a band 8A: where it is there, bands 4, 3 and 2 are red, green and blue, though nobody says so.
_SENTINEL_2, _ITS_COLOURS = "b8a", ("b4", "b3", "b2")
_POLARISATIONS = {"vv", "vh", "hh", "hv"}
_LOW_PERCENT, _MIDDLE_PERCENT, _HIGH_PERCENT = 2.0, 50.0, 98.0
# Where a few bright chips would leave the others black, the median is lifted towards this brightness, as far as the
# least gamma does.
_MIDDLE_BRIGHTNESS, _LEAST_GAMMA = 0.4, 0.5
# Percentiles settle long before every pixel has been looked at.
_SAMPLED_PIXELS = 2_000_000
# Ends of a stretch lie no farther out, so that float64 holds what is between them.
_FARTHEST = 1e300


class Composite(NamedTuple):
    """Which bands make the picture, and how to call that."""

    bands: tuple[int, ...]
    """Positions along the band axis: three for colours, two for radar, one for grey, none without a band axis."""

    label: str
    """Words for the picture's caption, e.g. ``red, green, blue``; empty where there is nothing to say."""


class Stretch(NamedTuple):
    """How values become brightness: ``((value - low) / (high - low)) ** gamma``, one pair of ends a channel."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    gamma: float
    """Below 1 where most pixels are far darker than the brightest; one for all channels, so that hues stay."""


def image_axes(tensor: Tensor, ndim: int) -> tuple[str, ...]:
    """Axes of an image tensor, in words, guessed from the number of axes where the author gave none.

    Parameters
    ----------
    tensor : Tensor
        The description; ``dims`` of another length than `ndim` are not believed.
    ndim : int
        Axes of the array of one sample.

    Returns
    -------
    tuple of str
        ``("band", "y", "x")`` and the like; empty where the tensor is no image.
    """
    dims = tuple(tensor.dims or ())
    if len(dims) == ndim:
        return dims if {"y", "x"} <= set(dims) and set(dims) <= {"time", "band", "y", "x"} else ()
    return {2: ("y", "x"), 3: ("band", "y", "x"), 4: ("time", "band", "y", "x")}.get(ndim, ())


def to_frames(array: NDArray[np.generic], tensor: Tensor) -> NDArray[np.generic]:
    """Bring an image of any order of axes into time, band, y, x.

    Returns
    -------
    numpy.ndarray, shape (time, band, height, width)
        A view; axes that the array lacks have length 1.
    """
    axes = image_axes(tensor, array.ndim)
    order = [axes.index(axis) for axis in ("time", "band", "y", "x") if axis in axes]
    frames = array.transpose(order)
    for position, axis in enumerate(("time", "band")):
        if axis not in axes:
            frames = np.expand_dims(frames, position)
    return frames


def choose_bands(tensor: Tensor, count: int) -> Composite:
    """Choose the bands to show: red, green and blue by common name, or by Sentinel-2's, where they are there.

    Parameters
    ----------
    tensor : Tensor
        Its bands' common names decide; three bands without names are taken as red, green, blue.
    count : int
        Bands that the array has.
    """
    described = tensor.bands if len(tensor.bands) == count and all(band.name for band in tensor.bands) else []
    names = [band.name or "" for band in described]
    commons = [band.common_name or (band.name or "").lower() for band in described]
    for wanted in _COMPOSITES:
        if all(commons.count(common) == 1 for common in wanted):
            return Composite(tuple(commons.index(common) for common in wanted), ", ".join(wanted))
    short = [name.lower().replace("b0", "b") for name in names]
    if _SENTINEL_2 in short and all(short.count(name) == 1 for name in _ITS_COLOURS):
        bands = tuple(short.index(name) for name in _ITS_COLOURS)
        return Composite(bands, ", ".join(names[band] for band in bands))
    if count == 1:
        return Composite((0,), names[0] if names else "")
    if count == 2:
        first, second = names or ("1st", "2nd")
        return Composite((0, 1), f"{first}, {second}, {first} : {second}")
    bands = (0, 1, 2)
    if not names:
        return Composite(bands, "" if count == 3 else "first three bands")
    return Composite(bands, ", ".join(names[band] for band in bands))


def measure_stretch(arrays: Iterable[NDArray[np.generic]], tensor: Tensor) -> Stretch | None:
    """Find the values that become black and full colour, over all samples of one picture together.

    A stretch of each sample alone would give two chips of different brightness the same look.

    Parameters
    ----------
    arrays : iterable of numpy.ndarray
        The samples' images, as the tensor's ``dims`` say; sizes may differ.
    tensor : Tensor
        The description; its ``nodata`` is left out, as NaN is.

    Returns
    -------
    Stretch or None
        2nd and 98th percentile of each channel, and a gamma for the median; of a series the median of its dates', so
        that dates under cloud leave the others their colours. None for 8-bit colours, which are shown as they are.
    """
    pooled: dict[int, list[NDArray[np.float64]]] = {}
    for array in arrays:
        if _is_picture(array, tensor):
            return None
        channels, valid = _channels(to_frames(array, tensor), tensor)
        for frame, seen in enumerate(valid):
            pooled.setdefault(frame, []).append(channels[:, frame, seen])
    dates = [np.concatenate(parts, axis=1) for parts in pooled.values()]
    percentiles = [
        np.percentile(
            values[:, :: -(-values.shape[1] // _SAMPLED_PIXELS)], [_LOW_PERCENT, _MIDDLE_PERCENT, _HIGH_PERCENT], axis=1
        )
        for values in dates
        if values.shape[1]
    ]
    if not percentiles:
        count = len(dates[0]) if dates else 1
        return Stretch(np.zeros(count), np.ones(count), 1.0)
    low, middle, high = np.clip(np.median(percentiles, axis=0), -_FARTHEST, _FARTHEST)
    # A flat channel is drawn mid-grey, neither black nor white: both would look like a finding.
    flat = high <= low
    half = np.maximum(0.5, 1e-3 * np.abs(low))  # far from zero, half a unit is lost in rounding
    low, high = np.where(flat, low - half, low), np.where(flat, high + half, high)
    brightness = float(np.clip((middle - low) / (high - low), 1e-3, 1).mean())
    gamma = 1.0
    if brightness < _MIDDLE_BRIGHTNESS:
        gamma = max(_LEAST_GAMMA, math.log(_MIDDLE_BRIGHTNESS) / math.log(brightness))
    return Stretch(low, high, gamma)


def true_colour(array: NDArray[np.generic], tensor: Tensor, *, stretch: Stretch | None = None) -> NDArray[np.uint8]:
    """Make a picture of an image tensor.

    Red, green and blue are found by the bands' common names. 8-bit colours are shown as they are; everything else is
    stretched between percentiles, with the mid-tones lifted where most pixels are dark. One band becomes grey. Two
    bands, as of a radar, become red, green and their ratio in blue.

    Parameters
    ----------
    array : numpy.ndarray
        One sample's image, axes as the tensor's ``dims`` say.
    tensor : Tensor
        The description: dims, bands, nodata.
    stretch : Stretch, optional
        As :func:`measure_stretch` gives it for several samples, so that they can be compared; by default from this
        array alone.

    Returns
    -------
    numpy.ndarray, shape (height, width, 4) or (time, height, width, 4), uint8
        Red, green, blue, alpha. Pixels without data (NaN, or nodata in a band that is shown) are transparent.
    """
    frames = to_frames(array, tensor)
    channels, valid = _channels(frames, tensor)
    if _is_picture(array, tensor):
        shown = channels / 255.0
    else:
        stretch = measure_stretch([array], tensor) if stretch is None else stretch
        assert stretch is not None  # None is for 8-bit colours, which were dealt with above
        low, high = (edge[:, None, None, None] for edge in (stretch.low, stretch.high))
        with np.errstate(over="ignore", invalid="ignore"):  # values at the far end of float64 become black or white
            shown = np.clip((channels - low) / (high - low), 0, 1) ** stretch.gamma
    if len(shown) == 1:
        shown = np.repeat(shown, 3, axis=0)
    picture = np.empty((*valid.shape, 4), dtype=np.uint8)
    picture[..., :3] = np.moveaxis(np.clip(np.nan_to_num(shown, nan=0.0), 0, 1) * 255 + 0.5, 0, -1)
    picture[..., 3] = np.where(valid, 255, 0)
    return picture if "time" in image_axes(tensor, array.ndim) else picture[0]


def _is_picture(array: NDArray[np.generic], tensor: Tensor) -> bool:
    frames = to_frames(array, tensor)
    return array.dtype == np.uint8 and len(choose_bands(tensor, frames.shape[1]).bands) == 3


def as_floats(array: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the numbers as float64; of a signalling NaN, which processors warn of, a quiet one."""
    with np.errstate(invalid="ignore"):
        return array.astype(np.float64)


def _channels(frames: NDArray[np.generic], tensor: Tensor) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Channels to show, shape (channel, time, y, x), and where all of them have data, shape (time, y, x)."""
    bands = choose_bands(tensor, frames.shape[1]).bands
    stored = frames[:, list(bands)]
    values = np.abs(stored) if np.iscomplexobj(stored) else stored
    channels = np.moveaxis(as_floats(values), 1, 0)
    valid = np.isfinite(channels).all(axis=0)
    nodata = [_nodata(tensor, band) for band in bands]
    for channel, absent in zip(channels, nodata, strict=True):
        if absent is not None:
            valid &= channel != absent
    if len(channels) == 2:
        channels = _radar(channels, valid, [band.name or "" for band in tensor.bands])
    return channels, valid


def _nodata(tensor: Tensor, band: int) -> float | None:
    own = tensor.bands[band].nodata if band < len(tensor.bands) else None
    value = tensor.nodata if own is None else own
    return None if value is None else float(value)


def _radar(channels: NDArray[np.float64], valid: NDArray[np.bool_], names: Sequence[str]) -> NDArray[np.float64]:
    """Add the ratio of two polarisations. Powers are shown in decibels, in which a ratio is a difference."""
    is_power = (
        bool(names) and {name.lower() for name in names} <= _POLARISATIONS and bool((channels[:, valid] > 0).all())
    )
    decibels = 10 * np.log10(np.where(valid, channels, 1.0)) if is_power else np.where(valid, channels, 0.0)
    return np.stack([*decibels, decibels[0] - decibels[1]])
