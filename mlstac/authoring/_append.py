"""More samples for a dataset that is there."""

import os
from collections.abc import Mapping
from typing import Any

from mlstac.authoring._prefix import Prefix
from mlstac.authoring._write import Samples, by_split, feed
from mlstac.authoring._writer import Writer
from mlstac.collection import Collection
from mlstac.errors import InvalidArgumentError


def append(
    path: str | os.PathLike[str],
    samples: Samples | Mapping[str, Samples],
    *,
    split: str = "train",
    version: str | None = None,
    id_prefix: str | None = None,
    shard_size: int | str = "256MB",
    layout: str = "auto",
    compression: str | None = None,
    batched: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    progress: bool | None = None,
    card: bool = True,
) -> Collection:
    """Add samples to a dataset.

    They go into new shards and new parts of the catalogs; no file that the dataset has is changed but
    ``collection.json``, which is replaced last, in one step. Who reads the old state goes on reading it. Statistics,
    class counts and the extent become those of all samples. If the process dies, the same call with the same samples
    goes on after the last whole shard.

    Parameters
    ----------
    path : str or path-like
        Folder of the dataset, or its URL as `publish` takes it.
    samples : iterable, or mapping of str to iterable
        As for `write`: of one split, or of each. A split that the dataset lacks is made.
    split : str, default "train"
        Where the samples of one iterable go.
    version : str, optional
        Of the new state of the data. By default the second number of the old one counts on: ``1.0.0`` becomes
        ``1.1.0``, and a dataset without one was 1.0.0.
    id_prefix : str, optional
        Put before the ids that the samples bring, where the dataset has some of them already: ``"b/"``. Samples without
        one are numbered as ever.
    shard_size, layout, batched, storage_options, progress, card
        As for `write`.
    compression : str, optional
        As for `write`; by default that of the dataset.

    Returns
    -------
    Collection
        As it is now; unchanged, with its version, where there was no sample.

    Raises
    ------
    MissingFileError
        If there is no dataset.
    InvalidSampleError
        If a sample is not as the collection says: another dtype, shape, tensor or kind of column, or an id that is
        used already.
    ExistsError
        If another writer is at work there (for a URL, on this machine).
    ChangedError
        If somebody changed the collection meanwhile. Nothing is lost: what was uploaded is named by nobody, and the
        same call adds the samples to the dataset as it is now.

    Notes
    -----
    A dataset at a URL has no journal: each append reads the shards of its train split once, one after another, to take
    their statistics again, and of the other splits the headers of the shards.

    The catalogs of a dataset have one set of columns. Where the new samples bring a column that the old ones lack, or
    lack the place or time that all old ones have, the catalogs are written anew, as new parts, with nulls where a
    sample says nothing.

    Examples
    --------
    >>> append("flood", more_chips, split="train")  # doctest: +SKIP
    """
    if isinstance(samples, Mapping) and split != "train":
        raise InvalidArgumentError(
            f"split={split!r} is for one iterable, but samples are a mapping of split to iterable; leave split out"
        )
    prefix = None if id_prefix is None else Prefix(id_prefix)
    with Writer(
        path,
        append=True,
        version=version,
        shard_size=shard_size,
        layout=layout,
        compression=compression,
        storage_options=storage_options,
        progress=progress,
        card=card,
    ) as writer:
        feed(writer, by_split(samples, split=split), batched=batched, prefix=prefix)
        return writer.close()
