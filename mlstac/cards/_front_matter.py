"""The front matter of a card: what the Hugging Face Hub reads of a dataset, as YAML between two lines of dashes."""

import re
from collections.abc import Iterator
from typing import Any, Final

from mlstac.cards._licenses import license_fields
from mlstac.collection import Collection

_TASKS: Final = {
    "scene-classification": "image-classification",
    "detection": "object-detection",
    "object-detection": "object-detection",
    "segmentation": "image-segmentation",
    "semantic-segmentation": "image-segmentation",
    "instance-segmentation": "image-segmentation",
    "panoptic-segmentation": "image-segmentation",
    "similarity-search": "image-feature-extraction",
    "captioning": "image-to-text",
    "image-captioning": "image-to-text",
    "super-resolution": "image-to-image",
    "downscaling": "image-to-image",
    "image-to-image": "image-to-image",
    "text-to-image": "text-to-image",
    "time-series-forecasting": "time-series-forecasting",
    "visual-question-answering": "visual-question-answering",
}
"""The Hub's categories of the tasks that have one; the others stand among the tags alone."""

_SIZES: Final = ((10**3, "1K"), (10**4, "10K"), (10**5, "100K"), (10**6, "1M"), (10**7, "10M"), (10**8, "100M"))
_LARGE_SIZES: Final = ((10**9, "1B"), (10**10, "10B"), (10**11, "100B"), (10**12, "1T"))


def front_matter(collection: Collection) -> str:
    """Make the front matter of a dataset's card.

    Parameters
    ----------
    collection : Collection
        With its splits and the assets of their catalogs.

    Returns
    -------
    str
        YAML between two lines ``---``, with a newline at the end.

    References
    ----------
    Hugging Face Hub documentation, "Dataset cards" and "Manual configuration".
    """
    import yaml

    fields: dict[str, Any] = {**license_fields(collection)}
    fields["pretty_name"] = _one_line(collection.title or collection.id)
    categories = list(dict.fromkeys(_categories(collection)))
    if categories:
        fields["task_categories"] = categories
    fields["tags"] = list(dict.fromkeys(_tags(collection)))
    fields["size_categories"] = [size_category(sum(split.n_items for split in collection.splits.values()))]
    data_files = list(_data_files(collection))
    if data_files:
        fields["configs"] = [{"config_name": "default", "data_files": data_files}]
    text = yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=False)
    return f"---\n{text}---\n"


def size_category(count: int) -> str:
    """Give the Hub's word for a number of samples: ``n<1K``, ``1K<n<10K`` … ``n>1T``."""
    below = "n<1K"
    sizes = [*_SIZES, *_LARGE_SIZES]
    for (least, word), following in zip(sizes, [*sizes[1:], None], strict=True):
        if count >= least:
            below = f"{word}<n<{following[1]}" if following is not None else "n>1T"
    return below


def _categories(collection: Collection) -> Iterator[str]:
    has_images = any(
        tensor.y_axis is not None or (tensor.media_type or "").startswith("image/")
        for tensor in collection.tensors.values()
        if tensor.role == "data"
    )
    for task in collection.tasks:
        if task in _TASKS:
            yield _TASKS[task]
        elif task == "classification":
            yield "image-classification" if has_images else "tabular-classification"


def _tags(collection: Collection) -> Iterator[str]:
    yield "mlstac"
    yield "stac"
    yield "safetensors"
    if collection.placed:
        yield "geospatial"
    yield from collection.tasks
    yield from (_one_line(word) for word in collection.keywords if word.strip())


def _data_files(collection: Collection) -> Iterator[dict[str, Any]]:
    """The catalogs of the splits that have samples, by name: an older catalog that lies beside them is no part."""
    for name, split in collection.splits.items():
        paths = [collection.assets[asset].href.removeprefix("./") for asset in split.assets if split.n_items]
        if paths:
            yield {"split": hub_split(name), "path": paths if len(paths) > 1 else paths[0]}


def hub_split(name: str) -> str:
    """A split's name as the library ``datasets`` takes it: letters, digits, ``_``, and dots between them."""
    return ".".join(re.sub(r"\W", "_", part) for part in name.split(".") if part)


def _one_line(text: str) -> str:
    return " ".join(text.split())
