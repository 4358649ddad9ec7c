"""A dataset of the original ML-STAC, opened: its collection, and what reads its samples."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from mlstac.collection import Collection, Tensor
from mlstac.errors import CollectionError, InvalidArgumentError
from mlstac.loading._catalog import Catalog
from mlstac.loading._part import Part
from mlstac.loading._ranged import OpenFile
from mlstac.loading._reader import Reader
from mlstac.loading._shards import Shards
from mlstac.loading.original._containers import (
    FIELD,
    ContainerRows,
    container_rows,
    container_tensor,
    media_type_of,
)
from mlstac.loading.original._describe import (
    describe_collection,
    describe_tensors,
    promised_tensors,
    tasks_of,
    with_tensors,
)
from mlstac.loading.original._document import ContainerSplit, Document, FileSplit
from mlstac.loading.original._facts import TEXTS
from mlstac.loading.original._files import (
    Files,
    SplitFiles,
    find_suffix,
    read_samples,
    rows_to_look_at,
    split_folder,
)
from mlstac.loading.original._heads import Head, read_heads
from mlstac.loading.original._looking import Looked, look_at, text_name
from mlstac.loading.original._reader import FileCatalog, FileReader
from mlstac.loading.original._rows import as_parquet, make_parts
from mlstac.storage import Fetcher, is_remote


class Original(NamedTuple):
    """Some splits of such a dataset, opened."""

    collection: Collection
    """With the tensors that samples were seen to have."""
    reader: Reader
    texts: dict[str, str]
    """Field -> key of the header's metadata that holds its text."""
    files: Files | None
    """None where samples are members of containers."""


def open_original(
    document: Document,
    url: str,
    splits: Sequence[str],
    *,
    fetcher: Fetcher,
    allow_hosts: Sequence[str] = (),
    tensors: Mapping[str, Tensor] | None = None,
    verify: bool | None = None,
) -> Original:
    """Open some splits: look at samples, or read the tables of containers.

    Parameters
    ----------
    document : Document
    url : str
        Of the main.json.
    splits : sequence of str
    fetcher : Fetcher
    allow_hosts : sequence of str
        Hosts beside the main.json's own that files may lie on.
    tensors : mapping of str to Tensor, optional
        What was seen of the samples before, by another process: they are not looked at again.
    verify : bool, optional
        Only containers and files without checksums are of this form, so True is refused.

    Raises
    ------
    StorageError
        If what is looked at cannot be had.
    FormatError
        If it is not what it should be.
    """
    if verify:
        raise InvalidArgumentError(
            "verify=True, but datasets of the original ML-STAC have no checksums (those of gzip are always checked); "
            "leave verify out"
        )
    chosen = [split for split in document.splits if split.name in splits]
    chosen.sort(key=lambda split: list(splits).index(split.name))
    if any(isinstance(split, ContainerSplit) for split in chosen):
        containers = [split for split in chosen if isinstance(split, ContainerSplit)]
        return _open_containers(document, url, containers, fetcher=fetcher, allow_hosts=allow_hosts, tensors=tensors)
    filed = [split for split in chosen if isinstance(split, FileSplit)]
    files = find_files(filed, url, fetcher=fetcher, allow_hosts=allow_hosts)
    collection = describe_collection(document, url=url)
    heads: list[Head] = []
    if tensors is None:
        looked = _look(files, heads, fetcher, boxes="object-detection" in tasks_of(document.data))
        tensors = describe_tensors(document, looked or promised_tensors(document))
    if not tensors:
        raise CollectionError(
            f"dataset {collection.id!r} has no samples in {', '.join(splits)}, and its main.json does not say what "
            "they would be (ml:dimensions); nothing can be loaded"
        )
    collection = with_tensors(collection, tensors)
    texts = {text_name(key, _without_texts(tensors)): key for key in TEXTS}
    texts = {name: key for name, key in texts.items() if name in tensors and tensors[name].media_type is not None}
    catalog = _file_catalog(files, collection, texts, heads, fetcher)
    remote = any(is_remote(split.folder) for split in files.splits)
    return Original(
        collection, FileReader(catalog, files=files, texts=texts, remote=remote, fetcher=fetcher), texts, files
    )


