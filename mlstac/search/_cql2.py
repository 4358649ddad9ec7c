"""CQL2, the query language of OGC and STAC: text to its tree, by the parser of the package ``cql2``."""

import json
import re
from collections.abc import Mapping
from typing import Any

from mlstac.errors import InvalidArgumentError

MAX_CHARS = 1_000_000
MAX_DEPTH = 200
"""The parser and Python's own JSON recurse; past some thousands the first ends the process."""

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"")
_NOT = re.compile(r"\bnot\b", re.IGNORECASE)


def parse_where(where: Any) -> Any:
    """Tree of CQL2 text, or of CQL2 JSON given as a dict.

    Returns
    -------
    dict or bool
        CQL2 JSON.

    Raises
    ------
    InvalidArgumentError
        If it is no CQL2, or longer or deeper than any that a person writes; shows the place.
    """
    import cql2

    if isinstance(where, Mapping):
        return _parse_json(where)
    if not isinstance(where, str):
        raise InvalidArgumentError(
            f'where= is of type {type(where).__name__}; give CQL2 text such as "cloud_cover < 10 AND water = 1"'
        )
    if not where.strip():
        raise InvalidArgumentError("where= is empty; leave it out, or give CQL2 text such as 'cloud_cover < 10'")
    if len(where) > MAX_CHARS or _depth(where) > MAX_DEPTH:
        raise InvalidArgumentError(
            f"where= has {len(where):,} characters and is nested {_depth(where):,} deep; at most {MAX_CHARS:,} and "
            f"{MAX_DEPTH} are read (a long list of samples belongs in ids=)"
        )
    try:
        return cql2.parse_text(where).to_json()
    except cql2.ParseError as error:
        place = str(error) if len(where) < 500 else str(error)[:500]
        raise InvalidArgumentError(
            f"where= is no CQL2 text (strings stand in 'single quotes', columns in none or \"double\" ones):\n{place}"
        ) from None


def _parse_json(where: Mapping[str, Any]) -> Any:
    import cql2

    try:
        text = json.dumps(where)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"where= is a dict that is no JSON: {error}") from None
    if len(text) > MAX_CHARS or _depth(text) > 2 * MAX_DEPTH:
        raise InvalidArgumentError(f"where= is a dict of {len(text):,} characters of JSON, or deeper than {MAX_DEPTH}")
    try:
        return cql2.parse_json(text).to_json()
    except Exception as error:  # noqa: BLE001  # the parser answers a wrong tree with errors of several classes
        raise InvalidArgumentError(f"where= is a dict that is no CQL2 JSON: {str(error)[:200]}") from None


def _depth(text: str) -> int:
    """How deep a text may nest: brackets open at once, and every NOT."""
    plain = _QUOTED.sub("''", text)
    depth = deepest = 0
    for char in plain:
        if char in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]}":
            depth -= 1
    return deepest + len(_NOT.findall(plain))
