"""Parts of the catalogs: opened, read row group after row group, and each row looked at."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely.errors

from mlstac.collection import Asset, Collection
from mlstac.errors import MlstacError
from mlstac.loading import RangedFile, column_ranges, open_part
from mlstac.sample import items, read_groups
from mlstac.storage import Fetcher
from mlstac.validation._addresses import AddressReader, Hrefs, Table, check_order, is_compressed
from mlstac.validation._columns import null_mask, one_chunk, text_pieces
from mlstac.validation._compressed import check_compressed, say_unread, warn_of_gzip
from mlstac.validation._deep import check_shard
from mlstac.validation._headers import compare_header, read_headers
from mlstac.validation._ids import Ids
from mlstac.validation._places import Places
from mlstac.validation._report import Findings
from mlstac.validation._schemas import Schemas
from mlstac.validation._statistics import Measured
from mlstac.validation._structure import check_structure, compare_structures

MAX_ROWS = 1_000_000
"""Of a part."""

MAX_HEADERS = 4_096
"""Headers of shards that are read of a part, unless every byte is; of a part of more shards these many, evenly."""

_ITEMS = 4
_READ_ERRORS = (pa.ArrowException, shapely.errors.ShapelyError, MlstacError, OSError, ValueError, KeyError)


class Context(NamedTuple):
    """What holds for all parts."""

    collection: Collection
    places: Places
    ids: Ids
    schemas: Schemas
    fetcher: Fetcher
    findings: Findings
    join: Callable[[str, str], Any]
    """Makes an href in a part a URL and a name, or says in words why it may not be followed."""
    deep: bool
    looked_at: dict[str, int]
    seen: dict[str, str]
    """Shards by URL, and the part that names each."""


class PartFile:
    """An open part.

    Parameters
    ----------
    url : str
    file : str
        Its name in findings.
    asset : Asset
    fetcher : Fetcher
    """

    def __init__(self, url: str, file: str, asset: Asset, fetcher: Fetcher) -> None:
        self.url = url
        self.file = file
        self.parquet: pq.ParquetFile
        self._ranged: RangedFile | None
        self.parquet, self._ranged, _ = open_part(url, asset, fetcher)

    @property
    def groups(self) -> Iterator[tuple[int, int, int]]:
        """Number, first row and rows of each row group."""
        first = 0
        for number in range(self.parquet.metadata.num_row_groups):
            rows = self.parquet.metadata.row_group(number).num_rows
            yield number, first, rows
            first += rows

    @contextmanager
    def reading(self, group: int, columns: Sequence[str]) -> Iterator[pq.ParquetFile]:
        """The file, with the bytes of some columns of a row group at hand."""
        if self._ranged is not None:
            self._ranged.fetch(column_ranges(self.parquet.metadata, columns, groups=[group]))
        try:
            yield self.parquet
        finally:
            if self._ranged is not None:
                self._ranged.forget()

    def columns(self, group: int, names: Sequence[str]) -> dict[str, Any]:
        """Top-level columns of a row group, as far as they are there, each as one array."""
        wanted = [name for name in names if name in self.parquet.schema_arrow.names]
        if not wanted:
            return {}
        with self.reading(group, wanted) as file:
            table = read_groups(file, wanted, [group], name=self.file)
        return {name: one_chunk(table.column(name)) for name in wanted}

    def asset(self, group: int, tensor: str, leaves: Sequence[str]) -> tuple[Any, Any]:
        """The struct of one tensor, with some fields, and which rows have it."""
        paths = [f"assets.{tensor}.{leaf}" for leaf in leaves]
        with self.reading(group, paths) as file:
            table = read_groups(file, paths, [group], name=self.file)
        assets = one_chunk(table.column("assets"))
        struct = assets.field(tensor)
        return struct, ~(null_mask(struct) | null_mask(assets))

    def rows(self, numbers: Sequence[int]) -> pa.Table:
        """Whole rows, by their numbers."""
        tables = []
        for group, first, count in self.groups:
            wanted = [number - first for number in numbers if first <= number < first + count]
            if wanted:
                with self.reading(group, self.parquet.schema_arrow.names) as file:
                    names = self.parquet.schema_arrow.names
                    tables.append(read_groups(file, names, [group], name=self.file).take(wanted))
        return pa.concat_tables(tables) if tables else self.parquet.schema_arrow.empty_table()


def check_part(
    part: PartFile,
    split: str,
    context: Context,
    *,
    measured: Mapping[str, Measured],
    like: tuple[str, pa.Schema] | None,
) -> int:
    """Look at one part, whole; gives its number of rows."""
    findings, collection = context.findings, context.collection
    metadata, schema, file = part.parquet.metadata, part.parquet.schema_arrow, part.file
    rows = int(metadata.num_rows)
    context.looked_at["parts"] += 1
    if rows > MAX_ROWS:
        findings.error(
            file,
            f"the part has {rows:,} rows; at most {MAX_ROWS:,} are allowed, and its rows were not looked at",
            "divide it",
        )
        return rows
    tensors = {name: tensor for name, tensor in collection.tensors.items() if tensor.dtype and tensor.shape is not None}
    shaped = {name: list(tensor.shape or ()).count(None) > 1 for name, tensor in tensors.items()}
    readable = check_structure(schema, file=file, tensors=shaped, findings=findings)
    if like is not None:
        compare_structures(like[1], schema, first=like[0], file=file, findings=findings)
    context.looked_at["rows"] += rows
    hrefs = Hrefs(lambda href: context.join(part.url, href), file=file, split=split, findings=findings)
    readers = {name: AddressReader(name, tensors[name], file=file, hrefs=hrefs, findings=findings) for name in readable}
    is_items = b"stac-geoparquet" in (schema.metadata or {})
    for group, first, count in part.groups:
        if not count:
            continue
        with _told(findings, file, first):
            _check_ids(part, group, first, context)
        with _told(findings, file, first):
            context.places.check(part.columns(group, context.places.columns), file=file, first=first, is_items=is_items)
        for name, reader in readers.items():
            with _told(findings, file, first):
                asset, there = part.asset(group, name, readable[name])
                reader.read(asset, first=first, there=there)
                fields = {field.name: asset.field(at) for at, field in enumerate(asset.type)}
                if any(column in fields for column in ("proj:code", "proj:wkt2", "proj:transform")):
                    context.places.check_asset(fields, f"assets.{name}.", file=file, first=first)
    tables = {name: reader.stored.joined(reader.fixed, reader.axes) for name, reader in readers.items()}
    check_order(tables, hrefs, file=file, findings=findings)
    _check_shards(part, tables, hrefs, context, measured)
    if is_items and rows:
        _check_items(part, rows, context)
    return rows


@contextmanager
def _told(findings: Findings, file: str, first: int) -> Iterator[None]:
    """Keep what pyarrow or the store says of a row group that cannot be read."""
    try:
        yield
    except _READ_ERRORS as error:
        findings.error(
            file, f"the row group from row {first:,} on cannot be read: {error}", "fetch the part again", row=first
        )


def _check_ids(part: PartFile, group: int, first: int, context: Context) -> None:
    if "id" not in part.parquet.schema_arrow.names:
        return
    with part.reading(group, ["id"]) as file:
        for at, piece in text_pieces(file, group, "id"):
            if not context.ids.add(part.file, first + at, piece):
                return


def _check_shards(
    part: PartFile, tables: Mapping[str, Table], hrefs: Hrefs, context: Context, measured: Mapping[str, Measured]
) -> None:
    """Hold each shard's rows against its header, and with ``deep`` against its bytes."""
    findings = context.findings
    for shard in hrefs.shards.values():
        other = context.seen.setdefault(shard.url, part.file)
        if other != part.file:
            findings.error(
                part.file,
                f"rows of {shard.file} stand in {other} too; all rows of a shard stand in one part",
                "write the catalogs again",
                row=shard.first,
            )
    context.looked_at["shards"] += len(hrefs.shards)
    numbers = list(hrefs.shards)
    if not context.deep and len(numbers) > MAX_HEADERS:
        chosen = np.linspace(0, len(numbers) - 1, MAX_HEADERS).astype(int).tolist()
        findings.add(
            "unchecked",
            part.file,
            f"it names {len(numbers):,} shards, of which {MAX_HEADERS:,}, evenly, were opened",
            "validate with deep=True (--deep)",
            path="assets",
        )
        numbers = [numbers[at] for at in chosen]
    plain = [hrefs.shards[number] for number in numbers if not is_compressed(hrefs.shards[number].file)]
    packed = [number for number in numbers if is_compressed(hrefs.shards[number].file)]
    by_url = {hrefs.shards[number].url: number for number in numbers}
    spans = {name: _spans(table) for name, table in tables.items()}
    for shard, header in read_headers(plain, fetcher=context.fetcher, findings=findings):
        number = by_url[shard.url]
        mine = {name: table.take(spans[name](number)) for name, table in tables.items()}
        keyed = any(name not in header.entries and len(table.rows) for name, table in mine.items())
        compare_header(
            shard,
            header,
            mine,
            tensors=context.collection.tensors,
            ids=_ids_of(part, mine) if keyed else None,
            findings=findings,
        )
        if context.deep:
            context.looked_at["bytes"] += check_shard(
                shard,
                header,
                mine,
                tensors=context.collection.tensors,
                measured=measured,
                fetcher=context.fetcher,
                findings=findings,
            )

    for number in packed:
        mine = {name: table.take(spans[name](number)) for name, table in tables.items()}
        context.looked_at["bytes"] += check_compressed(
            hrefs.shards[number],
            mine,
            tensors=context.collection.tensors,
            ids=_ids_of(part, mine) if context.deep else None,
            measured=measured,
            deep=context.deep,
            fetcher=context.fetcher,
            findings=findings,
        )
    warn_of_gzip([hrefs.shards[number] for number in packed], part.file, findings)
    if not context.deep:
        say_unread([hrefs.shards[number] for number in packed], part.file, findings)


