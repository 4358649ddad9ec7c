"""The same dataset in the words of TrainingDML-AI, the OGC's markup of training data, as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from mlstac.collection import Band, Collection, Tensor, split_words

_TASKS: Final = {
    "classification": "Classification",
    "scene-classification": "Scene Classification",
    "detection": "Object Detection",
    "object-detection": "Object Detection",
    "segmentation": "Segmentation",
    "semantic-segmentation": "Semantic Segmentation",
    "instance-segmentation": "Instance Segmentation",
    "panoptic-segmentation": "Panoptic Segmentation",
    "change-detection": "Change Detection",
}
"""How the standard's examples write the tasks that they have; the others keep their own word."""


class TdmlSample(NamedTuple):
    """What one sample gives to the export."""

    id: str
    split: str
    data: Sequence[str]
    """URLs of its data, relative to the document or absolute."""
    labels: Sequence[Mapping[str, Any]]
    """Label objects of TrainingDML-AI."""
    bbox: Sequence[float] | None = None
    """West, south, east, north in degrees of WGS 84."""
    times: Sequence[str] = ()
    """RFC 3339."""


def make_tdml(collection: Collection, samples: Iterable[TdmlSample]) -> dict[str, Any]:
    """Describe a dataset and each of its samples in TrainingDML-AI 1.0.

    Parameters
    ----------
    collection : Collection
    samples : iterable of TdmlSample
        In the order of the document. A sample of a split that is not train, validation or test has no
        ``trainingType``: the standard has no word for it.

    Returns
    -------
    dict
        A JSON object of type ``AI_EOTrainingDataset``.

    References
    ----------
    OGC 23-008r3, "Training Data Markup Language for AI, Part 1: Conceptual Model"; OGC 24-006r1, "Part 2: JSON".
    """
    data = [_datum(collection.id, sample) for sample in samples]
    classes = [item for tensor in collection.tensors.values() for item in tensor.classes]
    bands = [
        _band(band, tensor)
        for tensor in collection.tensors.values()
        for band in tensor.bands
        if band.name or band.common_name
    ]
    document: dict[str, Any] = {
        "type": "AI_EOTrainingDataset",
        "id": collection.id,
        "name": collection.title or collection.id,
        "description": collection.description or collection.title or collection.id,
        "license": collection.license,
        "version": collection.version,
        "doi": collection.doi,
        "keywords": list(collection.keywords) or None,
        "providers": [provider.name for provider in collection.providers] or None,
        "amountOfTrainingData": len(data),
        "numberOfClasses": len(classes) or None,
        "classes": [{"key": item.name, "value": item.value} for item in classes] or None,
        "bands": bands or None,
        "imageSize": _image_size(collection),
        "extent": _flat_box(collection.extent.bbox[0]) if collection.placed else None,
        "statisticsInfo": _statistics(collection) or None,
        "tasks": _tasks(collection),
        "data": data,
    }
    return {key: value for key, value in document.items() if value is not None}


def _datum(dataset: str, sample: TdmlSample) -> dict[str, Any]:
    words = split_words(sample.split)
    datum: dict[str, Any] = {
        "type": "AI_EOTrainingData",
        "id": sample.id,
        "datasetId": dataset,
        "dataURL": list(sample.data),
        "extent": None if sample.bbox is None else list(sample.bbox),
        "dataTime": list(sample.times) or None,
        "trainingType": None if words is None else words.tdml,
        "numberOfLabels": len(sample.labels),
        "labels": [dict(label) for label in sample.labels],
    }
    return {key: value for key, value in datum.items() if value is not None}


def _tasks(collection: Collection) -> list[dict[str, Any]]:
    """The tasks; one of no type where the collection names none, for the standard asks for one at the least."""
    return [
        {"type": "AI_EOTask", "id": f"{collection.id}-{task}", "taskType": _TASKS.get(task, task)}
        for task in collection.tasks
    ] or [{"type": "AI_EOTask", "id": f"{collection.id}-task", "taskType": "unspecified"}]


def _band(band: Band, tensor: Tensor) -> dict[str, Any]:
    statistics = band.statistics
    scale = band.scale if band.scale is not None else tensor.scale
    offset = band.offset if band.offset is not None else tensor.offset
    fields: dict[str, Any] = {
        "name": [{"code": band.name or band.common_name}],
        "description": band.description or band.common_name,
        "units": band.unit or tensor.unit,
        "scaleFactor": scale,
        "offset": offset,
        "peakResponse": band.center_wavelength,
    }
    if band.center_wavelength is not None and band.full_width_half_max is not None:
        half = band.full_width_half_max / 2
        low, high = band.center_wavelength - half, band.center_wavelength + half
        fields |= {"boundMin": round(low, 9), "boundMax": round(high, 9), "boundUnits": "um"}
    if statistics is not None:
        fields |= {
            "minValue": statistics.minimum,
            "maxValue": statistics.maximum,
            "meanValue": statistics.mean,
            "standardDeviation": statistics.stddev,
            "numberOfValues": statistics.count,
        }
    return {key: value for key, value in fields.items() if value is not None}


def _image_size(collection: Collection) -> str | None:
    """Width and height of the first image whose sides are fixed."""
    for tensor in collection.tensors.values():
        if tensor.shape is not None and tensor.y_axis is not None and tensor.x_axis is not None:
            width, height = tensor.shape[tensor.x_axis], tensor.shape[tensor.y_axis]
            if width is not None and height is not None:
                return f"{width}x{height}"
    return None


def _flat_box(box: Sequence[float]) -> list[float]:
    half = len(box) // 2
    return [box[0], box[1], box[half], box[half + 1]]


def _statistics(collection: Collection) -> list[dict[str, Any]]:
    """How many samples a split has, and how often a class occurs in the train split."""
    named: list[dict[str, Any]] = [
        {"key": f"samples in {name}", "value": split.n_items} for name, split in collection.splits.items()
    ]
    for name, tensor in collection.tensors.items():
        named += [
            {"key": f"values of {name} that are {item.name}, in train", "value": item.count}
            for item in tensor.classes
            if item.count is not None
        ]
    return named
