"""Datasets of Hugging Face's ``datasets``: objects at hand, or folders that they were saved to."""

from collections import defaultdict
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mlstac.collection import Tensor
from mlstac.conversion._fields import Fields
from mlstac.conversion._numbering import agree_on_names
from mlstac.conversion._peek import describe_first, raster_tensors
from mlstac.conversion._plan import Plan, Samples
from mlstac.conversion._raster import place
from mlstac.conversion._words import field_name, is_label_field, split_of
from mlstac.errors import InvalidArgumentError, MissingPackageError
from mlstac.sample import Sample

_TEXTS = ("text", "caption", "captions", "question", "answer", "prompt", "description", "sentence", "response")


def is_saved(root: Path) -> bool:
    """Whether a folder is one that ``save_to_disk`` wrote."""
    return (root / "dataset_dict.json").is_file() or (
        (root / "state.json").is_file() and (root / "dataset_info.json").is_file()
    )


def load_saved(root: Path) -> Any:
    """Open a saved folder.

    Raises
    ------
    MissingPackageError
        If datasets is not installed.
    """
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise MissingPackageError("a saved Hugging Face dataset is read with: pip install datasets") from error
    return datasets.load_from_disk(str(root))


def is_huggingface(source: Any) -> bool:
    """Whether an object is a dataset of that library, or a dict of them."""
    if isinstance(source, Mapping) and source:
        return all(map(is_huggingface, source.values()))
    return type(source).__module__.partition(".")[0] == "datasets"


def plan_huggingface(source: Any) -> Plan:
    """Plan the conversion of a dataset, or of a dict of them by split.

    Raises
    ------
    InvalidArgumentError
        If it has no features, so that nothing says what its columns are, or if its splits number classes differently.
    """
    parts = dict(source) if isinstance(source, Mapping) else {_split(source): source}
    found: dict[str, Tensor] = {}
    splits: dict[str, Samples] = {}
    named: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for name, part in parts.items():
        features = getattr(part, "features", None)
        if not features:
            raise InvalidArgumentError(f"split {name!r} has no features; give it some: dataset.cast(Features({{...}}))")
        for column, feature in features.items():
            if type(feature).__name__ == "ClassLabel":
                named[field_name(column)][name] = list(feature.names or [])
        splits[split_of(name) or field_name(name)] = _reading(_undecoded(part, features), dict(features), found)
    classes = {column: agree_on_names(said, column) for column, said in named.items()}
    tensors = describe_first(splits, classes=classes, roles=dict.fromkeys(classes, "label"), rasters=found)
    image = next((name for name, tensor in tensors.items() if tensor.role == "data"), None)
    info = getattr(next(iter(parts.values())), "info", None)
    fields = {
        "description": getattr(info, "description", None) or None,
        "citation": getattr(info, "citation", None) or None,
    }
    return Plan(
        "huggingface",
        splits,
        tensors,
        {name: value for name, value in fields.items() if value},
        image=image,
        label=next(iter(classes), None),
    )


def _split(source: Any) -> str:
    return str(getattr(source, "split", None) or "train")


def _undecoded(part: Any, features: Mapping[str, Any]) -> Any:
    """The dataset with its pictures as they are stored: decoded and encoded again they would lose."""
    for column, feature in features.items():
        if type(feature).__name__ == "Image" and getattr(feature, "decode", True):
            part = part.cast_column(column, type(feature)(decode=False))
    return part.with_format(None) if hasattr(part, "with_format") else part


def _reading(part: Any, features: dict[str, Any], found: dict[str, Tensor]) -> Samples:
    def read(skip: int) -> Generator[Sample, None, None]:
        rest = part.skip(skip) if skip else part
        for number, row in enumerate(rest, start=skip):
            fields = Fields(f"row {number}")
            for column, value in row.items():
                if value is not None:
                    _add(fields, column, value, features.get(column))
            for name, tensor in raster_tensors(fields).items():
                found.setdefault(name, tensor)
            yield Sample(fields.tensors, properties=fields.properties, **(place(fields.rasters) | fields.place))

    return read


def _add(fields: Fields, column: str, value: Any, feature: Any) -> None:
    kind = type(feature).__name__
    name = field_name(column)
    if kind == "ClassLabel":
        fields.add(name, np.int64(value))
    elif kind == "Image":
        data = value.get("bytes") if isinstance(value, dict) else value
        if data is None:
            data = Path(value["path"]).read_bytes()
        fields.add(name, data)
    elif kind.startswith("Array"):
        fields.add(name, np.asarray(value, np.dtype(feature.dtype)))
    elif isinstance(value, bytes):
        fields.add(name, value)
    elif isinstance(value, str):
        fields.add(name, value) if name.lower() in _TEXTS else fields.tell(column, value)
    elif (isinstance(value, list) and _is_numbers(value)) or (is_label_field(name) and isinstance(value, int | float)):
        fields.add(name, np.asarray(value, _dtype_of(feature)))
    else:
        fields.tell(column, value)


def _dtype_of(feature: Any) -> Any:
    """The dtype of a (nested) list of numbers; what numpy makes of it where the features do not say."""
    while feature is not None and not isinstance(getattr(feature, "dtype", None), str):
        feature = feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)
    dtype = getattr(feature, "dtype", None)
    return np.dtype(dtype) if dtype in np.sctypeDict else None


def _is_numbers(value: Any) -> bool:
    """Whether nested lists hold numbers alone, at one depth."""
    try:
        return np.asarray(value).dtype.kind in "biuf"
    except ValueError:
        return False
