"""A whole dataset in one call."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mlstac.authoring._iterables import check_returned, count_samples, each_sample, has_index, is_samples
from mlstac.authoring._prefix import Prefix, Prefixed
from mlstac.authoring._splitting import Splitting, read_splitting
from mlstac.authoring._writer import Writer
from mlstac.collection import Collection
from mlstac.errors import InvalidArgumentError
from mlstac.sample import Sample
from mlstac.storage import dataset_name

Samples = Iterable[Any] | Callable[[int], Iterable[Any]]


def write(
    samples: Samples | Mapping[str, Samples],
    path: str | os.PathLike[str],
    collection: Collection | Mapping[str, Any] | None = None,
    *,
    shard_size: int | str = "256MB",
    layout: str = "auto",
    compression: str | None = None,
    split_by: str | Mapping[str, Any] | None = None,
    batched: bool = False,
    overwrite: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    progress: bool | None = None,
    card: bool = True,
    **collection_fields: Any,
) -> Collection:
    """Write a dataset.

    Parameters
    ----------
    samples : iterable, or mapping of str to iterable
        Samples, dicts of arrays, or `xarray.Dataset` objects: of the split ``train``, or of each split. A list, a
        generator, a torch ``Dataset`` or ``DataLoader``, a ``tf.data.Dataset``, a Hugging Face ``Dataset`` or
        ``DatasetDict``. In the place of an iterable a callable may stand, which is given the number of samples to
        leave out (0, or what an unfinished run has already written) and returns the iterable of the rest.
    path : str or path-like
        Folder of the dataset.
    collection : Collection or mapping, optional
        What the dataset is said to be; or give its fields by keyword.
    shard_size, layout, compression, overwrite, storage_options, card
        As for `Writer`.
    split_by : str or mapping, optional
        Divide one iterable. A property of the samples that names the split of each; or groups that stay together,
        drawn by a hash: ``{"block_size_m": 10_000}`` for blocks of the Earth's surface, ``{"column": "scene"}`` for
        the values of a property; with ``fractions`` (``{"train": 0.8, "validation": 0.1, "test": 0.1}``) and ``seed``
        (0). The collection says it in ``split_strategy``.
    batched : bool, default False
        Each item is a batch, a dict of arrays whose leading axis counts samples, as a ``DataLoader`` gives them.
    progress : bool, optional
        Show a progress bar; by default where stderr is a terminal.
    **collection_fields
        Fields of a `Collection`: ``id`` (the folder's name where it is not given), ``license``, ``tasks`` …

    Returns
    -------
    Collection
        As written.

    Raises
    ------
    InvalidArgumentError, InvalidSampleError
        If the call or a sample cannot be meant; whole shards stay for the next call.
    ExistsError
        If the path holds a dataset, or another writer is at work there.

    Examples
    --------
    >>> write({"train": dicts, "test": more}, "out", license="CC-BY-4.0")  # doctest: +SKIP
    """
    collection = as_collection(collection, collection_fields, path)
    splitting = read_splitting(split_by)
    splits = by_split(samples)
    if splitting is not None:
        if isinstance(samples, Mapping) or callable(samples):
            raise InvalidArgumentError(
                "split_by divides one iterable of samples; give an iterable, or leave split_by out"
            )
        collection = splitting.say(collection)
    with Writer(
        path,
        collection,
        shard_size=shard_size,
        layout=layout,
        compression=compression,
        overwrite=overwrite,
        storage_options=storage_options,
        progress=progress,
        card=card,
    ) as writer:
        feed(writer, splits, splitting=splitting, batched=batched)
        return writer.close()


def as_collection(
    collection: Collection | Mapping[str, Any] | None, fields: Mapping[str, Any], path: str | os.PathLike[str]
) -> Collection:
    """The collection given, or one of its fields.

    Raises
    ------
    InvalidArgumentError
        If both are given.
    """
    if collection is not None and fields:
        given = ", ".join(fields)
        raise InvalidArgumentError(
            f"a collection and fields of one ({given}) are given; put the fields into the collection"
        )
    if collection is None:
        return Collection(**{"id": dataset_name(path) or "dataset", **fields})
    return Collection(**collection) if isinstance(collection, Mapping) else collection


def feed(
    writer: Writer,
    samples: Mapping[str, Samples],
    *,
    splitting: Splitting | None = None,
    batched: bool = False,
    prefix: Prefix | None = None,
) -> None:
    """Add the samples of each split, leaving out as many as an unfinished run has."""
    counts = [count_samples(some, batched=batched) for some in samples.values()]
    writer.expect(None if None in counts else sum(count or 0 for count in counts))
    for split in samples if splitting is None else splitting.splits:
        writer.add_split(split)
    for split, some in samples.items():
        start = 0
        iterable: Any = some
        if callable(some) and not is_samples(some):
            iterable = check_returned(some(writer.skip(split)), f"the callable of split {split!r}")
        elif splitting is None and not batched and has_index(some) and not isinstance(some, list | tuple):
            start = writer.skip_to(split, some if prefix is None else Prefixed(some, prefix))
        for number, given in enumerate(each_sample(iterable, batched=batched, start=start), start=start):
            sample = given if prefix is None else prefix.put(given)
            writer.add(
                sample, split=split if splitting is None else splitting.split_of(sample, writer.tensors, number=number)
            )


def by_split(samples: Any, *, split: str = "train") -> dict[str, Any]:
    """Samples by split: as they are given, or all of one."""
    splits = dict(samples) if isinstance(samples, Mapping) else {split: samples}
    if not splits:
        raise InvalidArgumentError("samples is an empty mapping; give at least one split, e.g. {'train': samples}")
    for name, some in splits.items():
        is_array = hasattr(some, "shape") and hasattr(some, "dtype") and not hasattr(some, "dims")  # xarray's go in
        if is_array and getattr(some.dtype, "kind", None) != "O":  # one of objects holds samples
            raise InvalidArgumentError(
                f"samples of {name!r} are one array, and a mapping is of splits; of arrays whose leading axis counts"
                " samples make a batch: mlstac.write([{'input': images, 'target': labels}], ..., batched=True)"
            )
        if not is_samples(some) and (not callable(some) or isinstance(some, Sample)):
            raise InvalidArgumentError(
                f"samples of {name!r} are of type {type(some).__name__}; give an iterable of dicts of arrays (or of"
                " mlstac.Sample), or a mapping of split to iterable"
            )
    return splits
