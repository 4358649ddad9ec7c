"""Where rows say that their bytes are: inside their shard, as many as dtype and shape make, and no other row's."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlstac.collection import DTYPES, Tensor
from mlstac.sample import codec_of
from mlstac.validation._columns import Mask, lists, null_mask, numbers
from mlstac.validation._report import Findings

Integers = NDArray[np.int64]

_AGAIN = "write the catalog again from its shards"
_MAX_HREF_CHARS = 4096
_ROWS_AT_ONCE = 131_072


@dataclass
class Shard:
    """One file that rows name."""

    url: str
    file: str
    """Its name in findings."""
    size: int
    checksum: str | None
    split: str
    part: str
    first: int
    """The first row of the part that names it."""


@dataclass
class Stored:
    """Rows of one part that have a tensor, with sound addresses: arrays of one length."""

    rows: list[Integers] = field(default_factory=list)
    shards: list[Integers] = field(default_factory=list)
    offsets: list[Integers] = field(default_factory=list)
    lengths: list[Integers] = field(default_factory=list)
    inner: list[Integers] = field(default_factory=list)
    checksums: list[Integers] = field(default_factory=list)
    shapes: list[Integers] = field(default_factory=list)

    def joined(self, fixed: tuple[int, ...] | None, axes: int) -> "Table":
        """All row groups as one; a shape that all rows share takes no memory a row, nor do absent frames."""

        def join(column: list[Integers]) -> Integers:
            return np.concatenate(column) if column else np.zeros(0, np.int64)

        n = sum(map(len, self.rows))
        return Table(
            rows=join(self.rows),
            shards=join(self.shards),
            offsets=join(self.offsets),
            lengths=join(self.lengths),
            inner=join(self.inner) if any(part.any() for part in self.inner) else np.broadcast_to(np.int64(0), n),
            checksums=join(self.checksums),
            shapes=np.broadcast_to(np.array(fixed, np.int64), (n, len(fixed)))
            if fixed is not None
            else np.concatenate(self.shapes or [np.zeros((0, axes), np.int64)]),
        )


@dataclass
class Table:
    """Addresses of one tensor in one part, one entry a row that has it."""

    rows: Integers
    shards: Integers
    """Numbers of shards."""
    offsets: Integers
    lengths: Integers
    inner: Integers
    """First byte in what a frame decompresses to; 0 in plain shards."""
    checksums: Integers
    """-1 where there is none."""
    shapes: Integers

    def take(self, chosen: Any) -> "Table":
        """Some of the rows."""
        return Table(*(column[chosen] for column in vars(self).values()))


class Hrefs:
    """The shards that rows of one part name, numbered; each href is judged once."""

    def __init__(self, join: Any, *, file: str, split: str, findings: Findings) -> None:
        self._join = join
        self._file = file
        self._split = split
        self._findings = findings
        self._known: dict[str, int] = {}
        self.shards: dict[int, Shard] = {}
        self._numbers: dict[str, int] = {}

    def number(self, name: str, *, row: int, size: int, checksum: str | None, path: str) -> int:
        """Number of a shard; -1 where the href may not be followed."""
        if name not in self._known:
            self._known[name] = self._judge(name, row, size, checksum, path)
        return self._known[name]

    def _judge(self, name: str, row: int, size: int, checksum: str | None, path: str) -> int:
        found = self._join(name)
        if isinstance(found, str):
            self._findings.error(self._file, found, "name a file of the dataset's folder", path=f"{path}.href", row=row)
            return -1
        url, shown = found
        if url not in self._numbers:
            self._numbers[url] = len(self._numbers)
            self.shards[self._numbers[url]] = Shard(url, shown, size, checksum, self._split, self._file, row)
        return self._numbers[url]


class AddressReader:
    """Reads the addresses of one tensor of one part, row group after row group."""

    def __init__(self, name: str, tensor: Tensor, *, file: str, hrefs: Hrefs, findings: Findings) -> None:
        self.name = name
        self.tensor = tensor
        self.stored = Stored()
        self._file = file
        self._path = f"assets.{name}"
        self._hrefs = hrefs
        self._findings = findings
        shape = tensor.shape or ()
        self.axes = len(shape)
        self._fixed = tuple(size for size in shape if size is not None)
        self.varies = tensor.shape is None or len(self._fixed) < len(shape)
        self.fixed = None if self.varies else self._fixed

    def read(self, asset: Any, *, first: int, there: Mask) -> None:
        """Look at one row group's struct; `there` says which rows have the tensor."""
        findings, path = self._findings, self._path
        if self.tensor.required:
            findings.rows(
                ~there,
                self._file,
                "the row lacks a tensor that every sample has by the collection",
                "describe it with required: false, or write the catalog again",
                path=path,
                first=first,
            )
        names = {asset.type.field(at).name: at for at in range(asset.type.num_fields)}
        rows = np.flatnonzero(there)
        taken = asset.take(pa.array(rows)) if len(rows) < len(asset) else asset
        columns = {name: taken.field(at) for name, at in names.items()}
        good = np.ones(len(rows), bool)
        for name in ("href", "file:size", "ml:offset", "ml:length"):
            good &= ~self._refuse(null_mask(columns[name]), rows, f"{name} is null", name, first)
        sizes, offsets, lengths = (numbers(columns[name]) for name in ("file:size", "ml:offset", "ml:length"))
        inner = numbers(columns["ml:frame_offset"]) if "ml:frame_offset" in columns else np.zeros(len(rows), np.int64)
        shards = self._number(columns, sizes, good, rows, first)
        good &= shards >= 0
        framed = np.isin(shards, [at for at, shard in self._hrefs.shards.items() if is_compressed(shard.file)])
        for name, values in (("ml:offset", offsets), ("ml:length", lengths), ("ml:frame_offset", inner)):
            wrong = good & (values < 0)
            good &= ~self._refuse(wrong, rows, f"{name} is {_at(values, wrong)}", name, first)
        # subtracted, for the sum of hostile numbers may leave 64 bits
        beyond = good & ((offsets > sizes) | (lengths > sizes - np.minimum(offsets, sizes)))
        at = int(np.argmax(beyond)) if len(beyond) else 0
        said = ""
        if beyond.any():
            stop = int(offsets[at]) + int(lengths[at])
            said = f"bytes {offsets[at]} to {stop} leave the file, which has {sizes[at]} (file:size)"
        good &= ~self._refuse(beyond, rows, said, "ml:offset", first)
        shapes, sound = self._shapes(columns.get("ml:shape"), lengths, rows, first, framed)
        good &= sound
        good &= ~self._check_lengths(shapes, lengths, good & ~framed, rows, first)
        sums = columns.get("ml:checksum")
        checksums = np.full(len(rows), -1, np.int64)
        if sums is not None and sums.type == pa.uint32():
            absent = null_mask(sums)
            self._refuse(absent, rows, "ml:checksum is null", "ml:checksum", first)
            checksums = np.where(absent, -1, numbers(sums))
        self._check_constants(columns, rows, first)
        kept = Table(rows + first, shards, offsets, lengths, inner, checksums, shapes)
        for name, column in vars(kept).items():
            if name == "shapes" and not self.varies:
                continue
            shared = name == "inner" and "ml:frame_offset" not in columns
            getattr(self.stored, name).append(np.broadcast_to(np.int64(0), int(good.sum())) if shared else column[good])

    def _refuse(self, wrong: Mask, rows: Integers, what: str, leaf: str, first: int) -> Mask:
        """Keep a finding for rows of a mask over those that have the tensor."""
        if wrong.any():
            mask = np.zeros(int(rows[-1]) + 1, bool)
            mask[rows[wrong]] = True
            self._findings.rows(mask, self._file, what, _AGAIN, path=f"{self._path}.{leaf}", first=first)
        return wrong

    def _number(self, columns: dict[str, Any], sizes: Integers, good: Mask, rows: Integers, first: int) -> Integers:
        encoded = columns["href"]
        if not pa.types.is_dictionary(encoded.type):
            encoded = encoded.dictionary_encode()
        indices = numbers(encoded.indices.fill_null(-1))
        names = encoded.dictionary.to_pylist()
        summed = columns.get("file:checksum")
        result = np.full(len(names) + 1, -1, np.int64)
        firsts = np.full(len(names) + 1, -1, np.int64)
        order = np.flatnonzero(good)[::-1]
        firsts[indices[order]] = order  # the last assignment is the first row
        for index, name in enumerate(names):
            at = int(firsts[index])
            if at >= 0:
                checksum = summed[at].as_py() if summed is not None else None
                short, row, size = name[: _MAX_HREF_CHARS + 1], int(rows[at]) + first, int(sizes[at])
                result[index] = self._hrefs.number(short, row=row, size=size, checksum=checksum, path=self._path)
        shards = result[indices]
        known = np.array([shard.size for shard in self._hrefs.shards.values()] or [0], np.int64)
        differs = good & (shards >= 0) & (sizes != known[np.maximum(shards, 0)])
        what = f"rows disagree about the size of their shard: {_at(sizes, differs)} bytes here"
        self._refuse(differs, rows, what, "file:size", first)
        return np.where(differs, -1, shards)

    def _shapes(
        self, column: Any, lengths: Integers, rows: Integers, first: int, framed: Mask
    ) -> tuple[Integers, Mask]:
        n = len(rows)
        if not self.varies:
            return np.broadcast_to(np.array(self._fixed, np.int64), (n, self.axes)), np.ones(n, bool)
        if column is None:
            return self._shapes_of_lengths(lengths, framed)
        counts, values = lists(column)
        odd = null_mask(column) | (counts != self.axes)
        self._refuse(odd, rows, f"ml:shape has not the {self.axes} axes of the collection", "ml:shape", first)
        shapes = np.zeros((n, self.axes), np.int64)
        sound = np.flatnonzero(~odd)
        if self.axes:
            shapes[sound] = numbers(values)[(np.cumsum(counts) - counts)[sound][:, None] + np.arange(self.axes)]
        wrong = ~odd & (shapes < 0).any(axis=1)
        for axis, size in enumerate(self.tensor.shape or ()):
            if size is not None:
                wrong |= ~odd & (shapes[:, axis] != size)
        said = f"ml:shape is {shapes[np.argmax(wrong)].tolist()}; the collection says {list(self.tensor.shape or ())}"
        self._refuse(wrong, rows, said if wrong.any() else "", "ml:shape", first)
        return shapes, ~(odd | wrong)

    def _shapes_of_lengths(self, lengths: Integers, framed: Mask) -> tuple[Integers, Mask]:
        """Shapes that follow from lengths where one axis alone varies, and the shard is plain."""
        shape = list(self.tensor.shape or ())
        shapes = np.array([size or 0 for size in shape], np.int64)[None].repeat(len(lengths), axis=0)
        if shape.count(None) != 1:
            return shapes, np.zeros(len(lengths), bool)
        bits = max(1, int(np.prod(self._fixed, dtype=np.int64)) * DTYPES[str(self.tensor.dtype)])
        shapes[:, shape.index(None)] = lengths * 8 // bits
        return shapes, ~framed

    def _check_lengths(self, shapes: Integers, lengths: Integers, good: Mask, rows: Integers, first: int) -> Mask:
        bits = DTYPES[str(self.tensor.dtype)]
        # floats first, for the product of hostile sizes may leave 64 bits
        far = np.prod(shapes, axis=1, dtype=np.float64) * bits / 8 > 2.0**62
        made = np.prod(np.where(far[:, None], 0, shapes), axis=1) * bits // 8
        wrong = good & (far | (made != lengths))
        at = int(np.argmax(wrong)) if len(wrong) else 0
        what = (
            f"ml:length is {lengths[at]}; {self.tensor.dtype} of {shapes[at].tolist()} is {made[at]}"
            if wrong.any()
            else ""
        )
        return self._refuse(wrong, rows, what, "ml:length", first)

    def _check_constants(self, columns: dict[str, Any], rows: Integers, first: int) -> None:
        roles = columns.get("roles")
        if roles is not None and len(rows):
            counts, values = lists(roles)
            wanted = np.asarray(values.to_numpy(zero_copy_only=False)) == self.tensor.role
            held = np.zeros(len(rows), bool)
            held[np.repeat(np.arange(len(rows)), counts)[wanted]] = True
            self._refuse(~held, rows, f"roles lack {self.tensor.role!r}, the collection's role of it", "roles", first)


