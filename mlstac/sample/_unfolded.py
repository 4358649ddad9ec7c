"""Columns of a catalog part, read so that few bytes on disk do not fill the memory."""

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from mlstac.errors import CatalogError

MAX_TEXT_BYTES = 1024**3
"""Of the columns of texts of one row group, in memory."""

PIECE_BYTES = 256 * 1024**2
"""The most memory that a piece of a column of texts may take, whatever its encoding makes of few bytes."""

_LEAST_ROWS = 16
_SHARED = ("DICTIONARY", "DELTA_BYTE_ARRAY")
"""Encodings that hold a text, or the beginning of one, once for many rows."""


def read_groups(file: pq.ParquetFile, columns: Sequence[str], groups: Iterable[int], *, name: str) -> pa.Table:
    """Some columns of some row groups, with no more memory than their values may take.

    A dictionary of one text of a megabyte makes 100 GB of a row group of 200 KB. No text is longer than the bytes of
    its column, so as many rows are read at once as stay within `PIECE_BYTES` if every one were so long.

    Parameters
    ----------
    file : pyarrow.parquet.ParquetFile
    columns : sequence of str
        Leaves or whole columns, by dotted path.
    groups : iterable of int
    name : str
        The part, for messages.

    Raises
    ------
    CatalogError
        If columns of texts take more than `MAX_TEXT_BYTES` in a row group, and did not on disk.
    """
    tables = [_read_group(file, list(columns), group, name) for group in groups]
    return pa.concat_tables(tables) if tables else file.schema_arrow.empty_table().select(_tops(columns))


def _read_group(file: pq.ParquetFile, columns: list[str], group: int, name: str) -> pa.Table:
    described = file.metadata.row_group(group)
    shared = {}
    for number in range(described.num_columns):
        leaf = described.column(number)
        asked = any(leaf.path_in_schema == column or leaf.path_in_schema.startswith(f"{column}.") for column in columns)
        if asked and leaf.physical_type == "BYTE_ARRAY" and _shares(leaf.encodings):
            shared[leaf.path_in_schema] = leaf.total_uncompressed_size
    held = max(shared.values(), default=0)
    if described.num_rows * held <= PIECE_BYTES:
        return file.read_row_group(group, columns=columns, use_threads=False)
    rows = max(PIECE_BYTES // held, _LEAST_ROWS)
    batches, taken = [], 0
    for batch in file.iter_batches(batch_size=rows, row_groups=[group], columns=columns, use_threads=False):
        taken += batch.nbytes
        if taken > max(MAX_TEXT_BYTES, described.total_byte_size):
            raise CatalogError(
                f"{name}: in the row group of {described.num_rows:,} rows {', '.join(shared)} unfold to more than the "
                f"{MAX_TEXT_BYTES:,} bytes that are read; write the catalog again"
            )
        batches.append(batch)
    return pa.Table.from_batches(batches).combine_chunks()


def _shares(encodings: Sequence[str]) -> bool:
    return any(word in encoding for encoding in encodings for word in _SHARED)


def _tops(columns: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(column.partition(".")[0] for column in columns))
