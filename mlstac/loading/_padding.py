"""Samples of differing shape filled up to one tensor, and which of its values are real."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.collection import Tensor
from mlstac.errors import DtypeError, InvalidArgumentError, MlstacError, NotFoundError
from mlstac.frameworks import numpy_dtype
from mlstac.loading._media import FILM_CHANNELS, decoded_axes
from mlstac.loading._slots import Slots
from mlstac.loading._values import Output

Pad = Mapping[str, float | str | None]


def join_pads(ours: Pad, given: Any) -> Any:
    """Fillings of a dataset, and those that a call adds to them; None if neither says any."""
    if given is None:
        return ours or None
    return {**ours, **given} if isinstance(given, Mapping) else given


def check_pad(pad: Pad | None, tensors: Mapping[str, Tensor], output: Output) -> Pad | None:
    """See that fillings are numbers, or of encoded fields None or text, for tensors that there are.

    Raises
    ------
    NotFoundError
        If there is no such tensor.
    InvalidArgumentError
        If a filling is no number, or none of the dtype that the values come in, or, of encoded bytes, neither None nor
        a text where the others are texts.
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
        stored = tensors[name].dtype or "U8"
        if encoded is not None:
            if value is None or (encoded == "text/plain" and isinstance(value, str)):
                continue
            if output.given[name] in ("text", "json"):
                other = " or a text" if encoded == "text/plain" else ""
                mend = "; load with decode=True for arrays, which a number fills up" if decoded_axes(encoded) else ""
                raise InvalidArgumentError(
                    f"pad={{{name!r}: {value!r}}}: {name!r} holds {encoded} and comes as a list, in which None{other} "
                    f"stands for what a sample lacks{mend}"
                )
            stored = "U16"  # if gray; which it is shows when it is read
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise InvalidArgumentError(f"pad={{{name!r}: {value!r}}} is no number to fill with")
        check_filling(value, numpy_dtype(output.made(name, stored)), name)
    return None if pad is None else dict(pad)


def pad_samples(slots: Slots, output: Output, value: Any) -> dict[str, Any]:
    """One tensor as long as the longest sample along every axis, and which of its values are real.

    The mask, ``<name>_mask``, has the axes that vary alone: a box is real or not, whatever its four numbers, and a
    pixel whatever its channels. Where no sample has it, the axes that vary are 0 long; so is that of the channels of
    pictures, of which nothing says how many they would have.

    Raises
    ------
    InvalidArgumentError
        If pictures differ in their channels, or the filling does not fit their dtype.
    DtypeError
        If some pictures have 8 bits and some 16, and no dtype is asked for.
    """
    layout = slots.view.layout
    name, stored, shape = layout.name, layout.dtype, layout.shape
    rows: Sequence[NDArray[Any] | None]
    least = [0] * len(shape)
    if layout.media_type is None:
        rows = _stored_rows(slots)
        varying = [axis for axis, size in enumerate(shape) if size is None]
    else:
        rows = output.arrays(slots)
        stored = _common_dtype(rows, name, converted=name in output.dtypes)
        axes = decoded_axes(layout.media_type)
        _check_channels(rows, axes.index("channel"), name, value)
        varying = [axis for axis, word in enumerate(axes) if word != "channel"]
        shape = (None,) * len(axes)
        least = [FILM_CHANNELS if axes[0] == "time" and word == "channel" else 0 for word in axes]
    longest = tuple(
        max((size if row is None else row.shape[axis] for row in rows), default=size) for axis, size in enumerate(least)
    )
    real = np.zeros((len(rows), *longest), bool)
    buffer = output.allocate(real.size * numpy_dtype(stored).itemsize)
    tensor = buffer.view(numpy_dtype(stored)).reshape(real.shape)
    filling, converted = check_filling(value, numpy_dtype(output.made(name, stored)), name), output.converts(name)
    tensor[...] = 0 if converted else filling  # every conversion takes 0
    for number, row in enumerate(rows):
        if row is not None:
            corner = (number, *(slice(size) for size in row.shape))
            tensor[corner] = row
            real[corner] = True
    fixed = tuple(axis + 1 for axis in range(len(shape)) if axis not in varying)
    mask = real.any(axis=fixed) if fixed else real
    values, dtype = output.values(slots, buffer, tensor.shape, stored=stored)
    if converted:
        np.copyto(values.view(numpy_dtype(dtype)).reshape(tensor.shape), filling, where=~real)
    return {
        name: output.adapter.decode(values, dtype, tensor.shape, owned=True),
        f"{name}_mask": make_mask(mask, output),
    }


