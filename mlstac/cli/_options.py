"""Options of a store, as they are given on the command line."""

import json
from typing import Any

from mlstac.errors import InvalidArgumentError


def read_options(given: list[str]) -> dict[str, Any]:
    """Read ``name=value`` pairs: a value that is JSON is taken as such, any other as text; dots lead inwards.

    Raises
    ------
    InvalidArgumentError
        For a text without ``=``; it is not repeated, for it may be a secret.
    """
    options: dict[str, Any] = {}
    for number, text in enumerate(given, start=1):
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidArgumentError(f"option {number} is not of the form NAME=VALUE, such as endpoint_url=https://…")
        *outer, last = name.split(".")
        inside = options
        for part in outer:
            inside = inside.setdefault(part, {})
        try:
            inside[last] = json.loads(value)
        except ValueError:
            inside[last] = value
    return options
