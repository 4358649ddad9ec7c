"""Ids: there, of the form that the format allows, and each once in the whole collection."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from mlstac.validation._columns import null_mask
from mlstac.validation._report import Findings, shorten

MAX_CHARS = 512
_FORBIDDEN = r"\p{Cc}"
_SHOWN = 20


class Ids:
    """Ids of all parts, kept as 64-bit hashes: 8 bytes a row."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._hashes: list[NDArray[np.uint64]] = []
        self._files: list[str] = []
        self._firsts: list[int] = []

    def add(self, file: str, first: int, texts: Any) -> bool:
        """Look at a piece of a part's ids, the first of them at a row; False if the rest had better not be read."""
        if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
            self._findings.error(
                file, f"id is of type {texts.type}; expected string", "write the catalog again", path="id"
            )
            return False
        findings = self._findings
        nulls = null_mask(texts)
        findings.rows(nulls, file, "id is null", "give every sample an id of its own", path="id", first=first)
        lengths = _zeroed(pc.utf8_length(texts))
        empty = (lengths == 0) & ~nulls
        findings.rows(empty, file, "id is empty", "give every sample an id of its own", path="id", first=first)
        mend = f"use ids of 1 to {MAX_CHARS} characters"
        long = findings.rows(
            lengths > MAX_CHARS,
            file,
            f"id has {int(lengths.max(initial=0)):,} characters; at most {MAX_CHARS} are allowed",
            mend,
            path="id",
            first=first,
        )
        if long.any():
            return False
        control = pc.match_substring_regex(texts, _FORBIDDEN).fill_null(False)
        findings.rows(
            np.asarray(control.to_numpy(zero_copy_only=False)),
            file,
            "id holds a control character",
            "use printable characters",
            path="id",
            first=first,
        )
        digest = xxhash.xxh3_64_intdigest
        kept = texts.cast(pa.binary()) if pa.types.is_string(texts.type) else texts.cast(pa.large_binary())
        hashes = np.fromiter(
            (digest(text) if text is not None else 0 for text in kept.to_pylist()), np.uint64, count=len(kept)
        )
        # rows without an id are not two of one name: each gets a number that is its own, all but certainly
        hashes[nulls] = np.random.default_rng(first).integers(1, 2**63, int(nulls.sum()), dtype=np.uint64)
        self._hashes.append(hashes)
        self._files.append(file)
        self._firsts.append(first)
        return True

    def finish(self, name_of: Any) -> None:
        """Say which ids stand for more than one row.

        Parameters
        ----------
        name_of : callable
            Gives the id of (file, row), to say it.
        """
        if not self._hashes:
            return
        hashes = np.concatenate(self._hashes)
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        again = np.flatnonzero(ordered[1:] == ordered[:-1]) + 1
        if not again.size:
            return
        starts = np.cumsum([0, *(len(piece) for piece in self._hashes)])
        shown = 0
        for at in again.tolist():
            before, after = int(order[at - 1]), int(order[at])
            one, other = self._place(before, starts), self._place(after, starts)
            names = name_of(*one), name_of(*other)
            if names[0] != names[1] or names[0] is None:  # two ids of one hash
                continue
            shown += 1
            if shown > _SHOWN:
                self._findings.error(
                    other[0],
                    f"{again.size - _SHOWN:,} more rows have an id that stands for another row too",
                    "give every sample of the collection an id of its own",
                    path="id",
                )
                break
            self._findings.error(
                other[0],
                f"id {shorten(str(names[1]))!r} stands in {one[0]}, row {one[1]:,}, too",
                "give every sample of the collection an id of its own",
                path="id",
                row=other[1],
            )

    def _place(self, number: int, starts: NDArray[np.int64]) -> tuple[str, int]:
        piece = int(np.searchsorted(starts, number, side="right")) - 1
        return self._files[piece], self._firsts[piece] + number - int(starts[piece])


def _zeroed(lengths: Any) -> NDArray[np.int64]:
    return np.asarray(lengths.fill_null(0).to_numpy(zero_copy_only=False), np.int64)
