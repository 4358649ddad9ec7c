"""Filled buffers as a batch: one tensor where samples share a shape, a list or a padded tensor where not."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from mlstac.collection import Tensor
from mlstac.errors import InvalidArgumentError, MlstacError, NotFoundError
from mlstac.frameworks import numpy_dtype
from mlstac.loading._slots import Slots
from mlstac.loading._values import Output

Pad = Mapping[str, float | str | None]

_CUT_FREELY = ("numpy", "torch")
"""Frameworks whose slices share memory, and cost next to nothing."""


def assemble(batch: list[Slots], output: Output, *, pad: Pad | None = None) -> dict[str, Any]:
    """Make a batch of filled buffers, on the host.

    Parameters
    ----------
    batch : list of Slots
    output : Output
    pad : mapping of str to number, optional
        Tensor -> what to fill with where samples are shorter than the longest (then ``<name>_mask`` says which values
        are real), and where a sample lacks the tensor (then ``<name>_present`` says which have it). Encoded fields come
        as a list, in which None, or a text in the place of a text, stands for what a sample lacks.

    Raises
    ------
    InvalidArgumentError
        If some samples lack a tensor for which no filling is given.
    """
    pad = pad or {}
    result: dict[str, Any] = {}
    for slots in batch:
        name = slots.view.name
        present = slots.present
        if present is not None and present.all():  # others that were read with them lack it
            present = None
        if present is not None and name not in pad:
            if not present.any():
                continue
            missing = int(np.flatnonzero(~present)[0])
            fill = 0 if slots.view.layout.media_type is None else None
            error = InvalidArgumentError(
                f"sample {missing} of the batch lacks tensor {name!r}: give what to fill with, "
                f"batches(..., pad={{{name!r}: {fill}}}), or leave the tensor out with select(tensors=...)"
            )
            vars(error).update(row=missing)  # for whoever knows which sample that is
            raise error
        if slots.view.layout.media_type is not None:
            result[name] = [pad.get(name) if item is None else item for item in output.listed(slots)]
        elif slots.view.shape is not None:
            if present is not None:
                _fill(slots, present, pad[name])
            result[name] = output.stacked(slots)
        elif name in pad:
            result |= _padded(slots, output, pad[name])
        else:
            result[name] = output.listed(slots)
        if name in pad and not slots.view.layout.required:
            there = np.ones(len(slots.begins), bool) if present is None else present
            result[f"{name}_present"] = _mask(there, output)
    return result


def assemble_all(
    slots: list[Slots], sizes: list[int], output: Output, *, pad: Pad | None = None
) -> list[dict[str, Any]]:
    """Make several batches of filled buffers: where tensors can be cut for nothing, one tensor is made and cut."""
    if len(sizes) == 1:
        return [assemble(slots, output, pad=pad)]
    edges = [0, *accumulate(sizes)]
    cut: dict[str, Sequence[Any]] = {
        entry.view.name: _cut(output.stacked(entry), sizes, edges) for entry in slots if is_cut_freely(entry, output)
    }
    names = [entry.view.name for entry in slots]
    if slots and len(cut) == len(slots):  # thousands of small batches a second: nothing is done for each but this
        return [dict(zip(names, parts, strict=True)) for parts in zip(*cut.values(), strict=True)]
    batches = []
    for number, (first, last) in enumerate(pairwise(edges)):
        try:
            made = assemble([entry.part(first, last) for entry in slots if entry.view.name not in cut], output, pad=pad)
        except MlstacError as error:
            if hasattr(error, "row"):
                vars(error).update(row=first + error.row)
            raise
        found = made | {name: parts[number] for name, parts in cut.items()}
        batches.append({name: found[name] for name in names if name in found} | made)
    return batches


def is_cut_freely(slots: Slots, output: Output) -> bool:
    """Whether one tensor is made of slots, whose slices cost next to nothing."""
    view = slots.view
    return (
        output.adapter.NAME in _CUT_FREELY
        and view.shape is not None
        and slots.complete
        and view.layout.required
        and view.layout.media_type is None
    )


def _cut(tensor: Any, sizes: list[int], edges: list[int]) -> Sequence[Any]:
    if hasattr(tensor, "split"):  # torch's, which makes all views in one call
        parts: Sequence[Any] = tensor.split(sizes)
        return parts
    return [tensor[first:last] for first, last in pairwise(edges)]


def check_pad(pad: Pad | None, tensors: Mapping[str, Tensor]) -> Pad | None:
    """See that fillings are numbers, or of encoded fields None or text, for tensors that there are.

    Raises
    ------
    NotFoundError
        If there is no such tensor.
    InvalidArgumentError
        If a filling is no number, or, of encoded bytes, neither None nor a text where the others are texts.
    """
    if pad is not None and not isinstance(pad, Mapping):
        raise InvalidArgumentError(
            f"pad={pad!r} says of no tensor what fills it; give pad={{{next(iter(tensors))!r}: 0}}"
        )
    fillings: Mapping[str, Any] = pad or {}
    for name, value in fillings.items():
        if name not in tensors:
            raise NotFoundError(f"pad= names tensor {name!r}; the dataset has {', '.join(tensors)}")
        encoded = tensors[name].media_type
        if encoded is not None:
            if value is not None and not (encoded == "text/plain" and isinstance(value, str)):
                other = " or a text" if encoded == "text/plain" else ""
                raise InvalidArgumentError(
                    f"pad={{{name!r}: {value!r}}}: {name!r} holds {encoded} and comes as a list, in which None{other} "
                    "stands for what a sample lacks"
                )
            continue
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise InvalidArgumentError(f"pad={{{name!r}: {value!r}}} is no number to fill with")
        _checked(value, numpy_dtype(tensors[name].dtype or "U8"), name)
    return None if pad is None else dict(pad)


def _fill(slots: Slots, present: Any, value: Any) -> None:
    dtype = numpy_dtype(slots.view.layout.dtype)
    rows = slots.buffer.view(dtype).reshape(len(slots.begins), -1)
    rows[~present] = _checked(value, dtype, slots.view.name)


def _padded(slots: Slots, output: Output, value: Any) -> dict[str, Any]:
    """One tensor as long as the longest sample along every axis, and which of its values are real."""
    assert slots.shapes is not None
    name, rank = slots.view.name, len(slots.view.layout.shape)
    stored = numpy_dtype(slots.view.layout.dtype)
    there = slots.present
    shapes = [shape if there is None or there[row] else (0,) * rank for row, shape in enumerate(slots.shapes)]
    longest = tuple(max((shape[axis] for shape in shapes), default=0) for axis in range(rank))
    real = np.zeros((len(shapes), *longest), bool)
    buffer = output.allocate(int(np.prod((len(shapes), *longest))) * stored.itemsize)
    tensor = buffer.view(stored).reshape(len(shapes), *longest)
    tensor[...] = _checked(value, stored, name)
    for row, shape in enumerate(shapes):
        corner = (row, *(slice(size) for size in shape))
        tensor[corner] = slots.place(row).view(stored).reshape(shape)
        real[corner] = True
    axes = [axis for axis, size in enumerate(slots.view.layout.shape) if size is None]
    # the mask has the axes that vary alone: a box is real or not, whatever its four numbers
    fixed = tuple(axis + 1 for axis in range(rank) if axis not in axes)
    mask = real.any(axis=fixed) if fixed else real
    values, dtype = output.values(slots, buffer, tensor.shape)
    return {
        name: output.adapter.decode(values, dtype, tensor.shape, owned=True),
        f"{name}_mask": _mask(mask, output),
    }


def _mask(values: Any, output: Output) -> Any:
    buffer = output.allocate(values.size)
    buffer[:] = values.reshape(-1).view(np.uint8)
    return output.adapter.decode(buffer, "BOOL", values.shape, owned=True)


def _checked(value: Any, dtype: np.dtype[Any], name: str) -> Any:
    """The filling as a value of the tensor's dtype; one that would wrap is refused."""
    limits = {"b": (0, 1)}.get(dtype.kind) or (
        (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)) if dtype.kind in "iu" else None
    )
    if limits is not None and not (value == value // 1 and limits[0] <= value <= limits[1]):  # NaN equals nothing
        raise InvalidArgumentError(f"pad={{{name!r}: {value}}} does not fit its dtype {dtype.name}")
    return np.asarray(value).astype(dtype)
