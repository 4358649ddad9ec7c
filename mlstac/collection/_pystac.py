"""A collection as pystac has it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from mlstac.errors import MissingPackageError

if TYPE_CHECKING:
    import pystac

_FILES = ("root", "child", "parent", "item", "self")


def make_pystac(document: dict[str, Any], href: str | None, *, alone: bool) -> "pystac.Collection":
    """Make pystac's collection of a document; ``alone`` as `Collection.to_pystac` says."""
    try:
        import pystac
    except ModuleNotFoundError as error:
        raise MissingPackageError("to_pystac needs pystac; run: pip install pystac") from error
    where = None if href is None else _public(href)
    collection = pystac.Collection.from_dict(document, href=where, preserve_dict=False)
    if not alone:
        return collection
    if where is not None:
        for asset in collection.assets.values():
            asset.href = asset.get_absolute_href() or asset.href
        for link in collection.links:
            link.target = link.get_absolute_href() or link.target
    for rel in _FILES:
        collection.remove_links(rel)
    return collection


def _public(href: str) -> str:
    """An address that is true wherever it is read, without user, password and signature."""
    if "://" not in href:
        return Path(href).absolute().as_posix()
    parts = urlsplit(href)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
