"""Which names tensors and splits may have: they become keys of shards, columns, folders and parts of URLs."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from mlstac.errors import InvalidArgumentError

MAX_NAME_CHARS = 255

# words that follow ``ml:`` in a collection, and those that `mlstac.load` reads as more than one split
RESERVED_SPLITS = frozenset(
    {"all", "version", "tasks", "tensors", "placed", "split_strategy", "raw_data_url", "discussion_url", "paper"}
    | {"splits", "layout", "offset", "length", "shape", "checksum", "compression"}
)
SPLIT_ALIASES = {"val": "validation"}

# tensors that a shard adds to those of the samples
_SHARD_SUFFIXES = {
    ".splits": "the offsets of rows",
    ".rows": "the positions of the samples that have a tensor",
}
_SPLIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# names of devices that Windows refuses as files and folders, whatever their suffix
_WINDOWS_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}
)


def check_name(name: str) -> str:
    """Check the name of a tensor and give it back.

    Parameters
    ----------
    name : str
        Becomes the tensor's key in every shard (``name``, ``name.splits``, ``<id>/name``) and a field of the catalog.

    Raises
    ------
    InvalidArgumentError
        If it is empty, too long, starts with a dot, ends in ``.splits`` or ``.rows``, or holds a slash or a control
        character.
    """
    if not isinstance(name, str):
        raise InvalidArgumentError(
            f"tensor name {_short(name)} is not text; name the tensor with a str such as 'input'"
        )
    return _checked_name(name)


@lru_cache(maxsize=1024)  # the same few names come with every sample
def _checked_name(name: str) -> str:
    what = f"tensor name {_short(name)}"
    _check_text(name, what)
    if "/" in name:
        raise InvalidArgumentError(f"{what} holds a slash, which divides id and tensor in a shard; write '_' for '/'")
    if name.startswith("."):
        raise InvalidArgumentError(f"{what} starts with a dot, which is kept for the format itself; drop the dot")
    for suffix, use in _SHARD_SUFFIXES.items():
        if name.endswith(suffix):
            raise InvalidArgumentError(f"{what} ends in {suffix!r}, which a shard keeps for {use}; choose another name")
    if name == "__metadata__":
        raise InvalidArgumentError(f"{what} is safetensors' own word; choose another name")
    return name


def check_split_name(name: str) -> str:
    """Check the name of a split and give it back.

    Parameters
    ----------
    name : str
        Becomes a folder of the dataset, so only ASCII letters, digits, ``.``, ``_`` and ``-`` are allowed.

    Raises
    ------
    InvalidArgumentError
        If it could leave the dataset's folder, is no portable folder name, or is a word with another meaning.
    """
    if not isinstance(name, str):
        raise InvalidArgumentError(f"split name {_short(name)} is not text; name the split with a str such as 'train'")
    return _checked_split_name(name)


@lru_cache(maxsize=1024)
def _checked_split_name(name: str) -> str:
    what = f"split name {_short(name)}"
    _check_text(name, what)
    if not _SPLIT.fullmatch(name) or ".." in name or name.endswith("."):
        raise InvalidArgumentError(
            f"{what} is no plain folder name; use letters, digits, '_', '-' and single dots, "
            "and start with a letter or digit"
        )
    if name in RESERVED_SPLITS:
        raise InvalidArgumentError(f"{what} has another meaning in a collection; choose another name")
    if name in SPLIT_ALIASES:
        raise InvalidArgumentError(f"{what} is short for {SPLIT_ALIASES[name]!r}; write the split under that name")
    if name.split(".")[0].lower() in _WINDOWS_DEVICES:
        raise InvalidArgumentError(f"{what} is a device on Windows; choose another name")
    return name


def _check_text(name: str, what: str) -> None:
    if not name or name.isspace():
        raise InvalidArgumentError(f"{what} is empty; give it a name")
    if len(name) > MAX_NAME_CHARS:
        raise InvalidArgumentError(f"{what} has {len(name)} characters; use at most {MAX_NAME_CHARS}")
    # Cc: control characters, Cs: half of a surrogate pair, which UTF-8 cannot hold
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in name):
        raise InvalidArgumentError(f"{what} holds a control character; use printable characters only")


def _short(name: object) -> str:
    return repr(name) if not isinstance(name, str) or len(name) <= 60 else repr(name[:60]) + "…"
