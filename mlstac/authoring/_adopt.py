"""The journal of a dataset that came without one: from its catalogs and its shards.

A dataset that was copied or downloaded has no journal, and what the journal knew of each shard stands in the rows that
the catalog has of it, and in the shard's header. Statistics do not: the collection has them rounded, and of rounded
means and deviations no exact ones of more samples can be made. Where they are taken, of the train split alone, each
shard is read once more, in the blocks in which a writer takes them; of other shards no more is read than the header.
"""

import json
import mmap
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlstac.authoring._base import named_parts
from mlstac.authoring._block import Block, Measures, Measuring
from mlstac.authoring._catalog_file import open_catalog
from mlstac.authoring._description import Description
from mlstac.authoring._fragment import as_fragment, property_kinds
from mlstac.authoring._journal import Journal, Run, ShardRecord
from mlstac.authoring._marks import header_of
from mlstac.authoring._measuring import measuring_in
from mlstac.authoring._pool import Pool
from mlstac.authoring._progress import Progress
from mlstac.authoring._properties import Properties
from mlstac.authoring._shapes import UNSEEN, join_shapes
from mlstac.authoring._target import Target
from mlstac.collection import Collection, Tensor
from mlstac.errors import CatalogError, MissingFileError, ShardError
from mlstac.sample import ZSTD, codec_of, count_bytes, header_length, read_header, undo_file
from mlstac.storage import say_missing

_NUMBER: Final = re.compile(r"(\d+)\.safetensors")


Shard = tuple[str, str, pa.Table]
"""Split, name and rows of a shard."""


def adopt(target: Target, collection: Collection, *, seen: str | None, shards: Iterable[Shard] | None = None) -> Run:
    """Make a journal of what a dataset's catalogs say, or of rows that were had otherwise.

    Killed half-way it leaves no run, for its settings are written last.

    Returns
    -------
    Run
        As if it had written the whole dataset.

    Raises
    ------
    CatalogError, ShardError, MissingFileError
        If a part or a shard is not there, or not as the other says.
    """
    run = Journal(target).draft()
    description, properties = Description(collection), Properties()
    for tensor in description.tensors.values():
        if tensor.layout != "single":
            tensor.layout = None  # what it came to; each shard says its own
    progress = Progress()
    try:
        for split, name, rows in _shards(target, collection) if shards is None else shards:
            record = _read_shard(target, split, name, rows, description)
            properties.note(property_kinds(rows))
            record.properties.update(properties.to_json())
            run.append(as_fragment(rows, collection.tensors), record)
            for _ in range(len(rows)):
                progress.add(split)
    except BaseException:
        run.discard(shards=False)
        raise
    finally:
        progress.close()
    run.save(
        decides={},
        base=[],
        finished=True,
        commits=seen,
        parts=named_parts(collection) if shards is None else None,  # else the parts to come will name them
        collection=collection.to_dict(),
    )
    return run


def _shards(target: Target, collection: Collection) -> Iterator[Shard]:
    """Split, name and rows of each shard, in the order of the catalogs."""
    for split, part in collection.splits.items():
        n_rows = 0
        for asset in (collection.assets[name] for name in part.assets):
            file = inside(split, asset.href, base="")
            if target.size(file) is None:
                raise MissingFileError(
                    say_missing(target.root, split)
                    or f"catalog part {target.at(file)} is not there, though {collection.id!r} names it; fetch it"
                    " again, or make the catalogs anew with mlstac.rebuild(path)"
                )
            with target.local(file) as path, open_catalog(path, name=target.at(file)) as parquet:
                rows = parquet.read()
            n_rows += len(rows)
            yield from ((split, inside(split, href, base=file), some) for href, some in shards_of(rows))
        if n_rows != part.n_items:
            raise CatalogError(
                f"the catalog of split {split!r} of {target} has {n_rows} rows, but the collection says {part.n_items};"
                " make the catalogs anew with mlstac.rebuild(path)"
            )


