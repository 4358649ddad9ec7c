"""`mlstac info`: what a dataset says of itself, for people or for programs; reads collection.json alone."""

import math
from typing import Any

import mlstac
from mlstac.cli._console import OUT, print_json
from mlstac.cli._options import read_options
from mlstac.collection import DTYPES, Collection, Tensor
from mlstac.storage import redact


def show_info(source: str, *, options: list[str], as_json: bool) -> None:
    """Print what a dataset holds."""
    collection = mlstac.open(source, storage_options=read_options(options) or None)
    if as_json:
        print_json({"source": redact(source), **summarize(collection)})
        return
    from mlstac.cli._info_page import draw_page, load_line

    OUT.print(draw_page(collection))
    OUT.print(f"\n  {load_line(collection, redact(source))}\n", style="code", markup=False, soft_wrap=True)


def summarize(collection: Collection) -> dict[str, Any]:
    """Put a collection flatly: the same keys for every dataset, null where it does not say.

    Bytes are those of the tensors, before compression and without headers and padding; null where a shape varies from
    sample to sample.
    """
    each = sample_bytes(collection)
    placed = collection.placed
    start, end = collection.extent.interval[0]
    return {
        "id": collection.id,
        "title": collection.title,
        "description": collection.description,
        "license": collection.license,
        "version": collection.version,
        "tasks": list(collection.tasks),
        "samples": sum(split.n_items for split in collection.splits.values()),
        "bytes": None if each is None else each * sum(split.n_items for split in collection.splits.values()),
        "compression": collection.compression,
        "splits": {
            name: {"samples": split.n_items, "bytes": None if each is None else each * split.n_items}
            for name, split in collection.splits.items()
        },
        "tensors": {name: summarize_tensor(tensor) for name, tensor in collection.tensors.items()},
        "bbox": list(collection.extent.bbox[0]) if placed else None,
        "interval": [time.isoformat() if time else None for time in (start, end)] if start or end else None,
        "people": summarize_people(collection),
        "doi": collection.doi,
        "citation": collection.citation,
    }


def summarize_tensor(tensor: Tensor) -> dict[str, Any]:
    """Put one tensor flatly."""
    return {
        "role": tensor.role,
        "dtype": tensor.dtype,
        "shape": None if tensor.shape is None else list(tensor.shape),
        "dims": None if tensor.dims is None else list(tensor.dims),
        "bytes": tensor_bytes(tensor),
        "required": tensor.required,
        "media_type": tensor.media_type,
        "layout": tensor.layout,
        "description": tensor.description,
        "nodata": tensor.nodata,
        "scale": tensor.scale,
        "offset": tensor.offset,
        "unit": tensor.unit,
        "statistics": None if tensor.statistics is None else tensor.statistics.model_dump(exclude_none=True),
        "bands": [band.model_dump(exclude_none=True, mode="json") for band in tensor.bands],
        "classes": [item.model_dump(exclude_none=True, mode="json") for item in tensor.classes],
    }


def summarize_people(collection: Collection) -> list[dict[str, Any]]:
    """Contacts, then providers: name, organization, roles."""
    people = [
        {"name": contact.name, "organization": contact.organization, "roles": list(contact.roles)}
        for contact in collection.contacts
    ]
    return people + [
        {"name": provider.name, "organization": None, "roles": list(provider.roles)}
        for provider in collection.providers
    ]


def tensor_bytes(tensor: Tensor) -> int | None:
    """Bytes of one sample's tensor; None where its dtype or shape is not fixed."""
    shape = tensor.shape
    if tensor.dtype is None or shape is None or tensor.media_type:
        return None
    sizes = [size for size in shape if size is not None]
    return math.prod(sizes) * DTYPES[tensor.dtype] // 8 if len(sizes) == len(shape) else None


def sample_bytes(collection: Collection) -> int | None:
    """Bytes of one sample; None where one of its tensors varies or may be missing."""
    total = 0
    for tensor in collection.tensors.values():
        size = tensor_bytes(tensor)
        if size is None or not tensor.required:
            return None
        total += size
    return total
