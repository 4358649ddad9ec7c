"""STAC Items that a sample was made of, as links."""

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mlstac.errors import InvalidSampleError

__all__ = ["Origin", "parse_origins"]

MEDIA_TYPE = "application/geo+json"
"""Of a STAC Item."""

_MAX_CHARS = 8192
_EXPECTED = "give a STAC Item that knows its own address, its URL, or a list of them"


class Origin(NamedTuple):
    """One Item."""

    href: str
    type: str | None


def parse_origins(value: Any) -> tuple[Origin, ...]:
    """Read what a sample was made of: Items (pystac's, or their JSON as dicts) and addresses of Items.

    Raises
    ------
    InvalidSampleError
        If it is none of these, or an Item without a ``self`` link.
    """
    if value is None:
        return ()
    if isinstance(value, str | os.PathLike | Mapping) or hasattr(value, "get_self_href"):
        value = [value]
    if not isinstance(value, Iterable):
        raise InvalidSampleError(f"derived_from is of type {type(value).__name__}; {_EXPECTED}")
    return tuple(dict.fromkeys(_parse(item) for item in value))


def _parse(item: Any) -> Origin:
    if isinstance(item, str | os.PathLike):
        href = os.fspath(item)
        kind = MEDIA_TYPE if isinstance(href, str) and href.partition("?")[0].endswith(("json",)) else None
    elif isinstance(item, Mapping):
        href, kind = _self_link(item), MEDIA_TYPE
    elif hasattr(item, "get_self_href"):
        href, kind = item.get_self_href(), MEDIA_TYPE
    else:
        raise InvalidSampleError(f"derived_from holds a {type(item).__name__}; {_EXPECTED}")
    if not href:
        name = item.get("id") if isinstance(item, Mapping) else getattr(item, "id", None)
        raise InvalidSampleError(f"derived_from holds Item {name!r} without a self link; {_EXPECTED}")
    if not isinstance(href, str) or len(href) > _MAX_CHARS or not href.isprintable():
        raise InvalidSampleError(f"derived_from holds {str(href)[:60]!r}, which is no address; {_EXPECTED}")
    return Origin(href, kind)


def _self_link(item: Mapping[str, Any]) -> Any:
    links = item.get("links")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, Mapping) and link.get("rel") == "self":
            return link.get("href")
    return None
