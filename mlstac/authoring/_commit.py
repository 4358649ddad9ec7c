"""The end of an authoring: catalogs of all splits, and then, alone and last, the collection."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlstac.authoring._checksums import own_checksums
from mlstac.authoring._description import Description
from mlstac.authoring._journal import CONTENT, Run, ShardRecord
from mlstac.authoring._session import COLLECTION, Session
from mlstac.authoring._summary import describe_extent, describe_tensors
from mlstac.authoring._target import NewFile
from mlstac.collection import ML_AOI_SPLITS, Asset, Catalog, Collection, Split, Tensor
from mlstac.sample import catalog_schema, catalog_table, merge_summaries, parquet_options, read_summary

STANDARD_SPLITS = ("train", "validation", "test")
ROWS_A_PART = 1_000_000
_PARQUET = "application/vnd.apache.parquet"
_MIRROR = "collection-mirror"


def commit(session: Session, declared: Collection, description: Description, *, splits: Iterable[str]) -> Collection:
    """Write the catalogs and the collection of a run whose shards are all whole.

    Returns
    -------
    Collection
        As written.
    """
    run = session.run
    records = run.records()
    collection = declared.model_copy(deep=True)
    collection.tensors = describe_tensors(description.final(), records)
    collection.check_tasks()
    schemas = [_rows_schema(run, at) for at in range(len(run))]
    collection.extent, collection.placed = describe_extent(declared, merge_summaries(map(read_summary, schemas)))
    varying = [name for name, tensor in collection.tensors.items() if tensor.shape is None or None in tensor.shape]
    schema = catalog_schema(schemas, collection=collection.id, varying=varying)
    collection.splits, assets = {}, {}
    for split in dict.fromkeys([*STANDARD_SPLITS, *splits]):
        session.make_folder(split)
        names = []
        for number, shards in enumerate(_parts(records, split), start=session.first_part(split)):
            name, file = f"{split}-{number:05d}", f"{split}/catalog-{number:05d}.parquet"
            fragments = _fragments(session, records, shards, collection.tensors)
            assets[name] = _write_part(session, file, fragments, schema)
            if split in ML_AOI_SPLITS:
                assets[name] = assets[name].model_copy(update={"ml-aoi:split": ML_AOI_SPLITS[split]})
            names.append(name)
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
    document = collection.to_json().encode()
    run.save(commits=hashlib.sha256(document).hexdigest())
    session.target.put(COLLECTION, document)
    return collection


def _rows_schema(run: Run, at: int) -> pa.Schema:
    schema = run.schema(at)
    return schema.remove(schema.get_field_index(CONTENT))


def _parts(records: Sequence[ShardRecord], split: str) -> Iterator[list[int]]:
    """Divide a split's fragments into parts.

    All rows of a shard stand in one part; a split without rows has one part too.
    """
    part: list[int] = []
    rows = 0
    for at, record in enumerate(records):
        if record.split != split:
            continue
        if part and rows + record.n_samples > ROWS_A_PART:
            yield part
            part, rows = [], 0
        part.append(at)
        rows += record.n_samples
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
    session: Session, records: Sequence[ShardRecord], shards: Iterable[int], tensors: Mapping[str, Tensor]
) -> Iterator[pa.Table]:
    """The rows of some shards, without what only the journal needs."""
    for at in shards:
        rows = session.run.rows(at).drop_columns([CONTENT])
        loose = [
            name
            for name, layout in records[at].layouts.items()
            if layout == "stacked" and tensors[name].checksum_rows == 1
        ]
        yield own_checksums(session.target, records[at], rows, loose)


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
