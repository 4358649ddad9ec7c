"""A query made ready for the columns of one catalog: what to read, and what it says of the rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlstac.errors import NotFoundError
from mlstac.search._geometry import meets_bounds, meets_box
from mlstac.search._query import Query
from mlstac.search._tests import Test, spatial_test
from mlstac.search._times import meets_span, time_columns
from mlstac.search._where import Translator, test_name
from mlstac.search._words import ask_for

Rows = NDArray[np.int64]
_BBOX = ("bbox.xmin", "bbox.ymin", "bbox.xmax", "bbox.ymax")


class Plan:
    """Which columns to read, and which rows of them a query means.

    A row group is gone through in two steps: `candidates` by what Arrow can tell of plain columns, its bounding box
    among them, and `keep` by what is left to numpy and shapely, for which only the candidates' values are read.

    Parameters
    ----------
    first : sequence of pyarrow.compute.Expression
        Conditions on `columns`; none is none.
    then : sequence of pyarrow.compute.Expression
        Conditions that use the answers of ``tests``.
    columns : sequence of str
        Leaves by dotted path that expressions read.
    tests : sequence of Test
    """

    def __init__(
        self, first: Sequence[Any], then: Sequence[Any], columns: Sequence[str], tests: Sequence[Test]
    ) -> None:
        self.first = _all(first)
        self._then = _all(then)
        self.columns = tuple(columns)
        self._tests = tuple(tests)
        self.late_columns = tuple(dict.fromkeys(test.column for test in tests))
        """Columns that `keep` needs besides."""

    def groups(self, metadata: Any) -> list[int]:
        """Row groups of a Parquet file that may have rows, by their statistics."""
        import io

        import pyarrow.dataset

        if self.first is None:
            return list(range(metadata.num_row_groups))
        footer = io.BytesIO()
        metadata.write_metadata_file(footer)  # the statistics alone: pyarrow prunes files, and this is one
        fragment = pyarrow.dataset.ParquetFileFormat().make_fragment(pa.BufferReader(footer.getvalue()))
        return [group.id for group in fragment.subset(filter=self.first).row_groups]

    def candidates(self, table: pa.Table) -> Rows:
        """Numbers of the rows that may be meant, of a table of `columns`."""
        return np.arange(len(table)) if self.first is None else _rows_where(table, self.first)

    def keep(self, table: pa.Table, late: pa.Table) -> Rows:
        """Numbers of the rows that are meant, of tables that hold candidates alone.

        Parameters
        ----------
        table, late : pyarrow.Table
            Of `columns` and of `late_columns`, the same rows.
        """
        if self._then is None:
            return np.arange(len(late))
        for number, test in enumerate(self._tests):
            column = late.column(test.column).combine_chunks()
            if isinstance(column, pa.ChunkedArray):  # of no rows pyarrow makes no chunk
                column = pa.array([], column.type)
            table = table.append_column(test_name(number), test.answer(column))
        return _rows_where(table, self._then)


def plan_query(query: Query, schema: pa.Schema) -> Plan:
    """Make a query ready for a catalog's columns.

    Raises
    ------
    NotFoundError
        If it asks for what the catalog has no column of.
    InvalidArgumentError
        If ``where`` uses what is not known here, or compares what cannot be compared.
    """
    import shapely

    first: list[Any] = []
    then: list[Any] = []
    translator = Translator(schema)
    columns: dict[str, None] = {}
    if query.ids is not None:
        first.append(pc.field("id").isin(pa.array(query.ids, pa.string())))
        columns["id"] = None
    if query.span is not None:
        times = time_columns(schema)
        if not times:
            raise _missing("datetime=", "datetime", "time", schema)
        first.append(meets_span(query.span, schema))
        columns |= dict.fromkeys(times)
    if query.bbox is not None:
        if "bbox" not in schema.names:
            raise _missing("bbox=", "bbox", "place", schema)
        first.append(meets_box(query.bbox))
    if query.region is not None:
        if "geometry" not in schema.names:
            raise _missing("intersects=", "geometry", "place", schema)
        region = shapely.from_wkb(query.region)
        translator.tests.append(spatial_test("s_intersects", region))
        then.append(pc.field(test_name(0)))
        if "bbox" in schema.names:
            first.append(meets_bounds(region))
    for condition, beforehand, tested in [] if query.where is None else translator.split(query.where):
        (then if tested else first).append(condition)
        if beforehand is not None:
            first.append(beforehand)
    columns |= translator.columns
    if "bbox" in schema.names and (query.bbox is not None or any(t.column == "geometry" for t in translator.tests)):
        columns |= dict.fromkeys(_BBOX)
    if not columns and "id" in schema.names:
        columns["id"] = None  # something must be read for its number of rows
    return Plan(first, then, tuple(columns), translator.tests)


def _missing(said: str, column: str, what: str, schema: pa.Schema) -> NotFoundError:
    known = ask_for(schema.names)
    return NotFoundError(
        f"{said} asks for a {what}, and the samples of this dataset have none (no column {column!r}); leave it out, or "
        f"ask for {' or '.join(known)} with where="
    )


def _all(conditions: Sequence[Any]) -> Any:
    found = None
    for condition in conditions:
        found = condition if found is None else found & condition
    return found


def _rows_where(table: pa.Table, condition: Any) -> Rows:
    import pyarrow.dataset

    scanned = pyarrow.dataset.dataset(table).scanner(columns={"said": condition}, use_threads=False).to_table()
    said = scanned.column("said").fill_null(False).to_numpy()
    return np.flatnonzero(said).astype(np.int64)
