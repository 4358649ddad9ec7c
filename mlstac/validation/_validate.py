"""``mlstac.validate``: a dataset, from its collection to the bytes of its samples."""

import os
import sys
from collections.abc import Collection as AbstractCollection
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from mlstac.collection import is_original
from mlstac.errors import AccessError, CollectionError, MlstacError
from mlstac.loading import find_document
from mlstac.storage import Fetcher, StorageOptions, is_http, is_remote, join, parent, redact
from mlstac.validation._deep import check_file
from mlstac.validation._documents import check_catalogs, check_collection, parse_document, read_model
from mlstac.validation._ids import Ids
from mlstac.validation._links import check_links
from mlstac.validation._parts import Context, PartFile, check_part
from mlstac.validation._places import Places
from mlstac.validation._report import Findings, Report, shorten
from mlstac.validation._schemas import Schemas
from mlstac.validation._statistics import Measured

_FILE = "collection.json"


def validate(
    source: Any,
    *,
    deep: bool = False,
    schemas: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    storage_options: StorageOptions = None,
    allow_hosts: AbstractCollection[str] = (),
) -> Report:
    """Hold a dataset against every rule of the format.

    Looked at are: JSON Schemas of STAC, of the extensions that are declared, and of ML-STAC; every href; the columns of
    the catalogs; ids; places and times, against each other, the Earth and the extent; where rows say that their bytes
    are, against shards and their headers; numbers of rows. With ``deep`` also every stored byte: checksums, and the
    statistics of the train split.

    Parameters
    ----------
    source : str, path, Collection or dict
        As `mlstac.load` takes it.
    deep : bool
        Read every byte of the dataset. Otherwise its catalogs, and the headers of its shards.
    schemas : path, optional
        A folder of JSON Schemas of extensions, by host and path:
        ``FOLDER/stac-extensions.github.io/file/v2.1.0/schema.json``. What is not there is fetched from the hosts that
        publish them; one that cannot be had is reported as unchecked.
    revision : str, optional
        Branch, tag or commit of a Hub repository.
    storage_options : mapping or callable, optional
        For the store.
    allow_hosts : collection of str
        Hosts beside the dataset's own that its files and its schemas may lie on.

    Returns
    -------
    Report
        ``report.ok`` is False if there is an error.

    Raises
    ------
    MissingFileError, AccessError, UnavailableError
        If the collection cannot be had. Everything else that is wrong is a finding.
    MissingPackageError
        If `schemas` is given, and jsonschema is not installed; without `schemas` the rest is looked at, and schemas are
        reported as unchecked.
    """
    findings = Findings()
    looked_at = {"rows": 0, "parts": 0, "shards": 0, "bytes": 0}
    judge = Schemas(schemas, allow_hosts=allow_hosts)
    with Fetcher(storage_options=storage_options) as fetcher:
        try:
            url, found = find_document(source, fetcher=fetcher, revision=revision)
        except CollectionError as error:
            findings.error(_FILE, str(error), "give the folder of a dataset, or mend its collection.json")
            return Report(redact(str(source)[:200]), deep, findings.done(), looked_at)
        if is_remote(url):
            fetcher.bind(url)
        document = parse_document(found, file=_FILE, findings=findings) if isinstance(found, bytes) else found
        if document is not None and is_original(document):
            shown = redact(url if isinstance(source, Mapping) else str(source))
            findings.error(
                url.partition("?")[0].rpartition("/")[2],
                "it is the main.json of a dataset of the original ML-STAC, and the rules are those of version 1.0",
                f"make a dataset of version 1.0 of it: mlstac convert {shown} OUT",
            )
        elif document is not None:
            _check(url, document, judge, fetcher, tuple(allow_hosts), findings, looked_at, deep=deep)
            judge.tell_unheld(findings)
    return Report(redact(url), deep, findings.done(), looked_at)


