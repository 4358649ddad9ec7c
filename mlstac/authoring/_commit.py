"""The end of an authoring: catalogs of all splits, and then, alone and last, the collection."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlstac.authoring._base import named_parts
from mlstac.authoring._card import keep_card
from mlstac.authoring._checksums import own_checksums
from mlstac.authoring._description import Description
from mlstac.authoring._journal import ShardRecord
from mlstac.authoring._ledger import Ledger
from mlstac.authoring._session import STANDARD_SPLITS, Session
from mlstac.authoring._summary import describe_extent, describe_tensors
from mlstac.authoring._target import NewFile
from mlstac.collection import ML_AOI_SPLITS, Asset, Catalog, Collection, Split, Tensor
from mlstac.sample import (
    Summary,
    catalog_schema,
    catalog_table,
    codec_of,
    merge_bboxes,
    merge_summaries,
    parquet_options,
    read_summary,
)

ROWS_A_PART = 1_000_000
_PARQUET = "application/vnd.apache.parquet"
_MIRROR = "collection-mirror"


def commit(
    session: Session, declared: Collection, description: Description, *, splits: Iterable[str], card: bool = True
) -> Collection:
    """Write the catalogs and the collection of a run whose shards are all whole.

    Returns
    -------
    Collection
        As written.
    """
    ledger = Ledger([*session.base, session.run])
    records = ledger.records
    collection = declared.model_copy(deep=True)
    collection.tensors = describe_tensors(description.final(), records)
    collection.compression = next(filter(None, (codec_of(record.name) for record in records)), None)
    collection.check_tasks()
    schemas = [ledger.schema(at) for at in range(len(ledger))]
    collection.extent, collection.placed = describe_extent(declared, _summarise(ledger, schemas))
    varying = [name for name, tensor in collection.tensors.items() if tensor.shape is None or None in tensor.shape]
    schema = catalog_schema(schemas, collection=collection.id, varying=varying)
    before = _standing_parts(session, collection, schema)
    known = session.existing.splits if session.existing is not None else ()
    first_new = 0 if before is None else len(ledger) - len(session.run)
    collection.splits = {}
    assets: dict[str, Asset] = {}
    all_splits = list(dict.fromkeys([*STANDARD_SPLITS, *known, *splits]))
    session.refuse_foreign_catalogs(all_splits)
    for split in all_splits:
        session.make_folder(split)
        standing = {} if before is None else before.get(split, {})
        parts = list(_parts(records, split, first=first_new))
        if not parts and not standing:
            parts = [[]]  # a split without rows has one part too
        names = list(standing)
        number = session.first_part(split)
        for shards in parts:
            while f"{split}/catalog-{number:05d}.parquet" in session.target.taken:
                number += 1
            name, file = f"{split}-{number:05d}", f"{split}/catalog-{number:05d}.parquet"
            number += 1
            fragments = _fragments(session, ledger, shards, collection.tensors)
            standing[name] = _write_part(session, file, fragments, schema)
            if split in ML_AOI_SPLITS:
                standing[name] = standing[name].model_copy(update={"ml-aoi:split": ML_AOI_SPLITS[split]})
            names.append(name)
        if len(names) > 1:  # the part of a split that had no rows says nothing now
            names = [name for name in names if _row_count(standing[name]) != 0]
        assets |= {name: standing[name] for name in names}
        n_items = sum(record.n_samples for record in records if record.split == split)
        collection.splits[split] = Split(n_items=n_items, assets=names)
    kept = {name: asset for name, asset in collection.assets.items() if _MIRROR not in (asset.roles or [])}
    collection.assets = {**kept, **assets}
    for split, part in collection.splits.items():
        files = [assets[name].href.rpartition("/")[2] for name in part.assets]
        catalog = Catalog.of_split(
            split, files, collection_id=collection.id, n_items=part.n_items, collection_title=collection.title
        )
        session.target.put(f"{split}/catalog.json", catalog.to_json().encode())
    if card:
        keep_card(session.target, collection)
    document = collection.to_json().encode()
    session.run.save(
        commits=hashlib.sha256(document).hexdigest(), parts=named_parts(collection), collection=json.loads(document)
    )
    session.replace_collection(document)
    return collection


def _summarise(ledger: Ledger, schemas: Sequence[pa.Schema]) -> Summary:
    """What all rows have in common.

    The shortest arc around boxes, some of which cross the antimeridian, does not follow from the arcs of shards: where
    there is one such box all rows are asked, so that the extent does not depend on where shards end.
    """
    summaries = [read_summary(schema) for schema in schemas]
    summary = merge_summaries(summaries)
    if any(part.bbox is not None and part.bbox[0] > part.bbox[2] for part in summaries):
        summary = replace(summary, bbox=merge_bboxes(np.concatenate(list(ledger.bboxes()))))
    return summary


def _standing_parts(session: Session, collection: Collection, schema: pa.Schema) -> dict[str, dict[str, Asset]] | None:
    """The parts by split that may stand beside new ones; None where all rows have to be written anew.

    All parts of a dataset have the same columns, and rows share checksums alike in all of them.
    """
    existing = session.existing
    if existing is None:
        return None
    for name, tensor in collection.tensors.items():
        if name not in existing.tensors or existing.tensors[name].checksum_rows != tensor.checksum_rows:
            return None
    standing: dict[str, dict[str, Asset]] = {}
    for split, part in existing.splits.items():
        standing[split] = {name: existing.assets[name] for name in part.assets}
        for asset in standing[split].values():
            file = asset.href.removeprefix("./")
            if asset.size is None or session.target.size(file) != asset.size:
                return None
            with session.target.local(file) as path:
                if not pq.read_schema(path.absolute()).equals(schema, check_metadata=False):
                    return None
    return standing


def _row_count(asset: Asset) -> Any:
    return (asset.model_extra or {}).get("table:row_count")


def _parts(records: Sequence[ShardRecord], split: str, *, first: int) -> Iterator[list[int]]:
    """Divide a split's fragments, from one on, into parts; all rows of a shard stand in one part."""
    part: list[int] = []
    rows = 0
    for at, record in enumerate(records[first:], start=first):
        if record.split != split:
            continue
        if part and rows + record.n_samples > ROWS_A_PART:
            yield part
            part, rows = [], 0
        part.append(at)
        rows += record.n_samples
    if part:
        yield part


