"""Which tensors each task needs.

What is not known of a tensor (its dtype, shape or dims before the first sample) is never held against it, and encoded
fields (JSON, images, text) may hold what a task needs: a check finds what is surely missing, not what might be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from mlstac.collection._dtypes import INTEGERS
from mlstac.collection._tensor import Tensor

Tensors = Mapping[str, Tensor]


def find_task_problems(tasks: Sequence[str], tensors: Tensors) -> list[str]:
    """List what each task needs and the tensors do not give.

    Parameters
    ----------
    tasks : sequence of str
        Terms of `TASKS`; ``x-`` terms need nothing.
    tensors : mapping of str to Tensor
        Tensors by name.

    Returns
    -------
    list of str
        One sentence a problem, with the mend; empty where all is well or no tensor is known yet.
    """
    if not tensors:
        return []
    found = ((task, _NEEDS[task](tensors)) for task in tasks if task in _NEEDS)
    return [f"task {task!r} needs {problem}" for task, problem in found if problem is not None]


def _need_label(tensors: Tensors) -> str | None:
    if _labels(tensors):
        return None
    return f"a label, and none of {_names(tensors)} is one; give one tensor role='label'"


def _need_mask(tensors: Tensors) -> str | None:
    """Segmentation: a label over the pixels of an input."""
    labels = _labels(tensors)
    if not labels:
        return _need_label(tensors)
    if any(tensor.media_type for tensor in labels.values()):
        return None
    inputs = [_grid(tensor) for tensor in tensors.values() if tensor.role == "data"]
    grids = {name: _grid(tensor) for name, tensor in labels.items()}
    if all(grid is None for grid in grids.values()):
        return (
            f"a label over the pixels of its input, and {_names(labels)} has no axes y, x; "
            "name them (dims='y x'), or choose 'scene-classification'"
        )
    known = [grid for grid in inputs if grid is not None]
    if not known or any(_same_grid(grid, other) for grid in grids.values() if grid is not None for other in known):
        return None
    seen = ", ".join(f"{name} {_say(grid)}" for name, grid in grids.items() if grid is not None)
    return f"a label of the input's y, x: {seen}, input {_say(known[0])}; bring label and input to one grid"


def _need_boxes(tensors: Tensors) -> str | None:
    """Detection: boxes (n, 4) as x min, y min, x max, y max, and n labels."""
    labels = _labels(tensors)
    if not labels:
        return _need_label(tensors)
    if any(tensor.media_type for tensor in labels.values()):
        return None
    boxes = {name: tensor for name, tensor in labels.items() if _may_be_boxes(tensor)}
    if not boxes:
        return (
            f"boxes, a label of shape (n, 4) with x min, y min, x max, y max, and {_names(labels)} has no such shape; "
            "add it, for example 'boxes' with dims='box xyxy'"
        )
    for name, box in boxes.items():
        others = {other: tensor for other, tensor in labels.items() if other != name}
        if any(_may_share_rows(box, tensor) for tensor in others.values()):
            return None
    name = next(iter(boxes))
    others = {other: tensor for other, tensor in labels.items() if other != name}
    given = f"{_names(others)} has another number of rows" if others else "there is none"
    return (
        f"a class for each row of {name!r}, and {given}; "
        "add a label of shape (n,), for example 'labels' with dims='box'"
    )


def _need_text(tensors: Tensors) -> str | None:
    if any(_is_text(tensor) for tensor in tensors.values()):
        return None
    return f"a text, and none of {_names(tensors)} is one; add a tensor with media_type='text/plain' and role='label'"


def _need_question(tensors: Tensors) -> str | None:
    texts = [tensor for tensor in tensors.values() if _is_text(tensor)]
    if len(texts) >= 2 or any(tensor.media_type == "application/json" for tensor in texts):
        return None
    return (
        "a question and an answer: two tensors with media_type='text/plain' (role='data' and role='label'), "
        "or one with media_type='application/json'"
    )


def _need_class(tensors: Tensors) -> str | None:
    """Classification: a label that names classes: whole numbers, listed classes, or text."""
    labels = _labels(tensors)
    if not labels:
        return _need_label(tensors)
    if any(tensor.media_type or tensor.classes or tensor.dtype is None for tensor in labels.values()):
        return None
    if any(tensor.dtype in INTEGERS for tensor in labels.values()):
        return None
    dtypes = ", ".join(f"{name!r} is {tensor.dtype}" for name, tensor in labels.items())
    return f"a class label, and {dtypes}; store whole numbers (U8 …) or list the classes, or choose 'regression'"


def _need_scene_class(tensors: Tensors) -> str | None:
    labels = _labels(tensors)
    if labels and all(tensor.dims is not None and _grid(tensor) is not None for tensor in labels.values()):
        return (
            f"one label a sample, and {_names(labels)} has axes y, x; "
            "choose 'semantic-segmentation' for a label a pixel"
        )
    return _need_class(tensors)


def _need_time(tensors: Tensors) -> str | None:
    inputs = [tensor for tensor in tensors.values() if tensor.role == "data"]
    if not inputs or any(tensor.dims is None or tensor.media_type or "time" in tensor.dims for tensor in inputs):
        return None
    return "an input with axis 'time'; name it in dims, for example dims='time band y x'"


def _need_series_class(tensors: Tensors) -> str | None:
    return _need_time(tensors) or _need_class(tensors)


def _need_series_number(tensors: Tensors) -> str | None:
    return _need_time(tensors) or _need_number(tensors)


def _need_number(tensors: Tensors) -> str | None:
    labels = _labels(tensors)
    if not labels:
        return _need_label(tensors)
    if any(tensor.media_type is None for tensor in labels.values()):
        return None
    return f"a label of numbers, and {_names(labels)} holds encoded bytes; store an array"


def _need_image_label(tensors: Tensors) -> str | None:
    labels = _labels(tensors)
    if not labels:
        return _need_label(tensors)
    if any(tensor.media_type or _grid(tensor) is not None for tensor in labels.values()):
        return None
    return f"a label that is an image, and {_names(labels)} has no axes y, x; name them, for example dims='band y x'"


def _need_two(tensors: Tensors) -> str | None:
    if len(tensors) > 1:
        return None
    return f"tensors of more than one kind, and {_names(tensors)} is the only one; add the other, or drop the task"


_NEEDS: Final[dict[str, Callable[[Tensors], str | None]]] = {
    "regression": _need_number,
    "classification": _need_class,
    "scene-classification": _need_scene_class,
    "detection": _need_boxes,
    "object-detection": _need_boxes,
    "segmentation": _need_mask,
    "semantic-segmentation": _need_mask,
    "instance-segmentation": _need_mask,
    "panoptic-segmentation": _need_mask,
    "image-captioning": _need_text,
    "captioning": _need_text,
    "text-to-image": _need_text,
    "super-resolution": _need_image_label,
    "downscaling": _need_image_label,
    "image-to-image": _need_image_label,
    "change-detection": _need_label,
    "multi-modal": _need_two,
    "time-series-classification": _need_series_class,
    "time-series-regression": _need_series_number,
    "time-series-forecasting": _need_time,
    "visual-question-answering": _need_question,
}
"""The rest (similarity-search, generative, pretraining, tabular, ``x-`` terms) need no tensor in particular."""

Grid = tuple[int | None, int | None]


def _labels(tensors: Tensors) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if tensor.role == "label"}


def _grid(tensor: Tensor) -> Grid | None:
    """Give the sizes of y and x, None where unknown or varying; None alone where the tensor surely has no y, x."""
    if tensor.dims is not None:
        if tensor.y_axis is None or tensor.x_axis is None:
            return None
        return (None, None) if tensor.shape is None else (tensor.shape[tensor.y_axis], tensor.shape[tensor.x_axis])
    if tensor.shape is None:
        return (None, None)
    return (tensor.shape[-2], tensor.shape[-1]) if len(tensor.shape) >= 2 else None


def _same_grid(one: Grid, other: Grid) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


def _may_be_boxes(tensor: Tensor) -> bool:
    if tensor.shape is not None:
        return len(tensor.shape) >= 2 and tensor.shape[-1] in (4, None)
    return tensor.dims is None or len(tensor.dims) >= 2


def _may_share_rows(boxes: Tensor, labels: Tensor) -> bool:
    if labels.shape is not None and not labels.shape:
        return False
    if boxes.dims is not None and labels.dims is not None and boxes.dims[0] != labels.dims[0]:
        return False
    if boxes.shape is None or labels.shape is None:
        return True
    return boxes.shape[0] == labels.shape[0]


def _is_text(tensor: Tensor) -> bool:
    return tensor.media_type is not None and (
        tensor.media_type.startswith("text/") or tensor.media_type == "application/json"
    )


def _names(tensors: Tensors) -> str:
    return ", ".join(map(repr, tensors))


def _say(grid: Grid) -> str:
    return " × ".join("?" if size is None else str(size) for size in grid)
