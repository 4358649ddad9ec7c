"""A dataset in the words of TrainingDML-AI: each sample's address, place, time and labels."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from mlstac.cards import TdmlSample, make_tdml
from mlstac.collection import Collection, Tensor
from mlstac.errors import NotFoundError
from mlstac.loading._load import load, open_collection
from mlstac.storage import StorageOptions

_ROWS_AT_ONCE = 1024
_TIMES = ("datetime", "start_datetime", "end_datetime")


def export_tdml(source: Any, path: Any = None, *, storage_options: StorageOptions = None) -> dict[str, Any]:
    """Describe a dataset in TrainingDML-AI JSON (OGC 23-008).

    It says of every sample where its bytes are, where and when it is, for what split it is (``training``,
    ``validation``, ``test``), and its labels:

    - a label of one number with classes is a scene label, its class by name; so is a label of text;
    - a label over ``y, x`` is a pixel label, and its image the bytes in the shard;
    - boxes (``n, 4``) are object labels, their corners in pixels, with the class of each where one other label has as
      many rows.

    A URL names a range of a shard: ``train/00000.safetensors#bytes=320-5119``, both ends included.

    Parameters
    ----------
    source : str, path, Collection or dict
        As `mlstac.load` takes it.
    path : str or path-like, optional
        Where to write the document; URLs in it are relative to the dataset's folder.
    storage_options : mapping or callable, optional
        For the store.

    Returns
    -------
    dict
        The document.

    Raises
    ------
    NotFoundError
        If no split has a sample: the standard has no empty dataset.
    """
    collection = open_collection(source, storage_options=storage_options)
    if not any(split.n_items for split in collection.splits.values()):
        raise NotFoundError(
            f"collection {collection.id!r} has no samples, and TrainingDML-AI asks for one at the least; write some"
            " first"
        )
    document = make_tdml(collection, _samples(collection, source, storage_options))
    if path is not None:
        Path(path).write_text(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    return document


def _samples(collection: Collection, source: Any, storage_options: StorageOptions) -> Iterator[TdmlSample]:
    values = [name for name, tensor in collection.tensors.items() if _is_read(tensor)]
    for split, part in collection.splits.items():
        if not part.n_items:
            continue
        dataset = load(source, split=split, framework="numpy", storage_options=storage_options)
        columns = [name for name in ("bbox", *_TIMES) if name in dataset.metadata.columns]
        table = dataset.metadata.to_table(["id", "assets", *columns])
        labels = dataset.select(values) if values else None
        for start in range(0, len(table), _ROWS_AT_ONCE):
            rows = table.slice(start, _ROWS_AT_ONCE).to_pylist()
            for number, row in enumerate(rows, start):
                given = labels[number] if labels is not None else {}
                yield _sample(collection, split, row, given)


def _is_read(tensor: Tensor) -> bool:
    """Whether a label's values go into the document, and not its address alone."""
    if tensor.role != "label":
        return False
    return tensor.media_type == "text/plain" or (tensor.media_type is None and tensor.y_axis is None)


def _sample(collection: Collection, split: str, row: Mapping[str, Any], given: Mapping[str, Any]) -> TdmlSample:
    stored = {name: _url(split, asset) for name, asset in row["assets"].items() if asset is not None}
    tensors = {name: collection.tensors[name] for name in collection.tensors if name in stored}
    labels = [
        label for name in tensors if tensors[name].role == "label" for label in _labels(name, tensors, stored, given)
    ]
    box = row.get("bbox")
    return TdmlSample(
        id=row["id"],
        split=split,
        # a sample that is all labels, or all data, still has both: the standard asks for one of each
        data=[stored[name] for name, tensor in tensors.items() if tensor.role == "data"] or list(stored.values()),
        labels=labels or [{"type": "AI_AbstractLabel"}],
        bbox=None if box is None else (box["xmin"], box["ymin"], box["xmax"], box["ymax"]),
        times=_times(row),
    )


def _url(split: str, asset: Mapping[str, Any]) -> str:
    href = str(asset["href"]).removeprefix("./")
    place = href if "://" in href or href.startswith("/") else f"{split}/{href}"
    first, length = asset.get("ml:offset"), asset.get("ml:length")
    if first is None or length is None:
        return place  # a file of one sample, as the original's are
    return f"{place}#bytes={first}-{first + max(length, 1) - 1}"


def _times(row: Mapping[str, Any]) -> list[str]:
    instant = row.get("datetime")
    found = [instant] if instant is not None else [row.get(name) for name in _TIMES[1:]]
    return [_rfc3339(time) for time in found if time is not None]


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _labels(
    name: str, tensors: Mapping[str, Tensor], stored: Mapping[str, str], given: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    tensor = tensors[name]
    if name not in given:
        if tensor.y_axis is not None or (tensor.media_type or "").startswith("image/"):
            kind = tensor.media_type or "application/vnd.safetensors"
            yield {"type": "AI_PixelLabel", "imageURL": [stored[name]], "imageFormat": [kind]}
        return
    if tensor.media_type is not None:
        yield {"type": "AI_SceneLabel", "class": str(given[name])}
        return
    value = np.asarray(given[name])
    if value.ndim == 2 and value.shape[1] == 4:
        kinds = _kinds_of_boxes(name, len(value), tensors, given)
        for box, kind in zip(value.astype(np.float64).tolist(), kinds, strict=True):
            yield _object(box, kind)
    elif value.size == 1 and tensor.classes:
        yield {"type": "AI_SceneLabel", "class": _class_name(tensor, value.reshape(()).item())}
    elif value.ndim == 1 and tensor.classes and not _belongs_to_boxes(name, value, given):
        held = _held(tensor, value)
        yield from ({"type": "AI_SceneLabel", "class": kind} for kind in held)


def _held(tensor: Tensor, value: Any) -> list[str]:
    """Names of the classes of a sample with several: of one yes or no a class, or of class numbers."""
    if len(value) == len(tensor.classes) and set(np.unique(value).tolist()) <= {0, 1}:
        return [item.name for item, holds in zip(tensor.classes, value.tolist(), strict=True) if holds]
    return [_class_name(tensor, number) for number in value.tolist()]


def _class_name(tensor: Tensor, number: Any) -> str:
    return next((item.name for item in tensor.classes if item.value == number), str(number))


def _belongs_to_boxes(name: str, value: Any, given: Mapping[str, Any]) -> bool:
    return any(
        np.ndim(other) == 2 and np.shape(other) == (len(value), 4) for key, other in given.items() if key != name
    )


def _kinds_of_boxes(name: str, count: int, tensors: Mapping[str, Tensor], given: Mapping[str, Any]) -> list[str]:
    """The class of each box: of the first other label with as many whole numbers; else they are all ``object``."""
    for key, value in given.items():
        if key != name and np.ndim(value) == 1 and len(value) == count and np.asarray(value).dtype.kind in "iu":
            return [_class_name(tensors[key], number) for number in np.asarray(value).tolist()]
    return ["object"] * count


def _object(box: list[float], kind: str) -> dict[str, Any]:
    west, north, east, south = box
    ring = [[west, north], [east, north], [east, south], [west, south], [west, north]]
    return {
        "type": "AI_ObjectLabel",
        "class": kind,
        "bboxType": "Horizontal BBox",
        "object": {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}},
    }
