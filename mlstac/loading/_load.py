"""``mlstac.load`` and ``mlstac.open``: from a source to a dataset, with nothing read but the collection."""

import warnings
from collections.abc import Collection as AbstractCollection
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mlstac.collection import Collection
from mlstac.errors import ChangedError, CollectionError, InvalidArgumentError, NotFoundError
from mlstac.frameworks import WidenedWarning
from mlstac.loading._catalog import Catalog
from mlstac.loading._chosen import Origin
from mlstac.loading._dataset import Dataset
from mlstac.loading._fields import Field
from mlstac.loading._fingerprint import (
    fingerprint_collection,
    fingerprint_document,
    still_stands,
    thaw_collection,
)
from mlstac.loading._layout import layout_of
from mlstac.loading._open import check_there, open_catalog
from mlstac.loading._opened import remember
from mlstac.loading._reader import Reader
from mlstac.loading._source import Given, Place, find_collection
from mlstac.loading._splits import split_names
from mlstac.loading._view import TensorView
from mlstac.loading.original import Original, open_original
from mlstac.sample import GZIP, ZSTD, import_zstandard
from mlstac.storage import Cache, Fetcher, StorageOptions, is_remote, redact

_OLD_NAMES = ("secret", "snippet")
_OLD_SWITCHES = {
    "verbose": "progress is shown on terminals, and there alone",
    "force": "nothing of a dataset is kept from one load to the next, but what cache_dir= and data_dir= are given for",
}


class Config(NamedTuple):
    """What a dataset is made again from, in another process."""

    source: str | Given
    splits: tuple[str, ...]
    framework: str
    device: Any
    storage_options: StorageOptions
    cache: tuple[str, str | int] | None
    as_dtype: Any
    verify: bool | None
    decode: bool
    allow_hosts: tuple[str, ...]
    narrow: bool = False

    def __repr__(self) -> str:
        """All but what may hold credentials."""
        url = redact(self.source.url if isinstance(self.source, Given) else self.source)
        given = "None" if self.storage_options is None else "<not shown>"
        return f"Config(source={url!r}, splits={self.splits}, framework={self.framework!r}, storage_options={given})"


def load(
    source: Any = None,
    split: str | Sequence[str] | None = "train",
    *,
    framework: str = "torch",
    device: Any = "cpu",
    stream: bool = True,
    storage_options: StorageOptions = None,
    revision: str | None = None,
    data_dir: Any = None,
    cache_dir: Any = None,
    cache_size: str | int = "10GB",
    as_dtype: str | Mapping[str, str] | None = None,
    verify: bool | None = None,
    decode: bool = False,
    narrow: bool = False,
    allow_hosts: AbstractCollection[str] = (),
    **old_names: Any,
) -> Dataset:
    """Open a dataset; samples are read when they are asked for.

    Parameters
    ----------
    source : str, path, Collection or dict
        Path or URL of a dataset's folder or of its collection.json (local, http(s), or any that fsspec opens); a
        dataset of the Hugging Face Hub (``hf://datasets/org/name[@rev]``, ``org/name``, or any URL of its pages); or a
        collection already read.
    split : str or sequence of str
        ``"train"``, ``"val"``, ``"train+test"``, a list, or ``"all"``; None is ``"train"``.
    framework : str
        ``"torch"``, ``"numpy"``, ``"tensorflow"``, ``"jax"`` or ``"paddle"``.
    device : optional
        ``"cpu"``, ``"cuda:0"``, …, or the framework's own.
    stream : bool
        Read over the network what is asked for. If False, the splits are downloaded first (to ``data_dir``), whole
        and verified, and read from there. Local paths are memory-mapped either way.
    storage_options : mapping or callable, optional
        For the store: as fsspec takes them; or a callable that returns them, asked again once access is refused.
        Headers and passwords go to the host of the collection alone. They are pickled with the dataset, for worker
        processes.
    revision : str, optional
        Branch, tag or commit of a Hub repository; ``main`` by default. All is read from the commit that it names now.
    data_dir : path, optional
        Where ``stream=False`` puts the files; by default a folder under the user's cache.
    cache_dir : path, optional
        Keep what is streamed there, up to ``cache_size``.
    as_dtype : str or mapping of str to str, optional
        Convert all data (not labels), or the tensors named, once, in the batch's buffer: ``"float32"``. Of encoded
        fields that is pictures and video with ``decode=True``.
    verify : bool, optional
        Check stored bytes against their checksums. None: what comes over the network, not local files. Bands and
        windows cannot be checked.
    decode : bool
        Decode pictures and video; text and JSON always are.
    narrow : bool
        Where jax is without 64 bits, take I64, U64 and F64 as 32 bits: integers that do not fit are an error. By
        default such tensors are refused.
    allow_hosts : collection of str
        Hosts beside the dataset's own that its files may lie on.

    Returns
    -------
    Dataset

    Raises
    ------
    MissingFileError, AccessError, UnavailableError
        If the collection cannot be had.
    CollectionError, VersionError
        If it is none, or of a version that this library does not know.
    NotFoundError
        If it has no such split.
    UnknownFrameworkError, MissingFrameworkError, DeviceError, DtypeError
        If tensors cannot be made as asked.
    MissingPackageError
        If shards are compressed, and what undoes them is not installed.
    """
    source = _with_old_names(source, old_names)
    options = storage_options if storage_options is None or callable(storage_options) else dict(storage_options)
    cache = None if cache_dir is None else (str(cache_dir), cache_size)
    fetcher = _fetcher(options, cache)
    place = _find(source, fetcher, revision)
    if place.original is None:
        _check_names(as_dtype, place.collection)
    names = split_names("train" if split is None else split, place.collection)
    if not stream and is_remote(place.url):
        folder = _download(place, names, data_dir=data_dir, fetcher=fetcher, allow_hosts=tuple(allow_hosts))
        place, options, cache, source = find_collection(folder, fetcher=fetcher), None, None, folder
    if place.original is None and not is_remote(place.url):
        check_there(place, names, allow_hosts=tuple(allow_hosts))
    original = None
    if place.original is not None:
        if cache is not None:
            raise InvalidArgumentError(
                "cache_dir= keeps ranges of shards, and samples of the original ML-STAC are whole files; "
                "load them with stream=False, which keeps them in data_dir"
            )
        place, original = _look(place, names, fetcher=fetcher, allow_hosts=tuple(allow_hosts), verify=verify)
        _check_names(as_dtype, place.collection)
    config = Config(
        source=_plain(source, place),
        splits=names,
        framework=framework,
        device=device,
        storage_options=options,
        cache=cache,
        as_dtype=as_dtype,
        verify=verify,
        decode=decode,
        allow_hosts=tuple(allow_hosts),
        narrow=narrow,
    )
    return _make(config, place, fetcher, original)


