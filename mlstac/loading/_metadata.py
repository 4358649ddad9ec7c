"""The catalog's columns, read when they are asked for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlstac.errors import MissingPackageError, NotFoundError
from mlstac.loading._catalog import Catalog
from mlstac.loading._selection import row_of

if TYPE_CHECKING:
    import pandas as pd

ADDRESSES = ("assets",)
"""Columns that say where bytes are: left out unless asked for by name."""

SPLIT = "split"

_CONSTANT = ("type", "stac_version", "stac_extensions", "links", "collection")  # the same in every row of a STAC Item


class Metadata:
    """Lazy view of a dataset's catalog: one row a sample, in the dataset's order.

    ``metadata.columns`` names them, ``metadata[4]`` is one row as a dict, ``to_table`` and ``to_pandas`` read columns
    whole.
    """

    def __init__(
        self,
        catalog: Catalog,
        rows: NDArray[np.int64] | None,
        count: int,
        *,
        splits: Sequence[tuple[str, int]] | None = None,
    ) -> None:
        self._catalog = catalog
        self._rows = rows
        self._count = count
        self._splits = splits

    def with_splits(self, splits: Sequence[tuple[str, int]]) -> "Metadata":
        """The same rows, with a column ``split`` of names and how many rows each has, if the catalog has none."""
        told = None if SPLIT in self._catalog.schema().names else splits
        return Metadata(self._catalog, self._rows, self._count, splits=told)

    def __len__(self) -> int:
        return self._count

    @property
    def columns(self) -> list[str]:
        """Names of the columns, without those that hold addresses."""
        return self._with_split([name for name in self._catalog.schema().names if name not in ADDRESSES])

    def to_table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Columns of all rows as an Arrow table.

        Parameters
        ----------
        columns : sequence of str, optional
            By default all but addresses (``assets``).

        Raises
        ------
        NotFoundError
            If there is no such column; lists those that there are.
        """
        wanted = self._chosen(columns)
        stored = [name for name in wanted if name != SPLIT or self._splits is None]
        table = self._catalog.table(stored)
        table = table if self._rows is None else table.take(pa.array(self._rows))
        if self._splits is not None and SPLIT in wanted:
            names = [pa.repeat(pa.scalar(name), count) for name, count in self._splits]
            table = table.add_column(wanted.index(SPLIT), SPLIT, pa.chunked_array(names, pa.string()))
        return table

    def to_pandas(self, columns: Sequence[str] | None = None) -> "pd.DataFrame":
        """Columns of all rows as a pandas DataFrame.

        Raises
        ------
        MissingPackageError
            If pandas is not installed.
        """
        try:
            import pandas  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingPackageError(
                "to_pandas needs pandas; run: pip install pandas (to_table does without)"
            ) from error
        frame: pd.DataFrame = self.to_table(columns).to_pandas()
        return frame

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        row = row_of(index, self._count)
        stored = [name for name in self.columns if name != SPLIT or self._splits is None]
        found = self._catalog.row(row if self._rows is None else int(self._rows[row]), stored)
        if self._splits is None:
            return found
        ends = np.cumsum([count for _, count in self._splits])
        found[SPLIT] = self._splits[int(np.searchsorted(ends, row, side="right"))][0]
        return {name: found[name] for name in self.columns}

    def __repr__(self) -> str:
        try:
            names = [name for name in self.columns if name not in _CONSTANT]
            lines = [f"Metadata: {self._count:,} samples, columns {', '.join(names)}"]
            for row in range(min(3, self._count)):
                cells = (f"{key}={_short(value)}" for key, value in self[row].items() if key in names)
                lines.append(f"  {row}: {', '.join(cells)}")
        except Exception as error:  # noqa: BLE001  (a repr must not raise: debuggers call it)
            return f"Metadata: {self._count:,} samples ({type(error).__name__}: {error})"
        return "\n".join([*lines, "  …"] if self._count > 3 else lines)

    def _with_split(self, names: list[str]) -> list[str]:
        return names if self._splits is None else [*names[:1], SPLIT, *names[1:]]

    def _chosen(self, columns: Sequence[str] | None) -> list[str]:
        if columns is None:
            return self.columns
        wanted = [columns] if isinstance(columns, str) else list(columns)
        known = self._with_split(self._catalog.schema().names)
        for name in wanted:
            if name not in known:
                raise NotFoundError(f"the catalog has no column {name!r}; it has {', '.join(known)}")
        return wanted


def _short(value: Any) -> str:
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    text = repr(value)
    return text if len(text) <= 48 else text[:47] + "…"
