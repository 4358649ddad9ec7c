"""The catalog of a dataset: one schema for all its parts, and the fragments made to fit it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlstac.collection import STAC_VERSION
from mlstac.errors import CatalogError, InvalidSampleError
from mlstac.sample._kinds import join_kinds
from mlstac.sample._parquet import geo_metadata
from mlstac.sample._rows import BBOX, LINKS, TIMESTAMP
from mlstac.sample._summary import SUMMARY_KEY, Summary, merge_summaries, read_summary

__all__ = ["FILE_EXTENSION", "PROJECTION_EXTENSION", "catalog_schema", "catalog_table"]

FILE_EXTENSION = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
PROJECTION_EXTENSION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"

_STRINGS = pa.list_(pa.string())
_PROJECTION = ("proj:code", "proj:wkt2", "proj:transform", "proj:shape")
_ITEM_COLUMNS = {
    "type": pa.string(),
    "stac_version": pa.string(),
    "stac_extensions": _STRINGS,
    "links": LINKS,
    "collection": pa.string(),
}
_TIMES = ("datetime", "start_datetime", "end_datetime")
_OWN = frozenset({*_ITEM_COLUMNS, *_TIMES, *_PROJECTION, "id", "geometry", "bbox", "assets"})
_VALUE = b"mlstac:value"


def catalog_schema(
    fragments: Iterable[pa.Schema],
    *,
    collection: str,
    collection_href: str = "../collection.json",
    varying: Iterable[str] = (),
) -> pa.Schema:
    """The one schema of all parts of all splits.

    Parameters
    ----------
    fragments : iterable of pyarrow.Schema
        Of the tables that :func:`rows_table` made, of all splits.
    collection : str
        The collection's id; where every row is placed and dated each row is an Item of it.
    collection_href : str
        Of ``collection.json``, relative to the parts.
    varying : iterable of str
        Tensors that the collection gives no whole shape: each row keeps its ``ml:shape``, though all may agree so far.

    Returns
    -------
    pyarrow.Schema
        Without a column of nulls alone; its metadata has GeoParquet's ``geo`` where any row is placed and
        ``stac-geoparquet`` where the rows are Items.

    Raises
    ------
    CatalogError
        If a schema is no fragment's.
    InvalidSampleError
        If a property is of one kind in one fragment and of another in the next.
    """
    schemas = list(fragments)
    summary = merge_summaries(read_summary(schema) for schema in schemas)
    properties: dict[str, pa.DataType] = {}
    for schema in schemas:
        for field in schema:
            if field.name not in _OWN:
                known = properties.get(field.name, field.type)
                properties[field.name] = join_kinds(known, field.type, name=field.name)
    assets = _asset_fields(schemas, summary, frozenset(varying))
    is_items = 0 < summary.n == summary.n_placed == summary.n_dated
    fields = [pa.field("id", pa.string())]
    if is_items:
        links = [{"rel": "collection", "href": collection_href, "type": "application/json"}]
        has_grid = any(name in kinds for kinds in assets.values() for name in _PROJECTION)
        extensions = [FILE_EXTENSION, *([PROJECTION_EXTENSION] if has_grid else [])]
        values = ("Feature", STAC_VERSION, extensions, links, collection)
        for (name, kind), value in zip(_ITEM_COLUMNS.items(), values, strict=True):
            # What is the same in all rows stands in the schema, and is filled in by `catalog_table`.
            fields.append(pa.field(name, kind, metadata={_VALUE: json.dumps(value).encode()}))
    elif any("links" in schema.names for schema in schemas):
        fields.append(pa.field("links", LINKS))
    if summary.n_placed:
        fields += [pa.field("geometry", pa.binary()), pa.field("bbox", BBOX)]
    if summary.n_dated:
        fields += [pa.field(name, TIMESTAMP) for name in (_TIMES if summary.n_intervals else _TIMES[:1])]
    if not summary.grids_differ:
        lifted = {name: kinds.pop(name) for name in _PROJECTION for kinds in assets.values() if name in kinds}
        fields += [pa.field(name, kind) for name, kind in lifted.items()]
    fields += [pa.field(name, kind) for name, kind in properties.items()]
    structs = [pa.field(name, pa.struct(list(kinds.items()))) for name, kinds in assets.items()]
    fields.append(pa.field("assets", pa.struct(structs)))
    return pa.schema(fields, metadata=geo_metadata(summary, is_items=is_items) | {SUMMARY_KEY: summary.to_json()})


def catalog_table(fragment: pa.Table, schema: pa.Schema) -> pa.Table:
    """Make a fragment fit the catalog's schema; the order of its rows stays.

    Raises
    ------
    CatalogError
        If it has a column that the schema lacks.
    InvalidSampleError
        If an integer is too large for the float that its column became.
    """
    n = len(fragment)
    assets = fragment.column("assets").combine_chunks()
    if isinstance(assets, pa.ChunkedArray):  # pyarrow gives one chunk of none at all as no chunk
        assets = (
            pa.concat_arrays(assets.chunks) if assets.num_chunks else pa.array([], fragment.schema.field("assets").type)
        )
    unknown = [name for name in fragment.column_names if name not in schema.names]
    if unknown:
        raise CatalogError(f"a fragment has the columns {', '.join(unknown)}, which its catalog's schema lacks")
    columns = []
    for field in schema:
        if field.name == "assets":
            columns.append(_fit_assets(assets, field.type))
        elif (field.metadata or {}).get(_VALUE) is not None:
            value = json.loads(field.metadata[_VALUE])
            if field.name == "links" and "links" in fragment.column_names:
                own = fragment.column("links").to_pylist()
                columns.append(pa.array([[*value, *(links or [])] for links in own], field.type))
            else:
                columns.append(pa.repeat(pa.scalar(value, field.type), n))
        elif field.name in fragment.column_names:
            columns.append(_cast(fragment.column(field.name), field))
        elif field.name in ("start_datetime", "end_datetime") and "datetime" in fragment.column_names:
            columns.append(fragment.column("datetime"))
        elif field.name in _PROJECTION:
            columns.append(_lift(assets, field))
        else:
            columns.append(pa.nulls(n, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _asset_fields(
    schemas: Sequence[pa.Schema], summary: Summary, varying: frozenset[str]
) -> dict[str, dict[str, pa.DataType]]:
    """Fields of each tensor's struct, in the order of the first fragment that has them."""
    assets: dict[str, dict[str, pa.DataType]] = {}
    for schema in schemas:
        for asset in schema.field("assets").type:
            kinds = assets.setdefault(asset.name, {})
            for field in asset.type:
                kinds.setdefault(field.name, field.type)
    for name, kinds in assets.items():
        if summary.shapes.get(name) is not None and name not in varying:
            kinds.pop("ml:shape", None)  # the collection says it once
    return assets


