"""Samples of a dataset of the original ML-STAC one after another, with all that their headers say; to write anew."""

from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

from mlstac.collection import Collection, Tensor
from mlstac.errors import CollectionError
from mlstac.frameworks import get_adapter
from mlstac.loading._source import Place, find_collection
from mlstac.loading.original import Original, make_sample, open_original, read_samples
from mlstac.sample import Sample
from mlstac.storage import Fetcher, StorageOptions, is_remote, redact

_AT_ONCE = 32


class OriginalSamples(NamedTuple):
    """Such a dataset, opened."""

    collection: Collection
    tensors: dict[str, Tensor]
    """As samples were seen to have them, with nothing of how they were stored; shapes are left open."""
    splits: dict[str, Callable[[int], Generator[Sample, None, None]]]
    """Given how many to leave out, the rest of a split; empty where samples are members of containers."""


def original_samples(
    source: Any, *, storage_options: StorageOptions = None, allow_hosts: Sequence[str] = ()
) -> OriginalSamples:
    """Open a dataset of the original ML-STAC for reading it through once.

    Parameters
    ----------
    source : str, path or dict
        Its main.json, or the folder of it.
    storage_options : mapping or callable, optional
    allow_hosts : sequence of str
        As `load` takes them.

    Raises
    ------
    CollectionError
        If it is a dataset of version 1.0.
    StorageError, FormatError
        If it cannot be opened.
    """
    fetcher = Fetcher(storage_options=storage_options)
    place = find_collection(source, fetcher=fetcher)
    if place.original is None:
        raise CollectionError(
            f"{redact(place.url)} is a dataset of version 1.0 already; copy it with stream=False, or host it as it is"
        )
    if is_remote(place.url):
        fetcher.bind(place.url)
    opened = _open(place, tuple(place.collection.splits), fetcher, allow_hosts)
    tensors = {
        name: tensor.model_copy(update={"layout": None, "shape": None})
        for name, tensor in opened.collection.tensors.items()
    }
    splits = {}
    if opened.files is not None:
        splits = {name: _reading(place, name, opened, fetcher, allow_hosts) for name in place.collection.splits}
    return OriginalSamples(opened.collection, tensors, splits)


def _open(
    place: Place,
    splits: Sequence[str],
    fetcher: Fetcher,
    allow_hosts: Sequence[str],
    tensors: dict[str, Tensor] | None = None,
) -> Original:
    assert place.original is not None
    return open_original(
        place.original, place.url, splits, fetcher=fetcher, allow_hosts=tuple(allow_hosts), tensors=tensors
    )


def _reading(
    place: Place, split: str, opened: Original, fetcher: Fetcher, allow_hosts: Sequence[str]
) -> Callable[[int], Generator[Sample, None, None]]:
    tensors, texts = opened.collection.tensors, opened.texts
    files = _open(place, (split,), fetcher, allow_hosts, dict(tensors)).files
    assert files is not None
    adapter = get_adapter("numpy")

    def read(skip: int) -> Generator[Sample, None, None]:
        for first in range(skip, len(files), _AT_ONCE):
            rows = range(first, min(first + _AT_ONCE, len(files)))
            for row, file in zip(rows, read_samples([files.url(row) for row in rows], fetcher), strict=True):
                values = {
                    name: adapter.decode(file.data[entry.start : entry.stop], entry.dtype, entry.shape, owned=False)
                    for name, entry in file.header.entries.items()
                }
                values |= {name: text for name, key in texts.items() if (text := file.header.metadata.get(key))}
                yield make_sample(file.header, tensors, values, id=files.id(row), name=file.name)

    return read
