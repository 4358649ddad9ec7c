"""Catalog rows of samples that are a file each, made of their headers and held in memory."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlstac.collection import Collection, Tensor
from mlstac.errors import InvalidSampleError, ShardError
from mlstac.loading.original._facts import Facts, read_facts
from mlstac.loading.original._files import Files
from mlstac.loading.original._heads import Head
from mlstac.sample import Addresses, Header, Row, Sample, catalog_schema, catalog_table, rows_table, sample_row
from mlstac.storage import redact

_GZIP = "application/gzip"


def make_parts(files: Files, heads: Sequence[Head], collection: Collection, texts: Mapping[str, str]) -> list[pa.Table]:
    """Rows of every split, all of one schema.

    Parameters
    ----------
    files : Files
    heads : sequence of Head
        Of every sample, in the order of the files.
    collection : Collection
        With its tensors.
    texts : mapping of str to str
        Field -> key of the header's metadata that holds its text.
    """
    fragments = []
    for split, first, last in zip(files.splits, files.edges[:-1], files.edges[1:], strict=True):
        urls = [split.url(number) for number in range(split.count)]
        ids = [files.id(row) for row in range(first, last)]
        fragments.append(_fragment(urls, ids, heads[first:last], collection.tensors, texts))
    schema = catalog_schema(
        [fragment.schema for fragment in fragments],
        collection=collection.id,
        collection_href="./main.json",
        varying=tuple(name for name, tensor in collection.tensors.items() if None in (tensor.shape or ())),
    )
    return [catalog_table(fragment, schema) for fragment in fragments]


def as_parquet(table: pa.Table) -> pq.ParquetFile:
    """A table as a Parquet file in memory: what readers of catalogs take."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return pq.ParquetFile(pa.BufferReader(sink.getvalue()))


def make_sample(
    header: Header, tensors: Mapping[str, Tensor], values: Mapping[str, Any], *, id: str, name: str
) -> Sample:
    """A sample of a header, on its place and in its time, if it says where and when.

    Parameters
    ----------
    header : Header
    tensors : mapping of str to Tensor
        As the collection describes them.
    values : mapping of str to array or str
        The tensors that the sample has; nothing is read of them here.
    id : str
    name : str
        The file, for messages.

    Raises
    ------
    ShardError
        If place or time cannot be meant.
    """
    facts = read_facts(header.metadata, name=name)
    time = {} if facts.start is None else (
        {"datetime": facts.start}
        if facts.start == facts.end
        else {"start_datetime": facts.start, "end_datetime": facts.end}
    )  # fmt: skip
    place, unplaced = _place_of(facts, header, tensors)
    properties = facts.properties | unplaced
    try:
        try:
            return Sample(values, id=id, properties=properties, **time, **place)
        except InvalidSampleError:
            if "crs" not in place:
                raise
            # a CRS that PROJ does not know (SR-ORG's are not): the words are kept, and no place is made of them
            properties |= {"original_crs": str(facts.crs), "original_geotransform": str(facts.geotransform)}
            return Sample(values, id=id, properties=properties, **time)
    except InvalidSampleError as error:
        raise ShardError(f"{name}: {error}") from error


def grids_of(header: Header, tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, int]]:
    """Rows and columns of the tensors of a sample that have axes y and x."""
    found = {}
    for name, entry in header.entries.items():
        tensor = tensors.get(name)
        if tensor is not None and tensor.y_axis is not None and tensor.x_axis is not None:
            found[name] = (entry.shape[tensor.y_axis], entry.shape[tensor.x_axis])
    return found


def _place_of(facts: Facts, header: Header, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, str]]:
    """CRS and geotransform of the tensors that lie on the grid of the first; else the words, to be kept as words."""
    if facts.geotransform is None:
        return {}, {}
    grids = grids_of(header, tensors)
    main = grids.get("input", next(iter(grids.values()), None))
    on_grid = [name for name, size in grids.items() if size == main]
    if not on_grid:
        return {}, {"original_geotransform": str(facts.geotransform), "original_crs": str(facts.crs)}
    place: dict[str, Any] = {"geotransform": dict.fromkeys(on_grid, facts.geotransform)}
    if facts.crs is not None:
        place["crs"] = dict.fromkeys(on_grid, facts.crs)
    return place, {}


def _fragment(
    urls: Sequence[str],
    ids: Sequence[str],
    heads: Sequence[Head],
    tensors: Mapping[str, Tensor],
    texts: Mapping[str, str],
) -> pa.Table:
    rows: list[Row] = []
    present = {name: np.zeros(len(heads), bool) for name in tensors}
    shapes: dict[str, list[tuple[int, ...]]] = {name: [] for name in tensors}
    for number, (url, id_, head) in enumerate(zip(urls, ids, heads, strict=True)):
        entries, metadata = head.header.entries, head.header.metadata
        for name in tensors:
            if name in texts and metadata.get(texts[name]):
                shapes[name].append((len(metadata[texts[name]].encode()),))
            elif name not in texts and name in entries:
                shapes[name].append(entries[name].shape)
            else:
                continue
            present[name][number] = True
        sample = make_sample(head.header, tensors, dict.fromkeys(tensors), id=id_, name=redact(url))
        rows.append(sample_row(sample, grids=grids_of(head.header, tensors)))
    zeros = np.zeros(len(rows), np.int64)
    addresses = {
        name: Addresses(
            zeros,
            zeros,
            zeros.astype(np.uint32),
            None if present[name].all() else present[name],
            None if None not in (tensor.shape or ()) else shapes[name],
        )
        for name, tensor in tensors.items()
    }
    roles = {name: tensor.role for name, tensor in tensors.items()}
    table = rows_table(rows, addresses, href="", file_size=0, file_checksum="", roles=roles)
    if "assets" not in table.column_names or not len(table):
        return table
    assets = table.column("assets").combine_chunks()
    assets = assets if isinstance(assets, pa.StructArray) else pa.concat_arrays(assets.chunks)
    return table.set_column(
        table.column_names.index("assets"), "assets", _as_files(assets, urls, [head.size for head in heads])
    )


def _as_files(assets: pa.StructArray, urls: Sequence[str], sizes: Sequence[int]) -> pa.StructArray:
    """Assets that are whole files: their own name and size, and no ranges, which a packed file does not have."""
    own = {
        "href": pa.array(urls, pa.string()),
        "type": pa.array([_GZIP if url.partition("?")[0].endswith(".gz") else None for url in urls], pa.string()),
        "file:size": pa.array(sizes, pa.int64()),
    }
    structs = []
    for field in assets.type:
        struct = assets.field(assets.type.get_field_index(field.name))
        kept = [
            part for part in field.type if part.name not in ("ml:offset", "ml:length", "ml:checksum", "file:checksum")
        ]
        values = [
            own["type"].fill_null("application/vnd.safetensors") if part.name == "type"
            else own.get(part.name, struct.field(part.name))
            for part in kept
        ]  # fmt: skip
        structs.append(
            pa.StructArray.from_arrays(
                values,
                fields=[pa.field(part.name, value.type) for part, value in zip(kept, values, strict=True)],
                mask=struct.is_null() if struct.null_count else None,
            )
        )
    return pa.StructArray.from_arrays(structs, names=[field.name for field in assets.type])
