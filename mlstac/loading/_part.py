"""One catalog part: a Parquet file of rows, read as far as it is needed, and taken for hostile until checked."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mlstac.errors import CatalogError, FormatError, MlstacError, StorageError
from mlstac.loading._addresses import Addresses, Runs, find_runs, make_addresses, take_runs
from mlstac.loading._check import check_rows
from mlstac.loading._columns import RowError, integers, only_chunk, present, strings
from mlstac.loading._layout import TensorLayout
from mlstac.loading._part_rows import Mask, first_rows, parse_rows
from mlstac.loading._ranged import OpenFile, column_ranges
from mlstac.loading._shards import Shards
from mlstac.sample import read_groups
from mlstac.storage import redact

if TYPE_CHECKING:
    from mlstac.search import Plan

Opener = Callable[[list[str]], OpenFile]
"""Opens the file, given the columns to keep as dictionaries; a remote one, read by columns, comes with its bytes."""

Parsed = TypeVar("Parsed")


class Part:
    """Rows of one catalog file; everything it has read is kept, and reading twice does no harm.

    Parameters
    ----------
    url : str
        Named in errors; shards are relative to it.
    tensors : sequence of str
        Those that rows may have.
    open_file : callable
        Gives the Parquet file.
    rows : int, optional
        Its number of rows, if the collection says it: then the file need not be opened to know it.
    join : callable
        Makes an href of a row the URL of a shard, or refuses it.
    shards : Shards
        Where shards get their numbers.
    """

    def __init__(
        self,
        url: str,
        *,
        tensors: Sequence[str],
        open_file: Opener,
        rows: int | None = None,
        join: Callable[[str, str], str],
        shards: Shards,
    ) -> None:
        self.url = url
        self._tensors = tuple(tensors)
        self._open_file = open_file
        self._rows = rows
        self._join = join
        self._shards = shards
        self._file: OpenFile | None = None
        self._schema: pa.Schema | None = None
        self._edges: NDArray[np.int64] | None = None
        self._addresses: dict[str, Addresses] = {}
        self._begun: dict[str, tuple[int, Addresses]] = {}  # a row group, where no more was asked for yet
        self._checksums: dict[str, NDArray[np.uint32]] = {}

    def file(self) -> pq.ParquetFile:
        """The open Parquet file."""
        if self._file is None:
            try:
                file = self._open_with_dictionaries()
            except (FormatError, StorageError):
                raise
            except (pa.ArrowException, OSError, ValueError) as error:
                raise CatalogError(f"{redact(self.url)} is not a readable Parquet file: {error}") from error
            found = file.parquet.metadata.num_rows
            if self._rows is not None and found != self._rows:
                raise CatalogError(
                    f"{redact(self.url)} has {found} rows; the collection says {self._rows} (table:row_count)"
                )
            _check_ids(file.parquet.schema_arrow, redact(self.url))
            self._file = file  # once it is sound: who asks again is told again
        return self._file.parquet

    def _open_with_dictionaries(self) -> OpenFile:
        try:
            return self._open_file([f"assets.{tensor}.href" for tensor in self._tensors])
        except KeyError:  # one of them is no column: whoever asks for that tensor will be told
            return self._open_file([])

    @contextmanager
    def _reading(self, columns: Sequence[str], groups: Sequence[int] | None = None) -> Iterator[pq.ParquetFile]:
        """The file, with the bytes of some columns (of some row groups) at hand if it is remote."""
        file = self.file()
        ranged = self._file.ranged if self._file is not None else None
        if ranged is not None:
            ranged.fetch(column_ranges(file.metadata, columns, groups))
        try:
            yield file
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, MlstacError):
                raise
            raise CatalogError(f"{redact(self.url)} cannot be read: {error}") from error
        finally:
            if ranged is not None:
                ranged.forget()

    def __len__(self) -> int:
        return int(self.file().metadata.num_rows) if self._rows is None else self._rows

    def addresses(self, layout: TensorLayout) -> Addresses:
        """Where the bytes of one tensor are, checked.

        Raises
        ------
        CatalogError
            If columns are missing or a row points where it may not; names the row and the column.
        """
        if layout.name not in self._addresses:
            self._addresses[layout.name] = self._read_addresses(layout)
            self._begun.pop(layout.name, None)
        return self._addresses[layout.name]

    def addresses_of(self, layout: TensorLayout, first: int, last: int) -> tuple[Addresses, int]:
        """Where the bytes of one tensor are for rows from ``first`` to ``last``, and which row is the first of these.

        Of a local part with many rows the first row group that is asked for is read alone: a sample, or the first
        batches of an epoch in order, need not wait for a million rows. Whoever asks for another has all read.

        Raises
        ------
        CatalogError
            As `addresses` does, of what is read.
        """
        known = self._addresses.get(layout.name)
        if known is None and self._rows != 0:
            edges = self.group_edges()
            if len(edges) > 2 and self._file is not None and self._file.ranged is None:
                group = int(edges.searchsorted(first, side="right")) - 1
                if last < edges[group + 1]:
                    number, found = self._begun.get(layout.name, (group, None))
                    if found is None:
                        found = self._read_addresses(layout, [group])
                        self._begun[layout.name] = (group, found)
                    if number == group:
                        return found, int(edges[group])
        return self.addresses(layout) if known is None else known, 0

    def files(self, tensors: Sequence[str]) -> dict[str, tuple[int, str | None]]:
        """Size and checksum of every shard that rows name, by URL."""
        found: dict[str, tuple[int, str | None]] = {}
        for tensor in tensors:
            if not self._has(tensor, "href"):
                continue
            summed = self._has(tensor, "file:checksum")
            leaves = ["href", "file:size", *(["file:checksum"] if summed else [])]
            what = f"assets.{tensor}"

            def parse(asset: pa.StructArray, where: Mask, what: str = what, summed: bool = summed) -> None:
                sizes = integers(asset.field("file:size"), where=where, what=f"{what}.file:size")
                hrefs = strings(asset.field("href"), where=where, what=f"{what}.href")
                sums = asset.field("file:checksum") if summed else None
                for row, name in first_rows(hrefs):
                    url = self._join(self.url, name)
                    found.setdefault(url, (int(sizes[row]), None if sums is None else sums[row].as_py()))

            self._each_group(tensor, leaves, parse)
        return found

    def checksums(self, tensor: str) -> NDArray[np.uint32] | None:
        """``ml:checksum`` of every row; None if the catalog has none."""
        if tensor not in self._checksums:
            if not self._has(tensor, "ml:checksum"):
                return None
            what = f"assets.{tensor}.ml:checksum"

            def parse(asset: pa.StructArray, where: Mask) -> NDArray[np.uint32]:
                return integers(asset.field("ml:checksum"), where=where, what=what).astype(np.uint32)

            columns = self._each_group(tensor, ["ml:checksum"], parse)
            self._checksums[tensor] = np.concatenate(columns) if columns else np.zeros(0, np.uint32)
        return self._checksums[tensor]

    def table(self, columns: Sequence[str]) -> pa.Table:
        """Some top-level columns, whole."""
        with self._reading(columns) as file:
            return read_groups(file, columns, range(file.metadata.num_row_groups), name=redact(self.url))

    def row(self, number: int, columns: Sequence[str]) -> dict[str, Any]:
        """Some top-level columns of one row."""
        file = self.file()
        for group in range(file.metadata.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if number < count:
                table = read_groups(file, columns, [group], name=redact(self.url))
                row: dict[str, Any] = table.slice(number, 1).to_pylist()[0]
                return row
            number -= count
        raise IndexError(number)

    def group_edges(self) -> NDArray[np.int64]:
        """First row of every row group, and the end of the last."""
        if self._edges is None:
            metadata = self.file().metadata
            counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
            self._edges = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
        return self._edges

    def group(self, group: int) -> pa.Table:
        """One row group, whole."""
        columns = self.schema().names
        with self._reading(columns, [group]) as file:
            return read_groups(file, columns, [group], name=redact(self.url))

    def search(self, plan: "Plan") -> NDArray[np.int64]:
        """Numbers of the rows that a query means.

        Reads the columns that it speaks of, in the row groups whose statistics do not rule it out.
        """
        firsts = self.group_edges()
        candidates: dict[int, tuple[pa.Table, NDArray[np.int64]]] = {}
        groups = plan.groups(self.file().metadata)
        if not groups:
            return np.zeros(0, np.int64)
        with self._reading(plan.columns, groups) as file:
            for group in groups:
                table = read_groups(file, plan.columns, [group], name=redact(self.url))
                rows = plan.candidates(table)
                if len(rows):
                    candidates[group] = (table.take(pa.array(rows)) if plan.late_columns else table, rows)
        if plan.late_columns and candidates:
            with self._reading(plan.late_columns, list(candidates)) as file:
                for group, (table, rows) in candidates.items():
                    late = read_groups(file, plan.late_columns, [group], name=redact(self.url))
                    candidates[group] = (table, rows[plan.keep(table, late.take(pa.array(rows)))])
        found = [rows + firsts[group] for group, (_, rows) in candidates.items()]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def schema(self) -> pa.Schema:
        """Arrow schema of the file."""
        if self._schema is None:  # pyarrow makes another whenever it is asked, which takes longer than a row group
            self._schema = self.file().schema_arrow
        return self._schema

    def _has(self, tensor: str, leaf: str) -> bool:
        schema = self.schema()
        assets = schema.field("assets").type if "assets" in schema.names else None
        if assets is None or not pa.types.is_struct(assets) or assets.get_field_index(tensor) < 0:
            return False
        asset = assets.field(tensor).type
        return bool(pa.types.is_struct(asset) and asset.get_field_index(leaf) >= 0)

    def _each_group(
        self,
        tensor: str,
        leaves: Sequence[str],
        parse: Callable[[Any, Mask], Parsed],
        groups: Sequence[int] | None = None,
    ) -> list[Parsed]:
        """Hand the tensor's structs, and which rows have it, to ``parse``, one row group (of all) after another."""
        columns = [f"assets.{tensor}.{leaf}" for leaf in leaves]
        results = []
        with self._reading(columns, groups) as file:
            first = int(self.group_edges()[groups[0]]) if groups else 0
            for group in range(file.metadata.num_row_groups) if groups is None else groups:
                if "file:checksum" in leaves:
                    table = read_groups(file, columns, [group], name=redact(self.url))
                else:  # hrefs come as dictionaries, and numbers take what they take
                    table = file.read_row_group(group, columns=columns, use_threads=False)
                assets = only_chunk(table.column("assets"))
                asset = assets.field(tensor)
                where, outer = present(asset), present(assets)
                if outer is not None:
                    where = outer if where is None else where & outer
                try:
                    results.append(parse(asset, where))
                except RowError as error:
                    raise CatalogError(f"{redact(self.url)}, row {first + error.row}: {error.message}") from error
                except CatalogError as error:
                    raise CatalogError(f"{redact(self.url)}: {error}") from error
                first += table.num_rows
        return results

    def _read_addresses(self, layout: TensorLayout, groups: Sequence[int] | None = None) -> Addresses:
        tensor = layout.name
        leaves = ["href", "file:size", "ml:offset", "ml:length"]
        absent = [leaf for leaf in leaves if not self._has(tensor, leaf)]
        if absent:
            raise CatalogError(
                f"{redact(self.url)} lacks the column assets.{tensor}.{absent[0]}; it cannot say where samples are"
            )
        varies = layout.fixed is None
        shaped = varies and self._has(tensor, "ml:shape")
        shared = self._has(tensor, "ml:frame_offset")
        mark = self._file.mark if self._file is not None else ""

        def join(href: str) -> str:
            return self._join(self.url, href)

        def parse(asset: pa.StructArray, where: Mask) -> Runs:
            rows = parse_rows(
                asset, where, layout, shaped=shaped, shared=shared, shards=self._shards, join=join, mark=mark
            )
            runs = find_runs(rows)
            check_rows(rows, runs, layout)
            return take_runs(rows, runs)

        leaves += (["ml:shape"] if shaped else []) + (["ml:frame_offset"] if shared else [])
        return make_addresses(self._each_group(tensor, leaves, parse, groups))


def _check_ids(schema: pa.Schema, name: str) -> None:
    """Every sample has an id: errors, filters and pictures call it by that."""
    if "id" not in schema.names:
        raise CatalogError(
            f"{name} has no column 'id', and every catalog has one: texts such as 'train-0000042', unique in the "
            "collection; write the catalog again"
        )
    kind = schema.field("id").type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise CatalogError(f"{name} has ids of type {kind}, and ids are texts; write the catalog again")
