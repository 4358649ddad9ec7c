"""What a validation found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Level = Literal["error", "warning", "unchecked"]

MAX_FINDINGS = 1_000
"""Findings that are kept; of a dataset with more, how many more there were is said."""

_SHOWN_CHARS = 400


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, doubtful, or could not be looked at."""

    level: Level
    """``error``: the dataset breaks the format; ``warning``: it keeps to it, and misleads; ``unchecked``: not known."""

    file: str
    """File of the dataset, relative to its folder."""

    path: str | None
    """Place in the file: of JSON as ``item_assets.input.bands[0]``, of a catalog part the column."""

    row: int | None
    """Row of a catalog part, counted from 0."""

    what: str
    """What is wrong, and what was expected."""

    mend: str
    """How to mend it."""

    @property
    def where(self) -> str:
        """File, row and place in words: ``train/catalog-00000.parquet: row 7, bbox``."""
        place = ", ".join(filter(None, ["" if self.row is None else f"row {self.row}", self.path]))
        return f"{self.file}: {place}" if place else self.file

    def __str__(self) -> str:
        return f"{self.level}: {self.where}: {self.what}; {self.mend}"

    def to_dict(self) -> dict[str, Any]:
        """Give the finding as JSON has it."""
        return {
            "level": self.level,
            "where": self.where,
            "what": self.what,
            "mend": self.mend,
            "file": self.file,
            "path": self.path,
            "row": self.row,
        }


@dataclass(frozen=True)
class Report:
    """What was looked at, and what was found."""

    source: str
    """The collection.json."""

    deep: bool
    """Whether every stored byte was read."""

    findings: tuple[Finding, ...] = ()
    """In the order of the files: collection, catalogs, parts, shards."""

    looked_at: dict[str, int] = field(default_factory=dict)
    """How many ``rows``, ``parts``, ``shards`` and ``bytes`` of shards were checked."""

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings, and what could not be checked, do not count."""
        return not any(finding.level == "error" for finding in self.findings)

    def __str__(self) -> str:
        return "\n".join([*map(str, self.findings), self.summary()])

    def summary(self) -> str:
        """Give the verdict in one line."""
        counts = {level: sum(item.level == level for item in self.findings) for level in ("error", "warning")}
        unchecked = sum(item.level == "unchecked" for item in self.findings)
        said = [_count(number, level) for level, number in counts.items() if number]
        said += [f"{unchecked:,} unchecked"] if unchecked else []
        seen = ", ".join(_count(self.looked_at.get(f"{noun}s", 0), noun) for noun in ("row", "part", "shard"))
        verdict = "valid" if self.ok else "not valid"
        return f"{verdict}: {', '.join(said) or 'nothing found'} ({seen}{', every byte' if self.deep else ''})"

    def to_dict(self) -> dict[str, Any]:
        """Give the report as JSON has it."""
        return {
            "source": self.source,
            "ok": self.ok,
            "deep": self.deep,
            "looked_at": dict(self.looked_at),
            "findings": [finding.to_dict() for finding in self.findings],
        }


class Findings:
    """Findings as they are made; keeps the first `MAX_FINDINGS`, and counts the rest."""

    def __init__(self) -> None:
        self._kept: list[Finding] = []
        self._more = 0
        self._more_errors = 0

    def add(
        self,
        level: Level,
        file: str,
        what: str,
        mend: str,
        *,
        path: str | None = None,
        row: int | None = None,
    ) -> None:
        """Keep a finding."""
        if len(self._kept) >= MAX_FINDINGS:
            self._more += 1
            self._more_errors += level == "error"
            return
        self._kept.append(Finding(level, file, path, row, shorten(what), mend))

    def error(self, file: str, what: str, mend: str, *, path: str | None = None, row: int | None = None) -> None:
        """Keep an error."""
        self.add("error", file, what, mend, path=path, row=row)

    def rows(
        self, wrong: NDArray[np.bool_], file: str, what: str, mend: str, *, path: str, first: int = 0
    ) -> NDArray[np.bool_]:
        """Keep one error for all rows of a mask, at the first of them; ``{row}`` in `what` is not filled in.

        Returns
        -------
        numpy.ndarray
            The mask.
        """
        count = int(np.count_nonzero(wrong))
        if count:
            more = f" (and {count - 1:,} more {'row' if count == 2 else 'rows'} of the same)" if count > 1 else ""
            self.error(file, what + more, mend, path=path, row=first + int(np.argmax(wrong)))
        return wrong

    def done(self) -> tuple[Finding, ...]:
        """Give what was kept, and one more that counts the rest."""
        if not self._more:
            return tuple(self._kept)
        level: Level = "error" if self._more_errors else "warning"
        rest = Finding(
            level, "(dataset)", None, None, f"{self._more:,} more findings are not shown", "mend those that are first"
        )
        return (*self._kept, rest)


def shorten(text: str) -> str:
    """Cut a text that would fill the screen: what is found may be quoted from hostile data."""
    one_line = " ".join(text[: 4 * _SHOWN_CHARS].split())
    return one_line if len(one_line) <= _SHOWN_CHARS else one_line[: _SHOWN_CHARS - 1] + "…"


def join_path(steps: Sequence[int | str]) -> str:
    """Write a place in a JSON document as ``item_assets.input.bands[0].name``."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step[:100]}" for step in steps)
    return path.removeprefix(".") or "(document)"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
