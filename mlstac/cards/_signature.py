"""How a card knows itself: a comment at its end with the hash of what mlstac wrote.

Whoever changes a letter of the card makes it theirs: the hash does not fit any more, and the card is never written
over. It travels with the file, so that a copy is known too.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Final

_WORDS: Final = "Made by mlstac, and made again with the dataset until somebody edits this file."
_END: Final = re.compile(rf"(?s)\n<!-- {re.escape(_WORDS)} (\{{[^\n]*\}}) -->\n\Z")


def sign(text: str, files: Mapping[str, bytes]) -> str:
    """Put the signature under a card.

    Parameters
    ----------
    text : str
        The card.
    files : mapping of str to bytes
        Files that were made with it, by name, and what is in them.
    """
    known = {"README.md": _hash(text.encode()), **{name: _hash(data) for name, data in files.items()}}
    return _close(text, known)


def amend(data: bytes, change: Callable[[str], str]) -> bytes:
    """Change the text of a card that is as mlstac wrote it, and sign it again; one of somebody's own stays."""
    known = read_signature(data)
    if known is None:
        return data
    text = change(_END.sub("", data.decode()))
    return _close(text, known | {"README.md": _hash(text.encode())}).encode()


def read_signature(data: bytes) -> dict[str, str] | None:
    """Read which files mlstac made, by name with the sha256 of each; None where the card is not as mlstac wrote it."""
    try:
        card = data.decode()
    except UnicodeDecodeError:
        return None
    end = _END.search(card)
    if end is None:
        return None
    try:
        known = json.loads(end[1])
    except ValueError:
        return None
    if not isinstance(known, dict) or known.get("README.md") != _hash(card[: end.start()].encode()):
        return None
    return {str(name): str(digest) for name, digest in known.items()}


def is_same(data: bytes, digest: str | None) -> bool:
    """Whether a file is still what a signature says of it."""
    return _hash(data) == digest


def _close(text: str, known: Mapping[str, str]) -> str:
    return f"{text}\n<!-- {_WORDS} {json.dumps(known)} -->\n"


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
