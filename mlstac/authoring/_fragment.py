"""Rows of a catalog as the journal has them: without what all rows share, and with their summary."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from mlstac.authoring._properties import LARGE
from mlstac.collection import Tensor
from mlstac.sample import SUMMARY_KEY, Summary, merge_bboxes

_SHARED: Final = ("type", "stac_version", "stac_extensions", "links", "collection")
_PROJECTION: Final = ("proj:code", "proj:wkt2", "proj:transform", "proj:shape")
_PLACES_AND_TIMES: Final = ("id", "geometry", "bbox", "datetime", "start_datetime", "end_datetime", "assets")


def as_fragment(rows: pa.Table, tensors: Mapping[str, Tensor]) -> pa.Table:
    """The rows of one shard of a catalog as the fragment that they were made of.

    Parameters
    ----------
    rows : pyarrow.Table
        As a part of the catalog has them.
    tensors : mapping of str to Tensor
        By them grids that stand beside the assets go back to the assets that have axes y and x.
    """
    rows = rows.drop_columns([name for name in _SHARED if name in rows.column_names and _is_shared(rows, name)])
    assets = _one_array(rows["assets"])
    lifted = {name: _one_array(rows[name]) for name in _PROJECTION if name in rows.column_names}
    structs = {}
    for field in assets.type:
        struct = assets.field(field.name)
        if struct.null_count == len(rows):  # no sample of the shard has it
            continue
        structs[field.name] = _with_grid(struct, tensors[field.name], lifted) if lifted else struct
    grids_differ = not lifted and _grids_differ(structs)
    rows = rows.drop_columns(list(lifted))
    made = pa.StructArray.from_arrays(list(structs.values()), names=list(structs))
    rows = rows.set_column(rows.schema.get_field_index("assets"), "assets", made)
    rows = rows.drop_columns(_empty_columns(rows))
    summary = _summarize(rows, structs, tensors, grids_differ=grids_differ)
    return rows.replace_schema_metadata({SUMMARY_KEY: summary.to_json()})


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _empty_columns(rows: pa.Table) -> list[str]:
    """Columns that say nothing of these rows, though they do of others."""
    empty = [name for name in rows.column_names if rows[name].null_count == len(rows)]
    if "datetime" in empty and "start_datetime" in rows.column_names and "start_datetime" not in empty:
        empty.remove("datetime")  # of intervals alone, the instant is null in all rows
    return empty


def _is_shared(rows: pa.Table, name: str) -> bool:
    """Whether a column is the format's own: an author's own rows, which are no Items, may have such a column too."""
    return {"type", "stac_version", "links"} <= set(rows.column_names) or name not in rows.column_names


def _own(rows: pa.Table) -> list[str]:
    return [name for name in rows.column_names if name not in _PLACES_AND_TIMES]


def property_kinds(rows: pa.Table) -> dict[str, str]:
    """The kind of each of the author's columns, in the words of `Properties`."""
    kinds = {}
    for name in _own(rows):
        if name in _SHARED or name in _PROJECTION:
            continue
        kind = rows.schema.field(name).type
        if rows[name].null_count == len(rows):
            continue
        words = _word(kind.value_type) if pa.types.is_list(kind) else _word(kind)
        if words == "int" and not pa.types.is_list(kind):
            numbers = rows[name].drop_null().to_numpy()
            if (numbers.astype(np.float64).astype(object) != numbers.astype(object)).any():
                words = LARGE
        kinds[name] = f"a list of {words}" if pa.types.is_list(kind) else words
    return kinds


def _word(kind: pa.DataType) -> str:
    for word, is_kind in (
        ("bool", pa.types.is_boolean),
        ("int", pa.types.is_integer),
        ("float", pa.types.is_floating),
        ("date", pa.types.is_date),
        ("datetime", pa.types.is_timestamp),
    ):
        if is_kind(kind):
            return word
    return "text"


