"""Splits of a remote dataset as local files: for ``stream=False``."""

import contextlib
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mlstac.cards import CROISSANT_FILE, FOOTPRINTS_FILE, README, SAMPLES_FILE, read_signature
from mlstac.collection import Collection
from mlstac.errors import ChangedError, CollectionError, ExistsError, InvalidArgumentError, MissingFileError
from mlstac.loading._folders import default_folder
from mlstac.loading._open import open_catalog
from mlstac.loading._source import NAME, Place, find_collection
from mlstac.loading._splits import split_names
from mlstac.loading.original import download_original
from mlstac.storage import (
    Download,
    Fetcher,
    StorageOptions,
    download,
    is_remote,
    join,
    read_bytes,
    redact,
    without_secrets,
)

_WRITTEN = ".mlstac"  # the journal of an authoring
_SHA256 = "1220"  # multihash: sha2-256, 32 bytes


def download_splits(
    place: Place,
    splits: tuple[str, ...],
    *,
    data_dir: Any,
    fetcher: Fetcher,
    allow_hosts: tuple[str, ...],
    beside: Sequence[str] = (),
    verbatim: bool = False,
    progress: bool | None = None,
) -> str:
    """Download the catalogs and shards of some splits, and then the collection; what is there already is kept.

    Parameters
    ----------
    place : Place
    splits : tuple of str
    data_dir : path, optional
        The folder that becomes the dataset; by default one of its own under the user's cache.
    fetcher : Fetcher
    allow_hosts : tuple of str
    beside : sequence of str
        Other files of the dataset, fetched if they are there.
    verbatim : bool
        Keep the collection to the byte, where it is a file.
    progress : bool, optional
        Whether to draw a bar; by default on a terminal.

    Returns
    -------
    str
        The folder.
    """
    folder = Path(data_dir) if data_dir is not None else default_folder(place.url, place.collection.id)
    collection = place.collection
    shown = progress if progress is not None else sys.stderr is not None and sys.stderr.isatty()
    catalog = open_catalog(place, splits, fetcher=fetcher, allow_hosts=allow_hosts)
    names = [name for split in splits for name in collection.splits[split].assets]
    parts = []
    for name, part in zip(names, catalog.parts, strict=True):
        asset = collection.assets[name]
        parts.append(Download(part.url, _inside(part.url, place), asset.size, _sha256(asset.checksum)))
    paths = download(parts, folder, fetcher=fetcher, source=without_secrets(place.url).removesuffix(NAME))
    copies = {part.url: path for part, path in zip(parts, paths, strict=True)}
    catalog = open_catalog(place, splits, fetcher=fetcher, allow_hosts=allow_hosts, copies=copies)
    shards: dict[str, tuple[int, str | None]] = {}
    for local in catalog.parts:
        shards |= local.files(tuple(collection.tensors))
    files = [Download(url, _inside(url, place), size, _sha256(checksum)) for url, (size, checksum) in shards.items()]
    download(files, folder, fetcher=fetcher, progress=shown)
    _download_beside(place, beside, folder, fetcher)
    # Last, and whole: it says that the rest is there. Splits that were not downloaded are left in it, and named if
    # asked for.
    _put(folder / NAME, _document(place, fetcher) if verbatim else collection.to_json().encode())
    return str(folder)


