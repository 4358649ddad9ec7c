"""The collection and the catalogs of its splits: JSON, models, schemas, and what they say of each other."""

from collections.abc import Mapping
from typing import Any

from mlstac.collection import DTYPES, Catalog, Collection, read_json_object
from mlstac.errors import FormatError, MlstacError
from mlstac.storage import Fetcher, join, read_bytes
from mlstac.validation._links import check_links
from mlstac.validation._report import Findings
from mlstac.validation._schemas import Schemas

MAX_BYTES = 16 * 2**20
"""Of a catalog.json."""

SPLITS = ("train", "validation", "test")


def parse_document(data: bytes, *, file: str, findings: Findings) -> dict[str, Any] | None:
    """Parse a JSON document; None, and an error, if it is none."""
    try:
        return read_json_object(data, name=file)
    except FormatError as error:
        said, _, mend = str(error).removeprefix(f"{file} ").rpartition("; ")
        findings.error(file, said or str(error), mend if said else "write it again", path="(document)")
        return None


def read_model(document: Mapping[str, Any], *, file: str, findings: Findings) -> Collection | None:
    """Make the model of a collection; None, and an error, if the document breaks it."""
    try:
        return Collection.from_dict(document, href=None)
    except FormatError as error:
        text = str(error).removeprefix("the collection: ").removeprefix("the collection ")
        path, colon, rest = text.partition(": ")
        said, _, mend = rest.rpartition("; ")
        if colon and " " not in path:
            findings.error(file, said or rest, mend if said else "change it", path=path)
        else:
            said, _, mend = text.rpartition("; ")
            findings.error(file, said or text, mend if said else "write it again", path="(document)")
        return None


def check_collection(collection: Collection, *, file: str, findings: Findings) -> None:
    """Look at what the model lets pass, since authors fill it in later, and a dataset needs."""
    for name in SPLITS:
        if name not in collection.splits:
            findings.error(
                file,
                f"there is no ml:{name}; train, validation and test always exist, with 0 rows at the least",
                "write the collection again",
                path=f"ml:{name}",
            )
    for name, split in collection.splits.items():
        if not split.assets:
            findings.error(
                file, "the split has no catalog part", "write one of 0 rows at the least", path=f"ml:{name}.assets"
            )
        for asset in split.assets:
            found = collection.assets[asset]
            extra = found.model_extra or {}
            missing = [key for key, value in (("file:size", found.size), ("file:checksum", found.checksum),
                       ("table:row_count", extra.get("table:row_count"))) if value is None]  # fmt: skip
            if missing:
                findings.add(
                    "warning",
                    file,
                    f"the part has no {', '.join(missing)}: readers cannot tell whether it is whole, or must open it",
                    "write the collection again",
                    path=f"assets.{asset}",
                )
    if not collection.tensors:
        findings.error(file, "no tensor is described; nothing can be loaded", "describe them", path="ml:tensors")
    for name, tensor in collection.tensors.items():
        path = f"ml:tensors.{name}"
        if tensor.dtype is None or tensor.dtype not in DTYPES:
            findings.error(file, f"dtype is {tensor.dtype!r}", "write one of safetensors", path=f"{path}.dtype")
        if tensor.shape is None:
            findings.error(file, "there is no shape", "write it, null where it varies", path=f"{path}.shape")
        axis = tensor.band_axis
        if axis is not None and tensor.bands and tensor.shape and tensor.shape[axis] not in (None, len(tensor.bands)):
            findings.error(
                file,
                f"{len(tensor.bands)} bands are described, and shape {list(tensor.shape)} has {tensor.shape[axis]}",
                "describe each band once",
                path=f"item_assets.{name}.bands",
            )
    try:
        collection.check_tasks()
    except MlstacError as error:
        said, _, mend = str(error).rpartition("; ")
        findings.add("warning", file, said or str(error), mend if said else "change the tasks", path="ml:tasks")


def check_catalogs(
    collection: Collection,
    *,
    base: str,
    root: str,
    schemas: Schemas,
    fetcher: Fetcher,
    allow_hosts: tuple[str, ...],
    findings: Findings,
) -> None:
    """Look at each split's catalog.json, which STAC browsers read."""
    for split, part in collection.splits.items():
        file = f"{split}/catalog.json"
        try:
            url = join(base, f"./{file}", root=root)
            data = read_bytes(url, fetcher=fetcher, limit_bytes=MAX_BYTES)
            document = parse_document(data, file=file, findings=findings)
        except (MlstacError, OSError) as error:
            findings.error(file, f"it cannot be read: {error}", "write the dataset's catalogs again")
            continue
        if document is None:
            continue
        try:
            catalog = Catalog.from_dict(document, href=None)
        except FormatError as error:
            findings.error(file, str(error).removeprefix("the catalog: "), "write it again", path="(document)")
            continue
        schemas.check(document, file=file, findings=findings)
        check_links(
            document, base=url, root=root, file=file, fetcher=fetcher, allow_hosts=allow_hosts, findings=findings
        )
        _compare_parts(catalog, split, part.assets, collection, url, base, root, file, findings)


def _compare_parts(
    catalog: Catalog,
    split: str,
    assets: list[str],
    collection: Collection,
    url: str,
    base: str,
    root: str,
    file: str,
    findings: Findings,
) -> None:
    """The catalog's links to parts are the parts that the collection names, and links lead up to it."""

    def followed(start: str, href: str) -> str:
        try:
            return join(start, href, root=root)
        except MlstacError:
            return href

    named = [followed(url, link.href) for link in catalog.links if link.rel == "items"]
    wanted = [followed(base, collection.assets[name].href) for name in assets]
    if named != wanted:
        findings.error(
            file,
            f"its links of rel items name {len(named)} parts, and ml:{split}.assets of the collection {len(wanted)}, "
            "or others",
            "write the catalog again",
            path="links",
        )
    for rel in ("root", "parent"):
        up = [followed(url, link.href) for link in catalog.links if link.rel == rel]
        if up != [base]:
            findings.error(
                file, f"it has no link of rel {rel} to the collection", "write the catalog again", path="links"
            )
