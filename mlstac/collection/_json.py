"""JSON text to objects and back, bounded: what a server sends is data to be doubted."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from mlstac.collection._base import first_twice
from mlstac.errors import CollectionError

MAX_JSON_BYTES = 16 * 2**20
"""Largest collection.json that is read. One of 10,000 classes and 1,000 catalog parts has 2 MB."""

MAX_VALUES = 500_000
"""Most values (objects, lists, texts, numbers) that a document may have: what each costs in memory is many bytes."""

MAX_DEPTH = 64
"""Deepest nesting that is read; a collection of ours has about 6 levels."""


def read_json_object(text: str | bytes, *, name: str) -> dict[str, Any]:
    """Parse a JSON object.

    Parameters
    ----------
    text : str or bytes
        UTF-8; a byte order mark is tolerated.
    name : str
        What to call the document in an error: its path or URL.

    Raises
    ------
    CollectionError
        If it is too large, no UTF-8, no JSON, no object, nested too deeply, or names a key twice (readers differ in
        which of the two they take), or holds a number that JSON does not have.
    """
    if len(text) > MAX_JSON_BYTES:
        raise CollectionError(
            f"{name} has more than {MAX_JSON_BYTES:,} bytes, which no collection.json has; name that file"
        )
    try:
        if isinstance(text, bytes | bytearray | memoryview):
            text = bytes(text).decode("utf-8-sig")
        data = json.loads(
            text.removeprefix("\ufeff"),
            object_pairs_hook=lambda pairs: _distinct(pairs, name),
            parse_constant=lambda word: _refuse_number(word, name),
            parse_float=lambda digits: _finite(digits, name),
        )
    except UnicodeDecodeError as error:
        raise CollectionError(f"{name} is not UTF-8 text (byte {error.start}); is this a collection.json?") from None
    except RecursionError:
        raise CollectionError(f"{name} is nested deeper than {MAX_DEPTH} levels; a collection is not") from None
    except json.JSONDecodeError as error:
        raise CollectionError(
            f"{name} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}; "
            "mend it there, or fetch it again"
        ) from None
    except CollectionError:
        raise
    except ValueError as error:  # an integer of more digits than Python converts
        raise CollectionError(
            f"{name} holds a number that cannot be read ({str(error).split(';')[0]}); mend it"
        ) from None
    if not isinstance(data, dict):
        raise CollectionError(f"{name} holds a JSON {_kind(data)}, not an object; a collection.json starts with '{{'")
    check_json(data, name=name)
    return data


def check_json(data: Any, *, name: str) -> None:
    """Refuse what cannot be written as JSON text again, and nesting or length past bounds."""
    todo: list[tuple[Any, int]] = [(data, 1)]
    count = 0
    while todo:
        value, depth = todo.pop()
        count += 1
        if count + len(todo) > MAX_VALUES:
            raise CollectionError(
                f"{name} has more than {MAX_VALUES:,} values, which no collection.json has; name that file"
            )
        if depth > MAX_DEPTH:
            raise CollectionError(f"{name} is nested deeper than {MAX_DEPTH} levels; a collection is not")
        if isinstance(value, dict):
            if not all(isinstance(key, str) for key in value):
                raise CollectionError(f"{name} has a key that is no text, which JSON has not; write it as text")
            todo.extend((item, depth + 1) for item in value.values())
            if not "".join(value).isascii():
                todo.extend((key, depth + 1) for key in value)
        elif isinstance(value, list):
            todo.extend((item, depth + 1) for item in value)
        elif isinstance(value, str):
            if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
                raise CollectionError(
                    f"{name} holds half of a surrogate pair in {value[:40]!a}; write the whole character"
                )
        elif isinstance(value, float) and not math.isfinite(value):
            raise CollectionError(f"{name} holds {value}, which JSON has not; leave the field out, or write it as text")


def write_json(data: dict[str, Any], *, name: str) -> str:
    """Write a JSON object: two spaces of indent, UTF-8 as it is, keys in the order given, a newline at the end.

    Raises
    ------
    CollectionError
        If a value is none that JSON has.
    """
    try:
        return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise CollectionError(
            f"{name} cannot be written as JSON: {error}; use text, numbers, lists and objects only"
        ) from None


def _distinct(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        twice = first_twice(key for key, _ in pairs) or ""
        raise CollectionError(f"{name} names the key {twice[:60]!r} twice in one object; keep one of the two")
    return data


def _refuse_number(word: str, name: str) -> NoReturn:
    raise CollectionError(f"{name} holds {word}, which JSON has not; leave the field out, or write it as text")


def _finite(digits: str, name: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise CollectionError(
            f"{name} holds the number {digits[:40]}, which is past the range of 64-bit floats; mend it"
        )
    return number


def _kind(value: Any) -> str:
    words = {list: "list", str: "text", bool: "boolean", int: "number", float: "number", type(None): "null"}
    return words.get(type(value), "value")
