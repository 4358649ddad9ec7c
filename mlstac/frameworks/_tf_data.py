"""Batches as a ``tf.data.Dataset`` of whole batches."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from mlstac.errors import DtypeError
from mlstac.frameworks._dtypes import EXTENDED, NATIVE

_WORDS = NATIVE | EXTENDED


def make_spec(dtype: str, shape: tuple[int | None, ...], *, ragged: bool = False) -> Any:
    """Static type of one tensor of a batch.

    Parameters
    ----------
    dtype : str
        Safetensors name, or ``"text"``.
    shape : tuple of int or None
        The batch axis among them.
    ragged : bool
        Samples differ in their first axis and come as a ``tf.RaggedTensor``.

    Returns
    -------
    tf.TensorSpec or tf.RaggedTensorSpec

    Raises
    ------
    DtypeError
        For F8_E5M2, which TensorFlow holds, but not in the graphs that ``tf.data`` makes.
    """
    if dtype == "F8_E5M2":
        raise DtypeError("tf.data cannot carry dtype F8_E5M2; load it with as_dtype='float32'")
    held = tf.string if dtype == "text" else tf.as_dtype(_WORDS[dtype])
    return tf.RaggedTensorSpec(shape, held, ragged_rank=1) if ragged else tf.TensorSpec(shape, held)


def stream(batches: Callable[[], Iterator[dict[str, Any]]], spec: Mapping[str, Any], steps: int) -> Any:
    """Batches of tensors as a ``tf.data.Dataset`` of whole batches.

    ``from_generator`` takes a few tenths of a millisecond a step, whatever the step holds: nothing for a batch, most of
    the time for single samples.

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
        Of dicts, with ``spec`` as its ``element_spec``.
    """

    def generate() -> Iterator[dict[str, Any]]:
        iteration = batches()
        try:
            for batch in iteration:
                yield {name: _value(batch[name], kind) for name, kind in spec.items()}
        finally:
            close = getattr(iteration, "close", None)
            if close is not None:
                close()

    data = tf.data.Dataset.from_generator(generate, output_signature=dict(spec))
    return data.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(1)


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
    return item
