"""The files of a dataset in a local folder: those that its collection and its catalogs name, and no others."""

import os
import posixpath
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from mlstac.authoring._catalog_file import open_catalog
from mlstac.authoring._depot import COLLECTION
from mlstac.cards import CROISSANT_FILE, FOOTPRINTS_FILE, README, SAMPLES_FILE
from mlstac.collection import Collection
from mlstac.errors import CatalogError, MissingFileError, ShardError
from mlstac.storage import is_remote, join, read_bytes, say_missing

CARD_FILES = (SAMPLES_FILE, FOOTPRINTS_FILE, CROISSANT_FILE, README)
"""What the dataset card consists of, as far as it is there."""

_SHA256 = "1220"  # multihash: sha2-256, 32 bytes


class DatasetFile(NamedTuple):
    """A file that a dataset names."""

    name: str
    """Relative to the dataset's folder, with forward slashes."""

    size: int
    """In bytes, as it is on the disk and as the dataset says."""

    path: Path
    """Where it is on this machine."""

    sha256: str | None = None
    """In hexadecimal digits, where the dataset says it."""


class Inventory(NamedTuple):
    """What a dataset consists of."""

    collection: Collection
    files: list[DatasetFile]
    """Shards, then catalogs, then what describes them, and the collection last: in this order each file names only
    files before it."""

    @property
    def paths(self) -> dict[str, Path]:
        """Where each file is on this machine, by name."""
        return {file.name: file.path for file in self.files}


def take_inventory(root: Path, *, instead: Mapping[str, Path] | None = None) -> Inventory:
    """List the files of a dataset, each of which is there with the size that the dataset says.

    Parameters
    ----------
    root : Path
        Its folder.
    instead : mapping of str to Path, optional
        Files that go in the place of the folder's own that describe it, by name.

    Raises
    ------
    MissingFileError
        If the folder holds no collection, or not all files that it names.
    ShardError
        If a file has another size than the dataset says.
    AccessError
        If the dataset names a file outside its folder.
    """
    data = read_bytes(root / COLLECTION)
    collection = Collection.from_json(data, href=str(root / COLLECTION))
    parts: dict[str, DatasetFile] = {}
    shards: dict[str, DatasetFile] = {}
    others: dict[str, DatasetFile] = {}
    for key, asset in collection.assets.items():
        if is_remote(asset.href):
            continue  # a file of somebody else's, by its whole URL
        file = _file(root, join(root / COLLECTION, asset.href), asset.size, asset.checksum)
        named = any(key in split.assets for split in collection.splits.values())
        (parts if named else others)[file.name] = file
        if named:
            shards.update({found.name: found for found in _shards(root, file.name)})
    beside = [f"{split}/catalog.json" for split in collection.splits] + [*CARD_FILES]
    for name in beside:
        if (root / name).is_file():
            others[name] = _file(root, str(root / name), None, None)
    for name, path in (instead or {}).items():
        others[name] = DatasetFile(name, path.stat().st_size, path)
    last = DatasetFile(COLLECTION, len(data), root / COLLECTION)
    return Inventory(collection, [*shards.values(), *parts.values(), *others.values(), last])


def files_there(
    collection: Collection, inventory: Inventory, read: Callable[[str], bytes | None]
) -> dict[str, str | None]:
    """List the shards and parts of a dataset that is published: the sha256 of each by name, where it says so.

    Catalogs that are the local dataset's own are read here rather than there.

    Parameters
    ----------
    collection : Collection
        Of the dataset there.
    inventory : Inventory
        Of the local one, which is to take its place.
    read : callable
        Gives a file there by its name; None where there is none.

    Raises
    ------
    CatalogError
        If a catalog there cannot be read: nobody can say what it names.
    """
    here = {file.name: file for file in inventory.files}
    found: dict[str, str | None] = {}
    for split in collection.splits.values():
        for asset in (collection.assets[key] for key in split.assets):
            name = posixpath.normpath(asset.href)
            found[name] = _sha256(asset.checksum)
            known = found[name] is not None and name in here and here[name].sha256 == found[name]
            data = None if known else read(name)
            if data is None and not known:
                continue
            source = here[name].path if data is None else pa.BufferReader(data)
            for href, (_, checksum) in _hrefs(source, name).items():
                found[posixpath.normpath(posixpath.join(posixpath.dirname(name), href))] = _sha256(checksum)
    return found


def _shards(root: Path, part: str) -> list[DatasetFile]:
    """Files that the rows of a catalog part name."""
    path = root / part
    return [
        _file(root, join(path, href, root=f"{root}/"), size, checksum)
        for href, (size, checksum) in _hrefs(path, str(path)).items()
    ]


def _hrefs(source: Path | pa.BufferReader, name: str) -> dict[str, tuple[int | None, str | None]]:
    """Size and checksum of each file that the rows of a catalog part name, by its href."""
    found: dict[str, tuple[int | None, str | None]] = {}
    try:
        with open_catalog(source, name=name) as file:
            schema = file.schema
            tensors = schema.field("assets").type if "assets" in schema.names else pa.struct([])
            for tensor in (tensors.field(at) for at in range(tensors.num_fields)):
                has = {field.name for field in tensor.type} if pa.types.is_struct(tensor.type) else set()
                leaves = [leaf for leaf in ("href", "file:size", "file:checksum") if leaf in has]
                if "href" not in has:
                    continue
                columns = [f"assets.{tensor.name}.{leaf}" for leaf in leaves]
                for group in range(len(file.groups)):
                    column = file.read(columns, [group])["assets"].combine_chunks()
                    rows = pc.struct_field(column, tensor.name)
                    table = pa.table({leaf: pc.struct_field(rows, leaf) for leaf in leaves})
                    for row in table.group_by(leaves).aggregate([]).to_pylist():
                        if row["href"] is not None:
                            found.setdefault(row["href"], (row.get("file:size"), row.get("file:checksum")))
    except pa.ArrowException as error:
        raise CatalogError(f"catalog {name} cannot be read ({error}); copy or write the dataset again") from error
    return found


def _file(root: Path, url: str, size: int | None, checksum: str | None) -> DatasetFile:
    name = Path(os.path.relpath(url, root)).as_posix()
    try:
        there = os.stat(url).st_size
    except FileNotFoundError:
        raise MissingFileError(
            (say_missing(root, name.partition("/")[0]) if name.endswith(".parquet") else None)
            or f"{url} is not there, and the dataset names it; copy or write the dataset again"
        ) from None
    if size is not None and there != size:
        raise ShardError(f"{url} holds {there} bytes, and the dataset says {size}; copy or write the dataset again")
    return DatasetFile(name, there, Path(url), _sha256(checksum))


def _sha256(checksum: str | None) -> str | None:
    return checksum.removeprefix(_SHA256) if checksum and checksum.startswith(_SHA256) else None
