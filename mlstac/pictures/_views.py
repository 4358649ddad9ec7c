"""What each tensor of a sample becomes on a picture: an image, a map of classes, boxes, words."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlstac.collection import Tensor
from mlstac.pictures._colour import choose_bands, image_axes, to_frames

Kind = Literal["image", "mask", "values", "profile", "boxes", "labels", "words", "dates", "note"]
"""How a tensor is shown.

image: colours · mask: classes in place · values: numbers in place · profile: a line · boxes: on the first image, in the
colours of their labels · words: in the heading · dates: under the images of a series · note: only named."""

_PLACED: tuple[Kind, ...] = ("image", "mask", "values", "profile")
_MOST_UNNAMED_CLASSES = 24
_MOST_WORDS = 400


class View(NamedTuple):
    """One tensor and how it is shown."""

    name: str
    kind: Kind
    tensor: Tensor

    @property
    def has_panel(self) -> bool:
        """Whether it takes a place of its own beside the other tensors."""
        return self.kind in _PLACED


def choose_views(samples: Sequence[Mapping[str, Any]], tensors: Mapping[str, Tensor]) -> list[View]:
    """Decide how each tensor is shown, by its description and by the first sample that has it.

    Parameters
    ----------
    samples : sequence of mapping
        Values by tensor name: arrays, or text, bytes and JSON of encoded fields.
    tensors : mapping
        Descriptions by name; their order is kept, with the labels last. Tensors that no sample has are left out.
    """
    views = []
    for name in sorted(tensors, key=lambda name: tensors[name].role == "label"):
        value = next((sample[name] for sample in samples if sample.get(name) is not None), None)
        if value is not None:
            kind, tensor = _choose(name, tensors[name], value, tensors)
            views.append(View(name, kind, tensor))
    if any(view.kind == "boxes" for view in views):
        views = [view._replace(kind="labels") if _counts_boxes(view, samples) else view for view in views]
    return views


def _counts_boxes(view: View, samples: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a tensor has one whole number a box: the box's class."""
    present = [np.asarray(sample[view.name]) for sample in samples if sample.get(view.name) is not None]
    return view.kind in ("words", "profile") and all(array.ndim == 1 and array.dtype.kind in "iu" for array in present)


def _choose(name: str, tensor: Tensor, value: Any, tensors: Mapping[str, Tensor]) -> tuple[Kind, Tensor]:
    if tensor.media_type is not None:
        return _choose_encoded(tensor, value)
    if isinstance(value, (str, bytes, Mapping)):
        return "words", tensor
    array = np.asarray(value)
    if name.endswith("_time") and name.removesuffix("_time") in tensors:
        return "dates", tensor
    if is_boxes(name, tensor, array):
        return "boxes", tensor
    if array.size == 1 or (array.ndim == 1 and tensor.role == "label" and tensor.classes):
        return "words", tensor
    if array.dtype.kind not in "biufc" and array.dtype.name != "bfloat16":
        return "note", tensor
    axes = image_axes(tensor, array.ndim)
    if {"y", "x"} <= set(axes):
        return _choose_image(tensor, array), tensor
    return ("profile" if array.ndim == 1 or (array.ndim == 2 and array.shape[1] <= 16) else "note"), tensor


def _choose_encoded(tensor: Tensor, value: Any) -> tuple[Kind, Tensor]:
    """Text and JSON are words; a decoded picture is height, width, colour, whatever the dims of its bytes are."""
    if isinstance(value, (str, Mapping)) or tensor.media_type in ("text/plain", "application/json"):
        return "words", tensor
    if isinstance(value, np.ndarray) and value.ndim in (3, 4) and value.shape[-1] in (1, 3, 4):
        dims = ("time", "y", "x", "band")[4 - value.ndim :]
        return "image", tensor.model_copy(update={"dims": dims, "bands": []})
    return "note", tensor


def _choose_image(tensor: Tensor, array: NDArray[np.generic]) -> Kind:
    if to_frames(array, tensor).shape[1] > 1:
        return "image"
    if tensor.classes:
        return "mask"
    if array.dtype.kind in "biu" and tensor.role == "label":
        return "mask" if len(np.unique(array)) <= _MOST_UNNAMED_CLASSES else "values"
    return "values" if tensor.role == "label" else "image"


def is_boxes(name: str, tensor: Tensor, array: NDArray[np.generic]) -> bool:
    """Whether a tensor holds boxes: rows of four, called so by its name or its last axis."""
    last = tensor.dims[-1] if tensor.dims else ""
    return array.ndim == 2 and array.shape[1] == 4 and (last == "xyxy" or "box" in name.lower())


def class_names(tensor: Tensor) -> dict[int, str]:
    """Names by value, as the collection has them."""
    return {entry.value: entry.label for entry in tensor.classes}


def put_in_words(value: Any, tensor: Tensor) -> str:
    """Say a value in words: a class by its name, a number with its unit, a text as it is.

    Parameters
    ----------
    value : object
        Text, bytes, JSON, a number, or an array of one number or of one number a class.
    tensor : Tensor
        The description: classes and unit.
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if isinstance(value, str):
        return " ".join(value.split())[:_MOST_WORDS]
    if isinstance(value, Mapping):
        return " · ".join(f"{key}: {item}" for key, item in value.items())[:_MOST_WORDS]
    if isinstance(value, list) and tensor.media_type is not None:
        return " · ".join(str(item) for item in value)[:_MOST_WORDS]
    array = np.asarray(value)
    names = class_names(tensor)
    if array.size == 1:
        number = array.reshape(()).item()
        if number in names:
            return names[number]
        said = f"{number:.6g}" if isinstance(number, float) else str(number)
        return f"{said} {tensor.unit}" if tensor.unit else said
    if array.ndim == 1 and len(array) == len(names) and set(np.unique(array).tolist()) <= {0, 1}:
        # One yes or no a class, in the order of the classes: several may hold of one image.
        return (
            ", ".join(name for name, holds in zip(names.values(), array, strict=True) if holds) or "none of the classes"
        )
    return ", ".join(names.get(item, str(item)) for item in array.ravel()[:12].tolist())


def describe_panel(view: View, value: Any) -> str:
    """What a panel shows, in few words: the tensor's name and the bands that make its colours."""
    if view.kind != "image":
        return f"{view.name} ({view.tensor.unit})" if view.kind == "values" and view.tensor.unit else view.name
    label = choose_bands(view.tensor, to_frames(np.asarray(value), view.tensor).shape[1]).label
    return f"{view.name} ({label})" if label else view.name
