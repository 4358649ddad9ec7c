"""Rows of a catalog as STAC Items, made on demand."""

import datetime as dt
import math
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import shapely
import shapely.geometry

from mlstac.collection import STAC_VERSION
from mlstac.sample._catalog import FILE_EXTENSION, PROJECTION_EXTENSION

__all__ = ["items"]

_MEMBERS = ("id", "type", "stac_version", "stac_extensions", "geometry", "bbox", "links", "assets", "collection")
_BATCH_ROWS = 1024


def items(table: pa.Table, *, base: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a catalog as STAC Items.

    Parameters
    ----------
    table : pyarrow.Table
        Rows of a catalog part, whole: with ``assets``.
    base : str, optional
        URL or path of the catalog part; hrefs are made absolute with it.

    Yields
    ------
    dict
        A STAC 1.1 Item, JSON and nothing else; valid where the row is placed and dated. A row without a place has the
        geometry null, one without a time the datetime null: what is not known is not made up.
    """
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        for row in batch.to_pylist():
            yield _item(row, base)


def _item(row: dict[str, Any], base: str | None) -> dict[str, Any]:
    geometry, bbox = row.get("geometry"), row.get("bbox")
    properties = {"datetime": None} | {
        name: _plain(value) for name, value in row.items() if name not in _MEMBERS and not _is_missing(value)
    }
    assets = {
        name: {field: _plain(value) for field, value in asset.items() if not _is_missing(value)}
        for name, asset in row["assets"].items()
        if asset is not None
    }
    links = [{key: value for key, value in link.items() if value is not None} for link in row.get("links") or []]
    if base is not None:
        for linked in (*links, *assets.values()):
            linked["href"] = _resolve(base, linked["href"])
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": row.get("stac_version") or STAC_VERSION,
        "stac_extensions": _extensions(properties, assets),
        "id": row["id"],
        "geometry": None if geometry is None else _lists(shapely.geometry.mapping(shapely.from_wkb(geometry))),
    }
    if bbox is not None:
        item["bbox"] = [bbox["xmin"], bbox["ymin"], bbox["xmax"], bbox["ymax"]]
    item |= {"properties": properties, "links": links, "assets": assets}
    if row.get("collection") is not None:
        item["collection"] = row["collection"]
    return item


def _extensions(properties: dict[str, Any], assets: dict[str, dict[str, Any]]) -> list[str]:
    """The extensions whose fields the Item has."""
    names = {name.partition(":")[0] for fields in (properties, *assets.values()) for name in fields if ":" in name}
    return [uri for prefix, uri in (("file", FILE_EXTENSION), ("proj", PROJECTION_EXTENSION)) if prefix in names]


def _lists(value: Any) -> Any:
    """A geometry as JSON would give it back: with lists where shapely has tuples."""
    if isinstance(value, dict):
        return {key: _lists(inner) for key, inner in value.items()}
    return [_lists(inner) for inner in value] if isinstance(value, list | tuple) else value


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))  # JSON has no NaN


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, list):
        return [None if _is_missing(item) else _plain(item) for item in value]
    return value


def _resolve(base: str, href: str) -> str:
    """An href relative to a file; ``s3://`` and local paths resolve as ``https://`` does."""
    if "://" in href or href.startswith("/"):
        return href
    parts = base.split("/")[:-1]
    for part in href.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part != ".":
            parts.append(part)
    return "/".join(parts)