def _check(
    url: str,
    document: Mapping[str, Any],
    schemas: Schemas,
    fetcher: Fetcher,
    allow_hosts: tuple[str, ...],
    findings: Findings,
    looked_at: dict[str, int],
    *,
    deep: bool,
) -> None:
    root = parent(url)
    collection = read_model(document, file=_FILE, findings=findings)
    schemas.check(document, file=_FILE, findings=findings)
    if collection is None:
        findings.add(
            "unchecked",
            _FILE,
            "catalogs and samples were not looked at",
            "mend the collection first",
            path="(document)",
        )
        return
    check_collection(collection, file=_FILE, findings=findings)
    check_links(document, base=url, root=root, file=_FILE, fetcher=fetcher, allow_hosts=allow_hosts, findings=findings)
    check_catalogs(
        collection,
        base=url,
        root=root,
        schemas=schemas,
        fetcher=fetcher,
        allow_hosts=allow_hosts,
        findings=findings,
    )

    def follow(base: str, href: str) -> Any:
        try:
            if not href:
                return "href is empty; it names the shard that holds the sample"
            found = join(base, href, root=root, allow_hosts=allow_hosts)
        except AccessError as error:
            return shorten(str(error))
        return found, name_of(found, root)

    context = Context(
        collection=collection,
        places=Places(collection.extent, findings=findings),
        ids=Ids(findings),
        schemas=schemas,
        fetcher=fetcher,
        findings=findings,
        join=follow,
        deep=deep,
        looked_at=looked_at,
        seen={},
    )
    _check_splits(url, root, context, allow_hosts)


def _check_splits(url: str, root: str, context: Context, allow_hosts: tuple[str, ...]) -> None:
    collection, findings = context.collection, context.findings
    measured = {
        name: taken for name, tensor in collection.tensors.items() if (taken := Measured.of(tensor)) is not None
    }
    opened: dict[str, PartFile] = {}
    like: tuple[str, pa.Schema] | None = None
    whole = True
    with _bar(sum(len(split.assets) for split in collection.splits.values())) as bar:
        for name, split in collection.splits.items():
            counted = 0
            for asset_name in split.assets:
                asset = collection.assets[asset_name]
                try:
                    part_url = join(url, asset.href, root=root, allow_hosts=allow_hosts)
                    part = PartFile(part_url, name_of(part_url, root), asset, context.fetcher)
                except (MlstacError, OSError, pa.ArrowException, ValueError) as error:
                    said, _, mend = str(error).rpartition("; ")
                    findings.error(
                        _FILE,
                        f"the part {asset.href[:200]!r} cannot be read: {said or error}",
                        mend if said else "fetch the dataset again",
                        path=f"assets.{asset_name}",
                    )
                    whole = False
                    bar.update()
                    continue
                rows = check_part(
                    part, name, context, measured=measured if name == "train" and context.deep else {}, like=like
                )
                like = like or (part.file, part.parquet.schema_arrow)
                opened[part.file] = part
                counted += rows
                promised = (asset.model_extra or {}).get("table:row_count")
                if promised is not None and promised != rows:
                    findings.error(
                        _FILE,
                        f"table:row_count is {promised!r}; the part has {rows:,} rows",
                        "write the collection again",
                        path=f"assets.{asset_name}.table:row_count",
                    )
                if context.deep and asset.size is not None:
                    check_file(
                        part_url,
                        asset.size,
                        asset.checksum,
                        file=part.file,
                        fetcher=context.fetcher,
                        findings=findings,
                    )
                bar.update()
            if whole and counted != split.n_items:
                findings.error(
                    _FILE,
                    f"n_items is {split.n_items:,}; the parts of the split have {counted:,} rows",
                    "write the collection again",
                    path=f"ml:{name}.n_items",
                )
    context.ids.finish(lambda file, row: opened[file].rows([row]).column("id")[0].as_py())
    if context.places.rows_placed and not collection.placed:
        findings.error(
            _FILE,
            f"ml:placed is false, and {context.places.rows_placed:,} rows have a place",
            "set it to true, and the extent to the box of all rows",
            path="ml:placed",
        )
    if context.deep and whole and collection.splits.get("train") is not None:
        for name, taken in measured.items():
            taken.compare(name, file=_FILE, findings=findings)


def name_of(url: str, root: str) -> str:
    """Name of a file in findings: relative to the dataset's folder where it lies there."""
    path, top = url, root
    if is_http(url):
        path, top = (unquote(urlsplit(one).path) for one in (url, root))
    elif not is_remote(url):
        path, top = os.path.abspath(url), os.path.abspath(root).rstrip("/") + "/"
    return path.removeprefix(top) if path.startswith(top) else redact(url)


def _bar(total: int) -> Any:
    """A bar on the terminal, for people; nothing where nobody looks."""
    from tqdm import tqdm

    shown = sys.stderr is not None and sys.stderr.isatty()
    return tqdm(total=total, desc="validate", unit=" parts", disable=not shown, leave=False)
