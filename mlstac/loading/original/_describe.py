"""What a ``main.json`` says of its dataset, as a `Collection`; what breaks the model or is known to be wrong stays out.

The original's extents are corners in whatever CRS, its statistics and sizes are guesses from one sample, its links lead
to the author's own machine: none of these is carried over.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mlstac.collection import DTYPES, Collection, Split, Tensor, check_task
from mlstac.errors import InvalidArgumentError
from mlstac.loading.original._document import ContainerSplit, Document
from mlstac.loading.original._looking import Looked

_TASKS = {
    "tensorclassification": "classification",
    "tensorregression": "regression",
    "tensorsegmentation": "semantic-segmentation",
    "objectdetection": "object-detection",
    "tensortotensor": "image-to-image",
    "tensortotext": "captioning",
    "texttotensor": "text-to-image",
}
_AXES = {
    "time": ("time", "times", "t", "date", "dates"),
    "band": ("band", "bands", "b", "c", "channel", "channels", "spectral"),
    "y": ("y", "h", "height", "row", "rows", "lat", "latitude"),
    "x": ("x", "w", "width", "col", "cols", "column", "columns", "lon", "longitude"),
}
_WORDS = {word: axis for axis, words in _AXES.items() for word in words}
_LABELLED = ("classification", "scene-classification", "semantic-segmentation", "segmentation")
_PEOPLE = {"authors": "author", "curators": "curator", "curator": "curator", "reviewers": "reviewer"}
_MICROMETRES = {"nm": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0}
_CONTACT = ("name", "organization", "identifier", "position", "emails", "phones", "addresses")


def describe_collection(document: Document, *, url: str, counts: Mapping[str, int] | None = None) -> Collection:
    """What the document says of the dataset, without its tensors.

    Parameters
    ----------
    document : Document
    url : str
        Where it was read.
    counts : mapping of str to int, optional
        Samples of splits whose document does not say it.
    """
    data = document.data
    splits = {
        split.name: Split(
            n_items=(counts or {}).get(split.name, 0) if isinstance(split, ContainerSplit) else split.n_items
        )
        for split in document.splits
    }
    fields: dict[str, Any] = {"id": _id_of(data), "splits": splits}
    _add(fields, "title", data.get("title"))
    _add(fields, "description", data.get("description"))
    _add(fields, "keywords", [word for word in _listed(data.get("keywords")) if isinstance(word, str)])
    _add(fields, "license", data.get("license"))
    _add(fields, "version", data.get("ml_dataset_version", data.get("ml:dataset_version")))
    _add(fields, "doi", data.get("sci:doi"))
    _add(fields, "citation", data.get("sci:citation"))
    _add(fields, "tasks", tasks_of(data))
    _add(fields, "split_strategy", _said(data, "split_strategy") or None)
    _add(fields, "raw_data_url", _said(data, "raw_data_url", "raw"))
    _add(fields, "discussion_url", _said(data, "discussion_url", "discuss"))
    _add(fields, "paper", _said(data, "paper"))
    for provider in _listed(data.get("providers")):
        if isinstance(provider, Mapping):
            kept = {key: provider[key] for key in ("name", "description", "roles", "url") if provider.get(key)}
            _add(fields, "providers", [*fields.get("providers", []), kept])
    for word, role in _PEOPLE.items():
        for person in _listed(_said(data, word)):
            _add_contact(fields, person, role)
    return Collection.from_dict(Collection(**fields).to_dict(), href=url)


def with_tensors(collection: Collection, tensors: Mapping[str, Tensor]) -> Collection:
    """The collection with its tensors."""
    described = collection.model_copy(update={"tensors": dict(tensors)})
    return type(collection).from_dict(described.to_dict(), href=collection.href)


def describe_tensors(document: Document, looked: Mapping[str, Looked]) -> dict[str, Tensor]:
    """What is known of each tensor: of the samples its dtype and shape, of the document its axes, bands and classes."""
    data = document.data
    shapes = {name: found.shape for name, found in looked.items() if not found.text}
    tasks = tasks_of(data)
    tensors: dict[str, Tensor] = {}
    for name, found in looked.items():
        fields: dict[str, Any] = {
            "dtype": found.dtype,
            "shape": found.shape,
            "role": "label" if name in ("target", "target_text") else "data",
            "required": found.required,
            "layout": "single",
        }
        if found.text:
            tensors[name] = Tensor(**fields, media_type="text/plain")
            continue
        _add(fields, "dims", _dims_of(data, name, shapes), model=Tensor)
        if name == "input":
            _add(fields, "bands", _bands_of(data, fields), model=Tensor)
        if name == "target" and found.dtype[0] in "UI" and any(task in _LABELLED for task in tasks):
            _add(fields, "classes", _classes_of(data), model=Tensor)
        tensors[name] = Tensor(**fields)
    return tensors


def promised_tensors(document: Document) -> dict[str, Looked]:
    """Tensors as ``ml:dimensions`` has them: a guess from one sample, of use where there is none to look at."""
    found = {}
    dimensions = _said(document.data, "dimensions")
    for name, said in dimensions.items() if isinstance(dimensions, Mapping) else ():
        dtype, shape = (said.get("dtype"), said.get("shape")) if isinstance(said, Mapping) else (None, None)
        if dtype in DTYPES and isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape):
            found[str(name)] = Looked(str(dtype), tuple(shape), required=True, text=False)
    return found


def tasks_of(data: Mapping[str, Any]) -> list[str]:
    """Tasks by their words of today; those that have none become terms of the dataset's own."""
    tasks = []
    for word in _listed(_said(data, "task", "tasks")):
        if not isinstance(word, str) or not word.strip():
            continue
        known = _TASKS.get(re.sub(r"[^a-z]", "", word.lower()))
        if known is None:
            slug = re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")[:60].strip("-")
            try:
                known = check_task(slug)
            except InvalidArgumentError:
                known = f"x-{slug}" if slug else None
        if known is not None:
            tasks.append(known)
    return list(dict.fromkeys(tasks))


