"""The tensors that a dataset hands out, each with its view; choosing tensors and bands, and cutting windows."""

from collections.abc import Mapping, Sequence
from math import gcd
from typing import NamedTuple

from mlstac.collection import Tensor
from mlstac.errors import InvalidArgumentError, NotFoundError
from mlstac.loading._view import TensorView


class Field(NamedTuple):
    """One tensor: its description, with the bands that are chosen, and what is read of it."""

    tensor: Tensor
    view: TensorView


Fields = Mapping[str, Field]


def choose_tensors(fields: Fields, names: Sequence[str]) -> dict[str, Field]:
    """Some tensors, in the order asked for.

    Raises
    ------
    NotFoundError
        If there is no such tensor; lists those that there are.
    InvalidArgumentError
        If none is chosen.
    """
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in fields:
            raise NotFoundError(f"the dataset has no tensor {name!r}; it has {', '.join(fields)}")
    if not wanted:
        raise InvalidArgumentError("no tensor is chosen; give at least one")
    return {name: fields[name] for name in wanted}


def choose_bands(fields: Fields, bands: Sequence[str], *, keep: Sequence[str] = ()) -> dict[str, Field]:
    """Some bands, in the order asked for, of every tensor that has them.

    Tensors without named bands stay as they are; tensors that have bands, and none of these, are left out.

    Parameters
    ----------
    fields : mapping of str to Field
    bands : sequence of str
        Names, or aliases that are unique in their tensor.
    keep : sequence of str
        Tensors that were asked for by name: one of them without any of the bands is an error.

    Raises
    ------
    NotFoundError
        If no tensor has a band.
    InvalidArgumentError
        If none is chosen.
    """
    wanted = [bands] if isinstance(bands, str) else list(bands)
    if not wanted:
        raise InvalidArgumentError("no band is chosen; give at least one")
    chosen: dict[str, Field] = {}
    found: set[str] = set()
    failures: dict[str, NotFoundError] = {}
    for name, field in fields.items():
        axis = field.tensor.band_axis
        if axis is None or not field.tensor.bands:
            chosen[name] = field
            continue
        positions = []
        for band in wanted:
            try:
                positions.append(field.tensor.band_index(band))
            except NotFoundError as error:
                failures[band] = error
                continue
            found.add(band)
        if positions:
            chosen[name] = _pick(field, axis, tuple(positions))
        elif name in keep:
            raise NotFoundError(f"tensor {name!r} has none of the bands {', '.join(wanted)}; it has {_names(field)}")
    for band in wanted:
        if band not in found:
            if band in failures and len(failures) == 1 and len(fields) == 1:
                raise failures[band]
            known = "; ".join(f"{name}: {_names(field)}" for name, field in fields.items() if field.tensor.bands)
            raise NotFoundError(f"no tensor has a band {band!r}; they have {known or 'no named bands'}")
    return chosen


def _pick(field: Field, axis: int, positions: tuple[int, ...]) -> Field:
    tensor = field.tensor
    shape = None
    if tensor.shape is not None:
        shape = tuple(len(positions) if number == axis else size for number, size in enumerate(tensor.shape))
    described = tensor.model_copy(update={"bands": [tensor.bands[position] for position in positions], "shape": shape})
    return Field(described, field.view.pick(axis, positions))


def _names(field: Field) -> str:
    return ", ".join(band.name or "?" for band in field.tensor.bands)