def check_order(tables: dict[str, Table], hrefs: Hrefs, *, file: str, findings: Findings) -> None:
    """Rows of a shard follow each other in the part, in the order in which they lie in the shard, and share no byte."""
    for name, table in tables.items():
        if len(table.rows) < 2:
            continue
        path = f"assets.{name}.ml:offset"
        same = table.shards[1:] == table.shards[:-1]
        edges = np.flatnonzero(~same) + 1
        names = table.shards[np.concatenate([[0], edges])]
        if len(np.unique(names)) < len(names):
            seen = np.zeros(len(hrefs.shards), bool)
            for at, number in zip([0, *edges.tolist()], names.tolist(), strict=True):
                if seen[number]:
                    findings.error(
                        file,
                        f"rows of {hrefs.shards[number].file} stand apart; all rows of a shard follow each other",
                        _AGAIN,
                        path=f"assets.{name}.href",
                        row=int(table.rows[at]),
                    )
                    break
                seen[number] = True
        back = same & (table.lengths[1:] > 0) & (table.lengths[:-1] > 0) & (table.offsets[1:] < table.offsets[:-1])
        if back.any():
            at = int(np.argmax(back)) + 1
            findings.error(
                file,
                "rows do not stand in the order in which they lie in their shard",
                _AGAIN,
                path=path,
                row=int(table.rows[at]),
            )
    _check_overlaps(tables, hrefs, file=file, findings=findings)


