"""Datasets whose items are dicts of tensors: torchgeo's, and any of torch's of that form.

torchgeo is not imported: its datasets are known by what their items hold.
"""

from collections.abc import Generator, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from mlstac.conversion._fields import Fields
from mlstac.conversion._numbering import agree_on_names
from mlstac.conversion._peek import describe_first
from mlstac.conversion._plan import Plan, Samples
from mlstac.conversion._words import field_name, is_label_field, split_of
from mlstac.errors import InvalidArgumentError
from mlstac.sample import Sample

_BOUNDS = ("bounds", "bbox")
_PLACE = ("crs", "transform", *_BOUNDS)
_LABELS = ("mask", "label", "bbox_xyxy", "boxes", "bbox_xywh")


def is_items(source: Any) -> bool:
    """Whether an object gives samples one by one."""
    return (hasattr(source, "__getitem__") and hasattr(source, "__len__")) or hasattr(source, "__iter__")


def plan_items(source: Any) -> Plan:
    """Plan the conversion of a dataset of dicts, or of a dict of such datasets by split.

    Raises
    ------
    InvalidArgumentError
        If items are not dicts, or if two datasets number classes differently.
    """
    parts = dict(source) if isinstance(source, Mapping) else {str(getattr(source, "split", "train")): source}
    splits = {split_of(name) or field_name(name): _reading(part) for name, part in parts.items()}
    names = _class_names(parts)
    tensors = describe_first(splits, roles=dict.fromkeys(_LABELS, "label"))
    label = next((name for name in ("mask", "label") if name in tensors), None)
    if label is not None and names:
        tensors[label].classes = type(tensors[label])(classes=dict(enumerate(names))).classes
    return Plan("torchgeo", splits, tensors, image="image" if "image" in tensors else None, label=label)


def _class_names(parts: Mapping[str, Any]) -> list[str]:
    """Names of the classes that the datasets give, where they say them."""
    said: dict[str, list[str]] = {}
    for split, part in parts.items():
        names = getattr(part, "classes", None)
        if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
            said[split] = list(names)
    return agree_on_names(said, "classes") if said else []


def band_names(source: Any) -> list[str] | None:
    """Names of the bands that a dataset gives, where it says them."""
    first = next(iter(source.values())) if isinstance(source, Mapping) else source
    for name in ("bands", "band_names", "all_bands"):
        found = getattr(first, name, None)
        if isinstance(found, list | tuple) and found and all(isinstance(band, str) for band in found):
            return list(found)
    return None


def _reading(part: Any) -> Samples:
    def read(skip: int) -> Generator[Sample, None, None]:
        if hasattr(part, "__len__") and hasattr(part, "__getitem__"):
            items: Iterator[Any] = (part[number] for number in range(skip, len(part)))
        else:
            items = islice(iter(part), skip, None)
        for number, item in enumerate(items, start=skip):
            if not isinstance(item, Mapping):
                raise InvalidArgumentError(
                    f"item {number} is of type {type(item).__name__}; expected a dict of tensors, as torchgeo's are: "
                    "wrap the dataset in one that names what it gives"
                )
            yield _sample(item, number)

    return read


def _sample(item: Mapping[str, Any], number: int) -> Sample:
    fields = Fields(f"item {number}")
    for key, value in item.items():
        name = str(key)
        if value is None or name in _PLACE:
            continue
        if isinstance(value, str):
            fields.tell(name, value)
        elif isinstance(value, Mapping):
            fields.read_words(dict(value))
        elif isinstance(value, bool | int | float) and not is_label_field(name):
            fields.tell(name, value)
        else:
            fields.add(field_name(name), value)
    return Sample(fields.tensors, properties=fields.properties, **(_place(item) | fields.place))


def _place(item: Mapping[str, Any]) -> dict[str, Any]:
    """CRS and transform of an item; of its bounds, which give both corners in the CRS, the transform is made."""
    crs = item.get("crs")
    if crs is None:
        return {}
    images = [item[name] for name in ("image", "mask") if name in item and getattr(item[name], "ndim", 0) >= 2]
    if not images:
        return {}
    transform = item.get("transform")
    found: dict[str, Any] = {}
    if transform is None:
        bounds = next((item[name] for name in _BOUNDS if item.get(name) is not None), None)
        corners = None if bounds is None else _corners(bounds)
        if corners is None:
            return {}
        left, bottom, right, top, times = corners
        height, width = (int(size) for size in images[0].shape[-2:])
        transform = ((right - left) / width, 0.0, left, 0.0, (bottom - top) / height, top)
        found |= times
    else:
        transform = np.asarray(transform, np.float64).reshape(-1)
    size = tuple(images[0].shape[-2:])
    on_grid = [
        field_name(str(name))
        for name, value in item.items()
        if getattr(value, "ndim", 0) >= 2 and tuple(value.shape[-2:]) == size and name not in _PLACE
    ]
    return found | {"crs": dict.fromkeys(on_grid, crs), "transform": dict.fromkeys(on_grid, transform)}


def _corners(bounds: Any) -> tuple[float, float, float, float, dict[str, Any]] | None:
    """Left, bottom, right and top, and the time: of slices by axis, of a box with minx …, or of four numbers."""
    if isinstance(bounds, tuple) and bounds and isinstance(bounds[0], slice):
        x, y = bounds[0], bounds[1]
        times = {}
        if len(bounds) > 2 and bounds[2].start is not None and bounds[2].stop is not None:
            times = {"start_datetime": bounds[2].start, "end_datetime": bounds[2].stop}
        return float(x.start), float(y.start), float(x.stop), float(y.stop), times
    if all(hasattr(bounds, name) for name in ("minx", "maxx", "miny", "maxy")):
        return float(bounds.minx), float(bounds.miny), float(bounds.maxx), float(bounds.maxy), {}
    values = np.asarray(bounds, np.float64).reshape(-1)
    return (*map(float, values), {}) if len(values) == 4 else None  # type: ignore[return-value]