def _stored_rows(slots: Slots) -> list[NDArray[Any] | None]:
    """The samples of a tensor as they lie in its buffer; None where one lacks it."""
    assert slots.shapes is not None
    dtype, there = numpy_dtype(slots.view.layout.dtype), slots.present
    return [
        slots.place(row).view(dtype).reshape(shape) if there is None or there[row] else None
        for row, shape in enumerate(slots.shapes)
    ]


def _common_dtype(rows: Sequence[NDArray[Any] | None], name: str, *, converted: bool) -> str:
    """Dtype of decoded pictures in one tensor: grays of 16 bits are not mixed with 8 unasked."""
    wide = [row.dtype == np.uint16 for row in rows if row is not None]
    if any(wide) and not all(wide) and not converted:
        error = DtypeError(
            f"tensor {name!r}: pictures of 8 and of 16 bits are in one batch, which has one dtype; "
            f"load with as_dtype={{{name!r}: 'uint16'}} (or 'float32')"
        )
        raise _of_row(error, rows, lambda row: (row.dtype == np.uint16) != wide[0])
    return "U16" if any(wide) else "U8"


def _check_channels(rows: Sequence[NDArray[Any] | None], axis: int, name: str, value: Any) -> None:
    channels = [row.shape[axis] for row in rows if row is not None]
    if len(set(channels)) > 1:
        other = next(count for count in channels if count != channels[0])
        error = InvalidArgumentError(
            f"pad={{{name!r}: {value!r}}}: pictures of {channels[0]} and of {other} channels are in one batch, and a "
            "channel cannot be filled up; leave it out of pad for a list, of which transform= can make them alike"
        )
        raise _of_row(error, rows, lambda row: row.shape[axis] == other)


def _of_row(
    error: MlstacError, rows: Sequence[NDArray[Any] | None], wrong: Callable[[NDArray[Any]], bool]
) -> MlstacError:
    """The error, with the first row that is wrong, for whoever knows which sample that is."""
    vars(error).update(row=next(number for number, row in enumerate(rows) if row is not None and wrong(row)))
    return error


def make_mask(values: NDArray[np.bool_], output: Output) -> Any:
    """Truths as a tensor of the framework."""
    buffer = output.allocate(values.size)
    buffer[:] = values.reshape(-1).view(np.uint8)
    return output.adapter.decode(buffer, "BOOL", values.shape, owned=True)


def check_filling(value: Any, dtype: np.dtype[Any], name: str) -> Any:
    """The filling as a value of the dtype; one that would wrap, or become infinite or NaN, is refused."""
    limits = {"b": (0, 1)}.get(dtype.kind) or (
        (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)) if dtype.kind in "iu" else None
    )
    if limits is not None:
        fits = value == value // 1 and limits[0] <= value <= limits[1]  # NaN equals nothing
        filling = np.asarray(value).astype(dtype) if fits else None
    elif isinstance(value, int) and abs(value) > sys.float_info.max:
        filling, fits = None, False
    else:
        given = np.asarray(value, np.float64 if isinstance(value, int) else None)
        with np.errstate(over="ignore", invalid="ignore"):
            filling = given.astype(dtype)
        fits = np.isnan(filling) == np.isnan(given) and np.isinf(filling) == np.isinf(given)
    if not fits:
        raise InvalidArgumentError(f"pad={{{name!r}: {value}}} does not fit its dtype {dtype.name}")
    return filling
