"""How a catalog is written: encodings that make addresses cost nothing, and the metadata that GIS tools look for."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyproj

from mlstac.sample._summary import Summary

__all__ = ["ROW_GROUP_ROWS", "geo_metadata", "parquet_options"]

ROW_GROUP_ROWS = 131_072

# Numbers that rise by nearly the same step: their differences are packed to a few bits a row.
_DELTA = {"ml:offset", "ml:length", "ml:frame_offset", "datetime", "start_datetime", "end_datetime"}
# Every value another: a dictionary of them would be a second copy.
_PLAIN = {"geometry", "bbox", "ml:checksum"}


def geo_metadata(summary: Summary, *, is_items: bool) -> dict[bytes, bytes]:
    """Metadata of a Parquet file with these rows: GeoParquet 1.1, and stac-geoparquet where they are Items."""
    metadata: dict[bytes, bytes] = {}
    if summary.n_placed and summary.bbox is not None:
        column = {
            "encoding": "WKB",
            "geometry_types": list(summary.geometry_types),
            "crs": pyproj.CRS("OGC:CRS84").to_json_dict(),
            "edges": "planar",
            "orientation": "counterclockwise",
            "bbox": list(summary.bbox),
            "covering": {"bbox": {name: ["bbox", name] for name in ("xmin", "ymin", "xmax", "ymax")}},
        }
        geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
        metadata[b"geo"] = json.dumps(geo).encode()
    if is_items:
        metadata[b"stac-geoparquet"] = json.dumps({"version": "1.0.0"}).encode()
    return metadata


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Keywords of ``pyarrow.parquet.write_table`` for a catalog of this schema.

    ``row_group_size`` among them belongs to ``ParquetWriter.write_table`` where a writer is made of the others.
    """
    encodings: dict[str, str] = {}
    dictionaries: list[str] = []
    leaves = [(".".join(names), names, kind) for names, kind in _leaves(schema)]
    times = Counter(path for path, _, _ in leaves)
    for path, names, kind in leaves:
        if times[path] > 1:  # a column called "assets.x.href" beside the true one: Parquet cannot tell them apart here
            continue
        # A tensor may be called "bbox", and an author's column "ml"; only the format's own places count.
        name = names[2] if names[0] == "assets" else names[0]
        if path == "id":
            encodings[path] = "DELTA_BYTE_ARRAY"
        elif name in _DELTA:
            encodings[path] = "DELTA_BINARY_PACKED"
        elif name not in _PLAIN and not pa.types.is_boolean(kind):
            dictionaries.append(path)
    return {
        "row_group_size": ROW_GROUP_ROWS,
        "compression": "zstd",
        "use_dictionary": dictionaries or False,
        "column_encoding": encodings,
        "write_page_index": True,
    }


def _leaves(schema: pa.Schema) -> Iterator[tuple[tuple[str, ...], pa.DataType]]:
    """Parquet's own paths of the leaf columns, and their types."""
    stack: list[tuple[tuple[str, ...], pa.DataType]] = [((field.name,), field.type) for field in reversed(list(schema))]
    while stack:
        path, kind = stack.pop()
        if pa.types.is_struct(kind):
            stack.extend(((*path, field.name), field.type) for field in reversed(list(kind)))
        elif pa.types.is_list(kind):
            stack.append(((*path, "list", "element"), kind.value_type))
        else:
            yield path, kind
