"""A dataset from a local folder to where others can load it: what changed, and the collection last."""

import os
import threading
import warnings
from collections.abc import Callable, Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mlstac.authoring._depot import AT_ONCE, COLLECTION, open_store, side_by_side
from mlstac.authoring._inventory import CARD_FILES, DatasetFile, Inventory, files_there, take_inventory
from mlstac.authoring._named_card import named_card
from mlstac.authoring._progress import sending
from mlstac.cards import README, read_signature
from mlstac.collection import Collection
from mlstac.errors import (
    CatalogError,
    ChangedError,
    CollectionError,
    ExistsError,
    InvalidArgumentError,
    MlstacError,
)
from mlstac.storage import Store, Stored, check_address, is_remote, local_path, parse_hub, redact

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
    """``keep``: it is there already, as it is here (or is somebody's own page, which stays)."""


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

    def __repr__(self) -> str:  # a notebook shows it: without what stands in the URL for the store alone
        going = f"{len(self.uploads)} of {len(self.files)} files"
        return f"Publication({redact(self.url)!r}, {going}, dry_run={self.dry_run}, commit={self.commit!r})"

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
        Replace a dataset of another id, or files that the dataset there names by others of the same name. While those
        go it cannot be loaded (the Hub excepted); it can throughout where no name is taken twice.
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
    ChangedError
        If somebody else published there at the same time.
    UnavailableError, StorageError
        If an upload failed; the dataset cannot be seen then, or is the one that was there before.

    Examples
    --------
    >>> publish("flood", "s3://bucket/flood", storage_options={"endpoint_url": "https://…"})  # doctest: +SKIP
    """
    url = _folder_of(os.fspath(url))
    check_place(
        path, url, private=private, revision=revision, tag=tag, message=message, storage_options=storage_options
    )
    root = _local_root(path)
    hub = parse_hub(url, endpoint=(storage_options or {}).get("endpoint"))
    with named_card(root, url) as card:
        inventory = take_inventory(root, instead=card.paths)
        if hub is not None:
            from mlstac.authoring._publish_hub import publish_to_hub

            return publish_to_hub(
                inventory,
                hub,
                card,
                dry_run=dry_run,
                overwrite=overwrite,
                private=private,
                revision=revision,
                tag=tag,
                message=message,
                options=storage_options or {},
                progress=progress,
            )
        with open_store(url, storage_options) as store:
            done = _publish_to_store(inventory, store, dry_run=dry_run, overwrite=overwrite, progress=progress)
        if not dry_run:
            card.keep()
        return done


def check_place(
    path: str | os.PathLike[str],
    url: str,
    *,
    storage_options: Mapping[str, Any] | None = None,
    **of_the_hub: Any,
) -> None:
    """Say of a call of `publish` what nobody can mean by it; nothing is read for it, here or there.

    Raises
    ------
    InvalidArgumentError
        If the dataset is not on this machine, or the place for it is; or if an argument that is for the Hub alone is
        given for another place.
    """
    _local_root(path)
    check_address(url)
    if not is_remote(url):
        raise InvalidArgumentError(
            f"{url!r} is a path on this machine; to put a dataset there, copy its folder; to publish it on the Hugging "
            f"Face Hub give hf://datasets/ORGANISATION/NAME"
        )
    if parse_hub(url, endpoint=(storage_options or {}).get("endpoint")) is None:
        for name, value in of_the_hub.items():
            if value is not None:
                raise InvalidArgumentError(
                    f"{name}= is for the Hugging Face Hub, and {redact(url)} is not there; leave it out"
                )


def _folder_of(url: str) -> str:
    """The folder, where the URL is that of its collection, as `load` takes it too."""
    return url.removesuffix(f"/{COLLECTION}")


def _local_root(path: str | os.PathLike[str]) -> Path:
    text = os.fspath(path)
    if is_remote(text):
        raise InvalidArgumentError(f"{redact(text)} is not on this machine; download it first, with mlstac.download")
    root = Path(local_path(text))
    return root.parent if root.name == COLLECTION else root


def _publish_to_store(
    inventory: Inventory, store: Store, *, dry_run: bool, overwrite: bool, progress: bool | None
) -> Publication:
    paths = inventory.paths
    there = store.list()
    document = store.read(COLLECTION)
    check_same_dataset(inventory, document, at=str(store), overwrite=overwrite)
    named = _Named(inventory, store, document, overwrite=overwrite)
    kept = keep_page(inventory, there, lambda: store.read(README), at=str(store))
    actions = compare(
        inventory, lambda file: file.name in kept or _is_there(store, file, there) or named.is_same(file, there)
    )
    files = tuple(
        PublishedFile(file.name, store.at(file.name), file.size, action)
        for file, action in zip(inventory.files, actions, strict=True)
    )
    replaced = [file for file in files if file.action == "upload" and file.name in there and named.has(file.name)]
    if replaced and not overwrite:
        raise ExistsError(
            f"{store} holds a dataset, and {len(replaced)} of its files would be replaced by others "
            f"({', '.join(file.name for file in replaced[:3])}{' …' if len(replaced) > 3 else ''}); give "
            f"overwrite=True to do so (it cannot be loaded meanwhile), or publish to another URL"
        )
    publication = Publication(store.url, files, dry_run=dry_run)
    if dry_run or not publication.uploads:
        return publication
    *before, last = publication.uploads
    beside = [file for file in before if file.name.endswith(_REPLACEABLE)]
    others = [file for file in before if file not in replaced and file not in beside]
    with sending(publication.upload_bytes, progress) as sent:
        # Three steps, so that who reads the dataset that is there is disturbed as late as can be, if at all.
        _send(paths, store, others, there, sent)
        if replaced:
            _check_unchanged(store, document)
            store.remove(COLLECTION)  # it names files that are no longer its own in a moment
            document = None
            _send(paths, store, replaced, there, sent)
        _send(paths, store, beside, there, sent)
        _check_unchanged(store, document)
        store.send(last.name, paths[last.name], sent=sent, new=document is None)
    return publication


def _send(
    paths: Mapping[str, Path],
    store: Store,
    files: Sequence[PublishedFile],
    there: Mapping[str, Stored],
    sent: Callable[[int], object],
) -> None:
    """Upload files, several at a time, and see whether they are there; names that were free are not taken twice."""
    if not files:
        return
    side_by_side(
        lambda name: store.send(name, paths[name], sent=sent, check=False, new=name not in there),
        [file.name for file in files],
    )
    store.check({file.name: file.size for file in files})


def _check_unchanged(store: Store, document: bytes | None) -> None:
    """Raise `ChangedError` if the collection there is not the one that this publication began from."""
    if store.read(COLLECTION) != document:
        raise ChangedError(
            f"{store.at(COLLECTION)} was changed by somebody else meanwhile, and is left as it is; look at it, then "
            f"publish again"
        )


class _Named:
    """Shards and parts that the dataset names that can be seen there: whoever reads it, reads these."""

    def __init__(self, inventory: Inventory, store: Store, document: bytes | None, *, overwrite: bool) -> None:
        self._inventory = inventory
        self._store = store
        self._document = document
        self._overwrite = overwrite
        self._lock = threading.Lock()

    @cached_property
    def _files(self) -> dict[str, str | None] | None:
        """Their sha256 by name; None where nobody can say which they are."""
        if self._document is None:
            return {}
        try:
            collection = Collection.from_json(self._document)
            return files_there(collection, self._inventory, self._store.read)
        except (CatalogError, CollectionError):
            return None

    def has(self, name: str) -> bool:
        """Tell whether a file is one of them; where nobody can say, any may be that is not replaced at every turn."""
        with self._lock:
            files = self._files
        return not name.endswith(_REPLACEABLE) if files is None else name in files

    def is_same(self, file: DatasetFile, there: Mapping[str, Stored]) -> bool:
        """Tell whether a file is there by what the dataset there says of it, for its files never change.

        Many stores tell no digest of a file, or another than ours (S3 of one that is encrypted, or was sent in parts
        of another size). With ``overwrite`` that is not believed: so a file that was spoilt there is mended.
        """
        if self._overwrite or file.sha256 is None or file.name not in there or there[file.name].size != file.size:
            return False
        with self._lock:
            files = self._files
        return files is not None and files.get(file.name) == file.sha256


def keep_page(inventory: Inventory, there: Container[str], read: Callable[[], bytes | None], *, at: str) -> set[str]:
    """Names of the card's files that are left as they are there, for somebody has written a page of their own."""
    page = inventory.paths.get(README)
    if README not in there or page is None:
        return set()
    here = page.read_bytes()
    if read_signature(here) is None:  # a page of the author's own
        return set()
    found = read()
    if found is None or read_signature(found) is not None:
        return set()
    warnings.warn(
        f"{README} at {at} was not made by mlstac, or was edited since: it stays as it is; to replace it, remove it "
        f"there and publish again",
        stacklevel=4,
    )
    return {file.name for file in inventory.files if file.name in CARD_FILES and file.name in there}


def compare(inventory: Inventory, is_there: Callable[[DatasetFile], bool]) -> list[Literal["upload", "keep"]]:
    """Say of each file what to do with it. Where anything goes, the collection goes too: it is what commits it."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="mlstac-compare") as pool:
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


def _is_there(store: Store, file: DatasetFile, there: Mapping[str, Stored]) -> bool:
    return file.name in there and store.holds(there[file.name], file.path)
