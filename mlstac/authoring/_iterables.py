"""What authors hand over as samples, taken one by one: iterables, datasets with an index, batches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mlstac.errors import InvalidArgumentError, InvalidSampleError
from mlstac.sample import Sample


def is_samples(some: Any) -> bool:
    """Whether something can be iterated over, or indexed by numbers, and is not a sample itself."""
    if isinstance(some, str | bytes | Sample | Mapping):
        return False
    return hasattr(some, "__iter__") or hasattr(some, "__getitem__")


def check_returned(some: Any, what: str) -> Any:
    """What a callable returned, if that is samples.

    Raises
    ------
    InvalidArgumentError
        If it is not; the message begins with ``what`` returned it.
    """
    if is_samples(some):
        return some
    kind = "None" if some is None else f"an object of type {type(some).__name__}"
    mend = ""
    if some is None:
        mend = "; is a `yield` or `return` missing?"
    elif isinstance(some, Sample | Mapping):
        mend = "; put a single sample into a list"
    raise InvalidArgumentError(
        f"{what} returned {kind}, where an iterable of samples was expected (dicts of arrays, or mlstac.Sample){mend}"
    )


def each_sample(some: Iterable[Any], *, batched: bool, start: int = 0) -> Iterator[Any]:
    """Yield the samples one by one.

    Parameters
    ----------
    some : iterable, or object with ``__len__`` and ``__getitem__``
        Such as a torch ``Dataset``, which has an index and often no end that iteration would find.
    batched : bool
        Each item is a batch: a mapping of arrays, whose leading axis counts samples.
    start : int
        Samples to leave out at the beginning; only where `has_index`.
    """
    _refuse_unasked_batches(some, batched=batched)
    if has_index(some) and (start or not hasattr(some, "__iter__")):
        items: Iterable[Any] = (some[at] for at in range(start, len(some)))  # type: ignore[index,arg-type]
    else:
        items = some
    for number, item in enumerate(items):
        if batched:
            yield from split_batch(item, number=number)
        else:
            yield item


def has_index(some: Any) -> bool:
    """Whether a sample can be had by its number without those before it: datasets of torch and Hugging Face."""
    return hasattr(some, "__len__") and hasattr(some, "__getitem__") and not isinstance(some, str | bytes | Mapping)


def count_samples(some: Any, *, batched: bool) -> int | None:
    """How many samples there will be; None where only the end tells."""
    if callable(some) or not hasattr(some, "__len__"):
        return None
    try:
        if not batched:
            return len(some)
        sampler, size = getattr(some, "sampler", None), getattr(some, "batch_size", None)
        if sampler is None or not isinstance(size, int):  # no DataLoader of torch: a batch may hold any number
            return None
        return len(some) * size if getattr(some, "drop_last", False) else len(sampler)
    except TypeError:  # a tf.data dataset of unknown length, a DataLoader of an IterableDataset
        return None


def split_batch(batch: Any, *, number: int) -> Iterator[dict[str, Any]]:
    """The samples of a batch.

    Raises
    ------
    InvalidSampleError
        If it is no mapping of arrays and lists of one length.
    """
    what = f"batch {number}"
    if isinstance(batch, tuple | list):
        raise InvalidSampleError(
            f"{what} is a {type(batch).__name__} of {len(batch)} that does not say what its parts are; name them, e.g."
            " ({'input': x, 'target': y} for x, y in loader)"
        )
    if not isinstance(batch, Mapping) or not batch:
        raise InvalidSampleError(
            f"{what} is of type {type(batch).__name__}; with batched=True each item is a dict of arrays whose leading"
            " axis counts samples"
        )
    lengths = {name: _leading(name, value, what) for name, value in batch.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name!r} {length}" for name, length in lengths.items())
        raise InvalidSampleError(f"{what} has tensors of several lengths ({shown}); their leading axis counts samples")
    for at in range(next(iter(lengths.values()))):
        yield {name: value[at] for name, value in batch.items()}


def _leading(name: str, value: Any, what: str) -> int:
    shape = getattr(value, "shape", None)
    if shape is not None and len(shape):
        return int(shape[0])
    if shape is None and isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return len(value)
    raise InvalidSampleError(
        f"{what} has {name!r} without a leading axis ({type(value).__name__}); with batched=True it counts samples"
    )


def _refuse_unasked_batches(some: Any, *, batched: bool) -> None:
    """A torch DataLoader gives batches by default, and a batch would pass for one large sample."""
    kinds = {f"{base.__module__.partition('.')[0]}.{base.__name__}" for base in type(some).__mro__}
    if "torch.DataLoader" not in kinds:
        return
    size = getattr(some, "batch_size", None)
    if size is not None and not batched:
        raise InvalidArgumentError(
            f"a DataLoader of batch_size {size} gives batches; say batched=True to write their samples, or make it with"
            " batch_size=None"
        )
