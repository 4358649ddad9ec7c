"""A whole dataset in one call."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mlstac.authoring._samples import as_sample
from mlstac.authoring._writer import Writer
from mlstac.collection import SPLIT_ALIASES, Collection
from mlstac.errors import InvalidArgumentError, InvalidSampleError
from mlstac.sample import Sample

Samples = Iterable[Any] | Callable[[int], Iterable[Any]]


def write(
    samples: Samples | Mapping[str, Samples],
    path: str | os.PathLike[str],
    collection: Collection | Mapping[str, Any] | None = None,
    *,
    shard_size: int | str = "256MB",
    layout: str = "auto",
    compression: str | None = None,
    split_by: str | None = None,
    overwrite: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    **collection_fields: Any,
) -> Collection:
    """Write a dataset.

    Parameters
    ----------
    samples : iterable, or mapping of str to iterable
        Samples, or dicts of arrays: of the split ``train``, or of each split. In the place of an iterable a callable
        may stand, which is given the number of samples to leave out (0, or what an unfinished run has already written)
        and returns the iterable of the rest.
    path : str or path-like
        Folder of the dataset.
    collection : Collection or mapping, optional
        What the dataset is said to be; or give its fields by keyword.
    shard_size, layout, compression, overwrite, storage_options
        As for `Writer`.
    split_by : str, optional
        A property of the samples that names the split of each; for one iterable.
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
    if collection is not None and collection_fields:
        given = ", ".join(collection_fields)
        raise InvalidArgumentError(
            f"a collection and fields of one ({given}) are given; put the fields into the collection"
        )
    if collection is None:
        fields = {"id": Path(os.fspath(path)).resolve().name or "dataset", **collection_fields}
        collection = Collection(**fields)
    elif isinstance(collection, Mapping):
        collection = Collection(**collection)
    splits = _by_split(samples)
    if split_by is not None:
        collection = _say_strategy(collection, split_by, samples)
    with Writer(
        path,
        collection,
        shard_size=shard_size,
        layout=layout,
        compression=compression,
        overwrite=overwrite,
        storage_options=storage_options,
    ) as writer:
        for split, some in splits.items():
            iterable = some(writer.skip(split)) if callable(some) else some
            writer.add_split(split)
            for sample in iterable:
                writer.add(sample, split=split if split_by is None else _split_of(sample, split_by))
        return writer.close()


def _by_split(samples: Any) -> dict[str, Any]:
    splits = dict(samples) if isinstance(samples, Mapping) else {"train": samples}
    if not splits:
        raise InvalidArgumentError("samples is an empty mapping; give at least one split, e.g. {'train': samples}")
    for split, some in splits.items():
        if isinstance(some, str | bytes | Sample | Mapping) or not (
            callable(some) or hasattr(some, "__iter__") or hasattr(some, "__getitem__")
        ):
            raise InvalidArgumentError(
                f"samples of {split!r} are of type {type(some).__name__}; give an iterable of dicts of arrays (or of"
                " mlstac.Sample), or a mapping of split to iterable"
            )
    return splits


def _say_strategy(collection: Collection, split_by: Any, samples: Any) -> Collection:
    if not isinstance(split_by, str):
        raise InvalidArgumentError(
            f"split_by {split_by!r} is not supported; give the name of a property that holds the split's name"
        )
    if isinstance(samples, Mapping) or callable(samples):
        raise InvalidArgumentError("split_by divides one iterable of samples; give an iterable, or leave split_by out")
    collection = collection.model_copy(deep=True)
    if collection.split_strategy is None:
        collection.split_strategy = f"by the property {split_by!r}"
    return collection


def _split_of(given: Any, column: str) -> str:
    sample = as_sample(given)
    if column not in sample.properties:
        has = ", ".join(sample.properties) or "none"
        raise InvalidSampleError(f"sample {sample.id!r} has no property {column!r} to split by; it has {has}")
    name = sample.properties[column]
    if not isinstance(name, str):
        raise InvalidSampleError(
            f"property {column!r} of sample {sample.id!r} is {name!r}; split_by needs the name of a split, such as"
            " 'train'"
        )
    return SPLIT_ALIASES.get(name, name)