def _write_part(session: Session, name: str, fragments: Iterable[pa.Table], schema: pa.Schema) -> Asset:
    options: dict[str, Any] = dict(parquet_options(schema))
    group_rows = options.pop("row_group_size")
    n_rows = 0
    with session.target.create(name) as file:
        sink = _HashedFile(file)
        with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, **options) as writer:
            for table in _groups(fragments, schema, group_rows):
                writer.write_table(table, row_group_size=group_rows)
                n_rows += len(table)
    extension: dict[str, Any] = {"table:row_count": n_rows}  # so that readers need not open every part
    return Asset(
        href=f"./{name}",
        type=_PARQUET,
        roles=[_MIRROR],
        size=file.size,
        checksum=f"1220{sink.digest.hexdigest()}",
        **extension,
    )


def _fragments(
    session: Session, ledger: Ledger, shards: Iterable[int], tensors: Mapping[str, Tensor]
) -> Iterator[pa.Table]:
    """The rows of some shards, as the catalog is to have them."""
    for at in shards:
        record = ledger.records[at]
        loose = [
            name
            for name, layout in record.layouts.items()
            if layout == "stacked"
            and tensors[name].checksum_rows == 1
            and codec_of(record.name) is None  # checksums of a compressed shard are those of its frames
        ]
        yield own_checksums(session.target, record, ledger.rows(at), loose)


def _groups(fragments: Iterable[pa.Table], schema: pa.Schema, group_rows: int) -> Iterator[pa.Table]:
    """Tables of one row group each, whatever the number of rows a shard; of no rows at all one empty table."""
    waiting = schema.empty_table()
    written = False
    for rows in fragments:
        waiting = pa.concat_tables([waiting, catalog_table(rows, schema)])
        while len(waiting) >= group_rows:
            written = True
            yield waiting.slice(0, group_rows)
            waiting = waiting.slice(group_rows)
    if len(waiting) or not written:
        yield waiting


class _HashedFile:
    """What pyarrow writes to: a new file, and its sha256 on the way."""

    def __init__(self, file: NewFile) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.closed = False

    def write(self, data: Any) -> int:
        self._file.write(data)
        self.digest.update(data)
        return len(data)

    def tell(self) -> int:
        return self._file.size

    def flush(self) -> None:
        """Nothing waits: every write goes to the system at once."""

    def close(self) -> None:
        """The file is closed by the one who opened it."""
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False