def open_collection(
    source: Any,
    *,
    storage_options: StorageOptions = None,
    revision: str | None = None,
    allow_hosts: AbstractCollection[str] = (),
) -> Collection:
    """Read what a dataset says of itself, without its samples.

    Parameters
    ----------
    source : str, path, Collection or dict
        As `mlstac.load` takes it.
    storage_options : mapping or callable, optional
        For the store.
    revision : str, optional
        Branch, tag or commit of a Hub repository.
    allow_hosts : collection of str
        As `mlstac.load` takes it: of a dataset of the original ML-STAC, whose main.json does not say what samples are,
        some of them are looked at.

    Raises
    ------
    MissingFileError, AccessError, UnavailableError, CollectionError, VersionError
        As `mlstac.load` does.
    """
    with Fetcher(storage_options=storage_options) as fetcher:
        place = _find(source, fetcher, revision)
        if place.original is not None:
            names = tuple(place.collection.splits)
            place, _ = _look(place, names, fetcher=fetcher, allow_hosts=tuple(allow_hosts))
        else:
            remember(
                place.collection, storage_options=storage_options, revision=revision, allow_hosts=tuple(allow_hosts)
            )
        return place.collection


def restore(config: Config, fingerprint: str, steps: Sequence[tuple[str, dict[str, Any]]], words: bytes) -> Dataset:
    """Make a dataset again that was pickled: as its collection was then, choosing again what was chosen.

    Samples that were added since are not in it: all workers of an epoch see the same dataset.

    Raises
    ------
    ChangedError
        If another dataset has taken its place.
    """
    fetcher = _fetcher(config.storage_options, config.cache)
    place = _find(config.source, fetcher)
    if place.original is None:
        then = thaw_collection(words, href=place.url)
        if not still_stands(then, place.collection, config.splits):
            raise ChangedError(f"{redact(place.url)} has changed since the dataset was made; load it again")
        place = place._replace(collection=then)
    with warnings.catch_warnings():  # what was said where the dataset was made need not be said by every worker
        warnings.simplefilter("ignore", WidenedWarning)
        dataset = _make(config, place, fetcher)
        if dataset.fingerprint != fingerprint:
            raise ChangedError(f"{redact(place.url)} has changed since the dataset was made; load it again")
        for verb, arguments in steps:
            dataset = dataset.repeat(verb, arguments)
    return dataset