def _spans(table: Table) -> Callable[[int], Any]:
    """Where the rows of each shard are in a table, found at once for all of them."""
    order = np.argsort(table.shards, kind="stable")
    ordered = table.shards[order]

    def rows_of(number: int) -> Any:
        start, stop = np.searchsorted(ordered, [number, number + 1])
        return order[start:stop]

    return rows_of


def _ids_of(part: PartFile, tables: Mapping[str, Table]) -> dict[int, str]:
    """Ids of the rows of a keyed shard."""
    rows = np.unique(np.concatenate([table.rows for table in tables.values()])) if tables else np.zeros(0, np.int64)
    found: dict[int, str] = {}
    if not rows.size or "id" not in part.parquet.schema_arrow.names:
        return found
    for group, first, count in part.groups:
        low, high = np.searchsorted(rows, [first, first + count])
        if low == high:
            continue
        with part.reading(group, ["id"]) as file:
            for at, piece in text_pieces(file, group, "id"):
                begin, end = np.searchsorted(rows, [first + at, first + at + len(piece)])
                for row in rows[begin:end].tolist():
                    if (text := piece[row - first - at].as_py()) is not None:
                        found[row] = text
    return found


def _check_items(part: PartFile, rows: int, context: Context) -> None:
    """Hold some rows, as the STAC Items that they are, against the schemas: all rows have one form."""
    numbers = sorted(set(np.linspace(0, rows - 1, _ITEMS).astype(int).tolist()))
    with _told(context.findings, part.file, 0):
        for number, item in zip(numbers, items(part.rows(numbers)), strict=True):
            plain = json.loads(json.dumps(item))  # tuples are no arrays to a schema
            context.schemas.check(plain, file=part.file, findings=context.findings, row=number)
