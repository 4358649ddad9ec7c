"""A dataset from a local folder to where others can load it: what changed, and the collection last."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mlstac.authoring._inventory import CARD_FILES, DatasetFile, Inventory, take_inventory
from mlstac.authoring._progress import bytes_bar
from mlstac.authoring._session import COLLECTION
from mlstac.collection import Collection
from mlstac.errors import ExistsError, InvalidArgumentError, MlstacError
from mlstac.storage import Store, Stored, is_http, is_remote, local_path, parse_hub, redact

_AT_ONCE = 4
# a new state of these may take the place of the old one without harm to its readers
_REPLACEABLE = (COLLECTION, "catalog.json", *CARD_FILES)


class PublishedFile(NamedTuple):
    """One file, and what is done with it."""

    name: str
    """In the dataset's folder."""

    url: str
    """Where it goes."""

    size: int
    """In bytes."""

    action: Literal["upload", "keep"]
    """``keep``: it is there already, as it is here."""


@dataclass(frozen=True)
class Publication:
    """What `publish` did, or would do."""

    url: str
    """What `mlstac.load` takes."""

    files: tuple[PublishedFile, ...]
    """In the order in which they go, the collection last."""

    dry_run: bool = False
    commit: str | None = None
    """Of the Hub."""

    @property
    def uploads(self) -> tuple[PublishedFile, ...]:
        """The files that were uploaded, or would be."""
        return tuple(file for file in self.files if file.action == "upload")

    @property
    def upload_bytes(self) -> int:
        """Bytes of them."""
        return sum(file.size for file in self.uploads)


def publish(
    path: str | os.PathLike[str],
    url: str,
    *,
    dry_run: bool = False,
    overwrite: bool = False,
    private: bool | None = None,
    revision: str | None = None,
    tag: str | None = None,
    message: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: bool | None = None,
) -> Publication:
    """Upload a dataset to an object store or to the Hugging Face Hub.

    Only what changed goes: a file of the same size and digest is left as it is. The collection goes last, so what a
    reader sees is the old dataset or the new; if anything fails, the same call goes on with what is missing.

    Parameters
    ----------
    path : str or path-like
        The dataset's folder on this machine, or its collection.json.
    url : str
        ``s3://bucket/folder``, ``gs://…``, ``az://container/folder``, another scheme of fsspec's, or
        ``hf://datasets/org/name`` (also ``@branch`` and a folder after it, or the URL of the dataset's page).
    dry_run : bool
        Upload nothing; say what would go where.
    overwrite : bool
        Replace a dataset of another id, or files that the dataset there names by others of the same name. The dataset
        cannot be loaded then until the upload is whole (the Hub excepted).
    private : bool, optional
        For a repository of the Hub that is not there yet; one that is keeps its visibility.
    revision : str, optional
        Branch of the Hub, made if it is not there; ``main`` by default.
    tag : str, optional
        Name that the commit gets on the Hub.
    message : str, optional
        Of the commit on the Hub.
    storage_options : mapping, optional
        As the store's filesystem takes them (``endpoint_url``, ``key`` …); for the Hub ``token`` and ``endpoint``.
    progress : bool, optional
        Whether to draw a bar on standard error; by default where it is a terminal.

    Returns
    -------
    Publication

    Raises
    ------
    MissingFileError, ShardError, CollectionError
        If the local dataset is not whole; nothing is uploaded then. Also if there is no such bucket.
    ExistsError
        If another dataset is there, or files would be replaced, without ``overwrite``.
    AccessError
        If the store refuses.
    UnavailableError, StorageError
        If an upload failed; the dataset cannot be seen then, or is the one that was there before.

    Examples
    --------
    >>> publish("flood", "s3://bucket/flood", storage_options={"endpoint_url": "https://…"})  # doctest: +SKIP
    """
    root = _local_root(path)
    hub = parse_hub(os.fspath(url), endpoint=(storage_options or {}).get("endpoint"))
    inventory = take_inventory(root)
    if hub is not None:
        from mlstac.authoring._publish_hub import publish_to_hub

        return publish_to_hub(
            root,
            inventory,
            hub,
            dry_run=dry_run,
            overwrite=overwrite,
            private=private,
            revision=revision,
            tag=tag,
            message=message,
            options=storage_options or {},
            progress=progress,
        )
    for name, value in (("private", private), ("revision", revision), ("tag", tag), ("message", message)):
        if value is not None:
            raise InvalidArgumentError(f"{name}= is for the Hugging Face Hub, and {redact(url)} is not there")
    with _open_store(os.fspath(url), storage_options) as store:
        return _publish_to_store(root, inventory, store, dry_run=dry_run, overwrite=overwrite, progress=progress)