def find_files(splits: Sequence[FileSplit], url: str, *, fetcher: Fetcher, allow_hosts: Sequence[str] = ()) -> Files:
    """Where the samples of some splits are."""
    found = []
    for split in splits:
        files = SplitFiles(split.name, split_folder(split, url, allow_hosts=allow_hosts), split.n_items)
        if split.n_items and is_remote(files.folder):
            files.suffix = find_suffix(files, fetcher)
        found.append(files)
    return Files(found)


def _look(files: Files, heads: list[Head], fetcher: Fetcher, *, boxes: bool) -> dict[str, Looked]:
    """Look at samples: at all headers where that costs little, at some files over a network."""
    if any(is_remote(split.folder) for split in files.splits):
        urls = [files.url(row) for row in rows_to_look_at(files).tolist()]
        headers = {sample.name: sample.header for sample in read_samples(urls, fetcher)}
        return look_at(headers, boxes=boxes)
    urls = [files.url(row) for row in range(len(files))]
    heads += read_heads(urls, fetcher)
    return look_at({url: head.header for url, head in zip(urls, heads, strict=True)}, boxes=False)


def _without_texts(tensors: Mapping[str, Tensor]) -> list[str]:
    return [name for name, tensor in tensors.items() if tensor.media_type is None]


def _file_catalog(
    files: Files, collection: Collection, texts: Mapping[str, str], heads: list[Head], fetcher: Fetcher
) -> FileCatalog:
    """A catalog whose rows are made of the samples' headers when they are first asked for."""
    made: list[list[pa.Table]] = []

    def parts() -> list[pa.Table]:
        if not made:
            found = heads or read_heads([files.url(row) for row in range(len(files))], fetcher)
            made.append(make_parts(files, found, collection, texts))
        return made[0]

    shards = Shards()
    catalog = FileCatalog(
        [
            Part(
                split.folder,
                tensors=(),
                open_file=lambda _, number=number: OpenFile(as_parquet(parts()[number])),  # type: ignore[misc]
                rows=split.count,
                join=lambda _, href: href,
                shards=shards,
            )
            for number, split in enumerate(files.splits)
        ],
        splits=[(split.name, 1, split.count) for split in files.splits],
        shards=shards,
    )
    catalog.files = files
    return catalog


def _open_containers(
    document: Document,
    url: str,
    splits: Sequence[ContainerSplit],
    *,
    fetcher: Fetcher,
    allow_hosts: Sequence[str],
    tensors: Mapping[str, Tensor] | None,
) -> Original:
    rows = [container_rows(split, url, fetcher=fetcher, allow_hosts=allow_hosts) for split in splits]
    if tensors is None:
        tensors = {FIELD: container_tensor(media_type_of(rows, fetcher))}
    counts = {part.name: len(part.table) for part in rows}
    collection = with_tensors(describe_collection(document, url=url, counts=counts), tensors)
    whole = pa.concat_tables([part.table for part in rows], promote_options="permissive")
    shards, parts, first = Shards(), [], 0
    for part in rows:
        table = whole.slice(first, len(part.table)).combine_chunks()
        first += len(part.table)
        parts.append(_table_part(table, url, tuple(tensors), shards))
    catalog = Catalog(parts, splits=[(part.name, 1, len(part.table)) for part in rows], shards=shards)
    hrefs = _first_href(rows)
    reader = Reader(catalog, remote=hrefs is not None and is_remote(hrefs), verify=False, fetcher=fetcher, headed=False)
    return Original(collection, reader, {}, None)


def _first_href(rows: Sequence[ContainerRows]) -> str | None:
    for part in rows:
        if len(part.table):
            href: str = part.table.slice(0, 1).to_pylist()[0]["assets"][FIELD]["href"]
            return href
    return None


def _table_part(table: pa.Table, url: str, tensors: tuple[str, ...], shards: Shards) -> Part:
    return Part(
        url,
        tensors=tensors,
        open_file=lambda _: OpenFile(as_parquet(table)),
        rows=len(table),
        join=lambda _, href: href,
        shards=shards,
    )
