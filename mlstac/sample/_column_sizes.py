"""What a catalog part may take in memory, by its own footer: looked at before a column is read."""

import pyarrow.parquet as pq

from mlstac.errors import CatalogError

MAX_PART_BYTES = 2 * 1024**3
"""Largest catalog part that is read, whatever its collection says; one of 1,000,000 rows with footprints has 61 MB."""

MAX_COLUMN_BYTES = 2 * 1024**3
"""Of a column of one row group, decompressed."""

_SLACK_BYTES = 1024 * 1024
# an id has at most 512 characters, of 4 bytes at most, and its length
_ID_BYTES = 4 * 512 + 4
# levels, a number of 8 bytes or a place in a dictionary, and as much again for pages and their headers
_NUMBER_BYTES = 32
_NUMBERS = frozenset({"BOOLEAN", "INT32", "INT64", "FLOAT", "DOUBLE"})


def check_sizes(metadata: pq.FileMetaData, *, name: str) -> None:
    """Refuse a part one of whose columns is larger than its rows can need.

    A small file may hold a column that decompresses to gigabytes: one id of a thousand million letters, say.

    Raises
    ------
    CatalogError
        Names the column, and the row group by its first row.
    """
    first = 0
    for group in range(metadata.num_row_groups):
        described = metadata.row_group(group)
        rows = described.num_rows
        for number in range(described.num_columns):
            column = described.column(number)
            path = column.path_in_schema
            most = MAX_COLUMN_BYTES
            if path == "id":
                most = min(most, rows * _ID_BYTES + _SLACK_BYTES)
            elif column.physical_type in _NUMBERS and ".list." not in path:
                most = min(most, rows * _NUMBER_BYTES + _SLACK_BYTES)
            if column.total_uncompressed_size > most:
                raise CatalogError(
                    f"{name}, row {first}: the column {path[:100]} takes {column.total_uncompressed_size:,} bytes in "
                    f"{rows:,} rows, more than the {most:,} that are read; write the catalog again"
                )
        first += rows
