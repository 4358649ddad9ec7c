"""The files of a dataset in a local folder: those that its collection and its catalogs name, and no others."""

import os
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlstac.authoring._session import COLLECTION
from mlstac.cards import CROISSANT_FILE, FOOTPRINTS_FILE, README, SAMPLES_FILE
from mlstac.collection import Collection
from mlstac.errors import CatalogError, MissingFileError, ShardError
from mlstac.storage import is_remote, join, read_bytes

CARD_FILES = (SAMPLES_FILE, FOOTPRINTS_FILE, CROISSANT_FILE, README)
"""What the dataset card consists of, as far as it is there."""

_SHA256 = "1220"


class DatasetFile(NamedTuple):
    """A file that a dataset names."""

    name: str
    """Relative to the dataset's folder, with forward slashes."""

    size: int
    """In bytes, as it is on the disk and as the dataset says."""

    sha256: str | None = None
    """In hexadecimal digits, where the dataset says it."""


class Inventory(NamedTuple):
    """What a dataset consists of."""

    collection: Collection
    files: list[DatasetFile]
    """Shards, then catalogs, then what describes them, and the collection last: in this order each file names only
    files before it."""


def take_inventory(root: Path) -> Inventory:
    """List the files of a dataset, each of which is there with the size that the dataset says.

    Parameters
    ----------
    root : Path
        Its folder.

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
    last = DatasetFile(COLLECTION, len(data))
    return Inventory(collection, [*shards.values(), *parts.values(), *others.values(), last])


def _shards(root: Path, part: str) -> list[DatasetFile]:
    """Files that the rows of a catalog part name."""
    path = root / part
    found: dict[str, DatasetFile] = {}
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            tensors = schema.field("assets").type if "assets" in schema.names else pa.struct([])
            for tensor in (tensors.field(at) for at in range(tensors.num_fields)):
                has = {field.name for field in tensor.type} if pa.types.is_struct(tensor.type) else set()
                leaves = [name for name in ("href", "file:size", "file:checksum") if name in has]
                if "href" not in has:
                    continue
                columns = [f"assets.{tensor.name}.{name}" for name in leaves]
                for group in range(file.num_row_groups):
                    column = file.read_row_group(group, columns=columns)["assets"].combine_chunks()
                    rows = pc.struct_field(column, tensor.name)
                    table = pa.table({name: pc.struct_field(rows, name) for name in leaves})
                    for row in table.group_by(leaves).aggregate([]).to_pylist():
                        if row["href"] is not None and row["href"] not in found:
                            url = join(path, row["href"], root=f"{root}/")
                            found[row["href"]] = _file(root, url, row.get("file:size"), row.get("file:checksum"))
    except pa.ArrowException as error:
        raise CatalogError(f"catalog {path} cannot be read ({error}); copy or write the dataset again") from error
    return list(found.values())


def _file(root: Path, url: str, size: int | None, checksum: str | None) -> DatasetFile:
    name = Path(os.path.relpath(url, root)).as_posix()
    try:
        there = os.stat(url).st_size
    except FileNotFoundError:
        raise MissingFileError(
            f"{url} is not there, and the dataset names it; copy or write the dataset again"
        ) from None
    if size is not None and there != size:
        raise ShardError(f"{url} holds {there} bytes, and the dataset says {size}; copy or write the dataset again")
    sha256 = checksum.removeprefix(_SHA256) if checksum and checksum.startswith(_SHA256) else None
    return DatasetFile(name, there, sha256)
