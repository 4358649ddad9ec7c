"""Blocks of code and links of a Markdown page."""

import re
from pathlib import Path
from typing import NamedTuple

_FENCE = re.compile(r"^```([\w-]*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """One fenced block: its language, the words after it, its text, and the line where that starts."""

    language: str
    words: str
    text: str
    line: int


def read_blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(*found.groups(), page.count("\n", 0, found.start()) + 2) for found in _FENCE.finditer(page)]


def read_examples(page: str, language: str) -> list[tuple[Block, str | None]]:
    """Each block of a language with what it should print: the `text` block that comes next, or None."""
    blocks = read_blocks(page)
    after = [block.text if block.language == "text" else None for block in blocks[1:]] + [None]
    return [(block, shown) for block, shown in zip(blocks, after, strict=False) if block.language == language]


def read_links(page: str) -> list[str]:
    """Targets of the links and pictures of a page, outside its blocks."""
    return _LINK.findall(_FENCE.sub("", page))


def pages_of(repository: Path) -> list[Path]:
    """The pages that people read: those at the root and those in docs."""
    return sorted([*repository.glob("*.md"), *repository.glob("docs/**/*.md")])


def anchor_of(heading: str) -> str:
    """Name that git hosts give a heading's anchor."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
