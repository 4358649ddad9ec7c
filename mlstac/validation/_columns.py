"""Columns of a row group as numpy arrays, with what is null in them; nothing here judges."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

TEXT_BYTES = 256 * 2**20
"""The most memory that a piece of a column of texts may take, whatever its encoding makes of few bytes."""


def null_mask(array: Any) -> Mask:
    """Which entries are null."""
    if not array.null_count:
        return np.zeros(len(array), bool)
    return np.asarray(pc.is_null(array).to_numpy(zero_copy_only=False))


def numbers(array: Any, *, dtype: Any = np.int64) -> NDArray[Any]:
    """A column of numbers; 0 where it is null."""
    filled = array.fill_null(0) if array.null_count else array
    return np.asarray(filled.to_numpy(zero_copy_only=False)).astype(dtype, copy=False)


def times(array: Any) -> tuple[NDArray[np.int64], Mask]:
    """A column of times as microseconds, and which are null."""
    return numbers(array.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())), null_mask(array)


def fields_of(array: pa.StructArray, names: tuple[str, ...]) -> list[Any]:
    """Children of a struct, null where the struct is."""
    return [pc.struct_field(array, name) for name in names]


def lists(array: Any) -> tuple[NDArray[np.int64], Any]:
    """Length of each list (0 where null), and the values of all one after another."""
    lengths = numbers(pc.list_value_length(array))
    return lengths, pc.list_flatten(array)


def one_chunk(column: Any) -> Any:
    """A column of a table as one array."""
    if column.num_chunks == 1:
        return column.chunk(0)
    joined = column.combine_chunks()
    if isinstance(joined, pa.ChunkedArray):  # of no chunk at all, or of more text than one array holds
        return joined.chunk(0) if joined.num_chunks else pa.array([], column.type)
    return joined


def text_pieces(file: pq.ParquetFile, group: int, column: str) -> Iterator[tuple[int, Any]]:
    """A column of texts of a row group, piece by piece, with each piece's first row.

    A text of a column chunk is no longer than the chunk; so a piece has as many rows as stay within `TEXT_BYTES` if
    every text were so long. Encodings that share beginnings or whole texts would fill the memory otherwise.
    """
    described = file.metadata.row_group(group)
    paths = [described.column(number).path_in_schema for number in range(described.num_columns)]
    held = described.column(paths.index(column)).total_uncompressed_size
    rows = int(min(max(TEXT_BYTES // max(held, 1), 16), 131_072))
    first = 0
    for batch in file.iter_batches(batch_size=rows, row_groups=[group], columns=[column], use_threads=False):
        yield first, batch.column(0)
        first += batch.num_rows
