"""Catalog rows of one shard: a table of ids, places, times, the author's columns and addresses."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from mlstac.errors import InvalidArgumentError
from mlstac.sample._addresses import Addresses
from mlstac.sample._compression import media_type_of
from mlstac.sample._crs import read_crs
from mlstac.sample._kinds import property_array
from mlstac.sample._places import Places, find_places
from mlstac.sample._row import Row
from mlstac.sample._sphere import merge_bboxes
from mlstac.sample._summary import SUMMARY_KEY, Summary
from mlstac.sample._time import to_microseconds

__all__ = ["BBOX", "LINKS", "TIMESTAMP", "rows_table"]

TIMESTAMP = pa.timestamp("us", tz="UTC")
BBOX = pa.struct([(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])
LINKS = pa.list_(pa.struct([("rel", pa.string()), ("href", pa.string()), ("type", pa.string())]))
_STRINGS = pa.list_(pa.string())


def rows_table(
    rows: Sequence[Row],
    addresses: Mapping[str, Addresses],
    *,
    href: str,
    file_size: int,
    file_checksum: str,
    roles: Mapping[str, str] | None = None,
) -> pa.Table:
    """Rows of one shard, as a fragment of a catalog.

    Parameters
    ----------
    rows : sequence of Row, length n
        In the order of the shard.
    addresses : mapping of str to Addresses
        By tensor; where ``shapes`` are given they become ``ml:shape``, which :func:`catalog_table` drops again where
        all rows of the dataset agree.
    href : str
        Of the shard, relative to the catalog part, e.g. ``"./00000.safetensors"``.
    file_size : int
        Bytes of the shard.
    file_checksum : str
        Multihash of the shard: ``1220`` and its sha256 in hexadecimal.
    roles : mapping of str to str, optional
        ``data`` (the default) or ``label``, by tensor.

    Returns
    -------
    pyarrow.Table
        With the columns that these rows need, and their summary in its schema's metadata; :func:`catalog_schema` and
        :func:`catalog_table` make the parts of a catalog of such fragments.

    Raises
    ------
    InvalidSampleError
        If a grid leaves its CRS's domain, or a property has values of several kinds.
    """
    for name, address in addresses.items():
        if len(address.offset) != len(rows):
            raise InvalidArgumentError(f"tensor {name!r} has {len(address.offset)} addresses for {len(rows)} rows")
    places = find_places(rows)
    columns: dict[str, pa.Array] = {"id": pa.array([row.id for row in rows], pa.string())}
    placed = ~np.isnan(places.bboxes[:, 0])
    if placed.any():
        columns["geometry"] = pa.array(shapely.to_wkb(places.geometries), pa.binary())
        columns["bbox"] = _bbox_array(places.bboxes, placed)
    columns |= _time_columns(rows)
    if any(row.derived_from for row in rows):
        columns["links"] = pa.array([_links_of(row) for row in rows], LINKS)
    names = dict.fromkeys(name for row in rows for name in row.properties)
    for name in names:
        array = property_array([row.properties.get(name) for row in rows], name=name)
        if array is not None:
            columns[name] = array
    assets = {
        name: _asset_array(name, address, rows, href, file_size, file_checksum, (roles or {}).get(name, "data"))
        for name, address in addresses.items()
    }
    columns["assets"] = pa.StructArray.from_arrays(list(assets.values()), names=list(assets))
    summary = _summarise(rows, places, placed, addresses)
    return pa.table(columns).replace_schema_metadata({SUMMARY_KEY: summary.to_json()})


def _links_of(row: Row) -> list[dict[str, str | None]]:
    return [{"rel": "derived_from", "href": href, "type": kind} for href, kind in row.derived_from]


def _bbox_array(bboxes: NDArray[np.float64], placed: NDArray[np.bool_]) -> pa.Array:
    return pa.StructArray.from_arrays(
        [pa.array(np.ascontiguousarray(bboxes[:, axis]), pa.float64()) for axis in range(4)],
        fields=list(BBOX),
        mask=None if placed.all() else pa.array(~placed),
    )


def _time_columns(rows: Sequence[Row]) -> dict[str, pa.Array]:
    times = {"datetime": [row.datetime for row in rows]}
    if any(row.start_datetime is not None for row in rows):
        # STAC: where one row has an interval all have, an instant's being its own.
        times["start_datetime"] = [row.start_datetime or row.datetime for row in rows]
        times["end_datetime"] = [row.end_datetime or row.datetime for row in rows]
    if not any(value is not None for values in times.values() for value in values):
        return {}
    return {name: pa.array(values, TIMESTAMP) for name, values in times.items()}


def _asset_array(
    name: str,
    address: Addresses,
    rows: Sequence[Row],
    href: str,
    file_size: int,
    file_checksum: str,
    role: str,
) -> pa.Array:
    n = len(rows)
    fields: dict[str, pa.Array] = {
        "href": _constant(href, pa.string(), n),
        "type": _constant(media_type_of(href), pa.string(), n),
        "roles": _constant([role], _STRINGS, n),
        "file:size": _constant(file_size, pa.int64(), n),
        "file:checksum": _constant(file_checksum, pa.string(), n),
        "ml:offset": pa.array(address.offset, pa.int64()),
        "ml:length": pa.array(address.length, pa.int64()),
    }
    if address.frame_offset is not None:
        fields["ml:frame_offset"] = pa.array(address.frame_offset, pa.int64())
    if address.shapes is not None:
        fields["ml:shape"] = _shape_array(name, address, n)
    fields["ml:checksum"] = pa.array(address.checksum, pa.uint32())
    fields |= _grid_fields(name, rows)
    absent = None if address.present is None else pa.array(~address.present)
    return pa.StructArray.from_arrays(list(fields.values()), names=list(fields), mask=absent)


def _constant(value: Any, kind: pa.DataType, n: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), n)


def _shape_array(name: str, address: Addresses, n: int) -> pa.Array:
    """Lists of lengths; empty where the sample lacks the tensor, which the struct's own mask says."""
    shapes = address.shapes or ()
    m = n if address.present is None else int(np.count_nonzero(address.present))
    if len(shapes) != m:
        raise InvalidArgumentError(f"tensor {name!r} has {len(shapes)} shapes for {m} samples that have it")
    axes = np.zeros(n, dtype=np.int32)
    axes[slice(None) if address.present is None else address.present] = [len(shape) for shape in shapes]
    offsets = np.concatenate([[0], np.cumsum(axes)]).astype(np.int32)
    lengths = np.fromiter((length for shape in shapes for length in shape), np.int64, count=int(offsets[-1]))
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(lengths))