def _check_overlaps(tables: dict[str, Table], hrefs: Hrefs, *, file: str, findings: Findings) -> None:
    """Look at all ranges of some shards together, as many shards at once as have `_ROWS_AT_ONCE` rows."""
    n = len(hrefs.shards)
    counts = np.zeros(n, np.int64)
    orders = {}
    for name, table in tables.items():
        sorted_already = bool((np.diff(table.shards) >= 0).all())
        orders[name] = None if sorted_already else np.argsort(table.shards, kind="stable")
        counts += np.bincount(table.shards, minlength=n)
    ends = np.cumsum(counts)
    begin = 0
    while begin < n:
        before = int(ends[begin - 1]) if begin else 0
        stop = max(begin + 1, int(np.searchsorted(ends, before + _ROWS_AT_ONCE, side="right")))
        some = {}
        for name, table in tables.items():
            order = orders[name]
            shards = table.shards if order is None else table.shards[order]
            span = slice(*np.searchsorted(shards, [begin, stop]))
            some[name] = table.take(span if order is None else order[span])
        if _find_overlap(some, hrefs, file=file, findings=findings):
            return
        begin = stop


def _find_overlap(tables: dict[str, Table], hrefs: Hrefs, *, file: str, findings: Findings) -> bool:
    names = list(tables)
    held = [table.take(table.lengths > 0) for table in tables.values()]
    if not sum(len(table.rows) for table in held):
        return False
    shards, offsets, lengths, rows = (
        np.concatenate([getattr(table, key) for table in held]) for key in ("shards", "offsets", "lengths", "rows")
    )
    owner = np.repeat(np.arange(len(names)), [len(table.rows) for table in held])
    framed = np.isin(shards, [at for at, shard in hrefs.shards.items() if is_compressed(shard.file)])
    order = np.lexsort((lengths, offsets, shards))
    before, after = order[:-1], order[1:]
    shared = (shards[before] == shards[after]) & (offsets[before] + lengths[before] > offsets[after])
    # rows of small tensors share a whole frame of a compressed shard
    frame = framed[before] & (offsets[before] == offsets[after]) & (lengths[before] == lengths[after])
    wrong = shared & ~frame
    if not wrong.any():
        return False
    at = int(np.argmax(wrong))
    one, other = int(before[at]), int(after[at])
    more = int(np.count_nonzero(wrong)) - 1
    findings.error(
        file,
        f"its bytes from {offsets[other]} on are those of row {rows[one]:,}, assets.{names[owner[one]]}, too"
        + (f" (and {more:,} more such)" if more else ""),
        _AGAIN,
        path=f"assets.{names[owner[other]]}.ml:offset",
        row=int(rows[other]),
    )
    return True


def is_compressed(file: str) -> bool:
    """Whether a shard is of frames, by its name."""
    return codec_of(file) is not None


def _at(values: Integers, wrong: Mask) -> str:
    return str(int(values[np.argmax(wrong)])) if wrong.any() else ""
