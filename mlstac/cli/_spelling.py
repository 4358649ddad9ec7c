"""Messages as the command line spells things: what Python calls ``overwrite=True`` is ``--overwrite`` here."""

import ast
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, Final

_NAMES: Final = {"allow_hosts": "allow_host", "block_size_m": "block_size"}
"""Arguments whose options are called otherwise."""

# What a name, a path or a call goes on with (train/split=x, ?split=x, Tensor(bands=x)) is no argument of ours, nor is
# what stands in quotes ('split_by') or goes on as no argument does (a folder "my split=train").
_BEFORE: Final = r"(?<![\w/\\.?&{'\"-])(?<!\w\()"
_VALUE: Final = r"True\b|'[^']*'|\"[^\"]*\"|\([^()]*\)|[A-Z…][\w…]*"
_GIVEN: Final = re.compile(rf"{_BEFORE}([a-z_]+)=(?:({_VALUE})|(?![^\s,;.)]))(?: \((?:mlstac \w+ )?--[^()]*\))?")
_WORD: Final = re.compile(r"(['\"])[\w.:-]+\1")
"""What needs no quotes in a shell."""
_NAMED: Final = re.compile(rf"{_BEFORE}([a-z]+(?:_[a-z]+)+)\b(?![=\w(/'\"])")
_CALL: Final = re.compile(
    rf"{_BEFORE}\bmlstac\.(card|convert|download|gc|publish|rebuild)\b(?!/)(?:\(path(?:, (\w+)=True)?\))?"
)
_FETCH: Final = re.compile(r"\bmlstac\.download\((URL|'[^']*'), ('[^']*'), split='([^']*)'\)")
_STORE: Final = re.compile(r"storage_options=(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})")

_OBJECTS: Final = re.compile(", or give a datetime.timedelta|, and not as a pathlib.Path, which takes one away")
"""That nobody can type."""
_STORES: Final = re.compile(rf"(\bin )?{_BEFORE}\bstorage_options\b(?![=/'\"])")


def spell(text: str, options: Container[str], words: Iterable[str] = ()) -> str:
    """Put the options of the command in the place of the arguments that a message names.

    Parameters
    ----------
    text : str
        The message.
    options : container of str
        Names of the command's options, with underscores; arguments that are none of them stay as Python has them.
    words : iterable of str, optional
        What the user has typed, which stays as it is: a folder may be called ``flood kind=old``.
    """
    kept = [word for word in words if word in text and _spelled(word, options) != word and re.search(r"[\s(,]", word)]
    if not kept:
        return _spelled(text, options)
    parts = re.split("(" + "|".join(map(re.escape, sorted(kept, key=len, reverse=True))) + ")", text)
    return "".join(part if number % 2 else _spelled(part, options) for number, part in enumerate(parts))


def _spelled(text: str, options: Container[str]) -> str:
    def option(name: str) -> str | None:
        name = _NAMES.get(name, name)
        return f"--{name.replace('_', '-')}" if name in options else None

    def given(found: re.Match[str]) -> str:
        flag, value = option(found[1]), found[2] or ""
        if flag is None:
            return found[0]
        if value.startswith("("):
            value = value.strip("(), ").replace("'", "")
        if _WORD.fullmatch(value):
            value = value[1:-1]
        return flag if value in ("", "True") else f"{flag} {value}"

    def call(found: re.Match[str]) -> str:
        words = ["mlstac", found[1], *(["PATH"] if "(" in found[0] else [])]
        return " ".join([*words, *([f"--{found[2].replace('_', '-')}"] if found[2] else [])])

    text = _FETCH.sub(_of_fetch, text)
    text = _CALL.sub(call, _OBJECTS.sub("", text))
    if "option" in options:
        text = _STORE.sub(_of_store, text)
        text = _STORES.sub(lambda found: "with -O" if found[1] else "options (-O)", text)
    text = _GIVEN.sub(given, text)
    return _NAMED.sub(lambda found: option(found[1]) or found[0], text)


def _of_fetch(found: re.Match[str]) -> str:
    url, path = (word[1:-1] if re.fullmatch(r"'[\w./:@~+-]+'", word) else word for word in (found[1], found[2]))
    return f"mlstac download {url} {path} --split {found[3]}"


def _of_store(found: re.Match[str]) -> str:
    try:
        said = ast.literal_eval(found[1])
    except (SyntaxError, ValueError):  # no dict that could be typed
        return found[0]
    return " ".join(f"-O {name}={_typed(value)}" for name, value in _flat(said, ""))


def _flat(options: Mapping[str, Any], outer: str) -> Iterator[tuple[str, Any]]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{outer}{name}.")
        else:
            yield outer + name, value


def _typed(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) and " " in value else str(value)
