"""Filled buffers as a batch: one tensor where samples share a shape, a list or a padded tensor where not."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import InvalidArgumentError, MlstacError
from mlstac.frameworks import numpy_dtype
from mlstac.loading._padding import Pad, check_filling, make_mask, pad_samples
from mlstac.loading._slots import Slots
from mlstac.loading._values import Output

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
        are real), and where a sample lacks the tensor (then ``<name>_present`` says which have it); a value as it
        comes out, converted and scaled. Encoded fields that are not decoded to arrays come as a list, in which None, or
        a text in the place of a text, stands for what a sample lacks.

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
                f"sample {missing} of the batch lacks tensor {name!r}: give what to fill with, batches(..., "
                f"pad={{{name!r}: {fill}}}) or ds.padded(...), or leave the tensor out with select(tensors=...)"
            )
            vars(error).update(row=missing)  # for whoever knows which sample that is
            raise error
        if slots.view.layout.media_type is not None and (not output.decodes(slots.view) or pad.get(name) is None):
            result[name] = [pad.get(name) if item is None else item for item in output.listed(slots)]
        elif slots.view.shape is not None and slots.view.layout.media_type is None:
            result[name] = output.stacked(slots) if present is None else _filled(slots, ~present, output, pad[name])
        elif name in pad:
            result |= pad_samples(slots, output, pad[name])
        else:
            result[name] = output.listed(slots)
        if name in pad and not slots.view.layout.required:
            there = np.ones(len(slots.begins), bool) if present is None else present
            result[f"{name}_present"] = make_mask(there, output)
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


def _filled(slots: Slots, lacking: NDArray[np.bool_], output: Output, value: Any) -> Any:
    name, stored, shape = slots.view.name, slots.view.layout.dtype, slots.view.shape
    assert shape is not None
    filling = check_filling(value, numpy_dtype(output.made(name, stored)), name)
    rows = slots.buffer.view(numpy_dtype(stored)).reshape(len(slots.begins), *shape)
    rows[lacking] = 0  # a value that every conversion takes, where nothing was read
    return output.stacked(slots, lacking=lacking, filling=filling)
