"""Batches as a ``tf.data.Dataset`` of whole batches."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from mlstac.errors import DtypeError
from mlstac.frameworks import _aligned
from mlstac.frameworks._dtypes import EXTENDED, NATIVE

_WORDS = NATIVE | EXTENDED


as_written = tf.autograph.experimental.do_not_convert
"""A function that AutoGraph leaves as it is."""


def make_spec(dtype: str, shape: tuple[int | None, ...], *, ragged: bool = False, cut: bool = False) -> Any:
    """Static type of one tensor of a batch.

    Parameters
    ----------
    dtype : str
        Safetensors name, or ``"text"``.
    shape : tuple of int or None
        The batch axis among them.
    ragged : bool
        Samples differ in their first axis and come as a ``tf.RaggedTensor``.
    cut : bool
        The batches are to be cut into samples, by `unbatch`.

    Returns
    -------
    tf.TensorSpec or tf.RaggedTensorSpec

    Raises
    ------
    DtypeError
        For F8_E5M2, which TensorFlow holds, but not in the graphs that ``tf.data`` makes; and, to be cut, for all F8.
    """
    if dtype == "F8_E5M2":
        raise DtypeError("tf.data cannot carry dtype F8_E5M2; load it with as_dtype='float32'")
    if cut and dtype.startswith("F8"):
        raise DtypeError(
            f"tf.data cannot cut batches of dtype {dtype} into samples; give batch_size=, or load with "
            "as_dtype='float32'"
        )
    held = tf.string if dtype == "text" else tf.as_dtype(_WORDS[dtype])
    return tf.RaggedTensorSpec(shape, held, ragged_rank=1) if ragged else tf.TensorSpec(shape, held)


def stream(batches: Callable[[], Iterator[dict[str, Any]]], spec: Mapping[str, Any], steps: int) -> Any:
    """Batches of tensors as a ``tf.data.Dataset`` of whole batches.

    One function of Python a step, in ``scan``, whose state is that iteration's own. ``from_generator`` has three, of
    which TensorFlow makes graphs anew for every iteration: 18 ms of an epoch, where one takes 6.

    Parameters
    ----------
    batches : callable
        Called at the start of every iteration; gives its batches. They are closed when the iteration ends or is left.
    spec : mapping of str to tf.TypeSpec
        Of the tensors of every batch, by `make_spec`. What a batch has beside them is left out.
    steps : int
        Batches of one iteration.

    Returns
    -------
    tf.data.Dataset
        Of dicts, with ``spec`` as its ``element_spec``. TensorFlow's own tensors are not copied on the way.
    """
    kinds = dict(spec)
    parts = tf.nest.flatten(kinds, expand_composites=True)
    live: dict[int, Iterator[dict[str, Any]]] = {}
    numbers = itertools.count(1)

    def step(state: Any) -> list[Any]:
        if not state.numpy().item():
            number = next(numbers)
            live[number] = batches()
            state = _make_state(number, live)
        batch = next(live[state.numpy().item()])
        values = {name: _value(batch[name], kind) for name, kind in kinds.items()}
        return [state, *tf.nest.flatten(values, expand_composites=True)]

    def scanned(state: Any, _: Any) -> tuple[Any, Any]:
        number, *tensors = tf.py_function(step, [state], [tf.int64, *(part.dtype for part in parts)])
        number.set_shape(_STATE_SHAPE)
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.set_shape(part.shape)
        return number, tf.nest.pack_sequence_as(kinds, tensors, expand_composites=True)

    return tf.data.Dataset.range(steps).scan(tf.zeros(_STATE_SHAPE, tf.int64), scanned)


_STATE_SHAPE = (1,)


class _Ticket:
    """Memory of the number of an iteration; TensorFlow lets go of it with the iteration's state, which ends it."""

    def __init__(self, number: int, live: dict[int, Iterator[dict[str, Any]]]) -> None:
        self._number = number
        self._live = live
        self._memory = _aligned.allocate(8).view(np.int64).reshape(_STATE_SHAPE)
        self._memory[:] = number

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self._memory.__array_interface__

    def __del__(self) -> None:
        close = getattr(self._live.pop(self._number, None), "close", None)
        if close is not None:
            close()


def _make_state(number: int, live: dict[int, Iterator[dict[str, Any]]]) -> Any:
    """A tensor of the number, over memory that is a ticket's."""
    return tf.experimental.dlpack.from_dlpack(np.asarray(_Ticket(number, live)).__dlpack__())


def unbatch(batches: Any, count: int) -> Any:
    """Samples of a dataset of batches, one by one: TensorFlow cuts them, and no Python runs for a sample.

    Parameters
    ----------
    batches : tf.data.Dataset
        From `stream`.
    count : int
        Samples of one iteration.

    Returns
    -------
    tf.data.Dataset
        Of dicts of dense tensors: of a ragged one each sample's rows.
    """
    shapes = {name: kind.shape[1:] for name, kind in batches.element_spec.items()}

    def dense(sample: dict[str, Any]) -> dict[str, Any]:
        return {name: tf.ensure_shape(tensor, shapes[name]) for name, tensor in sample.items()}

    data = batches.unbatch()
    if any(isinstance(kind, tf.RaggedTensorSpec) for kind in batches.element_spec.values()):
        data = data.map(dense)
    return data.apply(tf.data.experimental.assert_cardinality(count))


def _value(item: Any, kind: Any) -> Any:
    if isinstance(kind, tf.RaggedTensorSpec):
        lengths = tf.constant([len(rows) for rows in item], tf.int64)
        return tf.RaggedTensor.from_row_lengths(tf.concat(item, 0), lengths)
    return item if tf.is_tensor(item) else tf.convert_to_tensor(item, kind.dtype)  # texts are a list
