"""``main.json`` in every version: which splits there are, and where their files are."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mlstac.errors import CollectionError

SPLITS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}
"""Our names of the splits, and those that documents have for them."""

NAME = "main.json"


MAX_FILES = 1_000_000
"""Of a split, one a sample: more than a host takes, and few enough that a false number does not fill the memory."""


class FileSplit(NamedTuple):
    """A split of 0.0.x: one safetensors file a sample."""

    name: str
    n_items: int
    href: str | None
    """The folder of the files; None where the document does not say it."""


class ContainerSplit(NamedTuple):
    """A split of 0.1.x: containers of files, and a table that says what lies where."""

    name: str
    hrefs: tuple[str, ...]
    table: str | None
    """The table's own file; None where there is none."""


class Document(NamedTuple):
    """A ``main.json`` as far as files are concerned."""

    splits: tuple[FileSplit | ContainerSplit, ...]
    data: dict[str, Any]
    """All of it."""


def read_document(data: Mapping[str, Any], *, name: str) -> Document:
    """Find the splits of a ``main.json``.

    Parameters
    ----------
    data : mapping
        The JSON object.
    name : str
        Its URL, for messages.

    Raises
    ------
    CollectionError
        If it has no split, or one that cannot be meant.
    """
    found: list[FileSplit | ContainerSplit] = []
    catalog = data.get("ml_catalog", data.get("ml:catalog"))
    if catalog is not None:
        if not isinstance(catalog, Mapping):
            raise CollectionError(f"{name}: ml_catalog is of type {type(catalog).__name__}; expected an object")
        for split, words in SPLITS.items():
            part = _first(catalog, words)
            if part is not None:
                found.append(_container_split(split, part, f"{name}: ml_catalog.{split}"))
    else:
        for split, words in SPLITS.items():
            part = _first(data, [prefix + word for prefix in ("ml:", "ml_") for word in words])
            if part is not None:
                found.append(_file_split(split, part, f"{name}: ml:{split}"))
    if not found:
        raise CollectionError(
            f"{name} names no split: a main.json of the original ML-STAC has ml:train, ml:validation or ml:test "
            "with n_items and link, or ml_catalog"
        )
    return Document(tuple(found), dict(data))


def _first(data: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((data[name] for name in names if data.get(name) is not None), None)


def _file_split(split: str, part: Any, where: str) -> FileSplit:
    if not isinstance(part, Mapping):
        raise CollectionError(f"{where} is of type {type(part).__name__}; expected an object with n_items and link")
    count = part.get("n_items")
    if isinstance(count, float) and math.isfinite(count) and count == int(count):
        count = int(count)
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_FILES:
        raise CollectionError(
            f"{where}.n_items is {str(count)[:40]!r}; expected the number of samples, at most {MAX_FILES:,}"
        )
    href = _first(part, ("link", "url"))
    if href is not None and (not isinstance(href, str) or not href):
        raise CollectionError(f"{where}.link is {str(href)[:40]!r}; expected the URL of the folder of samples")
    return FileSplit(split, count, href)


def _container_split(split: str, part: Any, where: str) -> ContainerSplit:
    if not isinstance(part, Mapping):
        raise CollectionError(f"{where} is of type {type(part).__name__}; expected an object with data_files")
    hrefs = part.get("data_files") or []
    if isinstance(hrefs, str):
        hrefs = [hrefs]
    if not isinstance(hrefs, list) or not all(isinstance(href, str) and href for href in hrefs):
        raise CollectionError(f"{where}.data_files is {str(hrefs)[:40]!r}; expected a list of URLs")
    table = part.get("metadata_file")
    if table is not None and (not isinstance(table, str) or not table):
        raise CollectionError(f"{where}.metadata_file is {str(table)[:40]!r}; expected a URL")
    return ContainerSplit(split, tuple(hrefs), table)