def _id_of(data: Mapping[str, Any]) -> str:
    for key in ("id", "name", "title"):
        value = data.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()[:255]
    return "dataset"


def _said(data: Mapping[str, Any], *names: str) -> Any:
    """A field under either prefix, or under the older of its names."""
    for name in names:
        for prefix in ("ml:", "ml_"):
            if data.get(prefix + name) is not None:
                return data[prefix + name]
    return None


def _listed(value: Any) -> list[Any]:
    """A list, one that stands in an object of one field, or a single value."""
    if isinstance(value, Mapping):
        inner = [item for item in value.values() if isinstance(item, list)]
        return list(inner[0]) if inner else [value]
    if isinstance(value, str):
        return [value]
    return list(value) if isinstance(value, Sequence) else []


def _add(fields: dict[str, Any], name: str, value: Any, *, model: type[Collection] | type[Tensor] = Collection) -> None:
    """Take up a field if the model takes it."""
    if value is None or value == [] or value == "":
        return
    try:
        model(**(fields | {name: value}))
    except (ValueError, TypeError):  # those of pydantic and our own are both
        return
    fields[name] = value


def _add_contact(fields: dict[str, Any], person: Any, role: str) -> None:
    if isinstance(person, Mapping) and isinstance(person.get("reviewer"), Mapping):
        person = person["reviewer"]  # with a score beside it, which is not of the person
    if not isinstance(person, Mapping):
        return
    kept = {key: person[key] for key in _CONTACT if person.get(key)}
    kept.setdefault("name", kept.get("organization"))
    if person.get("email") and "emails" not in kept:
        kept["emails"] = [{"value": person["email"]}]
    contacts = fields.get("contacts", [])
    before = len(contacts)
    for keys in (_CONTACT, ("name", "organization")):
        part = {key: kept[key] for key in keys if key in kept} | {"roles": [role]}
        _add(fields, "contacts", [*contacts, part])
        if len(fields.get("contacts", [])) > before:
            return


def _dims_of(
    data: Mapping[str, Any], name: str, shapes: Mapping[str, tuple[int | None, ...]]
) -> tuple[str, ...] | None:
    dimensions = _said(data, "dimensions")
    said = dimensions.get(name) if isinstance(dimensions, Mapping) else None
    axes = said.get("dimensions") if isinstance(said, Mapping) else None
    shape = shapes[name]
    if isinstance(axes, list) and len(axes) == len(shape) and all(isinstance(axis, Mapping) for axis in axes):
        words = tuple(str(axis.get("name", "")).strip().lower() for axis in axes)
        found = tuple(_WORDS.get(word, word) for word in words)
        if all(found) and len(set(found)) == len(found):
            return found
    return _usual_dims(shape, None if name == "input" else shapes.get("input"))


def _usual_dims(shape: tuple[int | None, ...], image: tuple[int | None, ...] | None) -> tuple[str, ...] | None:
    """Axes by the original's habit, in which an image is (band, y, x), and a mask lies on it."""
    if image is not None and len(shape) == 2 and len(image) >= 3:
        return ("y", "x") if shape == image[-2:] else None
    if image is not None and len(shape) != len(image):
        return None
    return {4: ("time", "band", "y", "x"), 3: ("band", "y", "x")}.get(len(shape))


def _bands_of(data: Mapping[str, Any], fields: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Bands by their place in the list, which is that of the channel; ``index`` is the sensor's."""
    said = _said(data, "spectral", "spectral_bands")
    bands = [band for band in _listed(said) if isinstance(band, Mapping) and band.get("name")]
    dims, shape = fields.get("dims"), fields["shape"]
    if not bands or dims is None or "band" not in dims or shape[dims.index("band")] != len(bands):
        return None
    found = []
    for band in bands:
        kept: dict[str, Any] = {"name": str(band["name"])}
        for key, old in (("common_name", "common_name"), ("description", "description")):
            if band.get(old):
                kept[key] = band[old]
            try:
                Tensor(bands=[kept])
            except ValueError:
                kept.pop(key)
        found.append(kept | _wavelengths_of(band))
    return found


def _wavelengths_of(band: Mapping[str, Any]) -> dict[str, float]:
    """Middle and width of a band in micrometres; the original's ``unit`` is theirs, and not that of the values."""
    factor = _MICROMETRES.get(str(band.get("unit", "")).strip().lower())
    if factor is None:
        return {}
    given = {key: band.get(key) for key in ("center_wavelength", "full_width_half_max")}
    return {
        key: round(value * factor, 9)
        for key, value in given.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
    }


def _classes_of(data: Mapping[str, Any]) -> dict[int, str] | None:
    said = _said(data, "labels", "target")
    labels = said.get("labels", said) if isinstance(said, Mapping) else None
    if not isinstance(labels, Mapping) or not labels:
        return None
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in labels.values()):
        return None
    return {value: str(name) for name, value in labels.items()}
