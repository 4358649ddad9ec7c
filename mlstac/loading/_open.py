"""Catalog parts of a collection's splits, ready to be read."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from mlstac.collection import Asset
from mlstac.errors import CatalogError, ChangedError, CollectionError, MissingFileError
from mlstac.loading._catalog import Catalog
from mlstac.loading._part import Opener, Part
from mlstac.loading._ranged import OpenFile, RangedFile
from mlstac.loading._shards import Shards
from mlstac.loading._source import Place
from mlstac.sample import MAX_PART_BYTES, check_sizes
from mlstac.storage import Fetcher, is_remote, join, local_path, parent, read_bytes, redact, say_missing

WHOLE_BYTES = 4 * 1024 * 1024
"""Remote parts up to this size are read whole, in one request; of larger ones the columns that are needed."""

MAX_WHOLE_BYTES = 256 * 1024**2
"""Largest remote part that is read where the collection does not say its size: such a one is read whole."""


def open_catalog(
    place: Place,
    splits: Sequence[str],
    *,
    fetcher: Fetcher,
    allow_hosts: tuple[str, ...],
    copies: Mapping[str, Path] | None = None,
) -> Catalog:
    """Catalog of some splits; nothing is read yet.

    Parameters
    ----------
    place : Place
    splits : sequence of str
    fetcher : Fetcher
    allow_hosts : tuple of str
        Hosts beside the dataset's own that its files may lie on.
    copies : mapping of str to Path, optional
        URL of a part -> a local copy to read it from.

    Raises
    ------
    CollectionError
        If a split names an asset that the collection does not have.
    AccessError
        If a part lies outside the dataset.
    """
    collection, shards = place.collection, Shards()

    def join_shard(base: str, href: str) -> str:
        return join(base, href, root=place.root, allow_hosts=allow_hosts)

    parts, counts = [], []
    for name in splits:
        split = collection.splits[name]
        for asset_name in split.assets:
            asset = collection.assets.get(asset_name)
            if asset is None:
                raise CollectionError(
                    f"split {name!r} of collection {collection.id!r} names the asset {asset_name!r}, "
                    "which it does not have"
                )
            url = join(place.url, asset.href, root=place.root, allow_hosts=allow_hosts)
            parts.append(
                Part(
                    url,
                    tensors=tuple(collection.tensors),
                    open_file=_opener(str((copies or {}).get(url, url)), asset, fetcher),
                    rows=_row_count(asset),
                    join=join_shard,
                    shards=shards,
                )
            )
        counts.append((name, len(split.assets), split.n_items))
    return Catalog(parts, splits=counts, shards=shards)


def check_there(place: Place, splits: Sequence[str], *, allow_hosts: tuple[str, ...]) -> None:
    """Check that all parts of some splits of a local dataset are there, as those of a download may not be.

    Raises
    ------
    MissingFileError
        If one is not; says the call that fetches it.
    """
    for name in splits:
        for asset in filter(None, map(place.collection.assets.get, place.collection.splits[name].assets)):
            url = join(place.url, asset.href, root=place.root, allow_hosts=allow_hosts)
            if not is_remote(url) and not os.path.exists(local_path(url)):
                said = say_missing(local_path(parent(place.url)), name)
                raise MissingFileError(said or _not_there(local_path(url)))


def _not_there(path: str) -> str:
    return f"catalog {path} is not there; the collection names it: fetch the dataset again"


def _row_count(asset: Asset) -> int | None:
    """Rows of a part as the collection has them (STAC table extension)."""
    count = (asset.model_extra or {}).get("table:row_count")
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None


def _opener(url: str, asset: Asset, fetcher: Fetcher) -> Opener:
    def open_file(dictionaries: list[str]) -> OpenFile:
        return open_part(url, asset, fetcher, dictionaries=dictionaries)

    return open_file


def open_part(url: str, asset: Asset, fetcher: Fetcher, *, dictionaries: Sequence[str] = ()) -> OpenFile:
    """Open a catalog part.

    Parameters
    ----------
    url : str
        Of the part; it may be followed.
    asset : Asset
        What the collection says of it.
    fetcher : Fetcher
    dictionaries : sequence of str
        Columns of texts that are kept by their distinct values.

    Raises
    ------
    CatalogError
        If it is larger than `MAX_PART_BYTES`, or a column of it larger than its rows can need.
    ChangedError
        If it has another size than the collection says.
    MissingFileError, AccessError, UnavailableError
        If it cannot be had.
    """
    if asset.size is not None and asset.size > MAX_PART_BYTES:
        raise _too_large(url, asset.size)
    ranged, mark = None, asset.checksum or ""
    if not is_remote(url):
        path = Path(local_path(url))
        if not path.is_file():
            raise MissingFileError(_not_there(str(path)))
        size = path.stat().st_size
        if size > MAX_PART_BYTES:
            raise _too_large(url, size)
        if asset.size not in (None, size):
            read_bytes(path, limit_bytes=MAX_PART_BYTES)  # says so if it is a Git LFS pointer
        source: Any = str(path.absolute())  # a relative path with a colon in it (run:1/flood) is a URI to Arrow
    elif asset.size is not None and asset.size > WHOLE_BYTES:
        size = asset.size
        mark = mark or fetcher.mark_of(url)
        source = ranged = RangedFile(url, size, fetcher, mark=mark)
    else:
        # one that is a little too long is told as what it is, and one without end is not read to it
        limit = MAX_WHOLE_BYTES if asset.size is None else asset.size + WHOLE_BYTES
        data = read_bytes(url, fetcher=fetcher, limit_bytes=limit)
        size = len(data)
        mark = mark or xxhash.xxh3_128_hexdigest(data)
        source = pa.BufferReader(data)
    if asset.size is not None and size != asset.size:
        raise ChangedError(
            f"catalog {redact(url)} has {size} bytes; the collection says {asset.size}: "
            "one of them was replaced, load again"
        )
    file = pq.ParquetFile(source, read_dictionary=list(dictionaries), pre_buffer=False)
    check_sizes(file.metadata, name=redact(url))
    return OpenFile(file, ranged, mark)


def _too_large(url: str, size: int) -> CatalogError:
    return CatalogError(
        f"catalog {redact(url)} has {size:,} bytes, more than the {MAX_PART_BYTES:,} that are read; divide it into "
        "parts of 1,000,000 rows or fewer"
    )
