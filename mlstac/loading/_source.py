"""What a user may mean by ``source``: a path, a URL, or a collection already at hand."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

from mlstac.collection import Collection, is_original, read_json_object
from mlstac.errors import CollectionError, FormatError, InvalidArgumentError, MissingFileError, StorageError
from mlstac.loading.original import NAME as OLD_NAME
from mlstac.loading.original import ContainerSplit, Document, FileSplit, describe_collection, read_document
from mlstac.storage import (
    Fetcher,
    HubPlace,
    check_address,
    is_remote,
    local_path,
    parent,
    parse_hub,
    read_bytes,
    redact,
)

NAME = "collection.json"

_LIMIT_BYTES = 16 * 2**20 + 1  # of a collection.json: one byte more than the model reads, which then says so
_RASTERS = (".tif", ".tiff", ".jp2", ".nc", ".png", ".jpg", ".zarr")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Place(NamedTuple):
    """A collection, and where it is."""

    collection: Collection
    url: str
    """Of its collection.json, or of the folder (closing slash) that its hrefs start from."""
    original: Document | None = None
    """The main.json that the collection was made of, where it is a dataset of the original ML-STAC."""

    @property
    def root(self) -> str:
        """The folder that its files may not leave."""
        return parent(self.url)


class Given(NamedTuple):
    """A collection that a user had at hand, on its way to another process."""

    url: str
    document: dict[str, Any]
    seen: dict[str, Any] | None = None
    """Of a main.json, the collection that was made of it and of its samples."""


def find_collection(source: Any, *, fetcher: Fetcher, revision: str | None = None) -> Place:
    """Read the collection that a source means.

    Parameters
    ----------
    source : str, path, Collection or dict
        A folder, a collection.json, or a collection already read.
    fetcher : Fetcher
        Connections to the store.
    revision : str, optional
        Branch, tag or commit of a repository of the Hugging Face Hub.

    Raises
    ------
    MissingFileError
        If there is none; says what is there instead.
    CollectionError
        If it is not a collection.
    InvalidArgumentError
        If it cannot be a source.
    """
    text = os.fspath(source) if isinstance(source, str | os.PathLike) else ""
    hub = None if _is_here(text) else parse_hub(text, endpoint=fetcher.endpoint)
    if hub is not None:
        return _place_of(*_read_on_hub(hub, text, fetcher=fetcher, revision=revision))
    if revision is not None:
        raise InvalidArgumentError(
            f"revision={revision!r} is for repositories of the Hugging Face Hub (hf://datasets/org/name), and this "
            f"source is none: leave it out"
        )
    if isinstance(source, Given):
        if source.seen is not None:
            original = read_document(source.document, name=redact(source.url))
            return Place(Collection.from_dict(source.seen, href=source.url), source.url, original)
        return Place(Collection.from_dict(source.document, href=source.url), source.url)
    if isinstance(source, Collection):
        url = _url_of(source)
        return find_collection(url, fetcher=fetcher) if _is_old(url) else Place(source, url)
    if isinstance(source, Mapping):
        if is_original(source):
            original = read_document(source, name="the main.json")
            return _old_place(original, _url_of_old(original))
        collection = Collection.from_dict(dict(source))
        return Place(collection, _url_of(collection))
    if not isinstance(source, str | os.PathLike):
        raise InvalidArgumentError(
            f"cannot load from {type(source).__name__}: give a path, a URL, a Collection or a dict of its JSON"
        )
    url = collection_url(os.fspath(source))
    return _place_of(*_read(url, named=os.fspath(source).partition("?")[0].endswith(".json"), fetcher=fetcher))


def find_document(source: Any, *, fetcher: Fetcher, revision: str | None = None) -> tuple[str, bytes | dict[str, Any]]:
    """Where the collection that a source means is, and what it says: its text, or the object that was given.

    Arguments and errors as of `find_collection`; but nobody has looked yet at what it says.
    """
    if isinstance(source, Collection | Mapping | Given) or not isinstance(source, str | os.PathLike):
        place = find_collection(source, fetcher=fetcher, revision=revision)
        return place.url, dict(source) if isinstance(source, Mapping) else place.collection.to_dict()
    text = os.fspath(source)
    hub = None if _is_here(text) else parse_hub(text, endpoint=fetcher.endpoint)
    if hub is not None:
        data, url = _read_on_hub(hub, text, fetcher=fetcher, revision=revision)
    elif revision is not None:
        raise InvalidArgumentError(f"revision={revision!r} is for repositories of the Hugging Face Hub: leave it out")
    else:
        named = text.partition("?")[0].endswith(".json")
        data, url = _read(collection_url(text), named=named, fetcher=fetcher)
    return url, data


def _is_here(text: str) -> bool:
    """Tell whether a path is of this machine: it wins over a repository of the same name."""
    return bool(text) and not is_remote(text) and os.path.exists(local_path(text))


def _read_on_hub(hub: HubPlace, source: str, *, fetcher: Fetcher, revision: str | None) -> tuple[bytes, str]:
    """Read a collection of the Hub as it is at this moment: what is read later is of the same commit."""
    if revision is not None and hub.revision not in (None, revision):
        raise InvalidArgumentError(
            f"{redact(source)} names the revision {hub.revision!r}, and revision={revision!r} is given too; give one"
        )
    name = hub.path if hub.path.endswith(".json") else f"{hub.path}/{NAME}".lstrip("/")
    commit = revision or hub.revision or "main"
    try:
        if not _COMMIT.fullmatch(commit):
            said = json.loads(read_bytes(f"{hub.api}/revision/{quote(commit, safe='')}", fetcher=fetcher))
            commit = str(said["sha"])
        data, url = _read(hub.file(name, revision=commit), named=hub.path.endswith(".json"), fetcher=fetcher)
    except StorageError as error:
        if "://" in source:
            raise
        raise type(error)(f"{source!r} is no path on this machine; as a dataset of the Hub: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{hub.api}: the answer is not that of a Hugging Face Hub; check HF_ENDPOINT") from error
    return data, url


def _read(url: str, *, named: bool, fetcher: Fetcher) -> tuple[bytes, str]:
    """Read a collection.json, and where a remote folder has none, a main.json of the original ML-STAC."""
    try:
        return read_bytes(url, fetcher=fetcher, limit_bytes=_LIMIT_BYTES), url
    except FormatError as error:
        raise CollectionError(str(error)) from None
    except MissingFileError as error:
        if named or not is_remote(url):
            raise
        head, _, tail = url.rpartition(NAME)
        try:
            return read_bytes(head + OLD_NAME + tail, fetcher=fetcher, limit_bytes=_LIMIT_BYTES), head + OLD_NAME + tail
        except MissingFileError:
            raise error from None


def _place_of(data: bytes, url: str) -> Place:
    if _is_old(url):
        document = read_json_object(data, name=redact(url))
        if is_original(document):
            return _old_place(read_document(document, name=redact(url)), url)
    return Place(Collection.from_json(data, href=url), url)


def _old_place(original: Document, url: str) -> Place:
    return Place(describe_collection(original, url=url), url, original)


def _is_old(url: str) -> bool:
    return url.partition("?")[0].endswith("main.json") if is_remote(url) else Path(url).name == OLD_NAME


def _url_of_old(original: Document) -> str:
    """Where the main.json of an object would be: above the folder of its first split."""
    for split in original.splits:
        href = split.hrefs[0] if isinstance(split, ContainerSplit) and split.hrefs else getattr(split, "href", None)
        if href and (is_remote(href) or os.path.isabs(href)):
            folder = parent(href.rstrip("/") if isinstance(split, FileSplit) else href)
            if isinstance(split, ContainerSplit):  # <root>/<split>/mls/<file>
                folder = parent(parent(folder.rstrip("/")).rstrip("/"))
            return folder + OLD_NAME
    raise CollectionError("the main.json does not say where its samples are (ml:train.link); give its URL or path")


def collection_url(source: str) -> str:
    """URL of the collection.json that a path or URL means: itself, or the one in that folder.

    Raises
    ------
    MissingFileError
        If a local folder has none.
    InvalidArgumentError
        If the source is of a form that cannot be read.
    """
    if not source:
        raise InvalidArgumentError("source is empty: give the path or URL of a dataset")
    check_address(source)
    if not is_remote(source):
        path = Path(local_path(source))
        if path.exists():
            return _local_collection(path)
    if not is_remote(source):
        raise MissingFileError(f"nothing is at {source!r}; give the folder of a dataset, its {NAME}, or a URL")
    if source.lower().startswith(("http://", "https://")):
        parts = urlsplit(source)
        path_text = parts.path if parts.path.endswith(".json") else parts.path.rstrip("/") + "/" + NAME
        url = urlunsplit((parts.scheme, parts.netloc, path_text, parts.query, ""))
    else:
        url = source if source.endswith(".json") else source.rstrip("/") + "/" + NAME
    return url


def _local_collection(path: Path) -> str:
    if path.is_dir():
        inside = path / NAME
        if inside.exists():
            return str(inside)
        if (path / OLD_NAME).exists():
            return str(path / OLD_NAME)
        raise MissingFileError(f"{path} has no {NAME}{_hint(path)}")
    if path.suffix == ".json":
        return str(path)
    if path.suffix.lower() in _RASTERS:
        raise CollectionError(
            f"{path} is an image, not a dataset; make one of it and others like it: mlstac convert FOLDER OUT"
        )
    raise CollectionError(f"{path} is not a collection; give the folder of a dataset, or its {NAME}")


def _hint(path: Path) -> str:
    """What is in the folder instead, and what to do with it; looks at a bounded number of files."""
    seen = []
    for entry in path.iterdir():
        seen.append(entry)
        if len(seen) >= 1000:
            break
    suffixes = {entry.suffix.lower() for entry in seen}
    below = sorted(entry.name for entry in seen if entry.is_dir() and (entry / NAME).exists())
    if below:
        return f"; there are datasets in it: {', '.join(below[:5])}"
    rasters = sorted(suffixes & set(_RASTERS))
    if rasters:
        return f": it is a folder of {', '.join(rasters)} files; make a dataset of them: mlstac convert {path} OUT"
    if (path.parent / NAME).exists():
        return f"; the folder above it has one: give {path.parent}"
    return f"; a dataset is a folder with a {NAME}, which is written last: was its writing interrupted?"


def _url_of(collection: Collection) -> str:
    href = getattr(collection, "href", None)
    if href:
        return str(href)
    for link in collection.links or []:
        if link.rel == "self" and link.href:
            return str(link.href)
    raise CollectionError(
        f"collection {collection.id!r} does not say where it is: read it with Collection.from_file(url), "
        "or give it a link with rel='self'"
    )
