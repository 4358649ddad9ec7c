"""What a sample is as bytes and as a row: headers, layouts, checksums, encoded fields, footprints, catalog rows.

Plain functions over numpy arrays and Arrow tables; nothing here opens a file. What needs pyarrow, pyproj or shapely is
loaded on first use, so that ``import mlstac`` stays quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mlstac.sample._addresses import Addresses, address_samples, address_stacked
from mlstac.sample._checksum import checksum, checksum_blocks, checksum_rows
from mlstac.sample._codec import (
    MAX_EXPANSION,
    SHARED_FRAME_BYTES,
    compress_frame,
    decompress_frame,
    frame_contents,
    undo_file,
    undo_gzip_file,
    undo_header,
    undo_shared,
    walk_frames,
)
from mlstac.sample._columns import Column, Encoded, PackedSample
from mlstac.sample._compression import (
    GZIP,
    ZSTD,
    Compression,
    codec_of,
    import_zstandard,
    media_type_of,
    parse_compression,
)
from mlstac.sample._dtypes import alignment, count_bytes
from mlstac.sample._frames import address_frames, cut_frames, slice_frames
from mlstac.sample._header import (
    MAX_HEADER_BYTES,
    Entry,
    Header,
    build_header,
    described_size,
    header_length,
    read_header,
)
from mlstac.sample._layout import (
    LAYOUTS,
    MAX_KEYED_TENSORS,
    ShardPlan,
    ShardTensor,
    keyed_name,
    max_samples,
    pack_columns,
    pack_shard,
    split_keyed_name,
)
from mlstac.sample._media import (
    MEDIA_TYPES,
    decode_field,
    decode_json,
    decode_text,
    encode_field,
    infer_media_type,
)
from mlstac.sample._origins import Origin
from mlstac.sample._properties import RESERVED_PREFIXES, RESERVED_PROPERTIES
from mlstac.sample._row import Grid, Row, sample_row
from mlstac.sample._sample import Sample
from mlstac.sample._summary import SUMMARY_KEY, Summary, merge_summaries, read_summary
from mlstac.sample._time import EPOCH, parse_time, to_microseconds

if TYPE_CHECKING:
    from mlstac.sample._catalog import catalog_schema, catalog_table
    from mlstac.sample._centre import sample_centre
    from mlstac.sample._column_sizes import MAX_PART_BYTES, check_sizes
    from mlstac.sample._footprint import check_grid, footprint, footprints
    from mlstac.sample._items import items
    from mlstac.sample._parquet import ROW_GROUP_ROWS, parquet_options
    from mlstac.sample._rows import rows_table
    from mlstac.sample._sphere import bound_geometry, merge_bboxes
    from mlstac.sample._unfolded import read_groups

__all__ = [
    "EPOCH",
    "GZIP",
    "LAYOUTS",
    "MAX_EXPANSION",
    "MAX_HEADER_BYTES",
    "MAX_KEYED_TENSORS",
    "MAX_PART_BYTES",
    "MEDIA_TYPES",
    "RESERVED_PREFIXES",
    "RESERVED_PROPERTIES",
    "ROW_GROUP_ROWS",
    "SHARED_FRAME_BYTES",
    "SUMMARY_KEY",
    "ZSTD",
    "Addresses",
    "Column",
    "Compression",
    "Encoded",
    "Entry",
    "Grid",
    "Header",
    "Origin",
    "PackedSample",
    "Row",
    "Sample",
    "ShardPlan",
    "ShardTensor",
    "Summary",
    "address_frames",
    "address_samples",
    "address_stacked",
    "alignment",
    "bound_geometry",
    "build_header",
    "catalog_schema",
    "catalog_table",
    "check_grid",
    "check_sizes",
    "checksum",
    "checksum_blocks",
    "checksum_rows",
    "codec_of",
    "compress_frame",
    "count_bytes",
    "cut_frames",
    "decode_field",
    "decode_json",
    "decode_text",
    "decompress_frame",
    "described_size",
    "encode_field",
    "footprint",
    "footprints",
    "frame_contents",
    "header_length",
    "import_zstandard",
    "infer_media_type",
    "items",
    "keyed_name",
    "max_samples",
    "media_type_of",
    "merge_bboxes",
    "merge_summaries",
    "pack_columns",
    "pack_shard",
    "parquet_options",
    "parse_compression",
    "parse_time",
    "read_groups",
    "read_header",
    "read_summary",
    "rows_table",
    "sample_centre",
    "sample_row",
    "slice_frames",
    "split_keyed_name",
    "to_microseconds",
    "undo_file",
    "undo_gzip_file",
    "undo_header",
    "undo_shared",
    "walk_frames",
]

_LAZY = {
    "MAX_PART_BYTES": "_column_sizes",
    "ROW_GROUP_ROWS": "_parquet",
    "bound_geometry": "_sphere",
    "catalog_schema": "_catalog",
    "catalog_table": "_catalog",
    "check_grid": "_footprint",
    "check_sizes": "_column_sizes",
    "footprint": "_footprint",
    "footprints": "_footprint",
    "items": "_items",
    "merge_bboxes": "_sphere",
    "parquet_options": "_parquet",
    "read_groups": "_unfolded",
    "rows_table": "_rows",
    "sample_centre": "_centre",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
