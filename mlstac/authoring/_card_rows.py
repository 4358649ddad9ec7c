"""What a card shows of the samples themselves: some of them whole, where all are, and the grid that they share.

Read by the format alone, from the catalogs and shards that were just written, so that the card of a run that was
interrupted is that of one that was not.
"""

import io
import math
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlstac.authoring._catalog_file import open_catalog
from mlstac.authoring._statistics import is_measurable, view
from mlstac.authoring._target import Target, named_errors
from mlstac.cards import Grid
from mlstac.collection import Collection, Tensor
from mlstac.sample import count_bytes, decode_field, decompress_frame, import_zstandard

SHOWN_SAMPLES: Final = 8
_MOST_FOOTPRINTS: Final = 5_000  # of a split; more would be one blot
_MOST_BYTES: Final = 64 * 2**20  # of one tensor of one sample; a larger one is left out of the picture
_MOST_FRAME_BYTES: Final = 256 * 2**20
_ZSTD: Final = ".zst"


@dataclass
class Rows:
    """What was read of a dataset's rows."""

    samples: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    footprints: dict[str, list[bytes]] = field(default_factory=dict)
    grid: Grid = field(default_factory=Grid)


def read_rows(target: Target, collection: Collection, *, samples: bool) -> Rows:
    """Read what a card shows.

    Parameters
    ----------
    target : Target
        The dataset's folder.
    collection : Collection
        With its splits and the assets of their catalogs.
    samples : bool
        Whether samples and footprints are wanted; the grid always is.
    """
    rows = Rows()
    codes: set[str | None] = set()
    pixels: set[float | None] = set()
    for split, part in collection.splits.items():
        if not part.n_items:
            continue
        shown: list[bytes] = []
        wanted = _spread(part.n_items, _MOST_FOOTPRINTS)
        for start, table in _groups(target, collection, split, ["geometry", "proj:code", "proj:transform"]):
            if samples and "geometry" in table.column_names:
                here = wanted[(wanted >= start) & (wanted < start + len(table))] - start
                shown += table["geometry"].take(pa.array(here)).drop_null().to_pylist()
            codes |= set(table["proj:code"].unique().to_pylist()) if "proj:code" in table.column_names else {None}
            pixels |= _pixel_sizes(table)
        if shown:
            rows.footprints[split] = shown
        if samples and not rows.samples:
            rows.samples, rows.ids = _read_samples(target, collection, split)
    rows.grid = _shared_grid(codes, pixels)
    return rows


def _spread(length: int, count: int) -> NDArray[np.int64]:
    return np.linspace(0, length - 1, min(count, length)).round().astype(np.int64)


def _groups(target: Target, collection: Collection, split: str, columns: list[str]) -> Iterator[tuple[int, pa.Table]]:
    """Columns of a split's catalog as far as it has them, a row group at a time, with the number of the first row."""
    start = 0
    for name in collection.splits[split].assets:
        href = collection.assets[name].href.removeprefix("./")
        with target.local(href) as path, named_errors("reading", path), open_catalog(path) as file:
            have = [column for column in columns if column in file.schema.names]
            for group, count in enumerate(file.groups):
                if have:
                    yield start, file.read(have, [group])
                start += count


def _pixel_sizes(table: pa.Table) -> set[float | None]:
    """Sizes of the pixels of some rows in units of their grid; None stands for a row that does not say."""
    if "proj:transform" not in table.column_names:
        return {None}
    transforms = table["proj:transform"]
    if transforms.null_count:
        return {None}
    terms = np.asarray(transforms.combine_chunks().flatten(), np.float64).reshape(len(table), -1)
    if terms.shape[1] < 6:
        return {None}
    across, down = np.hypot(terms[:, 0], terms[:, 3]), np.hypot(terms[:, 1], terms[:, 4])
    return {float(size) for size in np.unique(np.concatenate([across, down]).round(6))}


def _shared_grid(codes: set[str | None], pixels: set[float | None]) -> Grid:
    crs = next(iter(codes)) if len(codes) == 1 else None
    pixel = next(iter(pixels)) if len(pixels) == 1 else None
    if pixel is None or None in codes or not codes or not all(map(_is_in_metres, codes)):
        return Grid(crs=crs)
    return Grid(crs=crs, pixel_m=pixel)


def _is_in_metres(code: str | None) -> bool:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return CRS.from_user_input(code).axis_info[0].unit_name == "metre"
    except CRSError:
        return False


def _read_samples(target: Target, collection: Collection, split: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Some samples of a split, evenly over it, and their ids."""
    wanted = _spread(collection.splits[split].n_items, SHOWN_SAMPLES)
    samples, ids = [], []
    for start, table in _groups(target, collection, split, ["id", "assets"]):
        here = wanted[(wanted >= start) & (wanted < start + len(table))] - start
        for row in table.take(pa.array(here)).to_pylist():
            assets = row["assets"]
            values = {
                name: _read_value(target, split, assets.get(name), tensor)
                for name, tensor in collection.tensors.items()
            }
            samples.append({name: value for name, value in values.items() if value is not None})
            ids.append(row["id"])
    return samples, ids


def _read_value(target: Target, split: str, asset: Mapping[str, Any] | None, tensor: Tensor) -> Any:
    """One tensor of a sample; None where the sample lacks it, or a picture has no use for it."""
    if asset is None or asset["ml:length"] > _MOST_BYTES:
        return None
    if tensor.media_type is None and (tensor.dtype is None or not is_measurable(tensor.dtype)):
        return None
    file = posixpath.normpath(f"{split}/{asset['href']}")
    with named_errors("reading", target.path(file)), target.open(file) as shard:
        shard.seek(asset["ml:offset"])
        data = shard.read(asset["ml:length"])
    shape = [int(length or 0) for length in asset.get("ml:shape") or tensor.shape or ()]
    if file.endswith(_ZSTD) and data:  # what has no bytes has no frame
        whole = _unpack(data)
        if whole is None:
            return None
        first = asset.get("ml:frame_offset") or 0
        data = whole[first : first + count_bytes(tensor.dtype or "U8", shape)]
    if tensor.media_type is not None:
        return _decode(data, tensor.media_type)
    return view(np.frombuffer(data, np.uint8), tensor.dtype or "U8", shape)


def _unpack(stored: bytes) -> bytes | None:
    """What is in a frame; None where that is more than a picture is worth. Small tensors share a frame a shard."""
    size = import_zstandard("drawing samples of compressed shards").frame_content_size(stored)
    if size > _MOST_FRAME_BYTES:
        return None
    out = np.empty(size, np.uint8)
    decompress_frame(np.frombuffer(stored, np.uint8), out)
    return out.tobytes()


def _decode(data: bytes, media_type: str) -> Any:
    if media_type in ("text/plain", "application/json"):
        return decode_field(data, media_type)
    if not media_type.startswith("image/"):
        return None
    try:
        from PIL import Image
    except ModuleNotFoundError:
        return None
    try:
        with Image.open(io.BytesIO(data)) as image:
            return None if math.prod(image.size) > _MOST_BYTES else np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError):  # what Pillow raises for pictures that are none, or broken
        return None
