"""A part of a catalog that is there already, read with the bounds that loading has too: anybody may have made it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlstac.errors import CatalogError
from mlstac.sample import MAX_PART_BYTES, check_sizes, read_groups


class CatalogFile:
    """An open part.

    Parameters
    ----------
    parquet : pyarrow.parquet.ParquetFile
    name : str
        Its path, for messages.
    """

    def __init__(self, parquet: pq.ParquetFile, name: str) -> None:
        self._parquet = parquet
        self._name = name

    @property
    def schema(self) -> pa.Schema:
        """Columns and types."""
        return self._parquet.schema_arrow

    @property
    def groups(self) -> list[int]:
        """Rows of each row group."""
        metadata = self._parquet.metadata
        return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]

    def read(self, columns: Sequence[str] | None = None, groups: Iterable[int] | None = None) -> pa.Table:
        """Some columns of some row groups; all by default.

        Raises
        ------
        CatalogError
            If their texts take more memory than any that was written honestly.
        """
        wanted = self.schema.names if columns is None else columns
        return read_groups(
            self._parquet, wanted, range(len(self.groups)) if groups is None else groups, name=self._name
        )


@contextmanager
def open_catalog(source: Path | pa.BufferReader, *, name: str = "") -> Iterator[CatalogFile]:
    """Open a part.

    Parameters
    ----------
    source : path or pyarrow.BufferReader
    name : str, optional
        Where it is from, for messages; of a path the path.

    Raises
    ------
    CatalogError
        If it is larger than any that is read, or a column of it is larger than its rows can need.
    OSError, pyarrow.ArrowException
        If it cannot be read.
    """
    name = name or str(source)
    size = source.stat().st_size if isinstance(source, Path) else source.size()
    if size > MAX_PART_BYTES:
        raise CatalogError(
            f"catalog {name} has {size:,} bytes, more than the {MAX_PART_BYTES:,} that are read; divide it into parts "
            "of 1,000,000 rows or fewer"
        )
    # A relative path with a colon in it (run:1/flood) is a URI to Arrow.
    with pq.ParquetFile(source.absolute() if isinstance(source, Path) else source, pre_buffer=False) as parquet:
        check_sizes(parquet.metadata, name=name)
        yield CatalogFile(parquet, name)
