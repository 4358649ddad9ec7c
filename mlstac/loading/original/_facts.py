"""What the header of a sample says beside its tensors: texts, place and time, and the author's own words.

The original writers put a place and a time into every header, known or not. What they made up is left out here.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from mlstac.errors import ShardError
from mlstac.sample import RESERVED_PREFIXES, RESERVED_PROPERTIES

TEXTS = ("input", "target")
"""Keys of the texts of a sample."""

_OWN = {"id", "geotransform", "crs", "start_datetime", "end_datetime", "isSTAC", "isText", *TEXTS}
_IDENTITY = (0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_EPOCH = "1970-01-01T00:00:00"


class Facts(NamedTuple):
    """A header's words, without those that were made up."""

    crs: str | None
    geotransform: tuple[float, ...] | None
    """GDAL order: x origin, x size, x skew, y origin, y skew, y size."""
    start: str | None
    end: str | None
    texts: dict[str, str]
    """By key, those that are not empty."""
    properties: dict[str, str]


def read_facts(metadata: Mapping[str, str], *, name: str) -> Facts:
    """Read the ``__metadata__`` of a sample.

    Parameters
    ----------
    metadata : mapping of str to str
    name : str
        The file, for messages.

    Returns
    -------
    Facts
        Without a place if the file says ``isSTAC: 0`` or has the identity for a geotransform, and without a time if it
        says so or is of the very second in which time began for computers, both of which the writers filled in.

    Raises
    ------
    ShardError
        If the geotransform is not six numbers.
    """
    known = metadata.get("isSTAC") != "0"
    given = metadata.get("isSTAC") == "1"
    crs, transform, start, end = None, None, None, None
    if known:
        transform = _read_geotransform(metadata.get("geotransform"), name)
        crs = (metadata.get("crs") or None) if transform is not None else None
        start, end = metadata.get("start_datetime") or None, metadata.get("end_datetime") or None
        start, end = start or end, end or start
        if start is not None and start.startswith(_EPOCH) and not given:
            start = end = None
    texts = {key: metadata[key] for key in TEXTS if metadata.get(key)}
    own = {_property_name(key): value for key, value in sorted(metadata.items()) if key not in _OWN}
    return Facts(crs, transform, start, end, texts, own)


def _read_geotransform(text: str | None, name: str) -> tuple[float, ...] | None:
    if not text or text.strip() in ("None", "null"):
        return None
    words = text.strip().strip("[]()").split(",")
    try:
        numbers = tuple(float(word) for word in words)
    except ValueError:
        numbers = ()
    if len(numbers) != 6 or not all(map(math.isfinite, numbers)):
        raise ShardError(f"{name}: its geotransform is {text[:80]!r}; expected six numbers, 'x0 ,dx ,rx ,y0 ,ry ,dy'")
    return None if numbers == _IDENTITY else numbers


def _property_name(key: str) -> str:
    """A column that a catalog has not for itself."""
    key = "".join(char if char.isprintable() else "_" for char in key)[:200] or "_"
    return (
        f"original_{key.replace(':', '_')}" if key in RESERVED_PROPERTIES or key.startswith(RESERVED_PREFIXES) else key
    )