def _grid_fields(name: str, rows: Sequence[Row]) -> dict[str, pa.Array]:
    grids = [row.grids.get(name) for row in rows]
    if not any(grids):
        return {}
    crs = {grid.crs: read_crs(grid.crs) for grid in grids if grid and grid.crs}
    codes = [crs[grid.crs].code if grid and grid.crs else None for grid in grids]
    fields = {
        "proj:code": pa.array(codes, pa.string()),
        "proj:transform": pa.array([grid and grid.transform for grid in grids], pa.list_(pa.float64())),
        "proj:shape": pa.array([grid and grid.shape for grid in grids], pa.list_(pa.int64())),
    }
    if any(known.code is None for known in crs.values()):
        wkt = [grid.crs if grid and grid.crs and crs[grid.crs].code is None else None for grid in grids]
        fields["proj:wkt2"] = pa.array(wkt, pa.string())
    return fields


def _summarise(
    rows: Sequence[Row], places: Places, placed: NDArray[np.bool_], addresses: Mapping[str, Addresses]
) -> Summary:
    starts = [row.start_datetime or row.datetime for row in rows]
    ends = [row.end_datetime or row.datetime for row in rows]
    known = set(shapely.get_type_id(places.geometries[placed]).tolist())
    shapes: dict[str, tuple[int, ...] | None] = {}
    for name, address in addresses.items():
        if address.shapes:
            distinct = set(address.shapes)
            shapes[name] = distinct.pop() if len(distinct) == 1 else None
    return Summary(
        n=len(rows),
        n_placed=int(placed.sum()),
        n_dated=sum(start is not None for start in starts),
        n_intervals=sum(row.start_datetime is not None for row in rows),
        bbox=merge_bboxes(places.bboxes),
        interval=_extent(starts, ends),
        geometry_types=tuple(sorted(_GEOMETRY_TYPES[number] for number in known)),
        grids_differ=any(len(set(row.grids.values())) > 1 for row in rows),
        tensors=tuple(addresses),
        shapes=shapes,
    )


# shapely's numbers; a LinearRing (2) is written as the LineString that it is.
_GEOMETRY_TYPES = {
    0: "Point",
    1: "LineString",
    2: "LineString",
    3: "Polygon",
    4: "MultiPoint",
    5: "MultiLineString",
    6: "MultiPolygon",
    7: "GeometryCollection",
}


def _extent(starts: Sequence[datetime | None], ends: Sequence[datetime | None]) -> tuple[int, int] | None:
    first = min((start for start in starts if start is not None), default=None)
    last = max((end for end in ends if end is not None), default=None)
    return None if first is None or last is None else (to_microseconds(first), to_microseconds(last))
