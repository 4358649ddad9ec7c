"""A dataset as a ``tf.data.Dataset`` of batches."""

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mlstac.collection import Tensor
from mlstac.errors import DtypeError, InvalidArgumentError
from mlstac.frameworks import check_dtypes, get_adapter
from mlstac.loading._whole import whole
from mlstac.loading._world import find_world

if TYPE_CHECKING:
    from mlstac.loading._dataset import Dataset

_GROUP_BYTES = 4 << 20
"""Bytes that are read together where samples are handed out one by one."""
_GROUP_SAMPLES = 256


def make_tf_dataset(
    dataset: "Dataset",
    batch_size: int | None = None,
    *,
    epoch: int = 0,
    drop_last: bool = False,
    pad: Mapping[str, float] | None = None,
    **options: Any,
) -> Any:
    """A dataset's batches as a ``tf.data.Dataset``, with a static ``element_spec``.

    Every iteration is an epoch: the first is ``epoch``, each later one the next, so that Keras' ``fit`` sees another
    order every time if ``shuffle`` is given. Batches are made whole and ahead, as by `Dataset.batches`; ``shuffle``,
    ``batch`` and ``prefetch`` of tf.data gain nothing behind it.

    Parameters
    ----------
    dataset : Dataset
        Of any framework.
    batch_size : int, optional
        None gives single samples, read many at a time and cut by TensorFlow. Tensors are refused as in batches without
        ``pad``.
    epoch : int
        Number of the first iteration.
    drop_last : bool
        Leave out a last batch that is not full; the spec then has the batch size, else None.
    pad : mapping of str to number, optional
        As for `Dataset.batches`. A tensor whose first axis alone varies is a ``tf.RaggedTensor`` without it.
    **options
        Others of `Dataset.batches`: ``shuffle``, ``seed``, ``rank`` …

    Returns
    -------
    tf.data.Dataset
        Of dicts, on the CPU.

    Raises
    ------
    DtypeError
        If TensorFlow cannot hold a tensor.
    InvalidArgumentError
        If a tensor has no static type: several axes vary, or samples may lack it, and no ``pad`` is given; or it is
        JSON, or pictures to be decoded.
    MissingFrameworkError
        If TensorFlow is not installed.
    """
    if options.get("transform") is not None:
        raise InvalidArgumentError(
            "transform= may change the types of tensors; give it to the tf.data.Dataset: .map(function)"
        )
    single = batch_size is None
    if single and (pad or drop_last):
        raise InvalidArgumentError("pad= and drop_last= are for batches: give batch_size, or leave them out")
    adapter: Any = get_adapter("tensorflow")
    # eager tensors on our memory: of numpy arrays tf.data makes copies, which take as long as reading them
    native = dataset.with_framework("tensorflow")
    dtypes = native.dtypes
    check_dtypes(adapter, {name: dtype for name, dtype in dtypes.items() if native.tensors[name].media_type is None})
    rows = _group(native.feed().sample_bytes) if batch_size is None else whole("batch_size", batch_size, least=1)
    size = rows if drop_last else None
    spec: dict[str, Any] = {}
    for name, tensor in native.tensors.items():
        for part, (dtype, shape, ragged) in _parts(name, tensor, dtypes[name], pad=pad or {}).items():
            try:
                spec[part] = adapter.make_spec(dtype, (size, *shape), ragged=ragged, cut=single)
            except DtypeError as error:
                raise DtypeError(f"tensor {name!r}: {error}") from error

    def batches(number: int) -> Any:
        return native.batches(rows, epoch=number, drop_last=drop_last, pad=pad, **options)

    epochs = itertools.count(epoch)

    def iterate() -> Iterator[dict[str, Any]]:
        iteration: Iterator[dict[str, Any]] = iter(batches(next(epochs)))
        return iteration

    first = batches(epoch)
    data = adapter.stream(iterate, spec, len(first))
    if not single:
        return data
    _, ranks = find_world(options.get("rank"), options.get("world_size"))
    return adapter.unbatch(data, (len(native) + first.padding) // ranks)


def _group(sample_bytes: int) -> int:
    return max(1, min(_GROUP_SAMPLES, _GROUP_BYTES // sample_bytes))


Part = tuple[str, tuple[int | None, ...], bool]


def _parts(name: str, tensor: Tensor, dtype: str, *, pad: Mapping[str, float]) -> dict[str, Part]:
    """What batches have of one tensor: name -> dtype, shape without the batch axis, whether it is ragged."""
    mend = f"leave it out with select(tensors=...), or give pad={{{name!r}: 0}}"
    if not tensor.required and (name not in pad or tensor.media_type is not None):
        raise InvalidArgumentError(f"samples may lack tensor {name!r}, so its batches have no static type; {mend}")
    if tensor.media_type is not None:
        return {name: _encoded(name, tensor.media_type, dtype)}
    shape = tensor.shape or ()
    varying = [axis for axis, size in enumerate(shape) if size is None]
    parts: dict[str, Part] = {name: (dtype, shape, False)}
    if varying and name in pad:
        parts[f"{name}_mask"] = ("BOOL", (None,) * len(varying), False)
    elif varying == [0]:
        parts[name] = (dtype, shape, True)
    elif varying:
        raise InvalidArgumentError(f"tensor {name!r} varies along axes {varying} of {shape}; {mend}")
    if not tensor.required:
        parts[f"{name}_present"] = ("BOOL", (), False)
    return parts


def _encoded(name: str, media_type: str, dtype: str) -> Part:
    if dtype != "text":
        raise InvalidArgumentError(
            f"tensor {name!r} holds {media_type}, whose values have no static type; leave it out by select(tensors=...)"
        )
    return "text", (), False
