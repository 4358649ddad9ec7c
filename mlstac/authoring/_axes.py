"""What the name and the shape of an array tell of it where nobody says, and whether they are as somebody said."""

import warnings
from collections.abc import Mapping
from typing import Literal

from mlstac.authoring._shapes import OpenShape, Unseen
from mlstac.authoring._values import Encoded
from mlstac.collection import Tensor
from mlstac.errors import InvalidSampleError

_LABELS = frozenset(
    [
        "target",
        "targets",
        "label",
        "labels",
        "mask",
        "masks",
        "class",
        "classes",
        "annotation",
        "annotations",
        "ground_truth",
        "segmentation",
        "boxes",
        "bboxes",
        "y",
    ]
)


def guess_role(name: str) -> Literal["data", "label"]:
    """The role of a tensor that is called so."""
    return "label" if name.lower() in _LABELS else "data"


def infer_dims(name: str, shapes: Mapping[str, tuple[int, ...]], *, steps: int | None) -> tuple[str, ...] | None:
    """Name the axes of what can hardly be anything but an image or a series; None where that is not plain.

    An image has sides of at least 8 pixels and fewer bands than pixels on a side. A 2-D tensor is an image where
    another tensor of the sample is an image of the same sides, or where its sides are equal. A first axis as long as
    the sample has times (``datetimes``) is time.
    """
    shape = shapes[name]
    if steps is not None and shape and shape[0] == steps:
        rest = _infer_image(
            shape[1:], {key: other[1:] if other[:1] == (steps,) else other for key, other in shapes.items()}, name
        )
        return ("time", *rest) if rest is not None else None
    return _infer_image(shape, shapes, name)


def _infer_image(shape: tuple[int, ...], shapes: Mapping[str, tuple[int, ...]], name: str) -> tuple[str, ...] | None:
    if not shape:
        return ()
    if len(shape) == 2 and min(shape) >= 8:
        others = [other for key, other in shapes.items() if key != name and len(other) == 3]
        alike = any(shape in (other[1:], other[:2]) for other in others)
        return ("y", "x") if alike or shape[0] == shape[1] else None
    if len(shape) == 3:
        if min(shape[1:]) >= 8 and shape[0] < min(shape[1:]):
            return ("band", "y", "x")
        if min(shape[:2]) >= 8 and shape[2] < min(shape[:2]):
            return ("y", "x", "band")
    return None


def check_axes(what: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    """Compare a sample's array with the axes and bands that are named."""
    if tensor.dims is not None and len(tensor.dims) != len(shape):
        raise InvalidSampleError(
            f"{what} has shape {shown(shape)}, but its dims {' '.join(tensor.dims)!r} name {len(tensor.dims)} axes;"
            " give one word an axis, or reshape it"
        )
    axis = tensor.band_axis
    if axis is not None and tensor.bands and shape[axis] != len(tensor.bands):
        raise InvalidSampleError(
            f"{what} has {shape[axis]} bands (axis {axis} of shape {shown(shape)}), but {len(tensor.bands)} are"
            f" described: {', '.join(band.name or '?' for band in tensor.bands)}; list those that the array has"
        )


def warn_of_last_bands(name: str, shape: tuple[int, ...], *, stacklevel: int) -> None:
    """Say of an image what it costs that its bands come last."""
    warnings.warn(
        f"tensor {name!r} is channel-last {shown(shape)}: it is stored as given, but reading some of its bands then"
        " costs all of them; give arrays as (band, y, x)",
        UserWarning,
        stacklevel=stacklevel,
    )


def grids_of(tensors: Mapping[str, Tensor], encodeds: Mapping[str, Encoded]) -> dict[str, tuple[int, int]]:
    """Height and width of each tensor of a sample that is an image."""
    found = {}
    for name, encoded in encodeds.items():
        y, x = tensors[name].y_axis, tensors[name].x_axis
        if y is not None and x is not None and len(encoded.shape) == len(tensors[name].dims or ()):
            found[name] = (encoded.shape[y], encoded.shape[x])
    return found


def shown(shape: OpenShape | Unseen | None) -> str:
    """A shape as messages say it."""
    return (
        "of several lengths" if shape is None or isinstance(shape, Unseen) else str(tuple(shape)).replace("None", "any")
    )
