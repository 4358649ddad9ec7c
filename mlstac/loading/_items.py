"""Samples as STAC Items that stand alone: hrefs absolute, and what the collection says of every asset on each."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlstac.collection import ML_AOI_SPLITS, Collection, used_extensions
from mlstac.errors import MissingPackageError, NotFoundError
from mlstac.loading._catalog import Catalog
from mlstac.loading._part import Part
from mlstac.sample import items
from mlstac.storage import is_remote, local_path, without_secrets

if TYPE_CHECKING:
    import pystac

_CHUNK_ROWS = 8192  # of neighbours: a row group that several chunks share is read once


def iterate_items(catalog: Catalog, rows: NDArray[np.int64], collection: Collection) -> Iterator["pystac.Item"]:
    """Yield rows of a catalog as STAC Items, a chunk of rows at a time.

    Raises
    ------
    MissingPackageError
        If pystac is not installed.
    NotFoundError
        If a row has no time, without which STAC has no Item.
    """
    try:
        import pystac
    except ModuleNotFoundError as error:
        raise MissingPackageError("items() gives Items of pystac; run: pip install pystac") from error
    return (pystac.Item.from_dict(item, preserve_dict=False) for item in item_documents(catalog, rows, collection))


def item_documents(catalog: Catalog, rows: NDArray[np.int64], collection: Collection) -> Iterator[dict[str, Any]]:
    """Yield rows as JSON objects: what `iterate_items` makes Items of.

    Of ``item_assets`` each asset has what it does not say itself: bands, no-data, scale, classes. Split names are in
    ``ml-aoi:split``, by that extension's words.
    """
    described = collection.to_dict().get("item_assets", {})
    for table, part, split in _tables(catalog, rows):
        for item in items(table, base=absolute(part.url)):
            yield _alone(item, described, split)


def absolute(url: str) -> str:
    """An address that is true wherever it is read: without user, password and signature; a path from the root."""
    return without_secrets(url) if is_remote(url) else Path(local_path(url)).absolute().as_posix()


def _tables(catalog: Catalog, rows: NDArray[np.int64]) -> Iterator[tuple[pa.Table, Part, str]]:
    """Rows in their order, whole, in runs of one part."""
    edges = catalog.edges()
    splits = catalog.split_of_parts()
    kept: tuple[Part, int, pa.Table] | None = None
    for first in range(0, len(rows), _CHUNK_ROWS):
        chunk = rows[first : first + _CHUNK_ROWS]
        owners = np.searchsorted(edges, chunk, side="right") - 1
        for run in np.split(np.arange(len(chunk)), np.flatnonzero(np.diff(owners)) + 1):
            number = int(owners[run[0]])
            part = catalog.parts[number]
            local = chunk[run] - edges[number]
            groups = np.searchsorted(part.group_edges(), local, side="right") - 1
            tables = []
            for piece in np.split(np.arange(len(local)), np.flatnonzero(np.diff(groups)) + 1):
                group = int(groups[piece[0]])
                if kept is None or kept[:2] != (part, group):
                    kept = (part, group, part.group(group))
                tables.append(kept[2].take(pa.array(local[piece] - part.group_edges()[group])))
            yield pa.concat_tables(tables), part, splits[number]


def _alone(item: dict[str, Any], described: Mapping[str, Any], split: str) -> dict[str, Any]:
    properties, assets = item["properties"], item["assets"]
    if properties.get("datetime") is None and properties.get("start_datetime") is None:
        raise NotFoundError(
            f"sample {item['id']!r} has no time, and a STAC Item needs one: write the samples with their times, or "
            "leave those without out, with datetime='../..'"
        )
    if split in ML_AOI_SPLITS:
        properties["ml-aoi:split"] = ML_AOI_SPLITS[split]
    for name, asset in assets.items():
        assets[name] = asset | {key: value for key, value in described.get(name, {}).items() if key not in asset}
    prefixed = {name: value for name, value in properties.items() if ":" in name}
    item["stac_extensions"] = used_extensions(prefixed | {"assets": assets}, ())
    return item
