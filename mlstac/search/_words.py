"""Words of messages: what a query asked for, and what it could have asked for."""

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np

from mlstac.errors import NotFoundError

_CONSTANT = frozenset({"type", "stac_version", "stac_extensions", "links", "collection", "assets"})
"""Columns that tell no sample from another."""

_ALIKE = 0.55
_SHOWN_CHARS = 60


def no_column(name: str, columns: Sequence[str], *, said: str) -> NotFoundError:
    """The error of a query that names a column that is not there."""
    known = ask_for(columns)
    lower = {column.lower(): column for column in known}
    near = difflib.get_close_matches(name.lower(), lower, 1, _ALIKE)
    meant = f"did you mean {lower[near[0]]!r}? It has" if near else "it has"
    return NotFoundError(f"{said} names {name!r}, which is no column of the catalog; {meant} {', '.join(known)}")


def ask_for(columns: Sequence[str]) -> list[str]:
    """Columns that a query may ask for."""
    return [column for column in columns if column not in _CONSTANT]


def plain(value: Any) -> str:
    """A value as its user would write it: numpy's numbers as numbers."""
    if isinstance(value, np.generic):
        value = value.item()
    elif isinstance(value, list | tuple):
        value = type(value)([one.item() if isinstance(one, np.generic) else one for one in value])
    text = repr(value.tolist() if isinstance(value, np.ndarray) else value)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