def download_dataset(
    source: Any,
    path: str | os.PathLike[str],
    split: str | Sequence[str] | None = None,
    *,
    storage_options: StorageOptions = None,
    revision: str | None = None,
    allow_hosts: Sequence[str] = (),
    progress: bool | None = None,
) -> Path:
    """Download a dataset into a folder that is then loaded like any other.

    Files come many at a time, each under its name only once it is whole and its SHA-256 is what the dataset says. A
    broken run goes on where it stopped, and what is there already is left alone.

    Parameters
    ----------
    source : str, path, Collection or dict
        As `mlstac.load` takes it.
    path : str or path
        The folder; made if it is not there.
    split : str or sequence of str, optional
        ``"train"``, ``"train+test"``, a list; all by default. The collection names the others too, and to load one says
        the call that fetches it.
    storage_options : mapping or callable, optional
        For the store.
    revision : str, optional
        Branch, tag or commit of a repository of the Hugging Face Hub.
    allow_hosts : sequence of str
        Hosts beside the dataset's own that its catalogs may lie on.
    progress : bool, optional
        Whether to draw a bar on standard error; by default where it is a terminal.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    MissingFileError, AccessError, UnavailableError, CollectionError
        As `mlstac.load` does.
    ChecksumError
        If a file is not what its SHA-256 says, twice.
    NotFoundError
        If there is no such split.
    ExistsError
        If the folder holds another dataset.
    """
    with Fetcher(storage_options=storage_options) as fetcher:
        place = find_collection(source, fetcher=fetcher, revision=revision)
        if not is_remote(place.url):
            raise InvalidArgumentError(f"{place.url} is on this machine already; to have it elsewhere, copy its folder")
        fetcher.bind(place.url)
        folder = Path(path)
        if (folder / NAME).exists():
            there = find_collection(folder, fetcher=fetcher).collection
            if there.id != place.collection.id:
                raise ExistsError(
                    f"{folder} holds the dataset {there.id!r}, and this one is {place.collection.id!r}; give "
                    f"another folder"
                )
            if (folder / _WRITTEN).is_dir() and there.to_json() != place.collection.to_json():
                raise ExistsError(
                    f"{folder} holds the dataset {there.id!r} as written or added to on this machine, and that at "
                    f"{redact(place.url)} is another state of it; give another folder, so that nothing is lost"
                )
        splits = split_names("all" if split is None else split, place.collection)
        if place.original is not None:
            download_original(
                place.original,
                place.url,
                place.collection.id,
                splits,
                data_dir=folder,
                fetcher=fetcher,
                allow_hosts=tuple(allow_hosts),
                progress=progress,
            )
            return folder
        download_splits(
            place,
            splits,
            data_dir=folder,
            fetcher=fetcher,
            allow_hosts=tuple(allow_hosts),
            beside=[
                README,
                SAMPLES_FILE,
                FOOTPRINTS_FILE,
                CROISSANT_FILE,
                *(f"{name}/catalog.json" for name in splits),
            ],
            verbatim=True,
            progress=progress,
        )
    return folder


def _document(place: Place, fetcher: Fetcher) -> bytes:
    """The collection as it is stored, if it is the one that was read."""
    document = place.collection.to_json().encode()
    if not place.url.partition("?")[0].endswith(f"/{NAME}"):
        return document
    data = read_bytes(place.url, fetcher=fetcher)
    if Collection.from_json(data, href=place.url).to_json().encode() != document:
        raise ChangedError(f"{redact(place.url)} was replaced while it was downloaded; download again, and it goes on")
    return data


def _download_beside(place: Place, names: Sequence[str], folder: Path, fetcher: Fetcher) -> None:
    """Fetch small files that a dataset may have and that nothing in it depends on; a page of the user's own stays."""
    own = _own_card(folder)
    for name in names:
        with contextlib.suppress(MissingFileError):
            if name in own:
                continue
            data = read_bytes(join(place.url, name, root=place.root), fetcher=fetcher)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            _put(folder / name, data)


def _own_card(folder: Path) -> tuple[str, ...]:
    """Names of the card's files, where the page that is there already is none of ours."""
    page = folder / README
    if not page.exists() or (folder / NAME).exists() or read_signature(page.read_bytes()) is not None:
        return ()
    warnings.warn(
        f"{page} was there before the dataset, and stays as it is; the dataset's own page is not downloaded",
        stacklevel=4,
    )
    return (README, SAMPLES_FILE, FOOTPRINTS_FILE, CROISSANT_FILE)


def _put(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(data)
    temporary.replace(path)


def _inside(url: str, place: Place) -> str:
    """Path of a file relative to the dataset's root."""
    path, root = (unquote(urlsplit(part).path) for part in (url, place.root))
    if not path.startswith(root):
        raise CollectionError(
            f"{url} lies outside the dataset's folder, and has no place in a download; stream it instead"
        )
    return path.removeprefix(root).lstrip("/")


def _sha256(checksum: str | None) -> str | None:
    return checksum.removeprefix(_SHA256) if checksum and checksum.startswith(_SHA256) and len(checksum) == 68 else None