def shards_of(rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each shard, by its href: they stand one after another."""
    if not len(rows):
        return
    assets = rows["assets"].combine_chunks()
    hrefs = pc.coalesce(*(pc.struct_field(assets.field(at), "href") for at in range(assets.type.num_fields)))
    changes = pc.not_equal(hrefs.slice(1), hrefs.slice(0, len(hrefs) - 1)).to_numpy(zero_copy_only=False)
    starts = [0, *(np.flatnonzero(changes) + 1).tolist()]
    for start, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
        yield hrefs[start].as_py(), rows.slice(start, stop - start)


def inside(split: str, href: str, *, base: str) -> str:
    """Name in the dataset's folder of what an href means; it may not lead out of it.

    Raises
    ------
    CatalogError
        If it does.
    """
    folder = base.rpartition("/")[0]
    parts = [part for part in f"{folder}/{href}".split("/") if part not in ("", ".")]
    if "://" in href or href.startswith("/") or ".." in parts or "\\" in href:
        raise CatalogError(
            f"split {split!r} has a file at {href!r}, outside the dataset's folder; only a dataset that has all its"
            " files in one folder can be added to"
        )
    return "/".join(parts)


def _read_shard(target: Target, split: str, name: str, rows: pa.Table, description: Description) -> ShardRecord:
    assets = rows["assets"].combine_chunks()
    present = [field.name for field in assets.type if assets.field(field.name).null_count < len(rows)]
    first = next(row for row in (assets.field(present[0])[at].as_py() for at in range(len(rows))) if row)
    if target.size(name) != first["file:size"]:
        raise ShardError(
            f"{target.at(name)} has {target.size(name)} bytes, but its rows say {first['file:size']}; fetch it again"
        )
    _check_codec(name)
    measures: dict[str, Measures] = {}
    ways = {key: _measuring(key, split=split, description=description) for key in present}
    if any(ways.values()):
        with (
            target.local(name) as path,
            open(path, "rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            bytes_of, begins = plain_bytes(data, name)
            try:
                length = header_length(bytes_of[:8].data, file_size=len(bytes_of), name=name)
                header = read_header(bytes_of[: 8 + length].data, file_size=len(bytes_of), name=name)
                for key, measuring in ways.items():
                    if measuring is not None:
                        asset = assets.field(key) if begins is None else _with_plain_offsets(assets.field(key), begins)
                        tensor = description.tensors[key]
                        found = _measure(asset, bytes_of, tensor=tensor, measuring=measuring)
                        if found is not None:
                            measures[key] = found
            finally:
                del bytes_of  # the map cannot be closed while an array looks at it
    else:
        with target.open(name) as stored:
            header = header_of(stored, name, size=first["file:size"])
    layouts = layouts_of(header.metadata, present, description)
    shapes = {key: _joined_shape(assets.field(key), description.tensors[key]) for key in present}
    description.note_shard(split, shapes, layouts)
    match = _NUMBER.search(name)
    return ShardRecord(
        split=split,
        number=int(match[1]) if match else 0,
        name=name,
        layouts=layouts,
        description=description.to_json(),
        properties={},
        n_samples=len(rows),
        size=first["file:size"],
        checksum=first["file:checksum"],
        measures=measures,
    )


def plain_bytes(data: mmap.mmap, name: str) -> tuple[NDArray[np.uint8], dict[int, int] | None]:
    """Bytes of the shard as they are before compression, and where the contents of each frame begin, if it is."""
    _check_codec(name)
    stored = np.frombuffer(data, np.uint8)
    if codec_of(name) is None:
        return stored, None
    try:
        return undo_file(stored, name=name)
    finally:
        del stored  # the map cannot be closed while an array looks at it


def _check_codec(name: str) -> None:
    if codec_of(name) not in (None, ZSTD):
        raise ShardError(
            f"{name} is compressed with {codec_of(name)}; only plain and zstd shards can be added to: write anew"
        )


def _with_plain_offsets(asset: pa.StructArray, begins: dict[int, int]) -> pa.StructArray:
    """An asset whose offsets are those in the plain file."""
    plain = np.array([begins.get(start, 0) for start in _integers(asset, "ml:offset").tolist()], np.int64)
    if asset.type.get_field_index("ml:frame_offset") >= 0:
        plain += _integers(asset, "ml:frame_offset")
    fields = {field.name: asset.field(field.name) for field in asset.type} | {"ml:offset": pa.array(plain)}
    return pa.StructArray.from_arrays(list(fields.values()), names=list(fields), mask=asset.is_null())


def _integers(asset: pa.StructArray, key: str) -> NDArray[np.int64]:
    """A field of an asset; 0 where the row lacks the tensor or does not say."""
    found: NDArray[np.int64] = pc.fill_null(asset.field(key), 0).to_numpy(zero_copy_only=False)
    return found


def layouts_of(metadata: dict[str, str], names: list[str], description: Description) -> dict[str, str]:
    """Layout of each tensor of a shard, by its own word, else by the collection's."""
    try:
        said = json.loads(metadata.get("ml:layouts", "{}"))
    except ValueError:
        said = {}
    return {name: str(said.get(name) or description.tensors[name].layout or "stacked") for name in names}


def _measuring(name: str, *, split: str, description: Description) -> Measuring | None:
    return measuring_in(split, description)(name, description.tensors[name].dtype or "U8")


def _measure(asset: pa.StructArray, data: Any, *, tensor: Tensor, measuring: Measuring) -> Measures | None:
    """Statistics of one tensor in a shard."""
    offsets, dtype = _integers(asset, "ml:offset"), tensor.dtype or "U8"
    block = Block(dtype=dtype, measuring=measuring, submit=_at_once, pool=Pool(0))
    for row, shape in _shapes(asset, tensor):
        block.append(data[offsets[row] : offsets[row] + count_bytes(dtype, shape)], shape, 0)
    block.close()
    return block.measures()


def _joined_shape(asset: pa.StructArray, tensor: Tensor) -> Any:
    """The open shape of the samples of one tensor in a shard."""
    joined: Any = UNSEEN
    for _, shape in _shapes(asset, tensor):
        joined = join_shapes(joined, shape)
    return joined


def _shapes(asset: pa.StructArray, tensor: Tensor) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Row and shape of each sample that has the tensor."""
    varies = asset.type.get_field_index("ml:shape") >= 0
    shapes = asset.field("ml:shape") if varies else None
    fixed = tuple(length or 0 for length in tensor.shape or ())
    for row in np.flatnonzero(asset.is_valid().to_numpy(zero_copy_only=False)).tolist():
        yield row, fixed if shapes is None else tuple(shapes[row].as_py())


def _at_once(measuring: Measuring, *arguments: Any) -> "Future[Measures]":
    done: Future[Measures] = Future()
    done.set_result(measuring.measure(*arguments))
    return done
