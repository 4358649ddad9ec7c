"""Options of a store, as they are given on the command line."""

import json
from typing import Any

from mlstac.cli._misuse import MisuseError


def read_options(given: list[str]) -> dict[str, Any]:
    """Read ``name=value`` pairs: a value that is JSON is taken as such, any other as text; dots lead inwards.

    A header is text whatever it looks like: a key such as ``1e5`` is no number.

    Raises
    ------
    MisuseError
        For a text without ``=``, which is not repeated, for it may be a secret; or for a name within an option that
        has a value of its own.
    """
    options: dict[str, Any] = {}
    for number, text in enumerate(given, start=1):
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise MisuseError(f"option {number} is not of the form NAME=VALUE, such as endpoint_url=https://…")
        *outer, last = name.split(".")
        inside = options
        for part in outer:
            inside = inside.setdefault(part, {})
            if not isinstance(inside, dict):
                raise MisuseError(f"option {number} gives {name}, but {part} has a value already; give one")
        read = _read(value)
        inside[last] = value if "headers" in outer and not isinstance(read, str) else read
    return options


def _read(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