def _cast(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    try:
        return column.cast(field.type, safe=True)
    except pa.ArrowInvalid:
        raise InvalidSampleError(
            f"property {field.name!r} has floats, and an integer of more than 53 bits, which no float holds; "
            "give it one kind"
        ) from None


def _fit_assets(assets: pa.StructArray, kind: pa.StructType) -> pa.StructArray:
    structs = []
    for field in kind:
        at = assets.type.get_field_index(field.name)
        structs.append(pa.nulls(len(assets), field.type) if at < 0 else _fit_struct(assets.field(at), field.type))
    return pa.StructArray.from_arrays(structs, fields=list(kind))


def _fit_struct(struct: pa.StructArray, kind: pa.StructType) -> pa.StructArray:
    values = []
    for field in kind:
        at = struct.type.get_field_index(field.name)
        values.append(pa.nulls(len(struct), field.type) if at < 0 else struct.field(at))
    return pa.StructArray.from_arrays(values, fields=list(kind), mask=struct.is_null() if struct.null_count else None)


def _lift(assets: pa.StructArray, field: pa.Field) -> pa.Array:
    """One column of what the tensors of a row have in common: of the first tensor that has it."""
    found = list(_values_of(assets, field.name))
    if not found:
        return pa.nulls(len(assets), field.type)
    return found[0] if len(found) == 1 else pc.coalesce(*found)


def _values_of(assets: pa.StructArray, name: str) -> Iterator[Any]:
    for at in range(assets.type.num_fields):
        index = assets.type.field(at).type.get_field_index(name)
        if index >= 0:
            struct = assets.field(at)
            # A tensor that the sample lacks says nothing, whatever lies under its null.
            yield pc.if_else(struct.is_valid(), struct.field(index), pa.scalar(None, struct.field(index).type))
