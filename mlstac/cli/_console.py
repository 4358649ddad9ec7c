"""Where words go: data to stdout, talk to stderr, colours only where a person reads."""

import json
import math
from typing import Any

from rich.console import Console
from rich.theme import Theme

THEME = Theme(
    {
        "heading": "bold",
        "name": "bold cyan",
        "quiet": "dim",
        "code": "green",
        "wrong": "bold red",
    }
)

OUT = Console(theme=THEME, highlight=False)
ERR = Console(theme=THEME, highlight=False, stderr=True)


def tell(words: str) -> None:
    """Say something to the person at the terminal: one line on stderr, never cut, never read as markup."""
    ERR.print(words, markup=False, soft_wrap=True)


def print_error(words: str) -> None:
    """Print an error as one line on stderr, however long."""
    ERR.print("[wrong]error:[/]", end=" ")
    tell(" ".join(words.split()))


def print_warning(words: str) -> None:
    """Print a warning as one line on stderr, however long."""
    ERR.print("[heading]warning:[/]", end=" ")
    tell(" ".join(words.split()))


def print_json(data: Any) -> None:
    """Print JSON on stdout, indented, in the order given; NaN and infinities become STAC's words for them."""
    OUT.file.write(json.dumps(_in_words(data), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _in_words(data: Any) -> Any:
    """Replace the numbers that JSON lacks: a nodata value may be one, and STAC writes it "nan", "inf" or "-inf"."""
    if isinstance(data, dict):
        return {key: _in_words(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_in_words(value) for value in data]
    return str(data) if isinstance(data, float) and not math.isfinite(data) else data
