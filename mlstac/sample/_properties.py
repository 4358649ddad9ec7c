"""The author's own columns: plain values that JSON and Arrow both hold."""

import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any

import numpy as np

from mlstac.errors import InvalidSampleError
from mlstac.sample._time import parse_time

__all__ = ["RESERVED_PREFIXES", "RESERVED_PROPERTIES", "Value", "check_id", "check_properties"]

Scalar = bool | int | float | str | datetime | date
Value = Scalar | list[Scalar] | None

RESERVED_PROPERTIES = frozenset(
    {"type", "stac_version", "stac_extensions", "id", "geometry", "bbox", "properties", "links", "assets", "collection"}
    | {"datetime", "start_datetime", "end_datetime"}
)
"""Names that a STAC Item or a catalog row has for itself."""

RESERVED_PREFIXES = ("ml:", "proj:", "file:", "mlstac:")

MAX_ID_CHARS = 512
_EXPECTED = "give a bool, an integer, a float, a string, a datetime, a date, or a flat list of one of them"


def check_id(value: Any) -> str:
    """Check a sample's id: 1 to 512 characters, none of them a control character.

    Raises
    ------
    InvalidSampleError
        With the id cut short in the message, however long it is.
    """
    if not isinstance(value, str):
        raise InvalidSampleError(f"id is of type {type(value).__name__}; expected a string")
    if not value:
        raise InvalidSampleError("id is empty; give each sample a name of its own, or none for a number")
    if len(value) > MAX_ID_CHARS:
        raise InvalidSampleError(
            f"id {value[:40] + '…'!r} has {len(value):,} characters; at most {MAX_ID_CHARS} are allowed"
        )
    # Cc: control characters, Cs: half of a surrogate pair, which UTF-8 cannot hold
    if not value.isprintable() and any(unicodedata.category(char) in ("Cc", "Cs") for char in value):
        raise InvalidSampleError(f"id {value!r} holds a control character; use printable ones")
    return value


def check_properties(properties: Mapping[str, Any]) -> dict[str, Value]:
    """Make properties plain: Python scalars or flat lists of them; numpy's become Python's.

    Raises
    ------
    InvalidSampleError
        If a name is reserved or a value is none that a column can hold.
    """
    if not isinstance(properties, Mapping):
        raise InvalidSampleError(
            f"properties are of type {type(properties).__name__}; expected a dict of names to values"
        )
    return {_check_name(name): _plain(value, name) for name, value in properties.items()}


def _check_name(name: Any) -> str:
    if not isinstance(name, str) or not name or len(name) > 255:
        raise InvalidSampleError(f"property name {str(name)[:60]!r} is no string of 1 to 255 characters; rename it")
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in name):
        raise InvalidSampleError(f"property name {name!r} holds a control character; rename it")
    if name in RESERVED_PROPERTIES:
        raise InvalidSampleError(f"property {name!r} is a column that every catalog keeps for itself; rename it")
    if name.startswith(RESERVED_PREFIXES):
        raise InvalidSampleError(
            f"property {name!r} starts with {name.partition(':')[0] + ':'!r}, which the catalog fills itself; rename it"
        )
    return name


def _plain(value: Any, name: str) -> Value:
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = list(value)
    if value is None or not isinstance(value, list | tuple):
        return None if value is None else _plain_scalar(value, name)
    items = [_plain_scalar(item, name) for item in value]
    kinds = {type(item) for item in items}
    if len(kinds) > 1 and kinds != {int, float}:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise InvalidSampleError(f"property {name!r} is a list of several kinds of values ({names}); {_EXPECTED}")
    return items


def _plain_scalar(value: Any, name: str) -> Scalar:
    if isinstance(value, np.datetime64):
        start, end = parse_time(value, what=f"property {name!r}")
        return start if start == end else start.date()
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):  # of a subclass the plain value: columns are of plain kinds
        value = str.__str__(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        value = int(value)
    elif isinstance(value, float):
        value = float(value)
    if isinstance(value, bool | float | str):
        if isinstance(value, str) and not _is_text(value):
            raise InvalidSampleError(
                f"property {name!r} holds half of a surrogate pair, which UTF-8 cannot; mend the text"
            )
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise InvalidSampleError(f"property {name!r} is {value:.3e}, past 64 bits; give it as a float or a string")
        return value
    if isinstance(value, datetime):
        return parse_time(value, what=f"property {name!r}")[0].astimezone(UTC)
    if isinstance(value, date):
        return value
    raise InvalidSampleError(f"property {name!r} is of type {type(value).__name__}; {_EXPECTED}")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