def cut_window(fields: Fields, *, y: slice, x: slice, tensor: str | None) -> dict[str, Field]:
    """The same window of every tensor that has axes y and x.

    Parameters
    ----------
    fields : mapping of str to Field
    y, x : slice
        Pixels of the tensor named, or of all if they share one grid.
    tensor : str, optional
        The tensor in whose pixels the window is given; windows of the others are scaled to theirs.

    Raises
    ------
    NotFoundError
        If there is no such tensor, or none has both axes.
    InvalidArgumentError
        If the window is empty, leaves the image, or does not fall on whole pixels of another tensor's grid.
    """
    sizes = {name: size for name, field in fields.items() if (size := _grid(field)) is not None}
    if tensor is not None and tensor not in sizes:
        had = f"tensor {tensor!r} has no axes y and x" if tensor in fields else f"the dataset has no tensor {tensor!r}"
        raise NotFoundError(f"{had}; {', '.join(sizes) or 'none'} has them")
    if not sizes:
        raise NotFoundError("no tensor has axes y and x (dims), so that a window of it could be cut")
    if tensor is None:
        if len(set(sizes.values())) > 1:
            shown = ", ".join(f"{name} {size}" for name, size in sizes.items())
            raise InvalidArgumentError(
                f"tensors have different grids ({shown}): say in whose pixels the window is, with tensor="
            )
        tensor = next(iter(sizes))
    reference = sizes[tensor]
    windows = (_bounds(y, reference[0], "y"), _bounds(x, reference[1], "x"))
    result = dict(fields)
    for name, size in sizes.items():
        field, axes = fields[name], _axes(fields[name])
        described, view = field.tensor, field.view
        for axis, window, own, other in zip(axes, windows, size, reference, strict=True):
            start, stop = _scaled(window, own, other, name, tensor)
            view = view.cut(axis, start, stop)
            assert described.shape is not None
            shape = tuple(stop - start if number == axis else known for number, known in enumerate(described.shape))
            described = described.model_copy(update={"shape": shape})
        result[name] = Field(described, view)
    return result


Grid = tuple[int | None, int | None]


def _axes(field: Field) -> tuple[int, int]:
    y, x = field.tensor.y_axis, field.tensor.x_axis
    assert y is not None
    assert x is not None
    return y, x


def _grid(field: Field) -> Grid | None:
    tensor = field.tensor
    if tensor.y_axis is None or tensor.x_axis is None or tensor.shape is None or tensor.media_type is not None:
        return None
    return tensor.shape[tensor.y_axis], tensor.shape[tensor.x_axis]


def _bounds(window: slice, size: int | None, axis: str) -> tuple[int, int]:
    if getattr(window, "step", 0) not in (None, 1):  # an int has none
        raise InvalidArgumentError(f"window {axis}={window!r} is no plain slice; give slice(start, stop)")
    if size is None:
        if window.start is None or window.stop is None or window.start < 0 or window.stop < 0:
            raise InvalidArgumentError(
                f"samples differ in size along {axis}: give start and stop of the window, from 0 on"
            )
        start, stop = int(window.start), int(window.stop)
    else:
        start = 0 if window.start is None else int(window.start)
        stop = size if window.stop is None else int(window.stop)
        start, stop = (start + size if start < 0 else start), (stop + size if stop < 0 else stop)
        if not 0 <= start <= size or stop > size:
            raise InvalidArgumentError(
                f"window {axis}={window.start}:{window.stop} leaves the image, which has {size} pixels along {axis}"
            )
    if stop <= start:
        raise InvalidArgumentError(f"window {axis}={window.start}:{window.stop} is empty")
    return start, stop


def _scaled(window: tuple[int, int], own: int | None, other: int | None, name: str, tensor: str) -> tuple[int, int]:
    if own == other:
        return window
    if own is None or other is None:
        raise InvalidArgumentError(
            f"tensors {name!r} and {tensor!r} differ in grid and one varies in size: select one of them first"
        )
    scaled = [edge * own / other for edge in window]
    if any(edge * own % other for edge in window):
        raise InvalidArgumentError(
            f"window {window[0]}:{window[1]} of tensor {tensor!r} ({other} pixels) is {scaled[0]:g}:{scaled[1]:g} of "
            f"{name!r} ({own} pixels), which are no whole pixels; choose multiples of {_multiple(own, other)}, "
            "or select other tensors"
        )
    return int(scaled[0]), int(scaled[1])


def _multiple(own: int, other: int) -> int:
    return other // gcd(own, other)
