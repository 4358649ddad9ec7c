"""A dataset as a ``tf.data.Dataset`` of batches."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mlstac.collection import Tensor
from mlstac.errors import DtypeError, InvalidArgumentError
from mlstac.frameworks import check_dtypes, get_adapter
from mlstac.loading._media import FILM_CHANNELS, decoded_axes
from mlstac.loading._padding import join_pads
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
    pad: Mapping[str, float | str | None] | None = None,
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
        As for `Dataset.batches`. A tensor whose first axis alone varies is a ``tf.RaggedTensor`` without it; decoded
        pictures and films need it, as a text that samples may lack needs a str.
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
        If a tensor has no static type: several axes vary, as of decoded pictures, or samples may lack it, and no
        ``pad`` is given; or it is JSON.
    MissingFrameworkError
        If TensorFlow is not installed.
    """
    adapter: Any = get_adapter("tensorflow")
    # within a tf.function AutoGraph would rewrite what it calls, and warn of what it cannot
    make = adapter.as_written(_make)
    return make(adapter, dataset, batch_size, epoch=epoch, drop_last=drop_last, pad=pad, **options)


def _make(
    adapter: Any,
    dataset: "Dataset",
    batch_size: int | None,
    *,
    epoch: int,
    drop_last: bool,
    pad: Mapping[str, float | str | None] | None,
    **options: Any,
) -> Any:
    if options.get("transform") is not None:
        raise InvalidArgumentError(
            "transform= may change the types of tensors; give it to the tf.data.Dataset: .map(function)"
        )
    single = batch_size is None
    pad = join_pads(dataset.pad, pad)
    if single and (pad or drop_last):
        raise InvalidArgumentError("pad= and drop_last= are for batches: give batch_size, or leave them out")
    # eager tensors on our memory: of numpy arrays tf.data makes copies, which take as long as reading them
    native = dataset.with_framework("tensorflow")
    dtypes = native.dtypes
    check_dtypes(adapter, {name: dtype for name, dtype in dtypes.items() if native.tensors[name].media_type is None})
    rows = _group(native.feed().sample_bytes) if batch_size is None else whole("batch_size", batch_size, least=1)
    size = rows if drop_last else None

    def batches(number: int) -> Any:
        return native.batches(rows, epoch=number, drop_last=drop_last, pad=pad, **options)

    first = batches(epoch)  # what is wrong with the arguments is said here
    spec: dict[str, Any] = {}
    for name, tensor in native.tensors.items():
        for part, (dtype, shape, ragged) in _parts(name, tensor, dtypes[name], pad=pad or {}, single=single).items():
            try:
                spec[part] = adapter.make_spec(dtype, (size, *shape), ragged=ragged, cut=single)
            except DtypeError as error:
                raise DtypeError(f"tensor {name!r}: {error}") from error

    epochs = itertools.count(epoch)

    output = native.feed().output
    pictures = [name for name, tensor in native.tensors.items() if tensor.media_type and dtypes[name] == "U8"]
    pictures = [name for name in pictures if name not in output.dtypes]  # their own dtype shows when they are read

    def iterate() -> Iterator[dict[str, Any]]:
        iteration: Iterator[dict[str, Any]] = iter(batches(next(epochs)))
        return _of_types(iteration, pictures, spec) if pictures else iteration

    data = adapter.stream(iterate, spec, len(first))
    if not single:
        return data
    _, ranks = find_world(options.get("rank"), options.get("world_size"))
    return adapter.unbatch(data, (len(native) + first.padding) // ranks)


def _group(sample_bytes: int) -> int:
    return max(1, min(_GROUP_SAMPLES, _GROUP_BYTES // sample_bytes))


_ENCODED = ("text", "json")

Part = tuple[str, tuple[int | None, ...], bool]


def _parts(name: str, tensor: Tensor, dtype: str, *, pad: Mapping[str, Any], single: bool) -> dict[str, Part]:
    """What batches have of one tensor: name -> dtype, shape without the batch axis, whether it is ragged."""
    shape, filling = tensor.shape or (), pad.get(name)
    varying = [axis for axis, size in enumerate(shape) if size is None]
    if tensor.media_type is None:
        filled, example = filling is not None, "0"
    elif dtype in _ENCODED:
        shape, varying = (), []
        filled, example = isinstance(filling, str), "''" if tensor.media_type == "text/plain" else ""
    else:
        axes = decoded_axes(tensor.media_type)
        # films are RGB; how many channels pictures have shows when they are read
        shape = tuple(FILM_CHANNELS if axes[:2] == ("time", word) else None for word in axes)
        varying = [axis for axis, word in enumerate(axes) if word != "channel"]
        filled, example = filling is not None, "0"
    mend = "leave it out with select(tensors=...)"
    if example:
        mend += f", or give {'batch_size= and ' if single else ''}pad={{{name!r}: {example}}}"
    if dtype == "json" or (varying and not filled and (tensor.media_type is not None or varying != [0])):
        along = f"holds {tensor.media_type}" if tensor.media_type else f"varies along axes {varying} of {shape}"
        raise InvalidArgumentError(f"tensor {name!r} {along}, so its batches have no static type; {mend}")
    if not tensor.required and not filled:
        raise InvalidArgumentError(f"samples may lack tensor {name!r}, so its batches have no static type; {mend}")
    parts: dict[str, Part] = {name: (dtype, shape, bool(varying) and not filled)}
    if varying and filled:
        parts[f"{name}_mask"] = ("BOOL", (None,) * len(varying), False)
    if not tensor.required:
        parts[f"{name}_present"] = ("BOOL", (), False)
    return parts


def _of_types(
    iteration: Iterator[dict[str, Any]], names: Iterable[str], spec: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Batches whose pictures have the dtype that the type says."""
    for batch in iteration:
        for name in names:
            if batch[name].dtype != spec[name].dtype:
                raise DtypeError(
                    f"tensor {name!r}: pictures of 16 bits come, where the type of to_tf says 8; load with "
                    f"as_dtype={{{name!r}: 'uint16'}} (or 'float32'), which is then their type"
                )
        yield batch
