"""The catalog of a dataset: rows of one or more parts, one after another."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlstac.errors import CatalogError
from mlstac.loading._addresses import PLAIN, Located
from mlstac.loading._layout import TensorLayout
from mlstac.loading._part import Part
from mlstac.loading._shards import Shards
from mlstac.storage import redact

if TYPE_CHECKING:
    from mlstac.search import Query


class Catalog:
    """Rows of several parts as one; opens a part when one of its rows is first asked for.

    Parameters
    ----------
    parts : sequence of Part
    splits : sequence of (str, int, int)
        For each split its name, how many parts it has, and how many rows the collection promises.
    shards : Shards
        The numbers that the parts give.
    """

    def __init__(self, parts: Sequence[Part], *, splits: Sequence[tuple[str, int, int]], shards: Shards) -> None:
        self.parts = tuple(parts)
        self.shards = shards
        self._splits = tuple(splits)
        self._rows = sum(rows for _, _, rows in splits)
        self._edges: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return self._rows

    def edges(self) -> NDArray[np.int64]:
        """First row of every part, and the end of the last.

        Raises
        ------
        CatalogError
            If the parts of a split have not as many rows as the collection says.
        """
        if self._edges is None:
            counts, first = [], 0
            for name, number, promised in self._splits:
                parts = self.parts[first : first + number]
                held = [len(part) for part in parts]
                if sum(held) != promised:
                    where = ", ".join(redact(part.url) for part in parts) or "no part"
                    raise CatalogError(
                        f"split {name!r} has {sum(held)} rows in {where}; "
                        f"the collection says {promised} (ml:{name}.n_items)"
                    )
                counts += held
                first += number
            self._edges = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
        return self._edges

    def split_of_parts(self) -> list[str]:
        """Name of the split that each part belongs to."""
        return [name for name, number, _ in self._splits for _ in range(number)]

    def locate(self, layout: TensorLayout, rows: NDArray[np.int64]) -> Located:
        """Addresses of one tensor for rows of the catalog, in their order."""
        edges = self.edges()
        if len(self.parts) == 1:
            return self._locate_in(0, layout, rows)
        files, offsets, lengths = (np.empty(len(rows), np.int64) for _ in range(3))
        shapes = None if layout.fixed is not None else np.empty((len(rows), len(layout.shape)), np.int64)
        frames: NDArray[np.int64] | None = None
        owner = np.searchsorted(edges, rows, side="right") - 1
        for number in np.unique(owner).tolist():
            mine = np.flatnonzero(owner == number)
            found = self._locate_in(number, layout, rows[mine] - edges[number])
            files[mine], offsets[mine], lengths[mine] = found.files, found.offsets, found.lengths
            if shapes is not None:
                shapes[mine] = found.shapes
            if found.frames is not None:
                frames = np.full(len(rows), PLAIN, np.int64) if frames is None else frames
                frames[mine] = found.frames
        return Located(files, offsets, lengths, shapes, frames)

    def locate_one(self, layout: TensorLayout, row: int) -> tuple[int, int, int]:
        """File, offset and place in the frame of one row of the catalog."""
        edges = self.edges()
        number = int(edges.searchsorted(row, side="right")) - 1 if len(self.parts) > 1 else 0
        row -= int(edges[number])
        addresses, first = self.parts[number].addresses_of(layout, row, row)
        return addresses.locate_one(row - first)

    def _locate_in(self, number: int, layout: TensorLayout, rows: NDArray[np.int64]) -> Located:
        """Addresses for rows of one part, by their number in it."""
        part = self.parts[number]
        if not len(rows):
            return part.addresses(layout).locate(rows)
        addresses, first = part.addresses_of(layout, int(rows.min()), int(rows.max()))
        return addresses.locate(rows - first if first else rows)

    def checksums(self, tensor: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """``ml:checksum`` of one tensor for rows; -1 where the catalog gives none."""
        result = np.full(len(rows), -1, np.int64)
        owner = np.searchsorted(self.edges(), rows, side="right") - 1
        for number in np.unique(owner).tolist():
            known = self.parts[number].checksums(tensor)
            if known is not None:
                mine = owner == number
                result[mine] = known[rows[mine] - self.edges()[number]]
        return result

    def spans(self, layout: TensorLayout) -> dict[int, tuple[int, int, int, int]]:
        """Of one tensor, per shard: first byte, end, number of rows, and their bytes together."""
        merged: dict[int, tuple[int, int, int, int]] = {}
        for part in self.parts:
            for file, span in part.addresses(layout).spans().items():
                known = merged.get(file)
                merged[file] = span if known is None else (
                    min(known[0], span[0]), max(known[1], span[1]), known[2] + span[2], known[3] + span[3]
                )  # fmt: skip
        return merged

    def schema(self) -> pa.Schema:
        """Columns of the rows; that of the first part, for all have one."""
        return self.parts[0].schema() if self.parts else pa.schema([("id", pa.string())])

    def table(self, columns: Sequence[str]) -> pa.Table:
        """Some top-level columns of every row."""
        self.edges()
        tables = [part.table(columns) for part in self.parts]
        if not tables:
            return self.schema().empty_table().select(list(columns))
        return pa.concat_tables(tables)

    def search(self, query: "Query", rows: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Rows that a query means, of all or of those given, in their order.

        Raises
        ------
        NotFoundError, InvalidArgumentError
            If it asks for a column that is not there, or for what cannot be asked of it.
        CatalogError
            If the parts have not one schema.
        """
        from mlstac.search import plan_query

        edges = self.edges()
        if not self.parts:
            return np.zeros(0, np.int64)
        plan = plan_query(query, self.schema())
        wanted = range(len(self.parts))
        if rows is not None:
            owner = np.searchsorted(edges, rows, side="right") - 1
            wanted = np.unique(owner).tolist()
        found = [np.zeros(0, np.int64)]
        for number in wanted:
            part = self.parts[number]
            self._check_columns(part, (*plan.columns, *plan.late_columns))
            found.append(part.search(plan) + edges[number])
        matches = np.concatenate(found)
        if rows is None:
            return matches
        meant = np.zeros(len(self), np.bool_)
        meant[matches] = True
        picked: NDArray[np.int64] = rows[meant[rows]]
        return picked

    def _check_columns(self, part: Part, columns: Sequence[str]) -> None:
        """Refuse a part in which a column is missing or of another type than in the first: all have one schema."""
        ours, theirs = self.schema(), part.schema()
        for name in {name if name in ours.names else name.partition(".")[0] for name in columns}:
            if name not in theirs.names or theirs.field(name).type != ours.field(name).type:
                raise CatalogError(
                    f"{redact(part.url)} has no column {name!r} of type {ours.field(name).type}, as the first part of "
                    "the catalog has; all parts have one schema: fetch the dataset again, or write it again"
                )

    def row(self, number: int, columns: Sequence[str]) -> dict[str, Any]:
        """Some top-level columns of one row."""
        owner = int(np.searchsorted(self.edges(), number, side="right")) - 1
        return self.parts[owner].row(int(number - self.edges()[owner]), columns)

    def name_of(self, number: int) -> str:
        """``sample 7 ('train-0000007')``, for errors."""
        try:
            return f"sample {number} ({self.row(number, ['id'])['id']!r})"
        except Exception:  # noqa: BLE001  (an error about a sample must not be hidden by one about its name)
            return f"sample {number}"
