"""The JSON of a safetensors header, parsed in one pass without recursion.

``json.loads`` would do for honest files. It keeps the last of two equal keys, turns 100 MB of ``[[],[],...`` into
gigabytes of lists, and nests as deep as the interpreter's stack; a header has three levels and a fixed form, so it is
read by that form.
"""

import json
import re

__all__ = ["HeaderSyntaxError", "parse_header"]

RawEntry = tuple[str, tuple[int, ...], int, int]
"""dtype, shape, begin and end, counted from the start of the data section."""

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_COLON = re.compile(r"[ \t\r\n]*:[ \t\r\n]*")
_NEXT = re.compile(r"[ \t\r\n]*([,}])[ \t\r\n]*")
_INT = r"(?:0|[1-9]\d{0,18})"
# What the stock library and we write; 19 digits hold every offset below 2**63.
_PLAIN = re.compile(
    r'"([^"\\\x00-\x1f]*)":\{"dtype":"([A-Z0-9_]{1,16})","shape":\[((?:' + _INT + r"(?:," + _INT + r")*)?)\],"
    r'"data_offsets":\[(' + _INT + r"),(" + _INT + r")\]\}"
)
# Any other spelling of an entry: one flat object, long enough for a thousand axes.
_FLAT = re.compile(r"\{[^{}]{0,20000}\}")
_FIELDS = {"dtype", "shape", "data_offsets"}


class HeaderSyntaxError(ValueError):
    """The header is not of the format's form; says what was found and at which byte."""


def parse_header(data: bytes) -> tuple[dict[str, RawEntry], dict[str, str]]:
    """Parse the JSON of a header; dtypes, shapes and offsets are not yet judged.

    Returns
    -------
    entries : dict of str to (dtype, shape, begin, end)
        As written; every number is an int of at least 0.
    metadata : dict of str to str

    Raises
    ------
    HeaderSyntaxError
        If it is not UTF-8, not one JSON object of the format's form, or names something twice.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise HeaderSyntaxError(f"byte {error.start} is not UTF-8") from None
    if not text.startswith("{"):
        raise HeaderSyntaxError(f"it starts with {text[:16]!r}, expected '{{'")
    entries: dict[str, RawEntry] = {}
    metadata: dict[str, str] | None = None
    at = _skip(text, 1)
    closed = text[at : at + 1] == "}"
    if closed:
        at = _skip(text, at + 1)
    while not closed:
        plain = _PLAIN.match(text, at)
        if plain and plain[1] != "__metadata__":
            key, dtype, lengths, begin, end = plain.groups()
            shape = tuple(map(int, lengths.split(","))) if lengths else ()
            value: RawEntry = (dtype, shape, int(begin), int(end))
            at = plain.end()
        else:
            key, at = _string(text, at)
            at = _expect(_COLON, text, at, "':'").end()
            if key != "__metadata__":
                value, at = _entry(text, at, key)
            elif metadata is None:
                metadata, at = _metadata(text, at)
            else:
                raise HeaderSyntaxError("'__metadata__' stands in it twice")
        if key != "__metadata__":
            if key in entries:
                raise HeaderSyntaxError(f"tensor {_short(key)} stands in it twice")
            entries[key] = value
        separator = _expect(_NEXT, text, at, "',' or '}'")
        at = separator.end()
        closed = separator[1] == "}"
    if at != len(text):
        raise HeaderSyntaxError(f"something follows its end at character {at}: {text[at : at + 16]!r}")
    return entries, metadata or {}


def _metadata(text: str, at: int) -> tuple[dict[str, str], int]:
    if text[at : at + 1] != "{":
        raise HeaderSyntaxError(f"'__metadata__' is {text[at : at + 16]!r}, expected an object of strings")
    found: dict[str, str] = {}
    at = _skip(text, at + 1)
    if text[at : at + 1] == "}":
        return found, at + 1
    while True:
        key, at = _string(text, at)
        at = _expect(_COLON, text, at, "':'").end()
        value, at = _string(text, at)
        if key in found:
            raise HeaderSyntaxError(f"{_short(key)} stands in '__metadata__' twice")
        found[key] = value
        separator = _expect(_NEXT, text, at, "',' or '}'")
        if separator[1] == "}":
            return found, separator.end(1)
        at = separator.end()


def _entry(text: str, at: int, key: str) -> tuple[RawEntry, int]:
    where = f"tensor {_short(key)}"
    found = _FLAT.match(text, at)
    if not found:
        raise HeaderSyntaxError(
            f"{where} is {text[at : at + 16]!r}, expected an object of dtype, shape and data_offsets"
        )
    try:
        pairs = json.loads(found[0], object_pairs_hook=lambda pairs: pairs)
    except (ValueError, RecursionError):  # RecursionError: 20,000 opening brackets fit in the piece
        raise HeaderSyntaxError(f"{where} is not JSON: {found[0][:60]!r}") from None
    fields = dict(pairs)
    if len(pairs) != 3 or set(fields) != _FIELDS:
        names = ", ".join(_short(name) for name, _ in pairs[:6])
        raise HeaderSyntaxError(
            f"{where} has the fields {names or 'none'}; expected dtype, shape and data_offsets, once"
        )
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str):
        raise HeaderSyntaxError(f"{where} has the dtype {str(dtype)[:40]}; expected a string")
    for field, numbers in (("shape", shape), ("data_offsets", offsets)):
        if not (isinstance(numbers, list) and all(type(n) is int and 0 <= n < 2**63 for n in numbers)):
            raise HeaderSyntaxError(
                f"{where} has the {field} {str(numbers)[:60]}; expected a list of integers, at least 0"
            )
    if len(offsets) != 2:
        raise HeaderSyntaxError(f"{where} has {len(offsets)} data_offsets; expected begin and end")
    return (dtype, tuple(shape), offsets[0], offsets[1]), found.end()


def _string(text: str, at: int) -> tuple[str, int]:
    if text[at : at + 1] != '"':
        raise HeaderSyntaxError(f"found {text[at : at + 16]!r} at character {at}, expected a string")
    try:
        value, end = _DECODER.raw_decode(text, at)  # at a quote it reads a string and nothing else
        value.encode()  # half a surrogate pair is JSON to Python, but no text
    except ValueError as error:
        raise HeaderSyntaxError(f"a string at character {at} is not JSON ({str(error)[:60]})") from None
    return value, end


def _expect(pattern: re.Pattern[str], text: str, at: int, what: str) -> re.Match[str]:
    found = pattern.match(text, at)
    if not found:
        raise HeaderSyntaxError(f"found {text[at : at + 16]!r} at character {at}, expected {what}")
    return found


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _short(key: object) -> str:
    text = str(key)
    return repr(text if len(text) <= 60 else text[:57] + "...")