def _with_grid(struct: pa.StructArray, tensor: Tensor, lifted: Mapping[str, pa.Array]) -> pa.StructArray:
    """An asset with the grid that stands beside it, where its height and width are those of the grid."""
    y, x = tensor.y_axis, tensor.x_axis
    if y is None or x is None or "proj:shape" not in lifted:
        return struct
    sides = [_lengths(struct, tensor, axis) for axis in (y, x)]
    wanted = [pc.list_element(_padded(lifted["proj:shape"]), at) for at in (0, 1)]
    alike = pc.fill_null(pc.and_(pc.equal(wanted[0], sides[0]), pc.equal(wanted[1], sides[1])), False)
    alike = pc.and_(alike, struct.is_valid())
    fields = {field.name: struct.field(field.name) for field in struct.type}
    for name, array in lifted.items():
        fields[name] = pc.if_else(alike, array, pa.scalar(None, array.type))
    return pa.StructArray.from_arrays(list(fields.values()), names=list(fields), mask=struct.is_null())


def _lengths(struct: pa.StructArray, tensor: Tensor, axis: int) -> pa.Array:
    """Length of one axis in each row."""
    length = (tensor.shape or ())[axis] if tensor.shape else None
    if length is not None:
        return pa.repeat(pa.scalar(length, pa.int64()), len(struct))
    shapes = struct.field("ml:shape").to_pylist()
    return pa.array([shape[axis] if shape and len(shape) > axis else None for shape in shapes], pa.int64())


def _padded(shapes: pa.Array) -> pa.Array:
    """Lists of two numbers at least: an empty one has no first."""
    return pa.array([shape if shape and len(shape) >= 2 else [None, None] for shape in shapes.to_pylist()], shapes.type)


def _grids_differ(structs: Mapping[str, pa.StructArray]) -> bool:
    """Whether the tensors of any row are on different grids."""
    with_grid = [struct for struct in structs.values() if struct.type.get_field_index("proj:shape") >= 0]
    if len(with_grid) < 2:
        return False
    for row in range(len(with_grid[0])):
        found = [struct[row].as_py() for struct in with_grid]
        grids = [tuple(repr(one.get(name)) for name in _PROJECTION) for one in found if one and one["proj:shape"]]
        if len(set(grids)) > 1:
            return True
    return False


def _summarize(
    rows: pa.Table, structs: Mapping[str, pa.StructArray], tensors: Mapping[str, Tensor], *, grids_differ: bool
) -> Summary:
    names = rows.column_names
    bbox, n_placed = None, 0
    types: tuple[str, ...] = ()
    if "geometry" in names:
        placed = rows["geometry"].drop_null()
        n_placed = len(placed)
        types = tuple(sorted({shape.geom_type for shape in _distinct(placed)}))
        boxes = _one_array(rows["bbox"])
        sides = [boxes.field(at).to_numpy(zero_copy_only=False) for at in range(4)]
        bbox = merge_bboxes(np.column_stack(sides)[boxes.is_valid().to_numpy(zero_copy_only=False)])
    starts = rows["start_datetime"] if "start_datetime" in names else rows["datetime"] if "datetime" in names else None
    ends = rows["end_datetime"] if "end_datetime" in names else starts
    n_dated = len(rows) - starts.null_count if starts is not None else 0
    interval = None
    if n_dated:
        interval = (_microseconds(pc.min(starts)), _microseconds(pc.max(ends)))
    shapes: dict[str, tuple[int, ...] | None] = {}
    for name, struct in structs.items():
        if struct.type.get_field_index("ml:shape") >= 0:
            distinct = {tuple(shape) for shape in struct.drop_null().field("ml:shape").to_pylist()}
            shapes[name] = distinct.pop() if len(distinct) == 1 else None
        else:
            shapes[name] = tuple(length or 0 for length in tensors[name].shape or ())
    n_intervals = 0
    if "start_datetime" in names and "datetime" in names:
        n_intervals = n_dated - (len(rows) - rows["datetime"].null_count)
    return Summary(
        n=len(rows),
        n_placed=n_placed,
        n_dated=n_dated,
        n_intervals=n_intervals,
        bbox=bbox,
        interval=interval,
        geometry_types=types,
        grids_differ=grids_differ,
        tensors=tuple(structs),
        shapes=shapes,
    )


def _distinct(column: pa.ChunkedArray) -> list[Any]:
    """One geometry of each type."""
    shapes = shapely.from_wkb(column.to_numpy(zero_copy_only=False))
    _, first = np.unique(shapely.get_type_id(shapes), return_index=True)
    return list(shapes[first])


def _microseconds(time: pa.Scalar) -> int:
    return int(time.cast(pa.int64()).as_py())
