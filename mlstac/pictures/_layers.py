"""How one tensor is painted into its panels: colours, classes, numbers or a line, on one scale for all samples."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import to_rgba
from numpy.typing import NDArray

from mlstac.collection import Tensor
from mlstac.pictures._colour import as_floats, measure_stretch, to_frames, true_colour
from mlstac.pictures._figure import Axes
from mlstac.pictures._palette import EMPTY, class_colours
from mlstac.pictures._views import View, class_names

RAMP = "cividis"
"""Colours of numbers: even in lightness, and the same to readers who cannot tell red from green."""

_MOST_KEYS = 16
# Names of classes that authors give to what is not seen: grey, as what is described as no data is.
_UNSEEN = ("no data", "nodata", "no-data", "no_data")


class Key(NamedTuple):
    """One entry of the legend: a colour and what it stands for."""

    colour: str
    text: str
    is_line: bool = False


class Bar(NamedTuple):
    """A scale of numbers for the legend."""

    text: str
    low: float
    high: float


Entry = Key | Bar | str
"""What a legend is made of; a text is a heading."""


class Layer(NamedTuple):
    """A tensor that is ready to be painted: ``paint(axes, value, frame)``, and its part of the legend."""

    paint: Callable[[Axes, Any, int], None]
    legend: tuple[Entry, ...] = ()


def make_layer(view: View, values: Sequence[Any]) -> Layer:
    """Find the scale that fits all samples, and return what paints with it.

    Parameters
    ----------
    view : View
        A view that has a panel.
    values : sequence
        The tensor of each sample that has it.
    """
    arrays = [as_numbers(value) for value in values]
    maker = {"image": _image_layer, "mask": _mask_layer, "values": _values_layer, "profile": _profile_layer}[view.kind]
    return maker(view, arrays)


def as_numbers(value: Any) -> NDArray[np.generic]:
    """The array, with numbers that numpy itself does not know (bfloat16 …) as float32."""
    array = np.asarray(value)
    return array if array.dtype.kind in "biufc" else array.astype(np.float32)


def _image_layer(view: View, arrays: Sequence[NDArray[np.generic]]) -> Layer:
    def count(array: NDArray[np.generic]) -> int:
        return int(to_frames(array, view.tensor).shape[1])

    # One stretch for all that can be compared: images of another number of bands show other channels.
    alike = {number: [array for array in arrays if count(array) == number] for number in map(count, arrays)}
    stretches = {number: measure_stretch(some, view.tensor) for number, some in alike.items()}

    def paint(axes: Axes, value: Any, frame: int) -> None:
        numbers = as_numbers(value)
        picture = true_colour(numbers, view.tensor, stretch=stretches[count(numbers)])
        _show(axes, picture if picture.ndim == 3 else picture[frame])

    return Layer(paint)


def _mask_layer(view: View, arrays: Sequence[NDArray[np.generic]]) -> Layer:
    present = {int(value) for array in arrays for value in np.unique(array[np.isfinite(array)])}
    absent = {entry.value for entry in view.tensor.classes if entry.nodata}
    if view.tensor.nodata is not None and np.isfinite(view.tensor.nodata):
        absent.add(int(view.tensor.nodata))
    names, colours = class_scheme(view.tensor, present - absent, absent)
    # A legend of every class of a long list would be larger than the picture.
    keys = [Key(colours[value], names[value]) for value in names if len(names) <= _MOST_KEYS or value in present]
    if absent & present:
        keys.append(Key(EMPTY, "no data"))

    def paint(axes: Axes, value: Any, frame: int) -> None:
        classes = to_frames(as_numbers(value), view.tensor)[frame, 0]
        picture = np.zeros((*classes.shape, 4))
        for number in present & colours.keys():
            picture[classes == number] = to_rgba(colours[number])
        _show(axes, picture)

    return Layer(paint, tuple(keys))


def class_scheme(
    tensor: Tensor, present: set[int], absent: Collection[int] = (), *, ground: bool = True
) -> tuple[dict[int, str], dict[int, str]]:
    """Names and colours of a tensor's classes by value; values without a class are their own names.

    Parameters
    ----------
    tensor : Tensor
        Its classes come first, in their order; a class's ``color_hint`` is kept.
    present : set of int
        The values that occur.
    absent : collection of int, optional
        Values that stand for no data, and have neither name nor colour.
    ground : bool, optional
        Whether the classes cover the ground, as a mask's do.
    """
    names = {value: name for value, name in class_names(tensor).items() if value not in absent}
    names |= {value: str(value) for value in sorted(present - names.keys())}
    hints = {entry.value: f"#{entry.color_hint}" for entry in tensor.classes if entry.color_hint}
    colours = class_colours(names, hints, ground=ground)
    unseen = {value for value, name in names.items() if name.lower() in _UNSEEN and value not in hints}
    return names, colours | dict.fromkeys(unseen, EMPTY)


def _values_layer(view: View, arrays: Sequence[NDArray[np.generic]]) -> Layer:
    def clean(array: NDArray[np.generic]) -> NDArray[np.float64]:
        numbers = as_floats(array)
        return numbers if view.tensor.nodata is None else np.where(numbers == view.tensor.nodata, np.nan, numbers)

    pooled = np.concatenate([clean(array).ravel() for array in arrays])
    pooled = pooled[np.isfinite(pooled)]
    low, high = np.percentile(pooled, [2, 98]).tolist() if pooled.size else (0.0, 1.0)

    def paint(axes: Axes, value: Any, frame: int) -> None:
        plane = clean(to_frames(as_numbers(value), view.tensor)[frame, 0])
        axes.imshow(plane, cmap=RAMP, vmin=low, vmax=high, interpolation="nearest", aspect="auto")

    text = f"{view.name} ({view.tensor.unit})" if view.tensor.unit else view.name
    return Layer(paint, (Bar(text, low, high),))


def _profile_layer(view: View, arrays: Sequence[NDArray[np.generic]]) -> Layer:
    """A line a band; several samples share the scale of the y axis."""
    finite = [numbers[np.isfinite(numbers)] for numbers in map(as_floats, arrays)]
    pooled = np.concatenate([numbers.ravel() for numbers in finite])
    low, high = (float(pooled.min()), float(pooled.max())) if pooled.size else (0.0, 1.0)
    # Drawn on a scale of 0 to 1, which no tick shows: axes of matplotlib neither span float64 nor tell last digits
    # apart. In quarters, for the distance between the ends of float64 is no float64.
    span = high / 4 - low / 4
    count = 1 if arrays[0].ndim == 1 else arrays[0].shape[1]
    names = [band.name or "" for band in view.tensor.bands] if len(view.tensor.bands) == count else []
    colours = class_colours(range(max(count, 3)))

    def paint(axes: Axes, value: Any, _frame: int) -> None:
        lines = as_numbers(value).reshape(len(value), -1).T
        for place, line in enumerate(lines):
            with np.errstate(invalid="ignore"):  # a NaN of the signalling kind, as damaged or packed data has them
                heights = (line / 4 - low / 4) / span if span else np.where(np.isfinite(line), 0.5, np.nan)
            axes.plot(heights, color=colours[place % len(colours)], linewidth=1.0)
        axes.set_ylim(-0.06, 1.06)
        axes.set_facecolor("white")

    keys = (
        [Key(colours[place], name or str(place), is_line=True) for place, name in enumerate(names)] if count > 1 else []
    )
    return Layer(paint, (f"{view.name} from {low:.4g} to {high:.4g}", *keys[:_MOST_KEYS]))


def _show(axes: Axes, picture: NDArray[Any]) -> None:
    # Pixels stay pixels: smoothed, a chip would look better than what the model gets. The axes are given the picture's
    # own proportions.
    axes.imshow(picture, interpolation="nearest", aspect="auto")