def has_dataset(url: str, *, storage_options: Mapping[str, Any] | None = None) -> bool:
    """Tell whether there is a collection where a dataset is to be published; arguments and errors as of `publish`."""
    hub = parse_hub(url, endpoint=(storage_options or {}).get("endpoint"))
    if hub is not None:
        from mlstac.authoring._publish_hub import has_dataset_on_hub

        return has_dataset_on_hub(hub, storage_options or {})
    with _open_store(url, storage_options) as store:
        return store.size(COLLECTION) is not None


def _local_root(path: str | os.PathLike[str]) -> Path:
    text = os.fspath(path)
    if is_remote(text):
        raise InvalidArgumentError(f"{redact(text)} is not on this machine; download it first, with mlstac.download")
    root = Path(local_path(text))
    return root.parent if root.name == COLLECTION else root


def _open_store(url: str, storage_options: Mapping[str, Any] | None) -> Store:
    if not is_remote(url):
        raise InvalidArgumentError(f"{url!r} is a path on this machine; to put a dataset there, copy its folder")
    if is_http(url):
        raise InvalidArgumentError(
            f"{redact(url)}: web servers take no uploads; give the store behind it (s3://, gs://, az://), or copy the "
            f"folder to where the server reads"
        )
    return Store(url, storage_options=storage_options)


def _publish_to_store(
    root: Path, inventory: Inventory, store: Store, *, dry_run: bool, overwrite: bool, progress: bool | None
) -> Publication:
    there = store.list()
    check_same_dataset(inventory, store.read(COLLECTION), at=str(store), overwrite=overwrite)
    actions = compare(inventory, lambda file: _is_there(store, file, root, there))
    files = tuple(
        PublishedFile(file.name, store.at(file.name), file.size, action)
        for file, action in zip(inventory.files, actions, strict=True)
    )
    replaced = [
        file.name
        for file in files
        if file.action == "upload" and file.name in there and not file.name.endswith(_REPLACEABLE)
    ]
    visible = COLLECTION in there
    if replaced and visible and not overwrite:
        raise ExistsError(
            f"{store} holds a dataset, and {len(replaced)} of its files would be replaced by others "
            f"({', '.join(replaced[:3])}{' …' if len(replaced) > 3 else ''}); give overwrite=True to do so (it cannot "
            f"be loaded meanwhile), or publish to another URL"
        )
    publication = Publication(store.url, files, dry_run=dry_run)
    if dry_run or not publication.uploads:
        return publication
    if replaced and visible:
        store.remove(COLLECTION)  # it names files that are no longer its own in a moment
    *before, last = publication.uploads
    with sending(publication.upload_bytes, progress) as sent:
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="mlstac-upload") as pool:
            uploads = [pool.submit(store.send, file.name, root / file.name, sent=sent, check=False) for file in before]
            try:
                done, _ = wait(uploads, return_when=FIRST_EXCEPTION)
                for one in done:
                    one.result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        store.check({file.name: file.size for file in before})
        store.send(last.name, root / last.name, sent=sent)
    return publication


def compare(inventory: Inventory, is_there: Callable[[DatasetFile], bool]) -> list[Literal["upload", "keep"]]:
    """Say of each file what to do with it. Where anything goes, the collection goes too: it is what commits it."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="mlstac-compare") as pool:
        same = list(pool.map(is_there, inventory.files))
    if not all(same):
        same[-1] = False
    return ["keep" if one else "upload" for one in same]


def check_same_dataset(inventory: Inventory, there: bytes | None, *, at: str, overwrite: bool) -> None:
    """Raise `ExistsError` if the collection that is there is of another dataset."""
    if there is None or overwrite:
        return
    try:
        found: str | None = Collection.from_json(there).id
    except MlstacError:
        found = None
    if found != inventory.collection.id:
        what = f"the dataset {found!r}" if found else "a collection.json that is no dataset of ours"
        raise ExistsError(
            f"{at} holds {what}, and this one is {inventory.collection.id!r}; publish to another URL, or give "
            f"overwrite=True to replace it"
        )


def _is_there(store: Store, file: DatasetFile, root: Path, there: Mapping[str, Stored]) -> bool:
    return file.name in there and store.holds(there[file.name], root / file.name)


@contextmanager
def sending(total: int, progress: bool | None) -> Iterator[Callable[[int], object]]:
    """Lend what is told of bytes as they are sent, from any thread, and draws them."""
    lock = threading.Lock()
    with bytes_bar(total, "upload", shown=progress) as bar:

        def sent(count: int) -> None:
            with lock:
                bar(count)

        yield sent
