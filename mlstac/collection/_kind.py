"""What kind of document this is: said before the model is asked, so that the answer is of use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlstac.collection._document import ML_STAC_VERSION
from mlstac.collection._json import _kind
from mlstac.errors import CollectionError, VersionError

_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})(\.\d{1,6})?([.+-].{0,60})?")
_OLD_SPLITS = ("train", "validation", "val", "test")


def check_kind(data: Any, *, name: str) -> None:
    """Refuse what is not a collection of this major version of ML-STAC.

    Raises
    ------
    CollectionError
        If it is no object, no STAC Collection, one without ML-STAC's fields, or a main.json of ML-STAC 0.x.
    VersionError
        If its major version is another.
    """
    if not isinstance(data, Mapping):
        raise CollectionError(f"{name} holds a JSON {_kind(data)}, not an object; a collection.json starts with '{{'")
    if is_original(data):
        raise CollectionError(
            f"{name} is a main.json of the original ML-STAC (0.x), not a collection.json; "
            "read it with mlstac.load or mlstac.open, or make a dataset of version 1.0 of it with mlstac.convert"
        )
    kind, stac = data.get("type"), data.get("stac_version")
    if kind != "Collection" or not isinstance(stac, str):
        seen = (
            f"a STAC {kind}"
            if isinstance(stac, str) and isinstance(kind, str)
            else f"JSON with type {str(kind)[:40]!r}"
        )
        raise CollectionError(
            f"{name} is not a STAC Collection but {seen}; "
            "name the dataset's collection.json (type 'Collection' with a stac_version)"
        )
    if not stac.startswith("1."):
        raise CollectionError(
            f"{name} is of STAC {stac[:40]!r}, and STAC 1.x is read; bring it to STAC 1.1, for example with pystac"
        )
    version = data.get("ml:version")
    if version is None:
        raise CollectionError(
            f"{name} is a STAC Collection but not one of ML-STAC (it has no 'ml:version'); "
            "make a dataset of its items with mlstac.write"
        )
    match = _VERSION.fullmatch(version) if isinstance(version, str) else None
    if match is None:
        raise CollectionError(
            f"{name}: ml:version is {str(version)[:40]!r}; expected a version such as {ML_STAC_VERSION!r}"
        )
    if match[1] != ML_STAC_VERSION.split(".", maxsplit=1)[0]:
        raise VersionError(
            f"{name} is of ML-STAC {version}, and this mlstac reads {ML_STAC_VERSION.split('.', maxsplit=1)[0]}.x "
            f"(it writes {ML_STAC_VERSION}); install a version of mlstac that knows {match[1]}.x"
        )


def is_original(data: Mapping[str, Any]) -> bool:
    """Tell whether a document is a main.json of 0.x: its splits have a link or url, or it has ``ml_catalog``."""
    if "ml_catalog" in data or "mlstac_version" in data:
        return True
    splits = (data.get(f"{prefix}{split}") for split in _OLD_SPLITS for prefix in ("ml:", "ml_"))
    return any(isinstance(split, Mapping) and ("link" in split or "url" in split) for split in splits)
