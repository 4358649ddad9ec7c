"""Splits of a remote dataset as local files: for ``stream=False``."""

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mlstac.errors import CollectionError
from mlstac.loading._folders import default_folder
from mlstac.loading._open import open_catalog
from mlstac.loading._source import NAME, Place
from mlstac.storage import Download, Fetcher, download

_SHA256 = "1220"  # multihash: sha2-256, 32 bytes


def download_splits(
    place: Place, splits: tuple[str, ...], *, data_dir: Any, fetcher: Fetcher, allow_hosts: tuple[str, ...]
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

    Returns
    -------
    str
        The folder.
    """
    folder = Path(data_dir) if data_dir is not None else default_folder(place.url, place.collection.id)
    collection = place.collection
    shown = sys.stderr is not None and sys.stderr.isatty()
    catalog = open_catalog(place, splits, fetcher=fetcher, allow_hosts=allow_hosts)
    names = [name for split in splits for name in collection.splits[split].assets]
    parts = []
    for name, part in zip(names, catalog.parts, strict=True):
        asset = collection.assets[name]
        parts.append(Download(part.url, _inside(part.url, place), asset.size, _sha256(asset.checksum)))
    paths = download(parts, folder, fetcher=fetcher)
    copies = {part.url: path for part, path in zip(parts, paths, strict=True)}
    catalog = open_catalog(place, splits, fetcher=fetcher, allow_hosts=allow_hosts, copies=copies)
    shards: dict[str, tuple[int, str | None]] = {}
    for local in catalog.parts:
        shards |= local.files(tuple(collection.tensors))
    files = [Download(url, _inside(url, place), size, _sha256(checksum)) for url, (size, checksum) in shards.items()]
    download(files, folder, fetcher=fetcher, progress=shown)
    # Last, and whole: it says that the rest is there. Splits that were not downloaded are left in it, and named if
    # asked for.
    temporary = folder / f".{NAME}.{os.getpid()}"
    temporary.write_text(collection.to_json(), encoding="utf-8")
    temporary.replace(folder / NAME)
    return str(folder)


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