def _make(config: Config, place: Place, fetcher: Fetcher, original: Original | None = None) -> Dataset:
    if place.original is not None and original is None:  # in another process: its samples were looked at before
        _, original = _look(place, config.splits, fetcher=fetcher, allow_hosts=config.allow_hosts, verify=config.verify)
    collection = place.collection
    _check_compression(collection)
    fields = {
        name: Field(tensor, TensorView(layout_of(name, tensor, collection_id=collection.id)))
        for name, tensor in collection.tensors.items()
    }
    if not fields:
        raise CollectionError(f"collection {collection.id!r} describes no tensors (ml:tensors); nothing can be loaded")
    if original is not None:
        reader = original.reader
    else:
        catalog: Catalog = open_catalog(
            place,
            config.splits,
            fetcher=fetcher,
            allow_hosts=config.allow_hosts,
        )
        reader = Reader(catalog, remote=is_remote(place.url), verify=config.verify, fetcher=fetcher)
    origin = Origin(
        config=config,
        collection=collection,
        splits=config.splits,
        fingerprint=fingerprint_collection(collection, config.splits)
        if place.original is None
        else fingerprint_document(place.original.data, config.splits),
        framework=config.framework,
        device=config.device,
        as_dtype=config.as_dtype,
        decode=config.decode,
        narrow=config.narrow,
    )
    dataset = Dataset(origin, reader=reader, fields=fields)
    dataset.check()
    return dataset


def _check_compression(collection: Collection) -> None:
    """See that shards can be undone before the first sample is asked for."""
    if collection.compression is None:
        return
    if collection.compression not in (ZSTD, GZIP):
        raise CollectionError(
            f"collection {collection.id!r} has shards compressed with {collection.compression!r} (ml:compression), "
            "which this version does not know; use a newer mlstac"
        )
    if collection.compression == ZSTD:
        import_zstandard(f"collection {collection.id!r}, whose shards are compressed,")


def _find(source: Any, fetcher: Fetcher, revision: str | None = None) -> Place:
    """Find a collection; credentials are for its host from then on, not for those that it names."""
    place = find_collection(source, fetcher=fetcher, revision=revision)
    if is_remote(place.url):
        fetcher.bind(place.url)
    return place


def _look(
    place: Place,
    splits: tuple[str, ...],
    *,
    fetcher: Fetcher,
    allow_hosts: tuple[str, ...],
    verify: bool | None = None,
) -> tuple[Place, Original]:
    """Open a dataset of the original ML-STAC; its tensors are those that samples have, unless they are known."""
    assert place.original is not None
    original = open_original(
        place.original,
        place.url,
        splits,
        fetcher=fetcher,
        allow_hosts=allow_hosts,
        tensors=place.collection.tensors or None,
        verify=verify,
    )
    return place._replace(collection=original.collection), original


def _download(place: Place, splits: tuple[str, ...], **options: Any) -> str:
    """Splits of a remote dataset in a local folder."""
    if place.original is not None:
        from mlstac.loading.original import download_original

        return download_original(place.original, place.url, place.collection.id, splits, **options)
    from mlstac.loading._download import download_splits

    return download_splits(place, splits, **options)


def _check_names(as_dtype: str | Mapping[str, str] | None, collection: Collection) -> None:
    for tensor in as_dtype if isinstance(as_dtype, Mapping) else ():
        if tensor not in collection.tensors:
            known = ", ".join(collection.tensors)
            raise NotFoundError(f"as_dtype= names tensor {tensor!r}; the dataset has {known}")


def _plain(source: Any, place: Place) -> str | Given:
    """A source that can be sent to another process."""
    if place.original is not None:
        return Given(place.url, place.original.data, place.collection.to_dict())
    if isinstance(source, Collection | Mapping):
        return Given(place.url, place.collection.to_dict())
    return place.url


def _with_old_names(source: Any, old_names: dict[str, Any]) -> Any:
    for name in _OLD_NAMES:
        if name in old_names:
            if source is not None:
                raise InvalidArgumentError(f"{name}= is an old name of source, which is given too; give one of them")
            source = old_names.pop(name)
    for name, why in _OLD_SWITCHES.items():
        if name in old_names:
            old_names.pop(name)
            warnings.warn(
                f"{name}= is an argument of the original load, and does nothing: {why}; leave it out",
                DeprecationWarning,
                stacklevel=3,
            )
    if old_names:
        raise TypeError(f"load() got an unexpected keyword argument {next(iter(old_names))!r}")
    if source is None:
        raise TypeError("load() needs a source: the path or URL of a dataset")
    return source


def _fetcher(options: StorageOptions, cache: tuple[str, str | int] | None) -> Fetcher:
    return Fetcher(storage_options=options, cache=None if cache is None else Cache(*cache))
